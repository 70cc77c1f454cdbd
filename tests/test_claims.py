"""Claims and places: one process gets a piece, dead ones lose theirs, nothing comes twice."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from envs.files import StoreError
from imagination.claims import Claims, SharedFiles, machine_name
from imagination.places import Bucket, Place, SharedFolder, require_same

Root = Callable[[str], str]


@pytest.fixture(params=["path", "file", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder of this disk, the same through fsspec, and a bucket in memory."""
    return {
        "path": str(tmp_path / "shared"),
        "file": f"file://{tmp_path}/shared",
        "memory": f"memory://{uuid.uuid4().hex}",
    }[request.param]


class Hand:
    """A clock that is set by hand."""

    seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def claims(root: str, clock: Callable[[], float] = time.monotonic, lease: float = 60.0) -> Claims:
    return Claims(SharedFiles(root), "claims", lease_seconds=lease, clock=clock)


def leave_claim(root: str, piece: str, machine: str = "another machine", process: int = 1) -> None:
    """What a worker that was killed leaves."""
    told = {"owner": "x", "machine": machine, "process": process, "beat": 3}
    assert SharedFiles(root).create(f"claims/{piece}", json.dumps(told).encode())


# ---------------------------------------------------------------------------------- files


def test_a_file_is_created_once_and_whole(root: str) -> None:
    files = SharedFiles(root)
    assert files.create("notes/a", b"first")
    assert not files.create("notes/a", b"second")
    assert files.read("notes/a") == b"first"
    assert files.names("notes") == ["a"]
    assert files.names("nothing") == []
    files.remove("notes/a")
    files.remove("notes/a")
    assert files.read("notes/a") is None
    assert files.create("notes/a", b"third")


def test_of_many_threads_one_creates_a_file(tmp_path: Path) -> None:
    files, made = SharedFiles(tmp_path), []
    gate = threading.Barrier(8)

    def create(number: int) -> None:
        gate.wait()
        made.append(files.create("note", f"{number}".encode() * 1_000))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]
    assert len(files.read("note") or b"") == 1_000
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_a_url_of_an_unknown_kind_is_refused_with_what_to_do() -> None:
    with pytest.raises(StoreError, match=r"Cannot open `nowhere://x`.*Install it, or name a path"):
        SharedFiles("nowhere://x")


# ---------------------------------------------------------------------------------- claims


def test_one_of_two_gets_a_piece_and_the_other_after_its_release(root: str) -> None:
    one, other = claims(root), claims(root)
    with one.holding("shard-00000") as mine:
        assert mine
        assert other.held() == {"shard-00000"}
        with other.holding("shard-00000") as too, other.holding("shard-00001") as free:
            assert (too, free) == (False, True)
    assert other.held() == set()
    with other.holding("shard-00000") as mine:
        assert mine


def test_a_claim_that_stays_as_it_is_expires_by_the_clock_of_who_looks(root: str) -> None:
    clock = Hand()
    leave_claim(root, "shard-00000.0")
    late = claims(root, clock)
    for seconds, expected in ((1_000.0, False), (1_059.0, False), (1_060.0, True)):
        clock.seconds = seconds
        with late.holding("shard-00000") as mine:
            assert mine == expected
    assert late.held() == set()


def test_clocks_of_machines_are_not_compared(root: str) -> None:
    # The one who looks is a year behind: only what passes on its own clock counts.
    clock = Hand()
    clock.seconds = -365 * 86_400.0
    leave_claim(root, "shard-00000.0")
    skewed = claims(root, clock)
    with skewed.holding("shard-00000") as mine:
        assert not mine
    clock.seconds += 61
    with skewed.holding("shard-00000") as mine:
        assert mine


def test_a_holder_that_lives_keeps_its_piece_beyond_the_lease(root: str) -> None:
    clock, files = Hand(), SharedFiles(root)
    holder, other = claims(root, lease=0.04), claims(root, clock)
    with holder.holding("shard-00000") as mine:
        assert mine
        for _ in range(4):
            with other.holding("shard-00000") as taken:
                assert not taken
            before = files.read("claims/shard-00000.0")
            deadline = time.monotonic() + 60
            while files.read("claims/shard-00000.0") in (before, b""):
                assert time.monotonic() < deadline, "The holder gave no sign of life."
                time.sleep(0.01)
            clock.seconds += 59  # below the lease since the last sign, beyond it since the first


def test_one_of_many_takes_an_expired_piece_over(root: str) -> None:
    clock = Hand()
    leave_claim(root, "shard-00000.0")
    workers = [claims(root, clock) for _ in range(5)]
    with ExitStack() as stack:
        assert not any(stack.enter_context(w.holding("shard-00000")) for w in workers)
        clock.seconds += 60
        taken = [stack.enter_context(w.holding("shard-00000")) for w in workers]
        assert sorted(taken) == [False] * 4 + [True]
        assert sorted(SharedFiles(root).names("claims")) == ["shard-00000.0", "shard-00000.1"]
    assert SharedFiles(root).names("claims") == []


def test_a_process_of_this_machine_that_has_ended_is_passed_over_at_once(root: str) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    leave_claim(root, "shard-00000.0", machine_name(), ended.pid)
    leave_claim(root, "shard-00001.0", machine_name(), os.getpid())
    with claims(root).holding("shard-00000") as dead, claims(root).holding("shard-00001") as alive:
        assert (dead, alive) == (True, False)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"machine": 1}', b"\xff"])
