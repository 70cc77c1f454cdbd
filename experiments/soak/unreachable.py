"""No network: a run completes, its metrics are complete, and the mirror is rebuilt twice alike."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from experiments.soak.check import Found, require
from experiments.tracking import (
    WandbConfig,
    mirrored_run_ids,
    read_metrics,
    rebuild_mirror,
)

NOWHERE = "http://127.0.0.1:9"  # nothing listens at the discard port


def run_without_network(folder: Path) -> Found:
    """Runs the toy preset with the addresses of wandb and of the hub leading nowhere.

    Raises:
        NotHeldError: the run failed, metrics are missing, or two mirrors differ in their steps.
    """
    run = folder / "unreachable"
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment |= {
        "HF_ENDPOINT": NOWHERE,
        "WANDB_BASE_URL": NOWHERE,
        "WANDB_API_KEY": "dummy0key1" * 4,
        "WANDB_MODE": "online",
        "WANDB_SILENT": "true",
    }
    words = [sys.executable, "-m", "experiments", "run", "toy", "--run-folder", str(run)]
    done = subprocess.run(
        [*words, "--wandb.mode", "online"], env=environment, capture_output=True, text=True
    )
    require(done.returncode == 0, f"It ended with {done.returncode}: {done.stderr[-500:]}")
    require("Goes on without a mirror" in done.stderr, "Nobody said that there is no mirror.")
    seed = run / "seed-0"
    lines = Counter(row["stage"] for row in read_metrics(seed))
    missing = [stage for stage in ("data/real", "base-model", "ground") if not lines[stage]]
    require(not missing, f"metrics.jsonl has no line of {missing}.")
    before = read_metrics(seed)
    first, second = (rebuild_mirror(seed, WandbConfig("offline")) for _ in range(2))
    require(read_metrics(seed) == before, "Rebuilding a mirror changed the metrics.")
    require({first, second} <= set(mirrored_run_ids(seed)), "A mirror is not noted.")
    sizes = [_num_lines(seed, run_id, len(before)) for run_id in (first, second)]
    require(sizes == [len(before)] * 2, f"Mirrors hold {sizes} of {len(before)} steps.")
    return Found(2, 2, {"steps": len(before)})


def _num_lines(seed: Path, run_id: str, expected: int) -> int:
    """How many lines of metrics an offline mirror holds; waits while it is being written.

    Every line has one item whose key ends in "/step"; so has every stage's definition, twice.
    """
    stages = len({row["stage"] for row in read_metrics(seed)})
    deadline = time.monotonic() + 30
    while True:
        (file,) = seed.rglob(f"run-{run_id}.wandb")
        found = file.read_bytes().count(b"/step") - 2 * stages
        if found >= expected or time.monotonic() > deadline:
            return found
        time.sleep(0.1)
