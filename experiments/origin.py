"""Where a result comes from: the code's commit, library versions and the command."""

import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from envs.card import package_versions

LIBRARIES = (
    "accelerate",
    "d3rlpy",
    "gymnasium",
    "mujoco",
    "numpy",
    "peft",
    "pyarrow",
    "sentence-transformers",
    "torch",
    "transformers",
)


def commit() -> str:
    """The commit of this code, with "+changes" where files differ from it; "" outside git."""
    folder = Path(__file__).resolve().parent.parent
    git = ["git", "-C", str(folder)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=20
        )
        status = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if head.returncode != 0:
        return ""
    return head.stdout.strip() + ("+changes" if status.stdout.strip() else "")


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape a result."""
    return {"python": platform.python_version(), **package_versions(LIBRARIES)}


def command_line(verb: str, arguments: Sequence[str]) -> str:
    """The command that was given, in words a shell understands."""
    return shlex.join(["kalm", verb, *arguments])


def is_main_process() -> bool:
    """Whether this process speaks for a distributed job; always true for a job of one."""
    import os

    return int(os.environ.get("RANK", "0")) == 0


def say(message: str) -> None:
    """Tells the user something, once per job."""
    if is_main_process():
        print(message, file=sys.stderr, flush=True)
