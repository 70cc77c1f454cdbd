"""Repairing a store of episodes: the longest row of shards from the first on that is as written.

The unit is a shard, because its SHA-256 is what vouches for it. The repaired store is written whole
beside the damaged one and then takes its name; the damaged one is kept under another.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from envs.card import Card
from envs.files import StoreError, publish, require_free_space, sha256_file
from envs.manifest import (
    CARD,
    MANIFEST,
    MARKER,
    Manifest,
    marker_text,
    problem_of_pages,
    problem_of_shard,
    read_manifest,
)
from envs.store import verify_store


@dataclass(frozen=True)
class Repair:
    """What became of a store."""

    problems: tuple[str, ...]  # what was wrong; empty where the store was whole
    kept: int  # episodes
    lost: int  # episodes
    damaged: Path | None  # where the store as it was lies now; None where it was whole


def repair_store(folder: str | Path) -> Repair:
    """Puts the longest verified prefix of an episode store in its place.

    Doing it again changes nothing; after a crash, doing it again brings it to its end.

    Raises:
        StoreError: card or manifest are not as written, so nothing vouches for the rest; or no
            shard is whole.
    """
    folder = Path(folder)
    fresh = folder.with_name(f".{folder.name}.repaired")
    if fresh.is_dir() and not folder.exists():  # a crash came between the two renames
        fresh.rename(folder)
    problems = verify_store(folder)
    if not problems:
        return Repair((), read_manifest(folder).rows, 0, None)
    manifest = _vouched_manifest(folder)
    kept = []
    for shard in manifest.shards:
        path = folder / shard.file
        if problem_of_shard(path, shard) or problem_of_pages(path, shard):
            break
        kept.append(shard)
    if not kept:
        raise StoreError(f"No shard of {folder} can be kept: {problems[0]}")
    rows, steps = sum(shard.rows for shard in kept), sum(shard.steps for shard in kept)
    repaired = replace(manifest, rows=rows, steps=steps, shards=tuple(kept))
    if fresh.exists():
        shutil.rmtree(fresh)  # of an earlier attempt; the damaged store is still in place
    _write(folder, fresh, repaired, manifest.rows)
    damaged = _free_name(folder)
    folder.rename(damaged)
    fresh.rename(folder)
    return Repair(tuple(problems), rows, manifest.rows - rows, damaged)


def _vouched_manifest(folder: Path) -> Manifest:
    """The manifest, if the marker's lines for it and for the card are right."""
    for name in (MARKER, CARD, MANIFEST):
        if not (folder / name).is_file():
            raise StoreError(f"{folder / name} is missing, so {folder} cannot be repaired.")
    lines = (folder / MARKER).read_bytes().splitlines()
    for name in (CARD, MANIFEST):
        if f"{sha256_file(folder / name)}  {name}".encode() not in lines:
            raise StoreError(
                f"{folder / name} is not what {MARKER} says, so nothing vouches for the rest of "
                f"{folder}. Restore that file from a copy."
            )
    return read_manifest(folder)


def _write(folder: Path, target: Path, manifest: Manifest, rows_before: int) -> None:
    """Publishes copies of the kept shards as a store of their own."""
    require_free_space(target, sum(shard.bytes for shard in manifest.shards))
    card = Card.from_json((folder / CARD).read_text("utf-8"))
    note = f"repaired: the first {manifest.rows} of {rows_before} episodes"
    card = replace(card, note="; ".join(part for part in (card.note, note) if part))
    with publish(target) as partial:
        for shard in manifest.shards:
            copy = partial / shard.file
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(folder / shard.file, copy)
            if problem := problem_of_shard(copy, shard):
                raise StoreError(problem)
        (partial / CARD).write_text(card.to_json(), "utf-8")
        (partial / MANIFEST).write_text(manifest.to_json(), "utf-8")
        (partial / MARKER).write_text(marker_text(partial), "utf-8")


def _free_name(folder: Path) -> Path:
    """A name beside `folder` for what was damaged."""
    names = (f".{folder.name}.damaged{end}" for end in ["", *(f"-{n}" for n in range(2, 10_000))])
    return next(path for name in names if not (path := folder.with_name(name)).exists())
