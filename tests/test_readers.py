"""Goals in words to programs: once per text, abstaining with a reason, nothing lost uncounted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scripted_chat import ScriptedChat

from envs.babyai.goals import all_specs
from envs.babyai.knowledge import knowledge
from envs.babyai.program_text import UNCLEAR, reading_question, spec_text
from envs.babyai.splits import SplitDesign, split_goals
from imagination.grid_language import GRID
from imagination.programs import Program
from imagination.readers import (
    NO_ANSWER,
    NO_PROGRAM,
    UNKNOWN,
    UNSURE,
    Answers,
    ChatGoals,
    ProgramReader,
    Reading,
    TextModelGoals,
)
from kalm.pretrained import load_backbone
from kalm.primer import PrimerConfig, build_base_model
from kalm.text_model import TextModel

BALL, BOX = 6, 7
RED, BLUE = 0, 2
LEARNED = {
    "go to the red ball": "facing red ball",
    "go to the blue box": "facing blue box",
    "pick up the red ball": "holding red ball",
    "pick up the blue box": "holding blue box",
    "open the red door": "opened red door",
    "put the red ball next to the blue box": "dropped_beside red ball | blue box",
    "go to tile (3, 14)": "standing_on 3 14",
    "open the red ball": UNCLEAR,
    "go to the pink chair": "facing pink chair",
}


class Script:
    """A goal model that reads every text as what its last word is, and writes down its calls."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def read(self, texts: Sequence[str]) -> Answers:
        self.asked += texts
        thing = {"ball": (BALL, RED), "box": (BOX, BLUE)}
        readings = [
            Reading(text, Program("facing", (thing[text.split()[-1]],)))
            if text.split()[-1] in thing
            else Reading(text, None, NO_PROGRAM, "unclear")
            for text in texts
        ]
        return Answers(tuple(readings), len(texts), 10 * len(texts), 3 * len(texts))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    pairs = [(reading_question(goal), answer) for goal, answer in LEARNED.items()]
    config = PrimerConfig(
        hidden=32, layers=2, heads=2, epochs=40, batch_tokens=512, learning_rate=2e-2, bf16=False
    )
    folder = build_base_model(tmp_path_factory.mktemp("reader") / "base", pairs, [], config)
    return TextModel(*load_backbone(str(folder))).eval()


def test_each_different_text_is_asked_about_once_and_duplicates_are_counted() -> None:
    script = Script()
    reader = ProgramReader(script)
    found = reader.read(["see the ball", "see the box", "see the ball", "sing a song"])
    assert script.asked == ["see the ball", "see the box", "sing a song"]
    assert list(found.programs) == ["see the ball", "see the box"]
    assert found.abstained == {"sing a song": "no program: unclear"}
    assert found.numbers() == {
        "goal_texts": 4,
        "duplicate_texts": 1,
        "programs": 2,
        "abstained: unknown words": 0,
        "abstained: no program": 1,
        "abstained: unsure": 0,
        "abstained: no answer": 0,
        "model_calls": 3,
        "prompt_tokens": 30,
        "answer_tokens": 9,
    }


def test_what_was_read_before_costs_no_call() -> None:
    script = Script()
    reader = ProgramReader(script)
    reader.read(["see the ball"])
    again = reader.read(["see the ball", "see the box"])
    assert script.asked == ["see the ball", "see the box"]
    assert again.calls == 1
    assert reader.read(["see the box"]).numbers()["model_calls"] == 0
    assert list(again.programs) == ["see the ball", "see the box"]


def test_an_empty_list_of_goals_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected at least one goal to read, got none"):
        ProgramReader(Script()).read([])


def test_a_model_reads_what_it_learned(model: TextModel) -> None:
    found = ProgramReader(TextModelGoals(model, GRID)).read(list(LEARNED))
    told = {text: program.text() for text, program in found.programs.items()}
    nothing = ("open the red ball", "go to the pink chair")
    assert told == {goal: text for goal, text in LEARNED.items() if goal not in nothing}
    assert found.abstained == {goal: f"no program: {LEARNED[goal]}" for goal in nothing}
    assert found.numbers()["model_calls"] == len(LEARNED)


def test_capitals_and_full_stops_make_no_difference(model: TextModel) -> None:
    found = ProgramReader(TextModelGoals(model, GRID)).read(
        ["Go to the  RED ball.", "Open the red door!"]
    )
    assert [p.text() for p in found.programs.values()] == ["facing red ball", "opened red door"]


