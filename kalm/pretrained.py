"""Saving and loading language models: safetensors and JSON in a folder, verified by SHA-256.

Folder: `grounded.json` (world, shapes, configuration) and `heads.safetensors` (encoders and heads)
of a grounded model, or `text_model.json` of one with words alone;
`backbone/` (full fine-tuning) or `adapter/` (LoRA; the base model is named), `tokenizer/`, and
`hashes.json` over all of it, written last.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from envs.files import sha256_file
from envs.world import Spaces
from kalm.language_model import LanguageModel
from kalm.model import GroundedModel, GroundingConfig, StateScale
from kalm.precision import quick_dtype
from kalm.text_model import TextModel

GROUNDED, TEXT = "grounded.json", "text_model.json"
HEADS, HASHES = "heads.safetensors", "hashes.json"
ADAPTER = "adapter_model.safetensors"
_PLACES = {"base_model", "base_model_name_or_path"}  # settings that say where a base model lies
REVISION = re.compile(r"[0-9a-f]{40}")


class ModelError(ValueError):
    """A model folder that cannot be used: names the file and the next step."""


def load_backbone(
    name: str,
    *,
    remote_code_revision: str | None = None,
    revision: str | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Any, Any]:
    """A causal LM and its tokenizer from a hub id or a folder.

    Args:
        name: hub id, or folder with `config.json`.
        revision: commit, tag or branch on the hub; that of the code, if that is allowed.
        remote_code_revision: 40 hexadecimal digits; allows the model's own code at that revision.

    Raises:
        ModelError: unknown folder, missing safetensors, remote code without a pinned revision.
    """
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(name, remote_code_revision=remote_code_revision, revision=revision)
    trust = _trust(remote_code_revision, revision)
    options = {"use_safetensors": True, "dtype": dtype}
    return _loaded(AutoModelForCausalLM, name, **options, **trust), tokenizer


def load_tokenizer(
    name: str, *, remote_code_revision: str | None = None, revision: str | None = None
) -> Any:
    """The tokenizer of a causal LM; arguments and errors as of `load_backbone`."""
    from transformers import AutoTokenizer

    tokenizer = _loaded(AutoTokenizer, name, **_trust(remote_code_revision, revision))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _loaded(kind: Any, name: str, **options: Any) -> Any:
    try:
        return kind.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"Could not load the base model `{name}`: {str(error).splitlines()[0]} "
            f"Give a folder with config.json and *.safetensors, or a hub id that can be reached."
        ) from error


def _trust(remote_code_revision: str | None, revision: str | None) -> dict[str, Any]:
    """Which files of the hub are read, and whether their code may run."""
    if remote_code_revision is not None and not REVISION.fullmatch(remote_code_revision):
        raise ModelError(
            f"Expected --remote-code-revision as 40 hexadecimal digits, "
            f"got `{remote_code_revision}`. Pin the commit whose code you have read."
        )
    return {
        "trust_remote_code": remote_code_revision is not None,
        "revision": remote_code_revision or revision or "main",
    }


def add_lora(backbone: Any, *, rank: int, alpha: int, dropout: float) -> Any:
    """`backbone` with trainable low-rank adapters on every linear layer, its weights frozen."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules="all-linear")
    return get_peft_model(backbone, config)


def train_quickly(backbone: Any) -> None:
    """Makes `backbone` compute attention in the quickest way to train on its device.

    On a CPU, and for sequences as short as rollouts, that is the plain way: the backward pass of
    the fused one takes twice as long as everything else together.
    """
    if backbone.device.type == "cpu":
        bare = backbone.get_base_model() if is_adapted(backbone) else backbone
        bare.set_attn_implementation("eager")


def decode_quickly(backbone: Any) -> None:
    """Makes `backbone` decode in the quickest way on its device, in bfloat16 where it has it.

    On a CPU that is with plain attention: position by position, the fused one takes twice as long
    in bfloat16.
    """
    backbone.to(quick_dtype(backbone.device))
    train_quickly(backbone)


def is_adapted(backbone: Any) -> bool:
    """Whether `backbone` carries peft adapters."""
    return hasattr(backbone, "peft_config")


