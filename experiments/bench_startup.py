"""How long a user waits for the first answer, and how long the demo took when it was last run.

The demo is not run here: its stages were timed when its published result was made.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from experiments.bench_measure import OURS, BenchRow, Done, Plan, constant, measure, row_of
from experiments.results import Results, load_results

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "experiments" / "results" / "demo.json"
DEMO_SECONDS = 600.0
NO_CUDA = (
    "import sys; torch = sys.modules.get('torch'); "
    "assert torch is None or not torch.cuda.is_initialized()"
)


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    repeats: int


SIZES = {"tiny": Size(1), "quick": Size(5), "full": Size(15)}


def rows(size: Size) -> Iterator[BenchRow]:
    """Help, import and demo."""
    for name, code in (
        ("kalm --help", "from experiments.cli import main; main(['--help'])"),
        ("import kalm", "import kalm"),
    ):
        plan = Plan("start-up", name, "s", at_most=1.0, less_is_better=True)
        yield measure(plan, {OURS: _Fresh(code).run}, size.repeats, warmups=1)
    yield demo_row(DEMO)


class _Fresh:
    """Code in a fresh interpreter that must not wake a GPU."""

    def __init__(self, code: str) -> None:
        self._code = f"{code}; {NO_CUDA}"

    def run(self) -> Done:
        """Seconds from starting the interpreter to its end."""
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", self._code],
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
        )
        return Done(time.perf_counter() - began, seconds=1.0)


def demo_row(file: Path) -> BenchRow:
    """The seconds of the demo's stages, from its published result."""
    plan = Plan("demo", "set-up excluded", "s", at_most=DEMO_SECONDS, less_is_better=True)
    if not file.exists():
        return row_of(plan, {}, f"{file} is missing. Run `kalm run demo` and publish its results.")
    results = load_results(file)
    seconds = sum(results.seconds_per_stage.values())
    note = f"at commit {results.commit}; success on novel goals: {_success(results)}"
    return measure(plan, {OURS: constant(seconds)}, 1, note=note)


def _success(results: Results) -> str:
    found = [row for row in results.select("novel") if row.agent.startswith("real+imagined")]
    return ", ".join(f"{row.agent} {100 * row.success:.1f} %" for row in found)
