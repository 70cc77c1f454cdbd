"""Model folders of strangers: pickled weights and code of their own are refused, and not run.

The pickle is written by hand, as no part of this project imports what reads or writes them.
"""

import json
import shutil
from pathlib import Path

from experiments.folders import BASE_MODEL
from experiments.soak.check import Found, require
from experiments.soak.commands import outcome


def refuse_strangers(run: Path, folder: Path) -> Found:
    """Names malicious folders as the base model of a run.

    Args:
        run: folder of a finished run, whose base model is copied.

    Raises:
        NotHeldError: one was accepted, or its payload ran.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark = folder / "executed"
    makers = {"pickled weights": _pickled, "code of its own": _own_code}
    for name, make in makers.items():
        base = folder / name.replace(" ", "-")
        shutil.copytree(run / BASE_MODEL, base)
        make(base, mark)
        target = folder / "run"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(run, target)
        for stage in ("ground", "measure-grounding"):
            (target / f"stages/{stage}.json").unlink()
        shutil.rmtree(target / "models/grounding")
        code = outcome(
            ["ground", str(target), "--base.name", str(base), "--finetune.num-steps", "1"]
        )
        require(code == 2, f"A base model with {name}: exit code {code}.")
        require(not mark.exists(), f"A base model with {name}: its payload ran.")
        require(not (target / "models/grounding").exists(), f"{name}: something was written.")
    return Found(len(makers), len(makers))


def _pickled(base: Path, mark: Path) -> None:
    (base / "model.safetensors").unlink()
    (base / "pytorch_model.bin").write_text(f"cos\nsystem\n(S'echo executed > {mark}'\ntR.")


def _own_code(base: Path, mark: Path) -> None:
    config = json.loads((base / "config.json").read_text("utf-8"))
    config |= {
        "model_type": "unheard_of",
        "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
    }
    (base / "config.json").write_text(json.dumps(config), "utf-8")
    (base / "own.py").write_text(f"open({str(mark)!r}, 'w').write('executed')\n", "utf-8")
