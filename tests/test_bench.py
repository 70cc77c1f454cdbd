"""`kalm bench`: what its table says, that ways take turns, and that every stage can be measured."""

import importlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments import bench, bench_grounding, bench_growth, bench_offline
from experiments.bench_growth import deviation_from_line, save_figure
from experiments.bench_measure import (
    LIMIT,
    OURS,
    OURS_BESIDE_PEER,
    PEER,
    BenchRow,
    Done,
    MissingPeerError,
    Plan,
    UnequalWorkError,
    constant,
    interleaved,
    measure,
    require_peer,
    row_of,
)
from experiments.bench_report import (
    BenchReport,
    Curve,
    Point,
    cells,
    load_report,
    markdown,
    number,
    save_report,
)
from experiments.bench_startup import DEMO, demo_row
from experiments.cli import main
from experiments.readme import markers, put_between_markers
from experiments.results import load_results

PLAN = Plan("stage", "row", "things/s", "peer", "limit", least_ratio=2.0, least_share=0.5)


class FakeClock:
    """A clock that stands still but for what ways add to it, and remembers who did."""

    def __init__(self) -> None:
        self.now, self.turns = 0.0, list[str]()

    def __call__(self) -> float:
        return self.now

    def way(self, name: str, units: float, seconds: list[float]) -> Callable[[], Done]:
        """A way that takes `seconds` in turn."""
        left = iter(seconds)

        def work() -> Done:
            self.turns.append(name)
            self.now += next(left)
            return Done(units)

        return work


def test_ways_take_turns_back_and_forth_and_warm_up_first() -> None:
    clock = FakeClock()
    ways = {
        OURS: clock.way(OURS, 6, [9, 1, 2, 3]),  # the first repeat is warm-up
        PEER: clock.way(PEER, 6, [9, 2, 6, 3]),
    }
    figures = interleaved(ways, 3, warmups=1, clock=clock)
    assert clock.turns == [PEER, OURS, OURS, PEER] * 2  # every second repeat goes backwards
    assert figures == {OURS: [6.0, 3.0, 2.0], PEER: [3.0, 1.0, 2.0]}


def test_a_row_holds_medians_and_the_ratio_of_neighbouring_repeats() -> None:
    # ours 6, 3, 2: median 3, spread (6 - 2) / 3; peer 3, 1, 2: median 2
    # ratios 6/3, 3/1, 2/2: median 2, from 1 to 3; shares of 8, 4, 8: .75, .75, .25
    figures = {OURS: [6.0, 3.0, 2.0], PEER: [3.0, 1.0, 2.0], LIMIT: [8.0, 4.0, 8.0]}
    row = row_of(PLAN, figures)
    assert (row.ours, row.peer, row.limit) == (3.0, 2.0, 8.0)
    assert (row.ratio, row.ratio_range) == (2.0, (1.0, 3.0))
    assert (row.share, row.share_range) == (0.75, (0.25, 0.75))
    assert row.spread == pytest.approx(4 / 3)
    assert row.reached is True
    assert row.samples[PEER] == (3.0, 1.0, 2.0)


def test_a_cost_is_better_the_less_it_is() -> None:
    plan = Plan("stage", "memory", "MB", "peer", least_ratio=15.0, less_is_better=True)
    row = measure(plan, {OURS: constant(10.0), PEER: constant(160.0)}, 2)
    assert row.ratio == 16.0
    assert row.reached is True


def test_a_cost_of_nothing_is_a_figure_like_any_other() -> None:
    plan = Plan("growth", "store, memory: added", "MB", at_most=50.0, less_is_better=True)
    row = measure(plan, {OURS: constant(0.0)}, 1)
    assert (row.ours, row.spread, row.reached) == (0.0, 0.0, True)
    assert cells(row)[1] == "0 MB"


