"""Which plays are worth imitating for which goal: labels by what was read, then filtering."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from envs.settings import Settings, Whole
from envs.step_count import counted_steps
from experiments.folders import whole_json
from experiments.progress import progress
from experiments.results import write_text
from experiments.stage import Stage, complete
from experiments.tracking import Run
from experiments.webshop.folders import (
    FILTERING,
    KEPT,
    read_plays,
    understood_goals,
)
from experiments.webshop.judge import LabelSettings, label_needs, label_rewards
from offline_rl.shop_distillation import FilterConfig
from offline_rl.shop_planning import PlanConfig

if TYPE_CHECKING:
    from pathlib import Path

    from imagination.purchases import Play
    from offline_rl.shop_distillation import Filtered, KeptPlay

SELECT = "select-plays"
_KIND = "kept plays"


@dataclass(frozen=True)
class SelectSettings(Settings):
    """Which plays are kept, and how plans are made of all of them."""

    filter: FilterConfig = field(default_factory=FilterConfig)
    plans: PlanConfig = field(default_factory=PlanConfig)  # its seed is the stage's own
    seed: Whole = 0  # of plans


def select_stage(
    run: Run, settings: SelectSettings, labels: LabelSettings, *, overwrite: bool
) -> None:
    """Writes the kept plays by goal, and what became of all goals."""
    complete(
        run,
        Stage(SELECT, settings, label_needs(labels), (KEPT, FILTERING)),
        lambda: _select(run, settings, labels),
        lambda: _problems(run),
        overwrite=overwrite,
    )


def _select(run: Run, settings: SelectSettings, labels: LabelSettings) -> None:
    from imagination.purchases import find_purchases
    from offline_rl.shop_distillation import filter_plays, search_worths

    goals, plays = understood_goals(run.folder), read_plays(run.folder)
    with progress("finding purchases", len(plays), "plays") as advance:
        purchases = find_purchases(plays, advance)
    rewards = label_rewards(run, labels, purchases)
    with counted_steps() as taken, progress("choosing plays", len(goals), "goals") as advance:
        filtered = filter_plays(goals, plays, purchases, rewards, settings.filter, advance)
    worths = search_worths(goals, purchases, rewards)
    _write(run.folder / KEPT, filtered)
    numbers = _numbers(filtered, len(plays), len(purchases))
    numbers |= {"environment_steps": taken.steps}
    content = {"numbers": numbers, "searches": worths}
    write_text(run.folder / FILTERING, json.dumps(content, indent=1) + "\n")
    run.rewind(SELECT, -1)
    run.log(SELECT, 0, numbers | {f"worth of search/{n}": w for n, (w, _) in worths.items()})


def _numbers(filtered: "Filtered", num_plays: int, num_purchases: int) -> dict[str, float]:
    covered = {kept.goal for kept in filtered.kept}
    return {
        "plays": num_plays,
        "purchases": num_purchases,
        "goals": len(filtered.best),
        "goals_without_plays": len(filtered.best) - len(covered),
        "coverage": len(covered) / max(len(filtered.best), 1),
        "kept_plays": len(filtered.kept),
        "plays_of_loops_alone": filtered.num_empty,
        "mean_best_reward": float(np.mean(list(filtered.best.values()) or [0.0])),
    }


def _write(path: "Path", filtered: "Filtered") -> None:
    import pyarrow as pa

    from offline_rl.tasks import write_parquet

    columns = {
        "goal": [kept.goal for kept in filtered.kept],
        "reward": [kept.reward for kept in filtered.kept],
        "play": [kept.play for kept in filtered.kept],
    }
    schema = pa.schema({"goal": pa.string(), "reward": pa.float64(), "play": pa.int64()})
    write_parquet(path, pa.table(columns, schema), _KIND, {})


def read_kept(path: "Path", plays: "list[Play]") -> "list[KeptPlay]":
    """The kept plays of `select_stage`, their loops removed again."""
    from offline_rl.filtered import Trace, without_loops
    from offline_rl.shop_distillation import KeptPlay
    from offline_rl.tasks import read_parquet

    table, _ = read_parquet(path, _KIND)
    return [
        KeptPlay(
            row["goal"],
            row["reward"],
            row["play"],
            without_loops(Trace(plays[row["play"]].pages, plays[row["play"]].actions)),
        )
        for row in table.to_pylist()
    ]


def _problems(run: Run) -> list[str]:
    from offline_rl.tasks import read_parquet

    try:
        read_parquet(run.folder / KEPT, _KIND)
    except ValueError as error:
        return [str(error)]
    return whole_json(run.folder / FILTERING)
