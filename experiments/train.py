"""`kalm train`: offline RL agents, each on its own mix of real and imagined rollouts."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from envs.settings import Count, Settings, Share, Whole
from envs.world import World
from experiments.folders import (
    CEILING,
    REAL,
    goal_encoder,
    imagined_folder,
    real_data,
)
from experiments.ground import torch_device
from experiments.names import require_known
from experiments.progress import progress
from experiments.stage import Stage, complete
from experiments.stage_records import done_stages, stage_settings
from experiments.tracking import Run
from experiments.verbs import StageCommand, start_verb
from offline_rl.algorithms import ALGORITHMS, AlgorithmConfig, action_kind, find_algorithm

if TYPE_CHECKING:
    from envs.flat import FlatEpisodes

MIXES = ("real-only", "real+imagined", "imagined-only", "real+real")


@dataclass(frozen=True)
class TrainSettings(Settings):
    """Which agents are trained, and how."""

    seed: Whole = 0  # of weights and batches
    algorithms: tuple[str, ...] = ("bc", "cql")
    mixes: tuple[str, ...] = ("real-only", "real+imagined")  # among MIXES; "real+real": ceiling
    protocols: tuple[str, ...] = ("target",)  # imagined data sets to train on, one agent each
    num_real: Whole = 6_400  # first real rollouts that agents see (the paper's number)
    num_imagined: Whole = 0  # accepted rollouts that agents see; 0 takes all
    imagined_fraction: Share = 0.5  # share of each batch that is imagined
    steps: Count = 20_000  # updates
    batch_size: Count = 256  # steps of rollouts per update
    algorithm: AlgorithmConfig = field(default_factory=AlgorithmConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("algorithms", "mixes"):
            if not getattr(self, option):
                raise ValueError(f"Expected at least one name as --{option}, got none.")
        names = {name for kind in ALGORITHMS.values() for name in kind}
        for algorithm in self.algorithms:
            require_known("algorithm", algorithm, sorted(names))
        for mix in self.mixes:
            require_known("mix", mix, MIXES)


@dataclass(frozen=True)
class AgentName:
    """An agent of a run: its data, its algorithm, and how its imagined goals were chosen."""

    mix: str  # one of MIXES
    algorithm: str
    protocol: str  # "" where nothing is imagined

    @property
    def label(self) -> str:
        """The name in tables, such as ``real+imagined/cql``."""
        return f"{self.mix}/{self.algorithm}"

    @property
    def stage(self) -> str:
        """The stage that trains it."""
        return "train-" + self.slug

    @property
    def slug(self) -> str:
        """The name as a file name."""
        return "-".join(part for part in (self.mix, self.protocol, self.algorithm) if part)

    @property
    def folder(self) -> str:
        """Where the agent is, relative to the run folder."""
        return f"models/agents/{self.slug}"

    @property
    def checkpoints(self) -> str:
        """Where its checkpoints are until it is whole, relative to the run folder."""
        return f"{self.folder}.checkpoints"


def trained_agents(folder: Path) -> list[AgentName]:
    """The finished agents of a run folder, those of one algorithm side by side."""
    names = []
    for stage in done_stages(folder):
        if stage.startswith("train-"):
            settings = stage_settings(folder, stage)
            protocol = (*settings["protocols"], "")[0]
            names.append(AgentName(settings["mixes"][0], settings["algorithms"][0], protocol))
    return sorted(names, key=lambda n: (n.algorithm, MIXES.index(n.mix), n.protocol))


def agent_names(settings: TrainSettings) -> list[AgentName]:
    """The agents that `settings` ask for, those of one algorithm side by side."""
    return [
        AgentName(mix, algorithm, protocol)
        for algorithm in settings.algorithms
        for mix in settings.mixes
        for protocol in (settings.protocols if "imagined" in mix else ("",))
    ]


@dataclass(frozen=True)
class Command(StageCommand):
    """Trains agents into RUN_FOLDER/models/agents."""

    settings: Annotated[TrainSettings, tyro.conf.arg(name="")] = field(
        default_factory=TrainSettings
    )


def main(arguments: Sequence[str]) -> int:
    """Runs the verb with its arguments."""
    return start_verb("train", Command, train_stage, arguments)


def train_stage(run: Run, settings: TrainSettings, command: str, *, overwrite: bool) -> None:
    """Trains every agent that is not there yet."""
    world, _ = real_data(run.folder)
    for algorithm in settings.algorithms:
        find_algorithm(algorithm, action_kind(world.spaces))
    for name in agent_names(settings):
        if run.is_writer and (run.folder / name.folder).is_dir():
            shutil.rmtree(run.folder / name.checkpoints, ignore_errors=True)  # a kill left them
        complete(
            run,
            Stage(
                name.stage,
                _identity(settings, name),
                _needs(name),
                (name.folder, name.checkpoints),
            ),
            partial(_train, run, world, settings, name),
            partial(agent_problems, run.folder / name.folder),
            overwrite=overwrite,
        )


def agent_problems(folder: Path) -> list[str]:
    """Problems of a saved agent; empty where every byte is as written."""
    from offline_rl.tensor_folder import read_tensors

    try:
        read_tensors(folder, "agent")
    except ValueError as error:
        return [str(error)]
    return []


def _identity(settings: TrainSettings, name: AgentName) -> TrainSettings:
    """What shapes this agent alone: adding another to the list must not make it anew."""
    protocols = (name.protocol,) if name.protocol else ()
    return replace(settings, algorithms=(name.algorithm,), mixes=(name.mix,), protocols=protocols)


def _needs(name: AgentName) -> tuple[str, ...]:
    if name.protocol:
        return ("collect", f"imagine-{name.protocol}")
    return ("collect", "collect-ceiling") if name.mix == "real+real" else ("collect",)


def training_data(
    folder: Path, settings: TrainSettings, name: AgentName
) -> tuple["FlatEpisodes | None", "FlatEpisodes | None"]:
    """Real and added rollouts of an agent; added are imagined, or real ones for the ceiling."""
    from envs.store import EpisodeStore

    real = None if name.mix == "imagined-only" else _first(folder / REAL, settings.num_real)
    if name.protocol:
        accepted = folder / imagined_folder(name.protocol) / "accepted"
        return real, _first(accepted, settings.num_imagined)
    return real, EpisodeStore(folder / CEILING).flat() if name.mix == "real+real" else None


def _first(folder: Path, count: int) -> "FlatEpisodes":
    """The first `count` rollouts of a store; 0 takes all."""
    from envs.flat import flatten
    from envs.store import EpisodeStore

    store = EpisodeStore(folder)
    if not 0 < count < len(store):
        return store.flat()
    episodes = list(islice(store.episodes(), count))
    return flatten(episodes, store.manifest.layout, count, sum(map(len, episodes)))


def _train(run: Run, world: World, settings: TrainSettings, name: AgentName) -> None:
    from offline_rl.train import train_agent

    real, added = training_data(run.folder, settings, name)
    fraction = {"real-only": 0.0, "imagined-only": 1.0}.get(name.mix, settings.imagined_fraction)
    checkpoints = run.folder / name.checkpoints
    starts_again = True
    with progress(f"training {name.slug}", settings.steps, "updates") as advance:

        def on_metrics(step: int, metrics: Mapping[str, float]) -> None:
            nonlocal starts_again
            if starts_again:  # from the beginning, or from a checkpoint before the last line
                run.rewind(name.stage, step - 1)
                starts_again = False
            advance(step)
            run.log(name.stage, step, metrics)

        agent = train_agent(
            world,
            real,
            added,
            goal_encoder(run.folder),
            name.algorithm,
            steps=settings.steps,
            batch_size=settings.batch_size,
            imagined_fraction=fraction,
            seed=settings.seed,
            config=settings.algorithm,
            on_metrics=on_metrics,
            checkpoint_folder=checkpoints,
            checkpoint_every_steps=max(1000, settings.steps // 10),
            device=torch_device(),
        )
    agent.save_pretrained(run.folder / name.folder)
    shutil.rmtree(checkpoints, ignore_errors=True)
