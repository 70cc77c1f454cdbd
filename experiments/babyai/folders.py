"""Where the stages of a BabyAI run meet on disk, and what earlier stages said."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.folders import read_json
from experiments.names import require_known
from experiments.stage_records import stage_settings
from experiments.teduo.folders import COLLECT, GOALS, PLANNED, Distilled

if TYPE_CHECKING:
    from envs.babyai.world import BabyAiWorld
    from envs.world import Goal
    from imagination.programs import Program
    from offline_rl.empirical import EmpiricalModel

NEW_GRIDS = 1_000_000  # seeds of grids to test on begin here; no training uses them
CLONED = "cloned"  # samples that are stretches of play


@dataclass(frozen=True)
class Method:
    """Where the samples of a method come from, and what is asked and answered in them."""

    source: str  # PLANNED or CLONED
    form: str  # of states, of imagination.abstraction.FORMS
    lists: bool = False  # answers are all actions to the goal, played without planning anew


METHODS = {
    "teduo": Method(PLANNED, "roles_egocentric"),
    "teduo-absolute": Method(PLANNED, "roles_absolute"),
    "teduo-raw": Method(PLANNED, "raw"),
    "teduo-list": Method(PLANNED, "roles_egocentric", lists=True),
    "cloning": Method(CLONED, "roles_egocentric"),
}


@dataclass(frozen=True)
class Arm(Distilled):
    """A method on one data set, such as ``teduo/random``."""

    method: str  # key in METHODS
    data: str  # such as "bot-50" (half of the rows by the bot) or "random"

    def __post_init__(self) -> None:
        require_known("method", self.method, METHODS)

    @classmethod
    def of(cls, label: str) -> "Arm":
        """The arm that `label` names."""
        method, _, data = label.partition("/")
        return cls(method, data)

    @property
    def label(self) -> str:
        """Its name in tables."""
        return f"{self.method}/{self.data}"

    @property
    def slug(self) -> str:
        """Its name in file and stage names."""
        return f"{self.method}-{self.data}"

    @property
    def source(self) -> str:
        """PLANNED or CLONED."""
        return METHODS[self.method].source

    @property
    def form(self) -> str:
        """How its states are told."""
        return METHODS[self.method].form

    @property
    def lists(self) -> bool:
        """Whether its model answers with all actions at once."""
        return METHODS[self.method].lists


def data_name(expert_share: float) -> str:
    """What rows with that share by the expert are called."""
    return f"bot-{round(100 * expert_share)}" if expert_share else "random"


def transitions_folder(data: str) -> str:
    """Store of the rows, relative to the run folder."""
    return f"data/transitions-{data}"


def labels_file(data: str) -> str:
    """What a judge labelled the rows' different transitions."""
    return f"data/labels-{data}.parquet"


def judgement_file(data: str) -> str:
    """What a judge said about each goal, in numbers."""
    return f"evaluation/judgement-{data}.json"


def order_file(data: str) -> str:
    """Which play each row comes from; for cloning alone."""
    return f"data/order-{data}.parquet"


def grid_worlds(folder: Path) -> "list[BabyAiWorld]":
    """The training grids of a run, one world a size; all have one shape."""
    from envs.babyai.world import BabyAiWorld

    settings = stage_settings(folder, COLLECT)
    seeds = range(settings["num_layouts"])
    return [BabyAiWorld(size, seeds, settings["locked"]) for size in settings["sizes"]]


def grid_world(folder: Path) -> "BabyAiWorld":
    """The first of a run's training worlds: what holds for all of them may be asked of it."""
    return grid_worlds(folder)[0]


def new_worlds(folder: Path, sizes: Sequence[str], count: int) -> "list[BabyAiWorld]":
    """Grids of those sizes that no training uses."""
    from envs.babyai.world import BabyAiWorld

    locked = stage_settings(folder, COLLECT)["locked"]
    seeds = range(NEW_GRIDS, NEW_GRIDS + count)
    return [BabyAiWorld(size, seeds, locked) for size in sizes]


def training_goals(folder: Path) -> "list[Goal]":
    """The training goals of all training worlds, in all wordings; equal ones once."""
    worlds = grid_worlds(folder)
    return list(dict.fromkeys(goal for world in worlds for goal in world.goals("train")))


def asked_goals(folder: Path) -> "list[Goal]":
    """The training goals that a run chose to train on."""
    read = read_json(folder / GOALS)["programs"]
    return [goal for goal in training_goals(folder) if goal.text in read]


def read_goals(folder: Path, file: str = GOALS) -> "dict[str, Program | None]":
    """What goal texts were read as; None for those that were not understood."""
    from imagination.programs import parse_program

    texts = read_json(folder / file)["programs"]
    return {text: parse_program(program) for text, program in texts.items()}


def empirical_model(folder: Path, data: str) -> "EmpiricalModel":
    """The transition model of a run's rows."""
    from envs.babyai.simulator import NUM_ACTIONS
    from envs.transitions import TransitionStore
    from offline_rl.empirical import EmpiricalModel, Triplets

    rows = TransitionStore(folder / transitions_folder(data)).read()
    triplets = Triplets(rows.states, rows.actions, rows.next_states)
    return EmpiricalModel.from_triplets(triplets, num_actions=NUM_ACTIONS)
