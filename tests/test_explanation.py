"""Explanations: words among the sentences of goals that the model itself recognises."""

import numpy as np
import pytest
import torch
from tiny_models import FAMILIES, grounded, task_stream, toy, toy_episodes

from envs.episode import Episode
from kalm import prompts
from kalm.explanation import explain, recognise
from kalm.language_model import Tensors
from kalm.layout import Packed, collate
from kalm.metrics import explanation_metrics
from kalm.phrases import Phrases
from kalm.tasks import RolloutSet, explanation_question, training_sentences

END, SEPARATOR = 0, 9


def question(episode: Episode) -> Packed:
    model = grounded()
    return explanation_question(
        model.layout, model.prompt, model.encode_text, episode.observations, episode.actions
    )


def test_an_answer_says_each_sentence_once_and_at_least_one() -> None:
    said = Phrases(((1, 2), (1, 3)), ((SEPARATOR, 1, 2), (SEPARATOR, 1, 3)), END).start()
    assert said.following() == [1]
    said = said.say(1)
    assert said.following() == [2, 3]
    said = said.say(2)
    assert said.following() == [END, SEPARATOR]
    said = said.say(SEPARATOR).say(1)
    assert said.following() == [3]
    assert said.say(3).following() == [END]


def test_a_sentence_that_begins_another_may_end_or_go_on() -> None:
    said = Phrases(((1,), (1, 2)), ((SEPARATOR, 1), (SEPARATOR, 1, 2)), END).start().say(1)
    assert said.following() == [END, 2, SEPARATOR]
    assert said.say(2).following() == [END, SEPARATOR]
    assert said.say(SEPARATOR).say(1).following() == [2]


@pytest.mark.parametrize("family", FAMILIES)
def test_aided_explanations_name_recognised_goals_only(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, world, episodes = grounded(family=family), toy(), toy_episodes()[:5]
    sentences = training_sentences(world)
    achieved = np.zeros((5, len(sentences)), bool)
    achieved[0, 3] = achieved[1, [0, 7]] = achieved[2, [1, 2, 5]] = achieved[3, 11] = True
    monkeypatch.setattr("kalm.explanation._achieved", lambda *_: achieved)
    aided = explain(model, episodes, world, batch=2)
    for row, texts in enumerate(aided[:4]):
        assert texts
        assert set(texts) <= {sentences[goal] for goal in np.flatnonzero(achieved[row])}
        assert len(set(texts)) == len(texts)
    # Nothing was recognised in the last one, so any words may come.
    assert aided[4] == explain(model, episodes, world, aided=False)[4]


def test_a_model_that_recognises_goals_explains_no_other_ones() -> None:
    """The head is solved for on two rollouts' middle states, so that it tells them apart."""
    model, world = grounded(), toy()
    episodes = [e for e in toy_episodes() if e.success][:6]
    held = [RolloutSet(world, [episode]).held[0][[0, -1]] for episode in episodes]
    middle = [
        _middle_states(question(episode), model.layout.num_slots, model) for episode in episodes
    ]
    inputs = torch.cat(middle)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
    wanted = torch.tensor(np.concatenate(held)).float() * 20 - 10
    solution = torch.linalg.lstsq(inputs, wanted).solution
    assert model.goal_head is not None
    with torch.no_grad():
        model.goal_head.weight.copy_(solution[:-1].T)
        model.goal_head.bias.copy_(solution[-1])
    probabilities = recognise(model, [question(episode) for episode in episodes])
    assert np.array_equal(probabilities > 0.5, np.array(held))
    numbers = explanation_metrics(world, model, episodes)
    assert numbers["explanation_achieved"] == 1.0
    assert numbers["explanation_unaided"] < 0.5


def _middle_states(packed: Packed, slots: int, model: object) -> torch.Tensor:
    """What the model holds half way up after its first state and after its last action's."""
    middle = model.middle(Tensors.of(collate([packed]), torch.device("cpu")))[0]  # type: ignore[attr-defined]
    before = len(grounded().prompt(prompts.BEFORE_EXPLANATION))
    after = len(grounded().encode_text(prompts.AFTER_EXPLANATION))
    # The last state comes a second time, between the rollout and the words after it.
    return middle[[before + slots - 1, len(packed) - after - slots - 1]].detach()


def test_training_sentences_are_in_the_order_of_recognised_goals() -> None:
    rollouts = RolloutSet(toy(), toy_episodes()[:1])
    expected = [rollouts.goals[spec][0] for spec in rollouts.specs]
    assert training_sentences(toy()) == expected
    assert len(expected) == rollouts.held[0].shape[1]


def test_a_model_without_recognition_explains_in_any_words_and_recognises_nothing() -> None:
    model = grounded()
    model.goal_head = None
    episodes = toy_episodes()[:3]
    assert explain(model, episodes, toy()) == explain(model, episodes, toy(), aided=False)
    with pytest.raises(ValueError, match=r"learned|recognises goals"):
        recognise(model, [question(episodes[0])])


def test_a_rollout_is_explained_from_the_question_of_its_training_task() -> None:
    episode = next(e for e in toy_episodes() if e.success and len(e) == 1)
    # A rollout of one step cannot be cut, so every sample of it has the same question.
    sample = task_stream(grounded(), [episode], only="explanation").sample(0, 0)[1]
    asked = question(episode)
    for name in ("kind", "token", "slot", "value", "hint", "action", "acted"):
        np.testing.assert_array_equal(
            getattr(asked, name), getattr(sample, name)[: len(asked)], name
        )
    assert sample.loss[len(asked) :].all()
