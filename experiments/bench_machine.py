"""The machine that a benchmark runs on: what it is, and what else keeps it busy meanwhile."""

import os
import platform
import time
from pathlib import Path

from experiments.doctor import available_cores, memory_gb

IDLE_CORES = 0.3  # other processes may keep this much of a core busy

_STAT, _CPUINFO = Path("/proc/stat"), Path("/proc/cpuinfo")


def machine() -> dict[str, str]:
    """Facts that speeds depend on."""
    import torch

    from kalm.precision import quick_dtype

    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = {
        "processor": processor(),
        "cores": str(available_cores()),
        "threads": str(torch.get_num_threads()),
        "arithmetic": str(quick_dtype(device)).removeprefix("torch."),
        "memory": f"{memory_gb():.0f} GB",
        "system": f"{platform.system()} {platform.machine()}",
    }
    if torch.cuda.is_available():
        found["device"] = torch.cuda.get_device_name()
    return found


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def load_average() -> float | None:
    """Processes that ran or waited for a core in the last minute, None where unknown."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


class OtherLoad:
    """How many cores others keep busy from its construction on; this process does not count."""

    def __init__(self) -> None:
        self._began, self._busy, self._own = time.monotonic(), _busy_seconds(), _own_seconds()

    def cores(self) -> float | None:
        """Cores on average since the beginning, None where the system does not tell."""
        busy, seconds = _busy_seconds(), time.monotonic() - self._began
        if busy is None or self._busy is None or seconds <= 0:
            return None
        return max(0.0, (busy - self._busy - (_own_seconds() - self._own)) / seconds)


def _busy_seconds() -> float | None:
    """Seconds that all cores together have worked since the machine was started."""
    if not _STAT.exists():
        return None
    user, nice, system, _, _, irq, softirq, *_ = map(int, _STAT.read_text().split()[1:9])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Seconds that this process and its ended children have worked."""
    return sum(os.times()[:4])
