"""Samples to fine-tune on: the kept plays, told in the form of each arm."""

import json
from collections import Counter
from collections.abc import Sequence

from experiments.babyai.read import READ
from experiments.folders import read_json, whole_json
from experiments.results import write_text
from experiments.stage import Stage, complete
from experiments.tracking import Run
from experiments.webshop.folders import (
    COLLECT,
    FILTERING,
    KEPT,
    ShopArm,
    read_plays,
    understood_goals,
)
from experiments.webshop.select import SELECT, SelectSettings, read_kept


def distil_stage(
    run: Run, settings: SelectSettings, arms: Sequence[ShopArm], *, overwrite: bool
) -> None:
    """Writes the samples of every arm."""
    for arm in arms:
        complete(
            run,
            Stage(
                f"distil-{arm.slug}", settings, (COLLECT, READ, SELECT), (arm.samples, arm.report)
            ),
            lambda arm=arm: _distil(run, settings, arm),  # type: ignore[misc]
            lambda arm=arm: _problems(run, arm),  # type: ignore[misc]
            overwrite=overwrite,
        )


def _distil(run: Run, settings: SelectSettings, arm: ShopArm) -> None:
    from offline_rl.shop_distillation import samples_of

    plays, goals = list(read_plays(run.folder)), understood_goals(run.folder)
    kept = read_kept(run.folder / KEPT, plays)
    worths = {n: (w, c) for n, (w, c) in read_json(run.folder / FILTERING)["searches"].items()}
    samples = samples_of(kept, goals, worths, arm.form, settings.filter)
    samples.write(run.folder / arm.samples)
    numbers = {
        "plans": len(set(samples.plans.tolist())),
        "samples": len(samples),
        "steps_untold": sum(len(one.trace.actions) for one in kept) - len(samples),
        "environment_steps": 0,
    }
    answers = Counter(samples.answers).most_common(20)
    content = {"numbers": numbers, "answers": dict(answers)}
    write_text(run.folder / arm.report, json.dumps(content, indent=1) + "\n")
    run.rewind(f"distil-{arm.slug}", -1)
    run.log(f"distil-{arm.slug}", 0, numbers)


def _problems(run: Run, arm: ShopArm) -> list[str]:
    from offline_rl.distillation_set import TextSamples

    try:
        TextSamples.read(run.folder / arm.samples)
    except ValueError as error:
        return [str(error)]
    return whole_json(run.folder / arm.report)
