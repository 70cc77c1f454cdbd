"""One line of metrics a step, where a training loop reports them in several calls."""

from experiments.tracking import Run


class JoinedMetrics:
    """Joins the metrics of one step, which come in several calls, into one line."""

    def __init__(self, run: Run, stage: str) -> None:
        self._run, self._stage, self._step = run, stage, 0
        self._metrics: dict[str, float] = {}
        self._rewound = False

    def __call__(self, step: int, metrics: dict[str, float]) -> None:
        """Takes metrics of `step`, which never falls; those of earlier steps are written."""
        if step != self._step:
            self.flush()
        self._step = step
        self._metrics.update(metrics)

    def flush(self) -> None:
        """Writes the line that is waiting."""
        if not self._metrics:
            return
        if not self._rewound:
            self._run.rewind(self._stage, self._step - 1)
            self._rewound = True
        self._run.log(self._stage, self._step, self._metrics)
        self._metrics = {}
