"""Saved grounded models: the same outputs in a fresh process, and everything doubtful refused."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import (
    FAMILIES,
    backbone,
    equal_weights,
    grounded,
    save_base,
    task_stream,
    tokenizer,
)

from kalm.language_model import Tensors
from kalm.layout import collate
from kalm.model import GroundedModel
from kalm.pretrained import (
    ModelError,
    add_lora,
    load_backbone,
    load_grounded,
    model_hash,
    save_model,
    verify_model,
)

REVISION = "0123456789abcdef0123456789abcdef01234567"


def adapted(base: Path) -> GroundedModel:
    """A model with random, not vanishing adapters on the base model saved in `base`."""
    loaded, _ = load_backbone(str(base))
    model = grounded(base=add_lora(loaded, rank=2, alpha=4, dropout=0.0))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1)
    return model


def saved(model: GroundedModel, folder: Path, base: str = "tiny") -> Path:
    folder.mkdir()
    save_model(model, folder, base_model=base)
    return folder


@torch.inference_mode()
def outputs(model: GroundedModel) -> np.ndarray:
    """Hidden states and losses of four samples."""
    stream = task_stream(model)
    batch = Tensors.of(collate([stream.sample(0, index)[1] for index in range(4)]))
    losses = [float(value) for value in model(batch).values()]
    hidden: np.ndarray = model.hidden(batch).numpy().ravel()
    return np.concatenate([hidden, np.array(losses, np.float32)])


FRESH = """
import sys
from pathlib import Path

import numpy as np

from kalm.pretrained import load_grounded
from test_pretrained import outputs

for folder in map(Path, sys.argv[1:]):
    np.save(folder.with_suffix(".npy"), outputs(load_grounded(folder, world_name="toy")))
