"""The fine-tuning stream: pure, masked exactly, hindsight goals true, novel goals absent."""

from collections.abc import Sequence

import numpy as np
import pytest
from tiny_models import grounded, task_stream, tokenizer, toy, toy_episodes, toy_knowledge

from envs.episode import Episode
from envs.toy import ToyWorld
from kalm import prompts
from kalm.layout import CONTINUE, STOP, UNKNOWN, Kind, Packed
from kalm.tasks import RolloutSet, TaskStream, TaskWeights

MODEL = grounded()
SLOTS = 3


def words(packed: Packed) -> str:
    """All words of a sample."""
    text: str = tokenizer().decode(packed.token[packed.kind == Kind.TEXT])
    return text


def samples(only: str, count: int = 12) -> list[Packed]:
    stream = task_stream(MODEL, only=only)
    found = [stream.sample(0, index) for index in range(count)]
    return [packed for task, packed in found if task == only]


def equal(one: Packed, other: Packed) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in Packed.__dataclass_fields__
    )


# --------------------------------------------------------------------- masks of every task


def test_generation_predicts_every_state_but_the_first_and_no_words() -> None:
    for packed in samples("generation"):
        rollout = int(np.argmax(packed.kind == Kind.STATE))
        expected = packed.kind == Kind.STATE
        expected[rollout : rollout + SLOTS] = False
        assert (packed.loss & (packed.kind != Kind.ACTION)).tolist() == expected.tolist()
        assert packed.loss[packed.kind == Kind.ACTION][-1]


def test_dynamics_predicts_the_states_after_an_action_and_nothing_else() -> None:
    for packed in samples("dynamics"):
        seen = np.cumsum(packed.kind == Kind.ACTION) > 0
        assert packed.loss.tolist() == ((packed.kind == Kind.STATE) & seen).tolist()
        assert (packed.stop == UNKNOWN).all()
        assert words(packed) == "<bos>" + prompts.DYNAMICS


def test_dynamics_of_one_step_is_the_papers_task() -> None:
    stream = task_stream(MODEL, only="dynamics", dynamics_steps=1)
    for index in range(8):
        _, packed = stream.sample(0, index)
        assert (packed.kind == Kind.ACTION).sum() == 1
        assert packed.loss.sum() == SLOTS


def test_consequence_predicts_the_last_state_from_goal_and_first_state() -> None:
    for packed in samples("consequence"):
        states = np.flatnonzero(packed.kind == Kind.STATE)
        assert len(states) == 2 * SLOTS
        assert not (packed.kind == Kind.ACTION).any()
        assert np.flatnonzero(packed.loss).tolist() == states[SLOTS:].tolist()
        # Before every slot of the last state stands, as its hint, what it was in the first one.
        before = packed.hint[states[SLOTS:] - 1, :2]
        np.testing.assert_array_equal(before, packed.value[states[:SLOTS]])
        assert not packed.acted.any()


@pytest.mark.parametrize("task", ["explanation", "decomposition"])
def test_an_answer_is_predicted_word_by_word_to_its_end_and_its_question_is_not(task: str) -> None:
    for packed in samples(task):
        first = int(np.argmax(packed.loss))
        assert packed.loss[first:].all()
        assert not packed.loss[:first].any()
        assert (packed.kind[first:] == Kind.TEXT).all()
        assert packed.token[-1] == MODEL.end_token
        assert (packed.stop == UNKNOWN).all()


def test_an_explanation_names_the_training_goals_that_the_last_step_reached() -> None:
    goals = {goal.text: goal.spec for goal in toy().goals("train")}
    first_texts = {spec: text for text, spec in reversed(goals.items())}
    several = 0
    for packed in samples("explanation"):
        text = words(packed)
        assert text.startswith("<bos>" + prompts.BEFORE_EXPLANATION + prompts.AFTER_EXPLANATION)
        answer = tokenizer().decode(packed.token[packed.loss][:-1])
        named = prompts.split_subgoals(answer)
        states = packed.value[packed.kind == Kind.STATE].reshape(-1, SLOTS * 2)[:-1]
        still = np.zeros(len(states) - 1, np.int64)
        reached = [
            text
            for text in first_texts.values()
            if holds(text, states, still) == [False] * (len(states) - 1) + [True]
        ]
        assert set(named) <= set(reached)
        assert len(named) == min(len(reached), 4)
        several += len(named) > 1
    assert several


