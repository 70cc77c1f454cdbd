"""The report in a real browser, opened from disk."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs.babyai.drawing import DrawnCell, GridDrawing
from envs.world import Scene
from experiments.films import GridFilm, PageFilm, PushFilm, Step
from experiments.report import Clip, Comparison, Gallery, ReportData, write_report
from experiments.results import Results

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]


def make_report() -> ReportData:
    """One disc that moves right in three steps, and the same rollout once more beside it."""
    frames = np.zeros((4, 1, 2), np.float32)
    frames[:, 0, 0] = [-0.6, -0.2, 0.2, 0.6]
    film = PushFilm(frames, np.zeros((3, 4)))
    accepted = Clip("imagined", "imagined", "accepted", film)
    rejected = Clip("imagined", "imagined", "rejected", film, "overlap")
    comparison = Comparison("move the red disc right", "easy", (accepted, rejected))
    scene = Scene((-1, 1, -1, 1), (-0.9, 0.9, -0.9, 0.9), 0.1, ("red",), ("#f00",))
    results = Results("toy", (), "primed from scratch", "kalm run toy", "abc")
    return ReportData("A report", results, scene, (Gallery("Imagined", "", (comparison,)),))


class Visit:
    """A page with everything that it complained about or asked for."""

    def __init__(self, page: Any, path: Path) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri())

    def frame(self) -> int:
        return int(self.page.get_attribute(".player", "data-frame"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Visit]:
    path = write_report(make_report(), tmp_path / "report.html")
    page = browser.new_page(reduced_motion="reduce")
    yield Visit(page, path)
    page.close()


def test_a_rollout_plays_to_its_last_frame_without_complaint_or_request(visit: Visit) -> None:
    page = visit.page
    assert visit.frame() == 0
    page.select_option("#speed", "4")
    page.click(".play")
    page.wait_for_selector(".player[data-frame='3']", timeout=10_000)
    assert visit.complaints == []
    assert visit.requests == [page.url]
    assert page.url.startswith("file:")


def test_moving_the_slider_shows_that_frame_and_another_picture(visit: Visit) -> None:
    page = visit.page
    picture = "document.querySelector('canvas').toDataURL()"
    before = page.evaluate(picture)
    page.evaluate(
        "(() => { const slider = document.querySelector('.player input'); slider.value = 2;"
        "slider.dispatchEvent(new Event('input')); })()"
    )
    assert visit.frame() == 2
    assert page.evaluate(picture) != before
    page.wait_for_timeout(300)
    assert visit.frame() == 2  # scrubbing pauses


def test_grids_and_pages_are_drawn_by_the_same_player(browser: Any, tmp_path: Path) -> None:
    key, box = DrawnCell(2, 1, "key", "red", ""), DrawnCell(3, 0, "box", "blue", "")
    door = DrawnCell(0, 1, "door", "grey", "locked")
    frames = (
        GridDrawing(4, 2, (key, box, door), (1, 1), "up", None),
        GridDrawing(4, 2, (key, box, door), (1, 1), "right", None),
        GridDrawing(4, 2, (box, door), (1, 1), "right", key),
    )
    steps = (Step("right"), Step("pickup", valid=False))
    films = (GridFilm(frames, steps), PageFilm(("search", "a <b>", "c"), steps))
    comparisons = tuple(
        Comparison("get it", "new", (Clip("teduo", "real", "reached", film),), "holding any key")
        for film in films
    )
    report = replace(make_report(), scene=None, galleries=(Gallery("Grids", "", comparisons),))
    page = browser.new_page(reduced_motion="reduce")
    visit = Visit(page, write_report(report, tmp_path / "report.html"))
    pictures = set()
    for step in range(3):
        page.evaluate(
            "step => document.querySelectorAll('.player input').forEach((slider) => {"
            "slider.value = step; slider.dispatchEvent(new Event('input')); })",
            step,
        )
        pictures.add(page.evaluate("document.querySelector('canvas').toDataURL()"))
        assert page.text_content("pre.view") == films[1].data()["frames"][step]
        marked = page.locator(".steps .now").all_text_contents()
        assert marked == ([] if step == 2 else [steps[step].action] * 2)
    assert len(pictures) == 3
    assert visit.complaints == []
    page.close()


def test_nothing_moves_by_itself_where_the_reader_asked_for_little_motion(visit: Visit) -> None:
    visit.page.locator(".player").scroll_into_view_if_needed()
    visit.page.wait_for_timeout(700)
    assert visit.frame() == 0


def test_rollouts_in_view_play_by_themselves_otherwise(browser: Any, tmp_path: Path) -> None:
    page = browser.new_page(reduced_motion="no-preference")
    visit = Visit(page, write_report(make_report(), tmp_path / "report.html"))
    page.locator(".player").scroll_into_view_if_needed()
    page.wait_for_selector(".player:not([data-frame='0'])", timeout=10_000)
    assert visit.complaints == []
    page.close()


def test_the_theme_button_switches_light_and_dark(visit: Visit) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    before = visit.page.evaluate(colour)
    visit.page.click("#theme")
    assert visit.page.evaluate(colour) != before
    visit.page.click("#theme")
    assert visit.page.evaluate(colour) == before
