"""Scale: the cost model of `kalm plan` against 1, 2 and 4 processes, and 100,000 shards."""

import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from envs.columns import Layout
from envs.manifest import MANIFEST, Manifest, Shard, read_manifest
from experiments.cost_model import Rate, Work
from experiments.folders import imagined_folder
from experiments.imagine import prepared
from experiments.presets import Preset
from experiments.soak.check import Found, require
from experiments.soak.kills import Baseline
from experiments.soak.toy_run import COMMAND, start
from experiments.soak.volume import random_episode
from imagination.claims import Claims
from imagination.places import CLAIMS, SHARDS, SharedFolder, require_same, shard_name

MOST_DEVIATION = 0.35  # of predicted processor seconds, on a machine with other work
LOOK_SECONDS, CLAIM_SECONDS, READ_SECONDS = 2.0, 0.1, 20.0  # of processor, with all shards
LEFT = 40  # shards that are claimed and published among all the others


def predict_processes(baseline: Baseline, processes: Sequence[int] = (1, 2, 4)) -> Found:
    """Predicts processor seconds and bytes of imagination by many from those of one process.

    Raises:
        NotHeldError: a prediction is too far off, or bytes depend on the number of processes.
    """
    costs = {count: _cost(baseline, count) for count in processes}
    alone = costs[processes[0]]
    shards = Work(
        "imagine",
        alone["shards"],
        Rate(alone["shards"] / alone["shard_seconds"], "shards/s", "measured with one process"),
        pieces=int(alone["shards"]),
        setup_seconds=alone["setup_seconds"],
    )
    numbers: dict[str, float] = {}
    for count, cost in costs.items():
        predicted = shards.process_seconds(count) + alone["merge_seconds"]
        measured = cost["setup_seconds"] + cost["shard_seconds"] + cost["merge_seconds"]
        numbers[f"predicted_{count}"] = round(predicted, 3)
        numbers[f"measured_{count}"] = round(measured, 3)
        story = f"{count} processes: {measured:.2f} processor seconds, predicted {predicted:.2f}"
        require(abs(measured / predicted - 1) <= MOST_DEVIATION, f"{story}.")
        require(cost["bytes"] == alone["bytes"], f"{count} processes wrote other bytes.")
    numbers["bytes"] = alone["bytes"]
    return Found(len(costs), len(costs), numbers)


def _cost(baseline: Baseline, count: int) -> dict[str, float]:
    """Processor seconds of all processes by part, and the bytes that they left."""
    baseline.start_again("imagine")
    reports = [baseline.folder / f"cost-{number}.json" for number in range(count)]
    at_work = [start(imagine_and_tell, baseline.preset, baseline.run, path) for path in reports]
    for process in at_work:
        process.join()
    codes = [process.exitcode for process in at_work]
    require(codes == [0] * count, f"{count} processes: exit codes {codes}.")
    told = [json.loads(path.read_text("utf-8")) for path in reports]
    cost = {name: float(sum(one[name] for one in told)) for name in told[0]}
    folder = baseline.run / imagined_folder("target")
    parquet = list(folder.rglob("*.parquet"))
    shards = len(list((folder / SHARDS).iterdir()))
    return {**cost, "shards": shards, "bytes": float(sum(p.stat().st_size for p in parquet))}


def imagine_and_tell(preset: Preset, run: Path, report: Path) -> None:
    """Imagines as one of several processes, and notes its processor seconds by part."""
    from imagination.shards import fill, imagine

    began = time.process_time()
    imagination, card, _ = prepared(run, preset.imagine.rollouts, COMMAND)
    ready = time.process_time()
    place = SharedFolder(run / imagined_folder("target"))
    require_same(place.files, imagination.fingerprint())
    fill(imagination, place, Claims(place.files, CLAIMS), card)
    filled = time.process_time()
    imagine(imagination, place.folder, card)
    told = {
        "setup_seconds": ready - began,
        "shard_seconds": filled - ready,
        "merge_seconds": time.process_time() - filled,
    }
    report.write_text(json.dumps(told), "utf-8")


def claim_among_many(folder: Path, shards: int = 100_000, workers: int = 4) -> Found:
    """Claims the last shards among very many published ones, and reads a manifest as long.

    Raises:
        NotHeldError: a look, a claim or the reading takes too long, or a shard comes twice.
    """
    place = SharedFolder(folder / "place")
    (place.folder / SHARDS).mkdir(parents=True)
    for number in range(LEFT, shards):
        os.mkdir(place.copy(number))
    began = time.process_time()
    require(len(place.done()) == shards - LEFT, "A look does not find all shards.")
    look = time.process_time() - began
    did: list[list[int]] = [[] for _ in range(workers)]
    threads = [threading.Thread(target=_do_missing, args=(place, numbers)) for numbers in did]
    began = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    claim = (time.process_time() - began) / LEFT
    require(
        sorted(number for numbers in did for number in numbers) == list(range(LEFT)),
        f"Shards were done by {did}.",
    )
    write, read = _manifest_seconds(folder, shards)
    numbers = {"look_seconds": look, "claim_seconds": claim, "read_seconds": read}
    for (name, seconds), most in zip(
        numbers.items(), (LOOK_SECONDS, CLAIM_SECONDS, READ_SECONDS), strict=True
    ):
        require(seconds <= most, f"{name}: {seconds:.3f}, at most {most}.")
    shown = {name: round(value, 4) for name, value in numbers.items()}
    return Found(shards, shards, {**shown, "write_seconds": round(write, 4)})


def _do_missing(place: SharedFolder, did: list[int]) -> None:
    """What a worker does, with shards that take no time."""
    claims = Claims(place.files, CLAIMS)
    while missing := [number for number in range(LEFT) if not place.is_done(number)]:
        for number in missing:
            with claims.holding(shard_name(number)) as mine:
                if mine and not place.is_done(number) and place.publish(number, _nothing):
                    did.append(number)
        time.sleep(0.005)


def _nothing(target: Path) -> None:
    target.mkdir(parents=True)


def _manifest_seconds(folder: Path, shards: int) -> tuple[float, float]:
    """Processor seconds to write and to read the manifest of a store of so many shards."""
    (folder / "store").mkdir()
    layout = Layout.of(random_episode(0))
    rows = tuple(
        Shard(f"data/part-{number:05d}.parquet", 1_000, 10_000, 300_000, f"{number:064x}")
        for number in range(shards)
    )
    began = time.process_time()
    manifest = Manifest(1_000 * shards, 10_000 * shards, layout, rows)
    (folder / "store" / MANIFEST).write_text(manifest.to_json(), "utf-8")
    written = time.process_time()
    require(read_manifest(folder / "store") == manifest, "The manifest reads differently.")
    return written - began, time.process_time() - written
