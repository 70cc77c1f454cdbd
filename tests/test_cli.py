"""The command line: one clear message for what a user can cause, and nothing half-written."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from envs.episode import Episode
from envs.store import Card, write_store
from experiments import doctor, stage_records
from experiments.cli import VERBS, main
from experiments.collect import CollectSettings
from experiments.doctor import version_findings
from experiments.folders import open_run
from experiments.ground import GroundSettings, base_model_name, split, torch_device
from experiments.origin import LIBRARIES, command_line
from experiments.stage import Stage, complete
from experiments.stage_records import is_done
from experiments.tracking import Run, WandbConfig


def test_help_answers_without_loading_what_learns() -> None:
    script = (
        "import sys; from experiments.cli import main; main(['--help']);"
        "print(sorted({'torch', 'd3rlpy', 'transformers', 'mujoco'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[0] == "usage: kalm VERB [options]"
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = [sys.executable, "-m", "experiments", "run", "demo", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


@pytest.mark.parametrize(
    ("devices", "rank", "expected"),
    [(0, "3", "cpu"), (1, None, "cuda"), (8, "0", "cuda"), (8, "3", "cuda:3"), (2, "3", "cuda:1")],
)
def test_processes_of_a_launcher_take_a_device_each(
    devices: int, rank: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: devices > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: devices)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert torch_device() == expected


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = main([verb, "--help"])
    except SystemExit as end:  # the parser's own way to end after help
        code = end.code
    assert not code
    assert "usage: kalm" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["colect", "run"], "Unknown verb `colect`. Did you mean `collect`?"),
        (["run", "dmeo"], "Unknown preset `dmeo`. Did you mean `demo`?"),
        (
            ["run", "demo", "--run-folder", "run", "--collect.environment", "clever_robot"],
            "Unknown environment `clever_robot`. Did you mean `clevr_robot`?",
        ),
        (
            ["run", "toy", "--run-folder", "run", "--train.algorithms", "clq"],
            "Unknown algorithm `clq`. Did you mean `cql`?",
        ),
        (
            ["run", "toy", "--run-folder", "run", "--train.imagined-fraction", "1.5"],
            "Expected --imagined-fraction in [0, 1], got 1.5",
        ),
        (
            ["run", "toy", "--run-folder", "run", "--imagine.protocols", "targets"],
            "Unknown protocol `targets`. Did you mean `target`?",
        ),
        (
            ["run", "toy", "--run-folder", "run", "--evaluate.levels", "hrad"],
            "Unknown level `hrad`. Did you mean `hard`?",
        ),
        (
            ["run", "toy", "--run-folder", "run", "--ground.base.name", "no/folder/here"],
            "No base model at `no/folder/here`",
        ),
        (
            ["run", "toy", "--run-folder", "run", "--free-gigabytes", "1e9"],
            "of free disk",
        ),
        (["ground", "run"], "No run in `run`. Start one with `kalm collect run`"),
        (["report", "run"], "No run in `run`"),
        (["verify", "run"], "`run` is no store, model, results file or run folder"),
        (["compare", "run"], "Expected at least two runs to compare, got 1"),
    ],
)
def test_a_mistake_gives_one_clear_message_and_leaves_nothing(
    arguments: Sequence[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    try:
        code: object = main(arguments)
    except SystemExit as end:  # the parser's own way to end
        code = end.code
    shown = capsys.readouterr()
    assert code == 2
    assert message in " ".join((shown.err + shown.out).split())
    assert "Traceback" not in shown.err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_option_names_the_nearest_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["collect", str(tmp_path / "run"), "--num-rolouts", "5"])
    assert "--num-rollouts" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_verify_names_an_altered_shard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    from envs.transitions import Transitions, write_transitions

    episode = Episode(
        goal="go",
        observations=np.zeros((2, 1), np.float32),
        actions=np.zeros(1, np.int64),
        rewards=np.zeros(1, np.float32),
        terminated=True,
        source="real",
    )
    states = np.arange(6, dtype=np.uint8).reshape(3, 2)
    rows = Transitions(states, np.zeros(3, np.int8), states[::-1])
    card = Card("toy", "1", "real")
    for folder in (
        write_store(tmp_path / "episodes", [episode], card),
        write_transitions(tmp_path / "transitions", rows, card),
    ):
        assert main(["verify", str(folder)]) == 0
        (shard,) = folder.rglob("*.parquet")
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 4
        shard.write_bytes(content)
        assert main(["verify", str(folder)]) == 1
        assert f"{shard} was altered" in capsys.readouterr().out


def test_a_command_can_be_pasted_into_a_shell() -> None:
    assert command_line("run", ["demo", "--x", "two words"]) == "kalm run demo --x 'two words'"


GOOD = dict.fromkeys(LIBRARIES, "9.9") | {"d3rlpy": "2.8.0", "torch": "2.13.0+cpu"}


def test_good_versions_give_no_finding() -> None:
    assert version_findings(GOOD) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"d3rlpy": "2.8.1"}, "pins gymnasium 1.0.0"),
        ({"torch": "2.9.1"}, "known holes"),
        ({"metaworld": "3.1.1", "mujoco": "4.0.0"}, "metaworld pins mujoco 3.3.0"),
        ({"minari": "0.5.4"}, "minari needs pillow"),
        ({"rliable": "1.2.0", "pandas": "3.0.1"}, "rliable fails"),
        ({"vllm": "0.20.0"}, "vllm refuses adapters"),
        ({"metaworld": "3.1.1", "gymnasium": "1.0.0", "mujoco": "3.3.0"}, "needs gymnasium 1.1"),
    ],
)
def test_versions_that_are_known_to_fail_are_found(change: dict[str, str], problem: str) -> None:
    (finding,) = version_findings(GOOD | change)
    assert problem in finding.problem
    assert finding.remedy


def test_a_missing_library_is_fatal_and_its_remedy_named() -> None:
    versions = {name: version for name, version in GOOD.items() if name != "torch"}
    (finding,) = version_findings(versions)
    assert finding.fatal
    assert "pip install" in finding.remedy


def test_the_doctor_never_shows_a_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "dummy0key1" * 4)
    doctor.main(["--no-network"])
    shown = capsys.readouterr().out
    assert "a key is set" in shown
    assert "dummy0key1" not in shown


def test_a_server_that_does_not_answer_is_found_with_a_remedy_unless_it_is_not_asked() -> None:
    nowhere = {"HF_ENDPOINT": "http://user:dummy0key1@127.0.0.1:9", "WANDB_MODE": "offline"}
    (finding,) = doctor.network_findings(nowhere)
    assert "127.0.0.1:9" in finding.problem
    assert "dummy0key1" not in finding.problem
    assert "HF_HUB_OFFLINE=1" in finding.remedy
    assert doctor.network_findings(nowhere | {"HF_HUB_OFFLINE": "1"}) == []


def test_a_folder_that_cannot_be_written_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor.folder_findings(tmp_path / "runs") == []
    assert list(tmp_path.iterdir()) == []

    def no_locks(*arguments: object) -> int:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(doctor, "lock_file", no_locks)
    (finding,) = doctor.folder_findings(tmp_path)
    assert finding.fatal
    assert "No locks available" in finding.problem


def test_a_library_of_another_version_than_asked_for_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = ["numpy>=2.0", "torch>=900", "nothing>=1", 'wandb>=900; extra == "wandb"']
    monkeypatch.setattr(doctor, "requires", lambda package: lines)
    (finding,) = doctor.requirement_findings()
    assert "torch" in finding.problem
    assert ">=900" in finding.problem
    assert "pip install 'torch>=900'" in finding.remedy


@dataclass(frozen=True)
class Settings:
    """Of a stage that writes a number into a file."""

    number: int = 1


@dataclass(frozen=True)
class Wider(Settings):
    """The same stage's settings in a later version of the code."""

    more: Settings | None = None


