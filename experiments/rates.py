"""Rates of a finished run folder and of benchmarks, each with its source, for `kalm plan`."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from envs.store import EpisodeStore, write_store
from experiments.bench_report import load_report
from experiments.cost_model import Rate
from experiments.folders import REAL, imagined_folder
from experiments.names import require_known
from experiments.stage_records import done_stages, stage_settings
from experiments.tracking import read_seconds
from imagination.checks import count_reasons
from imagination.claims import Claims, SharedFiles
from imagination.places import shard_name

UNITS = {  # of one process of each stage
    "collect": "steps/s",
    "ground": "samples/s",
    "imagine": "steps/s",
    "merge": "steps/s",
    "train": "updates/s",
    "evaluate": "agents/s",
    "claims": "claims/s",
}
BENCH_ROWS = {  # stage -> (stages, unit) of the rows of `kalm bench` that measure it
    "ground": (("grounding", "GPU grounding"), "rollouts/s"),  # a sample is about a rollout
    "imagine": (("imagination", "GPU imagination"), "steps/s"),
    "train": (("offline RL", "GPU offline RL"), "updates/s"),
}
EPISODES_MERGED, CLAIMS_MADE = 2_000, 50  # for the measurements that are made now
READS_TO_MERGE = 3  # shards are counted, and read for the accepted and for the rejected


@dataclass(frozen=True)
class Sizes:
    """What the measured run was like."""

    protocol: str
    real_steps: int
    ground_samples: int
    imagined_steps: int  # accepted and rejected
    accepted_steps: int
    rollouts: int
    bytes_per_step: float  # of imagined data on disk
    memory_per_step: float  # bytes of a step in the memory of training
    agents: int
    updates: int  # of one agent


def sizes_of(folder: Path, protocol: str) -> Sizes:
    """The amounts of work of run `folder`.

    Raises:
        ValueError: it has not imagined under `protocol`.
    """
    done = done_stages(folder)
    for stage in ("collect", "ground", f"imagine-{protocol}"):
        if stage not in done:
            raise ValueError(
                f"Expected a run that has done `{stage}`, got `{folder}`, which has not. Measure "
                f"on a small one first: `kalm run toy --run-folder {folder}`."
            )
    stores = imagined_stores(folder, protocol)
    accepted = stores[0]
    steps = sum(store.num_steps for store in stores)
    num_bytes = sum(shard.bytes for store in stores for shard in store.manifest.shards)
    first = accepted[0]
    raw = sum(values.nbytes for values in (first.observations, first.actions, first.rewards))
    finetune = stage_settings(folder, "ground")["finetune"]
    agents = [name for name in done if name.startswith("train-")]
    return Sizes(
        protocol=protocol,
        real_steps=EpisodeStore(folder / REAL).num_steps,
        ground_samples=finetune["num_steps"] * finetune["batch_size"],
        imagined_steps=steps,
        accepted_steps=accepted.num_steps,
        rollouts=sum(map(len, stores)),
        bytes_per_step=num_bytes / steps,
        memory_per_step=raw / len(first),
        agents=len(agents),
        updates=stage_settings(folder, agents[0])["steps"] if agents else 0,
    )


def imagined_stores(folder: Path, protocol: str) -> list[EpisodeStore]:
    """Accepted and rejected rollouts of a run."""
    root = folder / imagined_folder(protocol)
    paths = [root / name for name in ("accepted", "rejected")]
    return [EpisodeStore(path) for path in paths if path.exists()]


def run_rates(folder: Path, sizes: Sizes) -> dict[str, Rate]:
    """Rates by stage from the seconds that a run noted; of one process, if one did it."""
    seconds = read_seconds(folder)
    amounts = {
        "collect": ("collect", sizes.real_steps),
        "ground": ("ground", sizes.ground_samples),
        "imagine": (f"imagine-{sizes.protocol}", sizes.imagined_steps),
        "train": ("train-", sizes.agents * sizes.updates),
        "evaluate": ("evaluate", sizes.agents),
    }
    found = {}
    for name, (stage, amount) in amounts.items():
        spent = sum(
            value
            for key, value in seconds.items()
            if key == stage or (stage.endswith("-") and key.startswith(stage))
        )
        if spent and amount:
            source = f"{folder}/seconds.json: {amount:,} {UNITS[name][:-2]} in {spent:,.0f} s"
            found[name] = Rate(amount / spent, UNITS[name], source)
    return found


def bench_rates(paths: Sequence[Path]) -> dict[str, Rate]:
    """Rates by stage from files of `kalm bench`; of several rows the slowest one counts."""
    found: dict[str, Rate] = {}
    for path in paths:
        report = load_report(path)
        machine = report.machine.get("processor") or "a machine without a name"
        for name, (stages, unit) in BENCH_ROWS.items():
            for row in report.rows:
                if row.stage not in stages or row.unit != unit or not row.ours:
                    continue
                if name not in found or row.ours < found[name].value:
                    source = f"{path}: `{row.stage}, {row.name}`, {machine}"
                    found[name] = Rate(row.ours, UNITS[name], source)
    return found


def given_rates(values: dict[str, float]) -> dict[str, Rate]:
    """Rates that the user gives.

    Raises:
        ValueError: one has no such stage.
    """
    for name in values:
        require_known("rate", name, UNITS)
    return {name: Rate(value, UNITS[name], "given") for name, value in values.items()}


def measured_now(folder: Path, protocol: str) -> dict[str, Rate]:
    """Rates of merging and of claiming, measured on the disk of run `folder` in a moment."""
    store = imagined_stores(folder, protocol)[0]
    episodes = list(islice(store.episodes(), EPISODES_MERGED))
    with tempfile.TemporaryDirectory(prefix=".plan-", dir=folder) as name:
        trial = Path(name)
        began = time.perf_counter()
        repeated = islice(cycle(episodes), EPISODES_MERGED)
        merged = EpisodeStore(write_store(trial / "merged", repeated, store.card))
        written = time.perf_counter()
        count_reasons(merged.episodes())
        read = time.perf_counter() - written
        merge = merged.num_steps / (written - began + READS_TO_MERGE * read)
        claims = Claims(SharedFiles(trial), "claims")
        began = time.perf_counter()
        for number in range(CLAIMS_MADE):
            with claims.holding(shard_name(number)):
                pass
        claim = CLAIMS_MADE / (time.perf_counter() - began)
    where = f"measured now in {folder}"
    return {
        "merge": Rate(
            merge,
            UNITS["merge"],
            f"{where}: {merged.num_steps:,} steps read {READS_TO_MERGE} times, written once",
        ),
        "claims": Rate(claim, UNITS["claims"], f"{where}: {CLAIMS_MADE} claims made and released"),
    }
