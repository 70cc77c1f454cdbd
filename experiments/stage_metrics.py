"""Metrics of a stage that may start again from a checkpoint, before its last line."""

from collections.abc import Mapping

from experiments.tracking import Run


class StageMetrics:
    """Writes what a training loop reports, in place of later lines of an earlier start."""

    def __init__(self, run: Run, stage: str) -> None:
        self._run, self._stage, self._rewound = run, stage, False

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes the metrics of `step`, which grows from call to call."""
        if not self._rewound:
            self._run.rewind(self._stage, step - 1)
            self._rewound = True
        self._run.log(self._stage, step, metrics)
