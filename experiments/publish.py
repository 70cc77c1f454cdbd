"""`kalm report`: results, table, figure and page of a run, from what its stages left on disk.

Of several runs that make a suite it writes those of each, and those of all; of a results file it
draws the figure alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from envs.world import World
from experiments.babyai.publish import grid_report, is_grid_run
from experiments.babyai.suite import publish_suite
from experiments.clips import galleries
from experiments.figures import save_figure
from experiments.folders import FIGURE, PAGE, RESULTS, TABLE, real_data
from experiments.ground import BaseModelSettings, GroundSettings, base_model_name
from experiments.origin import say
from experiments.pool import results_of, seed_folders
from experiments.published import note_published
from experiments.report import Chart, ReportData, headline, write_report
from experiments.results import Results, load_results, save_results, write_text
from experiments.stage_records import done_stages, stage_settings
from experiments.table import (
    has_scores,
    kind_columns,
    length_cell,
    markdown_table,
    print_tables,
    score_cell,
    terminal_tables,
)
from experiments.teduo.publish import reading_base_model
from experiments.tracking import WandbConfig, read_curve, read_metrics, rebuild_mirror
from experiments.webshop.publish import is_shop_run, shop_report
from kalm.primer import PrimerConfig

LEVEL_NOTES = {
    "novel": "Mean of all levels that no real rollout was collected for, each weighing the same.",
    "train": "The goals that real rollouts were collected for.",
    "rephrase": "The same goals, in sentences of other forms.",
    "easy": "One push of one entity to a side.",
    "hard": "Goals made of several goals.",
}
LOSS_NAMES = ("state_loss", "action_loss", "token_loss", "stop_loss", "goal_loss")


@dataclass(frozen=True)
class Command:
    """Writes results.json, table.md, figure.png and report.html into a run folder."""

    run_folder: tyro.conf.Positional[Path]  # of a run, of a suite of runs, or a results file
    results: Path | None = None  # also save results.json here, and the figure beside it
    wandb: WandbConfig = field(default_factory=WandbConfig)  # mirrors every seed's metrics anew


def main(arguments: Sequence[str]) -> int:
    """Runs the verb with its arguments."""
    command = tyro.cli(Command, args=list(arguments), prog="kalm report")
    if command.run_folder.is_file():
        results = load_results(command.run_folder)
        say(f"figure: {save_figure(results, command.run_folder.with_suffix('.png'))}")
        return 0
    results = publish_all(command.run_folder)
    if command.results is not None:
        save_results(results, command.results)
        save_figure(results, command.results.with_suffix(".png"))
        say(f"results: {command.results}")
    if command.wandb.wanted:
        for seed in seed_folders(command.run_folder):
            say(f"wandb: {seed} is run {rebuild_mirror(seed, command.wandb)}")
    return 0


def publish_all(folder: Path) -> Results:
    """Writes everything that there is to see of a run, or of the runs of a suite.

    Raises:
        ValueError: there is no run in `folder`, nor right below it.
    """
    if seed_folders(folder):
        return publish(folder)
    parts = [path for path in sorted(folder.glob("*")) if seed_folders(path)]
    if not parts:
        raise ValueError(f"No run in `{folder}`. Name the folder of one.")
    return publish_suite(folder, {part.name: publish(part) for part in parts})


def publish(folder: Path) -> Results:
    """Writes everything that there is to see of the run in `folder` and shows its table."""
    seeds = seed_folders(folder)
    shops = is_shop_run(seeds[0])
    grids = is_grid_run(seeds[0]) and not shops
    base_model = reading_base_model(seeds[0]) if grids or shops else _base_model(seeds[0])
    results = results_of(folder, folder.name, base_model, scored=shops)
    save_results(results, folder / RESULTS)
    tables = [markdown_table(results)]
    if kind_columns(results):
        tables.append(markdown_table(results, kind_columns(results)))
    if has_scores(results):
        tables.insert(0, markdown_table(results, show=score_cell))
    if any(row.invalid is not None for row in results.rows):
        tables.append(markdown_table(results, show=length_cell))
    write_text(folder / TABLE, "\n\n".join(tables) + "\n")
    save_figure(results, folder / FIGURE)
    report = _report_data(seeds, results)
    write_report(report, folder / PAGE)
    note_published(folder, (RESULTS, TABLE, FIGURE, PAGE))
    print_tables(terminal_tables(results))
    say(f"report: {(folder / PAGE).absolute().as_uri()}")
    return results


def _report_data(seeds: Sequence[Path], results: Results) -> ReportData:
    """What the report of a run of any kind shows."""
    if is_shop_run(seeds[0]):
        return shop_report(seeds, results)
    return grid_report(seeds, results) if is_grid_run(seeds[0]) else _report(seeds[0], results)


def _report(folder: Path, results: Results) -> ReportData:
    world, _ = real_data(folder)
    return report_data(folder, world, results)


def report_data(folder: Path, world: World, results: Results) -> ReportData:
    """What the report of a run shows; curves and rollouts are those of the seed in `folder`."""
    found = headline(results)
    return ReportData(
        title=f"KALM in {world.name}: {results.name}",
        results=results,
        scene=world.scene(),
        galleries=galleries(folder, world, found.algorithm if found else ""),
        grounding_charts=grounding_charts(folder),
        agent_charts=agent_charts(folder),
        level_notes=LEVEL_NOTES,
    )


def grounding_charts(folder: Path) -> tuple[Chart, ...]:
    """Losses of priming and grounding by step; those without points are left out."""
    wanted = {
        "Priming the base model": {"loss on text": ("base-model", "loss")},
        "Loss by part": {name.removesuffix("_loss"): ("ground", name) for name in LOSS_NAMES},
        "Loss on training and held-out rollouts": {
            "training": ("ground", "loss"),
            "held out": ("ground", "validation_loss"),
        },
    }
    charts = []
    for title, curves in wanted.items():
        series = {name: _curve(folder, *place) for name, place in curves.items()}
        series = {name: points for name, points in series.items() if points}
        if series:
            charts.append(Chart(title, "step", "mean over the batch", series))
    return tuple(charts)


def agent_charts(folder: Path) -> tuple[Chart, ...]:
    """The training loss of every agent, one chart per algorithm."""
    by_algorithm: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for stage in done_stages(folder):
        if not stage.startswith("train-"):
            continue
        points = _curve(folder, stage, _first_loss(folder, stage))
        algorithm = stage_settings(folder, stage)["algorithms"][0]
        if points:
            name = stage.removeprefix("train-").removesuffix(f"-{algorithm}")
            by_algorithm.setdefault(algorithm, {})[name] = points
    return tuple(
        Chart(f"Loss of {algorithm}", "update", "mean since the last point", series)
        for algorithm, series in by_algorithm.items()
    )


def _first_loss(folder: Path, stage: str) -> str:
    """The name of a stage's main loss: "loss", or the first that ends so."""
    for row in read_metrics(folder):
        if row["stage"] == stage:
            names = [name for name in row["metrics"] if name.endswith("loss")]
            return "loss" if "loss" in names else (names or ["loss"])[0]
    return "loss"


def _curve(folder: Path, stage: str, name: str) -> list[tuple[float, float]]:
    return [(float(step), value) for step, value in read_curve(folder, stage, name)]


def _base_model(folder: Path) -> str:
    """What tables call the base model of the run in `folder`."""
    if "ground" not in done_stages(folder):
        return "none"
    base = dict(stage_settings(folder, "ground")["base"])
    base["primer"] = PrimerConfig(**base["primer"])
    return base_model_name(GroundSettings(base=BaseModelSettings(**base)))
