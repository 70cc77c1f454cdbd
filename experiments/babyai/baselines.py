"""What the method is compared with: a recurrent imitator, and offline RL on labelled play."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from envs.settings import Count, Settings, Whole
from experiments.babyai.folders import Arm, grid_world
from experiments.folders import goal_encoder
from experiments.progress import progress
from experiments.stage import Stage, complete
from experiments.teduo.folders import COLLECT, has_samples
from experiments.tracking import Run
from experiments.train import agent_problems
from offline_rl.algorithms import AlgorithmConfig, find_algorithm
from offline_rl.imitation import ImitationConfig

if TYPE_CHECKING:
    from offline_rl.distillation_set import DistillationSet

LOG_UPDATES = 100  # between lines of metrics


@dataclass(frozen=True)
class BaselineSettings(Settings):
    """Which baselines, on which data."""

    imitation: tuple[str, ...] = ("bot-50",)  # data sets whose plans a recurrent network imitates
    network: ImitationConfig = field(default_factory=ImitationConfig)
    offline_rl: tuple[str, ...] = ("bot-50",)  # data sets whose labelled play agents learn from
    algorithm: str = "cql"  # of d3rlpy, for numbered actions
    agent: AlgorithmConfig = field(default_factory=AlgorithmConfig)
    updates: Count = 5_000  # of the agents
    labelled_steps: Count = 40_000  # of play that agents see, at most
    seed: Whole = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        find_algorithm(self.algorithm, "discrete")

    @property
    def imitators(self) -> list["Baseline"]:
        """The recurrent networks."""
        return [Baseline("gru", Arm("teduo", data)) for data in self.imitation]

    @property
    def agents(self) -> list["Baseline"]:
        """The offline RL agents."""
        return [Baseline(self.algorithm, Arm("cloning", data)) for data in self.offline_rl]


@dataclass(frozen=True)
class Baseline:
    """A baseline and the arm whose samples it learns from."""

    name: str  # "gru", or an algorithm
    arm: Arm

    @property
    def label(self) -> str:
        """Its name in tables, such as ``cql/bot-50``."""
        return f"{self.name}/{self.arm.data}"

    @property
    def stage(self) -> str:
        """The stage that trains it."""
        return f"train-{self.name}-{self.arm.data}"

    @property
    def folder(self) -> str:
        """Where it is, relative to the run folder."""
        return f"models/{self.name}-{self.arm.data}"


def baselines_stage(run: Run, settings: BaselineSettings, *, overwrite: bool) -> None:
    """Trains every baseline that is not there yet."""
    for baseline in taught(run.folder, settings.imitators):
        network = replace(settings.network, seed=settings.seed)
        complete(
            run,
            Stage(
                baseline.stage, network, (COLLECT, baseline.arm.distil_stage), (baseline.folder,)
            ),
            lambda b=baseline, n=network: _imitate(run, n, b),  # type: ignore[misc]
            lambda b=baseline: _problems(run, b, "imitation"),  # type: ignore[misc]
            overwrite=overwrite,
        )
    for baseline in taught(run.folder, settings.agents):
        alone = replace(settings, imitation=(), network=ImitationConfig(), offline_rl=())
        complete(
            run,
            Stage(baseline.stage, alone, (COLLECT, baseline.arm.distil_stage), (baseline.folder,)),
            lambda b=baseline: _train(run, settings, b),  # type: ignore[misc]
            lambda b=baseline: agent_problems(run.folder / b.folder),  # type: ignore[misc]
            overwrite=overwrite,
        )


def taught(folder: Path, baselines: list[Baseline]) -> list[Baseline]:
    """Those that there are samples for."""
    return [baseline for baseline in baselines if has_samples(folder, baseline.arm)]


def _samples(run: Run, baseline: Baseline) -> "DistillationSet":
    from offline_rl.distillation_set import DistillationSet

    return DistillationSet.read(run.folder / baseline.arm.samples)


def _imitate(run: Run, config: ImitationConfig, baseline: Baseline) -> None:
    from offline_rl.goal_encoder import EncodedGoals
    from offline_rl.imitation import save_imitation, train_imitation

    samples, shape = _samples(run, baseline), grid_world(run.folder).shape
    encoder = goal_encoder(run.folder)
    goals = EncodedGoals.of(encoder, samples.goals)
    run.rewind(baseline.stage, -1)
    with progress(f"training {baseline.label}", config.updates, "updates") as advance:

        def on_update(update: int, loss: float) -> None:
            advance(update)
            if update % LOG_UPDATES == 0 or update == config.updates:
                run.log(baseline.stage, update, {"loss": loss})

        network = train_imitation(samples, goals, shape, config, on_update)
    save_imitation(network, run.folder / baseline.folder, shape, encoder.dim, config)


def _train(run: Run, settings: BaselineSettings, baseline: Baseline) -> None:
    from offline_rl.grid_agents import GridVectorWorld
    from offline_rl.labelled_episodes import labelled_episodes
    from offline_rl.normalizer import Normalizer
    from offline_rl.train import train_agent

    world = GridVectorWorld.of(grid_world(run.folder))
    shape, encoder = grid_world(run.folder).shape, goal_encoder(run.folder)
    episodes = labelled_episodes(
        _samples(run, baseline), shape, settings.labelled_steps, settings.seed
    )
    run.rewind(baseline.stage, -1)
    with progress(f"training {baseline.label}", settings.updates, "updates") as advance:

        def on_metrics(step: int, metrics: Mapping[str, float]) -> None:
            advance(step)
            run.log(baseline.stage, step, metrics)

        agent = train_agent(
            world,
            episodes,
            None,
            encoder,
            settings.algorithm,
            steps=settings.updates,
            seed=settings.seed,
            config=settings.agent,
            on_metrics=on_metrics,
            normalizer=Normalizer.identity(world.spaces.observation_dim, encoder.dim),
        )
    agent.save_pretrained(run.folder / baseline.folder)


def _problems(run: Run, baseline: Baseline, kind: str) -> list[str]:
    from offline_rl.tensor_folder import read_tensors

    try:
        read_tensors(run.folder / baseline.folder, kind)
    except ValueError as error:
        return [str(error)]
    return []
