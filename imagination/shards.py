"""Imagining by many: shards are claimed, published whole, counted and merged.

A shard is a small store that is published whole, so any number of processes and machines can work
in one place, and a crash loses at most the shards in progress; a lost worker's claim expires and
its shard is done anew. No process waits for another inside the loop. At the end one of them merges
accepted and rejected rollouts into two stores: `accepted/`, which agents train on, and `rejected/`,
with reasons.
"""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from envs.card import Card
from envs.files import FolderTaken, StoreError, publish, well_formed
from envs.store import EpisodeStore, write_store
from imagination.checks import count_reasons
from imagination.claims import LEASE_SECONDS, Claims
from imagination.imagine import Imagination
from imagination.places import (
    CLAIMS,
    UNFINISHED,
    Place,
    SharedFolder,
    open_place,
    require_same,
    shard_name,
)

MISSES = 32  # shards in a row that others were faster at, before looking again at what is missing
SECONDS_BETWEEN_LOOKS = 1.0  # where others hold all that is left
MERGE = "merge"  # the last piece of work
Progress = Callable[[int, int], None]


class NothingAccepted(ValueError):  # noqa: N818 -- reads as the sentence that it is
    """Every imagined rollout was rejected: carries the counted reasons."""


def imagine(
    imagination: Imagination,
    folder: Path,
    card: Card,
    *,
    bucket: str = "",
    lease_seconds: float = LEASE_SECONDS,
    on_progress: Progress = lambda done, total: None,
    on_skip: Callable[[str], None] = lambda problem: None,
) -> dict[str, int]:
    """Imagines every rollout into `folder`/accepted and `folder`/rejected; counts by reason.

    May run in many processes and on many machines at once.

    Args:
        bucket: URL where shards are shared; otherwise in `folder`, which all processes see.
        lease_seconds: a process that gives no sign of life for so long loses its shard.
        on_progress: told of rollouts done and of all.
        on_skip: told of every damaged shard that is made anew.

    Raises:
        NothingAccepted: no rollout passed the checks.
        StoreError: the folder holds shards of another model or of other settings.
    """
    folder = Path(folder)
    place = open_place(folder, bucket)
    require_same(place.files, imagination.fingerprint())
    claims = Claims(place.files, CLAIMS, lease_seconds=lease_seconds)
    here = SharedFolder(folder).files
    require_same(here, imagination.fingerprint())
    merging = Claims(here, CLAIMS, lease_seconds=lease_seconds)
    while True:
        fill(imagination, place, claims, card, on_progress)
        if (reasons := _merged(folder)) is not None:
            break
        with merging.holding(MERGE) as mine:
            if mine:
                _merge_whole(folder, place, imagination, card, on_skip)
        if not mine:
            time.sleep(SECONDS_BETWEEN_LOOKS / 4)
    with suppress(OSError):
        (folder / CLAIMS).rmdir()  # fails while others have claims there
    on_progress(len(imagination.plans), len(imagination.plans))
    return reasons


def fill(
    imagination: Imagination,
    place: Place,
    claims: Claims,
    card: Card,
    on_progress: Progress = lambda done, total: None,
) -> None:
    """Does the shards that are not there; returns when all are, whoever did them.

    The first process goes through them in order. Others begin anywhere, so that they rarely meet.
    """
    size, total = imagination.config.rollouts_per_shard, len(imagination.plans)
    rng = np.random.default_rng(list(claims.owner.encode()))
    while missing := sorted(set(range(imagination.num_shards)) - place.done()):
        held = claims.held()
        free = [number for number in missing if shard_name(number) not in held]
        begin = int(rng.integers(len(free))) if held and free else 0
        worked = misses = 0
        for number in [*free[begin:], *free[:begin]]:
            on_progress((imagination.num_shards - len(missing) + worked) * size, total)
            mine = imagine_shard(imagination, place, claims, number, card)
            worked, misses = worked + mine, 0 if mine else misses + 1
            if misses == MISSES:
                break
        if not free:
            numbers = [number for number in missing if shard_name(number) in held]
            worked = sum(imagine_shard(imagination, place, claims, n, card) for n in numbers)
        if not worked:
            time.sleep(SECONDS_BETWEEN_LOOKS)


