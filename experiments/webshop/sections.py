"""The parts of a WebShop report besides scores: what goals were read as, how right the labels are,
which plays were kept, and what was distilled; over all seeds of a run.
"""

from collections.abc import Sequence
from pathlib import Path

from experiments.report import NumberTable, Section
from experiments.stage_records import done_stages
from experiments.teduo.folders import AUDIT_FILE
from experiments.teduo.losses import judge_table, loss_section, lost_arms_table
from experiments.teduo.sections import (
    added,
    counts_table,
    jsons,
    mean,
    percent,
    reading_section,
    turned,
)
from experiments.webshop.folders import FILTERING, METHODS, ShopArm
from experiments.webshop.judge import JUDGED


def shop_sections(seeds: Sequence[Path]) -> tuple[Section, ...]:
    """The sections of a run; those whose stages are not done are left out.

    Args:
        seeds: folders of the run's seeds.
    """
    found = (reading_section(seeds), _labels(seeds), _distillation(seeds), _losses(seeds))
    return tuple(section for section in found if section.tables)


def _labels(seeds: Sequence[Path]) -> Section:
    audits = jsons(seeds, AUDIT_FILE)
    if not audits:
        return Section("")
    rows = [("purchases judged twice", f"{sum(audit['purchases'] for audit in audits):,}")]
    if compared := [audit for audit in audits if audit["purchases"]]:
        numbers = mean(compared)
        rows += [
            ("correlation with the true reward", f"{numbers['correlation']:.3f}"),
            ("mean absolute error", f"{numbers['mean_absolute_error']:.3f}"),
            ("precision of rewards of 0.6 and more", percent(numbers["precision"])),
            ("recall of rewards of 0.6 and more", percent(numbers["recall"])),
        ]
    rows.append(("instructions read exactly as meant", percent(mean(audits)["read_exactly"])))
    note = (
        "A purchase is scored by what pages showed of it and by the requirement that the "
        "instruction was read as, or by a judge where the run says so. True rewards are asked for "
        "this audit alone: nothing that is trained sees them. Half of the purchases compared for a "
        "goal are those that its labels like best. Means of the seeds."
    )
    table = NumberTable("Estimated rewards against true ones", ("", "all"), tuple(rows))
    return Section("How right the labels are", note, (table,))


def _distillation(seeds: Sequence[Path]) -> Section:
    filtered = added([content["numbers"] for content in jsons(seeds, FILTERING)])
    kept = {
        "plays": "plays",
        "purchases": "purchases",
        "goals understood": "goals",
        "goals without a good play": "goals_without_plays",
        "plays kept": "kept_plays",
        "plays of loops alone": "plays_of_loops_alone",
        "environment steps": "environment_steps",
    }
    learned = {
        "goals": "goals",
        "goals without plans": "goals_without_plans",
        "plans": "plans",
        "samples": "samples",
        "environment steps": "environment_steps",
    }
    counted = {
        arm.label: added([report["numbers"] for report in jsons(seeds, arm.report)])
        for arm in _arms(seeds)
    }
    if not (filtered and counted):
        return Section("")
    filtering = counts_table("Plays, all seeds together", "", {"count": filtered}, kept)
    note = (
        "Plays were watched without goals and rewards; any purchase may serve any goal. Those with "
        "the best estimated reward of a goal are kept from 0.6 on. Environment steps counts "
        "what choosing, planning and telling took from the shop."
    )
    samples = counts_table("Samples of each method, all seeds together", "method", counted, learned)
    return Section("What was distilled", note, (turned(filtering), samples))


def _losses(seeds: Sequence[Path]) -> Section:
    judged = [content["numbers"] for content in jsons(seeds, JUDGED)]
    columns = {
        "goals": "goals",
        "goals without labels": "goals_without_labels",
        "purchases judged": "judged",
        "nonsense": "nonsense",
    }
    table = judge_table("judge", {"chat model": judged} if judged else {}, columns)
    note = (
        "An answer that is no verdict labels nothing, and a purchase without a label is imitated "
        "for no goal. A goal that was not understood is shopped for at random."
    )
    arms = ((seed, arm) for seed in seeds for arm in _arms([seed]))
    return loss_section(note, (table, lost_arms_table(arms)))


def _arms(seeds: Sequence[Path]) -> list[ShopArm]:
    """The methods whose samples are there."""
    stages = {stage for seed in seeds for stage in done_stages(seed)}
    return [arm for arm in map(ShopArm, METHODS) if arm.distil_stage in stages]
