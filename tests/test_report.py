"""Results, tables, figures and the report page."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from envs.babyai.drawing import DrawnCell, GridDrawing
from envs.episode import Episode
from envs.world import Scene
from experiments import publish
from experiments.figures import figure_columns, save_figure
from experiments.films import GridFilm, PushFilm, Step
from experiments.outcome_galleries import first_of_each_outcome, outcome_galleries, text_clip
from experiments.progress import clock, progress, progress_line
from experiments.report import Chart, Clip, Comparison, Gallery, ReportData, headline, write_report
from experiments.report_charts import ticks
from experiments.results import Results, Row, load_results, save_results
from experiments.table import markdown_table, terminal_tables

SCENE = Scene((-1, 1, -1, 1), (-0.9, 0.9, -0.9, 0.9), 0.1, ("red", "blue"), ("#f00", "#00f"))


def make_row(agent: str, success: float, level: str = "novel", protocol: str = "") -> Row:
    low, high = max(success - 0.1, 0.0), min(success + 0.1, 1.0)
    return Row(agent, level, "all", protocol, success, low, high, 200, (0, 1))


def make_results(*rows: Row) -> Results:
    return Results(
        name="toy",
        rows=rows,
        base_model="primed from scratch",
        command="kalm run toy",
        commit="abc",
        seeds=(0, 1),
        seconds_per_stage={"collect": 61.0},
        fidelity={"violations/overlap": {"real": 0.029, "accepted": 0.031}},
    )


def make_clip(outcome: str = "accepted", reason: str = "", steps: int = 3) -> Clip:
    frames = np.zeros((steps + 1, 2, 2), np.float32)
    frames[:, 0, 0] = np.linspace(-0.5, 0.5, steps + 1)
    return Clip("imagined", "imagined", outcome, PushFilm(frames, np.zeros((steps, 4))), reason)


def make_report(goal: str = "put the red disc left of the blue one") -> ReportData:
    comparison = Comparison(goal, "hard", (make_clip(), make_clip("rejected", "overlap")))
    rows = (make_row("real-only/bc", 0.25), make_row("real+imagined/bc", 0.5, "novel", "x"))
    return ReportData(
        "A report",
        make_results(*rows),
        SCENE,
        (Gallery("Imagined", "By the model.", (comparison,)),),
        (Chart("Loss", "step", "mean", {"state": [(1.0, 2.0), (2.0, 1.0)]}),),
    )


def test_results_come_back_equal_from_their_file(tmp_path: Path) -> None:
    results = make_results(make_row("random", 0.4), make_row("expert", 0.9))
    assert load_results(save_results(results, tmp_path / "results.json")) == results


def test_a_results_file_with_an_unknown_or_missing_field_is_refused(tmp_path: Path) -> None:
    path = save_results(make_results(make_row("random", 0.4)), tmp_path / "results.json")
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"sucess": 1}))
    with pytest.raises(ValueError, match=r"unknown \['sucess'\]"):
        load_results(path)
    del content["rows"][0]["low"]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"missing \['low'\]"):
        load_results(path)


@pytest.mark.parametrize("success", [float("nan"), -0.1, 1.1])
def test_a_success_that_is_no_share_is_refused(success: float) -> None:
    with pytest.raises(ValueError, match=r"Expected success in \[0, 1\]"):
        Row("random", "hard", "all", "", success, 0.0, 1.0, 10, (0,))


def test_the_markdown_table_has_levels_as_columns_and_a_dash_where_nothing_was_run() -> None:
    results = make_results(
        make_row("random", 0.4, "train"),
        make_row("random", 0.05, "hard"),
        make_row("real+imagined/bc", 0.5, "train", "target"),
    )
    assert markdown_table(results).splitlines() == [
        "| agent | train | hard |",
        "| --- | ---: | ---: |",
        "| random | 40.0 [30.0, 50.0] | 5.0 [0.0, 15.0] |",
        "| real+imagined/bc (target goals) | 50.0 [40.0, 60.0] | - |",
    ]


def test_kinds_of_goals_get_a_table_of_their_own() -> None:
    row = make_row("random", 0.4, "hard")
    tables = terminal_tables(make_results(row, replace(row, kind="gather")))
    assert [[str(column.header) for column in table.columns] for table in tables] == [
        ["agent", "hard"],
        ["agent", "hard: gather"],
    ]


def test_the_headline_takes_the_best_agent_with_imagination_and_not_the_widest_gap() -> None:
    found = headline(
        make_results(
            make_row("real-only/bc", 0.1),
            make_row("real+imagined/bc", 0.5, protocol="target"),
            make_row("real-only/cql", 0.4),
            make_row("real+imagined/cql", 0.6, protocol="target"),
        )
    )
    assert found is not None
    assert (found.algorithm, found.before.success, found.after.success) == ("cql", 0.4, 0.6)
    assert found.points == pytest.approx(20.0)


def test_the_headline_of_a_grid_run_is_its_model_before_and_after() -> None:
    agents = {"random": 0.2, "untuned": 0.25, "teduo/random": 0.9, "teduo/bot-50": 0.95}
    found = headline(make_results(*(make_row(agent, share) for agent, share in agents.items())))
    assert found is not None
    assert (found.before.agent, found.after.agent) == ("untuned", "teduo/bot-50")
    assert found.points == pytest.approx(70.0)


def test_scored_rows_are_shown_by_their_score(tmp_path: Path) -> None:
    def scored(agent: str, success: float, score: float) -> Row:
        ends = {"score_low": score - 2.0, "score_high": score + 2.0}
        return replace(make_row(agent, success), score=score, **ends)

    # By success `teduo` would be the best agent, by score `teduo-filtered` is: 66.8 - 7.8 = 59.
    rows = (scored("untuned", 0.1, 7.8), scored("teduo", 0.4, 50.0))
    results = make_results(*rows, scored("teduo-filtered", 0.2, 66.8))
    found = headline(results)
    assert found is not None
    assert (found.after.agent, round(found.points, 9)) == ("teduo-filtered", 59.0)
    page = write_report(replace(make_report(), results=results), tmp_path / "page.html").read_text()
    assert "+59.0 points of score" in page
    assert "66.8 [64.8, 68.8], score, " in page


def test_a_run_without_imagination_has_no_headline() -> None:
    assert headline(make_results(make_row("random", 0.4))) is None


def test_the_page_names_no_address_and_forbids_requests(tmp_path: Path) -> None:
    page = write_report(make_report(), tmp_path / "report.html").read_text()
    assert not re.search(r"https?:|//[a-z]|@import|url\(", page)
    assert "default-src 'none'" in page


def test_a_goal_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    goal = "</script><script>alert(1)</script> \U0001f600 <|eot|> \"'&"
    page = write_report(make_report(goal), tmp_path / "report.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt; \U0001f600 &lt;|eot|&gt;" in page


def test_the_page_holds_every_frame_of_every_clip(tmp_path: Path) -> None:
    page = write_report(make_report(), tmp_path / "report.html").read_text()
    found = re.search(r'<script type="application/json" id="clips">(.*?)</script>', page)
    assert found
    ((accepted, _),) = json.loads(found.group(1))["players"]
    # Four frames from -0.5 to 0.5 in three equal steps, rounded to a millimetre.
    assert [frame[0][0] for frame in accepted["frames"]] == [-0.5, -0.167, 0.167, 0.5]
    assert len(accepted["strokes"]) == 3


def test_the_page_shows_numbers_outcomes_and_reasons(tmp_path: Path) -> None:
    page = write_report(make_report(), tmp_path / "report.html").read_text()
    for text in ("+25.0 points", "rejected: overlap", "kalm run toy", "2.9 %", "1:01"):
        assert text in page


def test_a_clip_without_its_final_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected 4 frames for 3 strokes, got 3"):
        PushFilm(np.zeros((3, 2, 2)), np.zeros((3, 4)))


def drawn(agent: tuple[int, int], direction: str, holds: bool) -> GridDrawing:
    """A grid of 3x2 cells with a wall and a key, which the agent may hold."""
    wall, key = DrawnCell(0, 0, "wall", "", ""), DrawnCell(2, 1, "key", "red", "")
    cells = (wall,) if holds else (wall, key)
    return GridDrawing(3, 2, cells, agent, direction, key if holds else None)


def test_a_grid_film_tells_the_first_frame_in_full_and_of_others_only_what_changed() -> None:
    frames = (
        drawn((1, 0), "right", False),
        drawn((1, 0), "down", False),
        drawn((1, 0), "down", True),
    )
    film = GridFilm(frames, (Step("right"), Step("pickup")))
    # Thing 0 is the wall in cell 0, thing 1 the key in cell 1 * 3 + 2 = 5; -1 is nothing.
    assert film.data() == {
        "width": 3,
        "height": 2,
        "things": [["wall", "", ""], ["key", "red", ""]],
        "frames": [
            [1, 0, "right", -1, [0, 0, 5, 1]],
            [1, 0, "down", -1, []],
            [1, 0, "down", 1, [5, -1]],
        ],
    }


def make_text_episode(success: bool, agent: str = "teduo", kind: str = "buy") -> Episode:
    """A shop visit of two steps, the first of which changes nothing."""
    return Episode(
        goal="buy a <red> cup",
        observations=np.array(["search", "search", "results & prices"]),
        actions=np.array(["click[buy]", "search[cup]"]),
        rewards=np.zeros(2, np.float32),
        terminated=success,
        source="real",
        level="train",
        success=success,
        provenance={"agent": agent, "kind": kind},
    )


def test_a_text_episode_is_played_page_by_page_with_useless_actions_marked(tmp_path: Path) -> None:
    galleries = outcome_galleries([make_text_episode(True)], text_clip, {"buy a <red> cup": "cup"})
    data = replace(make_report(), scene=None, galleries=galleries)
    page = write_report(data, tmp_path / "report.html").read_text()
    found = re.search(r'<script type="application/json" id="clips">(.*?)</script>', page)
    assert found
    ((clip,),) = json.loads(found.group(1))["players"]
    assert clip == {"kind": "pages", "frames": ["search", "search", "results & prices"]}
    assert 'class="invalid" title="changed nothing">click[buy]</li><li>search[cup]</li>' in page
    assert "read as <code>cup</code>" in page
    assert "goal reached: 2 steps" in page


def test_the_first_of_each_outcome_and_kind_is_kept() -> None:
    kinds = ["go", "go", "put", "go", "put"]
    #          reached, reached, missed, missed, missed: places 1 and 4 repeat an outcome.
    assert first_of_each_outcome(kinds, np.array([True, True, False, False, False])) == [0, 2, 3]


def test_other_agents_are_shown_where_they_fail_only() -> None:
    episodes = [
        make_text_episode(True),
        make_text_episode(False),
        make_text_episode(True, "cloning"),
        make_text_episode(False, "cloning"),
    ]
    first, others = outcome_galleries(episodes, text_clip)
    outcomes = [comparison.clips[0].outcome for comparison in first.comparisons]
    assert outcomes == ["missed", "reached"]
    assert [comparison.clips[0].title for comparison in others.comparisons] == ["cloning"]


def test_the_figure_of_a_suite_shows_what_is_seen_and_what_is_all_new() -> None:
    levels = ("novel", "train/train", "new/train", "train/both", "new/both", "trio_c/both")
    rows = [make_row("random", 0.4, f"{part}: {name}") for part in ("a", "b") for name in levels]
    assert [level for level, _ in figure_columns(make_results(*rows))] == [
        f"{part}: {name}"
        for part in ("a", "b")
        for name in ("train/train", "new/both", "trio_c/both")
    ]


def test_the_report_of_a_results_file_is_its_figure(tmp_path: Path) -> None:
    rows = (make_row("random", 0.4), make_row("teduo/random (greedy)", 0.9))
    path = save_results(make_results(*rows), tmp_path / "x.json")
    assert publish.main([str(path)]) == 0
    # Variants of an agent are left to the tables, so the picture is that of the other row alone.
    alone = save_figure(make_results(rows[0]), tmp_path / "alone.png")
    assert (tmp_path / "x.png").read_bytes() == alone.read_bytes()


def test_ticks_are_round_and_cover_the_data() -> None:
    assert ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(130.0, 1900.0) == [0.0, 500.0, 1000.0, 1500.0, 2000.0]
    assert ticks(3.0, 3.0)[0] <= 3.0 < ticks(3.0, 3.0)[-1]


def test_the_figure_is_the_same_picture_every_time(tmp_path: Path) -> None:
    results = make_results(make_row("random", 0.4), make_row("expert", 0.9))
    first, second = (save_figure(results, tmp_path / name) for name in ("a.png", "b.png"))
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"\x89PNG")


def test_progress_tells_share_and_time_left() -> None:
    # 50 of 200 took 10 s, so the other 150 take 30 s.
    assert progress_line(50, 200, "rollouts", 10.0) == "50 of 200 rollouts (25 %), 0:30 left"
    assert progress_line(7, 0, "steps", 61.0) == "7 steps, 1:01 so far"


def test_the_time_left_is_judged_by_the_pace_since_the_first_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readings = iter([0.0, 60.0, 70.0, 80.0, 80.0])
    clock_face = SimpleNamespace(monotonic=lambda: next(readings))
    monkeypatch.setattr("experiments.progress.time", clock_face)
    with progress("training", 1_000, "updates") as advance:
        for done in (801, 811, 821):
            advance(done)
    assert capsys.readouterr().err.splitlines() == [
        "training: 801 of 1,000 updates (80 %)",  # resumed: a minute for 801 is not the pace
        "training: 821 of 1,000 updates (82 %), 2:59 left",
        "training: 821 updates in 1:20",
    ]
    assert clock(3725) == "1:02:05"
