"""A chat model with examples and reasoning: what it is told, and what its answers come to."""

import numpy as np
import pytest
from scripted_chat import ScriptedChat

from envs.babyai.raw_text import parse_raw_text
from envs.babyai.simulator import ACTION_NAMES, DONE, FORWARD, LEFT, NUM_ACTIONS, PICKUP
from envs.babyai.world import BabyAiWorld
from offline_rl.distillation_set import DistillationSet
from offline_rl.in_context import (
    ACTION_MEANINGS,
    InContextScores,
    in_context_conversation,
    read_action,
    worked_examples,
)

WORLD = BabyAiWorld("room", range(2))


def samples(lists: bool = False) -> DistillationSet:
    """Three plans: too short to be shown, to a ball, and to a key; each state is a start."""
    plans = {
        "facing red ball": ["forward"],
        "facing any ball": ["forward", "left", "forward", "forward"],
        "holding any key": ["right", "forward", "pickup"],
    }
    rows = [
        (goal, " ".join(actions[step:]) if lists else actions[step], plan, len(actions) - step)
        for plan, (goal, actions) in enumerate(plans.items())
        for step in range(len(actions))
    ]
    goals, answers, numbers, left = (list(column) for column in zip(*rows, strict=True))
    states = np.repeat(WORLD.starts(0, range(3)), [1, 4, 3], axis=0)
    said = [f"please: {goal}" for goal in goals]
    return DistillationSet(said, answers, said, goals, np.array(numbers), np.array(left), states)


@pytest.mark.parametrize("lists", [False, True])
def test_examples_are_short_plans_of_different_relations_from_their_start(lists: bool) -> None:
    first, second = worked_examples(samples(lists), WORLD.shape)
    assert first.actions == ("forward", "left", "forward", "forward")
    assert second.actions == ("right", "forward", "pickup")
    goal, state = second.question.split("\n", 1)
    assert goal == "Goal: please: holding any key"
    np.testing.assert_array_equal(parse_raw_text(state)[0], samples().states[5])
    assert read_action(first.answer) == FORWARD


def test_a_model_is_told_the_actions_the_size_two_solved_grids_and_how_to_end() -> None:
    examples = worked_examples(samples(), WORLD.shape)
    system, *shown, asked = in_context_conversation(examples, "Goal: go", WORLD.shape)
    assert [message["role"] for message in shown] == ["user", "assistant"] * 2
    assert asked == {"role": "user", "content": "Goal: go"}
    assert "8 by 8 tiles" in system["content"]
    assert all(f"\n{name}: " in system["content"] for name in ACTION_NAMES)
    assert set(ACTION_MEANINGS) == set(ACTION_NAMES)
    assert "last line" in system["content"]


def test_an_action_is_the_last_one_that_the_last_line_names() -> None:
    assert read_action("It lies to the left.\nSo I go\nforward") == FORWARD
    assert read_action("not left but **Pickup**.\n\n") == PICKUP
    assert read_action("turn left\nI am not sure") is None
    assert read_action("forwards!") is None
    assert read_action("") is None


def test_answers_become_scores_and_those_without_an_action_are_counted() -> None:
    tasks = WORLD.tasks("train", 3, seed=0)
    states = np.stack([task.start for task in tasks])
    replies = {tasks[0].goal.text: "left", tasks[1].goal.text: "teleport"}
    chat = ScriptedChat(lambda text: replies.get(text.split("\n")[0][6:], "I see.\ndone"))
    scores = InContextScores(chat, [], WORLD.shape)
    scores.begin([task.goal.text for task in tasks])
    found = scores.of(np.array([2, 0, 1]), states[[2, 0, 1]])
    assert found.argmax(axis=1).tolist()[:2] == [DONE, LEFT]
    assert found[2].tolist() == [0.0] * NUM_ACTIONS
    assert (scores.answers, scores.nonsense) == (3, 1)
