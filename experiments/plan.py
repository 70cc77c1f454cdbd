"""`kalm plan`: hours, storage and shards of a large run, and what will hold it up.

Rates come from a small run that was done, from `kalm bench`, or from the command line, in rising
order of precedence; every one is printed with its source. Nothing is scaled from one device to
another: a rate that was measured on a CPU stands for a CPU.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from rich.table import Table

from experiments.bench_report import number
from experiments.cost_model import Bottleneck, Rate, Work, bottleneck, total_seconds
from experiments.rates import Sizes, bench_rates, given_rates, measured_now, run_rates, sizes_of
from experiments.table import print_tables

GOOD_SHARD_SECONDS = 600.0  # long beside claiming, short beside a run


@dataclass(frozen=True)
class Command:
    """Says what a large run would take."""

    run_folder: tyro.conf.Positional[Path]  # of a small run, from which amounts and rates are taken
    steps: float  # imagined steps that agents are to train on
    gpus: int = 1  # processes that imagine; one a GPU
    ground_gpus: int = 8  # that share grounding, at most; a linear gain is assumed
    protocol: str = "target"  # whose imagined data are measured
    bench: tuple[Path, ...] = ()  # files of `kalm bench`, which go before the run's own seconds
    rates: dict[str, float] = field(default_factory=dict)  # given, such as `imagine 20000`
    setup_seconds: float = 60.0  # until a process of imagination has loaded its model; given
    rollouts_per_shard: int = 500

    def __post_init__(self) -> None:
        least = min(self.steps, self.gpus, self.ground_gpus, self.rollouts_per_shard)
        if least < 1 or self.setup_seconds < 0:
            raise ValueError(
                "Expected --steps, --gpus, --ground-gpus and --rollouts-per-shard >= 1 and "
                f"--setup-seconds >= 0; got {self.steps:g}, {self.gpus}, {self.ground_gpus}, "
                f"{self.rollouts_per_shard} and {self.setup_seconds:g}."
            )


@dataclass(frozen=True)
class Plan:
    """What a large run takes."""

    works: tuple[Work, ...]
    gpus: int
    rollouts: int
    shards: int
    shard_seconds: float
    disk_bytes: float
    memory_bytes: float  # of a training process
    claims: Rate
    setup_seconds: float

    @property
    def hours(self) -> float:
        """All stages one after the other."""
        return total_seconds(self.works, self.gpus) / 3600

    @property
    def bottleneck(self) -> Bottleneck:
        """What takes longest, and what comes next."""
        return bottleneck(self.works, self.gpus)


def main(arguments: Sequence[str]) -> int:
    """Runs the verb with its arguments."""
    command = tyro.cli(Command, args=list(arguments), prog="kalm plan")
    sizes = sizes_of(command.run_folder, command.protocol)
    rates = {
        **run_rates(command.run_folder, sizes),
        **measured_now(command.run_folder, command.protocol),
        **bench_rates(command.bench),
        **given_rates(command.rates),
    }
    plan = make_plan(command, sizes, rates)
    print_tables([stage_table(plan)])
    for line in sentences(plan):
        print(line)
    return 0


def make_plan(command: Command, sizes: Sizes, rates: Mapping[str, Rate]) -> Plan:
    """The plan that follows from a small run's amounts and from rates by stage."""
    share = sizes.accepted_steps / sizes.imagined_steps
    steps = command.steps / share
    rollouts = math.ceil(steps * sizes.rollouts / sizes.imagined_steps)
    shards = math.ceil(rollouts / command.rollouts_per_shard)
    works = [
        Work("collect", sizes.real_steps, rates["collect"], 1, limited_by="one machine collects"),
        Work(
            "ground",
            sizes.ground_samples,
            rates["ground"],
            command.ground_gpus,
            limited_by="--ground-gpus",
        ),
        Work(
            "imagine",
            steps,
            rates["imagine"],
            pieces=shards,
            setup_seconds=command.setup_seconds,
            limited_by="the number of shards",
        ),
        Work("merge", steps, rates["merge"], 1, limited_by="one process merges"),
    ]
    if "train" in rates:
        updates, agents = sizes.agents * sizes.updates, sizes.agents
        limit = "an agent is trained by one process"
        works.append(Work("train", updates, rates["train"], pieces=agents, limited_by=limit))
    if "evaluate" in rates:
        limit = "one process evaluates"
        works.append(Work("evaluate", sizes.agents, rates["evaluate"], 1, limited_by=limit))
    return Plan(
        works=tuple(works),
        gpus=command.gpus,
        rollouts=rollouts,
        shards=shards,
        shard_seconds=steps / shards / rates["imagine"].value,
        disk_bytes=2 * steps * sizes.bytes_per_step,
        memory_bytes=command.steps * sizes.memory_per_step,
        claims=rates["claims"],
        setup_seconds=command.setup_seconds,
    )


def stage_table(plan: Plan) -> Table:
    """Hours of every stage, with rates and their sources."""
    table = Table(title=f"{plan.gpus:,} GPUs", title_justify="left", header_style="bold")
    for name in ("stage", "work", "processes", "hours", "GPU hours", "rate of a process", "source"):
        table.add_column(name, justify="left" if name in ("stage", "source") else "right")
    for work in plan.works:
        unit = work.rate.unit.removesuffix("/s")
        table.add_row(
            work.stage,
            f"{work.amount:,.0f} {unit}",
            f"{work.processes(plan.gpus):,}",
            f"{work.seconds(plan.gpus) / 3600:,.2f}",
            f"{work.process_seconds(plan.gpus) / 3600:,.1f}",
            f"{number(work.rate.value)} {work.rate.unit}",
            work.rate.source,
        )
    return table


def sentences(plan: Plan) -> list[str]:
    """The plan in words: totals, and what will hold it up."""
    found = plan.bottleneck
    stage = next(work for work in plan.works if work.stage == found.stage)
    lines = [
        f"{plan.hours:,.1f} hours, stages one after the other.",
        f"Every process of imagination first takes {plan.setup_seconds:g} s (given).",
        f"{plan.shards:,} shards for {plan.rollouts:,} rollouts, {plan.shard_seconds:,.0f} s each.",
        f"{plan.disk_bytes / 1e9:,.1f} GB of disk: shards, and the same rollouts merged.",
        f"{plan.memory_bytes / 1e9:,.1f} GB of memory in every process that trains an agent.",
        f"Bottleneck: {found.stage}, {100 * found.share:.0f} % of all hours"
        + (f" ({stage.limited_by})." if stage.processes(plan.gpus) < plan.gpus else "."),
        f"Twice the GPUs would save {100 * found.saved_by_doubling:.0f} %.",
    ]
    if found.next_stage != found.stage:
        lines.append(f"Next: from {found.next_from:,} GPUs on, {found.next_stage} takes longest.")
    asked = plan.gpus / plan.shard_seconds
    lines.append(
        f"Claims: {number(asked)} a second by all; one process alone made "
        f"{number(plan.claims.value)} ({plan.claims.source})."
    )
    if plan.shard_seconds < GOOD_SHARD_SECONDS / 10:
        better = GOOD_SHARD_SECONDS / plan.shard_seconds
        lines.append(f"Shards are short: make --rollouts-per-shard about {better:,.0f} times that.")
    return lines
