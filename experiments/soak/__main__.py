"""`python -m experiments.soak`: every check at its full count, into experiments/results/soak.json.

A check that held is not done again while the code is of the same commit, so that a soak that was
stopped goes on where it was.
"""

import json
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tyro

from envs.files import StoreError
from experiments.names import require_known
from experiments.origin import commit, say, versions
from experiments.results import write_text
from experiments.soak.check import Found, NotHeldError
from experiments.soak.damage import damage_newest
from experiments.soak.disk import fill_disk
from experiments.soak.flips import flip_and_cut
from experiments.soak.fuzz import fuzz
from experiments.soak.goals import forge_tokens
from experiments.soak.keys import search_for_keys
from experiments.soak.kills import Baseline, kill_stages, kill_within_an_epoch, stop_gently
from experiments.soak.numbers import inject_nan
from experiments.soak.scale import claim_among_many, predict_processes
from experiments.soak.sharing import lose_a_worker, poison_goals, same_rollouts
from experiments.soak.strangers import refuse_strangers
from experiments.soak.toy_run import put, tiny
from experiments.soak.unreachable import run_without_network
from experiments.soak.volume import write_and_stream

RESULTS = Path("experiments/results/soak.json")
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Command:
    """Does every check of trust and writes what was found."""

    rows: tyro.conf.Positional[tuple[str, ...]] = ()  # names of checks; all by default
    quick: bool = False  # small counts, for trying out
    again: bool = False  # also checks that held before
    folder: Path = Path("runs/soak")  # for the runs that are killed and damaged
    results: Path = RESULTS
    seed: int = 0  # of moments, bits and goals


