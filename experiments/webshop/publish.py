"""What the report of a WebShop run shows, from what its stages left on disk."""

from pathlib import Path

from experiments.babyai.publish import charts
from experiments.report import ReportData
from experiments.results import Results
from experiments.stage import done_stages, stage_settings
from experiments.webshop.folders import COLLECT

LEVEL_NOTES = {
    "train": "Goals of the training list.",
    "test": "Goals about other products, in words that training never heard.",
}


def is_shop_run(folder: Path) -> bool:
    """Whether a seed's folder is one of TEDUO in the shop."""
    return COLLECT in done_stages(folder) and "num_products" in stage_settings(folder, COLLECT)


def shop_report(folder: Path, results: Results) -> ReportData:
    """Tables and curves of a run; curves are those of the seed in `folder`."""
    return ReportData(
        title=f"TEDUO in WebShop: {results.name}",
        results=results,
        grounding_charts=charts(folder, "tune-", "Loss of fine-tuning", "validation_loss"),
        level_notes=LEVEL_NOTES,
    )