def imagine_shard(
    imagination: Imagination, place: Place, claims: Claims, number: int, card: Card
) -> bool:
    """Whether this process did and published shard `number`; others may be at it, or done."""
    if place.is_done(number):
        return False
    with claims.holding(shard_name(number)) as mine:
        if not mine or place.is_done(number):
            return False
        return place.publish(
            number, lambda target: write_store(target, imagination.shard(number), card)
        )


def count_shards(place: Place, numbers: Sequence[int]) -> tuple[dict[str, int], dict[int, str]]:
    """Rollouts by reason over all whole shards, and the others with their problem."""
    counts: Counter[str] = Counter()
    damaged = {}
    for number in numbers:
        try:
            counts.update(count_reasons(EpisodeStore(place.copy(number)).episodes()))
        except StoreError as error:
            damaged[number] = str(error)
    return dict(counts.most_common()), damaged


def _merge_whole(
    folder: Path,
    place: Place,
    imagination: Imagination,
    card: Card,
    on_skip: Callable[[str], None],
) -> None:
    """Merges all shards, or removes those that are damaged, so that they are made anew."""
    numbers = range(imagination.num_shards)
    counts, damaged = count_shards(place, numbers)
    for number, problem in damaged.items():
        on_skip(f"Shard {shard_name(number)} is made anew: {problem}")
        place.remove(number)
    if damaged:
        return
    merge(folder, [place.copy(number) for number in numbers], counts, card, imagination.refused)
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)  # of workers that were killed


def _merged(folder: Path) -> dict[str, int] | None:
    """Rollouts by reason where all shards were merged before; else None."""
    path = folder / "summary" / "summary.json"
    if not (path.exists() and (folder / "accepted").exists()):
        return None
    try:
        with well_formed(path):
            reasons = json.loads(path.read_text("utf-8"))["reasons"]
            return dict(Counter(reasons).most_common())
    except json.JSONDecodeError:
        raise StoreError(f"{path} was altered. Remove its folder to count anew.") from None


def merge(
    folder: Path,
    shards: Sequence[Path],
    counts: dict[str, int],
    card: Card,
    refused: Mapping[str, str],
) -> dict[str, int]:
    """Merges shards into `accepted/` and `rejected/` and writes the counts beside them."""
    if not counts.get("accepted"):
        raise NothingAccepted(
            f"All {sum(counts.values())} imagined rollouts were rejected: {counts}. Ground the "
            f"model longer, imagine more candidates a step, or look at {shards[0]}."
        )
    for name, wanted in (("accepted", True), ("rejected", False)):
        number = counts["accepted"] if wanted else sum(counts.values()) - counts["accepted"]
        if number:
            _write_once(folder / name, partial(_write_verdict, shards, card, number, wanted))
    told = {"refused_goals": dict(refused)} if refused else {}
    summary = {"reasons": counts, "card": asdict(card), **told}
    _write_once(folder / "summary", partial(_write_summary, summary))
    return counts


def _write_verdict(
    shards: Sequence[Path], card: Card, number: int, wanted: bool, target: Path
) -> None:
    """Writes the `number` episodes of all shards that were accepted, or rejected, to `target`."""
    episodes = (
        episode
        for shard in shards
        for episode in EpisodeStore(shard).episodes()
        if episode.provenance["accepted"] == wanted
    )
    write_store(target, episodes, card, expected_episodes=number)


def _write_summary(summary: Mapping[str, object], target: Path) -> None:
    with publish(target) as unfinished:
        text = json.dumps(summary, indent=2, sort_keys=True)
        (unfinished / "summary.json").write_text(text + "\n", "utf-8")


def _write_once(target: Path, write: Callable[[Path], None]) -> None:
    """Lets one process write `target`; the others wait until it is there, or take over."""
    while not target.exists():
        try:
            write(target)
        except FolderTaken:
            time.sleep(0.1)
