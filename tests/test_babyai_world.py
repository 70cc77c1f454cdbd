"""BabyAI as one object: goals of its layouts, starts, play in words and in batches."""

import numpy as np
import pytest

from envs.babyai.cells import BALL, COLORS, TYPE_OF, TYPES
from envs.babyai.goals import ANY, GO_TO, KINDS, specs_array
from envs.babyai.layouts import SIZES
from envs.babyai.simulator import ACTION_NAMES
from envs.babyai.splits import SPLITS, SplitDesign
from envs.babyai.states import DIRECTIONS, X, Y
from envs.babyai.verifiers import already
from envs.babyai.world import BabyAiWorld, GridTask, babyai_world
from envs.world import Goal

ROOM = BabyAiWorld("room", range(3))
SYNTH = BabyAiWorld("synth", range(2))


def test_goals_of_a_world_are_those_of_its_layouts() -> None:
    for split in SPLITS:
        texts = [goal.text for goal in ROOM.goals(split)]
        per_layout = [ROOM.layout_goals(seed, split) for seed in range(3)]
        assert set(texts) == {goal.text for goals in per_layout for goal in goals}
        assert len(set(texts)) == len(texts)


def test_every_kind_can_be_trained_on_or_held_out() -> None:
    assert {goal.kind for goal in SYNTH.goals("train")} == set(KINDS) - {"go_to_tile"}
    assert {goal.kind for goal in SYNTH.goals("kind")} == {"go_to_tile"}
    other = BabyAiWorld("synth", range(2), design=SplitDesign(held_out_kinds=("put_next",)))
    assert {goal.kind for goal in other.goals("train")} == set(KINDS) - {"put_next"}


def test_horizons_are_as_documented() -> None:
    horizons = {size: BabyAiWorld(size, [0]).horizon_steps for size in SIZES}
    assert [horizons[size] for size in ("room", "synth", "rooms_2x2")] == [64, 500, 500]
    assert {horizons[f"trio_{letter}"] for letter in "abc"} == {20}


@pytest.mark.parametrize("world", [ROOM, SYNTH])
def test_no_task_begins_at_its_goal(world: BabyAiWorld) -> None:
    for split in ("train", "kind"):
        tasks = world.tasks(split, 60, seed=1)
        starts = np.stack([task.start for task in tasks])
        specs = specs_array([task.goal.spec for task in tasks])
        assert not already(specs, starts, world.shape).any()
        allowed = {seed: world.layout_goals(seed, split) for seed in world.layout_seeds}
        assert all(task.goal in allowed[task.layout_seed] for task in tasks)


def test_tasks_are_a_function_of_seed_and_index() -> None:
    def names(tasks: list[GridTask]) -> list[tuple[str, int, bytes]]:
        return [(task.goal.text, task.layout_seed, task.start.tobytes()) for task in tasks]

    assert names(ROOM.tasks("train", 5, 0)) == names(ROOM.tasks("train", 9, 0))[:5]
    assert names(ROOM.tasks("train", 9, 0)) != names(ROOM.tasks("train", 9, 1))


def test_kinds_are_drawn_equally_often() -> None:
    kinds = [task.goal.kind for task in SYNTH.tasks("train", 400, 0)]
    # 4 kinds: 100 of 400 each; a standard deviation is sqrt(400 * .25 * .75) = 8.7.
    assert all(65 < kinds.count(kind) < 135 for kind in KINDS if kind != "go_to_tile")


def test_an_episode_can_be_played_in_words() -> None:
    world = babyai_world("trio_a")
    goal = world.goals("train")[0]
    state = world.reset(goal, seed=4)
    np.testing.assert_array_equal(state, world.reset(goal, seed=4))
    assert isinstance(world, BabyAiWorld)
    seed = next(seed for seed in range(40) if (world.layout(seed).state[:X] == state[:X]).all())
    actions = [ACTION_NAMES[a] for a in world.expert_actions(GridTask(goal, seed, state))]
    outcomes = []
    for action in actions:
        assert action in world.actions(state)
        following = world.step(state, action)
        outcomes.append(world.outcome(goal, state, action, following))
        state = following
    assert outcomes == [None] * (len(actions) - 1) + [1.0]
    assert "Inventory: a" in world.text(state)
    assert "You carry a" in world.partial_text(state)


def test_the_planner_solves_tasks_of_every_split() -> None:
    for split in SPLITS:
        for task in ROOM.tasks(split, 8, seed=2):
            states, reached = task.start[None], False
            for action in ROOM.expert_actions(task, "planner"):
                after = ROOM.step_states(states, np.array([action]))
                spec = specs_array([task.goal.spec])
                reached = bool(ROOM.success(spec, states, np.array([action]), after)[0])
                states = after
            assert reached, task.goal.text


def test_starts_are_addressed_by_their_seeds() -> None:
    starts = ROOM.starts(1, [5, 6, 5])
    np.testing.assert_array_equal(starts[0], starts[2])
    np.testing.assert_array_equal(starts[1], ROOM.starts(1, [6])[0])


def test_random_actions_are_of_the_seven() -> None:
    states = ROOM.starts(0, range(500))
    actions = ROOM.random_actions(states, np.random.default_rng(0))
    assert set(actions.tolist()) == set(range(7))


def test_a_drawing_holds_every_cell_as_plain_data() -> None:
    state = ROOM.layout(0).state
    drawing = ROOM.drawing(state)
    assert (drawing.width, drawing.height) == (8, 8)
    assert drawing.agent == (state[X], state[Y])
    assert drawing.direction in DIRECTIONS
    assert drawing.carried is None
    things = {(cell.x, cell.y): cell for cell in drawing.cells}
    cells = ROOM.shape.cells(state)
    for y, x in np.ndindex(8, 8):
        kind = int(TYPE_OF[cells[y, x]])
        assert ((x, y) in things) == (kind != TYPES["empty"])
        if (x, y) in things:
            assert TYPES[things[x, y].type] == kind
            assert things[x, y].color in ("", *COLORS)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="Unknown action `jump`"):
        ROOM.step(ROOM.layout(0).state, "jump")
    with pytest.raises(ValueError, match="at least one layout seed"):
        BabyAiWorld("room", [])
    with pytest.raises(ValueError, match="Unknown split `novel`"):
        ROOM.goals("novel")
    absent = Goal("go to a door", "train", "go_to", (GO_TO, TYPES["door"], ANY, -1, -1))
    with pytest.raises(ValueError, match="some layout of babyai_room allows, got `go to a door`"):
        ROOM.reset(absent, 0)
    everything = SplitDesign(held_out_combinations=((BALL, ANY),), held_out_kinds=())
    with pytest.raises(ValueError, match="Expected goals in the split `kind`"):
        BabyAiWorld("room", [0], design=everything).tasks("kind", 1, 0)
