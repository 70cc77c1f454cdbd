"""No network: a run completes, its metrics are complete, and the mirror is rebuilt twice alike."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.mirror_file import mirrored_lines
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
    wanted = [_mirrored(row) for row in before]
    whole = [mirrored_lines(seed, run_id) == wanted for run_id in (first, second)]
    require(all(whole), f"A mirror does not hold the {len(before)} lines of metrics.jsonl.")
    return Found(2, 2, {"steps": len(before)})


def _mirrored(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line of metrics as a mirror names its numbers."""
    stage = row["stage"]
    named = {f"{stage}/{name}": value for name, value in row["metrics"].items()}
    return {**named, f"{stage}/step": row["step"]}
