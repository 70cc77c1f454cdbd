"""Imagination: what the engine wrote is judged, counted, sharded and resumed as promised."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import equal_episodes, make_episode
from scripted_imagination import CARD, CONFIG, FLAWS, ScriptedEngine, scripted
from tiny_models import grounded, toy, toy_episodes

from envs import WORLDS, make_world
from envs.collect import collect, draw_task
from envs.episode import Episode
from envs.files import FolderTaken
from envs.store import Card, EpisodeStore, StoreError, verify_store, write_store
from envs.world import Goal
from imagination.checks import Limits, count_reasons, reject_reason
from imagination.claims import Claims, SharedFiles
from imagination.directors import SUCCESS_SCORE, ModelDirector, Plan, WorldDirector, make_plans
from imagination.goals import goals_to_imagine, spread
from imagination.imagine import Imagination, ImagineConfig, keep_best, prepare, with_verdict
from imagination.places import CLAIMS, SharedFolder
from imagination.shards import NothingAccepted, imagine, imagine_shard
from kalm.engine import FINISHED, GenerationConfig, Request

RED, GREEN, BLUE = range(3)
LEFT, RIGHT, ABOVE, BELOW = range(4)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real rollouts that limits are learned from."""
    world = toy()
    episodes = collect(world, world.goals("train"), 150, seed=2, workers=1)
    folder = tmp_path_factory.mktemp("real") / "real"
    return write_store(folder, episodes, replace(CARD, source="real"))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[ScriptedEngine]]:
    """The scripted engine in place of the real one."""
    monkeypatch.setattr("imagination.imagine.GenerationEngine", ScriptedEngine)
    monkeypatch.setattr(ScriptedEngine, "asked", ())
    yield ScriptedEngine
    ScriptedEngine.fails_at = None


def contents(folder: Path) -> dict[str, str]:
    return {name: EpisodeStore(folder / name).content_hash for name in ("accepted", "rejected")}


# ---------------------------------------------------------------------- script in, script out


class OneRollout:
    """Red walks right past blue, whatever is asked."""

    states = np.array([[x, 0.31, -0.8, -0.8, 0.0, 0.0] for x in (-0.1, 0.1, 0.3, 0.5)], np.float32)
    actions = (1, 1, 1)

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def imagine(self, requests: Iterator[Request]) -> Iterator[Request]:
        for request in requests:
            request.observations = list(self.states)
            request.actions = [np.asarray(action) for action in self.actions]
            request.finished = True
            yield request


def right_of_blue(level: str = "rephrase") -> Goal:
    spec = (RED, RIGHT, BLUE, -1, -1, -1)
    return Goal("Red belongs right of blue.", level, "pair", spec)