def test_a_decomposition_is_one_of_the_given_questions_with_its_answer() -> None:
    known = {f"<bos>{question}{answer}<eos>" for question, answer in toy_knowledge()}
    assert {words(packed) for packed in samples("decomposition")} <= known


# ------------------------------------------------------------------------------- purity


def test_a_sample_is_a_function_of_seed_epoch_and_index_alone() -> None:
    forwards, backwards = task_stream(MODEL, seed=3), task_stream(MODEL, seed=3)
    keys = [(epoch, index) for epoch in range(3) for index in range(8)]
    first = {key: forwards.sample(*key) for key in keys}
    second = {key: backwards.sample(*key) for key in reversed(keys)}
    for key in keys:
        assert first[key][0] == second[key][0]
        assert equal(first[key][1], second[key][1])


def test_another_seed_or_epoch_gives_other_samples() -> None:
    here = [task_stream(MODEL, seed=3).sample(0, index)[1] for index in range(12)]
    for stream, epoch in ((task_stream(MODEL, seed=4), 0), (task_stream(MODEL, seed=3), 1)):
        there = [stream.sample(epoch, index)[1] for index in range(12)]
        assert sum(equal(one, other) for one, other in zip(here, there, strict=True)) < 6


def test_an_epoch_visits_every_rollout_once_in_an_order_of_its_own() -> None:
    stream = task_stream(MODEL)
    assert sorted(stream.order(0)) == list(range(len(stream)))
    assert stream.order(0).tolist() != stream.order(1).tolist()
    assert stream.order(1).tolist() == task_stream(MODEL).order(1).tolist()


def test_tasks_come_as_often_as_their_weights_say() -> None:
    stream = task_stream(MODEL, toy_episodes(), seed=0)
    drawn = [stream.sample(epoch, index)[0] for epoch in range(40) for index in range(24)]
    for task in prompts.TASKS:
        expected = getattr(TaskWeights(), task)
        # 960 draws: three standard deviations are at most 0.05.
        assert drawn.count(task) / len(drawn) == pytest.approx(expected, abs=0.06), task


def test_without_texts_there_is_no_decomposition() -> None:
    stream = TaskStream(
        RolloutSet(toy(), toy_episodes()), [], MODEL.layout, MODEL.prompt, MODEL.encode_text,
        MODEL.end_token, TaskWeights(decomposition=0.9), seed=0,
    )  # fmt: skip
    assert "decomposition" not in {stream.sample(0, index)[0] for index in range(24)}


# ----------------------------------------------------------------------------- hindsight


Stretch = tuple[str, np.ndarray, np.ndarray, Packed]  # goal, states, actions, sample


def stretches(stream: TaskStream, epochs: int = 1) -> list[Stretch]:
    """What the generation samples of a stream show."""
    before, after = prompts.generation_prompt("\0").split("\0")
    found = []
    for epoch in range(epochs):
        for index in range(len(stream)):
            task, packed = stream.sample(epoch, index)
            if task != "generation":
                continue
            text = words(packed).removeprefix("<bos>" + before).removesuffix(after)
            states = packed.value[packed.kind == Kind.STATE].reshape(-1, SLOTS * 2)
            actions = packed.action[packed.kind == Kind.ACTION][:, 0].astype(np.int64)
            found.append((text, states, actions, packed))
    return found


