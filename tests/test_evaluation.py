"""Evaluation runs fixed tasks, keeps one record per episode and pools them as stated."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from envs import make_world
from envs.collect import draw_task
from envs.world import Goal, Task
from offline_rl.evaluation import Evaluation, Record, evaluate
from offline_rl.policies import RandomPolicy
from offline_rl.statistics import Stratum, success_interval, wilson
from offline_rl.tasks import TaskFile, make_tasks, read_tasks, write_tasks

TOY = make_world("toy")


class MixedWorld(type(TOY)):  # type: ignore[misc]
    """The toy world with a hard level of 8 pairs and 2 moves, and a second judge of movement."""

    def goals(self, level: str) -> Sequence[Goal]:
        if level != "hard":
            return super().goals(level)  # type: ignore[no-any-return]
        pairs = [replace(goal, level="hard") for goal in super().goals("train")[:8]]
        return pairs + [replace(goal, level="hard") for goal in super().goals("easy")[:2]]

    def moved_enough(self, specs: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(after - before).max(axis=1) > 0.1)


def record(agent: str, seed: int, task: int, success: bool, **changes: object) -> Record:
    made = Record(agent, seed, "easy", "move", task, "go", 0, success, None, 1, 0.0)
    return replace(made, **changes)  # type: ignore[arg-type]


def evaluation(records: Sequence[Record]) -> Evaluation:
    kind_goals = {"train": {"pair": 5}, "easy": {"move": 4}, "hard": {"two": 8, "three": 2}}
    return Evaluation(tuple(records), kind_goals, "train")


def assert_same_tasks(first: Sequence[Task], second: Sequence[Task]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert (one.goal, one.seed) == (other.goal, other.seed)
        assert np.array_equal(one.start, other.start)


def test_tasks_are_a_function_of_their_seed_and_more_episodes_only_add_some() -> None:
    tasks = make_tasks(TOY, "train", 30, seed=3)
    assert_same_tasks(tasks, make_tasks(TOY, "train", 30, seed=3))
    assert_same_tasks(tasks[:10], make_tasks(TOY, "train", 10, seed=3))
    assert tasks[0].seed != make_tasks(TOY, "train", 1, seed=4)[0].seed
    assert not np.array_equal(tasks[0].start, make_tasks(TOY, "rephrase", 1, seed=3)[0].start)


def test_evaluation_starts_are_not_those_of_collection_with_the_same_seed() -> None:
    starts = {
        task.start.tobytes() for level in TOY.levels for task in make_tasks(TOY, level, 50, 0)
    }
    collected = {draw_task(TOY, TOY.goals("train"), 0, i).start.tobytes() for i in range(300)}
    assert len(starts) == 200
    assert not starts & collected


def test_every_goal_is_asked_about_equally_often() -> None:
    goals = TOY.goals("easy")  # 24 of them
    tasks = make_tasks(TOY, "easy", 2 * len(goals), seed=0)
    counts = [sum(task.goal == goal for task in tasks) for goal in goals]
    assert counts == [2] * len(goals)


def test_kinds_get_episodes_by_their_goals_but_no_fewer_than_the_least() -> None:
    # 8 pairs and 2 moves: 16 and 4 of 20 episodes, or at least 10 of each.
    world = MixedWorld()
    kinds = [task.goal.kind for task in make_tasks(world, "hard", 20, 0, min_per_kind=1)]
    assert (kinds.count("pair"), kinds.count("move")) == (16, 4)
    kinds = [task.goal.kind for task in make_tasks(world, "hard", 20, 0, min_per_kind=10)]
    assert (kinds.count("pair"), kinds.count("move")) == (16, 10)


def test_tasks_of_unknown_levels_and_of_no_episodes_are_refused() -> None:
    with pytest.raises(ValueError, match="Unknown level `medium`"):
        make_tasks(TOY, "medium", 5, seed=0)
    with pytest.raises(ValueError, match="at least one episode, got 0"):
        make_tasks(TOY, "easy", 0, seed=0)


def test_stored_tasks_come_back_equal_with_their_hash(tmp_path: Path) -> None:
    tasks = {level: make_tasks(TOY, level, 5, seed=2) for level in TOY.levels}
    file = TaskFile(TOY.name, TOY.version, 2, tasks)
    digest = write_tasks(tmp_path / "tasks.parquet", file)
    again = read_tasks(tmp_path / "tasks.parquet")
    assert (again.world, again.world_version, again.seed) == (TOY.name, TOY.version, 2)
    assert again.sha256 == digest
    assert list(again.tasks) == list(tasks)
    for level, many in tasks.items():
        assert_same_tasks(many, again.tasks[level])
    other = replace(file, tasks={**tasks, "easy": make_tasks(TOY, "easy", 5, seed=3)})
    assert other.sha256 != digest


def test_altered_task_files_and_other_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.parquet"
    write_tasks(path, TaskFile(TOY.name, TOY.version, 2, {"easy": make_tasks(TOY, "easy", 40, 2)}))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    (tmp_path / "altered.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=r"altered\.parquet"):
        read_tasks(tmp_path / "altered.parquet")
    with pytest.raises(ValueError, match=r"Expected evaluation in .*, found another table"):
        Evaluation.read(path)
    with pytest.raises(ValueError, match=r"Cannot read tasks from .*missing\.parquet"):
        read_tasks(tmp_path / "missing.parquet")


def test_an_evaluation_has_one_record_per_policy_and_task_and_repeats_itself() -> None:
    tasks = {level: make_tasks(TOY, level, 12, seed=1) for level in TOY.levels}
    seen: list[tuple[str, str, int]] = []
    first = evaluate(
        TOY,
        {"random": RandomPolicy(TOY), "expert": TOY.expert_policy(8)},
        tasks,
        num_slots=8,
        on_episode=lambda agent, level, index, episode: seen.append((agent, level, index)),
    )
    assert len(first.records) == 2 * 4 * 12
    assert seen == [(r.agent, r.level, r.task) for r in first.records]
    for measured in first.records:
        task = tasks[measured.level][measured.task]
        assert (measured.goal, measured.task_seed) == (task.goal.text, task.seed)
        assert measured.steps == 1 or measured.level != "easy"  # one-step goals
    second = evaluate(TOY, {"random": RandomPolicy(TOY)}, tasks, num_slots=5)
    assert second.records == first.records[: len(second.records)]
    rows = {(row.agent, row.level): row.success for row in first.rows()}
    assert rows["expert", "train"] == 1.0
    assert rows["random", "train"] < 0.7


def test_one_step_goals_are_judged_by_movement_too_where_the_world_can() -> None:
    world = MixedWorld()
    tasks = {level: make_tasks(world, level, 10, seed=1) for level in ("easy", "train")}
    measured = evaluate(world, {"expert": world.expert_policy(8)}, tasks)
    assert all(r.moved for r in measured.records if r.level == "easy")
    assert all(r.moved is None for r in measured.records if r.level == "train")
    assert [(row.level, row.success) for row in measured.rows("moved")] == [("easy", 1.0)]
    plain = evaluate(TOY, {"expert": TOY.expert_policy(8)}, {"easy": tasks["easy"]})
    assert all(r.moved is None for r in plain.records)
    assert plain.rows("moved") == []


def test_rows_weigh_kinds_by_goals_and_novel_levels_equally() -> None:
    hard = {"level": "hard"}
    records = [record("a", 0, task, task < 3) for task in range(4)]  # easy: 3 of 4
    records += [record("a", 0, task, task < 1, **hard, kind="two") for task in range(2)]  # 1 of 2
    records += [record("a", 0, 2 + task, True, **hard, kind="three") for task in range(4)]  # 4 of 4
    records += [record("a", 0, 0, False, level="train", kind="pair")]
    rows = {(row.level, row.kind): row for row in evaluation(records).rows()}
    assert rows["hard", "all"].success == pytest.approx(0.8 * 0.5 + 0.2 * 1.0)
    assert (rows["hard", "two"].success, rows["hard", "three"].success) == (0.5, 1.0)
    # The training level is not novel; the two others count one half each: (0.75 + 0.6) / 2.
    assert rows["novel", "all"].success == pytest.approx(0.675)
    assert rows["novel", "all"].episodes == 10
    assert rows["easy", "all"].low == pytest.approx(wilson(0.75, 4).low)
    assert ("easy", "move") not in rows  # a level of one kind needs no row for it


def test_seeds_are_pooled_into_one_row() -> None:
    outcomes = np.array([[1, 1, 0], [0, 1, 0]])
    records = [
        record("a", seed, task, bool(outcomes[place, task]))
        for place, seed in enumerate((7, 4))
        for task in (2, 0, 1)
    ]
    (row,) = evaluation(records).rows()
    assert row.seeds == (4, 7)
    assert (row.success, row.episodes) == (0.5, 6)
    expected = success_interval([Stratum(1.0, outcomes[::-1].astype(float))])
    assert (row.low, row.high) == (expected.low, expected.high)


def test_levels_that_were_not_evaluated_have_no_row() -> None:
    levels = {row.level for row in evaluation([record("a", 0, 0, True)]).rows()}
    assert levels == {"easy"}


def test_seeds_that_ran_parts_of_the_tasks_are_pooled_over_what_they_ran() -> None:
    """Such as a table of states that knows other starts with each seed's data."""
    runs = [(0, 0, True), (0, 1, True), (0, 2, False), (1, 2, True), (1, 3, False)]
    (row,) = evaluation([record("a", *run) for run in runs]).rows()
    assert (row.success, row.episodes, row.seeds) == (0.6, 5, (0, 1))
    nan = np.nan
    expected = success_interval([Stratum(1.0, np.array([[1, 1, 0, nan], [nan, nan, 1, 0]]))])
    assert (row.low, row.high) == (expected.low, expected.high)