def test_unknown_words_are_named_and_never_asked_about(model: TextModel) -> None:
    texts = ["go to the crimson sphere", "go to the red ball", "go to tile (3, 15)"]
    found = ProgramReader(TextModelGoals(model, GRID)).read(texts)
    assert found.abstained == {
        "go to the crimson sphere": f"{UNKNOWN}: crimson, sphere",
        "go to tile (3, 15)": f"{UNKNOWN}: 15",
    }
    assert found.calls == 1
    split = ProgramReader(TextModelGoals(model, GRID, whole_words=False)).read(texts)
    assert split.calls == 3


def test_an_answer_that_the_model_holds_unlikely_is_not_taken(model: TextModel) -> None:
    strict = ProgramReader(TextModelGoals(model, GRID, least_probability=0.9999999))
    found = strict.read(["go to the red ball"])
    assert found.abstained["go to the red ball"].startswith(f"{UNSURE}: facing red ball, probab")
    with pytest.raises(ValueError, match=r"Expected a least_probability in \[0, 1\), got 1"):
        TextModelGoals(model, GRID, least_probability=1.0)


def test_tokens_are_counted_with_the_end_of_the_answer(model: TextModel) -> None:
    found = ProgramReader(TextModelGoals(model, GRID)).read(["go to the red ball"])
    # <bos> Read this goal as a program : | go to the red ball | Program : -> 8 + 5 + 2 = 15.
    # facing, red, ball and the end: 4.
    assert (found.prompt_tokens, found.answer_tokens) == (15, 4)


def test_the_corpus_asks_as_the_reader_does() -> None:
    questions = [question for question, _ in knowledge(200, np.random.default_rng(0))]
    start = reading_question("").split("  ")[0]
    assert sum(question.startswith(start) for question in questions) > 150


def test_a_base_model_folder_is_what_the_reader_loads(model: TextModel, tmp_path: Path) -> None:
    model.backbone.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    loaded = TextModel(*load_backbone(str(tmp_path))).eval()
    found = ProgramReader(TextModelGoals(loaded, GRID)).read(["pick up the blue box"])
    assert found.programs == {"pick up the blue box": Program("holding", ((BOX, BLUE),))}


def test_a_chat_model_is_told_the_form_and_its_last_line_is_read() -> None:
    replies = {
        "take the key": "The agent should take it.\n\n`holding any key`",
        "tidy up": "unclear",
        "meet the crimson ball": "facing crimson ball",
    }
    chat = ScriptedChat(lambda text: replies[text])
    found = ProgramReader(ChatGoals(chat, GRID)).read([*replies, "tidy up"])
    assert {text: p.text() for text, p in found.programs.items()} == {
        "take the key": "holding any key"
    }
    assert found.abstained == {
        "tidy up": "no program: unclear",
        "meet the crimson ball": "no program: facing crimson ball",
    }
    assert (found.calls, found.num_texts) == (3, 4)
    assert found.answer_tokens == 8 + 1 + 3
    system = chat.conversations[0][0]["content"]
    for part in ("dropped_beside THING | THING", "standing_on COLUMN ROW", "purple", "hands were"):
        assert part in system


def test_the_examples_that_a_chat_model_is_shown_are_of_the_training_split() -> None:
    chat = ScriptedChat(lambda text: "")
    ProgramReader(ChatGoals(chat, GRID)).read(["go"])
    lines = [line for line in chat.conversations[0][0]["content"].splitlines() if " -> " in line]
    trained = {goal.text: goal.spec for goal in split_goals(all_specs(), "train", SplitDesign())}
    assert len(lines) == 4
    for line in lines:
        said, program = line.split(" -> ")
        assert program == spec_text(trained[said])


def test_goals_that_a_chat_model_cannot_be_asked_about_are_abstained_on_and_asked_again() -> None:
    texts = [f"go there {number}" for number in range(100)]
    chat = ScriptedChat(lambda text: "facing any door", last_call=70)
    reader = ProgramReader(ChatGoals(chat, GRID))
    found = reader.read(texts)
    # 64 goals are asked about together; the second 64 end in the failure.
    assert found.numbers()["programs"] == 64
    assert found.numbers()["abstained: no answer"] == 36
    assert found.abstained[texts[-1]] == f"{NO_ANSWER}: The script has ended. Write more of it."
    assert reader.read(texts).calls == 0
    assert reader.read(texts[:64]).numbers()["programs"] == 64
