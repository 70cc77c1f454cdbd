"""What the report of a WebShop run shows, from what its stages left on disk."""

from collections.abc import Sequence
from pathlib import Path

from experiments.clips import watched
from experiments.folders import EVALUATION, read_json
from experiments.outcome_galleries import outcome_galleries, text_clip
from experiments.report import ReportData
from experiments.results import Results
from experiments.stage_records import done_stages, stage_settings
from experiments.teduo.folders import COLLECT, TEST_GOALS, TUNE
from experiments.teduo.publish import charts
from experiments.webshop.sections import shop_sections

LEVEL_NOTES = {
    "train": "Goals of the training list.",
    "test": "Goals about other products, in words that training never heard.",
}


def is_shop_run(folder: Path) -> bool:
    """Whether a seed's folder is one of TEDUO in the shop."""
    return COLLECT in done_stages(folder) and "num_products" in stage_settings(folder, COLLECT)


def shop_report(seeds: Sequence[Path], results: Results) -> ReportData:
    """Tables, episodes and curves of a run; episodes and curves are those of the first seed.

    Args:
        seeds: folders of the run's seeds.
    """
    folder = seeds[0]
    episodes = list(watched(folder / EVALUATION))
    readings = read_json(folder / TEST_GOALS)["programs"] if episodes else {}
    return ReportData(
        title=f"TEDUO in WebShop: {results.name}",
        results=results,
        galleries=outcome_galleries(episodes, text_clip, readings),
        grounding_charts=(
            *charts(folder, "base-model", "Loss of priming the base model", "loss"),
            *charts(folder, TUNE, "Loss of fine-tuning", "validation_loss"),
        ),
        level_notes=LEVEL_NOTES,
        novelty="products that no training goal asks for",
        sections=shop_sections(seeds),
    )
