"""Every preset is sound, and the smallest one runs from nothing to a table."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from envs.store import EpisodeStore
from experiments import pipeline, pool
from experiments.collect import CollectSettings
from experiments.folders import REFERENCES, fidelity_file
from experiments.pipeline import run_pipeline, with_seed
from experiments.presets import PRESETS, Preset, toy
from experiments.results import Results, load_results, write_text
from experiments.stage_records import done_stages
from experiments.tracking import WandbConfig, read_metrics, read_seconds
from experiments.train import agent_names

AGENTS = {
    "random",
    "expert",
    "real-only/bc",
    "real-only/bc (greedy)",
    "real+imagined/bc",
    "real+imagined/bc (greedy)",
    "real+real/bc",
    "real+real/bc (greedy)",
    "planner/real-only/bc",
    "language-model",
}


def small() -> Preset:
    """The toy preset, smaller still: what is proved here does not hang on how well it learns."""
    preset = toy()
    return replace(
        preset,
        collect=CollectSettings("toy", num_rollouts=150, ceiling_rollouts=12),
        ground=replace(
            preset.ground,
            finetune=replace(preset.ground.finetune, num_steps=60, validate_steps=60),
            validation_rollouts=15,
        ),
        imagine=replace(
            preset.imagine,
            rollouts=replace(
                preset.imagine.rollouts,
                num_rollouts=96,
                rollouts_per_shard=48,
                shares={"easy": 1.0},  # reached in one step
            ),
        ),
        train=replace(preset.train, steps=20),
        evaluate=replace(preset.evaluate, episodes=4, min_per_kind=2),
    )


def run(folder: Path, preset: Preset, *, overwrite: bool = False) -> Results:
    return run_pipeline(preset, folder, "kalm run toy", WandbConfig(), overwrite=overwrite)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    folder = tmp_path_factory.mktemp("runs") / "toy"
    return folder, run(folder, small())


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_every_agent_that_its_report_compares(name: str) -> None:
    preset = PRESETS[name]()
    agents = [agent.label for agent in agent_names(preset.train)]
    for algorithm in preset.train.algorithms:
        assert f"real-only/{algorithm}" in agents
        assert f"real+imagined/{algorithm}" in agents
    assert preset.evaluate.references


@pytest.mark.parametrize("name", PRESETS)
def test_a_seed_of_the_pipeline_reaches_every_stage_but_not_the_tasks(name: str) -> None:
    preset = PRESETS[name]()
    seeded = with_seed(preset, 7)
    stages = (seeded.collect, seeded.ground, seeded.imagine, seeded.train)
    assert [stage.seed for stage in stages] == [7, 7, 7, 7]
    assert seeded.evaluate == preset.evaluate


def test_the_published_preset_has_the_rows_and_episodes_that_were_promised() -> None:
    preset = PRESETS["clevr_cpu"]()
    assert len(preset.seeds) >= 3
    assert len(preset.train.algorithms) >= 2
    assert "real+real" in preset.train.mixes
    assert set(preset.train.protocols) == {"target", "unseen"}
    assert (preset.evaluate.episodes, preset.evaluate.min_per_kind) >= (200, 80)


def test_training_on_goals_that_are_not_imagined_is_refused() -> None:
    with pytest.raises(ValueError, match="protocol `unseen`, which is not imagined"):
        replace(small(), train=replace(small().train, protocols=("target", "unseen")))


def test_a_ceiling_without_its_rollouts_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Set --collect\.ceiling-rollouts"):
        replace(small(), collect=CollectSettings("toy", num_rollouts=150))


def test_the_smallest_preset_gives_every_row_on_every_level(
    finished: tuple[Path, Results],
) -> None:
    _, results = finished
    assert {row.agent for row in results.rows} == AGENTS
    for agent in AGENTS:
        levels = [row.level for row in results.rows if row.agent == agent and row.kind == "all"]
        assert levels == ["novel", "train", "rephrase", "easy", "hard"]
    protocols = {row.protocol for row in results.rows if row.agent.startswith("real+imagined")}
    assert protocols == {"target"}
    assert "real" in results.fidelity["violations/any"]
    assert "explanation_asked" in results.grounding or "action_agreement" in results.grounding


def test_the_smallest_preset_leaves_everything_that_a_reader_needs(
    finished: tuple[Path, Results],
) -> None:
    folder, results = finished
    assert load_results(folder / "results.json") == results
    assert (folder / "command.txt").read_text() == "kalm run toy\n"
    for name in ("report.html", "figure.png", "table.md", "config.json"):
        assert (folder / name).stat().st_size > 100
    seed = folder / "seed-0"
    assert {"collect", "ground", "imagine-target", "train-real-only-bc"} <= set(read_seconds(seed))
    stages = {row["stage"] for row in read_metrics(seed)}
    assert {"ground", "base-model", "train-real+imagined-target-bc"} <= stages
    page = (folder / "report.html").read_text()
    assert "Imagined and rejected" in page
    assert "Agents in the real environment" in page


def test_a_finished_run_is_kept_as_it_is(finished: tuple[Path, Results]) -> None:
    folder, results = finished
    seed = folder / "seed-0"
    before = {path: path.stat().st_mtime_ns for path in seed.rglob("*.parquet")}
    assert run(folder, small()).rows == results.rows
    assert {path: path.stat().st_mtime_ns for path in seed.rglob("*.parquet")} == before


def test_a_run_that_was_stopped_goes_on_and_gives_the_same_table_and_rollouts(
    finished: tuple[Path, Results], tmp_path: Path
) -> None:
    folder, results = finished
    other = tmp_path / "toy"
    _stop_after_collecting(other, small())
    (shard,) = (other / "seed-0/data/real").rglob("*.parquet")
    collected = shard.stat().st_mtime_ns
    again = run(other, small())
    assert shard.stat().st_mtime_ns == collected
    assert again.rows == results.rows
    assert (again.fidelity, again.grounding) == (results.fidelity, results.grounding)
    imagined = "seed-0/data/imagined-target/accepted"
    ours, theirs = (EpisodeStore(root / imagined) for root in (folder, other))
    for first, second in zip(ours.episodes(), theirs.episodes(), strict=True):
        assert first.observations.tobytes() == second.observations.tobytes()


def test_other_settings_are_not_mixed_into_a_run(finished: tuple[Path, Results]) -> None:
    folder, _ = finished
    preset = small()
    other = replace(preset, train=replace(preset.train, steps=21))
    with pytest.raises(ValueError, match=r"other settings \(steps was 20, is 21\)"):
        run(folder, other)
    earlier = replace(preset, collect=replace(preset.collect, num_rollouts=151))
    with pytest.raises(ValueError, match="num_rollouts was 150, is 151"):
        run(folder, earlier)


def test_another_agent_is_added_without_training_the_others_anew(
    finished: tuple[Path, Results],
) -> None:
    folder, _ = finished
    weights = folder / "seed-0/models/agents/real-only-bc/tensors.safetensors"
    before = weights.stat().st_mtime_ns
    preset = small()
    wider = replace(
        preset,
        train=replace(preset.train, mixes=(*preset.train.mixes, "imagined-only")),
        evaluate=replace(preset.evaluate, planner=False, language_model=False),
    )
    results = run(folder, wider, overwrite=True)
    assert weights.stat().st_mtime_ns == before
    assert "imagined-only/bc" in {row.agent for row in results.rows}


def test_an_altered_rollout_stops_the_run_and_names_the_file(
    finished: tuple[Path, Results], tmp_path: Path
) -> None:
    folder = tmp_path / "toy"
    preset = small()
    _stop_after_collecting(folder, preset)
    (shard,) = (folder / "seed-0/data/real").rglob("*.parquet")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ValueError, match=r"part-00000\.parquet was altered"):
        run(folder, preset)
    assert done_stages(folder / "seed-0") == ["collect", "collect-ceiling"]


def _stop_after_collecting(folder: Path, preset: Preset) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.pipeline.ground_stage", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(folder, preset)


def _interrupted(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


def test_the_fidelity_of_every_protocol_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "protocols", lambda seeds: ["target", "unseen"])
    for seed, value in ((0, 0.25), (1, 0.75)):
        for protocol, shift in (("target", 0.0), ("unseen", 0.125)):
            numbers = {"real/coverage": 0.5, "accepted/coverage": value + shift}
            write_text(tmp_path / str(seed) / fidelity_file(protocol), json.dumps(numbers))
    table = pool._fidelity([tmp_path / "0", tmp_path / "1"])
    assert table == {"coverage": {"real": 0.5, "accepted": 0.5, "accepted, unseen": 0.625}}


def test_references_are_evaluated_once_a_run_and_only_where_they_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    for stage in ("collect", "ground", "imagine", "train"):
        monkeypatch.setattr(pipeline, f"{stage}_stage", lambda *_, **__: None)
    monkeypatch.setattr(
        pipeline,
        "evaluate_stage",
        lambda _, settings, *__, **___: asked.append(settings.references),
    )

    def seed(number: int, *, references: bool) -> None:
        evaluate = replace(small().evaluate, references=references)
        preset = replace(small(), evaluate=evaluate)
        pipeline.run_seed(preset, tmp_path, number, "kalm run", WandbConfig(), overwrite=False)

    seed(0, references=True)
    seed(0, references=False)
    (tmp_path / "seed-0" / "stages").mkdir(parents=True, exist_ok=True)

    def other_seed_gets_there_first(*_: object, **__: object) -> None:
        (tmp_path / "seed-0" / REFERENCES).mkdir(parents=True)

    monkeypatch.setattr(pipeline, "train_stage", other_seed_gets_there_first)
    seed(1, references=True)
    assert asked == [True, False, False]
