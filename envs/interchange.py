"""Episodes in the formats of others: Minari, the ImagineBench arrays, d3rlpy; nothing is dropped.

The one thing to know is the final observation. Minari keeps it; the two others have no place for
it. Here it takes the first padding row of an ImagineBench rollout, and an extra step of a d3rlpy
episode that was cut, so that the last transition survives.

Source: Minari's dataset standards; the README of ImagineBench; d3rlpy.dataset.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.episode import Episode
from envs.files import StoreError
from envs.minari_sets import export_minari, import_minari

if TYPE_CHECKING:
    import d3rlpy

__all__ = ["export_minari", "from_imagine_bench", "import_minari", "to_d3rlpy", "to_imagine_bench"]

_FACTS = ("goal", "level", "source", "terminated", "success")


def to_imagine_bench(
    episodes: Sequence[Episode], goal_vectors: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Arrays in the layout of ImagineBench, N rollouts of T rows.

    T is the longest rollout and one: the row after the last step holds the final observation. The
    four arrays of the benchmark come with what it leaves out: goals, flags and provenance.

    Args:
        goal_vectors: of every goal (V,), appended to the observations of its episodes.

    Raises:
        StoreError: there are no episodes, or observations are no vectors.
    """
    _require_some(episodes)
    rows = max(map(len, episodes)) + 1
    bench: dict[str, np.ndarray] = {}
    for index, episode in enumerate(episodes):
        steps = len(episode)
        parts = {
            "observations": _with_goal(episode, goal_vectors),
            "actions": episode.actions.reshape(steps, -1),
            "rewards": episode.rewards.reshape(steps, 1),
            "masks": np.ones((steps, 1), np.float32),
        }
        for name, values in parts.items():
            if index == 0:
                bench[name] = np.zeros((len(episodes), rows, values.shape[1]), values.dtype)
            bench[name][index, : len(values)] = values
    for name in _FACTS:
        bench[name] = np.array([getattr(episode, name) for episode in episodes])
    bench["provenance"] = np.array([json.dumps(dict(each.provenance)) for each in episodes])
    return bench


def from_imagine_bench(
    bench: Mapping[str, np.ndarray],
    goal_dim: int,
    *,
    goals: Sequence[str] | None = None,
    source: str = "real",
    level: str = "",
    repeat_last: bool = False,
) -> list[Episode]:
    """Episodes of arrays in the layout of ImagineBench, ours or the benchmark's own.

    The benchmark's files say nothing of endings: there, a rollout that fills all rows was cut.

    Args:
        goal_dim: numbers at the end of each observation that encode the goal.
        goals: words of each rollout (N,), where the arrays hold none.
        source: of all rollouts, where the arrays hold none.
        level: of all rollouts, where the arrays hold none.
        repeat_last: a rollout without a final observation repeats its last one.

    Raises:
        StoreError: goals or final observations are missing.
    """
    masks = bench["masks"].reshape(len(bench["masks"]), -1)
    count, rows = masks.shape
    lengths = masks.sum(axis=1).astype(int)
    facts: dict[str, Sequence[Any]] = {
        "goal": goals or [],
        "level": [level] * count,
        "source": [source] * count,
        "terminated": (lengths < rows).tolist(),
        "success": [False] * count,
        "provenance": ["{}"] * count,
    }
    facts |= {name: bench[name].tolist() for name in facts if name in bench}
    if len(facts["goal"]) != count:
        raise StoreError(
            f"Expected the words of {count} goals, got {len(facts['goal'])}. Give them as `goals`."
        )
    episodes = []
    for index, steps in enumerate(lengths):
        states = bench["observations"][index]
        if steps == rows or not states[steps].any():
            if not repeat_last:
                raise StoreError(
                    f"Rollout {index} holds no final observation. "
                    "Set `repeat_last` to repeat its last one."
                )
            states = np.concatenate([states[:steps], states[steps - 1 : steps]])
        actions = bench["actions"][index, :steps]
        own = {name: values[index] for name, values in facts.items()}
        episodes.append(
            Episode(
                **(own | {"provenance": json.loads(own["provenance"])}),
                observations=states[: steps + 1, : states.shape[1] - goal_dim].copy(),
                actions=actions[:, 0] if actions.dtype.kind in "iu" else actions,
                rewards=bench["rewards"][index, :steps].reshape(-1),
            )
        )
    return episodes


def to_d3rlpy(
    episodes: Sequence[Episode],
    goal_vectors: Mapping[str, np.ndarray],
    num_actions: int | None = None,
) -> "d3rlpy.dataset.MDPDataset":
    """A d3rlpy data set with one transition per action, that of a cut episode's end included.

    d3rlpy drops the last transition of a cut episode, so such an episode gets one more step: its
    final observation, with a zero action and no reward. The final observation of a terminated
    episode has no place there, nor do level, source and provenance.

    Args:
        goal_vectors: of every goal (V,), appended to the observations of its episodes.
        num_actions: of discrete actions; None where actions are continuous.

    Raises:
        StoreError: there are no episodes, or observations are no vectors.
    """
    import d3rlpy

    _require_some(episodes)
    columns: list[list[np.ndarray]] = [[] for _ in range(5)]
    for episode in episodes:
        steps = len(episode) if episode.terminated else len(episode) + 1
        blank = steps - len(episode)
        last = np.arange(steps) == steps - 1
        values = (
            _with_goal(episode, goal_vectors)[:steps],
            np.concatenate([episode.actions, np.zeros_like(episode.actions[:blank])]),
            np.concatenate([episode.rewards, np.zeros_like(episode.rewards[:blank])]),
            last & episode.terminated,
            last & (not episode.terminated),
        )
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    observations, actions, rewards, terminals, timeouts = map(np.concatenate, columns)
    discrete = num_actions is not None
    dataset = d3rlpy.dataset.MDPDataset(
        observations,
        actions,
        rewards,
        terminals.astype(np.float32),
        timeouts.astype(np.float32),
        action_space=d3rlpy.ActionSpace.DISCRETE if discrete else d3rlpy.ActionSpace.CONTINUOUS,
        action_size=num_actions if discrete else actions.shape[1],
    )
    expected = sum(map(len, episodes))
    assert dataset.transition_count == expected, (dataset.transition_count, expected)
    return dataset


def _require_some(episodes: Sequence[Episode]) -> None:
    if not episodes:
        raise StoreError("Expected at least one episode to export, got none.")


def _with_goal(episode: Episode, goal_vectors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Observations (T + 1, D + V) with the goal's vector in every row."""
    states = episode.observations
    if states.ndim != 2:
        raise StoreError(f"Expected vectors as observations, got the shape {states.shape[1:]}.")
    vector = np.asarray(goal_vectors[episode.goal], states.dtype)
    return np.concatenate([states, np.tile(vector, (len(states), 1))], axis=1)
