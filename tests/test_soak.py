"""The checks of `python -m experiments.soak`, each at a small count, on one tiny run."""

from pathlib import Path

import pytest

from envs.sealed import read_sealed, sealed
from experiments.soak.check import NotHeldError
from experiments.soak.damage import damage_newest
from experiments.soak.disk import fill_disk
from experiments.soak.flips import flip_and_cut, problems
from experiments.soak.fuzz import fuzz
from experiments.soak.goals import forge_tokens
from experiments.soak.kills import Baseline, kill_stage, kill_within_an_epoch, stop_gently
from experiments.soak.numbers import inject_nan
from experiments.soak.scale import claim_among_many, predict_processes
from experiments.soak.sharing import lose_a_worker, poison_goals, same_rollouts
from experiments.soak.strangers import refuse_strangers
from experiments.soak.toy_run import do_stage, finish, put, tiny
from experiments.soak.volume import write_and_stream


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    made = Baseline(tmp_path_factory.mktemp("soak"), tiny())
    put(made.run, made.folder / "finished")
    return made


@pytest.fixture
def finished(baseline: Baseline, tmp_path: Path) -> Path:
    put(baseline.folder / "finished", tmp_path / "run")
    return tmp_path / "run"


def test_killed_stages_end_like_uninterrupted_ones(baseline: Baseline) -> None:
    assert kill_stage(baseline, "ground", 1).held == kill_stage(baseline, "imagine", 1).held == 1


def test_a_run_that_differs_from_the_uninterrupted_one_is_noticed(baseline: Baseline) -> None:
    put(baseline.folder / "finished", baseline.run)
    baseline.require_same("evaluate", "nothing was done")
    weights = baseline.run / "models/grounding/best/heads.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(NotHeldError, match=r"heads\.safetensors"):
        baseline.require_same("evaluate", "a bit was flipped")


def test_checkpoints_that_a_kill_left_beside_a_whole_agent_are_removed(baseline: Baseline) -> None:
    baseline.start_again("evaluate")
    record = baseline.run / "stages/train-real-only-bc.json"
    record.write_text(sealed({**read_sealed(record), "files": {}, "done": False}))
    left = baseline.run / "models/agents/real-only-bc.checkpoints/step-000000040"
    left.mkdir(parents=True)
    (left / "state.safetensors").write_bytes(b"?")
    assert finish(do_stage, baseline.preset, baseline.run, "train") == 0
    baseline.require_same("train", "killed before the last checkpoint was removed")


def test_three_kills_within_an_epoch_leave_every_sample_seen_once(baseline: Baseline) -> None:
    assert kill_within_an_epoch(baseline).numbers["samples"] == 60


def test_sigterm_leaves_a_checkpoint_of_that_moment(baseline: Baseline) -> None:
    assert 10 <= stop_gently(baseline).numbers["step_of_the_checkpoint"] < 60


def test_flipped_bits_and_cut_files_of_a_run_are_named(finished: Path) -> None:
    assert flip_and_cut(finished, flips=12, cuts=6).held == 18


def test_a_whole_run_verifies_and_a_foreign_file_does_not(finished: Path) -> None:
    assert problems(finished) == []
    (finished / "evaluation/agents/extra.parquet").write_bytes(b"?")
    assert any("extra.parquet is not part of the run" in problem for problem in problems(finished))


@pytest.mark.parametrize("linked", [False, True])
def test_a_store_without_its_manifest_is_named(finished: Path, linked: bool) -> None:
    manifest = finished / "data/ceiling/manifest.json"
    manifest.unlink()
    if linked:
        manifest.symlink_to(manifest)
    assert any(f"{manifest} is missing" in problem for problem in problems(finished))


def test_a_dead_link_in_place_of_what_tells_of_published_tables_is_named(finished: Path) -> None:
    (finished / "published.json").symlink_to("nowhere")
    assert any("published.json" in problem for problem in problems(finished))


def test_a_half_written_checkpoint_or_shard_is_skipped_and_named(baseline: Baseline) -> None:
    assert damage_newest(baseline, "half-written").held == 2


def test_nan_ends_a_stage_and_nothing_is_saved_after_it(baseline: Baseline) -> None:
    assert inject_nan(baseline).held == 4


def test_a_full_disk_gives_one_clear_error_and_harms_nothing(baseline: Baseline) -> None:
    assert fill_disk(baseline, ("collect", "ground", "imagine")).held == 3


def test_two_workers_and_other_batches_imagine_the_same(baseline: Baseline) -> None:
    assert same_rollouts(baseline, workers=(1, 2), batches=(8,)).held == 2
    assert same_rollouts(baseline, workers=(1,), batches=(1, 32)).held == 2


def test_the_shard_of_a_killed_worker_is_done_anew(baseline: Baseline) -> None:
    assert lose_a_worker(baseline).numbers["shards"] == 6


def test_the_cost_model_predicts_two_processes_from_one(baseline: Baseline) -> None:
    found = predict_processes(baseline, (1, 2))
    assert found.held == 2
    assert found.numbers["predicted_2"] > found.numbers["predicted_1"]  # set-up is paid twice


def test_the_last_of_many_shards_are_claimed_once_and_in_time(tmp_path: Path) -> None:
    assert claim_among_many(tmp_path, shards=2_000).held == 2_000


def test_goals_that_cannot_be_imagined_are_listed_and_the_rest_completes(
    baseline: Baseline,
) -> None:
    assert poison_goals(baseline).held == 6


def test_goals_of_any_characters_forge_no_control_token() -> None:
    assert forge_tokens(600).held == 1_800


def test_broken_settings_and_files_give_no_traceback(finished: Path, tmp_path: Path) -> None:
    assert fuzz(finished, tmp_path / "fuzz", 6).held > 20


def test_model_folders_of_strangers_are_refused(finished: Path, tmp_path: Path) -> None:
    assert refuse_strangers(finished, tmp_path / "strangers").held == 2


def test_many_steps_are_written_and_read_in_memory_that_stays_flat(tmp_path: Path) -> None:
    assert write_and_stream(tmp_path, 100_000).held == 100_000


def test_a_folder_or_a_link_to_itself_in_a_files_place_is_named(finished: Path) -> None:
    card, record = finished / "data/real/card.json", finished / "stages/collect.json"
    card.unlink()
    card.symlink_to(card)
    record.unlink()
    record.mkdir()
    found = problems(finished)
    assert any(str(card) in problem for problem in found)
    assert any(str(record) in problem for problem in found)