def holds(text: str, states: np.ndarray, actions: np.ndarray) -> list[bool]:
    """Whether a training goal holds in each state; the first has no step before it."""
    goals = {goal.text: goal for goal in toy().goals("train")}
    before = np.concatenate([states[:1], states[:-1]])
    taken = np.concatenate([actions[:1], actions])
    specs = np.tile(np.array(goals[text].spec), (len(states), 1))
    return [bool(held) for held in toy().success(specs, before, taken, states)]


def test_a_generated_stretch_ends_where_its_goal_comes_to_hold_or_before() -> None:
    found = stretches(task_stream(MODEL, only="generation"), epochs=3)
    assert len(found) > 50
    ends = []
    for text, states, actions, packed in found:
        held = holds(text, states, actions)
        assert not any(held[:-1])
        last_slots = np.flatnonzero((packed.kind == Kind.STATE) & (packed.slot == SLOTS - 1))
        told = [CONTINUE] * (len(states) - 1) + [STOP if held[-1] else CONTINUE]
        assert packed.stop[last_slots].tolist() == told
        assert (np.delete(packed.stop, last_slots) == UNKNOWN).all()
        ends.append(held[-1])
    assert 0.1 < np.mean(ends) < 0.9


@pytest.mark.parametrize("task", ["explanation", "consequence"])
def test_hindsight_goals_hold_at_the_end_and_not_before(task: str) -> None:
    goals = {goal.text for goal in toy().goals("train")}
    stream = task_stream(MODEL, only=task)
    checked = 0
    for index in range(24):
        drawn, packed = stream.sample(0, index)
        if drawn != task:
            continue
        text = next(goal for goal in goals if goal in words(packed))
        states = packed.value[packed.kind == Kind.STATE].reshape(-1, SLOTS * 2)
        if task == "explanation":  # shows its last state twice
            assert np.array_equal(states[-1], states[-2])
            states = states[:-1]
        held = holds(text, states, np.zeros(len(states) - 1, np.int64))
        assert held == [False] * (len(states) - 1) + [True]
        checked += 1
    assert checked > 15


@pytest.mark.parametrize("task", ["generation", "dynamics", "explanation"])
def test_every_state_is_marked_with_the_training_goals_that_hold_in_it(task: str) -> None:
    specs = np.array(list({goal.spec: None for goal in toy().goals("train")}))
    stream = task_stream(MODEL, only=task)
    checked = 0
    for index in range(24):
        drawn, packed = stream.sample(0, index)
        if drawn != task:
            continue
        marked = packed.held[:, 0] != UNKNOWN
        states = packed.hint[marked].reshape(-1, SLOTS * 2)  # after its last slot: the whole state
        rows = np.repeat(states, len(specs), axis=0)
        every = np.tile(specs, (len(states), 1))
        still = np.zeros(len(rows), np.int64)
        true = toy().success(every, rows, still, rows).reshape(len(states), -1)
        assert np.array_equal(packed.held[marked].astype(bool), true)
        assert set(packed.slot[marked]) == {SLOTS - 1}
        checked += 1
    assert checked > 15


def test_a_stretch_is_cut_from_its_rollout_without_a_gap() -> None:
    stream = task_stream(MODEL, only="generation", max_steps=3)
    for index in range(24):
        task, packed = stream.sample(0, index)
        if task != "generation":
            continue
        states = packed.value[packed.kind == Kind.STATE].reshape(-1, SLOTS * 2)
        assert 2 <= len(states) <= 4
        whole = toy_episodes()[index].observations
        starts = [p for p in range(len(whole)) if np.array_equal(whole[p], states[0])]
        assert any(np.array_equal(whole[p : p + len(states)], states) for p in starts)


def walk(xs: Sequence[float], *, success: bool = True) -> Episode:
    """Red at the places x and 0.31 above blue, which lies in the middle; green is far away."""
    states = np.array([[x, 0.31, -0.8, -0.8, 0.0, 0.0] for x in xs], np.float32)
    return Episode(
        "Put the red disc right of the blue disc.", states, np.full(len(xs) - 1, 1),
        np.zeros(len(xs) - 1, np.float32), success, "real", "train", success,
    )  # fmt: skip