"""


def test_a_loaded_model_gives_bitwise_equal_outputs_in_a_fresh_process(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    models = {family: grounded(family=family) for family in FAMILIES}
    models["regression"] = grounded(state_head="regression", positions="state")
    models["lora"] = adapted(base)
    folders = [saved(m, tmp_path / name, str(base)) for name, m in models.items()]
    rooms = os.pathsep.join(path for path in sys.path if path)
    subprocess.run(
        [sys.executable, "-c", FRESH, *map(str, folders)],
        check=True,
        env={**os.environ, "PYTHONPATH": rooms},
    )
    for folder, model in zip(folders, models.values(), strict=True):
        np.testing.assert_array_equal(np.load(folder.with_suffix(".npy")), outputs(model))


def test_a_loaded_model_has_bitwise_equal_weights_and_the_same_description(tmp_path: Path) -> None:
    model = grounded(positions="state", num_bins=21)
    loaded = load_grounded(saved(model, tmp_path / "model"))
    assert equal_weights(model, loaded)
    assert (loaded.config, loaded.scale, loaded.spaces) == (model.config, model.scale, model.spaces)
    assert not loaded.training


def test_adapters_are_saved_without_their_base_model(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    folder = saved(adapted(base), tmp_path / "model", str(base))
    assert not (folder / "backbone").exists()
    names = load_file(folder / "adapter" / "adapter_model.safetensors")
    assert names
    assert all("lora_" in name for name in names)


def test_the_hash_of_a_model_names_its_weights(tmp_path: Path) -> None:
    one = model_hash(saved(grounded(), tmp_path / "one"))
    again = model_hash(saved(grounded(), tmp_path / "again"))
    other = model_hash(saved(grounded(seed=1), tmp_path / "other"))
    assert one == again
    assert one != other


def test_the_hash_of_a_model_does_not_depend_on_where_its_base_model_lies(tmp_path: Path) -> None:
    bases = [save_base(tmp_path / name) for name in ("here", "there")]
    whole = [saved(grounded(), tmp_path / f"whole-{b.name}", str(b)) for b in bases]
    adapters = [saved(adapted(b), tmp_path / f"adapter-{b.name}", str(b)) for b in bases]
    for one, other in (whole, adapters):
        assert (one / "hashes.json").read_text() != (other / "hashes.json").read_text()
        assert model_hash(one) == model_hash(other)
    changed = json.loads((whole[0] / "grounded.json").read_text())
    changed["config"]["state_weight"] += 1.0
    (whole[0] / "grounded.json").write_text(json.dumps(changed))
    assert model_hash(whole[0]) != model_hash(whole[1])


# ------------------------------------------------------------------------- refused folders


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(grounded(), tmp_path_factory.mktemp("good") / "model")


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "model"))


def test_a_good_folder_has_no_problems(folder: Path) -> None:
    assert verify_model(folder) == []


@pytest.mark.parametrize(
    "name", ["heads.safetensors", "backbone/model.safetensors", "grounded.json"]
)
def test_one_flipped_bit_is_refused_and_its_file_named(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-3] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name} was altered"):
        load_grounded(folder)


def test_a_missing_file_is_refused_and_named(folder: Path) -> None:
    (folder / "heads.safetensors").unlink()
    with pytest.raises(ModelError, match=r"heads\.safetensors is missing"):
        load_grounded(folder)


def test_a_folder_that_was_not_saved_to_its_end_is_refused(folder: Path) -> None:
    (folder / "hashes.json").unlink()
    with pytest.raises(ModelError, match="not saved to its end"):
        load_grounded(folder)


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        load_grounded(tmp_path / "nowhere")


def test_a_model_of_another_world_is_refused_with_both_names(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"grounded in `clevr_robot`.*grounded in `toy`"):
        load_grounded(folder, world_name="clevr_robot")


def rehash(folder: Path) -> None:
    """Hashes that agree with the folder as it is: what an attacker would write."""
    from envs.files import sha256_file

    hashes = json.loads((folder / "hashes.json").read_text())
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    hashes = {name: sha256_file(folder / name) for name in sorted(files - {"hashes.json"})}
    (folder / "hashes.json").write_text(json.dumps(hashes))


def test_heads_that_lack_a_weight_are_refused(folder: Path) -> None:
    heads = load_file(folder / "heads.safetensors")
    heads.pop("stop_head.weight")
    save_file(heads, folder / "heads.safetensors")
    rehash(folder)
    with pytest.raises(ModelError, match=r"stop_head\.weight"):
        load_grounded(folder)


def test_adapters_on_another_base_model_are_refused(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    folder = saved(adapted(base), tmp_path / "model", str(base))
    shutil.rmtree(base)
    save_base(base, seed=1)
    with pytest.raises(ModelError, match="another base model"):
        load_grounded(folder)


# ------------------------------------------------------------------------- safe loading


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.target, "executed"))


def plant(bomb: Path, mark: Path) -> None:
    """Puts a pickle in place of weights."""
    bomb.write_bytes(pickle.dumps(Bomb(mark)))


def test_the_planted_pickle_would_execute(tmp_path: Path) -> None:
    plant(tmp_path / "bomb", tmp_path / "mark")
    pickle.loads((tmp_path / "bomb").read_bytes())
    assert (tmp_path / "mark").read_text() == "executed"


def test_a_base_model_that_has_only_pickled_weights_is_refused_unread(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    (base / "model.safetensors").unlink()
    plant(base / "pytorch_model.bin", tmp_path / "mark")
    with pytest.raises(ModelError, match="safetensors"):
        load_backbone(str(base))
    assert not (tmp_path / "mark").exists()


def test_a_grounded_model_that_has_only_pickled_weights_is_refused_unread(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "backbone" / "model.safetensors").unlink()
    plant(folder / "backbone" / "pytorch_model.bin", tmp_path / "mark")
    rehash(folder)
    with pytest.raises(ModelError, match="safetensors"):
        load_grounded(folder)
    assert not (tmp_path / "mark").exists()


def test_adapters_that_are_pickled_are_refused_unread(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    folder = saved(adapted(base), tmp_path / "model", str(base))
    (folder / "adapter" / "adapter_model.safetensors").unlink()
    plant(folder / "adapter" / "adapter_model.bin", tmp_path / "mark")
    rehash(folder)
    with pytest.raises(ModelError, match="safetensors"):
        load_grounded(folder)
    assert not (tmp_path / "mark").exists()


def remote(base: Path, mark: Path) -> Path:
    """A base model whose architecture is known to its own code only."""
    config = json.loads((base / "config.json").read_text())
    config |= {
        "model_type": "unheard_of",
        "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
    }
    (base / "config.json").write_text(json.dumps(config))
    (base / "own.py").write_text(f"open({str(mark)!r}, 'w').write('executed')\n")
    return base


def test_code_of_a_model_is_not_run_unless_asked(tmp_path: Path) -> None:
    base = remote(save_base(tmp_path / "base"), tmp_path / "mark")
    with pytest.raises(ModelError, match="Could not load the base model"):
        load_backbone(str(base))
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("revision", ["main", "v1.0", REVISION[:12], REVISION.upper(), ""])
def test_code_of_a_model_is_not_run_without_a_pinned_revision(
    tmp_path: Path, revision: str
) -> None:
    base = remote(save_base(tmp_path / "base"), tmp_path / "mark")
    with pytest.raises(ModelError, match="40 hexadecimal digits"):
        load_backbone(str(base), remote_code_revision=revision)
    assert not (tmp_path / "mark").exists()


def test_a_base_model_that_cannot_be_found_is_refused_with_what_to_give() -> None:
    with pytest.raises(ModelError, match=r"`no/such-model`.*Give a folder with config\.json"):
        load_backbone("no/such-model")


def test_a_base_model_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    loaded, words = load_backbone(str(save_base(tmp_path / "base", "gpt2")))
    assert equal_weights(loaded, backbone("gpt2"))
    assert words.get_vocab() == tokenizer().get_vocab()
