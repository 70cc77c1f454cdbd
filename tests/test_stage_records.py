"""Records of stages: every published file is known by its hash, and noticed when it changes."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from envs import make_world
from envs.files import FolderTaken, StoreError
from envs.sealed import read_sealed, sealed
from envs.store import Card, EpisodeStore, write_store
from experiments.cli import main
from experiments.folders import data_card, open_run
from experiments.stage import Stage, complete
from experiments.tracking import Run, WandbConfig
from experiments.verify import run_problems
from tests.samples import make_episode

FILES = ("out/numbers.json", "out/deep/weights.bin", "measure.json")


def finished(folder: Path) -> Path:
    """A run of two stages: a folder and a store, and a file made from them."""
    run = open_run(folder, "write", Settings(), "kalm write", WandbConfig())

    def write() -> None:
        (folder / "out/deep").mkdir(parents=True)
        (folder / "out/numbers.json").write_text('{"loss": 0.5}\n')
        (folder / "out/deep/weights.bin").write_bytes(bytes(range(64)))
        write_store(folder / "data", [make_episode()], Card("toy", "1", "real"))

    complete(run, Stage("write", Settings(), (), ("out", "data")), write, list)
    measured = Stage("measure", Settings(), ("write",), ("measure.json",))
    complete(run, measured, lambda: put(folder / "measure.json", '{"score": 1}\n'), list)
    with run:
        return folder


def put(path: Path, text: str) -> None:
    path.write_text(text)


@dataclass(frozen=True)
class Settings:
    """Nothing is set."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return finished(tmp_path / "run")


def test_a_whole_run_has_no_problems(folder: Path) -> None:
    assert run_problems(folder) == []
    assert main(["verify", str(folder)]) == 0


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 16]) + content[middle + 1 :]


@pytest.mark.parametrize("name", [*FILES, "stages/write.json", "stages/measure.json"])
@pytest.mark.parametrize("change", [flip, lambda content: content[:-1], lambda content: b""])
def test_an_altered_or_cut_file_is_named(
    folder: Path, name: str, change: Callable[[bytes], bytes]
) -> None:
    path = folder / name
    path.write_bytes(change(path.read_bytes()))
    problems = run_problems(folder)
    assert len(problems) == 1
    assert problems[0].startswith(str(path))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert run_problems(folder) == [f"{folder / name} is missing."]


def test_a_foreign_file_is_named_but_not_one_of_a_stage_at_work(folder: Path) -> None:
    foreign = folder / "out/extra.txt"
    foreign.write_text("?")
    assert run_problems(folder) == [f"{foreign} is not part of the run. Move it elsewhere."]
    with open_run(folder, "write", Settings(), "kalm write", WandbConfig()) as run:
        later = Stage("later", Settings(), (), ("out/extra.txt",))
        complete(run, later, lambda: put(foreign, "!"), list)
    assert run_problems(folder) == []


def test_the_shards_of_a_store_are_checked_by_the_store_itself(folder: Path) -> None:
    record = json.loads((folder / "stages/write.json").read_text())
    assert "data/COMPLETE" in record["files"]
    assert not any(name.endswith(".parquet") for name in record["files"])
    (shard,) = (folder / "data").rglob("*.parquet")
    shard.write_bytes(flip(shard.read_bytes()))
    assert run_problems(folder) == []
    assert main(["verify", str(folder)]) == 1


def test_a_kept_stage_compares_sizes_and_a_later_one_every_byte(folder: Path) -> None:
    weights = folder / "out/deep/weights.bin"
    weights.write_bytes(flip(weights.read_bytes()))
    with open_run(folder, "write", Settings(), "kalm write", WandbConfig()) as run:
        write = Stage("write", Settings(), (), ("out", "data"))
        assert not complete(run, write, unwanted, list)
        later = Stage("later", Settings(), ("write",), ("later.json",))
        with pytest.raises(ValueError, match=r"`later` cannot use what `write` wrote: .*bin was"):
            complete(run, later, unwanted, list)
        weights.write_bytes(b"")
        with pytest.raises(ValueError, match=r"weights\.bin was cut or altered: 0 bytes, not 64"):
            complete(run, write, unwanted, list)


def unwanted() -> None:
    raise AssertionError("there was nothing to do")


def test_a_record_from_before_files_were_named_is_kept_and_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "stages/write.json"
    record = json.loads(path.read_text())
    old = {name: record[name] for name in ("settings", "needs", "key", "done")}
    path.write_text(json.dumps(old, indent=1, sort_keys=True) + "\n")
    with open_run(folder, "write", Settings(), "kalm write", WandbConfig()) as run:
        assert not complete(run, Stage("write", Settings(), (), ("out", "data")), unwanted, list)
    assert json.loads(path.read_text()) == old
    assert main(["verify", str(folder)]) == 0
    assert "1 stages are older than lists of files: write" in capsys.readouterr().out


