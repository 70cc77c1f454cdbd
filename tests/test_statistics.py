"""Shares, intervals and comparisons agree with closed forms and with scipy."""

import numpy as np
import pytest
from scipy import stats

from offline_rl.statistics import (
    Stratum,
    bootstrap_means,
    effective_count,
    interquartile_mean,
    mean_interval,
    paired_difference,
    probability_of_improvement,
    stratified_bootstrap,
    success_interval,
    weighted_mean,
    wilson,
)


def outcomes(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.float64)


def coin(rng: np.random.Generator, chance: float, seeds: int, tasks: int) -> np.ndarray:
    return (rng.random((seeds, tasks)) < chance).astype(np.float64)


@pytest.mark.parametrize(("successes", "trials"), [(0, 20), (8, 10), (20, 20), (137, 300)])
def test_the_interval_of_one_share_is_wilsons(successes: int, trials: int) -> None:
    reference = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    interval = wilson(successes / trials, trials)
    assert interval.low == pytest.approx(reference.low, abs=1e-12)
    assert interval.high == pytest.approx(reference.high, abs=1e-12)
    assert interval.low <= interval.value <= interval.high


def test_eight_of_ten_lies_between_49_and_94_percent() -> None:
    # (0.8 + 0.19207) / 1.38415 = 0.71674, half width 1.95996 * sqrt(0.016 + 0.0096036) / 1.38415
    interval = wilson(0.8, 10)
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.4902, 0.9433)


@pytest.mark.parametrize(("value", "count"), [(1.1, 10), (-0.1, 10), (0.5, 0)])
def test_an_impossible_share_is_refused(value: float, count: float) -> None:
    with pytest.raises(ValueError, match="Expected a share in"):
        wilson(value, count)


def test_kinds_are_weighted_by_their_goals_and_not_by_their_episodes() -> None:
    # 80 goals with 1 of 4 reached, 20 goals with 3 of 4 reached: 0.8 / 4 + 0.2 * 3 / 4 = 0.35.
    strata = [Stratum(0.8, outcomes([1, 0, 0, 0])), Stratum(0.2, outcomes([1, 1, 1, 0]))]
    assert weighted_mean(strata) == pytest.approx(0.35)
    # 1 / (0.64 / 4 + 0.04 / 4) = 5.88 instead of 8 episodes.
    assert effective_count(strata) == pytest.approx(1 / 0.17)
    interval = success_interval(strata)
    reference = wilson(0.35, 1 / 0.17)
    assert (interval.low, interval.high) == pytest.approx((reference.low, reference.high))


def test_equal_weights_lose_no_episodes() -> None:
    strata = [Stratum(0.5, np.zeros((1, 30))), Stratum(0.5, np.zeros((1, 30)))]
    assert effective_count(strata) == pytest.approx(60)


def test_the_bootstrap_spreads_as_seeds_and_tasks_do() -> None:
    # Means of N tasks drawn anew have variance var / N; seeds that differ add theirs.
    rng = np.random.default_rng(0)
    single = coin(rng, 0.3, 1, 400)
    spread = bootstrap_means([Stratum(1.0, single)], seed=0).std()
    assert spread == pytest.approx(single.std() / np.sqrt(400), rel=0.05)
    seeds = np.array([[0.2], [0.5], [0.8]])  # constant within a seed: only seeds are drawn
    spread = bootstrap_means([Stratum(1.0, np.repeat(seeds, 50, axis=1))], seed=0).std()
    assert spread == pytest.approx(seeds.std() / np.sqrt(3), rel=0.05)


def test_tasks_that_a_seed_did_not_run_count_nothing() -> None:
    nan = np.nan
    parts = [
        Stratum(0.5, np.array([[1.0, nan, 0.0], [nan, 1.0, 1.0]])),
        Stratum(0.5, np.zeros((2, 2))),
    ]
    assert weighted_mean(parts) == 0.5 * 3 / 4
    assert effective_count(parts) == pytest.approx(1 / (0.25 / 4 + 0.25 / 4))
    alike = np.array([[1.0, 0.0, nan, 1.0], [1.0, 0.0, 1.0, nan]])
    means = bootstrap_means([Stratum(1.0, np.tile(alike, 50))], seed=0)
    assert means.mean() == pytest.approx(2 / 3, abs=0.01)
    # Both seeds agree, so what is left is the spread of 200 tasks, those run once at half weight.
    assert means.std() == pytest.approx(
        np.sqrt((50 * 4 / 9 + 50 * 1 / 9 + 100 * 1 / 36) / 150**2), rel=0.1
    )


def test_shares_stay_within_0_and_1_however_weights_round() -> None:
    for count in range(2, 12):
        weights = np.random.default_rng(count).dirichlet(np.ones(count))
        interval = success_interval([Stratum(weight, np.ones((3, 7))) for weight in weights])
        assert 0.0 < interval.low < interval.value <= interval.high <= 1.0


