"""All episodes of a store as flat arrays: what samplers and learners index.

Episode i has `lengths[i]` actions from row `starts[i]` on; its `lengths[i] + 1` observations begin
at row `starts[i] + i`, because every episode keeps its final observation.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from envs.columns import TEXT, Column, Layout
from envs.episode import Episode
from envs.files import StoreError, publish, require_free_space, sha256_file

_ARRAYS = ("observations", "actions", "rewards")
_NUMBERS = ("starts", "lengths", "goal_ids", "success", "terminated")
_WORDS, _HASHES = "words.json", "hashes.json"


@dataclass(frozen=True)
class FlatEpisodes:
    """N episodes with S steps in all."""

    observations: np.ndarray  # (S + N, D)
    actions: np.ndarray  # (S,) or (S, A)
    rewards: np.ndarray  # (S,)
    starts: np.ndarray  # (N,) int64, first action row of each episode
    lengths: np.ndarray  # (N,) int64, actions of each episode, T
    goals: list[str]  # distinct goals, in the order of their first episode
    goal_ids: np.ndarray  # (N,) int64, index into goals
    levels: np.ndarray  # (N,) str
    success: np.ndarray  # (N,) bool
    terminated: np.ndarray  # (N,) bool
    source: np.ndarray  # (N,) str, "real", "imagined" or "distilled"

    def __len__(self) -> int:
        """Number of episodes N."""
        return len(self.lengths)

    @property
    def observation_starts(self) -> np.ndarray:
        """First observation row of each episode (N,) int64."""
        offsets: np.ndarray = self.starts + np.arange(len(self.starts))
        return offsets


Allocate = Callable[[str, tuple[int, ...], str], np.ndarray]


def _in_memory(name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.empty(shape, dtype)


def flatten(
    episodes: Iterable[Episode],
    layout: Layout,
    rows: int,
    steps: int,
    allocate: Allocate = _in_memory,
) -> FlatEpisodes:
    """Flat arrays of `episodes`, which are read once.

    Args:
        rows: number of episodes, N.
        steps: number of actions over all episodes, S.
        allocate: makes the array of a name, shape and type.
    """
    arrays: dict[str, np.ndarray] = {}
    for name in _ARRAYS:
        column: Column = getattr(layout, name)
        total = steps + rows if name == "observations" else steps
        dtype = "O" if column.dtype == TEXT else column.dtype
        arrays[name] = allocate(name, (total, *column.shape), dtype)
    lengths, ids = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    success, terminated = np.zeros(rows, bool), np.zeros(rows, bool)
    goals: dict[str, int] = {}
    levels: list[str] = []
    source: list[str] = []
    step = 0
    for index, episode in enumerate(episodes):
        end = step + len(episode)
        arrays["observations"][step + index : end + index + 1] = episode.observations
        arrays["actions"][step:end] = episode.actions
        arrays["rewards"][step:end] = episode.rewards
        lengths[index], ids[index] = len(episode), goals.setdefault(episode.goal, len(goals))
        success[index], terminated[index] = episode.success, episode.terminated
        levels.append(episode.level)
        source.append(episode.source)
        step = end
    texts = {name: values.astype(str) for name, values in arrays.items() if values.dtype == "O"}
    starts = np.cumsum(lengths) - lengths
    return FlatEpisodes(
        **(arrays | texts),
        starts=starts,
        lengths=lengths,
        goals=list(goals),
        goal_ids=ids,
        levels=np.array(levels, np.str_),
        success=success,
        terminated=terminated,
        source=np.array(source, np.str_),
    )


def cached_flat(
    folder: Path,
    content_hash: str,
    episodes: Callable[[], Iterator[Episode]],
    layout: Layout,
    rows: int,
    steps: int,
) -> FlatEpisodes:
    """Memory-mapped flat arrays of the store in `folder`, from a cache folder beside it.

    The cache is named after the store's content and checked by hash at every opening; it may be
    removed at any time.

    Args:
        content_hash: of the store's manifest.
        episodes: streams the store's episodes, called when there is no cache yet.
    """
    if TEXT in (layout.observations.dtype, layout.actions.dtype):
        raise StoreError(f"Text episodes of {folder} cannot be memory-mapped. Use `.episodes()`.")
    cache = folder.absolute().parent / f".{folder.name}.flat-{content_hash[:12]}"
    if not cache.exists():
        with publish(cache) as partial:
            _write_cache(partial, episodes(), layout, rows, steps)
    hashes = json.loads((cache / _HASHES).read_text("utf-8"))
    for name, expected in hashes.items():
        path = cache / name
        if not path.is_file() or sha256_file(path) != expected:
            raise StoreError(f"{path} is missing or was altered. Remove the cache folder {cache}.")
    words = json.loads((cache / _WORDS).read_text("utf-8"))
    words |= {name: np.array(words[name], np.str_) for name in ("levels", "source")}
    arrays = {name: np.load(cache / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    numbers = {name: np.load(cache / f"{name}.npy") for name in _NUMBERS}
    return FlatEpisodes(**arrays, **numbers, **words)


def _write_cache(
    partial: Path, episodes: Iterator[Episode], layout: Layout, rows: int, steps: int
) -> None:
    def allocate(name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        num_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        require_free_space(partial, num_bytes)
        return np.lib.format.open_memmap(
            partial / f"{name}.npy", mode="w+", dtype=np.dtype(dtype), shape=shape
        )

    flat = flatten(episodes, layout, rows, steps, allocate)
    for name in _ARRAYS:
        mapped = getattr(flat, name)
        assert isinstance(mapped, np.memmap)
        mapped.flush()
    for name in _NUMBERS:
        np.save(partial / f"{name}.npy", getattr(flat, name), allow_pickle=False)
    words = {"goals": flat.goals, "levels": flat.levels.tolist(), "source": flat.source.tolist()}
    (partial / _WORDS).write_text(json.dumps(words, ensure_ascii=False), "utf-8")
    files = sorted(path for path in partial.iterdir() if path.suffix in (".npy", ".json"))
    hashes = {path.name: sha256_file(path) for path in files}
    (partial / _HASHES).write_text(json.dumps(hashes, indent=2) + "\n", "utf-8")
