"""A language model that acts: mask, loop-break, and goals that were not understood."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from envs.babyai.program_text import spec_text
from envs.babyai.simulator import ACTION_NAMES, DONE, FORWARD, LEFT, NUM_ACTIONS, RIGHT
from envs.babyai.world import BabyAiWorld, GridTask
from imagination.abstraction import abstract_text
from imagination.programs import Program, parse_program
from kalm.layout import Packed
from kalm.primer import PrimerConfig, new_llama
from kalm.text_model import TextModel
from kalm.tokenizer import build_tokenizer
from offline_rl import language_policy
from offline_rl.acting import ActingConfig, ScoredPlayer
from offline_rl.grid_play import ScriptPlayer, play
from offline_rl.language_policy import ActionLists, ActionScores, LanguageScores

WORLD = BabyAiWorld("room", range(2))


class Fixed(ActionScores):
    """The same scores for every question; counts the questions."""

    def __init__(self, scores: Sequence[float]) -> None:
        self._fixed, self.asked = np.array(scores), 0

    def of(self, questions: Sequence[str]) -> np.ndarray:
        self.asked += len(questions)
        return np.tile(self._fixed, (len(questions), 1))


def read(tasks: Sequence[GridTask]) -> dict[str, Program | None]:
    return {task.goal.text: parse_program(spec_text(task.goal.spec)) for task in tasks}


def everything(states: np.ndarray) -> np.ndarray:
    return np.ones((len(states), NUM_ACTIONS), bool)


def not_done(states: np.ndarray) -> np.ndarray:
    return np.tile(np.arange(NUM_ACTIONS) != DONE, (len(states), 1))


# `done` is the favourite, `forward` the second, everything else has no chance.
LIKES_DONE = np.where(np.isin(range(NUM_ACTIONS), [FORWARD, DONE]), 0.0, -60.0)
LIKES_DONE[DONE] = 1.0


def actions_of(config: ActingConfig, steps: int) -> list[list[int]]:
    """Actions of a model that likes `done`, in six episodes whose states stay the same."""
    tasks = WORLD.tasks("train", 6, seed=0)
    player = ScoredPlayer(
        LanguageScores(Fixed(LIKES_DONE), read(tasks), WORLD.shape), not_done, config
    )
    player.begin(tasks, seed=0)
    states = np.stack([task.start for task in tasks])
    return [player.act(np.arange(6), states).tolist() for _ in range(steps)]


def test_the_favourite_action_is_taken_and_the_mask_takes_it_away() -> None:
    assert actions_of(ActingConfig(mask=False, loop_break=False), 3) == [[DONE] * 6] * 3
    assert actions_of(ActingConfig(mask=True, loop_break=False), 3) == [[FORWARD] * 6] * 3


def test_a_state_seen_before_is_acted_on_at_random_and_a_new_one_is_not() -> None:
    first, *later = actions_of(ActingConfig(mask=False), 80)
    assert first == [DONE] * 6
    # Odds of e to 1: a share of 0.269 goes forward; 474 draws have a sigma of 0.02.
    share = np.mean(np.array(later) == FORWARD)
    assert abs(share - 1 / (1 + np.e)) < 0.08


def test_a_goal_that_was_not_understood_is_acted_on_at_random_and_asks_nothing() -> None:
    tasks = WORLD.tasks("train", 40, seed=0)
    scores = Fixed(LIKES_DONE)
    unread = dict.fromkeys((task.goal.text for task in tasks), None)
    player = ScoredPlayer(LanguageScores(scores, unread, WORLD.shape), not_done, ActingConfig())
    player.begin(tasks, seed=0)
    states = np.stack([task.start for task in tasks])
    taken = {int(a) for _ in range(10) for a in player.act(np.arange(40), states)}
    assert taken == set(range(NUM_ACTIONS)) - {DONE}
    assert scores.asked == 0


@pytest.fixture(scope="module")
def model() -> TextModel:
    tokenizer = build_tokenizer(["facing object 1 ahead 2 left hands empty free", *ACTION_NAMES])
    size = PrimerConfig(hidden=32, layers=1, heads=2)
    return TextModel(new_llama(tokenizer, size, 0), tokenizer).eval()


def test_questions_are_asked_once_whatever_the_batch(model: TextModel) -> None:
    tasks = WORLD.tasks("train", 5, seed=0)
    states = np.stack([task.start for task in tasks])
    goals = [program for program in read(tasks).values() if program is not None][:1] * 5
    texts = abstract_text(goals, states, WORLD.shape)
    scores = ActionScores(model, batch=2)
    together = scores.of(texts * 2)
    np.testing.assert_allclose(np.exp(together).sum(axis=1) <= 1, True)
    np.testing.assert_array_equal(together[:5], together[5:])
    np.testing.assert_array_equal(scores.of(texts[::-1]), together[:5][::-1])
    alone = np.concatenate([ActionScores(model).of([text]) for text in texts])
    np.testing.assert_allclose(together[:5], alone, atol=1e-5)


def test_an_untuned_model_plays_to_the_end(model: TextModel) -> None:
    tasks = WORLD.tasks("combination", 4, seed=1)
    config = ActingConfig(mask=False)
    player = ScoredPlayer(
        LanguageScores(ActionScores(model), read(tasks), WORLD.shape), everything, config
    )
    plays = play(WORLD, player, tasks, seed=0)
    assert ((plays.steps == WORLD.horizon_steps) | plays.success).all()
    assert set(plays.actions[:, 0].tolist()) <= set(range(NUM_ACTIONS))


def test_a_list_is_played_without_planning_anew_and_unknown_words_do_nothing(
    model: TextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = WORLD.tasks("train", 3, seed=0)
    programs = read(tasks) | {tasks[2].goal.text: None}
    written = ["left left jump forward", "right"]

    def write(asked: TextModel, questions: Sequence[Packed], **options: Any) -> list[list[int]]:
        assert len(questions) == 2  # the third goal was not understood
        # Three actions and the end; an action is one token, or more where it follows a space.
        assert options["max_tokens"] > 3
        return asked.encode_texts(written)

    monkeypatch.setattr(language_policy, "write", write)
    lists = ActionLists(model, programs, WORLD.shape, longest_steps=3)
    player = ScriptPlayer(lists.of)
    player.begin(tasks, seed=0)
    states = np.stack([task.start for task in tasks])
    taken = [player.act(np.arange(3), states).tolist() for _ in range(4)]
    assert taken == [[LEFT, RIGHT, DONE], [LEFT, DONE, DONE], [DONE] * 3, [DONE] * 3]
    assert (lists.words, lists.unknown) == (4, 1)


def test_a_list_has_room_for_the_longest_plan_but_not_for_more_than_the_model_reads(
    model: TextModel,
) -> None:
    tasks = WORLD.tasks("train", 2, seed=0)
    for steps in (2, 10_000):
        lists = ActionLists(model, read(tasks), WORLD.shape, longest_steps=steps, temperature=1.0)
        one, other = lists.of(tasks, seed=3), lists.of(tasks[::-1], seed=3)
        assert one == other[::-1]  # a draw depends on the question, not on the batch
        assert max(map(len, one)) <= steps
