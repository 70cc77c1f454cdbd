"""Shares of success with 95 % intervals, and comparisons between agents.

Outcomes come as matrices (S seeds, N tasks): every seed's agent runs the same tasks, so bootstraps
resample seeds and tasks crosswise. A task that a seed did not run is NaN: such as the starts that
only some seeds' data know. Strata (kinds of goals, levels) are resampled one by one and enter with
fixed weights.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

RESAMPLES = 10_000


@dataclass(frozen=True)
class Interval:
    """An estimate between its bounds."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Stratum:
    """Outcomes of one kind of task, and its share in the whole."""

    weight: float  # shares of all strata sum to 1
    outcomes: np.ndarray  # (S, N), such as 0 and 1; NaN where the seed did not run the task

    @property
    def episodes(self) -> int:
        """How many outcomes there are."""
        return int(np.count_nonzero(~np.isnan(self.outcomes)))


def wilson(value: float, count: float, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a share `value` seen in `count` independent trials.

    Source: Wilson 1927, without continuity correction.
    """
    if count <= 0 or not 0.0 <= value <= 1.0:
        raise ValueError(f"Expected a share in [0, 1] of at least one trial, got {value}, {count}.")
    z = float(norm.ppf(0.5 + confidence / 2))
    centre = (value + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = math.sqrt(value * (1 - value) / count + z**2 / (4 * count**2))
    half = z * spread / (1 + z**2 / count)
    return Interval(value, min(value, max(0.0, centre - half)), max(value, min(1.0, centre + half)))


def weighted_mean(strata: Sequence[Stratum]) -> float:
    """The strata's means, weighted."""
    return float(sum(stratum.weight * np.nanmean(stratum.outcomes) for stratum in strata))


def effective_count(strata: Sequence[Stratum]) -> float:
    """Independent trials of equal weight that would tell as much.

    Source: Kish 1965, the design effect of unequal weights.
    """
    return 1.0 / sum(stratum.weight**2 / stratum.episodes for stratum in strata)


def success_interval(strata: Sequence[Stratum], seed: int = 0) -> Interval:
    """The weighted share of success with its 95 % interval.

    With one seed it is Wilson's, over the effective number of episodes. With more it is the
    bootstrap over seeds and tasks, widened to Wilson's where all outcomes agree.
    """
    value = min(max(weighted_mean(strata), 0.0), 1.0)
    floor = wilson(value, effective_count(strata))
    if len(strata[0].outcomes) == 1:
        return floor
    low, high = np.quantile(bootstrap_means(strata, seed), (0.025, 0.975))
    low, high = max(0.0, float(low)), min(1.0, float(high))  # sums of weights round
    return Interval(value, min(floor.low, low), max(floor.high, high))


def mean_interval(strata: Sequence[Stratum], seed: int = 0) -> Interval:
    """The weighted mean of any outcomes with its 95 % interval, by bootstrap."""
    low, high = np.quantile(bootstrap_means(strata, seed), (0.025, 0.975))
    return Interval(weighted_mean(strata), float(low), float(high))


def paired_difference(
    first: Sequence[Stratum], second: Sequence[Stratum], seed: int = 0
) -> Interval:
    """How much higher `first` scores than `second` on the same tasks, with its 95 % interval.

    Seeds are paired in order; an agent with one seed is compared with every seed of the other.

    Raises:
        ValueError: the strata differ in number, weight or tasks.
    """
    pairs = list(zip(first, second, strict=False))
    if len(first) != len(second) or any(
        one.weight != other.weight or one.outcomes.shape[1] != other.outcomes.shape[1]
        for one, other in pairs
    ):
        raise ValueError("Expected the same strata and tasks on both sides. Evaluate both alike.")
    differences = [
        Stratum(one.weight, one.outcomes.astype(np.float64) - other.outcomes)
        for one, other in pairs
    ]
    low, high = np.quantile(bootstrap_means(differences, seed), (0.025, 0.975))
    return Interval(weighted_mean(differences), float(low), float(high))


def bootstrap_means(strata: Sequence[Stratum], seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Weighted means (R,) of outcomes with seeds, and tasks within strata, drawn anew.

    Raises:
        ValueError: strata have different numbers of seeds.
    """
    num_seeds = len(strata[0].outcomes)
    if any(len(stratum.outcomes) != num_seeds for stratum in strata):
        raise ValueError("Expected the same seeds in every stratum. Evaluate all levels alike.")
    rng = np.random.default_rng(seed)
    means = np.zeros(resamples)
    seed_shares = _resampled_shares(rng, num_seeds, resamples)
    for stratum in strata:
        task_shares = _resampled_shares(rng, stratum.outcomes.shape[1], resamples)
        means += stratum.weight * _drawn_means(stratum.outcomes, seed_shares, task_shares)
    return means


def _drawn_means(
    outcomes: np.ndarray, seed_shares: np.ndarray, task_shares: np.ndarray
) -> np.ndarray:
    """Means (R,) of the outcomes that were drawn; the mean of all where none of them was run."""
    values = outcomes.astype(np.float64)
    missing = np.isnan(values)
    per_task = seed_shares @ np.where(missing, 0.0, values)  # (R, N)
    sums: np.ndarray = (per_task * task_shares).sum(axis=1)
    if not missing.any():
        return sums
    run = ((seed_shares @ ~missing) * task_shares).sum(axis=1)
    everything = np.full(len(sums), np.nanmean(values))
    means: np.ndarray = np.divide(sums, run, out=everything, where=run > 0.0)
    return means


def _resampled_shares(rng: np.random.Generator, count: int, resamples: int) -> np.ndarray:
    """How often each of `count` items is drawn (R, count), divided by `count`."""
    shares: np.ndarray = rng.multinomial(count, np.full(count, 1 / count), resamples) / count
    return shares


def interquartile_mean(scores: np.ndarray) -> float:
    """Mean of the middle half of all scores, int(count / 4) cut at each end.

    Source: Agarwal et al. 2021 (rliable).
    """
    ordered = np.sort(scores, axis=None)
    cut = int(0.25 * ordered.size)
    return float(ordered[cut : ordered.size - cut].mean())


def probability_of_improvement(first: np.ndarray, second: np.ndarray) -> float:
    """Probability that a run of `first` beats one of `second` on a task, ties counting half.

    Args:
        first: scores (runs, tasks).
        second: scores (runs, tasks), perhaps of another number of runs.

    Source: Agarwal et al. 2021 (rliable): Mann-Whitney U per task, averaged over tasks.
    """
    above = first[:, None] > second[None]
    equal = first[:, None] == second[None]
    return float((above + 0.5 * equal).mean())


def stratified_bootstrap(
    scores: np.ndarray,
    statistic: Callable[[np.ndarray], float],
    seed: int = 0,
    resamples: int = 2000,
) -> Interval:
    """A statistic of scores (runs, tasks) with its 95 % interval; runs are drawn anew per task.

    Source: Agarwal et al. 2021 (rliable).
    """
    rng = np.random.default_rng(seed)
    num_runs, num_tasks = scores.shape
    columns = np.arange(num_tasks)
    values = [
        statistic(scores[rng.integers(num_runs, size=(num_runs, num_tasks)), columns])
        for _ in range(resamples)
    ]
    low, high = np.quantile(values, (0.025, 0.975))
    return Interval(statistic(scores), float(low), float(high))
