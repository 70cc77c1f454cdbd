"""Imagination by Ray Data: a real local Ray gives the rollouts that one process gives."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.folders import open_run
from experiments.imagine import imagine_stage
from experiments.ray_workers import imagine_with_ray
from experiments.soak.sharing import IMAGINED, rows_hash
from experiments.soak.toy_run import COMMAND, do_stage, put, tiny
from experiments.tracking import WandbConfig


def test_without_ray_the_way_to_get_it_is_told(tmp_path: Path) -> None:
    try:
        import ray  # noqa: F401
    except ImportError:
        settings = tiny().imagine
        with pytest.raises(ValueError, match=r"pip install 'kalm\[ray\]'"):
            imagine_with_ray(tmp_path, settings, settings.rollouts, COMMAND)


@pytest.mark.slow
def test_ray_workers_imagine_what_one_process_imagines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ray = pytest.importorskip("ray")
    preset, run = tiny(), tmp_path / "run"
    do_stage(preset, run, "collect")
    do_stage(preset, run, "ground")
    put(run, tmp_path / "grounded")
    do_stage(preset, run, "imagine")
    wanted = rows_hash(run / IMAGINED)
    put(tmp_path / "grounded", run)
    settings = replace(preset.imagine, ray_workers=2)
    ray.init(num_cpus=2, include_dashboard=False)
    try:
        with open_run(run, "imagine", settings, COMMAND, WandbConfig()) as opened:
            imagine_stage(opened, settings, COMMAND, overwrite=False)
    finally:
        ray.shutdown()
    assert "ray: 6 of 6 shards done by its workers" in capsys.readouterr().err
    assert rows_hash(run / IMAGINED) == wanted
