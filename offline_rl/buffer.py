"""The mixing buffer: batches with an exact share of imagined data, straight from flat arrays.

A batch is a pure function of (seed, step), so a resumed run sees the batches it would have seen.
Goal vectors are gathered from a table by goal id, every action gives one transition (also the last
one of an episode that was cut), and only a task's own ending is terminal. Departs from the
reference code, whose mix is accidental and whose intervals switch the discount off.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from envs.flat import FlatEpisodes
from offline_rl.goal_encoder import EncodedGoals
from offline_rl.normalizer import Normalizer

_BATCH_STREAM = 1  # spawn key: batches share no random numbers with evaluation
_AHEAD = (
    16  # batches drawn in one go: after an update, drawing finds its code and data out of cache
)


@dataclass(frozen=True)
class Transitions:
    """A batch of steps; inputs are an observation followed by its goal vector."""

    inputs: np.ndarray  # (B, D + V) float32
    actions: np.ndarray  # (B, 1) int64 or (B, A) float32
    rewards: np.ndarray  # (B, 1) float32
    next_inputs: np.ndarray  # (B, D + V) float32
    terminals: np.ndarray  # (B, 1) float32, 1 where the task ended
    imagined: np.ndarray  # (B,) bool


@dataclass(frozen=True)
class Windows:
    """A batch of L steps each up to a drawn one, padded on the left."""

    inputs: np.ndarray  # (B, L, D + V) float32
    actions: np.ndarray  # (B, L, 1) int64
    returns_to_go: np.ndarray  # (B, L, 1) float32, undiscounted
    timesteps: np.ndarray  # (B, L) int64, from 1 on; 0 is padding
    masks: np.ndarray  # (B, L) float32, 0 where padded
    imagined: np.ndarray  # (B,) bool


class _Source:
    """One data set: its episodes that are drawn from, and their rows in the goal table."""

    def __init__(self, episodes: FlatEpisodes, goals: EncodedGoals, success_only: bool) -> None:
        self.episodes = episodes
        self.goal_rows = goals.ids(episodes.goals)[episodes.goal_ids]  # (N,)
        self._chosen = np.flatnonzero(episodes.success if success_only else episodes.lengths > 0)
        self._ends = np.cumsum(episodes.lengths[self._chosen])

    @property
    def num_transitions(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def locate(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Episodes (B,) and steps within them (B,) of transition numbers (B,)."""
        place = np.searchsorted(self._ends, numbers, side="right")
        chosen = self._chosen[place]
        steps = numbers - (self._ends[place] - self.episodes.lengths[chosen])
        return chosen, steps

    @cached_property
    def returns_to_go(self) -> np.ndarray:
        """Undiscounted rewards from each step to its episode's end (S,) float32."""
        from_here = np.cumsum(self.episodes.rewards[::-1], dtype=np.float64)[::-1]
        ends = self.episodes.starts + self.episodes.lengths
        after = np.append(from_here, 0.0)[ends]
        rest = from_here - np.repeat(after, self.episodes.lengths)
        return np.asarray(rest, np.float32)


