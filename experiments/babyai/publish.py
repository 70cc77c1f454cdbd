"""What the report of a BabyAI run shows, from what its stages left on disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.babyai.folders import COLLECT
from experiments.babyai.galleries import grid_galleries
from experiments.babyai.read import READ
from experiments.babyai.sections import grid_sections
from experiments.ground import EMBEDDED
from experiments.report import Chart, ReportData
from experiments.results import Results
from experiments.stage import done_stages, stage_settings
from experiments.tracking import read_curve

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


def grid_base_model(folder: Path) -> str:
    """What tables call the base model of a run, and whoever read the goals in its place."""
    settings = stage_settings(folder, READ)
    reader = settings.get("chat", {}).get("model")
    return _base_words(settings["base"]) + (f"; goals read by {reader}" if reader else "")


def _base_words(base: dict[str, Any]) -> str:
    if base["name"] != EMBEDDED:
        pinned = f"@{base['revision'][:12]}" if base.get("revision") else ""
        adapters = f", LoRA rank {base['lora_rank']}" if base["lora_rank"] else ""
        return f"{base['name']}{pinned}{adapters}"
    primer = base["primer"]
    size = f"{primer['hidden']}x{primer['layers']}"
    return f"embedded Llama {size}, from scratch, primed on text only"


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
            *charts(folder, "tune-", fine_tuning, "loss"),
            *charts(folder, "tune-", f"{fine_tuning}, held-out samples", "validation_loss"),
        ),
        agent_charts=charts(folder, "train-", "Loss of baselines", "loss"),
        level_notes=CELL_NOTES,
        novelty="grids or goals that were not trained on",
        sections=grid_sections(seeds),
    )


def charts(folder: Path, prefix: str, title: str, name: str) -> tuple[Chart, ...]:
    """One chart of a metric of all stages that begin so; none where there are no points."""
    series = {
        stage.removeprefix(prefix) or stage: [
            (float(step), value) for step, value in read_curve(folder, stage, name)
        ]
        for stage in done_stages(folder)
        if stage.startswith(prefix)
    }
    series = {stage: points for stage, points in series.items() if points}
    return (Chart(title, "step", "mean over samples", series),) if series else ()
