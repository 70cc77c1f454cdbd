"""What a language model is fine-tuned on: the steps of plans made on the data's own model.

Every goal is labelled on the edges of the empirical model, solved by exact backward planning and
rolled out there; plans that reach their goal are kept and each of their steps is a sample, for what
is left of a plan is a plan. No environment is stepped, and none can be: there is none here.
Source: TEDUO (arXiv 2412.06877), step 3; the paper trains on whole lists of actions.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from envs.babyai.states import GridShape
from envs.settings import Count, NotNegative, Settings, Whole
from imagination.programs import Program, program_labels
from offline_rl.empirical import EmpiricalModel
from offline_rl.plans import Plans, sample_plans
from offline_rl.tabular import plan_backward

_CHUNK = 65_536  # edges labelled at once; a multiple of 8

# States before (N, D), actions (N,), states after (N, D): which steps reach the goal, (N,) bool.
Labeller = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class LabelledGoal:
    """A goal as the learner has it."""

    name: str  # such as the text of its program
    label: Labeller | np.ndarray  # or labels of the model's own edges, packed (ceil(E / 8),) uint8


@dataclass(frozen=True)
class DistillationConfig(Settings):
    """How much is distilled."""

    num_plans: Count = 10_000  # over all goals
    longest_steps: Count = 200  # plans with more actions are left out
    balance: NotNegative = 1.0  # 0 draws every start alike, 1 every distance to the goal alike
    seed: Whole = 0


@dataclass(frozen=True)
class GoalReport:
    """What became of one goal."""

    goal: str
    labelled_edges: int  # steps in the data that reach it
    solved_states: int  # states from which the data shows a way
    plans: int
    seconds: float  # of planning, labels not counted


@dataclass(frozen=True)
class PlannedSteps:
    """Steps of plans, plan after plan, as ids and numbers: what samples are told from."""

    goals: np.ndarray  # (N,) int32, index into `reports`
    plans: np.ndarray  # (N,) int32, which plan
    states: np.ndarray  # (N,) int32, id in the empirical model
    actions: np.ndarray  # (N,) int8
    steps_left: np.ndarray  # (N,) int32, this one included
    reports: tuple[GoalReport, ...]  # of every goal, those that nothing reaches included

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def unreached(self) -> list[str]:
        """Goals that the data shows no way to."""
        return [report.goal for report in self.reports if not report.plans]


def plan_steps(
    model: EmpiricalModel,
    goals: Sequence[LabelledGoal],
    shares: Sequence[float],
    config: DistillationConfig,
    action_order: Sequence[int],
    on_goal: Callable[[int], None] = lambda count: None,
) -> PlannedSteps:
    """Plans of all goals, each with its share of `config.num_plans`.

    Args:
        shares: of the plans, one number a goal; they add up to 1.
        action_order: of equally short ways the one with the first action in it is taken.
        on_goal: called with the number of goals done.

    Raises:
        ValueError: there is not one share a goal.
    """
    if len(shares) != len(goals):
        raise ValueError(f"Expected a share for each of {len(goals)} goals, got {len(shares)}.")
    found, reports = [], []
    counts = np.diff(np.round(np.cumsum([0.0, *shares]) * config.num_plans).astype(int))
    packed = packed_labels(model, [goal.label for goal in goals])
    for index, (goal, count) in enumerate(zip(goals, counts.tolist(), strict=True)):
        began = time.perf_counter()
        labels = unpacked(model, packed[index])
        solution = plan_backward(model, labels, action_order)
        seed = int(np.random.SeedSequence([config.seed, index]).generate_state(1)[0])
        plans = sample_plans(
            model, labels, solution, count, seed, config.longest_steps, config.balance
        )
        seconds = time.perf_counter() - began
        reports.append(
            GoalReport(goal.name, int(labels.sum()), solution.num_solved, len(plans), seconds)
        )
        found.append(plans)
        on_goal(index + 1)
    return joined_steps(found, reports)


def program_labeller(program: Program, shape: GridShape) -> Labeller:
    """Labels of a goal that was read as a program."""
    return lambda before, actions, after: program_labels(program, before, actions, after, shape)


def edge_labels(model: EmpiricalModel, label: Labeller) -> np.ndarray:
    """Which edges (E,) bool of the model reach a goal."""
    return unpacked(model, packed_labels(model, [label])[0])


def packed_labels(model: EmpiricalModel, labels: Sequence[Labeller | np.ndarray]) -> np.ndarray:
    """Which edges reach each goal, eight to a byte (G, ceil(E / 8)) uint8; see `unpacked`.

    States are looked up once for all goals: with many goals that is most of the work.
    """
    count = len(model.counts)
    packed = np.empty((len(labels), -(-count // 8)), np.uint8)
    labellers = {}
    for goal, label in enumerate(labels):
        if isinstance(label, np.ndarray):
            packed[goal] = label
        else:
            labellers[goal] = label
    if not labellers:
        return packed
    for first in range(0, count, _CHUNK):
        pairs = model.edge_pairs[first : first + _CHUNK]
        before = model.states[model.pair_states[pairs]]
        after = model.states[model.successors[first : first + _CHUNK]]
        actions = model.pair_actions[pairs]
        places = slice(first // 8, first // 8 + -(-len(pairs) // 8))
        for goal, label in labellers.items():
            packed[goal, places] = np.packbits(label(before, actions, after))
    return packed


def unpacked(model: EmpiricalModel, packed: np.ndarray) -> np.ndarray:
    """Labels (E,) bool of one goal from a row of `packed_labels`."""
    return np.asarray(np.unpackbits(packed, count=len(model.counts)).view(np.bool_))


def goal_labels(
    model: EmpiricalModel, goals: Sequence[LabelledGoal]
) -> Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Says which steps reach which goal, (B,) bool; what the data never shows reaches none.

    Its arguments: numbers of goals (B,), states before (B, D), actions (B,), states after (B, D).
    """

    def reached(
        numbers: np.ndarray, before: np.ndarray, actions: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        found = np.zeros(len(numbers), bool)
        for number in np.unique(numbers).tolist():
            rows, label = numbers == number, goals[number].label
            steps = (before[rows], actions[rows], after[rows])
            if isinstance(label, np.ndarray):
                edges = model.edges_of(model.ids(steps[0]), steps[1], model.ids(steps[2]))
                found[rows] = unpacked(model, label)[edges] & (edges >= 0)
            else:
                found[rows] = label(*steps)
        return found

    return reached


def equal_shares(groups: Sequence[str]) -> list[float]:
    """Shares of goals, the same for every group, and the same for every goal within one.

    Args:
        groups: the group that each goal belongs to.
    """
    sizes = {group: groups.count(group) for group in set(groups)}
    return [1.0 / (len(sizes) * sizes[group]) for group in groups]


def replay(
    model: EmpiricalModel,
    steps: PlannedSteps,
    advance: Callable[[np.ndarray, np.ndarray], np.ndarray],
    reached: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> float:
    """Share of plans that reach their goal with their last action when played again.

    Args:
        advance: next states (B, D) of states (B, D) and actions (B,): of the model, or of an
            environment for an audit.
        reached: which steps reach their goal, (B,) bool, from goals (B,), states before, actions
            and states after.
    """
    firsts = np.flatnonzero(np.diff(steps.plans, prepend=-1))
    lengths = steps.steps_left[firsts]
    states, done = model.states[steps.states[firsts]], np.zeros(len(firsts), bool)
    for step in range(int(lengths.max(initial=0))):
        running = np.flatnonzero(lengths > step)
        actions = steps.actions[firsts[running] + step].astype(np.int64)
        after = advance(states[running], actions)
        goals = steps.goals[firsts[running]]
        done[running] = reached(goals, states[running], actions, after)
        states[running] = after
    return float(done.mean()) if len(done) else 1.0


def likely_next(model: EmpiricalModel, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """The states (B, D) that the data shows most often next; unseen steps stay where they are."""
    ids = model.ids(states)
    edges = model.likely_edges_of(ids, actions)
    following = np.where(edges < 0, ids, model.successors[edges])
    return np.where((following < 0)[:, None], states, model.states[following])


def joined_steps(found: Sequence[Plans], reports: Sequence[GoalReport]) -> PlannedSteps:
    """The steps of all goals' plans, one after the other; last states have no action."""
    lengths = [np.diff(plans.ends, prepend=0) for plans in found]
    left = [np.arange(length, 0, -1) for many in lengths for length in many.tolist()]
    acting = [np.delete(plans.states, plans.ends + np.arange(len(plans))) for plans in found]
    every = np.concatenate(lengths) if lengths else np.zeros(0, np.int64)
    of_goal = np.repeat(np.arange(len(found)), [len(plans.actions) for plans in found])
    return PlannedSteps(
        goals=of_goal.astype(np.int32),
        plans=np.repeat(np.arange(len(every)), every).astype(np.int32),
        states=np.concatenate([*acting, np.zeros(0, np.int32)]).astype(np.int32),
        actions=np.concatenate([*(plans.actions for plans in found), np.zeros(0, np.int8)]),
        steps_left=np.concatenate([*left, np.zeros(0, np.int32)]).astype(np.int32),
        reports=tuple(reports),
    )