def test_seeds_with_other_tasks_are_refused() -> None:
    records = [record("a", 0, 0, True), record("a", 1, 0, True, goal="come")]
    with pytest.raises(ValueError, match="Expected the same tasks of `easy`"):
        evaluation(records).rows()


def test_agents_are_compared_task_by_task() -> None:
    records = [record("a", 0, task, task < 6) for task in range(10)]
    records += [record("b", 0, task, task < 2) for task in range(10)]
    difference = evaluation(records).difference("a", "b", "easy")
    assert difference.value == pytest.approx(0.4)
    assert 0.0 < difference.low < 0.4 < difference.high < 0.8
    with pytest.raises(ValueError, match="No episodes of agent `c`"):
        evaluation(records).difference("a", "c", "easy")


def test_evaluations_are_merged_once_and_come_back_from_disk_equal(tmp_path: Path) -> None:
    parts = [evaluation([record("a", seed, 0, True, moved=False)]) for seed in range(2)]
    merged = Evaluation.merge(parts)
    assert [r.agent_seed for r in merged.records] == [0, 1]
    merged.write(tmp_path / "evaluation.parquet")
    assert Evaluation.read(tmp_path / "evaluation.parquet") == merged
    with pytest.raises(ValueError, match="Expected each episode once"):
        Evaluation.merge([parts[0], parts[0]])
    with pytest.raises(ValueError, match="evaluations of one world"):
        Evaluation.merge([parts[0], replace(parts[1], training_level="easy")])
    with pytest.raises(ValueError, match="at least one evaluation"):
        Evaluation.merge([])
