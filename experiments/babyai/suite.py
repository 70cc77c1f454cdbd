"""Several grid presets as one: each part in a folder of its own, one table over all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.babyai.pipeline import GridPreset
from experiments.figures import PART_MARK, save_figure
from experiments.folders import FIGURE, PAGE, RESULTS, TABLE
from experiments.origin import say
from experiments.published import note_published
from experiments.report import NumberTable, ReportData, Section, write_report
from experiments.report_tables import LENGTHS
from experiments.results import Results, Row, save_results, write_text
from experiments.table import (
    cell,
    grid,
    kind_columns,
    length_cell,
    level_columns,
    markdown_table,
    print_tables,
    terminal_tables,
)


@dataclass(frozen=True)
class GridSuite:
    """What is run one after the other; the seeds are those of every part."""

    room: GridPreset
    rooms_2x2: GridPreset
    synth: GridPreset
    trio: GridPreset
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def parts(self) -> dict[str, GridPreset]:
        """The parts by name, with the suite's seeds."""
        names = ("room", "rooms_2x2", "synth", "trio")
        return {name: replace(getattr(self, name), seeds=self.seeds) for name in names}


def publish_suite(folder: Path, parts: Mapping[str, Results]) -> Results:
    """Writes results, tables, figure and page of all parts into `folder`, and shows the levels."""
    results = merged(folder.name, parts)
    save_results(results, folder / RESULTS)
    tables = [
        markdown_table(results),
        markdown_table(results, kind_columns(results)),
        markdown_table(results, show=length_cell),
    ]
    write_text(folder / TABLE, "\n\n".join(tables) + "\n")
    save_figure(results, folder / FIGURE)
    say(f"report: {write_report(suite_report(results, parts), folder / PAGE).absolute().as_uri()}")
    note_published(folder, (RESULTS, TABLE, FIGURE, PAGE))
    print_tables(terminal_tables(results)[:1])
    return results


def suite_report(results: Results, parts: Mapping[str, Results]) -> ReportData:
    """What the page of a suite shows: tables of each part, and the way to the part's own page.

    Args:
        results: of all parts.
    """
    links = {f"{name}: grids, episodes and charts": f"{name}/{PAGE}" for name in parts}
    note = "Each part is a run of its own, with the same seeds and a page that shows more."
    sections = [Section("Parts", note, links=links)]
    for name, found in parts.items():
        shown = (
            ("Success in per cent with 95 % intervals", level_columns(found), cell),
            ("By kind of goal", kind_columns(found), cell),
            (LENGTHS, level_columns(found), length_cell),
        )
        tables = tuple(
            NumberTable(caption, tuple(header), tuple(map(tuple, rows)))
            for caption, columns, show in shown
            if columns
            for header, *rows in [grid(found, columns, show)]
        )
        sections.append(Section(name, "", tables))
    alone = replace(results, rows=())  # one table over all parts would be too wide to read
    return ReportData(f"TEDUO: {results.name}", alone, sections=tuple(sections))


def merged(name: str, parts: Mapping[str, Results]) -> Results:
    """The rows of all parts, each level with its part's name in front."""
    first = next(iter(parts.values()))
    return replace(
        first,
        name=name,
        rows=tuple(_row(part, row) for part, found in parts.items() for row in found.rows),
        seconds_per_stage={
            f"{part}: {stage}": seconds
            for part, found in parts.items()
            for stage, seconds in found.seconds_per_stage.items()
        },
    )


def _row(part: str, row: Row) -> Row:
    return replace(row, level=f"{part}{PART_MARK}{row.level}")
