"""The episode store: what goes in comes out, whole or not at all, and every flipped bit is seen."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from samples import equal_episodes, make_episode

from envs.card import package_versions
from envs.episode import Episode
from envs.files import partial_folder, publish
from envs.manifest import MANIFEST, MARKER, marker_text
from envs.store import (
    ROWS_PER_GROUP,
    Card,
    EpisodeStore,
    StoreError,
    require_world,
    verify_store,
    write_store,
)
from envs.toy import ContinuousToyWorld, ToyWorld

CARD = Card("toy", "1-progress", "real", command="kalm collect", seed=7, versions={"numpy": "2"})
FILES = ("card.json", "manifest.json", "COMPLETE", "data/part-00000.parquet")


def many_episodes(count: int) -> list[Episode]:
    """Episodes of 1 to 5 steps; three goals in turn."""
    return [
        make_episode(1 + index % 5, seed=index, goal=f"goal {index % 3}", success=index % 2 == 0)
        for index in range(count)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write_store(tmp_path / "store", many_episodes(40), CARD, episodes_per_shard=15)


def test_episodes_come_out_as_they_went_in(store: Path) -> None:
    expected = many_episodes(40)
    opened = EpisodeStore(store)
    assert len(opened) == 40
    assert opened.num_steps == 8 * (1 + 2 + 3 + 4 + 5)
    assert opened.card == CARD
    assert [shard.rows for shard in opened.manifest.shards] == [15, 15, 10]
    assert len(list(opened.episodes())) == 40
    assert all(map(equal_episodes, opened.episodes(), expected))
    assert verify_store(store) == []


scalars = st.one_of(
    st.text(max_size=5),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False, allow_infinity=False),
)
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
finite = {"allow_nan": False, "allow_infinity": False}


@st.composite
def episode_lists(draw: st.DrawFn) -> list[Episode]:
    """Episodes of one layout: any number type and shape, or text."""

    def values(kind: str, length: int, shape: tuple[int, ...]) -> np.ndarray:
        if kind == "text":
            lines = draw(st.lists(words, min_size=length, max_size=length))
            return np.array(lines, dtype=np.str_)
        elements = finite if kind.startswith("float") else None
        return draw(arrays(kind, (length, *shape), elements=elements))

    kinds = st.sampled_from(["float32", "float64", "float16", "int64", "int8", "uint8", "text"])
    shapes = st.lists(st.integers(1, 3), max_size=2).map(tuple)
    observed, acted = draw(kinds), draw(kinds)
    observation_shape, action_shape = draw(shapes), draw(shapes)
    episodes = []
    for _ in range(draw(st.integers(1, 4))):
        steps = draw(st.integers(1, 4))
        episodes.append(
            Episode(
                goal=draw(words),
                observations=values(observed, steps + 1, observation_shape),
                actions=values(acted, steps, action_shape),
                rewards=values("float32", steps, ()),
                terminated=draw(st.booleans()),
                source=draw(st.sampled_from(["real", "imagined", "distilled"])),
                level=draw(words),
                success=draw(st.booleans()),
                provenance=draw(st.dictionaries(words, scalars, max_size=3)),
            )
        )
    return episodes


@settings(max_examples=40)
@given(episodes=episode_lists())
def test_any_episode_survives_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory, episodes: list[Episode]
) -> None:
    folder = tmp_path_factory.mktemp("stores") / "store"
    write_store(folder, episodes, CARD, episodes_per_shard=2)
    found = list(EpisodeStore(folder).episodes())
    assert len(found) == len(episodes)
    for one, other in zip(found, episodes, strict=True):
        # numpy gives text the width of its longest line, so types differ in that alone
        assert one.observations.dtype.kind == other.observations.dtype.kind
        assert np.array_equal(one.observations, other.observations)
        assert np.array_equal(one.actions, other.actions)
        assert one.rewards.tobytes() == other.rewards.tobytes()
        assert dict(one.provenance) == dict(other.provenance)
        assert (one.goal, one.level, one.source) == (other.goal, other.level, other.source)
        assert (one.terminated, one.success) == (other.terminated, other.success)


def test_any_episode_can_be_read_alone(tmp_path: Path) -> None:
    count = 2 * ROWS_PER_GROUP + 7
    expected = many_episodes(count)
    write_store(tmp_path / "store", expected, CARD, episodes_per_shard=ROWS_PER_GROUP + 5)
    opened = EpisodeStore(tmp_path / "store")
    for index in (0, ROWS_PER_GROUP, ROWS_PER_GROUP + 4, ROWS_PER_GROUP + 5, count - 1):
        assert equal_episodes(opened[index], expected[index])
    assert equal_episodes(opened[-count], expected[0])
    for index in (count, -count - 1):
        with pytest.raises(IndexError, match=f"below {count}, got {index}"):
            opened[index]


def test_the_same_episodes_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_store(tmp_path / name, iter(many_episodes(40)), CARD, episodes_per_shard=15)
    for path in (tmp_path / "one").rglob("*"):
        if path.is_file():
            other = tmp_path / "other" / path.relative_to(tmp_path / "one")
            assert path.read_bytes() == other.read_bytes(), path.name


@pytest.mark.parametrize("memory_map", [False, True])
def test_flat_arrays_keep_every_step_and_final_observation(
    store: Path, tmp_path: Path, memory_map: bool
) -> None:
    flat = EpisodeStore(store).flat(memory_map=memory_map)
    expected = many_episodes(40)
    assert len(flat) == 40
    assert flat.goals == ["goal 0", "goal 1", "goal 2"]
    assert len(flat.actions) == len(flat.rewards) == flat.lengths.sum() == 120
    assert len(flat.observations) == 160
    for index, episode in enumerate(expected):
        steps = slice(flat.starts[index], flat.starts[index] + flat.lengths[index])
        first = flat.observation_starts[index]
        states = flat.observations[first : first + flat.lengths[index] + 1]
        np.testing.assert_array_equal(states, episode.observations)
        np.testing.assert_array_equal(flat.actions[steps], episode.actions)
        np.testing.assert_array_equal(flat.rewards[steps], episode.rewards)
        assert flat.goals[flat.goal_ids[index]] == episode.goal
        assert flat.success[index] == episode.success
    assert set(flat.levels) == {"train"}
    assert set(flat.source) == {"real"}
    assert flat.terminated.all()
    assert isinstance(flat.observations, np.memmap) == memory_map


def test_a_memory_map_is_kept_beside_the_store_and_checked(store: Path) -> None:
    EpisodeStore(store).flat(memory_map=True)
    assert verify_store(store) == []
    (cache,) = store.parent.glob(".store.flat-*")
    before = (cache / "rewards.npy").stat().st_mtime_ns
    EpisodeStore(store).flat(memory_map=True)
    assert (cache / "rewards.npy").stat().st_mtime_ns == before, "written once"
    flip(cache / "rewards.npy", 8 * 200)
    with pytest.raises(StoreError, match=r"rewards\.npy is missing or was altered"):
        EpisodeStore(store).flat(memory_map=True)


def test_text_episodes_become_flat_text_and_no_memory_map(tmp_path: Path) -> None:
    episode = make_episode(
        observations=np.array(["hall", "door", "room", "key"]), actions=np.array(["a", "bb", "c"])
    )
    write_store(tmp_path / "store", [episode, episode], CARD)
    opened = EpisodeStore(tmp_path / "store")
    assert opened.flat().actions.tolist() == ["a", "bb", "c"] * 2
    with pytest.raises(StoreError, match="cannot be memory-mapped"):
        opened.flat(memory_map=True)


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def read_all(folder: Path) -> None:
    for _ in EpisodeStore(folder).episodes():
        pass


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_is_found_and_its_file_named(store: Path, name: str) -> None:
    path = store / name
    intact = path.read_bytes()
    rng = np.random.default_rng(len(name))
    for bit in rng.integers(8 * len(intact), size=60):
        flip(path, int(bit))
        problems = verify_store(store)
        assert len(problems) == 1, bit
        assert problems[0].startswith(str(path)), problems
        with pytest.raises(StoreError, match=path.name):
            read_all(store)
        path.write_bytes(intact)
    assert verify_store(store) == []


@pytest.mark.parametrize("name", FILES)
def test_a_cut_or_missing_file_is_named_with_the_next_step(store: Path, name: str) -> None:
    path = store / name
    intact = path.read_bytes()
    for length in (0, 1, len(intact) // 2, len(intact) - 1):
        path.write_bytes(intact[:length])
        (problem,) = verify_store(store)
        assert problem.startswith(str(path))
        assert "write the store again" in problem
        with pytest.raises(StoreError, match=path.name):
            EpisodeStore(store)
    path.unlink()
    with pytest.raises(StoreError, match=rf"{path.name} is missing\. Restore it"):
        EpisodeStore(store)


@pytest.mark.parametrize("shape", [None, 10, {"0": 10}])
def test_a_manifest_of_another_form_is_named_though_its_marker_fits(
    store: Path, shape: object
) -> None:
    values = json.loads((store / MANIFEST).read_text("utf-8"))
    values["layout"]["observations"]["shape"] = shape
    (store / MANIFEST).write_text(json.dumps(values), "utf-8")
    (store / MARKER).write_text(marker_text(store), "utf-8")
    with pytest.raises(StoreError, match="does not have the form that it should"):
        verify_store(store)


def test_the_pages_of_a_shard_carry_checksums_of_their_own(store: Path) -> None:
    path = store / "data/part-00000.parquet"
    flip(path, 8 * (path.stat().st_size // 4))
    with (
        pytest.raises(OSError, match="CRC"),
        pq.ParquetFile(path, page_checksum_verification=True) as file,
    ):
        file.read()


def test_reading_streams_up_to_an_altered_shard(store: Path) -> None:
    flip(store / "data/part-00002.parquet", 500)
    stream = EpisodeStore(store).episodes()
    assert len(list(islice(stream, 30))) == 30
    with pytest.raises(StoreError, match=r"part-00002\.parquet was altered"):
        next(stream)


def test_a_foreign_file_in_a_store_is_named(store: Path) -> None:
    (store / "data" / "part-00009.parquet").write_bytes(b"")
    (problem,) = verify_store(store)
    assert "part-00009.parquet is not part of the store" in problem


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no folder"):
        EpisodeStore(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="COMPLETE is missing"):
        EpisodeStore(tmp_path)


def never_made(index: int) -> Episode:
    raise AssertionError("no episode is made for a folder that cannot be written")


def test_an_existing_folder_is_never_overwritten(store: Path) -> None:
    before = (store / "manifest.json").read_bytes()
    with pytest.raises(StoreError, match="exists already"):
        write_store(store, map(never_made, range(3)), CARD)
    assert (store / "manifest.json").read_bytes() == before


def test_an_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Episode]:
        yield from many_episodes(20)
        raise RuntimeError("the simulator died")

    with pytest.raises(RuntimeError, match="the simulator died"):
        write_store(tmp_path / "store", broken(), CARD, episodes_per_shard=5)
    assert list(tmp_path.iterdir()) == []


def test_no_episodes_are_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"at least one episode for .*, got none"):
        write_store(tmp_path / "store", [], CARD)
    assert list(tmp_path.iterdir()) == []


def test_episodes_of_another_shape_are_refused_with_their_number(tmp_path: Path) -> None:
    wide = make_episode(2, observations=np.zeros((3, 9), np.float32))
    with pytest.raises(StoreError, match=r"\[9\].* in episode 3"):
        write_store(tmp_path / "store", [*many_episodes(3), wide], CARD, episodes_per_shard=2)
    assert list(tmp_path.iterdir()) == []


def test_values_that_cannot_be_stored_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Expected numbers or a line of text per step, got object"):
        write_store(
            tmp_path / "store",
            [make_episode(1, observations=np.array([{}, {}], dtype=object))],
            CARD,
        )
    with pytest.raises(StoreError, match="Expected finite numbers and text as provenance"):
        write_store(tmp_path / "store", [make_episode(provenance={"score": np.nan})], CARD)
    assert list(tmp_path.iterdir()) == []


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_full_disk_is_noticed_before_the_first_episode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(StoreError, match=r"Expected 17 MB of free disk .*, got 1 MB. Free some"):
        write_store(tmp_path / "store", map(never_made, range(3)), CARD)
    assert list(tmp_path.iterdir()) == []


def test_the_expected_number_of_episodes_is_weighed_against_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # About 100 bytes an episode: a million of them need 100 MB and more, twenty need nearly none.
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, 50 * 10**6))
    stream = iter(many_episodes(20))
    with pytest.raises(StoreError, match="MB of free disk"):
        write_store(tmp_path / "store", stream, CARD, expected_episodes=10**6)
    write_store(tmp_path / "store", many_episodes(20), CARD)


def test_a_disk_that_fills_up_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([10**9, 10**9, 10**9, 10])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, next(free)))
    with pytest.raises(StoreError, match="got 0 MB"):
        write_store(tmp_path / "store", many_episodes(20), CARD, episodes_per_shard=5)
    assert list(tmp_path.iterdir()) == []


WRITER = """
import sys, time
from pathlib import Path
from samples import make_episode
from envs.store import Card, write_store

