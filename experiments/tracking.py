"""A run folder: what was run, every number it gave, and how long it took.

`metrics.jsonl` is the truth: one line per (stage, step), appended and flushed. Weights & Biases is
a mirror of it, made by rank 0 only when asked; an offline mirror cannot be appended to, so a
resumed run replays the file into a fresh one. Keys are read from the environment by wandb itself
and are masked in everything written here.
"""

import fcntl
import json
import math
import os
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from envs.files import lock_file
from experiments.origin import say
from experiments.results import write_text

METRICS_FILE = "metrics.jsonl"
SECONDS_FILE = "seconds.json"
CONFIG_FILE = "config.json"
COMMAND_FILE = "command.txt"
MIRROR_FILE = "wandb.json"
LOCK_FILE = ".lock"
MIRROR_SECONDS = 60.0  # to wait for the server of Weights & Biases
WANDB_MODES = ("off", "offline", "online")
SECRET_ENDINGS = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")

Number = int | float


@dataclass(frozen=True)
class WandbConfig:
    """Whether and how the run is mirrored to Weights & Biases; keys come from the environment."""

    mode: str = "off"  # "off", "offline" (needs no network), or "online"
    project: str = "kalm"
    group: str = ""  # runs of one experiment, such as the seeds of a table
    job_type: str = ""
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.mode not in WANDB_MODES:
            raise ValueError(
                f"Expected --wandb.mode among {', '.join(WANDB_MODES)}, got `{self.mode}`."
            )

    @property
    def wanted(self) -> bool:
        """Whether there is to be a mirror."""
        return self.mode != "off"


class MirrorError(RuntimeError):
    """Weights & Biases cannot be reached, or refuses; the metrics file is complete without it."""