def test_an_imagined_rollout_comes_out_equal_to_the_script(
    real: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagination.imagine.GenerationEngine", OneRollout)
    config = replace(CONFIG, num_rollouts=2, rollouts_per_shard=2)
    imagination, _ = prepare(
        toy(), grounded(), "hash", EpisodeStore(real), config, goals=[right_of_blue()]
    )
    first, _ = imagination.run_shard(0, 2)
    # Minus the distance to (0.4, 0): 0.588, 0.431, 0.326, 0.326; success in the last step adds 5.
    distances = [np.hypot(0.4 - x, 0.31) for x in (-0.1, 0.1, 0.3, 0.5)]
    rewards = [before - after for before, after in pairwise(distances)]
    expected = Episode(
        goal="Red belongs right of blue.",
        observations=OneRollout.states,
        actions=np.array([1, 1, 1]),
        rewards=np.array(rewards, np.float32) + np.array([0, 0, 5], np.float32),
        terminated=True,
        source="imagined",
        level="rephrase",
        success=True,
    )
    np.testing.assert_allclose(first.rewards, expected.rewards, atol=1e-6)
    bare = replace(first, provenance={}, rewards=expected.rewards)
    assert equal_episodes(bare, expected)


def test_every_imagined_episode_tells_where_it_comes_from(
    real: Path, engine: Any, tmp_path: Path
) -> None:
    imagine(scripted(real), tmp_path / "out", CARD)
    for name, accepted in (("accepted", True), ("rejected", False)):
        store = EpisodeStore(tmp_path / "out" / name)
        assert store.card == CARD
        for episode in store.episodes():
            told = episode.provenance
            assert episode.source == "imagined"
            assert told["model_hash"] == "hash"
            assert told["seed"] == 0
            assert told["kind"] == "pair"
            assert told["protocol"] == "target"
            assert (told["mode"], told["judge"]) == ("direct", "world")
            assert told["accepted"] is accepted
            flaw = FLAWS[int(told["index"]) % len(FLAWS)]
            assert told["reason"] == ("" if accepted else flaw)


def test_rejected_rollouts_are_counted_by_reason(real: Path, engine: Any, tmp_path: Path) -> None:
    counts = imagine(scripted(real), tmp_path / "out", CARD)
    # 60 rollouts, two of every six without a flaw.
    assert counts == {"accepted": 20} | {flaw: 10 for flaw in FLAWS if flaw != "none"}
    assert len(EpisodeStore(tmp_path / "out" / "accepted")) == 20
    assert len(EpisodeStore(tmp_path / "out" / "rejected")) == 40


def test_all_rejected_stops_with_the_counted_reasons(
    real: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("imagination.imagine.GenerationEngine", OneRollout)
    monkeypatch.setattr(OneRollout, "states", OneRollout.states[[0, 0, 0, 0]])
    imagination = scripted(real, replace(CONFIG, num_rollouts=3))
    with pytest.raises(NothingAccepted, match=r"All 3 .*\{'goal_not_reached': 3\}.*Ground"):
        imagine(imagination, tmp_path / "out", CARD)
    assert not (tmp_path / "out" / "accepted").exists()


def test_the_model_judges_where_it_is_asked_to(real: Path, engine: Any) -> None:
    imagination = scripted(real, replace(CONFIG, judge="model"))
    episodes = list(imagination.run_shard(0, 6))
    for episode in episodes:
        finished = FLAWS[int(episode.provenance["index"]) % 6] in ("none", "goal_not_reached")
        assert episode.success == episode.terminated == finished
        assert episode.rewards.tolist() == [0.0] * (len(episode) - 1) + [float(finished)]
    assert count_reasons(episodes)["accepted"] == 3


# ------------------------------------------------------------------------- shards and resuming


def test_a_cut_job_resumes_without_redoing_finished_shards(
    real: Path, engine: type[ScriptedEngine], tmp_path: Path
) -> None:
    imagine(scripted(real), tmp_path / "whole", CARD)
    engine.fails_at, engine.asked = 25, ()
    with pytest.raises(KeyboardInterrupt):
        imagine(scripted(real), tmp_path / "cut", CARD)
    assert set(engine.asked) == {*range(20), *range(25, 40)}
    assert [path.name for path in (tmp_path / "cut" / "shards").iterdir()] == ["shard-00000"]
    engine.fails_at, engine.asked = None, ()
    imagine(scripted(real), tmp_path / "cut", CARD)
    assert sorted(engine.asked) == list(range(20, 60))
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    engine.asked = ()
    imagine(scripted(real), tmp_path / "cut", CARD)
    assert engine.asked == ()


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_two_processes_share_one_place_and_write_the_same_stores(
    real: Path, engine: type[ScriptedEngine], tmp_path: Path, place: str
) -> None:
    script = Path(__file__).with_name("scripted_imagination.py")
    rooms = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": rooms, "OMP_NUM_THREADS": "1"}
    # In a folder both merge into one data set; machines with a bucket make one each.
    bucket = [] if place == "folder" else [f"file://{tmp_path}/bucket"]
    folders = [tmp_path / ("two" if place == "folder" else name) for name in ("a", "b")]
    both = [
        subprocess.Popen(
            [sys.executable, str(script), str(real), str(folder), "0.05", name, *bucket],
            env=environment,
        )
        for name, folder in zip(("a", "b"), folders, strict=True)
    ]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    imagine(scripted(real), tmp_path / "one", CARD)
    for folder in folders:
        assert contents(folder) == contents(tmp_path / "one")
    asked = [
        (folder / f"asked-{name}.txt").read_text().split()
        for name, folder in zip(("a", "b"), folders, strict=True)
    ]
    assert sorted(int(index) for indices in asked for index in indices) == list(range(60))
    for name in ("accepted", "rejected"):
        assert verify_store(folders[0] / name) == []


@pytest.mark.parametrize("bucket", ["", "memory://lost"])
def test_the_shard_of_a_lost_machine_is_done_once_when_its_lease_expires(
    real: Path, engine: type[ScriptedEngine], tmp_path: Path, bucket: str
) -> None:
    files = SharedFiles(bucket or tmp_path / "out")
    lost = b'{"machine": "another", "process": 1, "beat": 2}'
    assert files.create(f"{CLAIMS}/shard-00001.0", lost)
    imagine(scripted(real), tmp_path / "out", CARD, bucket=bucket, lease_seconds=0.2)
    # The others first, in any order: shards hold 20 rollouts, which the scripted engine does
    # backwards.
    others = {tuple(engine.asked[:20]), tuple(engine.asked[20:40])}
    assert others == {tuple(range(19, -1, -1)), tuple(range(59, 39, -1))}
    assert engine.asked[40:] == tuple(range(39, 19, -1))
    assert not files.names(CLAIMS)
    indices = [
        int(episode.provenance["index"])
        for name in ("accepted", "rejected")
        for episode in EpisodeStore(tmp_path / "out" / name).episodes()
    ]
    assert sorted(indices) == list(range(60))


def test_a_shard_that_another_process_published_meanwhile_counts_and_ours_is_dropped(
    real: Path, engine: type[ScriptedEngine], tmp_path: Path
) -> None:
    imagination, place = scripted(real), SharedFolder(tmp_path)
    claims = Claims(place.files, CLAIMS)

    class Slow(SharedFolder):
        """A place whose worker is suspended before it publishes, and loses its claim."""

        def publish(self, number: int, write: Any) -> bool:
            place.files.remove(CLAIMS)
            assert imagine_shard(imagination, place, claims, number, CARD)
            return super().publish(number, write)

    assert not imagine_shard(imagination, Slow(tmp_path), Claims(place.files, CLAIMS), 2, CARD)
    assert len(engine.asked) == 40  # twice the twenty rollouts
    assert place.done() == {2}
    assert verify_store(place.copy(2)) == []


def test_a_process_that_comes_second_to_merging_waits_for_the_first(
    real: Path, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def taken_once(folder: Path, *arguments: Any, **options: Any) -> Path:
        if folder.name in ("accepted", "rejected") and folder.name not in refused:
            refused.append(folder.name)
            raise FolderTaken("Another process is writing it.")
        return write_store(folder, *arguments, **options)

    monkeypatch.setattr("imagination.shards.write_store", taken_once)
    assert imagine(scripted(real), tmp_path / "out", CARD)["accepted"] == 20
    assert refused == ["accepted", "rejected"]
    assert len(EpisodeStore(tmp_path / "out" / "accepted")) == 20


def test_a_folder_of_other_settings_or_another_model_is_refused(
    real: Path, engine: Any, tmp_path: Path
) -> None:
    imagine(scripted(real), tmp_path / "out", CARD)
    other = scripted(real, replace(CONFIG, seed=1))
    another = replace(scripted(real), model_hash="another")
    for changed in (other, another):
        with pytest.raises(StoreError, match="another model or of other settings"):
            imagine(changed, tmp_path / "out", CARD)
    slower = replace(CONFIG, generation=replace(CONFIG.generation, num_slots=2))
    assert imagine(scripted(real, slower), tmp_path / "out", CARD)["accepted"] == 20


@pytest.mark.parametrize("name", WORLDS)
def test_what_is_imagined_has_a_fingerprint_in_every_world(name: str) -> None:
    world = make_world(name)
    plans = [Plan(goal) for goal in goals_to_imagine(world, "target", seed=0)[:50]]
    limits = Limits(np.zeros(2), np.ones(2), 1.0)
    imagination = Imagination(world, grounded(), "hash", CONFIG, plans, limits, None)
    assert imagination.fingerprint() == replace(imagination).fingerprint()
    assert imagination.fingerprint() != replace(imagination, plans=plans[1:]).fingerprint()


def test_a_rollout_is_a_function_of_model_settings_and_index_alone(real: Path) -> None:
    # The real engine, with the random model: the same rollouts whatever the shard and its slots.
    settings = replace(CONFIG, generation=GenerationConfig(num_slots=4, max_steps=3))
    whole = list(scripted(real, settings).run_shard(0, 6))
    alone = replace(settings, generation=replace(settings.generation, num_slots=1))
    parts = [*scripted(real, alone).run_shard(0, 2), *scripted(real, alone).run_shard(2, 6)]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)
        np.testing.assert_allclose(one.observations, other.observations, atol=1e-4)
        assert one.provenance["index"] == other.provenance["index"]


def test_the_plausibility_hook_keeps_every_imagined_state_free_of_violations(real: Path) -> None:
    config = replace(CONFIG, generation=GenerationConfig(num_slots=8, max_steps=4))
    reasons = {}
    for plausible in (True, False):
        episodes = list(scripted(real, replace(config, plausible=plausible)).run_shard(0, 8))
        states = np.concatenate([episode.observations[1:] for episode in episodes])
        broken = toy().violations(states)
        reasons[plausible] = np.mean(broken["overlap"] | broken["out_of_bounds"])
        projected = sum(int(episode.provenance["projected"]) for episode in episodes)
        assert (projected > 0) == plausible
    assert reasons[True] == 0.0
    assert reasons[False] > 0.2


# ------------------------------------------------------------------------------- starts


def test_imagined_starts_are_never_those_of_evaluation_or_of_collection(real: Path) -> None:
    tasks = pytest.importorskip("offline_rl.tasks")
    world = toy()
    evaluated = {
        task.start.tobytes()
        for seed in range(3)
        for level in world.levels
        for task in tasks.make_tasks(world, level, 40, seed)
    }
    collected = {
        draw_task(world, world.goals("train"), seed, index).start.tobytes()
        for seed in range(3)
        for index in range(200)
    }
    for seed in range(3):
        imagination = scripted(real, replace(CONFIG, seed=seed, num_rollouts=200))
        starts = {imagination.start(index).tobytes() for index in range(200)}
        assert len(starts) == 200
        assert not starts & (evaluated | collected)


def test_real_starts_are_first_states_of_real_rollouts(real: Path) -> None:
    first = {episode.observations[0].tobytes() for episode in EpisodeStore(real).episodes()}
    imagination = scripted(real, replace(CONFIG, starts="real"))
    starts = {imagination.start(index).tobytes() for index in range(60)}
    assert starts <= first
    assert len(starts) > 20


def test_all_tries_at_one_goal_start_alike_and_go_their_own_ways(real: Path) -> None:
    imagination = scripted(real, replace(CONFIG, tries=2))
    for index in range(0, 20, 2):
        assert imagination.plans[index] is imagination.plans[index + 1]
        assert np.array_equal(imagination.start(index), imagination.start(index + 1))
        assert imagination.stream(index) != imagination.stream(index + 1)
    assert not np.array_equal(imagination.start(0), imagination.start(2))


# ------------------------------------------------------------------------------- best of tries


def verdicts(lengths: list[int], reasons: list[str]) -> list[Episode]:
    """Imagined episodes of these lengths, judged so."""
    episodes = [make_episode(steps, source="imagined") for steps in lengths]
    judged = zip(episodes, reasons, strict=True)
    return [with_verdict(episode, reason) for episode, reason in judged]


def test_of_each_group_of_tries_the_shortest_accepted_one_is_kept() -> None:
    episodes = verdicts([5, 3, 2, 4, 4, 9], ["", "", "overlap", "", "", ""])
    kept = list(keep_best(episodes, 3))
    # Group 1: lengths 5 and 3 are accepted, the shorter 2 was rejected. Group 2: the first of two.
    reasons = [episode.provenance["reason"] for episode in kept]
    assert reasons == ["not_the_best", "", "overlap", "", "not_the_best", "not_the_best"]
    assert [len(episode) for episode in kept] == [5, 3, 2, 4, 4, 9]
    assert sum(bool(episode.provenance["accepted"]) for episode in kept) == 2


def test_without_tries_every_verdict_stands() -> None:
    episodes = verdicts([5, 3], ["", "overlap"])
    assert [e.provenance["reason"] for e in keep_best(episodes, 1)] == ["", "overlap"]


# ------------------------------------------------------------------------------- checks

LIMITS = Limits(np.full(6, -0.7), np.full(6, 0.7), 0.25)


def rollout(*states: list[float], success: bool = True) -> Episode:
    steps = len(states) - 1
    return Episode(
        "Red belongs right of blue.", np.array(states, np.float32), np.ones(steps, np.int64),
        np.zeros(steps, np.float32), success, "imagined", "rephrase", success,
    )  # fmt: skip


START = [0.2, 0.0, -0.6, 0.0, 0.6, 0.6]
CHECKS = {
    "": rollout(START, [0.4, 0.0, -0.6, 0.0, 0.6, 0.6]),
    "overlap": rollout(START, [0.4, 0.0, -0.6, 0.0, 0.4, 0.1]),
    "out_of_bounds": rollout(START, [0.95, 0.0, -0.6, 0.0, 0.6, 0.6]),
    "outside_real_limits": rollout(START, [0.8, 0.0, -0.6, 0.0, 0.6, 0.6]),
    "implausible_jump": rollout(START, [0.5, 0.0, -0.6, 0.0, 0.6, 0.6]),
    "goal_not_reached": rollout(START, [0.4, 0.0, -0.6, 0.0, 0.6, 0.6], success=False),
}


@pytest.mark.parametrize("reason", CHECKS)
def test_each_check_rejects_what_it_names(reason: str) -> None:
    assert reject_reason(toy(), LIMITS, CHECKS[reason]) == reason


def test_a_start_that_the_model_did_not_imagine_is_not_held_against_it() -> None:
    start = [0.8, 0.0, -0.6, 0.0, 0.6, 0.6]
    assert reject_reason(toy(), LIMITS, rollout(start, [0.6, 0.0, -0.6, 0.0, 0.6, 0.6])) == ""


def test_limits_are_the_extremes_and_the_largest_jump_of_real_data() -> None:
    limits = Limits.of([CHECKS[""], CHECKS["overlap"]], quantile=1.0)
    np.testing.assert_allclose(limits.low, [0.2, 0.0, -0.6, 0.0, 0.4, 0.1], atol=1e-6)
    np.testing.assert_allclose(limits.high, [0.4, 0.0, -0.6, 0.0, 0.6, 0.6], atol=1e-6)
    assert limits.jump == pytest.approx(0.5)


def test_the_learned_hook_keeps_each_entity_within_its_own_limits() -> None:
    limits = Limits(np.array([-1.0, -1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.5, 0.5]), 1.0)
    proposal = np.array([[0.9, -2.0]])
    assert limits.project_entity(0, proposal, np.empty((1, 0, 2))).tolist() == [[0.9, -1.0]]
    assert limits.project_entity(1, proposal, np.empty((1, 1, 2))).tolist() == [[0.5, 0.0]]


def test_limits_need_real_episodes() -> None:
    with pytest.raises(ValueError, match=r"real episodes .* got none"):
        Limits.of([])


def test_real_rollouts_pass_the_checks_that_they_set() -> None:
    episodes = [episode for episode in toy_episodes() if episode.success]
    limits = Limits.of(episodes, quantile=1.0)
    assert Counter(reject_reason(toy(), limits, e) for e in episodes) == {"": len(episodes)}


# ------------------------------------------------------------------------------- directors


def pair(source: int, direction: int, target: int) -> Goal:
    wanted = (source, direction, target)
    return next(goal for goal in toy().goals("train") if goal.spec[:3] == wanted)


HARD = next(
    goal
    for goal in toy().goals("hard")
    if goal.spec == (RED, RIGHT, BLUE, GREEN, ABOVE, BLUE)
)  # fmt: skip
PARTS = (pair(RED, RIGHT, BLUE), pair(GREEN, ABOVE, BLUE))
NEITHER = np.array([-0.4, 0.0, 0.0, -0.4, 0.0, 0.0], np.float32)
FIRST_ONLY = np.array([0.4, 0.0, 0.0, -0.4, 0.0, 0.0], np.float32)
SECOND_ONLY = np.array([-0.4, 0.0, 0.0, 0.4, 0.0, 0.0], np.float32)
BOTH = np.array([0.4, 0.0, 0.0, 0.4, 0.0, 0.0], np.float32)


def after(state: np.ndarray, before: np.ndarray = NEITHER) -> Request:
    return Request(0, "", before, (0,), [before, state], [np.asarray(1)])


def test_a_planned_rollout_goes_to_the_first_part_that_does_not_hold() -> None:
    director = WorldDirector(toy(), [Plan(HARD, PARTS)])
    first, second = (goal.text for goal in PARTS)
    assert director.begin(0, NEITHER) == first
    assert director.begin(0, FIRST_ONLY) == second
    assert director.decide(after(NEITHER), 0.0) == first
    assert director.decide(after(FIRST_ONLY), 0.0) == second
    # Undoing the first part while working on the second: back to it.
    assert director.decide(after(SECOND_ONLY), 0.0) == first
    assert director.decide(after(BOTH), 0.0) == FINISHED


def test_a_goal_without_parts_is_pursued_in_its_own_words() -> None:
    director = WorldDirector(toy(), [Plan(HARD)])
    assert director.begin(0, NEITHER) == HARD.text
    assert director.decide(after(FIRST_ONLY), 1.0) is None
    assert director.decide(after(BOTH), 0.0) == FINISHED


def test_parts_that_all_hold_at_the_start_leave_the_goal_itself() -> None:
    assert WorldDirector(toy(), [Plan(HARD, PARTS)]).begin(0, BOTH) == HARD.text


def test_a_one_step_goal_ends_after_its_step_reached_or_not() -> None:
    easy = next(g for g in toy().goals("easy") if g.spec[:2] == (RED, RIGHT))
    director = WorldDirector(toy(), [Plan(easy)])
    assert director.decide(after(FIRST_ONLY), 0.0) == FINISHED
    assert director.decide(after(NEITHER), 0.0) == FINISHED


def test_a_candidate_that_reaches_the_goal_beats_one_that_is_merely_near() -> None:
    director = WorldDirector(toy(), [Plan(HARD)])
    requests = [after(NEITHER)] * 3
    before = np.stack([NEITHER] * 3)
    scores = director.score(
        requests, before, np.array([1, 1, 1]), np.stack([NEITHER, FIRST_ONLY, BOTH]), np.zeros(3)
    )
    assert scores[0] < scores[1] < scores[2]
    # In BOTH each part is at its ideal distance: nothing is left to go.
    assert scores[2] == pytest.approx(SUCCESS_SCORE, abs=1e-5)


def test_continuous_worlds_are_directed_too() -> None:
    world = toy("toy_continuous")
    goal = world.goals("train")[0]
    assert WorldDirector(world, [Plan(goal, (goal,))]).begin(0, NEITHER) == goal.text


def test_the_model_directs_itself_by_its_own_end_output() -> None:
    director = ModelDirector([Plan(HARD, PARTS), Plan(HARD)], threshold=0.5)
    assert director.begin(0, NEITHER) == PARTS[0].text
    request = after(NEITHER)
    assert director.decide(request, 0.4) is None
    assert director.decide(request, 0.6) == PARTS[1].text
    assert director.decide(request, 0.4) is None
    assert director.decide(request, 0.6) == FINISHED
    direct = replace(request, index=1)
    assert director.begin(1, NEITHER) == HARD.text
    assert director.decide(direct, 0.6) == FINISHED
    stops = np.array([0.1, 0.9])
    assert director.score([request] * 2, NEITHER, NEITHER, NEITHER, stops) is stops


def test_plans_keep_the_parts_that_are_training_goals_and_count_the_others() -> None:
    divided = {HARD.text: [PARTS[0].text, "Fly to the moon.", PARTS[1].text]}
    other = toy().goals("hard")[0]
    plans, counts = make_plans(toy(), [HARD, other], divided)
    assert plans == [Plan(HARD, PARTS), Plan(other)]
    assert counts == {"subgoals": 3, "unknown_subgoals": 1, "undivided_goals": 1}


def test_planned_imagination_asks_the_model_to_divide_each_goal_once(
    real: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def decompose(model: Any, texts: list[str]) -> list[list[str]]:
        asked.append(texts)
        return [[PARTS[0].text, PARTS[1].text] for _ in texts]

    monkeypatch.setattr("imagination.imagine.decompose", decompose)
    config = replace(CONFIG, mode="planned", shares={"hard": 1.0})
    imagination = scripted(real, config)
    assert len(asked) == 1
    assert asked[0] == sorted({plan.goal.text for plan in imagination.plans})
    assert all(plan.subgoals == PARTS for plan in imagination.plans)


# ------------------------------------------------------------------------------- which goals


def test_target_goals_are_all_novel_goals_and_no_training_goal() -> None:
    world = toy()
    found = goals_to_imagine(world, "target", seed=0)
    assert found == [g for level in ("rephrase", "easy", "hard") for g in world.goals(level)]


@pytest.mark.parametrize("name", ["toy", "toy_continuous"])
def test_unseen_sentences_share_no_sentence_with_any_level(name: str) -> None:
    world = make_world(name)
    known = {goal.text for level in world.levels for goal in world.goals(level)}
    unseen = goals_to_imagine(world, "unseen", seed=0)
    assert unseen
    assert not {goal.text for goal in unseen} & known
    assert unseen == goals_to_imagine(world, "unseen", seed=0)
    assert unseen != goals_to_imagine(world, "unseen", seed=1)


def test_an_unknown_protocol_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"Unknown protocol `oracle`\. Known: target, unseen"):
        goals_to_imagine(toy(), "oracle", seed=0)


@pytest.mark.parametrize("count", [1, 3, 10, 101])
def test_goals_are_spread_to_the_exact_count_and_evenly(count: int) -> None:
    goals = goals_to_imagine(toy(), "target", seed=0)
    shares = {"rephrase": 0.2, "easy": 0.2, "hard": 0.6}
    chosen = spread(goals, shares, count, np.random.default_rng(0))
    assert len(chosen) == count
    levels = Counter(goal.level for goal in chosen)
    for level, share in shares.items():
        assert abs(levels[level] - share * count) <= 1
        uses = Counter(goal.text for goal in chosen if goal.level == level)
        pool = sum(goal.level == level for goal in goals)
        assert set(uses.values()) <= {levels[level] // pool, levels[level] // pool + 1}


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"impossible": 1.0}, "Unknown level `impossible`"),
        ({"easy": 0.0}, "sum above 0"),
        ({"easy": 2.0, "hard": -1.0}, "shares >= 0"),
    ],
)
def test_shares_that_make_no_sense_are_refused(shares: dict[str, float], words: str) -> None:
    goals = goals_to_imagine(toy(), "target", seed=0)
    with pytest.raises(ValueError, match=words):
        spread(goals, shares, 10, np.random.default_rng(0))


@pytest.mark.parametrize(
    "options",
    [{"mode": "dreamy"}, {"judge": "me"}, {"starts": "evaluation"}, {"tries": 0}, {"tries": 7}],
)
def test_settings_that_make_no_sense_are_refused_with_their_flag(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"--{next(iter(options))}"):
        ImagineConfig(**options)


def test_a_card_of_imagined_data_says_so(real: Path, engine: Any, tmp_path: Path) -> None:
    card = Card(environment="toy", environment_version="1", source="imagined", command="kalm x")
    imagine(scripted(real), tmp_path / "out", card)
    assert EpisodeStore(tmp_path / "out" / "accepted").card.command == "kalm x"
