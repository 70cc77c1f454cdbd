"""Samples to fine-tune on: kept plays, or plans over all plays, in the form of each arm."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from envs.step_count import counted_steps
from experiments.folders import read_json
from experiments.progress import progress
from experiments.results import write_text
from experiments.stage import Stage, complete
from experiments.teduo.folders import PLANNED, sample_problems
from experiments.teduo.losses import say_if_lost
from experiments.tracking import Run
from experiments.webshop.folders import (
    FILTERING,
    KEPT,
    ShopArm,
    read_plays,
    understood_goals,
)
from experiments.webshop.judge import LabelSettings, label_needs, label_rewards
from experiments.webshop.select import SELECT, SelectSettings, read_kept

if TYPE_CHECKING:
    from offline_rl.distillation_set import TextSamples


def distil_stage(
    run: Run,
    settings: SelectSettings,
    labels: LabelSettings,
    arms: Sequence[ShopArm],
    *,
    overwrite: bool,
) -> None:
    """Writes the samples of every arm, and what became of its goals."""
    for arm in arms:
        complete(
            run,
            Stage(
                arm.distil_stage,
                settings,
                (*label_needs(labels), SELECT),
                (arm.samples, arm.report),
            ),
            lambda arm=arm: _distil(run, settings, labels, arm),  # type: ignore[misc]
            lambda arm=arm: _problems(run, arm),  # type: ignore[misc]
            overwrite=overwrite,
        )
        say_if_lost(run.folder, arm)


def _distil(run: Run, settings: SelectSettings, labels: LabelSettings, arm: ShopArm) -> None:
    with counted_steps() as taken:
        if arm.source == PLANNED:
            samples = _planned(run, settings, labels, arm)
        else:
            samples = _kept(run, settings, arm)
    samples.write(run.folder / arm.samples)
    numbers = {
        "goals": len(set(samples.goals)),
        "goals_without_plans": len(understood_goals(run.folder)) - len(set(samples.goals)),
        "plans": len(set(samples.plans.tolist())),
        "samples": len(samples),
        "environment_steps": taken.steps,
    }
    answers = Counter(samples.answers).most_common(20)
    content = {"numbers": numbers, "answers": dict(answers)}
    write_text(run.folder / arm.report, json.dumps(content, indent=1) + "\n")
    run.rewind(arm.distil_stage, -1)
    run.log(arm.distil_stage, 0, numbers)


def _kept(run: Run, settings: SelectSettings, arm: ShopArm) -> "TextSamples":
    """The steps of kept plays."""
    from offline_rl.shop_distillation import samples_of

    kept = read_kept(run.folder / KEPT, list(read_plays(run.folder)))
    goals, worths = understood_goals(run.folder), _worths(run)
    return samples_of(kept, goals, worths, arm.form, settings.filter)


def _planned(
    run: Run, settings: SelectSettings, labels: LabelSettings, arm: ShopArm
) -> "TextSamples":
    """The steps of plans over all plays."""
    from imagination.purchases import find_purchases
    from offline_rl.shop_planning import planned_samples, role_plays

    goals, plays = understood_goals(run.folder), read_plays(run.folder)
    purchases = find_purchases(plays)
    config = replace(settings.plans, seed=settings.seed)
    with progress(f"distilling {arm.slug}", len(goals), "goals") as advance:
        worth = label_rewards(run, labels, purchases)
        found = list(role_plays(goals, plays, purchases, worth, config, advance))
    return planned_samples(goals, found, _worths(run), settings.filter.least_searches, config)


def _worths(run: Run) -> dict[str, tuple[float, int]]:
    """What each kind of search is worth, and how often it was seen."""
    found = read_json(run.folder / FILTERING)["searches"]
    return {name: (worth, count) for name, (worth, count) in found.items()}


def _problems(run: Run, arm: ShopArm) -> list[str]:
    from offline_rl.distillation_set import TextSamples

    return sample_problems(run.folder, arm, TextSamples)
