"""The episode store against Minari's Arrow files of the same episodes: verifying and streaming.

Minari has no check of its own, so that reading everything is all that its users can do to find
damage; most of it goes unnoticed even so.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from envs.card import Card
from envs.episode import Episode
from envs.minari_sets import export_minari
from envs.store import EpisodeStore, verify_store, write_store
from experiments.bench_measure import (
    OURS,
    PEER,
    BenchRow,
    Done,
    MissingPeerError,
    Plan,
    Way,
    measure,
    require_peer,
)
from experiments.bench_rollouts import world

STEPS = 50  # of an episode: the horizon
LEAST_RATIO = 2.0
MINARI_ID = "kalm/bench-v0"


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    steps: int  # of all episodes together
    repeats: int


SIZES = {"tiny": Size(500, 1), "quick": Size(50_000, 3), "full": Size(1_000_000, 5)}


def rows(size: Size) -> Iterator[BenchRow]:
    """Verifying and streaming."""
    with tempfile.TemporaryDirectory() as folder:
        episodes = list(random_episodes(size.steps // STEPS))
        card = Card(world().name, world().version, "real")
        store = write_store(Path(folder) / "store", episodes, card)
        note, minari = "", None
        try:
            minari = _minari_set(Path(folder) / "minari", episodes, card)
        except MissingPeerError as error:
            note = f"peer unmeasured: {error}"
        del episodes
        for name, ours in (("verify", _verify), ("stream", _stream)):
            plan = Plan(
                "store",
                f"{name} {size.steps:,} steps",
                "steps/s",
                peer="Minari, Arrow files, read through",
                least_ratio=LEAST_RATIO,
            )
            ways: dict[str, Way] = {OURS: partial(ours, store, size.steps)}
            if minari is not None:
                ways[PEER] = partial(_stream_minari, minari, size.steps)
            yield measure(plan, ways, size.repeats, warmups=1, note=note)


def random_episodes(count: int, seed: int = 0) -> Iterator[Episode]:
    """Episodes of `STEPS` steps with the shapes of CLEVR-Robot's."""
    goals = world().goals(world().levels[0])
    rng = np.random.default_rng(seed)
    for index in range(count):
        yield Episode(
            goal=goals[index % len(goals)].text,
            observations=rng.random((STEPS + 1, world().spaces.observation_dim), np.float32),
            actions=rng.integers(world().spaces.num_actions or 1, size=STEPS),
            rewards=rng.random(STEPS, np.float32),
            terminated=True,
            source="real",
            level=world().levels[0],
            success=True,
            provenance={"seed": seed, "index": index},
        )


def _verify(folder: Path, steps: int) -> Done:
    if problems := verify_store(folder):
        raise ValueError(f"{problems[0]} It was written a moment ago: look at the disk.")
    return Done(steps)


def _stream(folder: Path, steps: int) -> Done:
    return _read_through(EpisodeStore(folder).episodes(), steps)


def _stream_minari(folder: Path, steps: int) -> Done:
    import minari

    return _read_through(minari.MinariDataset(folder / "data").iterate_episodes(), steps)


def _read_through(episodes: Iterable[Any], steps: int) -> Done:
    """Looks at every episode of either library, and adds up what tells that they are the same."""
    read, total = 0, 0.0
    for episode in episodes:
        read += len(episode.rewards)
        total += float(episode.observations[-1].sum(dtype=np.float64))
    return Done(steps, equal={"steps": read, "sum of final observations": total})


def _minari_set(root: Path, episodes: list[Episode], card: Card) -> Path:
    require_peer("minari")
    with _sizes_left_out():
        return export_minari(
            root,
            MINARI_ID,
            episodes,
            card,
            num_actions=world().spaces.num_actions,
            data_format="arrow",
        )


@contextmanager
def _sizes_left_out() -> Iterator[None]:
    """Lets Minari write without measuring its folder after every episode.

    That takes time that grows with the square of their number, and only reading is compared here.
    """
    from minari.dataset.minari_storage import MinariStorage

    before = MinariStorage.get_size
    MinariStorage.get_size = lambda storage: 0.0
    try:
        yield
    finally:
        MinariStorage.get_size = before