def test_the_bootstrap_of_one_stratum_agrees_with_scipys() -> None:
    values = coin(np.random.default_rng(1), 0.4, 1, 150)
    ours = np.quantile(bootstrap_means([Stratum(1.0, values)], seed=0), (0.025, 0.975))
    theirs = stats.bootstrap(
        (values[0],), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_pooled_intervals_are_repeatable_and_cover_the_truth() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(40):
        strata = [Stratum(0.7, coin(rng, 0.5, 3, 60)), Stratum(0.3, coin(rng, 0.1, 3, 20))]
        interval = success_interval(strata)
        covered += interval.low <= 0.7 * 0.5 + 0.3 * 0.1 <= interval.high
    assert covered >= 37
    assert success_interval(strata) == success_interval(strata)


def test_three_seeds_that_always_fail_still_leave_room_above_zero() -> None:
    interval = success_interval([Stratum(1.0, np.zeros((3, 100)))])
    assert interval.low == 0.0
    assert interval.high == pytest.approx(wilson(0.0, 300).high)


def test_a_paired_difference_is_narrower_than_the_tasks_spread() -> None:
    # Both agents depend on the task; one reaches 10 of 100 more.
    tasks = np.arange(100) < 50
    better = np.arange(100) < 60
    difference = paired_difference(
        [Stratum(1.0, better[None].astype(float))], [Stratum(1.0, tasks[None].astype(float))]
    )
    assert difference.value == pytest.approx(0.1)
    # Binomial(100, 0.1): 95 % within 0.05 to 0.16.
    assert difference.low == pytest.approx(0.05, abs=0.011)
    assert difference.high == pytest.approx(0.16, abs=0.011)


def test_one_agent_without_seeds_is_compared_with_each_seed_of_the_other() -> None:
    seeds = np.stack([np.ones(50), np.zeros(50)])
    difference = paired_difference([Stratum(1.0, seeds)], [Stratum(1.0, np.zeros((1, 50)))])
    assert (difference.value, difference.low, difference.high) == (0.5, 0.0, 1.0)


def test_comparing_other_tasks_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected the same strata and tasks"):
        paired_difference([Stratum(1.0, np.zeros((1, 5)))], [Stratum(1.0, np.zeros((1, 6)))])


def test_seeds_that_are_missing_in_a_stratum_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected the same seeds in every stratum"):
        bootstrap_means([Stratum(0.5, np.zeros((2, 5))), Stratum(0.5, np.zeros((3, 5)))], seed=0)


def test_the_interquartile_mean_is_the_mean_of_the_middle_half() -> None:
    # 0 1 2 3 4 5 6 100: two cut at each end, mean of 2 3 4 5.
    assert interquartile_mean(np.array([[100, 0, 3, 1], [2, 6, 5, 4]])) == 3.5
    scores = np.random.default_rng(3).normal(size=(5, 7))
    assert interquartile_mean(scores) == pytest.approx(stats.trim_mean(scores, 0.25, axis=None))


def test_the_probability_of_improvement_counts_pairs_and_halves_ties() -> None:
    # Task 1: 2 > 1, 2 = 2, 3 > 1, 3 > 2: 3.5 of 4.  Task 2: all four ties: 2 of 4.
    first, second = np.array([[2, 5], [3, 5]]), np.array([[1, 5], [2, 5]])
    assert probability_of_improvement(first, second) == (3.5 / 4 + 2 / 4) / 2
    rng = np.random.default_rng(4)
    one, other = rng.normal(size=(6, 1)), rng.normal(size=(4, 1))
    reference = stats.mannwhitneyu(one[:, 0], other[:, 0]).statistic / 24
    assert probability_of_improvement(one, other) == pytest.approx(reference)


def test_the_stratified_bootstrap_draws_runs_within_each_task() -> None:
    # Runs agree within a task: whatever is drawn, the mean stays.
    scores = np.tile(np.array([0.1, 0.9]), (4, 1))
    interval = stratified_bootstrap(scores, lambda values: float(values.mean()))
    assert (interval.low, interval.high) == pytest.approx((0.5, 0.5))
    scores = np.random.default_rng(5).normal(size=(8, 10))
    interval = stratified_bootstrap(scores, lambda values: float(values.mean()))
    spread = np.sqrt((scores.var(axis=0) / 8).mean() / 10)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * spread, rel=0.1)


def test_the_interval_of_a_mean_holds_it_and_is_a_point_where_all_agree() -> None:
    # Halves of weight 1/2: means 0.25 and 0.75, together 0.5.
    strata = [Stratum(0.5, np.array([[0.0, 0.5]])), Stratum(0.5, np.array([[0.5, 1.0]]))]
    found = mean_interval(strata)
    assert found.value == 0.5
    assert 0.25 <= found.low < 0.5 < found.high <= 0.75
    alike = mean_interval([Stratum(1.0, np.full((2, 3), 0.7))])
    assert (alike.low, alike.value, alike.high) == pytest.approx((0.7, 0.7, 0.7))
