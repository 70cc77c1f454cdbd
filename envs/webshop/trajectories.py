"""Running shoppers: trajectories as text episodes for the store, and what they score.

An episode's observations are page texts with their actions, without the instruction: a state
then reads the same for every goal, and the goal stays beside it. Episode i is a function of
(seed, i) alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from envs.card import Card, package_versions
from envs.episode import Episode
from envs.webshop.goals import ShoppingGoal
from envs.webshop.policies import TextPolicy
from envs.webshop.shop import Session, Shop

COLLECTION_STEPS = 200  # most steps of an episode of the published data
EVALUATION_STEPS = 15  # and of an evaluation episode
_PACKAGES = ("bm25s", "PyStemmer", "rapidfuzz", "numpy")


def run_episode(
    session: Session,
    policy: TextPolicy,
    goal: ShoppingGoal,
    rng: np.random.Generator,
    horizon_steps: int = EVALUATION_STEPS,
) -> Episode:
    """The episode of one shopper, to the purchase or to the horizon.

    Raises:
        ValueError: the horizon is below one step.
    """
    if horizon_steps < 1:
        raise ValueError(f"Expected horizon_steps of at least 1, got {horizon_steps}.")
    observations, actions, rewards = [session.reset(goal)], list[str](), list[float]()
    policy.begin(goal, rng)
    ended = False
    while not ended and len(actions) < horizon_steps:
        actions.append(policy.act(observations[-1], session.valid_actions()))
        text, reward, ended = session.step(actions[-1])
        observations.append(text)
        rewards.append(reward)
    return Episode(
        goal=goal.text,
        observations=np.array(observations, np.str_),
        actions=np.array(actions, np.str_),
        rewards=np.array(rewards, np.float32),
        terminated=ended,
        source="real",
        level=goal.level,
        success=session.score is not None and session.score.reward == 1.0,
        provenance={"kind": goal.kind, "asin": goal.asin},
    )


def collect(
    shop: Shop,
    goals: Sequence[ShoppingGoal],
    policy: TextPolicy,
    count: int,
    seed: int = 0,
    horizon_steps: int = COLLECTION_STEPS,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[Episode]:
    """`count` episodes of goals drawn uniformly, failures kept and marked.

    Args:
        on_progress: called with the number of episodes collected so far.

    Raises:
        ValueError: there are no goals, or a number is below its least value.
    """
    if not goals:
        raise ValueError("Expected at least one goal, got none. Choose a split that has goals.")
    for name, value, least in (("count", count, 0), ("seed", seed, 0)):
        if value < least:
            raise ValueError(f"Expected {name} of at least {least}, got {value}.")
    return _collect(shop, goals, policy, count, seed, horizon_steps, on_progress)


def _collect(
    shop: Shop,
    goals: Sequence[ShoppingGoal],
    policy: TextPolicy,
    count: int,
    seed: int,
    horizon_steps: int,
    on_progress: Callable[[int], None] | None,
) -> Iterator[Episode]:
    session = Session(shop, goals[0])
    for index in range(count):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
        goal = goals[int(rng.integers(len(goals)))]
        episode = run_episode(session, policy, goal, rng, horizon_steps)
        yield _numbered(episode, seed, index)
        if on_progress:
            on_progress(index + 1)


def evaluate(
    shop: Shop,
    goals: Sequence[ShoppingGoal],
    policy: TextPolicy,
    seed: int = 0,
    horizon_steps: int = EVALUATION_STEPS,
) -> list[Episode]:
    """One episode for each goal, in their order."""
    episodes = []
    for index, goal in enumerate(goals):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
        episode = run_episode(Session(shop, goal), policy, goal, rng, horizon_steps)
        episodes.append(_numbered(episode, seed, index))
    return episodes


def _numbered(episode: Episode, seed: int, index: int) -> Episode:
    return replace(episode, provenance={**episode.provenance, "seed": seed, "index": index})


@dataclass(frozen=True)
class Result:
    """What a set of episodes scores."""

    score: float  # 100 times the mean reward, 0 where nothing was bought
    success_percent: float  # episodes with reward 1
    bought_percent: float  # episodes that end with a purchase
    steps: float  # mean length


def summarize(episodes: Sequence[Episode]) -> Result:
    """Mean score, success, purchases and length of episodes.

    Raises:
        ValueError: there are no episodes.
    """
    if not episodes:
        raise ValueError("Expected at least one episode, got none.")
    return Result(
        score=100 * float(np.mean([episode.rewards.sum() for episode in episodes])),
        success_percent=100 * float(np.mean([episode.success for episode in episodes])),
        bought_percent=100 * float(np.mean([episode.terminated for episode in episodes])),
        steps=float(np.mean([len(episode) for episode in episodes])),
    )


def data_card(shop: Shop, seed: int, command: str = "", note: str = "") -> Card:
    """The card of a store of this shop's episodes."""
    return Card(
        environment="webshop",
        environment_version=shop.version,
        source="real",
        command=command,
        seed=seed,
        versions=package_versions(_PACKAGES),
        note=note,
    )
