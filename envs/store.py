"""The episode store: a folder of Parquet shards that is published whole and notices every flaw.

    data/part-00000.parquet ...  one row an episode, page checksums written and verified
    card.json                    where the episodes come from
    manifest.json                rows, steps, bytes and SHA-256 of every shard
    COMPLETE                     SHA-256 of card, manifest and of itself; written last

Reading streams shard by shard. The same episodes and card give the same bytes.
"""

from collections.abc import Iterable, Iterator, Sized
from functools import cached_property
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from envs.card import Card, package_versions, require_world
from envs.columns import Layout
from envs.episode import Episode
from envs.files import StoreError, publish, require_free_space, sha256_file, well_formed
from envs.flat import FlatEpisodes, cached_flat, flatten
from envs.manifest import (
    CARD,
    MANIFEST,
    MARKER,
    Manifest,
    Shard,
    marker_text,
    problem_of_shard,
    problem_of_size,
    problems_of_files,
    problems_of_marker,
    read_manifest,
)

__all__ = [
    "Card",
    "EpisodeStore",
    "FlatEpisodes",
    "Manifest",
    "Shard",
    "StoreError",
    "package_versions",
    "require_world",
    "verify_store",
    "write_store",
]

ROWS_PER_GROUP = 100  # episodes that random access decodes at once
MIN_FREE_BYTES = 16 << 20  # a disk with less than this is called full


def write_store(
    folder: str | Path,
    episodes: Iterable[Episode],
    card: Card,
    *,
    episodes_per_shard: int = 1000,
    expected_episodes: int | None = None,
) -> Path:
    """The folder of a new store that holds `episodes`; nothing is left there after an error.

    Args:
        expected_episodes: for the estimate of disk space, where `episodes` has no length.

    Raises:
        StoreError: the folder exists or is being written, there are no episodes, their shapes
            differ, or the disk is too full.
    """
    if episodes_per_shard < 1:
        raise StoreError(f"Expected at least one episode a shard, got {episodes_per_shard}.")
    target = Path(folder)
    if expected_episodes is None and isinstance(episodes, Sized):
        expected_episodes = len(episodes)
    require_free_space(target, MIN_FREE_BYTES)
    with publish(target) as partial:
        (partial / "data").mkdir()
        shards: list[Shard] = []
        stream = iter(episodes)
        first = next(stream, None)
        if first is None:
            raise StoreError(f"Expected at least one episode for {target}, got none.")
        layout = Layout.of(first)
        require_free_space(target, MIN_FREE_BYTES + _num_bytes(first) * (expected_episodes or 1))
        stream = chain([first], stream)
        while chunk := list(islice(stream, episodes_per_shard)):
            _check_layout(chunk, layout, sum(shard.rows for shard in shards))
            require_free_space(target, sum(map(_num_bytes, chunk)))
            shards.append(_write_shard(partial, len(shards), chunk, layout))
        rows, steps = sum(shard.rows for shard in shards), sum(shard.steps for shard in shards)
        (partial / CARD).write_text(card.to_json(), "utf-8")
        manifest = Manifest(rows, steps, layout, tuple(shards))
        (partial / MANIFEST).write_text(manifest.to_json(), "utf-8")
        (partial / MARKER).write_text(marker_text(partial), "utf-8")
    return target


def _num_bytes(episode: Episode) -> int:
    """Bytes of an episode before compression."""
    words = len(episode.goal) + len(str(dict(episode.provenance)))
    return words + sum(
        values.nbytes for values in (episode.observations, episode.actions, episode.rewards)
    )


def _check_layout(chunk: list[Episode], layout: Layout, offset: int) -> None:
    for place, episode in enumerate(chunk):
        if (found := Layout.of(episode)) != layout:
            raise StoreError(
                f"Expected the types and shapes of the first episode, {layout.to_json()}, "
                f"got {found.to_json()} in episode {offset + place}."
            )


def _write_shard(partial: Path, number: int, chunk: list[Episode], layout: Layout) -> Shard:
    name = f"data/part-{number:05d}.parquet"
    path = partial / name
    pq.write_table(
        layout.table(chunk),
        path,
        compression="zstd",
        row_group_size=ROWS_PER_GROUP,
        write_page_checksum=True,
    )
    steps = sum(len(episode) for episode in chunk)
    return Shard(name, len(chunk), steps, path.stat().st_size, sha256_file(path))


class EpisodeStore:
    """A published store, checked as it is read."""

    def __init__(self, folder: str | Path) -> None:
        """Opens a store.

        Raises:
            StoreError: a file is missing, truncated or altered; each shard's content is
                checked when it is first read.
        """
        self.folder = Path(folder)
        if problems := problems_of_marker(self.folder):
            raise StoreError(problems[0])
        self.manifest = read_manifest(self.folder)
        with well_formed(self.folder / CARD):
            self.card = Card.from_json((self.folder / CARD).read_text("utf-8"))
        for shard in self.manifest.shards:
            if problem := problem_of_size(self.folder / shard.file, shard):
                raise StoreError(problem)
        self._verified: set[str] = set()
        self._group: tuple[int, int, list[Episode]] = (-1, -1, [])

    def __len__(self) -> int:
        """Number of episodes N."""
        return self.manifest.rows

    @property
    def num_steps(self) -> int:
        """Number of actions over all episodes."""
        return self.manifest.steps

    @property
    def content_hash(self) -> str:
        """SHA-256 of the manifest, which names the content of every shard."""
        return sha256_file(self.folder / MANIFEST)

    def episodes(self) -> Iterator[Episode]:
        """All episodes in order; one group of rows is in memory at a time."""
        for number in range(len(self.manifest.shards)):
            with self._open(number) as file:
                for batch in file.iter_batches(batch_size=ROWS_PER_GROUP):
                    yield from self.manifest.layout.episodes(batch)

    __iter__ = episodes

    def __getitem__(self, index: int) -> Episode:
        """One episode; negative indices count from the end."""
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"Expected an index below {len(self)}, got {index}.")
        number = int(np.searchsorted(self._ends, place, side="right"))
        row = place - int(self._ends[number]) + self.manifest.shards[number].rows
        group, offset = divmod(row, ROWS_PER_GROUP)
        if self._group[:2] != (number, group):
            with self._open(number) as file:
                rows = self.manifest.layout.episodes(file.read_row_group(group))
            self._group = (number, group, rows)
        return self._group[2][offset]

    def flat(self, memory_map: bool = False) -> FlatEpisodes:
        """All episodes as flat arrays.

        Args:
            memory_map: keep the arrays in a checked cache folder beside the store instead of
                in memory; numbers only.
        """
        sizes = (self.manifest.layout, self.manifest.rows, self.manifest.steps)
        if memory_map:
            return cached_flat(self.folder, self.content_hash, self.episodes, *sizes)
        return flatten(self.episodes(), *sizes)

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([shard.rows for shard in self.manifest.shards])

    def _open(self, number: int) -> pq.ParquetFile:
        shard = self.manifest.shards[number]
        path = self.folder / shard.file
        if shard.file not in self._verified:
            if problem := problem_of_shard(path, shard):
                raise StoreError(problem)
            self._verified.add(shard.file)
        return pq.ParquetFile(path, page_checksum_verification=True)


def verify_store(folder: str | Path) -> list[str]:
    """Problems of a store, each naming its file; empty where every byte is as written.

    Raises:
        StoreError: a later release wrote the store.
    """
    folder = Path(folder)
    if problems := problems_of_marker(folder):
        return problems
    return problems_of_files(folder, read_manifest(folder).shards)