class Run:
    """An open run folder; only rank 0 of a distributed job writes."""

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        command: str,
        wandb: WandbConfig | None = None,
        *,
        shared: bool = False,
    ) -> None:
        """Opens `folder`, new or from an earlier start of the same run.

        Settings and command are noted when work begins: those of a refused start are not the run's.

        Args:
            config: resolved settings by verb, JSON values only; those of other verbs are kept.
            command: makes this run again, word for word; added to the folder's commands.
            wandb: mirrors the run when given.
            shared: other processes that say so too may have it open at the same time.

        Raises:
            FolderTaken: another process has the folder open.
        """
        self.folder = folder
        self.is_writer = int(os.environ.get("RANK", "0")) == 0
        self._last_step: dict[str, int] = {}
        self._config, self._command, self._wandb = dict(config), command, wandb
        self._noted = False
        self._mirror: _Mirror | None = None
        if not self.is_writer:
            return
        self._lock = lock_file(folder / LOCK_FILE, folder, shared=shared)
        weakref.finalize(self, os.close, self._lock)
        self._config = read_config(folder) | self._config
        _drop_torn_line(folder / METRICS_FILE)
        self._remember(read_metrics(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close_mirror(failed=error is not None)
        if self.is_writer:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def note_start(self) -> None:
        """Writes settings and command into the folder; `log` and `stage` do so by themselves."""
        if self._noted or not self.is_writer:
            return
        self._noted = True
        self._config = read_config(self.folder) | self._config  # others may share the folder
        text = json.dumps(self._config, indent=1)
        write_text(self.folder / CONFIG_FILE, mask_secrets(text) + "\n")
        commands = dict.fromkeys([*read_commands(self.folder), mask_secrets(self._command)])
        write_text(self.folder / COMMAND_FILE, "\n".join(commands) + "\n")

    def log(self, stage: str, step: int, metrics: Mapping[str, Number | str]) -> None:
        """Appends one line of named numbers.

        Args:
            stage: such as "ground" or "train/real-only/cql".
            step: larger than that of the stage's last line.

        Raises:
            ValueError: the step does not grow.
        """
        if not self.is_writer:
            return
        self.note_start()
        last = self._last_step.get(stage)
        if last is not None and step <= last:
            raise ValueError(
                f"Expected a step above {last} for stage `{stage}`, got {step}. "
                f"Call rewind(stage, step) when a stage starts again from a checkpoint."
            )
        mirror = self._open_mirror()
        row = {"stage": stage, "step": step, "metrics": visible(metrics)}
        with (self.folder / METRICS_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
            file.flush()
        self._remember([row])
        if mirror is not None:
            mirror.log(row)

    def rewind(self, stage: str, step: int) -> None:
        """Drops the lines of `stage` beyond `step`: the stage starts again from a checkpoint."""
        if not self.is_writer:
            return
        rows = read_metrics(self.folder)  # another process may have shared the work
        self._remember(rows)
        if self._last_step.get(stage, step) <= step:
            return
        kept = [row for row in rows if row["stage"] != stage or row["step"] <= step]
        lines = "".join(json.dumps(row, allow_nan=False) + "\n" for row in kept)
        write_text(self.folder / METRICS_FILE, lines)
        self._last_step = {}
        self._remember(kept)
        self._close_mirror(failed=False)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the seconds spent inside to those of stage `name`, failures included."""
        self.note_start()
        start = time.monotonic()
        try:
            yield
        finally:
            if self.is_writer:
                seconds = read_seconds(self.folder)
                seconds[name] = round(seconds.get(name, 0.0) + time.monotonic() - start, 3)
                write_text(self.folder / SECONDS_FILE, json.dumps(seconds, indent=1) + "\n")

    def _remember(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self._last_step[row["stage"]] = row["step"]

    def _open_mirror(self) -> "_Mirror | None":
        """The mirror if one was asked for; a new one first repeats what the file holds."""
        if self._mirror is None and self._wandb is not None and self._wandb.wanted:
            try:
                self._mirror = _Mirror(self.folder, self._config, self._wandb)
                self._mirror.replay(read_metrics(self.folder))
            except MirrorError as error:
                self._wandb = None
                say(f"Goes on without a mirror: {error}")
        return self._mirror

    def _close_mirror(self, *, failed: bool) -> None:
        if self._mirror is not None:
            self._mirror.finish(failed=failed)
            self._mirror = None


def visible(metrics: Mapping[str, Number | str]) -> dict[str, Number | str | list[str]]:
    """`metrics` for JSON: non-finite numbers as words, and their names under "non_finite"."""
    shown: dict[str, Number | str | list[str]] = {}
    flagged = []
    for name, value in metrics.items():
        if isinstance(value, float) and not math.isfinite(value):
            flagged.append(name)
            shown[name] = "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
        else:
            shown[name] = value
    if flagged:
        shown["non_finite"] = flagged
    return shown


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics file in order, each with "stage", "step" and "metrics"."""
    path = folder / METRICS_FILE
    if not path.exists():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except ValueError as error:
        raise ValueError(f"{path} was altered: a line is not JSON ({error}).") from None


def read_curve(folder: Path, stage: str, name: str) -> list[tuple[int, float]]:
    """(step, value) of one metric of one stage; non-finite values are left out."""
    return [
        (row["step"], float(row["metrics"][name]))
        for row in read_metrics(folder)
        if row["stage"] == stage and isinstance(row["metrics"].get(name), int | float)
    ]


def read_config(folder: Path) -> dict[str, Any]:
    """Resolved settings of a run by verb."""
    path = folder / CONFIG_FILE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def read_commands(folder: Path) -> list[str]:
    """The commands that make a run again, in order."""
    path = folder / COMMAND_FILE
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def read_seconds(folder: Path) -> dict[str, float]:
    """Seconds spent in each stage of a run so far."""
    path = folder / SECONDS_FILE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def mask_secrets(text: str) -> str:
    """`text` with the values of secret environment variables replaced by stars."""
    secrets = [
        value
        for name, value in os.environ.items()
        if name.upper().endswith(SECRET_ENDINGS) and len(value) >= 8
    ]
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def rebuild_mirror(folder: Path, wandb: WandbConfig) -> str:
    """Mirrors a finished run folder again from its metrics file; the new wandb run id."""
    mirror = _Mirror(folder, read_config(folder), wandb)
    mirror.replay(read_metrics(folder))
    mirror.finish(failed=False)
    return mirror.run_id


def mirrored_run_ids(folder: Path) -> list[str]:
    """The wandb run ids under which a run folder was mirrored, oldest first."""
    path = folder / MIRROR_FILE
    return list(json.loads(path.read_text(encoding="utf-8"))["run_ids"]) if path.exists() else []


def mirror_record(content: bytes) -> Any:
    """A record of a wandb file, from its bytes."""
    from wandb.proto import wandb_internal_pb2

    record = wandb_internal_pb2.Record()  # type: ignore[attr-defined, unused-ignore]
    record.ParseFromString(content)
    return record


class _Mirror:
    """One wandb run; the only place that touches the wandb package."""

    def __init__(self, folder: Path, config: Mapping[str, Any], options: WandbConfig) -> None:
        try:
            import wandb
        except ImportError:
            raise ValueError(
                "Mirroring to Weights & Biases needs the `wandb` package. "
                "Run `pip install 'kalm[wandb]'` or leave --wandb.mode out."
            ) from None
        self._wandb = wandb
        # Metadata and console capture would store the command line and whatever was printed.
        settings = wandb.Settings(
            console="off",
            disable_git=True,
            x_disable_meta=True,
            x_disable_stats=True,
            silent=True,
            init_timeout=MIRROR_SECONDS,
        )
        try:
            self._run: Any = wandb.init(
                project=options.project,
                mode="offline" if options.mode == "offline" else None,  # else as WANDB_MODE says
                group=options.group or None,
                job_type=options.job_type or None,
                tags=list(options.tags) or None,
                name=folder.name,
                dir=str(folder),
                config=json.loads(mask_secrets(json.dumps(dict(config)))),
                settings=settings,
                reinit="create_new",
            )
        except wandb.Error as error:
            raise MirrorError(
                f"wandb said: {mask_secrets(str(error))} The mirror can be made later by "
                f"`kalm report {folder} --wandb.mode online`, or use --wandb.mode offline."
            ) from error
        self.run_id: str = self._run.id
        run_ids = [*mirrored_run_ids(folder), self.run_id]
        write_text(folder / MIRROR_FILE, json.dumps({"run_ids": run_ids}) + "\n")
        self._stages: set[str] = set()

    def replay(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self.log(row)

    def log(self, row: Mapping[str, Any]) -> None:
        """Sends a line of the metrics file, with the stage's own step as its x axis."""
        stage = row["stage"]
        if stage not in self._stages:
            self._stages.add(stage)
            self._run.define_metric(f"{stage}/step", hidden=True)
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
        named = {f"{stage}/{name}": value for name, value in row["metrics"].items()}
        self._run.log({**named, f"{stage}/step": row["step"]})

    def finish(self, *, failed: bool) -> None:
        self._run.finish(exit_code=1 if failed else 0)


def _drop_torn_line(path: Path) -> None:
    """Cuts a last line that a crash left without its end."""
    if not path.exists():
        return
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        write_text(path, content[: content.rfind(b"\n") + 1].decode("utf-8"))
