"""`kalm collect`: real rollouts with the scripted behaviour policy, failures kept and marked."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import tyro

from envs import WORLDS, make_world
from envs.card import Card
from envs.episode import Episode
from envs.settings import Count, Settings, Whole
from envs.world import World
from experiments.folders import CEILING, REAL, data_card
from experiments.names import require_known
from experiments.progress import progress
from experiments.stage import Stage, complete
from experiments.tracking import Run
from experiments.verbs import StageCommand, start_verb

MAX_WORKERS = 16
CEILING_SEED = 10_000_019  # added to the seed: the ceiling's rollouts are no one else's


@dataclass(frozen=True)
class CollectSettings(Settings):
    """What is collected."""

    environment: str = "clevr_robot"  # name of the world
    num_rollouts: Count = 12_000  # with training goals; the language model sees them all
    ceiling_rollouts: Whole = 0  # of the expert, with novel goals; only the ceiling row uses them
    seed: Whole = 0  # of goals, starts and the behaviour policy

    def __post_init__(self) -> None:
        super().__post_init__()
        require_known("environment", self.environment, WORLDS)


@dataclass(frozen=True)
class Command(StageCommand):
    """Collects real rollouts into RUN_FOLDER/data/real."""

    settings: Annotated[CollectSettings, tyro.conf.arg(name="")] = CollectSettings()


def main(arguments: Sequence[str]) -> int:
    """Runs the verb with its arguments."""
    return start_verb("collect", Command, collect_stage, arguments, begins=True)


def collect_stage(run: Run, settings: CollectSettings, command: str, *, overwrite: bool) -> None:
    """Writes RUN/data/real, and RUN/data/ceiling where rollouts of the expert are wanted."""
    from envs.store import verify_store

    world = make_world(settings.environment)
    asked = replace(settings, ceiling_rollouts=0)
    complete(
        run,
        Stage("collect", asked, (), (REAL,)),
        lambda: _collect(run, world, settings, command),
        lambda: verify_store(run.folder / REAL),
        overwrite=overwrite,
    )
    if settings.ceiling_rollouts:
        asked = replace(settings, num_rollouts=1)
        complete(
            run,
            Stage("collect-ceiling", asked, (), (CEILING,)),
            lambda: _collect_ceiling(run, world, settings, command),
            lambda: verify_store(run.folder / CEILING),
            overwrite=overwrite,
        )


def _collect(run: Run, world: World, settings: CollectSettings, command: str) -> None:
    from envs.collect import collect
    from experiments.doctor import available_cores

    card = data_card(world, "real", command, settings.seed)
    with progress("collecting rollouts", settings.num_rollouts, "rollouts") as advance:
        episodes = collect(
            world,
            world.goals(world.levels[0]),
            settings.num_rollouts,
            settings.seed,
            workers=min(available_cores(), MAX_WORKERS),
            on_progress=advance,
        )
        _write(run, REAL, episodes, card, settings.num_rollouts)


def _collect_ceiling(run: Run, world: World, settings: CollectSettings, command: str) -> None:
    """Rollouts of the expert with novel goals, spread evenly over levels and kinds."""
    from envs.collect import draw_task
    from envs.rollouts import run_tasks
    from experiments.doctor import available_cores

    seed = settings.seed + CEILING_SEED
    pools = [world.goals(level) for level in world.levels[1:]]
    tasks = [
        draw_task(world, pools[index % len(pools)], seed, index)
        for index in range(settings.ceiling_rollouts)
    ]
    threads, slots = min(available_cores(), MAX_WORKERS), min(64, len(tasks))
    card = data_card(world, "real", command, seed, "expert rollouts of novel goals: a ceiling")
    with progress("collecting the ceiling", len(tasks), "rollouts") as advance:
        ended = _Counter(advance)
        episodes = run_tasks(
            world,
            world.expert_policy(slots, threads),
            tasks,
            num_slots=slots,
            num_threads=threads,
            on_episode=ended,
        )
        _write(run, CEILING, episodes, card, len(tasks))


class _Counter:
    """Turns calls with an index into calls with a count."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance, self._count = advance, 0

    def __call__(self, index: int) -> None:
        self._count += 1
        self._advance(self._count)


def _write(run: Run, name: str, episodes: Iterator[Episode], card: Card, expected: int) -> None:
    from envs.store import write_store

    counts = {"rollouts": 0, "steps": 0, "successes": 0}

    def counted() -> Iterator[Episode]:
        for episode in episodes:
            counts["rollouts"] += 1
            counts["steps"] += len(episode)
            counts["successes"] += episode.success
            yield episode
        run.rewind(name, -1)  # logged before they are published: a crash in between loses neither
        rollouts, steps = counts["rollouts"], counts["steps"]
        share = counts["successes"] / max(rollouts, 1)
        run.log(name, 0, {"rollouts": rollouts, "steps": steps, "success_share": share})

    write_store(run.folder / name, counted(), card, expected_episodes=expected)
