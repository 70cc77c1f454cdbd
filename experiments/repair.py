"""`kalm repair`: the longest verified prefix of damaged episode stores; the damaged are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from envs.repair import repair_store


@dataclass(frozen=True)
class Command:
    """Puts what is whole of a store in its place; later stages of a run are then made anew."""

    stores: tyro.conf.Positional[tuple[Path, ...]]  # folders of episodes, such as RUN/data/real


def main(arguments: Sequence[str]) -> int:
    """Repairs the given stores and says what was kept."""
    command = tyro.cli(Command, args=list(arguments), prog="kalm repair")
    if not command.stores:
        raise ValueError("Expected at least one store, got none. Name a folder of episodes.")
    for store in command.stores:
        repair = repair_store(store)
        if repair.damaged is None:
            print(f"{store}: whole, {repair.kept:,} episodes; nothing was changed")
            continue
        for problem in repair.problems:
            print(f"  {problem}")
        print(
            f"{store}: kept the first {repair.kept:,} episodes, lost {repair.lost:,}; the store as "
            f"it was is {repair.damaged}"
        )
    return 0
