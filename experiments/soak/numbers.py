"""NaN in a loss, a state, a reward or a goal vector: the stage ends, and nothing is saved after."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from experiments.presets import Preset
from experiments.soak.check import Found, require
from experiments.soak.kills import Baseline
from experiments.soak.toy_run import do_stage, finish, hashes
from experiments.stage_records import done_stages

CHANGED_STEP = 17  # of grounding: after the checkpoint of step 10, before that of step 20


def inject_nan(baseline: Baseline) -> Found:
    """Puts a NaN into each of four places and looks at what the stage leaves.

    Raises:
        NotHeldError: the stage went on, called itself done, or saved something after it.
    """
    for name, (stage, poison) in POISONS.items():
        baseline.start_again(stage)
        before = set(hashes(baseline.run))
        code = finish(with_poison, baseline.preset, baseline.run, stage, poison)
        require(code not in (0, None), f"NaN in the {name}: {stage} ended with exit code 0.")
        require(stage not in _done(baseline.run), f"NaN in the {name}: {stage} is called done.")
        saved = [path for path in hashes(baseline.run) if path not in before]
        late = [path for path in saved if not _is_earlier(path)]
        require(not late, f"NaN in the {name}: {late[:3]} were saved.")
        require(
            finish(do_stage, baseline.preset, baseline.run, stage) == 0,
            f"NaN in the {name}: {stage} cannot go on without it.",
        )
        baseline.require_same(stage, f"NaN in the {name}, then none")
    return Found(len(POISONS), len(POISONS))


def _done(run: Path) -> set[str]:
    """Verbs whose own stage is done."""
    return {name.split("-", 1)[0] for name in done_stages(run)}


def _is_earlier(path: str) -> bool:
    """Whether a file is of a step before the NaN."""
    return path.startswith(("models/base/", "models/goal-vectors")) or "step-00000010" in path


def with_poison(preset: Preset, run: Path, stage: str, poison: Callable[[ExitStack], None]) -> None:
    """Does a stage with a NaN put in; prints no traceback, as the command line would."""
    with ExitStack() as stack:
        poison(stack)
        try:
            do_stage(preset, run, stage)
        except (ValueError, ArithmeticError, RuntimeError) as error:
            raise SystemExit(f"error: {error}") from None


def _loss(stack: ExitStack) -> None:
    from kalm.language_model import total_loss as plain

    calls = iter(range(1_000_000))

    def total(*arguments: Any, **options: Any) -> Any:
        loss = plain(*arguments, **options)
        return loss * float("nan") if next(calls) == CHANGED_STEP else loss

    stack.enter_context(patch("kalm.finetune.total_loss", total))


def _state(stack: ExitStack) -> None:
    from envs.toy import ToySimulator

    plain = ToySimulator.step

    def step(self: Any, *arguments: Any, **options: Any) -> Any:
        states = plain(self, *arguments, **options)
        return np.where(np.arange(states.shape[-1]) == 0, np.nan, states).astype(np.float32)

    stack.enter_context(patch.object(ToySimulator, "step", step))


def _reward(stack: ExitStack) -> None:
    from envs.toy import ToyWorld

    plain = ToyWorld.reward

    def reward(self: Any, *arguments: Any, **options: Any) -> Any:
        return np.full_like(plain(self, *arguments, **options), np.nan)

    stack.enter_context(patch.object(ToyWorld, "reward", reward))


def _goal_vector(stack: ExitStack) -> None:
    from offline_rl.goal_encoder import SentenceGoalEncoder

    plain = SentenceGoalEncoder.encode

    def encode(self: Any, texts: Any) -> Any:
        vectors = plain(self, texts).copy()
        vectors[0, 0] = np.nan
        return vectors

    stack.enter_context(patch.object(SentenceGoalEncoder, "encode", encode))


POISONS: dict[str, tuple[str, Callable[[ExitStack], None]]] = {
    "loss": ("ground", _loss),
    "state": ("collect", _state),
    "reward": ("collect", _reward),
    "goal vector": ("train", _goal_vector),
}