def test_an_altered_record_is_named_and_may_be_overwritten(folder: Path) -> None:
    path = folder / "stages/measure.json"
    path.write_bytes(flip(path.read_bytes()))
    measured = Stage("measure", Settings(), ("write",), ("measure.json",))
    with open_run(folder, "write", Settings(), "kalm write", WandbConfig()) as run:
        with pytest.raises(StoreError, match=r"measure\.json was altered"):
            complete(run, measured, unwanted, list)

        def again() -> None:
            put(folder / "measure.json", "2")

        assert complete(run, measured, again, list, overwrite=True)
    assert run_problems(folder) == []


def test_shared_work_that_broke_off_goes_on_although_its_parts_are_whole(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", "write", Settings(), "kalm write", WandbConfig()) as run:
        stage = Stage("ground", Settings(), (), ("model",), shared=True)

        def breaks_off() -> None:
            (run.folder / "model").mkdir()
            put(run.folder / "model/best", "half-way")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            complete(run, stage, breaks_off, list)
        assert complete(run, stage, lambda: put(run.folder / "model/best", "final"), list)
    assert (tmp_path / "run/model/best").read_text() == "final"


def test_a_seal_notices_every_single_bit(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    content = {"rate": 1e-05, "name": "Käthe", "list": [1, 2.5, None], "flag": True}
    text = sealed(content).encode()
    path.write_bytes(text)
    assert read_sealed(path) == content
    for bit in range(8 * len(text)):
        altered = bytearray(text)
        altered[bit // 8] ^= 1 << bit % 8
        path.write_bytes(altered)
        with pytest.raises(StoreError, match=r"card\.json was altered"):
            read_sealed(path, ("rate", "name", "list", "flag"))


def test_a_run_folder_that_is_in_use_is_refused_with_its_owner(tmp_path: Path) -> None:
    with Run(tmp_path, {"seed": 1}, "kalm one") as run, run.stage("collect"):
        with pytest.raises(FolderTaken, match=r"is in use by process \d+ on .*\. Wait for it"):
            Run(tmp_path, {"seed": 2}, "kalm two")
        assert (tmp_path / "command.txt").read_text() == "kalm one\n"
    with Run(tmp_path, {}, "kalm two"):
        pass


def test_processes_that_share_a_run_keep_out_the_others(tmp_path: Path) -> None:
    with (
        Run(tmp_path, {}, "kalm", shared=True) as one,
        Run(tmp_path, {}, "kalm", shared=True) as two,
    ):
        with pytest.raises(FolderTaken, match="in use"):
            Run(tmp_path, {}, "kalm")
        for run in (one, two):  # both tell what they did together
            run.rewind("imagine", -1)
            run.log("imagine", 0, {"accepted": 3})
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_key_on_the_command_line_is_masked_on_the_cards_of_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-dummy-key-11")
    card = data_card(make_world("toy"), "real", "kalm collect here --note sk-dummy-key-11", seed=0)
    assert card.command == "kalm collect here --note ***"


def test_a_run_goes_on_from_a_repaired_store_and_mixes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card, episodes = Card("toy", "1", "real"), [make_episode(seed=seed) for seed in range(3)]

    def write() -> None:
        write_store(tmp_path / "data", episodes, card, episodes_per_shard=1)

    stages = (
        (Stage("collect", Settings(), (), ("data",)), write),
        (
            Stage("train", Settings(), ("collect",), ("a.json",)),
            lambda: put(tmp_path / "a.json", "1"),
        ),
    )

    def run_all(*, overwrite: bool = False) -> list[bool]:
        with open_run(tmp_path, "write", Settings(), "kalm write", WandbConfig()) as run:
            return [complete(run, stage, work, list, overwrite=overwrite) for stage, work in stages]

    assert run_all() == [True, True]
    shard = tmp_path / "data/data/part-00001.parquet"
    shard.write_bytes(flip(shard.read_bytes()))
    assert main(["repair", str(tmp_path / "data")]) == 0
    assert "`collect` of" in capsys.readouterr().out
    assert main(["repair", str(tmp_path / "data")]) == 0  # twice is once
    assert "`collect` of" not in capsys.readouterr().out
    assert len(EpisodeStore(tmp_path / "data")) == 1
    (problem,) = run_problems(tmp_path)
    assert "`collect` was made anew or repaired since. Make `train` anew" in problem
    with pytest.raises(ValueError, match="an earlier stage was done anew"):
        run_all()
    # Collecting anew gives what the agent was trained on, so that the agent stays.
    assert run_all(overwrite=True) == [True, False]
    assert len(EpisodeStore(tmp_path / "data")) == 3
    assert run_problems(tmp_path) == []


def test_a_missing_record_is_named_by_what_was_made_from_it_or_by_its_store(folder: Path) -> None:
    record = folder / "stages/write.json"
    content = record.read_bytes()
    record.unlink()
    assert run_problems(folder) == [f"{record} is missing, and `measure` was made from it."]
    (folder / "stages/measure.json").unlink()
    assert run_problems(folder) == [f"{folder / 'data'} is not part of the run. Move it elsewhere."]
    record.write_bytes(content)
    assert run_problems(folder) == []