class Soak:
    """What the checks share: a finished run, copies of it from before each stage, and a folder."""

    def __init__(self, folder: Path, seed: int, *, quick: bool) -> None:
        self.folder, self.seed, self.quick = folder, seed, quick

    def count(self, full: int, small: int) -> int:
        """How often a check tries."""
        return small if self.quick else full

    @cached_property
    def baseline(self) -> Baseline:
        """An uninterrupted run, made when it is first needed."""
        folder = self.folder / "baseline"
        shutil.rmtree(folder, ignore_errors=True)
        steps = self.count(2_500, 40)  # above a thousand there are checkpoints of agents
        baseline = Baseline(folder, tiny(train_steps=steps))
        put(baseline.run, self.folder / "finished")
        return baseline

    def finished(self) -> Path:
        """A fresh copy of the finished run, to harm."""
        _ = self.baseline
        put(self.folder / "finished", self.folder / "harmed")
        return self.folder / "harmed"

    def own(self, name: str) -> Path:
        """An empty folder for one check."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / name).mkdir(parents=True)
        return self.folder / name


@dataclass(frozen=True)
class Check:
    """A row of the table."""

    claim: str
    do: Callable[[Soak], Found]


def _same_rollouts(soak: Soak) -> Found:
    return (
        same_rollouts(soak.baseline, (1, 2), (1, 8)) if soak.quick else same_rollouts(soak.baseline)
    )


CHECKS = {
    "kills": Check(
        "SIGKILL at random moments of every stage; the resumed run's files equal an "
        "uninterrupted run's",
        lambda soak: kill_stages(soak.baseline, soak.count(20, 1), soak.seed),
    ),
    "epoch": Check(
        "three kills within an epoch of grounding; every sample is seen once",
        lambda soak: kill_within_an_epoch(soak.baseline, seed=soak.seed),
    ),
    "sigterm": Check(
        "SIGTERM: a checkpoint of that moment, and the run goes on from it",
        lambda soak: stop_gently(soak.baseline),
    ),
    "flips": Check(
        "flipped bits and cut files over data, models, tables and records: found and named",
        lambda soak: flip_and_cut(
            soak.finished(), soak.count(1_000, 20), soak.count(200, 10), soak.seed
        ),
    ),
    "damage": Check(
        "half-written newest checkpoint or shard, no marker, foreign file: the one before is used",
        lambda soak: damage_newest(soak.baseline),
    ),
    "nan": Check(
        "NaN in loss, state, reward, goal vector: the stage ends, nothing is saved after it",
        lambda soak: inject_nan(soak.baseline),
    ),
    "disk": Check(
        "a full disk in every stage: one clear error, earlier results whole, goes on with room",
        lambda soak: fill_disk(soak.baseline),
    ),
    "sharing": Check(
        "1, 2, 4 workers with batches of 1, 8, 32 imagine the same rollouts", _same_rollouts
    ),
    "worker": Check(
        "a worker killed while it holds a shard: the shard is done anew, nothing comes twice",
        lambda soak: lose_a_worker(soak.baseline),
    ),
    "processes": Check(
        "processor seconds and bytes of 1, 2, 4 processes as the cost model of `kalm plan` says",
        lambda soak: predict_processes(soak.baseline, (1, 2) if soak.quick else (1, 2, 4)),
    ),
    "manifest": Check(
        "100,000 simulated shards: looked through, claimed by four, their manifest read",
        lambda soak: claim_among_many(soak.own("manifest"), soak.count(100_000, 2_000)),
    ),
    "poison": Check(
        "one per cent of goals that cannot be imagined: listed with reasons, the rest completes",
        lambda soak: poison_goals(soak.baseline),
    ),
    "tokens": Check(
        "random Unicode goals with control tokens, three tokenizers: none forged, all come back",
        lambda soak: forge_tokens(soak.count(100_000, 2_000), soak.seed),
    ),
    "fuzz": Check(
        "broken settings, manifests, cards, records, results: no traceback, nothing written",
        lambda soak: fuzz(soak.finished(), soak.own("fuzz"), soak.count(1_000, 20)),
    ),
    "strangers": Check(
        "malicious model folders (pickle, remote code): refused, payload not run",
        lambda soak: refuse_strangers(soak.finished(), soak.own("strangers")),
    ),
    "keys": Check(
        "dummy keys in the environment, whole pipeline with an offline mirror: in no file or word",
        lambda soak: search_for_keys(soak.own("keys")),
    ),
    "volume": Check(
        "steps written and streamed in memory that stays flat, verified under ten minutes",
        lambda soak: write_and_stream(soak.own("volume"), soak.count(10_000_000, 200_000)),
    ),
    "network": Check(
        "wandb and hub unreachable: the run completes, the mirror is rebuilt twice alike",
        lambda soak: run_without_network(soak.own("network")),
    ),
}


def main() -> int:
    """Does the wanted checks; 1 if one did not hold."""
    command = tyro.cli(Command, prog="python -m experiments.soak")
    for name in command.rows:
        require_known("check", name, CHECKS)
    folder = command.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    soak = Soak(folder, command.seed, quick=command.quick)
    rows = _earlier(command)
    for name in command.rows or CHECKS:
        if not command.again and rows.get(name, {}).get("passed"):
            say(f"{name}: held before, kept")
            continue
        rows[name] = do(soak, name)
        _save(command, rows)
    print(markdown(rows))
    return int(not all(rows[name]["passed"] for name in command.rows or CHECKS))


def markdown(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of checks as a README shows it."""
    lines = ["| check | held | minutes |", "|---|---|---|"]
    for name in (name for name in CHECKS if name in rows):
        row = rows[name]
        held = f"{row['held']:,} of {row['tried']:,}" if row["passed"] else "no"
        note = f" ({row['note']})" if row.get("note") else ""
        lines.append(f"| {row['claim']}{note} | {held} | {row['seconds'] / 60:.1f} |")
    return "\n".join(lines)


def do(soak: Soak, name: str) -> dict[str, Any]:
    """The row of one check, whether it held or not."""
    say(f"{name}: {CHECKS[name].claim}")
    started = time.monotonic()
    row: dict[str, Any] = {"claim": CHECKS[name].claim, "commit": commit()}
    try:
        row |= {"passed": True, **asdict(CHECKS[name].do(soak))}
    except (NotHeldError, StoreError, AssertionError, OSError) as error:
        traceback.print_exc()
        row |= {"passed": False, "problem": str(error)}
    row["seconds"] = round(time.monotonic() - started, 1)
    outcome = "held" if row["passed"] else f"DID NOT HOLD: {row['problem']}"
    say(f"{name}: {outcome} ({row['seconds']} s)")
    return row


def _earlier(command: Command) -> dict[str, dict[str, Any]]:
    """Rows of this commit at these counts, by name."""
    if not command.results.exists():
        return {}
    found = json.loads(command.results.read_text("utf-8"))
    if (found["schema"], found["quick"]) != (SCHEMA_VERSION, command.quick):
        return {}
    return {name: row for name, row in found["rows"].items() if row["commit"] == commit()}


def _save(command: Command, rows: dict[str, dict[str, Any]]) -> None:
    ordered = {name: rows[name] for name in CHECKS if name in rows}
    content = {
        "schema": SCHEMA_VERSION,
        "quick": command.quick,
        "command": "python -m experiments.soak" + (" --quick" if command.quick else ""),
        "seed": command.seed,
        "versions": versions(),
        "rows": ordered,
    }
    write_text(command.results, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
