"""Several grid presets as one: each part in a folder of its own, one table over all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.babyai.pipeline import GridPreset
from experiments.folders import RESULTS
from experiments.results import Results, Row, save_results, write_text
from experiments.table import (
    kind_columns,
    length_cell,
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
    """Writes results and tables of all parts into `folder`, and shows the table of levels."""
    results = merged(folder.name, parts)
    save_results(results, folder / RESULTS)
    tables = [
        markdown_table(results),
        markdown_table(results, kind_columns(results)),
        markdown_table(results, show=length_cell),
    ]
    write_text(folder / "table.md", "\n\n".join(tables) + "\n")
    print_tables(terminal_tables(results)[:1])
    return results


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
    return replace(row, level=f"{part}: {row.level}")