def episodes():
    for index in range(30):
        yield make_episode(2, seed=index)
    Path(sys.argv[2]).touch()
    time.sleep(60)

write_store(sys.argv[1], episodes(), Card("toy", "1", "real"), episodes_per_shard=10)
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has written three shards of a store and waits."""
    reached = tmp_path / "reached"
    tests = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"}
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "store"), str(reached)], env=environment
    )
    deadline = time.monotonic() + 60
    while not reached.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    reached.unlink()
    yield process
    process.kill()
    process.wait()


def test_a_second_writer_is_refused_with_the_owner(
    writer: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match=f"is being written by process {writer.pid}. Wait"):
        write_store(tmp_path / "store", many_episodes(3), CARD)
    assert writer.poll() is None
    assert list((partial_folder(tmp_path / "store") / "data").iterdir()), "it was left alone"


def test_a_killed_writer_publishes_nothing_and_is_cleared_by_the_next(
    writer: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert [path.name for path in tmp_path.iterdir()] == [".store.partial"]
    with pytest.warns(UserWarning, match=f"Removed .*partial of process {writer.pid}"):
        write_store(tmp_path / "store", many_episodes(3), CARD)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert verify_store(tmp_path / "store") == []


def test_a_folder_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    with publish(target) as partial:
        (partial / "file").write_text("content")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["file"]
    assert not partial.exists()


def test_a_card_survives_json_and_names_its_keys() -> None:
    assert Card.from_json(CARD.to_json()) == CARD
    with pytest.raises(ValueError, match="Expected a card with the keys author, command"):
        Card.from_json('{"colour": "red"}')


def test_versions_of_missing_packages_are_left_out() -> None:
    assert package_versions(["numpy", "no-such-package"]) == {"numpy": np.__version__}


def test_data_of_another_world_or_version_is_refused() -> None:
    require_world(CARD, ToyWorld())
    with pytest.raises(ValueError, match="environment `toy_continuous`, got `toy`"):
        require_world(CARD, ContinuousToyWorld())
    with pytest.raises(ValueError, match="version `1-progress`, got `0`"):
        require_world(Card("toy", "0", "real"), ToyWorld())


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_told_with_the_next_step_and_leaves_nothing(
    tmp_path: Path, error: Exception
) -> None:

    def write() -> None:
        with publish(tmp_path / "folder") as partial:
            (partial / "file").write_text("content")
            raise error

    with pytest.raises(StoreError, match=r"The disk of .* is full .*Free some space"):
        write()
    assert list(tmp_path.iterdir()) == []
