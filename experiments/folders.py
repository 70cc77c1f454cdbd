"""Where the stages of a run meet on disk, and how a run folder is opened for work."""

import dataclasses
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from envs import make_world
from envs.card import Card, require_world
from envs.manifest import CARD
from envs.store import EpisodeStore
from envs.world import World
from experiments.origin import commit, versions
from experiments.tracking import Run, WandbConfig, mask_secrets

if TYPE_CHECKING:
    from offline_rl.goal_encoder import SentenceGoalEncoder

REAL = "data/real"
CEILING = "data/ceiling"
BASE_MODEL = "models/base"
GROUNDING = "models/grounding"  # checkpoints, last and best
GROUNDED = "models/grounding/best"
GOAL_VECTORS = "models/goal-vectors.parquet"
EVALUATION = "evaluation/agents"
REFERENCES = "evaluation/references"
TASKS, OUTCOMES, WATCHED = "tasks.parquet", "outcomes.parquet", "watched"  # in each of them
GROUNDING_METRICS = "evaluation/grounding.json"
RESULTS, TABLE, FIGURE, PAGE = "results.json", "table.md", "figure.png", "report.html"


class Versioned(Protocol):
    """What data sets record of the environment that they come from."""

    name: str
    version: str


def imagined_folder(protocol: str) -> str:
    """Where rollouts imagined under a protocol are, relative to the run folder."""
    return f"data/imagined-{protocol}"


def fidelity_file(protocol: str) -> str:
    """Where the comparison of imagined with real rollouts is, relative to the run folder."""
    return f"evaluation/fidelity-{protocol}.json"


def open_run(
    folder: Path,
    verb: str,
    settings: Any,
    command: str,
    wandb: WandbConfig,
    *,
    shared: bool = False,
) -> Run:
    """The run folder, with this verb's resolved settings and command added to what it holds.

    Args:
        shared: other processes may work in it at the same time.

    Raises:
        FolderTaken: another process works in it.
    """
    content = json.loads(json.dumps(dataclasses.asdict(settings), default=str))
    return Run(folder, {verb: content}, command, wandb, shared=shared)


@lru_cache(maxsize=4)
def goal_encoder(folder: Path) -> "SentenceGoalEncoder":
    """The sentence encoder of a run, which remembers the goals that it has seen."""
    from offline_rl.goal_encoder import SentenceGoalEncoder

    return SentenceGoalEncoder(cache_file=folder / GOAL_VECTORS)


def real_data(folder: Path) -> tuple[World, EpisodeStore]:
    """The real rollouts of a run, verified, and the world that they come from.

    Raises:
        ValueError: there are none, they were altered, or the world has changed since.
    """
    store = EpisodeStore(folder / REAL)
    world = make_world(store.card.environment)
    require_world(store.card, world)
    return world, store


def data_card(world: Versioned, source: str, command: str, seed: int, note: str = "") -> Card:
    """The card of a data set that this code writes now; keys in `command` are masked."""
    return Card(
        environment=world.name,
        environment_version=world.version,
        source=source,
        command=mask_secrets(command),
        seed=seed,
        versions=versions(),
        commit=commit(),
        note=note,
    )


def watched_stores(folder: Path) -> list[Path]:
    """Stores of the episodes that an evaluation kept: `folder` itself, or those right in it.

    A store holds states of one length, so that grids of several sizes need several.
    """
    if (folder / CARD).exists():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"*/{CARD}"))


def read_json(path: Path) -> dict[str, Any]:
    """The object stored in a JSON file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def whole_json(path: Path) -> list[str]:
    """Problems of a JSON file that a stage wrote; empty where it can be read."""
    if not path.is_file():
        return [f"{path} is missing."]
    try:
        read_json(path)
    except json.JSONDecodeError:
        return [f"{path} is not JSON."]
    return []
