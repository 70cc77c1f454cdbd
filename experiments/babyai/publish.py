"""What the report of a BabyAI run shows, from what its stages left on disk."""

from collections.abc import Sequence
from pathlib import Path

from experiments.babyai.galleries import grid_galleries
from experiments.babyai.sections import grid_sections
from experiments.report import ReportData
from experiments.results import Results
from experiments.stage_records import done_stages, stage_settings
from experiments.teduo.folders import COLLECT, READ, TUNE
from experiments.teduo.publish import charts

CELL_NOTES = {
    "novel": "Mean of all cells but the first, each weighing the same.",
    "train/train": "Grids and goals that were trained on; new starts.",
    "new/train": "Goals that were trained on, in new grids.",
    "train/wording": "Goals that were trained on, in words never heard.",
    "train/combination": "Colours and types that no training goal joined.",
    "new/wording": "Words never heard, in new grids.",
    "new/combination": "New combinations, in new grids.",
    "train/both": "New combinations, in words never heard.",
    "new/both": "New grids, new combinations, new words.",
    "train/kind": "A kind of goal that training never asked for: to stand on a tile.",
    "new/kind": "That kind of goal, in new grids.",
}


def is_grid_run(folder: Path) -> bool:
    """Whether a seed's folder is one of TEDUO in grids."""
    return READ in done_stages(folder)


def grid_report(seeds: Sequence[Path], results: Results) -> ReportData:
    """What the report of a run shows; curves and rollouts are those of its first seed.

    Args:
        seeds: folders of the run's seeds.
    """
    folder = seeds[0]
    fine_tuning = "Loss of fine-tuning"
    return ReportData(
        title=f"TEDUO in {', '.join(stage_settings(folder, COLLECT)['sizes'])}: {results.name}",
        results=results,
        galleries=grid_galleries(folder),
        grounding_charts=(
            *charts(folder, "base-model", "Loss of priming the base model", "loss"),
            *charts(folder, TUNE, fine_tuning, "loss"),
            *charts(folder, TUNE, f"{fine_tuning}, held-out samples", "validation_loss"),
        ),
        agent_charts=charts(folder, "train-", "Loss of baselines", "loss"),
        level_notes=CELL_NOTES,
        novelty="grids or goals that were not trained on",
        sections=grid_sections(seeds),
    )
