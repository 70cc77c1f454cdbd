"""`kalm imagine`: rollouts for novel goals, written by the grounded model and checked.

May be started by several processes at once on one run folder: they share the work. Machines that
share no file system work on copies of the run folder and share a bucket.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from envs.settings import NotNegative, Positive, Settings, Whole
from experiments.folders import (
    GROUNDED,
    data_card,
    fidelity_file,
    imagined_folder,
    real_data,
    whole_json,
)
from experiments.ground import torch_device
from experiments.names import require_known
from experiments.origin import say
from experiments.progress import progress
from experiments.results import write_text
from experiments.stage import Stage, complete
from experiments.tracking import Run
from experiments.verbs import StageCommand, start_verb
from imagination.claims import LEASE_SECONDS
from imagination.goals import PROTOCOLS
from imagination.imagine import ImagineConfig

if TYPE_CHECKING:
    from envs.card import Card
    from imagination.imagine import Imagination

REAL_COMPARED = 4_000  # real rollouts that imagined ones are compared with


@dataclass(frozen=True)
class ImagineSettings(Settings):
    """What is imagined; `protocol` and `seed` of `rollouts` are set per stage."""

    seed: Whole = 0  # of goals, starts and draws
    protocols: tuple[str, ...] = ("target",)  # each gives a data set and agents of its own
    rollouts: ImagineConfig = field(default_factory=ImagineConfig)
    bucket: str = ""  # URL that fsspec knows, where machines share shards; else the run folder
    lease_seconds: Positive = LEASE_SECONDS  # without a sign of life, after which a shard is redone
    ray_workers: Whole = 0  # actors of Ray Data that do the shards; 0: this process does them
    ray_gpus: NotNegative = 0.0  # share of a GPU that each of them takes

    def __post_init__(self) -> None:
        super().__post_init__()
        for protocol in self.protocols:
            require_known("protocol", protocol, PROTOCOLS)


@dataclass(frozen=True)
class Command(StageCommand):
    """Imagines rollouts into RUN_FOLDER/data/imagined-PROTOCOL."""

    settings: Annotated[ImagineSettings, tyro.conf.arg(name="")] = field(
        default_factory=ImagineSettings
    )


def main(arguments: Sequence[str]) -> int:
    """Runs the verb with its arguments."""
    return start_verb("imagine", Command, imagine_stage, arguments, shared=True)


def imagine_stage(run: Run, settings: ImagineSettings, command: str, *, overwrite: bool) -> None:
    """Imagines under each protocol in turn."""
    from envs.store import verify_store

    for protocol in settings.protocols:
        config = replace(settings.rollouts, protocol=protocol, seed=settings.seed)
        accepted = run.folder / imagined_folder(protocol) / "accepted"
        complete(
            run,
            Stage(
                f"imagine-{protocol}",
                config,
                ("ground",),
                (imagined_folder(protocol),),
                shared=True,
            ),
            partial(_imagine, run, settings, config, command),
            partial(verify_store, accepted),
            overwrite=overwrite,
        )
        complete(
            run,
            Stage(
                f"measure-{protocol}",
                config,
                ("collect", f"imagine-{protocol}"),
                (fidelity_file(protocol),),
            ),
            partial(_measure, run, config),
            partial(whole_json, run.folder / fidelity_file(protocol)),
            overwrite=overwrite,
        )


def prepared(
    folder: Path, config: ImagineConfig, command: str
) -> tuple["Imagination", "Card", dict[str, int]]:
    """What shards of run `folder` share, the card of what is imagined, and how goals divided."""
    from imagination.imagine import prepare
    from kalm.pretrained import load_grounded, model_hash

    world, real = real_data(folder)
    model = load_grounded(folder / GROUNDED, world_name=world.name).to(torch_device())
    imagination, divided = prepare(world, model, model_hash(folder / GROUNDED), real, config)
    return imagination, data_card(world, "imagined", command, config.seed), divided


def shard_folder(settings: ImagineSettings, protocol: str) -> str:
    """The URL under which machines share the shards of a protocol; "" for the run folder."""
    return f"{settings.bucket.rstrip('/')}/{protocol}" if settings.bucket else ""


def _imagine(run: Run, settings: ImagineSettings, config: ImagineConfig, command: str) -> None:
    from imagination.shards import imagine

    if settings.ray_workers:
        from experiments.ray_workers import imagine_with_ray

        imagine_with_ray(run.folder, settings, config, command)
    imagination, card, divided = prepared(run.folder, config, command)
    name = f"imagine-{config.protocol}"
    if divided["unknown_subgoals"]:
        say(f"{name}: {divided['unknown_subgoals']} of {divided['subgoals']} sub-goals unknown")
    with progress(f"imagining ({config.protocol})", config.num_rollouts, "rollouts") as advance:
        reasons = imagine(
            imagination,
            run.folder / imagined_folder(config.protocol),
            card,
            bucket=shard_folder(settings, config.protocol),
            lease_seconds=settings.lease_seconds,
            on_progress=lambda done, total: advance(min(done, total)),
            on_skip=say,
        )
    run.rewind(name, -1)
    run.log(name, 0, {**divided, **reasons})
    say(f"{name}: " + ", ".join(f"{count} {reason}" for reason, count in reasons.items()))


def _measure(run: Run, config: ImagineConfig) -> None:
    """Compares imagined rollouts with real ones; the simulator measures, it does not teach."""
    from envs.store import EpisodeStore
    from imagination.fidelity import fidelity
    from imagination.goals import goals_to_imagine

    world, real = real_data(run.folder)
    folder = run.folder / imagined_folder(config.protocol)
    rejected = folder / "rejected"
    with progress(f"measuring imagination ({config.protocol})", 1, "comparison") as advance:
        numbers = fidelity(
            world,
            islice(real.episodes(), REAL_COMPARED),
            EpisodeStore(folder / "accepted").episodes(),
            EpisodeStore(rejected).episodes() if rejected.exists() else (),
            goals=goals_to_imagine(world, config.protocol, seed=config.seed),
        )
        advance(1)
    name = f"measure-{config.protocol}"
    run.rewind(name, -1)
    run.log(name, 0, numbers)
    text = json.dumps(numbers, indent=1, sort_keys=True)
    write_text(run.folder / fidelity_file(config.protocol), text + "\n")
