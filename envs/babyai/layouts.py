"""Grids by address: a size's name and a layout seed give walls, doors and things exactly.

The furniture is drawn with `minigrid`'s own room tools. A layout has many starts: the things stay
at their places, the agent stands on any free cell of the start rooms, facing a free cell or a wall.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from minigrid.core.roomgrid import RoomGrid
from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel
from minigrid.envs.babyai.core.verifier import GoToInstr, ObjDesc

from envs.babyai.cells import EMPTY, WALL
from envs.babyai.reachability import reachable_cells
from envs.babyai.states import (
    DIRECTION,
    GridShape,
    X,
    Y,
    encode,
    front_cells,
    restore,
)

MAX_ATTEMPTS = 100  # at furnishing a grid; the room tools give up when a draw does not fit
NO_STEP_LIMIT = 2**31 - 1  # MiniGrid's own limit; episodes are cut by the world's horizon


@dataclass(frozen=True)
class GridSize:
    """What all layouts of a size have in common."""

    rows: int  # of rooms
    columns: int  # of rooms
    room_size: int  # cells along a room, both walls included
    things: tuple[int, int]  # least and most keys, balls and boxes in a grid
    horizon_steps: int = 500
    joint: str = "doors"  # what joins the rooms: "doors", or one "gap" or one "door"
    start_room: bool = False  # starts lie in the first room only
    goal_kinds: tuple[str, ...] = ()  # what its goals ask for; every kind where empty

    @property
    def shape(self) -> GridShape:
        """Neighbouring rooms share a wall."""
        side = self.room_size - 1
        return GridShape(self.columns * side + 1, self.rows * side + 1)


SIZES = {
    "room": GridSize(1, 1, 8, (5, 7), horizon_steps=64),
    "rooms_2x2": GridSize(2, 2, 8, (8, 8)),
    "synth": GridSize(3, 3, 8, (18, 18)),
    "rooms_4x4": GridSize(4, 4, 8, (32, 32), horizon_steps=1000),
    "rooms_5x5": GridSize(5, 5, 8, (50, 50), horizon_steps=1000),
    "rooms_7x7": GridSize(7, 7, 8, (98, 98), horizon_steps=1000),
    "trio_a": GridSize(1, 2, 6, (1, 1), 20, joint="gap", start_room=True, goal_kinds=("pick_up",)),
    "trio_b": GridSize(1, 2, 6, (0, 0), 20, joint="door", start_room=True, goal_kinds=("open",)),
    "trio_c": GridSize(1, 2, 6, (1, 1), 20, joint="door", start_room=True, goal_kinds=("pick_up",)),
}


@dataclass(frozen=True)
class Layout:
    """One furnished grid."""

    size: str  # key in SIZES
    seed: int
    locked: bool  # one room is behind a locked door, whose key lies outside
    state: np.ndarray  # (D,) uint8, the agent at some start
    start_poses: np.ndarray  # (K, 3) uint8, x, y and direction of every start

    @property
    def shape(self) -> GridShape:
        """Width and height."""
        return SIZES[self.size].shape

    def starts(self, poses: np.ndarray) -> np.ndarray:
        """Start states (B, D) uint8 with the agent at `poses` (B, 3)."""
        states = np.tile(self.state, (len(poses), 1))
        states[:, X : DIRECTION + 1] = poses
        return states

    def draw_starts(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """`count` start states (count, D) uint8, uniform over `start_poses`."""
        return self.starts(self.start_poses[rng.integers(len(self.start_poses), size=count)])


@lru_cache(maxsize=1024)
def make_layout(size: str, seed: int, locked: bool = False) -> Layout:
    """The layout at an address.

    Raises:
        ValueError: no size has this name, or one room is asked to have a locked door.
    """
    env = GridEnv(size, locked)
    env.reset(seed=seed)
    state = encode(env)
    state.setflags(write=False)
    poses = _start_poses(state, SIZES[size])
    poses.setflags(write=False)
    return Layout(size, seed, locked, state, poses)


def minigrid_env(layout: Layout, state: np.ndarray) -> Any:
    """A MiniGrid environment of a layout's size in `state` (D,) uint8, ready to be stepped."""
    env = GridEnv(layout.size, layout.locked)
    env.reset(seed=layout.seed)
    restore(env, state)
    return env