class MixingBuffer:
    """Batches over real and imagined episodes.

    `imagined_fraction * batch_size` rows of each batch are imagined, rounded to the nearest whole
    number with halves up; steps are drawn uniformly within each data set. `drawn` counts them.

    Args:
        imagined: None, or episodes of the same spaces.
        goals: table with every goal text of both data sets.
        imagined_fraction: share of imagined steps in each batch, in [0, 1].
        reward_scale: rewards are multiplied by it.
        success_only_real: draw from successful real episodes only (filtered imitation).
        success_only_imagined: the same for imagined episodes.

    Raises:
        ValueError: the fraction is outside [0, 1], the batch is empty, or a data set that it asks
            for is.
    """

    def __init__(
        self,
        real: FlatEpisodes | None,
        imagined: FlatEpisodes | None,
        goals: EncodedGoals,
        normalizer: Normalizer,
        *,
        batch_size: int,
        imagined_fraction: float = 0.0,
        seed: int = 0,
        reward_scale: float = 1.0,
        success_only_real: bool = False,
        success_only_imagined: bool = False,
    ) -> None:
        check_fraction(imagined_fraction)
        if batch_size < 1:
            raise ValueError(f"Expected a --batch-size of at least 1, got {batch_size}.")
        num_imagined = int(np.floor(imagined_fraction * batch_size + 0.5))
        self.counts = {"real": batch_size - num_imagined, "imagined": num_imagined}
        self._num_batches = 0  # drawn so far
        self.reward_scale = reward_scale
        self._seed = seed
        self._normalizer = normalizer
        given = {"real": real, "imagined": imagined}
        filtered = {"real": success_only_real, "imagined": success_only_imagined}
        self._sources: dict[str, _Source] = {}
        for name, count in self.counts.items():
            episodes = given[name]
            if count == 0:
                continue
            if episodes is None or len(episodes) == 0:
                raise ValueError(
                    f"Expected {count} {name} steps in each batch, got no {name} episodes. "
                    f"Provide some, or choose an --imagined-fraction that asks for none."
                )
            self._sources[name] = _Source(episodes, goals, filtered[name])
            if self._sources[name].num_transitions == 0:
                raise ValueError(
                    f"Expected successful {name} episodes, got none among {len(episodes)}. "
                    f"Drop --success-only-{name}."
                )
        # Room for an observation before each goal vector: gathering makes a whole input, in one go.
        self._dim = next(iter(self._sources.values())).episodes.observations.shape[-1]
        # Batches from number 16 * chunk on, and whether they know what follows a step.
        self._ahead: tuple[tuple[int, bool], list[np.ndarray]] = ((-1, False), [])
        self._table = np.pad(normalizer.goals(goals.vectors), ((0, 0), (self._dim, 0)))

    @property
    def drawn(self) -> dict[str, int]:
        """Steps drawn so far, by source."""
        return {name: self._num_batches * count for name, count in self.counts.items()}

    @property
    def num_transitions(self) -> dict[str, int]:
        """Steps that can be drawn, by source."""
        return {name: source.num_transitions for name, source in self._sources.items()}

    def transitions(self, step: int, with_next: bool = True, reuse: bool = False) -> Transitions:
        """The batch of training step `step`.

        Args:
            with_next: False leaves `next_inputs` equal to `inputs`, for imitation.
            reuse: write inputs over those of the last batch with `reuse`, which nobody may need any
                more. Fresh memory of that size costs three times the gathering.
        """
        chunk, place = divmod(step, _AHEAD)
        if self._ahead[0] != (chunk, with_next):
            steps = range(chunk * _AHEAD, (chunk + 1) * _AHEAD)
            gather = partial(self._transitions, with_next=with_next)
            self._ahead = (chunk, with_next), self._draw(steps, gather)
        columns = (column[place] for column in self._ahead[1])
        before, goals, actions, rewards, terminals, *after, imagined = columns
        self._num_batches += 1
        rooms = self._rooms if reuse else (None, None)
        inputs = self._inputs(before, goals, rooms[0])
        next_inputs = self._inputs(after[0], goals, rooms[1]) if with_next else inputs
        return Transitions(inputs, actions, rewards, next_inputs, terminals, imagined)

    def windows(self, step: int, context_steps: int) -> Windows:
        """The windows of training step `step`, each of `context_steps` steps."""
        columns = self._draw([step], partial(self._windows, context_steps=context_steps))
        observations, goals, *others, imagined = (column[0] for column in columns)
        self._num_batches += 1
        actions, returns, timesteps, masks = others
        inputs = self._inputs(observations, goals) * masks[..., None]
        return Windows(inputs, actions, returns, timesteps, masks, imagined)

    def return_quantile(self, quantile: float) -> float:
        """That quantile of the scaled episode returns, over the data sets that are drawn from."""
        returns = [
            source.returns_to_go[source.episodes.starts] for source in self._sources.values()
        ]
        return float(np.quantile(np.concatenate(returns), quantile)) * self.reward_scale

    def _draw(
        self, steps: Sequence[int], gather: Callable[..., tuple[np.ndarray, ...]]
    ) -> list[np.ndarray]:
        """Columns (K, B, ...) of K batches: what `gather` takes, and which rows are imagined."""
        rngs = [np.random.default_rng([self._seed, _BATCH_STREAM, step]) for step in steps]
        parts = []
        for name, source in self._sources.items():
            many, count = source.num_transitions, self.counts[name]
            numbers = np.stack([rng.integers(many, size=count) for rng in rngs])
            columns = gather(source, *source.locate(numbers))
            parts.append((*columns, np.full(numbers.shape, name == "imagined")))
        if len(parts) == 1:
            return list(parts[0])  # nothing to join: spares a copy of everything
        return [np.concatenate(columns, axis=1) for columns in zip(*parts, strict=True)]

    def _transitions(
        self, source: _Source, chosen: np.ndarray, steps: np.ndarray, with_next: bool
    ) -> tuple[np.ndarray, ...]:
        episodes = source.episodes
        rows = episodes.starts[chosen] + steps
        last = steps == episodes.lengths[chosen] - 1
        places = rows + chosen  # of observations, of which an episode has one more
        found = (
            self._normalizer.observations(episodes.observations[places]),
            source.goal_rows[chosen],
            _columns(episodes.actions[rows]),
            self._scaled(episodes.rewards[rows])[..., None],
            (last & episodes.terminated[chosen]).astype(np.float32)[..., None],
        )
        if not with_next:
            return found
        return (*found, self._normalizer.observations(episodes.observations[places + 1]))

    def _windows(
        self, source: _Source, chosen: np.ndarray, steps: np.ndarray, context_steps: int
    ) -> tuple[np.ndarray, ...]:
        episodes = source.episodes
        within = steps[..., None] + np.arange(1 - context_steps, 1)  # (K, B, L), negative: padding
        real = within >= 0
        rows = episodes.starts[chosen][..., None] + np.maximum(within, 0)
        return (
            self._normalizer.observations(episodes.observations[rows + chosen[..., None]]),
            np.broadcast_to(source.goal_rows[chosen][..., None], rows.shape),
            _columns(np.where(real, episodes.actions[rows], 0)),
            (self._scaled(source.returns_to_go[rows]) * real)[..., None],
            np.where(real, within + 1, 0),
            real.astype(np.float32),
        )

    @cached_property
    def _rooms(self) -> tuple[np.ndarray, np.ndarray]:
        """Where inputs and next inputs of batches go that are reused."""
        shape = (sum(self.counts.values()), self._table.shape[1])
        return np.empty(shape, self._table.dtype), np.empty(shape, self._table.dtype)

    def _inputs(
        self, observations: np.ndarray, goals: np.ndarray, room: np.ndarray | None = None
    ) -> np.ndarray:
        """Normalised observations, each followed by its goal's vector."""
        # Rows are known to exist; with the default mode numpy would fill a copy of `room` first.
        inputs = self._table.take(goals, axis=0, out=room, mode="clip")
        inputs[..., : self._dim] = observations
        return inputs

    def _scaled(self, rewards: np.ndarray) -> np.ndarray:
        return np.asarray(rewards * np.float32(self.reward_scale), np.float32)


def _columns(actions: np.ndarray) -> np.ndarray:
    """Discrete actions as a column, continuous ones as they are."""
    discrete = actions.dtype.kind in "iu"
    return actions[..., None].astype(np.int64) if discrete else actions


def check_fraction(imagined_fraction: float) -> None:
    """Checks a share of imagined data.

    Raises:
        ValueError: it is outside [0, 1].
    """
    if not 0.0 <= imagined_fraction <= 1.0:
        raise ValueError(
            f"Expected an --imagined-fraction between 0 and 1, got {imagined_fraction}. "
            "0.5 is half real, half imagined."
        )


def goal_texts(*data: FlatEpisodes | None) -> Sequence[str]:
    """Distinct goal texts of several data sets, in order."""
    return list(dict.fromkeys(text for episodes in data if episodes for text in episodes.goals))