def test_a_torn_claim_holds_until_it_expires(root: str, content: bytes) -> None:
    SharedFiles(root).create("claims/shard-00000.0", content)
    clock = Hand()
    other = claims(root, clock)
    for expected in (False, True):
        with other.holding("shard-00000") as mine:
            assert mine == expected
        clock.seconds += 60


def test_an_error_releases_the_piece(root: str) -> None:
    with pytest.raises(KeyboardInterrupt), claims(root).holding("shard-00000"):
        raise KeyboardInterrupt
    assert claims(root).held() == set()


# ---------------------------------------------------------------------------------- places


@pytest.fixture(params=["folder", "file bucket", "memory bucket"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Place]:
    """A place as each of several machines opens it."""
    url = {"file bucket": f"file://{tmp_path}/bucket", "memory bucket": f"memory://{tmp_path.name}"}
    kind = request.param

    def open_at(machine: str) -> Place:
        if kind == "folder":
            return SharedFolder(tmp_path / "shared")
        return Bucket(url[kind], tmp_path / machine)

    return open_at


def write(words: str) -> Callable[[Path], None]:
    def to(target: Path) -> None:
        (target / "data").mkdir(parents=True)
        (target / "data/part.txt").write_text(words)
        (target / "COMPLETE").write_text("yes")

    return to


def test_a_shard_is_published_once_and_the_first_one_counts(
    places: Callable[[str], Place],
) -> None:
    one, other = places("one"), places("other")
    assert other.done() == set()
    assert not other.is_done(7)
    assert one.publish(7, write("first"))
    assert not other.publish(7, write("second"))
    for place in (one, other, places("third")):
        assert place.done() == {7}
        assert place.is_done(7)
        assert (place.copy(7) / "data/part.txt").read_text() == "first"
        assert (place.copy(7) / "COMPLETE").exists()


def test_foreign_names_among_shards_are_nobodys(tmp_path: Path) -> None:
    place = SharedFolder(tmp_path)
    for name in ("shard-00004", "shard-00004 (copy)", "shard-x", ".shard-00005.partial", "notes"):
        (tmp_path / "shards" / name).mkdir(parents=True)
    assert place.done() == {4}


def test_a_shard_whose_writing_failed_is_not_there(places: Callable[[str], Place]) -> None:
    def fail(target: Path) -> None:
        write("half")(target)
        raise KeyboardInterrupt

    place = places("one")
    with pytest.raises(KeyboardInterrupt):
        place.publish(3, fail)
    assert place.done() == set()
    assert place.publish(3, write("whole"))


def test_a_removed_shard_can_be_made_anew(places: Callable[[str], Place]) -> None:
    one, other = places("one"), places("other")
    one.publish(100_000, write("damaged"))
    assert (other.copy(100_000) / "data/part.txt").read_text() == "damaged"
    other.remove(100_000)
    other.remove(100_000)
    assert one.done() == set()
    assert other.publish(100_000, write("mended"))
    assert (other.copy(100_000) / "data/part.txt").read_text() == "mended"
    assert one.done() == {100_000}


def test_a_place_of_other_settings_is_refused(root: str) -> None:
    require_same(SharedFiles(root), "abc")
    require_same(SharedFiles(root), "abc")
    with pytest.raises(StoreError, match="another model or of other settings"):
        require_same(SharedFiles(root), "abd")


def test_a_bucket_that_overwrites_where_it_should_create_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SharedFiles, "create", lambda files, name, content: True)
    with pytest.raises(StoreError, match="cannot create a file only where there is none"):
        Bucket(f"memory://{tmp_path.name}", tmp_path)


# ---------------------------------------------------------------------------------- workers


def notes_of(folder: Path, name: str, word: str) -> list[int]:
    """Numbers that worker `name` noted with `word`."""
    path = folder / f"{name}.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [int(line.split()[1]) for line in lines if line.startswith(word)]


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_shards_of_a_killed_and_a_suspended_worker_are_redone_and_published_once(
    tmp_path: Path, kind: str
) -> None:
    script, shards, names = Path(__file__).with_name("claim_worker.py"), 9, ("a", "b", "c")
    url = "" if kind == "folder" else f"file://{tmp_path}/bucket"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    workers = [
        subprocess.Popen(
            [sys.executable, str(script), url, str(tmp_path), name, str(shards), "2"],
            env=environment,
        )
        for name in names
    ]
    lost: dict[str, int] = {}
    deadline = time.monotonic() + 120
    while len(lost) < 2:
        assert time.monotonic() < deadline, "Two workers never held a shard."
        for name, worker, end in zip(
            names, workers, (signal.SIGKILL, signal.SIGSTOP), strict=False
        ):
            tried = notes_of(tmp_path, name, "tried")
            if name not in lost and len(tried) > len(notes_of(tmp_path, name, "published")):
                worker.send_signal(end)
                lost[name] = tried[-1]
    assert workers[2].wait(timeout=120) == 0
    workers[1].send_signal(signal.SIGCONT)
    assert workers[1].wait(timeout=120) == 0
    assert workers[0].wait(timeout=120) == -signal.SIGKILL
    place = Bucket(url, tmp_path / "end") if url else SharedFolder(tmp_path / "shared")
    assert place.done() == set(range(shards))
    published = sorted(number for name in names for number in notes_of(tmp_path, name, "published"))
    # A killed worker may have published its last shard without living to note it.
    assert sorted({*published, lost["a"]}) == list(range(shards))
    assert len(published) == len(set(published))
    for name in names:
        for number in notes_of(tmp_path, name, "published"):
            assert (place.copy(number) / "by.txt").read_text() == name
