"""Where shards lie: a folder that processes share, or a bucket.

Both publish a shard by an act that succeeds once, so that two processes that did the same shard
leave one: on a disk the renaming of a whole folder, in a bucket the creation of a small file that
names the folder with the shard's content. What a bucket holds is copied beside the run for merging.
"""

import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from envs.files import StoreError
from imagination.claims import SharedFiles

FINGERPRINT = "fingerprint.txt"  # of what the shards were imagined from
SHARDS, CLAIMS, UNFINISHED = "shards", ".claims", ".unfinished"
Write = Callable[[Path], object]


class Place(Protocol):
    """Where shards are published and found."""

    files: SharedFiles  # beside the shards, for claims and notes

    def done(self) -> set[int]:
        """Numbers of all published shards."""
        ...

    def is_done(self, number: int) -> bool:
        """Whether shard `number` is published."""
        ...

    def publish(self, number: int, write: Write) -> bool:
        """Publishes what `write` makes of a folder that is not there yet.

        False where another process has published the shard in between: then that one counts.
        """
        ...

    def copy(self, number: int) -> Path:
        """A folder on this machine with shard `number`."""
        ...

    def remove(self, number: int) -> None:
        """Removes a shard at once, also while another process may be reading it."""
        ...


def shard_name(number: int) -> str:
    """The name of a shard's folder."""
    return f"shard-{number:05d}"


def _numbers(names: Iterable[str], ending: str = "") -> set[int]:
    """Numbers of the shards among `names`, which end in `ending`; others are foreign."""
    found = (re.fullmatch(rf"shard-(\d+){re.escape(ending)}", name) for name in names)
    return {int(match[1]) for match in found if match is not None}


class SharedFolder:
    """Shards in a folder of this machine, or of a file system that machines share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.files = SharedFiles(self.folder)

    def done(self) -> set[int]:
        """Numbers of all published shards, from one listing."""
        return _numbers(self.files.names(SHARDS))

    def is_done(self, number: int) -> bool:
        """Whether shard `number` is published."""
        return self.copy(number).exists()

    def publish(self, number: int, write: Write) -> bool:
        """Writes a shard aside and renames it; False where another process was faster."""
        aside = self.folder / UNFINISHED / uuid.uuid4().hex[:12]
        unfinished, target = aside / shard_name(number), self.copy(number)
        try:
            write(unfinished)
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished.rename(target)
            _sync(target.parent)
        except OSError:
            if not target.exists():
                raise
            return False
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return True

    def copy(self, number: int) -> Path:
        """The folder of shard `number`."""
        return self.folder / SHARDS / shard_name(number)

    def remove(self, number: int) -> None:
        """Removes a shard at once, also while another process may be reading it."""
        aside = self.folder / UNFINISHED / uuid.uuid4().hex[:12]
        aside.parent.mkdir(exist_ok=True)
        try:
            self.copy(number).rename(aside)
        except FileNotFoundError:
            return  # another process was faster
        shutil.rmtree(aside)


class Bucket:
    """Shards under a URL that fsspec knows; copies for reading lie in a folder of this machine."""

    def __init__(self, url: str, folder: Path) -> None:
        """Opens the bucket.

        Raises:
            StoreError: it cannot create a file only where there is none.
        """
        self.files = SharedFiles(url)
        self._copies = SharedFolder(folder)
        trial = f".trial-{uuid.uuid4().hex}"
        twice = [self.files.create(trial, b"1"), self.files.create(trial, b"2")]
        self.files.remove(trial)
        if twice != [True, False]:
            raise StoreError(
                f"`{url}` cannot create a file only where there is none, so that processes cannot "
                "claim work there. Use a newer package for it, or a shared file system."
            )

    def done(self) -> set[int]:
        """Numbers of all published shards, from one listing."""
        return _numbers(self.files.names(SHARDS), ".json")

    def is_done(self, number: int) -> bool:
        """Whether shard `number` is published."""
        return self.files.exists(self._note(number))

    def publish(self, number: int, write: Write) -> bool:
        """Uploads a shard to a folder of its own, then creates the note that names the folder."""
        aside = self._copies.folder / UNFINISHED / uuid.uuid4().hex[:12]
        content = f"content/{shard_name(number)}.{aside.name}"
        try:
            write(aside)
            names = sorted(p.relative_to(aside).as_posix() for p in aside.rglob("*") if p.is_file())
            for name in names:
                self.files.upload(aside / name, f"{content}/{name}")
            note = json.dumps({"folder": content, "files": names}).encode()
            published = self.files.create(self._note(number), note)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        if not published:
            self.files.remove(content)
        return published

    def copy(self, number: int) -> Path:
        """The folder on this machine into which shard `number` was downloaded."""
        if not self._copies.is_done(number):
            self._copies.publish(number, lambda target: self._download(number, target))
        return self._copies.copy(number)

    def remove(self, number: int) -> None:
        """Removes a shard from the bucket, and its copy here."""
        note = self.files.read(self._note(number))
        self.files.remove(self._note(number))
        if note is not None:
            self.files.remove(json.loads(note)["folder"])
        self._copies.remove(number)

    def _note(self, number: int) -> str:
        return f"{SHARDS}/{shard_name(number)}.json"

    def _download(self, number: int, target: Path) -> None:
        note = self.files.read(self._note(number))
        if note is None:
            raise StoreError(f"{shard_name(number)} is not in the bucket. Imagine it again.")
        told = json.loads(note)
        for name in told["files"]:
            self.files.download(f"{told['folder']}/{name}", target / name)


def open_place(folder: Path, bucket: str) -> Place:
    """Where the shards of `folder` lie: in it, or in a bucket where its URL is given."""
    return Bucket(bucket, folder) if bucket else SharedFolder(folder)


def require_same(files: SharedFiles, fingerprint: str) -> None:
    """Notes beside the shards what is imagined, or compares with what was noted before.

    Raises:
        StoreError: the place holds shards of another model or of other settings.
    """
    content = fingerprint + "\n"
    files.create(FINGERPRINT, content.encode())
    found = (files.read(FINGERPRINT) or b"").decode("utf-8", "replace")
    if found != content:
        raise StoreError(
            f"{files.root} holds rollouts of another model or of other settings. Remove it, or "
            f"choose another folder."
        )


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
