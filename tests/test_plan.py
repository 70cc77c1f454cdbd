"""`kalm plan`: hours, storage and shards from hand-worked rates, and where time goes next."""

from dataclasses import replace
from pathlib import Path

import pytest
from samples import make_episode

from envs.card import Card
from envs.store import write_store
from experiments.bench_measure import OURS, row_of
from experiments.bench_measure import Plan as BenchPlan
from experiments.bench_report import BenchReport, save_report
from experiments.cost_model import Rate, Work, bottleneck, total_seconds
from experiments.folders import REAL, imagined_folder
from experiments.plan import Command, main, make_plan, sentences, stage_table
from experiments.rates import Sizes, bench_rates, given_rates, measured_now, run_rates

STEP = Rate(10.0, "steps/s", "given")

# 100 of 400 imagined steps were accepted, 40 rollouts of 10 steps each; 30 bytes a step.
SIZES = Sizes("target", 500, 64_000, 400, 100, 40, 30.0, 50.0, agents=3, updates=1_000)
RATES = given_rates(
    {
        "collect": 100.0,
        "ground": 80.0,
        "imagine": 1_000.0,
        "merge": 50_000.0,
        "train": 10.0,
        "evaluate": 0.01,
        "claims": 100.0,
    }
)


def work(stage: str, amount: float, most: int = 1 << 40, pieces: int = 0, setup: float = 0) -> Work:
    return Work(stage, amount, STEP, most, pieces, setup)


# ------------------------------------------------------------------------------ cost model


@pytest.mark.parametrize(
    ("made", "processes", "seconds", "busy"),
    [
        (work("a", 600), 1, 60.0, 60.0),
        (work("a", 600), 4, 15.0, 60.0),
        (work("a", 600, most=2), 4, 30.0, 60.0),
        # Seven pieces of 100 units take 10 s each: four processes need two rounds.
        (work("a", 700, pieces=7), 4, 20.0, 70.0),
        # More processes than pieces: three of them have nothing to do and set nothing up.
        (work("a", 700, pieces=7, setup=5), 10, 15.0, 70.0 + 7 * 5),
        (work("a", 700, pieces=7, setup=5), 2, 45.0, 70.0 + 2 * 5),
    ],
)
def test_work_takes_whole_rounds_of_pieces_and_one_set_up_a_process(
    made: Work, processes: int, seconds: float, busy: float
) -> None:
    assert made.seconds(processes) == pytest.approx(seconds)
    assert made.process_seconds(processes) == pytest.approx(busy)


def test_the_next_bottleneck_is_what_does_not_divide() -> None:
    works = [work("imagine", 8_000), work("merge", 200, most=1)]
    # One process: 800 s and 20 s. Forty: 20 s each, and from there on the merging is longer.
    assert total_seconds(works, 1) == pytest.approx(820)
    found = bottleneck(works, 1)
    assert (found.stage, found.next_stage, found.next_from) == ("imagine", "merge", 41)
    assert found.share == pytest.approx(800 / 820)
    assert found.saved_by_doubling == pytest.approx(400 / 820)
    later = bottleneck(works, 64)
    assert (later.stage, later.next_stage, later.next_from) == ("merge", "merge", 64)


def test_what_divides_for_ever_has_nothing_after_it() -> None:
    found = bottleneck([work("imagine", 8_000)], 4)
    assert (found.stage, found.next_stage, found.next_from) == ("imagine", "imagine", 4)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_no_rate_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="Expected a rate above 0 steps/s, got"):
        Rate(value, "steps/s", "given")


# ------------------------------------------------------------------------------ plan


def command(steps: float = 1e9, gpus: int = 512, per_shard: int = 1_000) -> Command:
    return Command(Path("run"), steps, gpus, rollouts_per_shard=per_shard, setup_seconds=60.0)