class Writer:
    """A stage whose work and checks are counted."""

    def __init__(self, run: Run, settings: Settings, name: str = "write") -> None:
        self.run, self.settings, self.calls = run, settings, 0
        self.stage = Stage(name, settings, (), ("out.txt",))

    def work(self) -> None:
        self.calls += 1
        (self.run.folder / "out.txt").write_text(str(self.settings.number))

    def problems(self) -> list[str]:
        path = self.run.folder / "out.txt"
        return [] if path.exists() and path.read_text().isdigit() else [f"{path} is broken."]

    def complete(self, *, overwrite: bool = False) -> bool:
        return complete(self.run, self.stage, self.work, self.problems, overwrite=overwrite)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return open_run(tmp_path / "run", "write", Settings(), "kalm write", WandbConfig())


def test_a_stage_is_done_once_and_kept(run: Run) -> None:
    assert Writer(run, Settings()).complete()
    again = Writer(run, Settings())
    assert not again.complete()
    assert again.calls == 0
    assert is_done(run.folder, "write")


def test_a_kept_stage_goes_on_naming_the_commit_that_did_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for commit in ("trained", "published"):
        monkeypatch.setattr(stage_records, "commit", lambda commit=commit: commit)
        Writer(run, Settings()).complete()
    assert stage_records.made_by(run.folder) == ["trained"]


