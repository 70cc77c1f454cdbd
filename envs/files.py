"""Publishing a folder all at once: temporary folder, fsync, rename; and the hashes that check it.

A reader sees either the whole folder or none. The temporary folder lies beside its target and is
locked by the process that writes it, so a crash leaves only that folder and the next writer of the
same target clears it. POSIX file locks are used: they end with their process.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OWNER = ".owner"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StoreError(ValueError):
    """A folder of data cannot be written or read; the message names the file and the next step."""


class FolderTaken(StoreError):  # noqa: N818 -- reads as the sentence that it is
    """The folder exists already, or another process is writing it."""


@contextmanager
def well_formed(path: Path) -> Iterator[None]:
    """Tells of a file whose content has another form than it should, wherever that shows inside.

    Raises:
        StoreError: it has; names `path`.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} does not have the form that it should ({type(error).__name__}: {error}). "
            "Restore it from a copy, or make it again."
        ) from error


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def partial_folder(target: Path) -> Path:
    """The temporary folder in which `target` is written."""
    return target.parent / f".{target.name}.partial"


def lock_file(path: Path, place: Path, *, shared: bool = False) -> int:
    """An open descriptor that holds the lock file `path` until it is closed or the process ends.

    Args:
        place: what the lock stands for, named in the error.
        shared: others may hold it too, but nobody alone.

    Raises:
        FolderTaken: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another process"
        os.close(descriptor)
        raise FolderTaken(
            f"{place} is in use by {owner}. Wait for it, or choose another folder."
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    return descriptor


@contextmanager
def publish(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes `target` when the block ends without an exception.

    Raises:
        StoreError: `target` exists, or another process is writing it.
    """
    target = Path(target).absolute()
    _refuse_existing(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_folder(target)
    lock = _lock(partial, target)
    try:
        _refuse_existing(target)
        _clear(partial)
        (partial / _OWNER).write_text(f"{os.getpid()}\n")
        yield partial
        (partial / _OWNER).unlink()
        _sync_tree(partial)
        _refuse_existing(target)
        partial.rename(target)
        _sync(target.parent)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, Exception) and is_disk_full(error):
            raise StoreError(
                f"The disk of {target} is full ({error}). Nothing was left there, and what was "
                "published before is whole. Free some space; the same command goes on from here."
            ) from error
        raise
    finally:
        os.close(lock)


def is_disk_full(error: Exception) -> bool:
    """Whether an error says that a file could not grow; some libraries say so in words alone."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    words = str(error)
    return any(f"os error {number}" in words or os.strerror(number) in words for number in _FULL)


def require_free_space(folder: Path, num_bytes: int) -> None:
    """Checks that the disk of `folder` has `num_bytes` free.

    Raises:
        StoreError: it has not.
    """
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < num_bytes:
        raise StoreError(
            f"Expected {num_bytes / 1e6:,.0f} MB of free disk for {folder}, got "
            f"{free / 1e6:,.0f} MB. Free some space or choose a folder on another disk."
        )


def _refuse_existing(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise FolderTaken(
            f"{target} exists already. Choose another folder, or remove this one first."
        )


def _lock(partial: Path, target: Path) -> int:
    """An open, locked descriptor of the temporary folder."""
    while True:
        partial.mkdir(exist_ok=True)
        try:
            descriptor = os.open(partial, os.O_RDONLY)
        except FileNotFoundError:
            continue  # its writer published or removed it in between
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise FolderTaken(
                f"{target} is being written by process {_owner(partial)}. "
                "Wait for it, or choose another folder."
            ) from None
        if _is_at(partial, descriptor):
            return descriptor
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the open folder still lies at `path`: its last writer may have published it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _owner(partial: Path) -> str:
    try:
        return (partial / _OWNER).read_text().strip() or "unknown"
    except FileNotFoundError:
        return "unknown"


def _clear(partial: Path) -> None:
    """Removes what a crashed writer left, naming it."""
    left = sorted(partial.iterdir())
    if not left:
        return
    warnings.warn(
        f"Removed the unfinished folder {partial} of process {_owner(partial)}, which has ended.",
        stacklevel=5,
    )
    for path in left:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _sync_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