class GridEnv(RoomGridLevel):  # type: ignore[misc]  # untyped
    """The MiniGrid environment behind our layouts; it has no mission until one is given."""

    def __init__(self, size: str, locked: bool = False) -> None:
        """An environment of that size.

        Raises:
            ValueError: no size has this name, or one room is asked to have a locked door.
        """
        if size not in SIZES:
            raise ValueError(f"Unknown grid size `{size}`. Choose one of {', '.join(SIZES)}.")
        self.size, self.locked = SIZES[size], locked
        if locked and self.size.joint != "doors":
            raise ValueError(f"`{size}` has no locked doors. Choose locked=False.")
        if locked and self.size.rows * self.size.columns < 2:
            raise ValueError(f"`{size}` has no doors to lock. Choose locked=False.")
        self.instrs = GoToInstr(ObjDesc("box"))
        super().__init__(
            room_size=self.size.room_size,
            num_rows=self.size.rows,
            num_cols=self.size.columns,
            max_steps=NO_STEP_LIMIT,
        )

    def gen_obs(self) -> dict[str, Any]:
        """No pictures: what the agent sees is worked out only where it is asked for."""
        return {}

    def _gen_grid(self, width: int, height: int) -> None:
        for _ in range(MAX_ATTEMPTS):
            RoomGrid._gen_grid(self, width, height)
            try:
                self._furnish()
            except RecursionError:  # what the room tools raise when a draw does not fit
                continue
            return
        raise ValueError(
            f"Expected this layout seed to give a grid within {MAX_ATTEMPTS} draws, it did not. "
            "Choose another seed."
        )

    def _furnish(self) -> None:
        least, most = self.size.things
        count = self._rand_int(least, most + 1)
        if self.size.joint == "doors":
            if self.locked:
                self._lock_a_room()
            self.connect_all()
            self.add_distractors(num_distractors=count, all_unique=False)
        else:
            self._join_two_rooms()
            for _ in range(count):
                self.add_object(1, 0, "box")
        self._place_agent()

    def _place_agent(self) -> None:
        """The agent stands outside of a locked room."""
        self.place_agent(0, 0) if self.size.start_room else self.place_agent()
        while self.room_from_pos(*self.agent_pos).locked:
            self.place_agent()

    def _lock_a_room(self) -> None:
        """A room with one door, which is locked, and its key in another room."""
        column, row = self._rand_int(0, self.num_cols), self._rand_int(0, self.num_rows)
        door, _ = self._lockable_door(column, row)
        rooms = [(i, j) for i in range(self.num_cols) for j in range(self.num_rows)]
        rooms.remove((column, row))
        self.add_object(*self._rand_elem(rooms), "key", door.color)

    def _lockable_door(self, column: int, row: int) -> Any:
        neighbors = self.get_room(column, row).neighbors
        walls = [wall for wall in range(4) if neighbors[wall]]
        return self.add_door(column, row, self._rand_elem(walls), locked=True)

    def _join_two_rooms(self) -> None:
        if self.size.joint == "door":
            self.add_door(0, 0, 0, locked=False)
            return
        self.grid.set(*self.get_room(0, 0).door_pos[0], None)
        self.get_room(0, 0).doors[0] = self.get_room(1, 0).doors[2] = True


def _start_poses(state: np.ndarray, size: GridSize) -> np.ndarray:
    """Poses (K, 3) uint8 on free cells that the agent reaches with empty hands and no key."""
    shape = size.shape
    free = reachable_cells(state, shape, unlock=False) & (shape.cells(state) == EMPTY)
    if size.start_room:
        free[:, size.room_size - 1 :] = False
    rows, columns = np.nonzero(free)
    poses = np.stack([np.repeat(columns, 4), np.repeat(rows, 4), np.tile(range(4), len(rows))], 1)
    states = np.tile(state, (len(poses), 1))
    states[:, X] = poses[:, 0]
    states[:, Y] = poses[:, 1]
    states[:, DIRECTION] = poses[:, 2]
    ahead = front_cells(states, shape)
    kept: np.ndarray = poses[(ahead == EMPTY) | (ahead == WALL)].astype(np.uint8)
    return kept