def test_a_plan_is_what_its_rates_give_by_hand() -> None:
    plan = make_plan(command(), SIZES, RATES)
    # One step in four is kept: 4e9 steps in 4e8 rollouts in 400,000 shards of 10 s each.
    assert (plan.rollouts, plan.shards) == (400_000_000, 400_000)
    assert plan.shard_seconds == pytest.approx(10.0)
    assert plan.disk_bytes == pytest.approx(2 * 4e9 * 30)
    assert plan.memory_bytes == pytest.approx(1e9 * 50)
    seconds = {work.stage: work.seconds(512) for work in plan.works}
    assert seconds == pytest.approx(
        {
            "collect": 5.0,
            "ground": 64_000 / 80 / 8,  # at most eight share it
            "imagine": 60 + 782 * 10,  # ceil(400,000 / 512) rounds
            "merge": 4e9 / 50_000,
            "train": 100.0,  # three agents side by side
            "evaluate": 300.0,
        }
    )
    assert plan.hours == pytest.approx(sum(seconds.values()) / 3600)
    assert plan.bottleneck.stage == "merge"


def test_a_plan_in_words_names_every_total_and_every_source() -> None:
    plan = make_plan(command(gpus=8), SIZES, RATES)
    said = "\n".join(sentences(plan))
    for words in (
        "400,000 shards for 400,000,000 rollouts, 10 s each",
        "240.0 GB of disk",
        "50.0 GB of memory",
        "Bottleneck: imagine, ",
        "GPUs on, merge takes longest",
        "make --rollouts-per-shard about 60 times that",
    ):
        assert words in said
    table = stage_table(plan)
    assert list(table.columns[-1].cells) == ["given"] * 6


def test_without_agents_there_is_nothing_to_train() -> None:
    rates = {name: rate for name, rate in RATES.items() if name not in ("train", "evaluate")}
    plan = make_plan(command(), replace(SIZES, agents=0, updates=0), rates)
    assert [work.stage for work in plan.works] == ["collect", "ground", "imagine", "merge"]


@pytest.mark.parametrize("options", [{"gpus": 0}, {"steps": 0.0}, {"per_shard": 0}])
def test_amounts_that_make_no_sense_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="Expected --steps, --gpus"):
        command(**options)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------ rates


def test_rates_of_a_run_are_its_amounts_by_its_seconds(tmp_path: Path) -> None:
    (tmp_path / "seconds.json").write_text(
        '{"collect": 5, "ground": 640, "imagine-target": 80, "imagine-unseen": 9,'
        ' "train-a-bc": 10, "train-b-bc": 20}'
    )
    rates = run_rates(tmp_path, SIZES)
    values = {name: rate.value for name, rate in rates.items()}
    # Three agents of a thousand updates in thirty seconds.
    assert values == {"collect": 100, "ground": 100, "imagine": 5, "train": 100}
    assert rates["imagine"].source == f"{tmp_path}/seconds.json: 400 steps in 80 s"


def test_rates_of_benchmarks_are_the_slowest_row_of_their_kind(tmp_path: Path) -> None:
    rows = [
        row_of(BenchPlan(stage, name, unit), {OURS: [value]})
        for stage, name, unit, value in (
            ("GPU imagination", "64 at once", "steps/s", 900.0),
            ("GPU imagination", "16 at once", "steps/s", 500.0),
            ("GPU imagination", "agreement", "%", 99.0),
            ("store", "verify", "steps/s", 1.0),
        )
    ]
    report = BenchReport("c", "x", "full", {"processor": "P"}, {}, True, {}, tuple(rows))
    save_report(report, tmp_path / "bench.json")
    found = bench_rates([tmp_path / "bench.json"])
    source = f"{tmp_path}/bench.json: `GPU imagination, 16 at once`, P"
    assert found == {"imagine": Rate(500.0, "steps/s", source)}


def test_an_unknown_rate_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="Did you mean `imagine`"):
        given_rates({"imagin": 1.0})


def test_merging_and_claiming_are_measured_where_the_run_is(tmp_path: Path) -> None:
    episodes = [make_episode(3, source="imagined", provenance={"accepted": True, "reason": ""})]
    card = Card("toy", "1", "imagined")
    write_store(tmp_path / imagined_folder("target") / "accepted", episodes * 20, card)
    rates = measured_now(tmp_path, "target")
    assert set(rates) == {"merge", "claims"}
    assert "6,000 steps read 3 times" in rates["merge"].source  # 2,000 episodes of three
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_folder_without_a_run_is_refused_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has done `collect`.*kalm run toy --run-folder"):
        main([str(tmp_path), "--steps", "1e6"])
    assert not (tmp_path / REAL).exists()
