"""`kalm doctor`: versions, devices, disk and memory, and what is known not to work together."""

import importlib.util
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from envs.card import package_versions
from experiments.origin import LIBRARIES

OPTIONAL = ("wandb", "minari", "pillow", "metaworld", "rliable", "pandas", "tyro", "rich")
WANTED_DISK_GB = 5.0
WANTED_MEMORY_GB = 6.0


@dataclass(frozen=True)
class Finding:
    """Something that will not work, or not well."""

    problem: str
    remedy: str
    fatal: bool  # nothing works before this is mended


@dataclass(frozen=True)
class Command:
    """Says whether this machine is ready."""

    folder: Path = Path()  # runs would be written here


def main(arguments: Sequence[str]) -> int:
    """Prints what was found; 1 if something has to be mended first."""
    import tyro

    command = tyro.cli(Command, args=list(arguments), prog="kalm doctor")
    found = package_versions((*LIBRARIES, *OPTIONAL))
    for name, value in {**machine(command.folder), **found}.items():
        print(f"{name:<22} {value}")
    findings = [*version_findings(found), *machine_findings(command.folder)]
    for finding in findings:
        print(f"\n{'PROBLEM' if finding.fatal else 'note'}: {finding.problem}")
        print(f"  remedy: {finding.remedy}")
    fatal = any(finding.fatal for finding in findings)
    print("\nMend the problems above first." if fatal else "\nReady: try `kalm run demo`.")
    return int(fatal)


def version_findings(versions: Mapping[str, str]) -> list[Finding]:
    """What is known to go wrong with these installed versions, by package name."""
    findings = [
        Finding(f"`{name}` is not installed.", "Run `pip install kalm`.", fatal=True)
        for name in LIBRARIES
        if name not in versions
    ]
    if versions.get("d3rlpy") == "2.8.1":
        findings.append(
            Finding(
                "d3rlpy 2.8.1 pins gymnasium 1.0.0, which newer environments refuse.",
                "Run `pip install 'd3rlpy==2.8.0'`; its algorithms are the same.",
                fatal=False,
            )
        )
    if _older(versions, "torch", (2, 10)):
        findings.append(
            Finding(
                f"torch {versions['torch']} has known holes in loading weights.",
                "Run `pip install 'torch>=2.10'`.",
                fatal=False,
            )
        )
    if "metaworld" in versions and versions.get("mujoco", "3.3.0") != "3.3.0":
        findings.append(
            Finding(
                f"metaworld pins mujoco 3.3.0, and {versions['mujoco']} is installed.",
                "Use a virtual environment of its own for Meta-World.",
                fatal=False,
            )
        )
    if "minari" in versions and "pillow" not in versions:
        findings.append(
            Finding(
                "minari needs pillow without saying so.", "Run `pip install pillow`.", fatal=False
            )
        )
    if "rliable" in versions and not _older(versions, "pandas", (3, 0)):
        findings.append(
            Finding(
                "rliable fails at import with pandas 3.",
                "Run `pip install 'pandas<3'`, or do without rliable.",
                fatal=False,
            )
        )
    return findings


def _older(versions: Mapping[str, str], name: str, least: tuple[int, int]) -> bool:
    """Whether package `name` is installed in a version below `least`."""
    if name not in versions:
        return False
    parts = versions[name].split("+")[0].split(".")
    return (int(parts[0]), int(parts[1])) < least


def machine(folder: Path) -> dict[str, str]:
    """Facts about this machine in words."""
    return {
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "cpu cores": str(available_cores()),
        "memory": f"{memory_gb():.1f} GB",
        "free disk": f"{free_disk_gb(folder):.1f} GB",
        "devices": ", ".join(_devices()),
        "tracking": _wandb_state(),
    }


def machine_findings(folder: Path) -> list[Finding]:
    """What this machine lacks."""
    findings = []
    if free_disk_gb(folder) < WANTED_DISK_GB:
        findings.append(
            Finding(
                f"Only {free_disk_gb(folder):.1f} GB of disk are free; a published run "
                f"needs about {WANTED_DISK_GB:.0f}.",
                "Free some space, or choose a run folder on another disk.",
                fatal=False,
            )
        )
    if memory_gb() < WANTED_MEMORY_GB:
        findings.append(
            Finding(
                f"{memory_gb():.1f} GB of memory; the demo may need {WANTED_MEMORY_GB:.0f}.",
                "Lower --ground.batch-size and --imagine.num-slots.",
                fatal=False,
            )
        )
    return findings


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gb() -> float:
    """Memory of the machine, in GB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def free_disk_gb(folder: Path) -> float:
    """Free disk where `folder` is, or will be, in GB."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free / 1e9


def _devices() -> list[str]:
    if importlib.util.find_spec("torch") is None:
        return ["torch is not installed"]
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        gpus.append("Apple GPU (not used)")
    return [f"CPU, {torch.get_num_threads()} threads", *gpus]


def _wandb_state() -> str:
    if importlib.util.find_spec("wandb") is None:
        return "wandb is not installed; runs are kept in their folders"
    mode = os.environ.get("WANDB_MODE", "online")
    key = "a key is set" if os.environ.get("WANDB_API_KEY") else "no key in WANDB_API_KEY"
    return f"wandb, mode {mode}, {key}"
