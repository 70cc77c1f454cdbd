"""Claims on pieces of work: who does what, without a server and without comparing clocks.

A claim is a file that only one process can create. Its holder rewrites it every few seconds. Who
sees it unchanged for `lease_seconds` of its own clock takes the piece over by creating the next
generation of the file (`shard-00017.1`), which again only one process can; the highest generation
holds. Clocks of machines are never compared. A holder that was a process of this machine and has
ended is passed over at once.

Claims only save double work: a process that was suspended for long may still believe that it
holds a piece. Its result does no harm, because a piece is published by an act that succeeds once.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from envs.files import StoreError

LEASE_SECONDS = 60.0
BEATS_PER_LEASE = 4
Clock = Callable[[], float]


class SharedFiles:
    """Small files in a folder that processes share: on a disk, or in a bucket by its URL."""

    def __init__(self, root: str | Path) -> None:
        """Opens a folder.

        Args:
            root: path, or a URL that fsspec knows, such as ``s3://bucket/folder``.

        Raises:
            StoreError: the package for this kind of URL is not installed.
        """
        try:
            self.files, self.root = url_to_fs(str(root), use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise StoreError(
                f"Cannot open `{root}`: {error}. Install it, or name a path."
            ) from None

    def path(self, name: str) -> str:
        """The full path of `name`, which is relative to the folder."""
        return f"{self.root}/{name}"

    def create(self, name: str, content: bytes) -> bool:
        """Creates a file with `content`; False where it was there before, whoever made it."""
        try:
            if isinstance(self.files, LocalFileSystem):
                self._link(Path(self.path(name)), content)
            else:
                self.files.pipe_file(self.path(name), content, mode="create")
        except FileExistsError:
            return False
        return True

    def _link(self, path: Path, content: bytes) -> None:
        """Creates a file that is whole from the first moment on, also on a network file system."""
        path.parent.mkdir(parents=True, exist_ok=True)
        written = Path(self.path(f".{uuid.uuid4().hex}"))
        try:
            written.write_bytes(content)
            os.link(written, path)
        finally:
            written.unlink(missing_ok=True)

    def write(self, name: str, content: bytes) -> None:
        """Creates or replaces a file."""
        self.files.pipe_file(self.path(name), content)

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""
        try:
            content: bytes = self.files.cat_file(self.path(name))
        except FileNotFoundError:
            return None
        return content

    def remove(self, name: str) -> None:
        """Removes a file or a folder, if it is there."""
        with suppress(FileNotFoundError):
            self.files.rm(self.path(name), recursive=True)

    def exists(self, name: str) -> bool:
        """Whether a file or a folder is there now."""
        self.files.invalidate_cache()
        return bool(self.files.exists(self.path(name)))

    def upload(self, source: Path, name: str) -> None:
        """Copies a file of this machine to `name`."""
        path = self.path(name)
        self.files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        self.files.put_file(str(source), path)

    def download(self, name: str, target: Path) -> None:
        """Copies the file `name` to one of this machine."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self.files.get_file(self.path(name), str(target))

    def names(self, folder: str) -> list[str]:
        """Names of what lies in `folder` now; none where there is no such folder."""
        self.files.invalidate_cache()
        try:
            if isinstance(self.files, LocalFileSystem):
                return os.listdir(self.path(folder))  # without a look at every file
            found = self.files.ls(self.path(folder), detail=False)
        except FileNotFoundError:
            return []
        return [path.rstrip("/").rsplit("/", 1)[-1] for path in found]


class Claims:
    """The claims in one folder, as one process sees and makes them."""

    def __init__(
        self,
        files: SharedFiles,
        folder: str,
        *,
        lease_seconds: float = LEASE_SECONDS,
        clock: Clock = time.monotonic,
    ) -> None:
        """Nothing is read or written yet.

        Args:
            folder: of the claims, inside `files`.
            lease_seconds: a claim that stays as it is for so long is passed over.
        """
        self._files, self._folder = files, folder
        self._lease_seconds, self._clock = lease_seconds, clock
        self._seen: dict[str, tuple[bytes | None, float]] = {}
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"

    def held(self) -> set[str]:
        """Pieces on which anyone has a claim, expired ones included."""
        return {name.rsplit(".", 1)[0] for name in self._files.names(self._folder)}

    @contextmanager
    def holding(self, piece: str) -> Iterator[bool]:
        """Whether this process got `piece`; if so, it holds it until the block ends."""
        name = self._claim(piece)
        if name is None:
            yield False
            return
        ended = threading.Event()
        beating = threading.Thread(target=self._beat, args=(name, ended), daemon=True)
        beating.start()
        try:
            yield True
        finally:
            ended.set()
            beating.join()
            for generation in range(int(name.rsplit(".", 1)[1]) + 1):
                self._files.remove(f"{self._folder}/{piece}.{generation}")

    def _claim(self, piece: str) -> str | None:
        """The name of the claim that this process made on `piece`; None where another holds it."""
        found = self._generations(piece)
        if found and not self._expired(f"{piece}.{found[-1]}"):
            return None
        wanted = found[-1] + 1 if found else 0
        name = f"{piece}.{wanted}"
        if not self._files.create(f"{self._folder}/{name}", self._content(0)):
            return None
        if self._generations(piece)[-1:] != [wanted]:
            self._files.remove(f"{self._folder}/{name}")
            return None  # another was faster by a generation
        return name

    def _generations(self, piece: str) -> list[int]:
        names = [name.rsplit(".", 1) for name in self._files.names(self._folder)]
        return sorted(int(number) for stem, number in names if stem == piece)

    def _expired(self, name: str) -> bool:
        content = self._files.read(f"{self._folder}/{name}")
        if content is None:
            return False  # released in between: the next look tells more
        if has_ended(content):
            return True
        before, since = self._seen.get(name, (None, 0.0))
        if content != before:
            self._seen[name] = (content, self._clock())
            return False
        return self._clock() - since >= self._lease_seconds

    def _content(self, beat: int) -> bytes:
        told = {
            "owner": self.owner,
            "machine": machine_name(),
            "process": os.getpid(),
            "beat": beat,
        }
        return json.dumps(told).encode()

    def _beat(self, name: str, ended: threading.Event) -> None:
        """Rewrites a claim until `ended`; one beat that a network loses does no harm."""
        beat = 0
        while not ended.wait(self._lease_seconds / BEATS_PER_LEASE):
            beat += 1
            with suppress(OSError):
                self._files.write(f"{self._folder}/{name}", self._content(beat))


def machine_name() -> str:
    """What process numbers of this process are unique within: a boot, and a space of processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def has_ended(content: bytes) -> bool:
    """Whether a claim is of a process of this machine that is no more."""
    try:
        told = json.loads(content)
        if told["machine"] != machine_name():
            return False
        os.kill(told["process"], 0)
    except ProcessLookupError:
        return True
    except (ValueError, TypeError, KeyError, OverflowError, PermissionError):
        return False  # half written, or a process of another user
    return False
