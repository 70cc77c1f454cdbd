"""Formats of others: a round trip returns every field, and transitions are counted."""

import sys
from pathlib import Path

import numpy as np
import pytest
from samples import equal_episodes, make_episode

from envs.card import Card
from envs.collect import collect
from envs.episode import Episode
from envs.files import StoreError
from envs.interchange import (
    export_minari,
    from_imagine_bench,
    import_minari,
    to_d3rlpy,
    to_imagine_bench,
)
from envs.toy import ContinuousToyWorld, ToyWorld

CARD = Card("toy", "1-progress", "real", author="a person", note="a note")
VECTOR_DIM = 4


def toy_episodes(world: ToyWorld) -> list[Episode]:
    """Real episodes of one-step, easy and hard goals; some were cut at the horizon."""
    return [
        episode
        for level in ("easy", "train", "hard")
        for episode in collect(world, world.goals(level), 8, 0, workers=1)
    ]


def vectors(episodes: list[Episode]) -> dict[str, np.ndarray]:
    """A vector for every goal."""
    goals = sorted({episode.goal for episode in episodes})
    rng = np.random.default_rng(0)
    return {goal: rng.normal(size=VECTOR_DIM).astype(np.float32) for goal in goals}


@pytest.fixture(params=[ToyWorld, ContinuousToyWorld])
def world(request: pytest.FixtureRequest) -> ToyWorld:
    made: ToyWorld = request.param()
    return made


def test_minari_returns_every_field(world: ToyWorld, tmp_path: Path) -> None:
    episodes = toy_episodes(world)
    assert {episode.terminated for episode in toy_episodes(ContinuousToyWorld())} == {True, False}
    folder = export_minari(
        tmp_path, "kalm/toy/test-v0", episodes, CARD, num_actions=world.spaces.num_actions
    )
    assert folder == tmp_path / "kalm/toy/test-v0"
    found = list(import_minari(folder))
    assert len(found) == len(episodes)
    assert all(map(equal_episodes, found, episodes))


def test_minari_itself_reads_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minari = pytest.importorskip("minari")
    episodes = toy_episodes(ToyWorld())
    export_minari(tmp_path, "kalm/toy/test-v0", episodes, CARD, num_actions=12)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    dataset = minari.load_dataset("kalm/toy/test-v0")
    assert dataset.total_episodes == len(episodes)
    assert dataset.total_steps == sum(map(len, episodes))
    assert dataset.action_space.n == 12
    assert dataset.observation_space.shape == (6,)
    assert dataset.storage.metadata["author"] == {"a person"}
    assert [data.terminations[-1] for data in dataset] == [one.terminated for one in episodes]
    assert [data.truncations[-1] for data in dataset] == [not one.terminated for one in episodes]


def test_minari_keeps_text_and_images(tmp_path: Path) -> None:
    text = make_episode(
        2, observations=np.array(["a hall", "a door", ""]), actions=np.array(["go", "öffnen"])
    )
    rng = np.random.default_rng(0)
    image = make_episode(2, observations=rng.integers(0, 256, (3, 8, 8, 3)).astype(np.uint8))
    for name, episode in (("text-v0", text), ("image-v0", image)):
        folder = export_minari(
            tmp_path, name, [episode], CARD, num_actions=None if name == "text-v0" else 4
        )
        (found,) = import_minari(folder)
        assert equal_episodes(found, episode)


def test_a_minari_export_is_published_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import minari

    episodes = toy_episodes(ToyWorld())

    def half(dataset_id: str, *arguments: object, **options: object) -> None:
        folder = minari.utils.get_dataset_path(dataset_id)
        folder.mkdir(parents=True)
        raise ImportError("PIL")

    with monkeypatch.context() as patched:
        patched.setattr(minari, "create_dataset_from_buffers", half)
        with pytest.raises(ImportError, match="PIL"):
            export_minari(tmp_path, "kalm/toy/test-v0", episodes, CARD, num_actions=12)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(("test", ".test"))]
    export_minari(tmp_path, "kalm/toy/test-v0", episodes, CARD, num_actions=12)
    with pytest.raises(StoreError, match="exists already"):
        export_minari(tmp_path, "kalm/toy/test-v0", episodes, CARD, num_actions=12)


@pytest.mark.filterwarnings("ignore::UserWarning:minari")
def test_a_minari_data_set_without_goals_needs_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import minari
    from gymnasium.spaces import Box, Discrete
    from minari.data_collector import EpisodeBuffer

    buffer = EpisodeBuffer(
        observations=np.zeros((3, 2), np.float32),
        actions=np.array([0, 1]),
        rewards=[0.0, 1.0],
        terminations=[False, True],
        truncations=[False, False],
    )
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    minari.create_dataset_from_buffers(
        "foreign-v0",
        [buffer],
        observation_space=Box(-1, 1, (2,), np.float32),
        action_space=Discrete(2),
    )
    with pytest.raises(StoreError, match="names no goals"):
        list(import_minari(tmp_path / "foreign-v0"))
    (episode,) = import_minari(tmp_path / "foreign-v0", goal="Reach the corner.")
    assert (episode.goal, episode.source, episode.terminated) == ("Reach the corner.", "real", True)
    with pytest.raises(StoreError, match="holds no Minari data set"):
        list(import_minari(tmp_path))


