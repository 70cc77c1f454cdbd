"""Grounding metrics: worked by hand with models whose predictions are known."""

import numpy as np
import pytest
import torch
from tiny_models import grounded, toy, toy_episodes

from envs.episode import Episode
from kalm.metrics import explanation_metrics, prediction_metrics
from kalm.model import GroundedModel


def still_model(positions: str = "entity") -> GroundedModel:
    """Predicts that nothing ever changes, and always action 1."""
    model = grounded(state_head="regression", positions=positions)
    with torch.no_grad():
        for head in (model.state_head, model.action_head):
            for parameter in head.parameters():
                parameter.zero_()
        model.action_head.bias[1] = 5.0
    return model


def two_steps() -> Episode:
    """Red moves right by 0.2, then green left by 0.3 (as if carried); blue lies still."""
    states = np.array(
        [
            [0.0, 0.0, 0.5, 0.5, -0.5, -0.5],
            [0.2, 0.0, 0.5, 0.5, -0.5, -0.5],
            [0.2, 0.0, 0.2, 0.5, -0.5, -0.5],
        ],
        np.float32,
    )  # fmt: skip
    return Episode(
        "Put the red disc right of the blue disc.", states, np.array([1, 4]),
        np.zeros(2, np.float32), True, "real", "train", True,
    )  # fmt: skip


@pytest.mark.parametrize("positions", ["entity", "state"])
def test_a_model_that_predicts_no_change_errs_by_the_moves_themselves(positions: str) -> None:
    numbers = prediction_metrics(still_model(positions), [two_steps()])
    # Two entities moved, by 0.2 and 0.3; four times an entity lay still. One of two actions is 1.
    assert numbers["next_state_error_moved"] == pytest.approx(0.25, abs=1e-5)
    assert numbers["copy_error_moved"] == pytest.approx(0.25, abs=1e-5)
    assert numbers["next_state_error_unmoved"] == pytest.approx(0.0, abs=1e-6)
    assert numbers["action_agreement"] == 0.5


def test_a_constant_change_errs_on_what_lay_still() -> None:
    model = still_model()
    with torch.no_grad():
        model.state_head.output.bias.copy_(torch.tensor([0.1, 0.0]) / model.unit)
    numbers = prediction_metrics(model, [two_steps()])
    # Moved: |0.1 - 0.2| = 0.1 and |0.1 + 0.3| = 0.4, on average 0.25; what lay still errs by 0.1.
    assert numbers["next_state_error_moved"] == pytest.approx(0.25, abs=1e-5)
    assert numbers["next_state_error_unmoved"] == pytest.approx(0.1, abs=1e-5)


def test_only_the_last_steps_of_a_long_rollout_are_judged() -> None:
    numbers = prediction_metrics(still_model(), [two_steps()], max_steps=1)
    assert numbers["copy_error_moved"] == pytest.approx(0.3, abs=1e-5)
    assert numbers["action_agreement"] == 0.0


def test_metrics_do_not_depend_on_how_rollouts_are_batched() -> None:
    model, episodes = grounded(), toy_episodes()[:7]
    together, apart = (prediction_metrics(model, episodes, batch=size) for size in (7, 2))
    for name, value in together.items():
        assert value == pytest.approx(apart[name], rel=1e-4), name


def test_a_world_of_continuous_actions_has_no_action_agreement() -> None:
    numbers = prediction_metrics(
        grounded("toy_continuous"), toy_episodes(name="toy_continuous")[:3]
    )
    assert "action_agreement" not in numbers
    assert np.isfinite(list(numbers.values())).all()


def test_explanations_are_judged_by_meaning_by_truth_and_by_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    episode = next(e for e in toy_episodes() if e.success and e.goal.startswith("Put the red"))
    world = toy()
    goals = {goal.text: goal for goal in world.goals("train")}
    own = goals[episode.goal].spec
    same = next(g.text for g in goals.values() if g.spec == own and g.text != episode.goal)
    # "a left of b" and "b right of a" are one state of things: reached, but not the same goal.
    source, direction, target = own[:3]
    mirrored = next(
        g.text for g in goals.values() if g.spec[:3] == (target, direction ^ 1, source)
    )  # fmt: skip
    false = next(
        g.text for g in goals.values() if g.spec[:3] == (source, direction ^ 1, target)
    )  # fmt: skip
    answers = [[episode.goal, mirrored], [same], [mirrored], [false], ["Who knows?"], []]

    def scripted(*_: object, aided: bool = True) -> list[list[str]]:
        return answers if aided else [[false]] * 3 + [[episode.goal]] * 3

    monkeypatch.setattr("kalm.metrics.explain", scripted)
    numbers = explanation_metrics(world, grounded(), [episode] * 6)
    assert numbers == {  # seven answers, one of them empty, to six rollouts
        "explanation_asked": 2 / 6,
        "explanation_achieved": 4 / 7,
        "explanation_named": 1.0,
        "explanation_unaided": 0.5,
    }
