"""A full disk in every stage: one clear error, and what was there before is whole."""

import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.presets import Preset
from experiments.soak.check import Found, require
from experiments.soak.kills import Baseline
from experiments.soak.toy_run import STAGES, do_stage, finish, hashes, put

SPARE_BYTES = 20_000  # left on the disk when a stage starts: less than any stage writes
FILE_BYTES = 3_000  # largest file where no disk can be mounted


def fill_disk(baseline: Baseline, stages: tuple[str, ...] = tuple(STAGES)) -> Found:
    """Does every stage on a disk that is too small, then with room again.

    The disk is a tmpfs where one can be mounted; elsewhere files are limited in size.

    Raises:
        NotHeldError: a stage did not fail, failed with a traceback, harmed what was there, or
            could not go on.
    """
    for stage in stages:
        baseline.start_again(stage)
        before = hashes(baseline.run)
        words = baseline.folder / "words.txt"
        words.unlink(missing_ok=True)
        with small_disk(baseline.run) as kind:
            limit = FILE_BYTES if kind == "file size limit" else 0
            code = finish(_work, baseline.preset, baseline.run, stage, limit, words=words)
            said = words.read_text()
            after = hashes(baseline.run)
            story = f"{stage} on a full disk"
            require(code == 2, f"{story} ended with exit code {code}: {said[-300:]}")
            require("error: " in said and "Traceback" not in said, f"{story}: {said[-300:]}")
            lost = [name for name, value in before.items() if after.get(name) != value]
            require(not lost, f"{story} harmed {lost[:3]}.")
        code = finish(do_stage, baseline.preset, baseline.run, stage)
        require(code == 0, f"{story}, then with room: exit code {code}.")
        baseline.require_same(stage, f"{story}, then with room")
    return Found(len(stages), len(stages), note=kind)


@contextmanager
def small_disk(run: Path) -> Iterator[str]:
    """Puts a run folder on a disk that its content nearly fills; how that was done.

    Afterwards the folder is where it was, with what is in it by then.
    """
    content = sum(-(-p.stat().st_size // 4096) * 4096 for p in run.rglob("*") if p.is_file())
    folders = sum(1 for path in run.rglob("*") if path.is_dir())
    aside = run.with_name("aside")
    run.mkdir(parents=True, exist_ok=True)
    put(run, aside)
    size = content + SPARE_BYTES + 4096 * (folders + 20)
    if not _mount(run, size):
        yield "file size limit"
        return
    try:
        shutil.copytree(aside, run, dirs_exist_ok=True)
        yield "tmpfs"
        put(run, aside)
    finally:
        unmount(run)
    put(aside, run)


def unmount(folder: Path) -> None:
    """Takes away the small disk at `folder`, if there is one."""
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)


def _mount(folder: Path, size: int) -> bool:
    """Whether a tmpfs of `size` bytes could be mounted at `folder`; needs to be root on Linux."""
    if shutil.which("mount") is None or os.geteuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


def _work(preset: Preset, run: Path, stage: str, file_bytes: int) -> None:
    """Does a stage, telling errors as the command line does."""
    import sys

    if file_bytes:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing then fails with an error
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    try:
        do_stage(preset, run, stage)
    except (ValueError, OSError, ArithmeticError, RuntimeError) as error:
        known = isinstance(error, ValueError | OSError)
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG)
        os.write(2, f"error: {'disk full: ' if full else ''}{error}\n".encode())
        sys.exit(2 if known else 1)
