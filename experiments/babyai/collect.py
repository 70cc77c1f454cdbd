"""Unlabelled transitions: random play, and play of an expert, in one mixture or several."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from envs.settings import Count, Settings, Share, Whole
from experiments.babyai.folders import data_name, order_file, transitions_folder
from experiments.folders import data_card
from experiments.names import require_known
from experiments.progress import Advance, progress
from experiments.stage import Stage, complete
from experiments.teduo.folders import COLLECT
from experiments.tracking import Run

if TYPE_CHECKING:
    from envs.babyai.collection import CollectionConfig

_COLUMNS = ("states", "actions", "next_states")


@dataclass(frozen=True)
class GridCollectSettings(Settings):
    """Which grids, and how much of whose play."""

    sizes: tuple[str, ...] = ("room",)  # of grids, all of one shape; names of GridSize
    num_layouts: Count = 40  # grids to train on, of each size
    num_rows: Count = 120_000  # transitions of each mixture, in all sizes together
    expert_shares: tuple[Share, ...] = (0.5, 0.0)  # one data set for each share by the expert
    expert: str = "bot"  # "bot", or "planner", which also goes to tiles
    locked: bool = False  # grids with a locked room
    seed: Whole = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        from envs.babyai.layouts import SIZES

        for size in self.sizes:
            require_known("grid size", size, SIZES)
        if len({SIZES[size].shape for size in self.sizes}) != 1:
            raise ValueError(f"Expected --sizes of one shape, at least one, got {self.sizes}.")
        names = [data_name(share) for share in self.expert_shares]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                f"Expected different --expert-shares, at least one, got {self.expert_shares}."
            )


def collect_stage(
    run: Run, settings: GridCollectSettings, command: str, *, overwrite: bool
) -> None:
    """Writes a store of shuffled rows for each mixture, and apart from it their order."""
    complete(
        run,
        Stage(COLLECT, settings, (), ("data",)),
        lambda: _collect_all(run, settings, command),
        lambda: _problems(run, settings),
        overwrite=overwrite,
    )


def _collect_all(run: Run, settings: GridCollectSettings, command: str) -> None:
    import shutil

    for share in settings.expert_shares:
        folder = run.folder / transitions_folder(data_name(share))
        shutil.rmtree(folder, ignore_errors=True)  # of an interrupted start
        _collect(run, settings, share, command)


def _collect(run: Run, settings: GridCollectSettings, share: float, command: str) -> None:
    """Rows of every size one after the other, each shuffled: what is learned knows no order."""
    import pyarrow as pa

    from envs.babyai.collection import collect_with_order
    from envs.babyai.world import BabyAiWorld
    from envs.transitions import Transitions, write_transitions
    from offline_rl.tasks import write_parquet

    name = data_name(share)
    parts, orders, first_play, first_turn = [], [], 0, 0
    with progress(f"collecting {name}", settings.num_rows, "rows") as advance:
        for index in range(len(settings.sizes)):
            config = _config(settings, share, index)
            rows, plays, turns = collect_with_order(config, partial(_advance, advance, first_turn))
            parts.append(rows)
            orders.append((plays + first_play, turns + first_turn))
            first_play, first_turn = first_play + int(plays.max()) + 1, first_turn + len(rows)
    world = BabyAiWorld(settings.sizes[0], range(settings.num_layouts), settings.locked)
    card = data_card(world, "real", command, settings.seed, f"unlabelled rows, {name}")
    joined = (np.concatenate([getattr(part, field) for part in parts]) for field in _COLUMNS)
    write_transitions(run.folder / transitions_folder(name), Transitions(*joined), card)
    plays, turns = (np.concatenate(column) for column in zip(*orders, strict=True))
    order = pa.table({"play": plays, "turn": turns})
    write_parquet(run.folder / order_file(name), order, "order", {})


def _advance(advance: Advance, before: int, done: int) -> None:
    advance(before + done)


def _config(settings: GridCollectSettings, share: float, index: int) -> "CollectionConfig":
    """What is collected in grids of the size number `index`."""
    from envs.babyai.collection import CollectionConfig
    from envs.babyai.splits import SplitDesign

    ends = [settings.num_rows * part // len(settings.sizes) for part in (index, index + 1)]
    return CollectionConfig(
        size=settings.sizes[index],
        layout_seeds=tuple(range(settings.num_layouts)),
        count=ends[1] - ends[0],
        expert_share=share,
        expert=settings.expert,
        locked=settings.locked,
        design=SplitDesign(),
        seed=settings.seed,
    )


def _problems(run: Run, settings: GridCollectSettings) -> list[str]:
    from envs.transitions import verify_transitions
    from offline_rl.tasks import read_parquet

    names = [data_name(share) for share in settings.expert_shares]
    found = [verify_transitions(run.folder / transitions_folder(name)) for name in names]
    problems = [problem for own in found for problem in own]
    try:
        for name in names:
            read_parquet(run.folder / order_file(name), "order")
    except ValueError as error:
        problems.append(str(error))
    return problems
