"""Repairing a store: the longest prefix of whole shards, twice the same, the damaged one kept."""

from pathlib import Path

import pytest

from envs import repair as repairs
from envs.files import StoreError
from envs.repair import repair_store
from envs.store import Card, EpisodeStore, verify_store, write_store
from tests.samples import equal_episodes, make_episode

CARD = Card("toy", "1", "real", note="first")
EPISODES = [make_episode(seed=seed) for seed in range(5)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write_store(tmp_path / "store", EPISODES, CARD, episodes_per_shard=2)


def damage(folder: Path, name: str) -> bytes:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 8
    (folder / name).write_bytes(content)
    return bytes(content)


def test_a_whole_store_is_left_alone(store: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    repair = repair_store(store)
    assert (repair.problems, repair.kept, repair.lost, repair.damaged) == ((), 5, 0, None)
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before


def test_shards_before_the_first_damaged_one_are_kept(store: Path) -> None:
    bad = damage(store, "data/part-00001.parquet")
    repair = repair_store(store)
    assert (repair.kept, repair.lost) == (2, 3)  # shards of 2, 2 and 1; the last is whole
    assert "part-00001.parquet was altered" in repair.problems[0]
    assert verify_store(store) == []
    opened = EpisodeStore(store)
    assert all(map(equal_episodes, opened.episodes(), EPISODES[:2]))
    assert opened.card.note == "first; repaired: the first 2 of 5 episodes"
    assert opened.num_steps == 6
    assert repair.damaged is not None
    assert (repair.damaged / "data/part-00001.parquet").read_bytes() == bad
    assert repair_store(store).damaged is None


def test_a_foreign_file_stays_with_the_damaged_store(store: Path) -> None:
    (store / "notes.txt").write_text("mine")
    repair = repair_store(store)
    assert (repair.kept, repair.lost) == (5, 0)
    assert repair.damaged is not None
    assert (repair.damaged / "notes.txt").read_text() == "mine"
    assert verify_store(store) == []


@pytest.mark.parametrize("name", ["card.json", "manifest.json"])
def test_nothing_is_kept_where_nothing_vouches_for_it(store: Path, name: str) -> None:
    damage(store, name)
    with pytest.raises(StoreError, match=f"{name} is not what COMPLETE says"):
        repair_store(store)
    assert [path.name for path in store.parent.iterdir()] == ["store"]


def test_a_store_whose_first_shard_is_gone_cannot_be_repaired(store: Path) -> None:
    (store / "data/part-00000.parquet").unlink()
    with pytest.raises(StoreError, match="No shard of"):
        repair_store(store)
    assert store.is_dir()


def test_a_crash_at_any_moment_leaves_one_or_the_other_and_can_be_gone_on_from(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(store, "data/part-00002.parquet")
    original = repairs.Path.rename
    for crash_at in (1, 2, 3):  # publishing the new store, moving the old one, moving the new one
        calls = iter(range(1, 10))

        def rename(path: Path, target: Path, crash_at: int = crash_at, calls=calls) -> Path:  # type: ignore[no-untyped-def]
            if next(calls) == crash_at:
                raise KeyboardInterrupt
            return original(path, target)

        monkeypatch.setattr(repairs.Path, "rename", rename)
        with pytest.raises(KeyboardInterrupt):
            repair_store(store)
        monkeypatch.setattr(repairs.Path, "rename", original)
        if crash_at < 3:
            assert "part-00002" in verify_store(store)[0], "the damaged store is untouched"
    repair = repair_store(store)
    assert (repair.kept, repair.lost) == (4, 0)  # the crash left only a rename to do
    assert verify_store(store) == []
