"""The engine: the plain reference's rollouts, whatever the batch, and exactly the trained input."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import FAMILIES, grounded, toy

from kalm.engine import FINISHED, GenerationConfig, GenerationEngine, Project, Request
from kalm.language_model import Tensors
from kalm.layout import collate, join
from kalm.model import GroundedModel
from kalm.prompts import generation_prompt
from kalm.reference import imagine_plainly

INPUTS = ("kind", "token", "slot", "value", "hint", "action", "acted")
CONFIG = GenerationConfig(num_slots=3, max_steps=5, state_temperature=0.5)


@dataclass
class ToyDirector:
    """Likes states far to the right; may change the goal or end on the way."""

    ends_after: dict[int, int]  # steps after which a request is finished, by index
    changes_after: dict[int, int]  # steps after which a request gets another goal

    def score(
        self,
        requests: list[Request],
        before: np.ndarray,
        actions: np.ndarray,
        after: np.ndarray,
        stop: np.ndarray,
    ) -> np.ndarray:
        """The sum of a state, and a little for what the actions and the end output are."""
        paid = 0.01 * np.asarray(actions, np.float64).reshape(len(after), -1).sum(1)
        score: np.ndarray = (after - before).sum(1) + paid + 0.1 * stop
        return score

    def decide(self, request: Request, stop: float) -> str | None:
        """Ends, or changes the goal, as scripted."""
        done = len(request.actions)
        if self.ends_after.get(request.index) == done:
            return FINISHED
        return "Push it up." if self.changes_after.get(request.index) == done else None


PLAIN = ToyDirector({}, {})
BUSY = ToyDirector(ends_after={1: 2, 4: 1}, changes_after={0: 2, 3: 1, 5: 3})


def requests(name: str = "toy", count: int = 6) -> list[Request]:
    world = toy(name)
    starts = world.draw_starts(count, np.random.default_rng(0))
    goals = [*world.goals("train")[:3], *world.goals("hard")[:3], *world.goals("easy")[:3]]
    return [Request(i, goals[i].text, starts[i], (7, i)) for i in range(count)]


def project(name: str) -> Project:
    world = toy(name)

    def hook(slot: int, proposal: np.ndarray, placed: np.ndarray) -> np.ndarray:
        if proposal.shape[1] == 2:
            return world.project_entity(slot, proposal, placed)
        return np.clip(proposal, -0.9, 0.9)

    return hook


def by_engine(
    model: GroundedModel,
    director: ToyDirector,
    config: GenerationConfig,
    hook: Project | None = None,
    count: int = 6,
) -> list[Request]:
    engine = GenerationEngine(model, director, config, project=hook)
    done = list(engine.imagine(requests(model.world_name, count)))
    return sorted(done, key=lambda request: request.index)


def assert_same_rollouts(found: list[Request], expected: list[Request]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one.index, one.goal, one.finished) == (other.index, other.goal, other.finished)
        actions, others = np.stack(one.actions), np.stack(other.actions)
        assert actions.dtype == others.dtype
        np.testing.assert_allclose(actions, others, atol=1e-4)
        np.testing.assert_allclose(
            np.stack(one.observations), np.stack(other.observations), atol=1e-3
        )


CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], ToyDirector, bool]] = {
    "discrete": ("toy", {}, {}, PLAIN, False),
    "discrete, one position a state": ("toy", {"positions": "state"}, {}, PLAIN, False),
    "continuous": ("toy_continuous", {}, {}, PLAIN, False),
    "regression": ("toy", {"state_head": "regression"}, {}, PLAIN, False),
    "heads alone": ("toy", {"trunk_width": 0}, {}, PLAIN, False),
    "candidates": ("toy", {}, {"num_candidates": 4}, PLAIN, False),
    "candidates, continuous": ("toy_continuous", {}, {"num_candidates": 3}, PLAIN, False),
    "more candidates than actions": (
        "toy", {}, {"num_candidates": 14, "max_steps": 2}, PLAIN, False,
    ),
    "likeliest": ("toy", {}, {"action_temperature": 0.0, "state_temperature": 0.0}, PLAIN, False),
    "hook": ("toy", {}, {}, PLAIN, True),
    "hook, candidates": ("toy", {}, {"num_candidates": 3}, PLAIN, True),
    "hook, one position a state": ("toy", {"positions": "state"}, {}, PLAIN, True),
    "prompted anew": ("toy", {}, {"max_context_steps": 2}, PLAIN, False),
    "changed goals": ("toy", {}, {}, BUSY, False),
    "everything": (
        "toy", {}, {"num_candidates": 3, "max_context_steps": 2, "num_slots": 2}, BUSY, True,
    ),
    "everything, continuous": (
        "toy_continuous", {"positions": "state"},
        {"num_candidates": 2, "max_context_steps": 2, "num_slots": 2}, BUSY, True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_engine_imagines_what_the_plain_reference_imagines(
    case: tuple[str, dict[str, Any], dict[str, Any], ToyDirector, bool],
) -> None:
    name, grounding, options, director, hooked = case
    model = grounded(name, **grounding)
    config = replace(CONFIG, **options)
    hook = project(name) if hooked else None
    expected = [
        imagine_plainly(model, director, config, request, project=hook)
        for request in requests(name, 4)
    ]
    assert_same_rollouts(by_engine(model, director, config, hook, count=4), expected)


@pytest.mark.parametrize("family", FAMILIES[1:])
def test_other_model_families_imagine_what_the_plain_reference_imagines(family: str) -> None:
    model = grounded(family=family)
    expected = [imagine_plainly(model, BUSY, CONFIG, request) for request in requests(count=4)]
    assert_same_rollouts(by_engine(model, BUSY, CONFIG, count=4), expected)


def test_eager_attention_imagines_what_the_default_attention_imagines() -> None:
    model = grounded()
    expected = by_engine(model, BUSY, CONFIG)
    model.backbone.set_attn_implementation("eager")
    assert_same_rollouts(by_engine(model, BUSY, CONFIG), expected)


@pytest.mark.parametrize("candidates", [1, 3])
def test_a_rollout_does_not_depend_on_the_number_of_slots(candidates: int) -> None:
    model = grounded()
    config = replace(CONFIG, num_candidates=candidates, max_context_steps=2)
    alone = by_engine(model, BUSY, replace(config, num_slots=1))
    for num_slots in (3, 8):
        others = by_engine(model, BUSY, replace(config, num_slots=num_slots))
        assert_same_rollouts(others, alone)


def test_from_four_slots_on_a_rollout_is_the_same_to_the_last_bit() -> None:
    model = grounded()
    rows = [
        sorted(
            (request.index, np.stack(request.observations).tobytes())
            for request in by_engine(model, BUSY, replace(CONFIG, num_slots=num_slots))
        )
        for num_slots in (4, 5, 16)
    ]
    assert rows[0] == rows[1] == rows[2]


def test_a_rollout_does_not_depend_on_the_other_requests() -> None:
    model = grounded()
    assert_same_rollouts(
        by_engine(model, BUSY, CONFIG, count=2), by_engine(model, BUSY, CONFIG)[:2]
    )


def test_slots_are_refilled_as_rollouts_end() -> None:
    model = grounded()
    engine = GenerationEngine(model, BUSY, replace(CONFIG, num_slots=2))
    taken: list[int] = []

    def waiting() -> Iterator[Request]:
        for request in requests():
            taken.append(request.index)
            yield request

    order = []
    for request in engine.imagine(waiting()):
        order.append(request.index)
        assert len(taken) <= len(order) + 2
    assert sorted(order) == list(range(6))
    # Request 1 ends after 2 of 5 steps, so it is done before request 0.
    assert order[0] == 1


def test_a_rollout_is_cut_after_the_step_limit_and_not_called_finished() -> None:
    done = by_engine(grounded(), BUSY, CONFIG)
    assert [len(request.actions) for request in done] == [5, 2, 5, 5, 1, 5]
    assert [request.finished for request in done] == [i in (1, 4) for i in range(6)]
    assert [request.goal == "Push it up." for request in done] == [i in (0, 3, 5) for i in range(6)]


def test_no_requests_give_no_rollouts() -> None:
    engine = GenerationEngine(grounded(), PLAIN, CONFIG)
    assert list(engine.imagine([])) == []


def test_another_seed_gives_another_rollout() -> None:
    model = grounded()
    engine = GenerationEngine(model, PLAIN, CONFIG)
    one = requests(count=1)[0]
    pair = [one, replace(one, index=1, seed=(8, 0), observations=[], actions=[])]
    done = list(engine.imagine(pair))
    assert not np.array_equal(np.stack(done[0].actions), np.stack(done[1].actions))


# ------------------------------------------------------- training and generation are equal


@pytest.mark.parametrize("positions", ["entity", "state"])
@pytest.mark.parametrize("name", ["toy", "toy_continuous"])
def test_generation_is_fed_exactly_what_training_is(
    name: str, positions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = grounded(name, positions=positions)
    fed: list[Tensors] = []
    embed = model.embed

    def recording(batch: Tensors) -> torch.Tensor:
        fed.append(batch)
        return embed(batch)

    monkeypatch.setattr(model, "embed", recording)
    (done,) = by_engine(model, PLAIN, replace(CONFIG, num_slots=1), project(name), count=1)
    words = model.layout.text(model.prompt(generation_prompt(done.goal)))
    observations, actions = np.stack(done.observations), np.stack(done.actions)
    rollout = model.layout.rollout(observations, actions, ended=True, loss=True)
    trained = collate([join([words, rollout])])
    for field in INPUTS:
        given = torch.cat([getattr(batch, field) for batch in fed], dim=1).numpy()
        np.testing.assert_array_equal(given, getattr(trained, field), field)


def test_the_hook_sees_the_entities_placed_before_and_its_word_is_final() -> None:
    seen: list[tuple[int, tuple[int, ...]]] = []

    def hook(slot: int, proposal: np.ndarray, placed: np.ndarray) -> np.ndarray:
        seen.append((slot, placed.shape))
        assert (placed == np.arange(slot)[None, :, None]).all()
        return np.full_like(proposal, slot)

    config = replace(CONFIG, num_slots=2, max_steps=2)
    done = by_engine(grounded(), PLAIN, config, hook, count=2)
    assert seen == [(0, (2, 0, 2)), (1, (2, 1, 2)), (2, (2, 2, 2))] * 2
    for request in done:
        assert [state.tolist() for state in request.observations[1:]] == [[0, 0, 1, 1, 2, 2]] * 2
        assert request.projected > 0


def test_the_candidate_that_the_director_likes_best_is_taken() -> None:
    chosen: list[tuple[np.ndarray, np.ndarray]] = []

    class Recorder(ToyDirector):
        def score(self, requests: Any, before: Any, actions: Any, after: Any, stop: Any) -> Any:
            assert len(set(actions.tolist())) == 4  # distinct actions
            scores = super().score(requests, before, actions, after, stop)
            best = int(scores.argmax())
            chosen.append((actions[best], after[best]))
            return scores

    config = replace(CONFIG, num_slots=1, num_candidates=4)
    (done,) = by_engine(grounded(), Recorder({}, {}), config, count=1)
    assert [int(action) for action in done.actions] == [int(action) for action, _ in chosen]
    np.testing.assert_array_equal(np.stack(done.observations[1:]), [state for _, state in chosen])


# ----------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("goal", ["disc " * 2000, "🤖" * 2500, "x" * 10_000])
def test_a_goal_that_is_too_long_is_refused_with_its_length(goal: str) -> None:
    model = grounded()
    engine = GenerationEngine(model, PLAIN, CONFIG)
    request = replace(requests(count=1)[0], goal=goal)
    tokens = len(model.prompt(generation_prompt(goal)))
    assert len(goal) >= 2500
    with pytest.raises(ValueError, match=f"at most 128 tokens .* got {tokens}.*Shorten the goal"):
        list(engine.imagine([request]))


def test_more_steps_than_the_base_model_can_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 256 positions, the base model's limit, got"):
        GenerationEngine(grounded(), PLAIN, replace(CONFIG, max_context_steps=100))


@pytest.mark.parametrize("option", ["num_slots", "num_candidates", "max_steps"])
def test_a_count_below_one_is_refused_with_its_flag(option: str) -> None:
    flag = f"--{option.replace('_', '-')}"
    with pytest.raises(ValueError, match=f"{flag} of at least 1, got 0"):
        GenerationConfig(**{option: 0})


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_a_temperature_that_is_no_temperature_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="--action-temperature of at least 0"):
        GenerationConfig(action_temperature=value)