@pytest.mark.parametrize(
    ("figures", "reached"),
    [
        ({OURS: [4.0], PEER: [2.0], LIMIT: [8.0]}, True),
        ({OURS: [4.0], PEER: [2.1], LIMIT: [8.0]}, False),
        ({OURS: [4.0], PEER: [2.0]}, None),  # nothing is known of the limit
        ({OURS: [4.0], PEER: [2.1]}, False),
        ({}, None),
    ],
)
def test_a_goal_is_reached_only_where_all_of_it_was_measured(
    figures: dict[str, list[float]], reached: bool | None
) -> None:
    assert row_of(PLAN, figures).reached is reached


def test_ways_that_did_other_work_are_refused() -> None:
    ways = {
        OURS: lambda: Done(1, 1.0, equal={"rollouts": 4}),
        PEER: lambda: Done(1, 1.0, equal={"rollouts": 5}),
    }
    with pytest.raises(UnequalWorkError, match="same rollouts from `ours` and `peer`, got 4 and 5"):
        interleaved(ways, 1)


@pytest.mark.parametrize(("loss", "refused"), [(1.05, False), (1.2, True)])
def test_losses_may_differ_by_a_tenth(loss: float, refused: bool) -> None:
    ways = {
        OURS: lambda: Done(1, 1.0, close={"loss": 1.0}),
        PEER: lambda: Done(1, 1.0, close={"loss": loss}),
    }
    if refused:
        with pytest.raises(UnequalWorkError, match="same loss"):
            interleaved(ways, 1)
    else:
        assert interleaved(ways, 1)[PEER] == [1.0]


def test_a_missing_peer_is_named_with_the_extra_that_brings_it() -> None:
    with pytest.raises(MissingPeerError, match=r"`nothing_of_this_name`.*kalm\[bench\]"):
        require_peer("nothing_of_this_name")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.04567, "0.0457"), (6.0, "6"), (85.25, "85.2"), (910.0, "910"), (12_345.0, "12,300")],
)
def test_figures_have_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown


def test_a_line_of_the_table_says_everything() -> None:
    row = row_of(PLAN, {OURS: [6.0, 3.0, 2.0], PEER: [3.0, 1.0, 2.0], LIMIT: [8.0, 4.0, 8.0]})
    assert cells(row) == [
        "stage: row",
        "3 things/s",
        "2 (peer)",
        "2.0 [1.0, 3.0]",
        "8 (limit)",
        "0.75 [0.25, 0.75]",
        "133 %",
        "ratio 2, share 0.5: reached",
    ]


def test_an_unmeasured_line_says_so() -> None:
    shown = cells(row_of(PLAN, {}))
    assert shown[1] == "unmeasured"
    assert shown[2] == "unmeasured (peer)"
    assert shown[-1] == "ratio 2, share 0.5: unmeasured"


def report() -> BenchReport:
    row = row_of(PLAN, {OURS: [4.0], PEER: [2.0], LIMIT: [8.0]}, "a note")
    machine = {"processor": "a processor", "cores": "2"}
    points = (Point(1, 2.0, 3.0), Point(4, 8.0, 3.5))
    load = {"average_before": 0.1, "other_cores": None}
    return BenchReport(
        "kalm bench", "abc", "quick", machine, load, True, {"torch": "2"}, (row,),
        (Curve("collect", "rollouts", points),), {"stage": 1.0},
    )  # fmt: skip


def test_a_report_comes_back_from_its_file(tmp_path: Path) -> None:
    save_report(report(), tmp_path / "bench.json")
    assert load_report(tmp_path / "bench.json") == report()


def test_a_file_that_is_no_report_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"schema": 1}')
    with pytest.raises(ValueError, match="Expected a benchmark of schema"):
        load_report(tmp_path / "other.json")


