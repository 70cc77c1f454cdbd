"""What reports of any TEDUO run name and draw: the base model, and the losses of stages."""

from pathlib import Path
from typing import Any

from experiments.ground import EMBEDDED
from experiments.report import Chart
from experiments.stage_records import done_stages, stage_settings
from experiments.teduo.folders import READ
from experiments.tracking import read_curve


def reading_base_model(folder: Path) -> str:
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
