"""The language model as a policy: the same actions as without a cache, one episode per slot."""

import numpy as np
import pytest
import torch
from tiny_models import FAMILIES, grounded, toy

from envs.rollouts import run_tasks
from envs.world import Task
from kalm.language_model import Tensors
from kalm.layout import collate, join
from kalm.model import GroundedModel
from kalm.policy import LanguageModelPolicy
from kalm.prompts import generation_prompt


class PlainPolicy:
    """The same policy, everything encoded anew at every step."""

    def __init__(self, model: GroundedModel, temperature: float, max_context_steps: int) -> None:
        self.model, self.temperature, self.steps = model, temperature, max_context_steps
        self.tasks: dict[int, Task] = {}
        self.streams: dict[int, np.random.Generator] = {}
        self.states: dict[int, list[np.ndarray]] = {}
        self.actions: dict[int, list[np.ndarray]] = {}

    def begin(self, slots: np.ndarray, tasks: list[Task]) -> None:
        for slot, task in zip(slots.tolist(), tasks, strict=True):
            self.tasks[slot], self.streams[slot] = task, np.random.default_rng(task.seed)
            self.states[slot], self.actions[slot] = [], []

    def act(self, slots: np.ndarray, observations: np.ndarray) -> np.ndarray:
        pairs = zip(slots.tolist(), observations, strict=True)
        return np.stack([self._act(slot, state) for slot, state in pairs])

    @torch.inference_mode()
    def _act(self, slot: int, state: np.ndarray) -> np.ndarray:
        layout = self.model.layout
        if len(self.actions[slot]) == self.steps:
            self.states[slot], self.actions[slot] = [], []
        self.states[slot].append(state)
        goal = self.tasks[slot].goal.text
        parts = [layout.text(self.model.prompt(generation_prompt(goal)))]
        if self.actions[slot]:
            states, actions = np.stack(self.states[slot]), np.stack(self.actions[slot])
            parts.append(layout.rollout(states, actions, ended=False, loss=False))
        else:
            parts.append(layout.state(state, None, loss=False))
        hidden = self.model.hidden(Tensors.of(collate([join(parts)])))[:, -1]
        uniforms = torch.from_numpy(self.streams[slot].random((1, layout.action_width)))
        action = self.model.next_action(hidden, uniforms, self.temperature)[0].numpy()
        chosen = np.int64(action[0]) if self.model.spaces.num_actions else action
        self.actions[slot].append(chosen)
        return np.asarray(chosen)


def tasks(name: str, count: int = 6) -> list[Task]:
    world = toy(name)
    starts = world.draw_starts(count, np.random.default_rng(0))
    goals = [*world.goals("hard")[:3], *world.goals("easy")[:3]]
    return [Task(goals[i], starts[i], 40 + i) for i in range(count)]


CASES = {
    "greedy": ("toy", "llama", "entity", 0.0, 12),
    "sampled": ("toy", "llama", "entity", 1.0, 12),
    "prompted anew": ("toy", "llama", "entity", 1.0, 3),
    "one position a state": ("toy", "qwen3", "state", 1.0, 12),
    "continuous": ("toy_continuous", "gpt2", "entity", 1.0, 12),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_policy_acts_as_without_a_cache(case: tuple[str, str, str, float, int]) -> None:
    name, family, positions, temperature, steps = case
    assert family in FAMILIES
    model = grounded(name, family=family, positions=positions)
    cached = LanguageModelPolicy(model, 4, temperature=temperature, max_context_steps=steps)
    plain = PlainPolicy(model, temperature, steps)
    world = toy(name)
    # Six tasks in four slots: one-step goals end at once and their slots start anew.
    found = list(run_tasks(world, cached, tasks(name), num_slots=4))
    expected = list(run_tasks(world, plain, tasks(name), num_slots=4))
    assert len({len(episode) for episode in expected}) > 1
    for one, other in zip(found, expected, strict=True):
        assert one.actions.dtype == other.actions.dtype
        np.testing.assert_allclose(one.actions, other.actions, atol=1e-4)


def test_the_policy_does_not_depend_on_the_number_of_slots() -> None:
    model, world = grounded(), toy()
    alone = run_tasks(
        world, LanguageModelPolicy(model, 1, temperature=1.0), tasks("toy"), num_slots=1
    )
    together = run_tasks(
        world, LanguageModelPolicy(model, 6, temperature=1.0), tasks("toy"), num_slots=6
    )
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)


def test_a_goal_that_is_too_long_is_refused_with_its_length() -> None:
    model, world = grounded(), toy()
    goal = type(tasks("toy")[0].goal)("disc " * 2000, "hard", "two_goals", (0,) * 6)
    policy = LanguageModelPolicy(model, 1)
    policy.begin(np.array([0]), [Task(goal, tasks("toy")[0].start, 0)])
    with pytest.raises(ValueError, match=r"at most 128 tokens .*Shorten the goal"):
        policy.act(np.array([0]), world.draw_starts(1, np.random.default_rng(0)))
