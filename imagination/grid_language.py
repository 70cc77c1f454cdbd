"""How language models are asked for the programs of grid goals: once in a few words, which the
embedded base model was taught, and once with everything that a chat model must be told.
"""

from envs.babyai.cells import BALL, BOX, COLORS, DOOR, KEY
from envs.babyai.goals import ANY, GO_TO, OPEN_DOOR, PICK_UP, PUT_NEXT, UNUSED
from envs.babyai.program_text import (
    ANY_WORD,
    DROPPED_BESIDE,
    RELATIONS,
    STANDING_ON,
    UNCLEAR,
    reading_question,
    spec_text,
)
from envs.babyai.raw_text import TYPE_WORDS
from envs.babyai.wordings import TRAIN
from imagination.programs import MEANINGS, Program, parse_program
from imagination.readers import Language
from kalm.chat_template import Conversation

_EXAMPLES = tuple(
    (TRAIN.say(spec), spec)
    for spec in (
        (GO_TO, KEY, COLORS.index("red"), UNUSED, UNUSED),
        (PICK_UP, BALL, ANY, UNUSED, UNUSED),
        (OPEN_DOOR, DOOR, COLORS.index("blue"), UNUSED, UNUSED),
        (PUT_NEXT, BOX, COLORS.index("purple"), DOOR, ANY),
    )
)


def _conversation(goal: str) -> Conversation:
    """What a chat model is asked about a goal."""
    about = {DROPPED_BESIDE: "THING | THING", STANDING_ON: "COLUMN ROW"}
    forms = "\n".join(
        f"{relation} {about.get(relation, 'THING')}: {MEANINGS[relation]}" for relation in RELATIONS
    )
    examples = "\n".join(f"{said} -> {spec_text(spec)}" for said, spec in _EXAMPLES)
    system = (
        f"You write what an agent in a grid should do as a program of one line:\n{forms}\n"
        f"A THING is a colour, one of {', '.join(COLORS)}, or {ANY_WORD} where none is named, and "
        f"a type, one of {', '.join(TYPE_WORDS.values())}; use these words for others that mean "
        f"the same. Examples:\n{examples}\nThink first if you need to. The last line of your "
        f"answer is the program alone, or {UNCLEAR} where no program says what is meant."
    )
    return [{"role": "system", "content": system}, {"role": "user", "content": goal}]


GRID = Language[Program](
    reading_question, _conversation, lambda goal, reply: parse_program(reply), max_tokens=24
)