def test_a_stage_of_other_settings_is_refused_unless_overwritten(run: Run) -> None:
    Writer(run, Settings(1)).complete()
    other = Writer(run, Settings(2))
    with pytest.raises(ValueError, match=r"number was 1, is 2.*--overwrite"):
        other.complete()
    assert (run.folder / "out.txt").read_text() == "1"
    assert other.complete(overwrite=True)
    assert (run.folder / "out.txt").read_text() == "2"


def test_a_setting_that_came_later_changes_nothing_where_it_has_its_default(run: Run) -> None:
    Writer(run, Settings()).complete()
    assert not Writer(run, Wider()).complete()
    with pytest.raises(ValueError, match=r"more was None, is \{.number.: 3\}"):
        Writer(run, Wider(more=Settings(3))).complete()
    assert Writer(run, Wider(more=Settings(3))).complete(overwrite=True)
    with pytest.raises(ValueError, match="other settings"):
        Writer(run, Settings()).complete()


def test_a_finished_stage_whose_output_broke_is_named_and_not_redone_silently(run: Run) -> None:
    Writer(run, Settings()).complete()
    (run.folder / "out.txt").write_text("?")
    broken = Writer(run, Settings())
    with pytest.raises(ValueError, match="is broken"):
        broken.complete()
    assert broken.calls == 0
    assert broken.complete(overwrite=True)


def test_a_stage_that_failed_is_done_again_and_counts_as_undone_until_then(run: Run) -> None:
    writer = Writer(run, Settings())

    def fail() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        complete(run, writer.stage, fail, writer.problems)
    assert not is_done(run.folder, "write")
    assert writer.complete()


def test_shared_work_that_broke_off_after_a_whole_part_goes_on(run: Run) -> None:
    writer = Writer(run, Settings())
    writer.stage = replace(writer.stage, shared=True)

    def end_after_a_part() -> None:
        writer.work()
        raise KeyboardInterrupt  # such as a kill after the first validated model

    with pytest.raises(KeyboardInterrupt):
        complete(run, writer.stage, end_after_a_part, writer.problems)
    assert writer.problems() == []
    assert writer.complete()
    assert writer.calls == 2
    assert not writer.complete()


def test_a_stage_that_failed_before_it_wrote_anything_may_change_its_settings(run: Run) -> None:
    def fail() -> None:
        raise OSError("disk full")

    writer = Writer(run, Settings(1))
    with pytest.raises(OSError, match="disk full"):
        complete(run, writer.stage, fail, writer.problems)
    assert Writer(run, Settings(2)).complete()


def test_a_stage_that_lacks_its_input_says_which_verb_makes_it(run: Run) -> None:
    stage = Stage("ground", Settings(), ("collect",), ())
    with pytest.raises(ValueError, match=r"needs `collect`.*Run `kalm collect"):
        complete(run, stage, lambda: None, list)


def test_a_change_upstream_is_noticed_downstream(run: Run) -> None:
    Writer(run, Settings(1), "collect").complete()
    later = Stage("ground", Settings(), ("collect",), ())
    complete(run, later, lambda: None, list)
    Writer(run, Settings(2), "collect").complete(overwrite=True)
    with pytest.raises(ValueError, match="an earlier stage was done anew"):
        complete(run, later, lambda: None, list)


def test_held_out_rollouts_are_the_last_ones_and_a_tenth_at_most() -> None:
    episodes = list(range(30))
    assert split(episodes, 2) == (episodes[:28], episodes[28:])  # type: ignore[arg-type,comparison-overlap]
    assert len(split(episodes, 500)[1]) == 3  # type: ignore[arg-type]


def test_tables_call_the_base_model_what_it_is() -> None:
    embedded = GroundSettings()
    assert base_model_name(embedded) == "embedded Llama 256x6, from scratch, primed on text only"
    lora = replace(embedded, base=replace(embedded.base, name="org/model-7b", lora_rank=64))
    assert base_model_name(lora) == "org/model-7b, LoRA rank 64"


def test_a_run_without_rollouts_is_refused() -> None:
    with pytest.raises(ValueError, match="--num-rollouts of at least 1"):
        CollectSettings("toy", num_rollouts=0)