@pytest.mark.parametrize("package", ["minari", "PIL"])
def test_a_missing_package_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(StoreError, match=rf"need the package {package}\. Install the extra"):
        export_minari(tmp_path / "root", "test-v0", [make_episode()], CARD, num_actions=4)
    assert not (tmp_path / "root").exists()


def test_imagine_bench_returns_every_field(world: ToyWorld) -> None:
    episodes = toy_episodes(world)
    bench = to_imagine_bench(episodes, vectors(episodes))
    found = from_imagine_bench(bench, VECTOR_DIM)
    assert len(found) == len(episodes)
    assert all(map(equal_episodes, found, episodes))


def test_imagine_bench_rows_are_steps_and_one_final_observation() -> None:
    # Two rollouts of 1 and 3 steps: T = 4 rows, observations of 3 numbers and 4 of the goal.
    episodes = [make_episode(1, seed=1, goal="a"), make_episode(3, seed=2, goal="b")]
    goal_vectors = vectors(episodes)
    bench = to_imagine_bench(episodes, goal_vectors)
    shapes = {name: bench[name].shape for name in ("observations", "actions", "rewards", "masks")}
    assert shapes == {
        "observations": (2, 4, 7),
        "actions": (2, 4, 1),
        "rewards": (2, 4, 1),
        "masks": (2, 4, 1),
    }
    assert bench["masks"][:, :, 0].tolist() == [[1, 0, 0, 0], [1, 1, 1, 0]]
    np.testing.assert_array_equal(bench["observations"][0, 1, :3], episodes[0].observations[1])
    np.testing.assert_array_equal(bench["observations"][1, 3, 3:], goal_vectors["b"])
    assert not bench["observations"][0, 2:].any()


def foreign_bench() -> dict[str, np.ndarray]:
    """The benchmark's own four arrays: 2 and 3 steps in 3 rows, no final observations."""
    masks = np.array([[1, 1, 0], [1, 1, 1]], np.float32)[..., None]
    states = np.arange(2 * 3 * 5, dtype=np.float32).reshape(2, 3, 5) + 1
    return {
        "observations": states * masks,
        "actions": np.ones((2, 3, 2), np.float32),
        "rewards": np.ones((2, 3, 1), np.float32),
        "masks": masks,
    }


def test_the_benchmarks_own_arrays_lose_no_action() -> None:
    bench = foreign_bench()
    with pytest.raises(StoreError, match="Rollout 0 holds no final observation"):
        from_imagine_bench(bench, 2, goals=["a", "b"])
    short, full = from_imagine_bench(
        bench, 2, goals=["a", "b"], source="imagined", level="easy", repeat_last=True
    )
    assert (len(short), len(full)) == (2, 3)
    assert (short.terminated, full.terminated) == (True, False)
    assert (short.goal, full.goal, full.source, full.level) == ("a", "b", "imagined", "easy")
    np.testing.assert_array_equal(short.observations, [[1, 2, 3], [6, 7, 8], [6, 7, 8]])
    with pytest.raises(StoreError, match="the words of 2 goals, got 0"):
        from_imagine_bench(bench, 2, repeat_last=True)


def test_d3rlpy_gets_every_transition_once(world: ToyWorld) -> None:
    episodes = toy_episodes(world)
    goal_vectors = vectors(episodes)
    dataset = to_d3rlpy(episodes, goal_vectors, world.spaces.num_actions)
    assert dataset.transition_count == sum(map(len, episodes))
    for exported, episode in zip(dataset.episodes, episodes, strict=True):
        assert exported.transition_count == len(episode)
        for index in range(len(episode)):
            transition = dataset.transition_picker(exported, index)
            last = index == len(episode) - 1
            vector = goal_vectors[episode.goal]
            np.testing.assert_array_equal(
                transition.observation, [*episode.observations[index], *vector]
            )
            np.testing.assert_array_equal(transition.action, np.atleast_1d(episode.actions[index]))
            assert transition.reward == episode.rewards[index]
            assert transition.terminal == (episode.terminated and last)
            if not transition.terminal:
                np.testing.assert_array_equal(
                    transition.next_observation, [*episode.observations[index + 1], *vector]
                )


def test_formats_of_vectors_refuse_other_observations() -> None:
    image = make_episode(2, observations=np.zeros((3, 4, 4), np.float32))
    for export in (to_imagine_bench, to_d3rlpy):
        with pytest.raises(StoreError, match=r"Expected vectors as observations, got .*\(4, 4\)"):
            export([image], vectors([image]))
        with pytest.raises(StoreError, match="at least one episode to export, got none"):
            export([], {})
