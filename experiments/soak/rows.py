"""The rows of the table of trust: what each claims, and what does it at which count."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from experiments.soak.check import Found
from experiments.soak.damage import damage_newest
from experiments.soak.disk import fill_disk, unmount
from experiments.soak.flips import flip_and_cut
from experiments.soak.fuzz import fuzz
from experiments.soak.goals import forge_tokens
from experiments.soak.keys import search_for_keys
from experiments.soak.kills import Baseline, kill_stage, kill_within_an_epoch, stop_gently
from experiments.soak.numbers import inject_nan
from experiments.soak.scale import claim_among_many, predict_processes
from experiments.soak.sharing import lose_a_worker, poison_goals, same_rollouts
from experiments.soak.strangers import refuse_strangers
from experiments.soak.toy_run import STAGES, put, tiny
from experiments.soak.unreachable import run_without_network
from experiments.soak.volume import write_and_stream


class Soak:
    """What the checks of one process share: a finished run, copies of it, and a folder."""

    def __init__(self, folder: Path, seed: int, *, quick: bool) -> None:
        self.folder, self.seed, self.quick = folder, seed, quick

    def count(self, full: int, small: int) -> int:
        """How often a check tries."""
        return small if self.quick else full

    @cached_property
    def baseline(self) -> Baseline:
        """An uninterrupted run, made when it is first needed."""
        folder = self.folder / "baseline"
        unmount(folder / "run")  # of a soak that was ended while a disk was full
        shutil.rmtree(folder, ignore_errors=True)
        steps = self.count(1_500, 40)  # agents have a checkpoint after a thousand
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


def _kills(stage: str, soak: Soak) -> Found:
    return kill_stage(soak.baseline, stage, soak.count(20, 1), soak.seed)


def _same_rollouts(soak: Soak) -> Found:
    return (
        same_rollouts(soak.baseline, (1, 2), (1, 8)) if soak.quick else same_rollouts(soak.baseline)
    )


CHECKS = {
    **{
        f"kills-{stage}": Check(
            f"SIGKILL at random moments of `{stage}`; the resumed run's files equal those of an "
            "uninterrupted run",
            partial(_kills, stage),
        )
        for stage in STAGES
    },
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