PAST = (-0.5, -0.3, -0.1, 0.1, 0.3, 0.5)
RED, BLUE = 0, 2
LEFT, RIGHT, ABOVE, BELOW = range(4)


def test_the_goals_that_a_rollout_reached_and_when_are_as_by_hand() -> None:
    # Relations hold along the larger offset within a distance of 0.6. At the start red is left of
    # blue: 0.5 > 0.31, distance 0.59. From step 1 (x = -0.3) it is above, after step 5 (x = 0.5)
    # right of it; blue is below red and left of red then. What held at the start does not count.
    rollouts = RolloutSet(toy(), [walk(PAST)])
    reached = {rollouts.specs[goal][:3]: step for goal, step in rollouts.reached(0)}
    assert reached == {
        (RED, ABOVE, BLUE): 1,
        (BLUE, BELOW, RED): 1,
        (RED, RIGHT, BLUE): 5,
        (BLUE, LEFT, RED): 5,
    }


def test_without_hindsight_a_rollout_serves_its_own_goal_only() -> None:
    rollouts = RolloutSet(toy(), [walk(PAST), walk(PAST[:3], success=False)], hindsight=False)
    (own,) = rollouts.reached(0)
    assert rollouts.specs[own[0]][:3] == (RED, RIGHT, BLUE)
    assert own[1] == 5
    assert rollouts.reached(1) == []
    for progress in rollouts.progress:
        assert np.flatnonzero(progress.any(0)).tolist() == [own[0]]


def test_only_steps_that_came_nearer_to_the_goal_are_imitated() -> None:
    # The goal's ideal place is 0.4 right of blue. Red goes right, right, back, right, right; its
    # distances to (0.4, 0) are 0.95, 0.77, 0.59, 0.77, 0.59, 0.43: the third step is a mistake.
    steps = walk((-0.5, -0.3, -0.1, -0.3, -0.1, 0.1), success=False)
    helps = [True, True, False, True, True]
    stream = task_stream(MODEL, [steps], only="generation", hindsight=False)
    seen = set()
    for _, states, actions, packed in stretches(stream, epochs=60):
        place = [
            first
            for first in range(6 - len(actions))
            if np.array_equal(steps.observations[first : first + len(states)], states)
        ]
        masks = [helps[first : first + len(actions)] for first in place]
        assert packed.loss[packed.kind == Kind.ACTION].tolist() in masks
        seen.add(len(actions))
    assert seen >= {1, 2, 3, 4}


def test_a_rollout_that_reached_nothing_teaches_dynamics_instead() -> None:
    still = Episode(
        "Put the red disc right of the blue disc.", np.repeat(walk(PAST).observations[:1], 3, 0),
        np.full(2, 1), np.zeros(2, np.float32), False, "real", "train", False,
    )  # fmt: skip
    stream = task_stream(MODEL, [still])
    tasks = {stream.sample(epoch, 0)[0] for epoch in range(60)}
    assert tasks == {"dynamics", "decomposition"}


def test_no_text_of_a_novel_goal_ever_appears_in_the_stream() -> None:
    world = ToyWorld()
    novel = {goal.text for level in world.levels[1:] for goal in world.goals(level)}
    novel |= {goal.text for goal in world.unseen_goals(200, 0)}
    stream = task_stream(MODEL)
    for epoch in range(6):
        for index in range(len(stream)):
            text = words(stream.sample(epoch, index)[1])
            assert not any(goal in text for goal in novel)


# ----------------------------------------------------------------------------- bad input


def test_no_rollouts_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one rollout, got none"):
        RolloutSet(toy(), [])


def test_weights_without_any_task_are_refused() -> None:
    zeros = dict.fromkeys(prompts.TASKS, 0.0)
    with pytest.raises(ValueError, match="sum above 0"):
        TaskWeights(**zeros)
    with pytest.raises(ValueError, match="--dynamics of at least 0"):
        TaskWeights(**{**zeros, "generation": 1.0, "dynamics": -0.1})
