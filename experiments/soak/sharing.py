"""Imagination by many: the same rollouts however work is divided; lost workers and bad goals."""

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from envs.episode import Episode
from envs.store import EpisodeStore
from envs.world import Goal
from experiments.folders import GROUNDED, data_card, imagined_folder, open_run, real_data
from experiments.imagine import imagine_stage
from experiments.presets import Preset
from experiments.soak.check import Found, require
from experiments.soak.kills import Baseline
from experiments.soak.toy_run import COMMAND, ended, finish, start
from experiments.tracking import WandbConfig
from imagination.places import CLAIMS

IMAGINED = imagined_folder("target")


def same_rollouts(
    baseline: Baseline,
    workers: Sequence[int] = (1, 2, 4),
    batches: Sequence[int] = (1, 8, 32),
) -> Found:
    """Imagines with several numbers of workers and batch sizes, each from nothing.

    Raises:
        NotHeldError: a division of the work gave other rollouts.
    """
    found: dict[str, str] = {}
    for count in workers:
        for batch in batches:
            baseline.start_again("imagine")
            preset = with_slots(baseline.preset, batch)
            at_work = [start(imagine_together, preset, baseline.run) for _ in range(count)]
            codes = [ended(process) for process in at_work]
            story = f"{count} workers, batch {batch}"
            require(codes == [0] * count, f"{story}: exit codes {codes}.")
            found[story] = rows_hash(baseline.run / IMAGINED)
    wanted = next(iter(found.values()))
    differing = [story for story, hashed in found.items() if hashed != wanted]
    require(not differing, f"Other rollouts with {'; '.join(differing)}.")
    return Found(
        len(found), len(found), {"rollouts": baseline.preset.imagine.rollouts.num_rollouts}
    )


def with_slots(preset: Preset, batch: int) -> Preset:
    """`preset` with `batch` rollouts imagined at a time."""
    rollouts = preset.imagine.rollouts
    generation = replace(rollouts.generation, num_slots=batch)
    return replace(
        preset,
        imagine=replace(preset.imagine, rollouts=replace(rollouts, generation=generation)),
    )


def imagine_together(preset: Preset, folder: Path) -> None:
    """What `kalm imagine` does: other processes may do the same."""
    with open_run(folder, "imagine", preset.imagine, COMMAND, WandbConfig(), shared=True) as run:
        imagine_stage(run, preset.imagine, COMMAND, overwrite=False)


def rows_hash(folder: Path) -> str:
    """SHA-256 over all rollouts of a data set, accepted and rejected, in the order of their index.

    Raises:
        NotHeldError: an index is missing or comes twice.
    """
    episodes = [
        episode
        for part in ("accepted", "rejected")
        if (folder / part).exists()
        for episode in EpisodeStore(folder / part).episodes()
    ]
    indices = sorted(int(episode.provenance["index"]) for episode in episodes)
    require(indices == list(range(len(episodes))), "A rollout is missing, or there twice.")
    episodes.sort(key=lambda episode: int(episode.provenance["index"]))
    digest = hashlib.sha256()
    for episode in episodes:
        digest.update(_row(episode))
    return digest.hexdigest()


def _row(episode: Episode) -> bytes:
    words = json.dumps([episode.goal, dict(episode.provenance)], sort_keys=True).encode()
    numbers = (episode.observations, episode.actions, episode.rewards)
    return words + b"".join(array.tobytes() for array in numbers)


def lose_a_worker(baseline: Baseline) -> Found:
    """Kills one of two workers while it holds a shard; the other does that shard anew, once.

    Raises:
        NotHeldError: the other did not finish, or rollouts are missing, doubled or different.
    """
    baseline.start_again("imagine")
    first = start(imagine_together, baseline.preset, baseline.run)
    second = start(imagine_together, baseline.preset, baseline.run)
    held = _wait_for_claim(baseline.run / IMAGINED / CLAIMS, first.pid)
    first.kill()
    first.join()
    code = ended(second)
    require(code == 0, f"The other worker ended with exit code {code}.")
    baseline.require_same("imagine", f"a worker was killed with {held}")
    left = [path.name for path in (baseline.run / IMAGINED).glob(".*")]
    require(not left, f"{left} were left behind.")
    return Found(1, 1, {"shards": len(list((baseline.run / IMAGINED / "shards").iterdir()))})


def _wait_for_claim(claims: Path, owner: int | None) -> str:
    """The name of the first claim that process `owner` is seen to hold."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for claim in claims.glob("shard-*"):
            try:
                if json.loads(claim.read_bytes())["process"] == owner:
                    return claim.name
            except (FileNotFoundError, ValueError):
                continue  # it was published in between, or is being rewritten
        time.sleep(0.002)
    require(False, "The worker never held a shard.")
    raise AssertionError


POISON = (
    ("", (0, 0)),
    ("   \n", (0, 0)),
    ("push " * 2_000, (0, 0)),
    ("a lone surrogate \ud800", (0, 0)),
    ("numbers of no goal", (99, 99)),
    ("too few numbers", ()),
)


def poison_goals(baseline: Baseline, share: float = 0.01) -> Found:
    """Mixes goals that cannot be imagined into the others; all rollouts come out all the same.

    Raises:
        NotHeldError: rollouts are missing, or a bad goal is not listed with its reason.
    """
    baseline.start_again("imagine")
    code = finish(imagine_poisoned, baseline.preset, baseline.run, share)
    require(code == 0, f"Imagination ended with exit code {code}.")
    folder = baseline.run / IMAGINED
    rows_hash(folder)
    summary = json.loads((folder / "summary/summary.json").read_text("utf-8"))
    refused, wanted = summary["refused_goals"], len({text for text, _ in POISON})
    require(len(refused) == wanted, f"{len(refused)} of {wanted} bad goals are listed.")
    require(all(refused.values()), "A bad goal is listed without a reason.")
    total, asked = sum(summary["reasons"].values()), baseline.preset.imagine.rollouts.num_rollouts
    require(total == asked, f"{total} of {asked} rollouts came out.")
    return Found(wanted, wanted, {"rollouts": total})


def imagine_poisoned(preset: Preset, run: Path, share: float) -> None:
    """Imagines towards the world's novel goals with `share` of bad ones among them."""
    from imagination.goals import goals_to_imagine
    from imagination.imagine import prepare
    from imagination.shards import imagine
    from kalm.pretrained import load_grounded, model_hash

    world, real = real_data(run)
    goals = goals_to_imagine(world, "target", seed=0)
    width = len(goals[0].spec)
    rng = np.random.default_rng(0)
    copies = max(1, round(share * len(goals) / len(POISON)))
    for text, spec in POISON * copies:
        bad = Goal(text, "easy", "poison", spec if len(spec) != 2 else (spec[0],) * width)
        goals.insert(int(rng.integers(len(goals))), bad)
    config = replace(preset.imagine.rollouts, protocol="target")
    model = load_grounded(run / GROUNDED, world_name=world.name)
    shutil.rmtree(run / IMAGINED, ignore_errors=True)
    name = model_hash(run / GROUNDED)
    imagination, _ = prepare(world, model, name, real, config, goals=goals)
    imagine(imagination, run / IMAGINED, data_card(world, "imagined", COMMAND, 0))
