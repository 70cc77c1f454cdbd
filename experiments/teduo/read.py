"""Goals in words read by the base model or a chat model, once per text, into one file.

What a goal is read as depends on the world: `imagination.readers.Language` says it.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.chats import chat_costs
from experiments.folders import BASE_MODEL, whole_json
from experiments.ground import EMBEDDED, base_model_problems, check_base_model
from experiments.origin import say
from experiments.progress import progress
from experiments.results import write_text
from experiments.stage import Stage, complete
from experiments.teduo.base import ReadSettings, base_text_model, is_chat_base, run_chat
from experiments.teduo.folders import COLLECT, GOALS, READ, READ_TEST, TEST_GOALS
from experiments.tracking import Run

if TYPE_CHECKING:
    from imagination.readers import GoalReadings, Language

KNOWLEDGE_KEY = 3_002  # keeps texts of the primer apart from other streams


def reading_stages(
    run: Run,
    settings: ReadSettings,
    prime: Callable[[], None],
    read: Callable[[], None],
    *,
    overwrite: bool,
) -> None:
    """The base model where it is the embedded one, then the reading, of grids or of shops.

    Args:
        prime: writes the embedded base model.
        read: writes what the training goals were read as.
    """
    check_base_model(settings.base)
    needs: tuple[str, ...] = (COLLECT,)
    if settings.base.name == EMBEDDED:
        complete(
            run,
            Stage("base-model", settings, needs, (BASE_MODEL,)),
            prime,
            lambda: base_model_problems(run.folder / BASE_MODEL),
            overwrite=overwrite,
        )
        needs = (COLLECT, "base-model")
    complete(
        run,
        Stage(READ, settings, needs, (GOALS,)),
        read,
        lambda: whole_json(run.folder / GOALS),
        overwrite=overwrite,
    )


def read_test_stage(
    run: Run, evaluation: Any, read: Callable[[], None], *, overwrite: bool
) -> None:
    """Reads the goals of all tasks, as the agents will need them.

    Args:
        evaluation: the settings that say which goals these are.
        read: writes what they were read as.
    """
    complete(
        run,
        Stage(READ_TEST, evaluation, (READ,), (TEST_GOALS,)),
        read,
        lambda: whole_json(run.folder / TEST_GOALS),
        overwrite=overwrite,
    )


def write_readings(
    run: Run,
    settings: ReadSettings,
    stage: str,
    texts: Sequence[str],
    file: str,
    language: "Language[Any]",
) -> None:
    """Reads goals in words, equal ones once, and writes what they were read as."""
    with progress("reading goals", len(texts), "goals") as advance:
        found, costs = read_texts(run.folder, settings, texts, language)
        advance(len(texts))
    programs = {
        reading.text: reading.program.text() if reading.program else ""
        for reading in found.readings
    }
    numbers = found.numbers() | costs
    content = {"programs": programs, "abstained": found.abstained, "numbers": numbers}
    write_text(run.folder / file, json.dumps(content, indent=1) + "\n")
    if found.abstained:
        reasons = list(found.abstained.values())
        say(f"{stage}: {len(reasons)} of {len(programs)} goals left out; the first: {reasons[0]}")
    run.rewind(stage, -1)
    run.log(stage, 0, numbers)


def read_texts(
    folder: Path, settings: ReadSettings, texts: Sequence[str], language: "Language[Any]"
) -> "tuple[GoalReadings[Any], dict[str, float]]":
    """What texts were read as, and what a chat model's answers cost."""
    from imagination.readers import ChatGoals, ProgramReader, TextModelGoals

    if settings.chat.model or is_chat_base(settings.base):
        chat = run_chat(folder, settings)
        return ProgramReader(ChatGoals(chat, language)).read(texts), chat_costs(chat)
    model = TextModelGoals(
        base_text_model(folder, settings),
        language,
        least_probability=settings.least_probability,
        whole_words=settings.base.name == EMBEDDED,
    )
    return ProgramReader(model).read(texts), {}