def fingerprint(backbone: Any, whole: Mapping[str, torch.Tensor] | None = None) -> str:
    """A hash over 64 numbers of every weight of a base model; its adapters are left out.

    Args:
        whole: weights of `backbone`, where it holds a share of them only.
    """
    bare = backbone.get_base_model() if is_adapted(backbone) else backbone
    weights = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): tensor
        for name, tensor in (bare.state_dict() if whole is None else whole).items()
        if ".lora_" not in name
    }
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        numbers = tensor.detach().flatten()[:: max(1, tensor.numel() // 64)].float().cpu()
        digest.update(f"{name}{tuple(tensor.shape)}".encode() + numbers.numpy().tobytes())
    return digest.hexdigest()


def save_model(
    model: LanguageModel,
    folder: Path,
    *,
    base_model: str,
    weights: Mapping[str, torch.Tensor] | None = None,
) -> str:
    """Writes `model` into the existing, empty `folder` and returns its hash.

    Args:
        weights: of `model`, where it holds a share of them only.

    Raises:
        ModelError: a weight is NaN or infinite.
    """
    whole = model.state_dict() if weights is None else weights
    for name, tensor in whole.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelError(
                f"Expected finite weights, got NaN or infinity in `{name}`. Nothing was saved; "
                "lower --learning-rate or look at the data."
            )
    heads = {
        name: tensor.contiguous()
        for name, tensor in whole.items()
        if not name.startswith("backbone.")
    }
    if heads:
        save_file(heads, folder / HEADS)
    inner = {n.removeprefix("backbone."): t for n, t in whole.items() if n.startswith("backbone.")}
    part = "adapter" if is_adapted(model.backbone) else "backbone"
    gathered = {} if weights is None else {"state_dict": inner}
    model.backbone.save_pretrained(folder / part, safe_serialization=True, **gathered)
    model.tokenizer.save_pretrained(folder / "tokenizer")
    description = _own_description(model) | {
        "base_model": base_model,
        "part": part,
        "base_fingerprint": fingerprint(model.backbone, inner) if part == "adapter" else None,
    }
    if part == "adapter":
        description |= _base_options(model)
    (folder / _description_file(model)).write_text(
        json.dumps(description, indent=2, sort_keys=True) + "\n"
    )
    hashes = {
        str(path.relative_to(folder)): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")  # a publisher's mark is not ours
    }
    (folder / HASHES).write_text(json.dumps(hashes, indent=2, sort_keys=True) + "\n")
    return model_hash(folder)


def _base_options(model: LanguageModel) -> dict[str, str]:
    """How the base model under adapters was loaded, where that was not in the usual way."""
    commit = getattr(model.backbone.config, "_commit_hash", None)  # of a model from the hub
    pinned = {} if commit is None else {"base_revision": commit}
    half = model.dtype == torch.bfloat16
    return pinned | ({"base_dtype": "bfloat16"} if half else {})


def _description_file(model: LanguageModel) -> str:
    return GROUNDED if isinstance(model, GroundedModel) else TEXT


def _own_description(model: LanguageModel) -> dict[str, Any]:
    """What it takes, besides the language model, to build `model` again."""
    if not isinstance(model, GroundedModel):
        return {}
    return {
        "world": model.world_name,
        "spaces": asdict(model.spaces),
        "config": asdict(model.config),
        "num_goals": model.layout.num_goals,
        "scale": asdict(model.scale),
    }


def model_hash(folder: Path) -> str:
    """A short hash of a saved model: weights, words and settings, not where its base model lies.

    What a model imagines is keyed by it, so that a run is the same in any folder.
    """
    folder = Path(folder)
    hashes = json.loads((folder / HASHES).read_text())
    told = {name: digest for name, digest in hashes.items() if not name.endswith(".md")}
    for name in sorted(name for name in told if name.endswith(".json")):
        content = json.loads((folder / name).read_text())
        if isinstance(content, dict) and not _PLACES.isdisjoint(content):
            told[name] = {key: value for key, value in content.items() if key not in _PLACES}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def verify_model(folder: Path) -> list[str]:
    """Problems of a saved model, each naming its file; empty if there is none."""
    folder = Path(folder)
    if not (folder / HASHES).is_file():
        return [f"{folder / HASHES} is missing: the model was not saved to its end."]
    try:
        hashes = json.loads((folder / HASHES).read_text())
    except (json.JSONDecodeError, UnicodeDecodeError):
        return [f"{folder / HASHES} is not valid JSON."]
    if not isinstance(hashes, dict):
        return [f"{folder / HASHES} is no table of hashes."]
    problems = []
    for name, expected in hashes.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path} is missing.")
        elif sha256_file(path) != expected:
            problems.append(f"{path} was altered: its SHA-256 is not that in {HASHES}.")
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    for name in (path.relative_to(folder).as_posix() for path in files):
        if name not in hashes and name != HASHES and not Path(name).name.startswith("."):
            problems.append(f"{folder / name} is not in {HASHES}. Move it elsewhere.")
    return problems


def load_grounded(folder: Path, *, world_name: str | None = None) -> GroundedModel:
    """The grounded model that `save_model` wrote, in float32 and evaluation mode.

    Args:
        world_name: if given, the world that the model has to be of.

    Raises:
        ModelError: missing, altered or foreign folder.
    """
    folder = Path(folder)
    description = _verified(folder, GROUNDED)
    if world_name is not None and description["world"] != world_name:
        raise ModelError(
            f"Expected a model grounded in `{world_name}`, but {folder} was grounded in "
            f"`{description['world']}`. Use that environment or another model."
        )
    backbone, tokenizer = _load_parts(folder, description)
    scale = description["scale"]
    model = GroundedModel(
        backbone,
        tokenizer,
        Spaces(**description["spaces"]),
        GroundingConfig(**description["config"]),
        StateScale(tuple(scale["offset"]), tuple(scale["scale"]), scale["limit"]),
        description["world"],
        description["num_goals"],
    )
    _load_heads(model, folder)
    return model.eval()


def load_text_model(folder: Path) -> TextModel:
    """The text model that `save_model` wrote, in float32 and evaluation mode.

    Raises:
        ModelError: missing, altered or foreign folder.
    """
    folder = Path(folder)
    return TextModel(*_load_parts(folder, _verified(folder, TEXT))).eval()


def _verified(folder: Path, name: str) -> dict[str, Any]:
    """The description `name` of a saved model without problems."""
    problems = verify_model(folder)
    if problems:
        raise ModelError(f"{problems[0]} Train the model again or restore the file.")
    if not (folder / name).is_file():
        raise ModelError(
            f"Expected a model with {name}, but {folder} has none: it holds another kind of model."
        )
    description: dict[str, Any] = json.loads((folder / name).read_text())
    return description


def load_weights(model: LanguageModel, folder: Path) -> None:
    """Puts the weights saved in `folder` into `model`, which was built the same way."""
    description = json.loads((folder / _description_file(model)).read_text())
    _load_heads(model, folder)
    if description["part"] == "backbone":
        saved, _ = _load_local(folder / "backbone", folder / "tokenizer")
        model.backbone.load_state_dict(saved.state_dict())
    else:
        from peft import set_peft_model_state_dict

        adapter = load_file(folder / "adapter" / ADAPTER)
        set_peft_model_state_dict(model.backbone, adapter)


def _load_heads(model: LanguageModel, folder: Path) -> None:
    heads = load_file(folder / HEADS) if (folder / HEADS).is_file() else {}
    missing, unknown = model.load_state_dict(heads, strict=False)
    wrong = [name for name in (*missing, *unknown) if not name.startswith("backbone.")]
    if wrong:
        raise ModelError(
            f"{folder / HEADS} and this version disagree on `{wrong[0]}`. Train the model again, "
            f"or use the version that saved it."
        )


def _load_parts(folder: Path, description: dict[str, Any]) -> tuple[Any, Any]:
    from transformers import AutoTokenizer

    if description["part"] == "backbone":
        backbone, _ = _load_local(folder / "backbone", folder / "tokenizer")
    else:
        from peft import PeftModel

        if not (folder / "adapter" / ADAPTER).is_file():
            raise ModelError(f"{folder / 'adapter'} has no {ADAPTER}. Restore it.")
        half = description.get("base_dtype") == "bfloat16"
        base, _ = load_backbone(
            description["base_model"],
            revision=description.get("base_revision"),
            dtype=torch.bfloat16 if half else torch.float32,
        )
        if fingerprint(base) != description["base_fingerprint"]:
            raise ModelError(
                f"{folder} adapts another base model: the weights of "
                f"`{description['base_model']}` are not those that it was trained on. Restore "
                f"them, or train the model again."
            )
        backbone = PeftModel.from_pretrained(base, folder / "adapter", is_trainable=True)
    return backbone, AutoTokenizer.from_pretrained(folder / "tokenizer")


def _load_local(weights: Path, tokenizer: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        backbone = AutoModelForCausalLM.from_pretrained(
            weights, use_safetensors=True, dtype=torch.float32
        )
    except OSError as error:
        raise ModelError(
            f"Could not load {weights}: {str(error).splitlines()[0]} Weights are read from "
            f"*.safetensors only."
        ) from error
    return backbone, AutoTokenizer.from_pretrained(tokenizer)