def test_the_table_of_a_page_is_replaced_and_names_what_is_unmeasured(tmp_path: Path) -> None:
    page, figures = tmp_path / "README.md", tmp_path / "bench_cpu.json"
    begin, end = markers("speed")
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    save_report(report(), figures)
    lacking = str(tmp_path / "bench_gpu.json")
    assert main(["bench", "--table", str(figures), lacking, "--readme", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| stage: row | 4 things/s | 2 (peer) | 2.0 |" in text
    assert "| gpu: unmeasured |" in text
    assert "- stage: `kalm bench` at commit abc, a processor, 2 cores, idle." in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {9}


def test_rows_that_were_measured_again_take_the_place_of_those_before() -> None:
    first = report()
    other = replace(first.rows[0], stage="other", name="", note="")
    first = replace(first, rows=(*first.rows, other))
    again = replace(first, commit="def", rows=(replace(other, ours=99.0),))
    table = markdown([first, again])
    assert [line.split(" | ")[:2] for line in table.splitlines()[2:4]] == [
        ["| stage: row", "4 things/s"],
        ["| other", "99 things/s"],
    ]
    assert "- stage: `kalm bench` at commit abc" in table
    assert "- other: `kalm bench` at commit def" in table
    assert "commit abc" not in markdown([first, replace(first, commit="def")])  # nothing is left


def test_our_speed_beside_the_peer_is_that_of_the_ratio_alone() -> None:
    figures = {OURS: [6.0, 8.0], LIMIT: [8.0, 8.0], OURS_BESIDE_PEER: [9.0], PEER: [3.0]}
    row = row_of(PLAN, figures)
    assert (row.ours, row.share, row.ratio) == (7.0, 0.875, 3.0)


def test_the_time_of_the_demo_is_quoted_as_published_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    then = replace(demo_row(DEMO), ours=12_345.0)
    save_report(replace(report(), rows=(*report().rows, then)), tmp_path / "bench_cpu.json")
    assert main(["bench", "--table", str(tmp_path / "bench_cpu.json")]) == 0
    table = capsys.readouterr().out
    seconds = number(sum(load_results(DEMO).seconds_per_stage.values()))
    assert f"| demo: set-up excluded | {seconds} s |" in table
    assert "12,300" not in table
    assert "| stage: row | 4 things/s |" in table  # what was measured stays


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected the lines"):
        put_between_markers("nothing here", "speed", markdown([report()]))


@pytest.mark.parametrize(
    ("seconds", "deviation"),
    [
        ([3.0, 6.0, 18.0], 0.0),  # 2 + work: straight, from above zero
        ([1.0, 16.0, 256.0], 0.5),  # the square of the work: nowhere near a line
    ],
)
def test_the_deviation_from_a_line_is_relative(seconds: list[float], deviation: float) -> None:
    points = [Point(w, s, 0.0) for w, s in zip((1, 4, 16), seconds, strict=True)]
    found = deviation_from_line(points)
    assert found == pytest.approx(deviation, abs=1e-9) if deviation == 0 else found > deviation


@pytest.mark.parametrize(
    ("runs", "counted"),
    [
        ([(1.0, 90.0), (7.0, 80.0), (2.0, 70.0)], (2.0, 90.0)),  # short: the median of three
        ([(4.0, 60.0), (8.0, 70.0)], (6.0, 70.0)),  # until they took long enough together
        ([(30.0, 50.0)], (30.0, 50.0)),
    ],
)
def test_short_runs_of_an_amount_are_repeated(
    runs: list[tuple[float, float]],
    counted: tuple[float, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = list(runs)
    monkeypatch.setattr(bench_growth, "_run", lambda stage, work: Point(work, *left.pop(0)))
    assert bench_growth.measured("store", 100) == Point(100, *counted)
    assert not left


def test_growth_is_drawn(tmp_path: Path) -> None:
    save_figure(report().curves, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Memory is measured in this process: starting others takes seconds."""

    def here(build: Callable[..., object], count: int) -> Done:
        assert build(bench_offline.random_rollouts(count)) is not None
        return Done(1.0, 1.0)

    monkeypatch.setattr(bench_offline, "_resident", here)
    return iter([None])


@pytest.mark.parametrize("stage", bench.STAGES)
@pytest.mark.usefixtures("no_processes")
def test_every_stage_can_be_measured(stage: str) -> None:
    module = importlib.import_module(bench.STAGES[stage])
    assert set(module.SIZES) == {"tiny", "quick", "full"}
    rows: list[BenchRow] = list(module.rows(module.SIZES["tiny"]))
    for row in rows:
        assert row.ours is not None
        assert np.isfinite(row.ours)
        assert row.ours > 0
        assert row.peer is not None or not row.peer_name or "unmeasured" in row.note
        assert row.limit is not None or not row.limit_name
    assert len({row.name for row in rows}) == len(rows)


def test_the_backbones_part_of_the_operations_is_largest_with_the_papers_heads() -> None:
    rows = bench_grounding.rows(bench_grounding.SIZES["tiny"])
    shares = [float(re.findall(r"does (0\.\d+) of", row.note)[0]) for row in rows]
    entity, state, paper = shares
    assert 0 < entity < state < paper < 1


def test_the_gpu_script_runs_on_a_cpu() -> None:
    from experiments import bench_gpu

    rows = {(row.stage, row.name): row for row in bench_gpu.rows(bench_gpu.SIZES["tiny"])}
    agreement = rows["GPU imagination", "actions that agree with the reference"]
    assert agreement.ours == 100.0
    assert all(row.ours is not None for row in rows.values())


@pytest.mark.parametrize("stage", ["store", "train"])
def test_an_amount_of_growth_is_printed(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    from experiments import bench_growth

    assert bench_growth.main([stage, "100"]) == 0
    point = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert point["work"] == 100
    assert point["seconds"] > 0


def test_unequal_work_fails_the_command_but_not_the_other_stages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unequal(size: object) -> Iterator[BenchRow]:
        yield row_of(PLAN, {OURS: [1.0]})
        raise UnequalWorkError("not the same")

    startup = importlib.import_module(bench.STAGES["startup"])
    store = importlib.import_module(bench.STAGES["store"])
    monkeypatch.setattr(startup, "rows", unequal)
    monkeypatch.setattr(store, "rows", lambda size: iter([row_of(PLAN, {OURS: [2.0]})]))
    figures = tmp_path / "bench.json"
    assert main(["bench", "startup", "store", "--quick", "--json", str(figures)]) == 1
    assert [row.ours for row in load_report(figures).rows] == [1.0, 2.0]


def test_a_bench_that_was_stopped_goes_on_with_the_stage_that_it_broke_off_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measured: list[float] = []

    def stage(value: float) -> Callable[[object], Iterator[BenchRow]]:
        def rows(size: object) -> Iterator[BenchRow]:
            measured.append(value)
            if len(measured) == 2:
                raise KeyboardInterrupt
            yield row_of(PLAN, {OURS: [value]})

        return rows

    for name, value in (("startup", 1.0), ("store", 2.0)):
        monkeypatch.setattr(importlib.import_module(bench.STAGES[name]), "rows", stage(value))
    figures = tmp_path / "bench.json"
    command = ["startup", "store", "--quick", "--json", str(figures)]
    with pytest.raises(KeyboardInterrupt):
        bench.main(command)
    assert not figures.exists()
    assert bench.main(command) == 0
    assert measured == [1.0, 2.0, 2.0]
    assert [row.ours for row in load_report(figures).rows] == [1.0, 2.0]
    assert list(tmp_path.iterdir()) == [figures]
    assert bench.main(command) == 0  # a finished bench is measured anew
    assert len(measured) == 5


def test_an_unknown_stage_is_answered_with_the_nearest_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["bench", "groundin"]) == 2
    assert "Did you mean `grounding`?" in capsys.readouterr().err
