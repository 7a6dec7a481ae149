"""Which files of a model folder are used, what a weight file says: cyclorama.models.files by its values."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from cyclorama.errors import ModelFormatError, ModelNotFoundError
from cyclorama.models import files
from cyclorama.models.files import (
    BASE_PARTS,
    choose_files,
    choose_weights,
    compute_model_hash,
    find_model,
    find_weights,
    list_files,
    read_header,
)

PLAIN = "diffusion_pytorch_model.safetensors"
TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def write_tensors(path: Path, tensors: dict[str, Any], values: int) -> int:
    """A safetensors file with ``values`` bytes after its header; the header's length."""
    header = json.dumps(tensors).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(values))
    return len(header)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    for part in BASE_PARTS:
        (folder / part).mkdir(parents=True)
    for part in ("unet", "vae", "text_encoder"):
        (folder / part / "config.json").write_text("{}")
        write_tensors(folder / part / PLAIN, {"a": TENSOR}, 8)
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    (folder / "scheduler/scheduler_config.json").write_text('{"_class_name": "DDIMScheduler"}')
    return folder


def test_texts_cards_and_the_weights_beside_a_config_are_used() -> None:
    used = ["README.md", "model_index.json", "tokenizer/merges.txt", "unet/config.json", f"unet/{PLAIN}"]
    unused = [
        "model.safetensors",  # a single-file copy: no config.json beside it
        "unet/README.md",
        "unet/notes.png",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/old/config.json",
        "safety_checker/config.json",
        f"vae/{PLAIN}",
    ]
    assert choose_files([*unused, *used]) == used


def test_one_variant_is_used_and_all_its_shards_must_be_there() -> None:
    def name(variant: str) -> str:
        return f"model.{variant}.safetensors"

    assert choose_weights(["notes.txt"]) == ([], None)
    assert choose_weights([name("bf16"), name("fp16"), "model.safetensors"]) == (["model.safetensors"], None)
    assert choose_weights([name("bf16"), name("fp16")]) == ([name("fp16")], "fp16")
    assert choose_weights([name("ema"), name("bf16")]) == ([name("bf16")], "bf16")
    assert choose_weights([name("other"), name("ema")]) == ([name("ema")], "ema")
    shards = [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
    assert choose_weights(shards) == (shards, None)
    with pytest.raises(ModelFormatError, match="only 2 of 3 shards are there"):
        choose_weights(shards[1:])
    single = ["model-00001-of-00001.safetensors"]
    assert choose_weights(single) == (single, None)


def test_a_header_is_read_up_to_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    tensors = {"a": TENSOR, "b": {**TENSOR, "data_offsets": [8, 16]}}
    length = write_tensors(path, {"__metadata__": {"format": "pt"}, **tensors}, 16)
    monkeypatch.setattr(files, "_HEADER_LIMIT", length)
    assert read_header(path) == tensors
    monkeypatch.setattr(files, "_HEADER_LIMIT", length - 1)
    with pytest.raises(ModelFormatError, match=f"its first bytes say a header of {length} bytes"):
        read_header(path)


def test_a_file_cut_off_by_one_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    length = write_tensors(path, {"a": TENSOR}, 7)
    with pytest.raises(ModelFormatError, match=f"cut off: {length + 15} of {length + 16} bytes"):
        read_header(path)


def test_a_whole_folder_is_found_with_its_files(model: Path) -> None:
    assert find_model(model) == model
    assert find_weights(model / "unet") == ([model / "unet" / PLAIN], None)
    names = ["model_index.json", "scheduler/scheduler_config.json"]
    names += [f"{part}/{file}" for part in ("text_encoder", "unet", "vae") for file in ("config.json", PLAIN)]
    assert list_files(model) == [model / name for name in sorted(names)]


def test_a_model_is_named_by_its_parts_only(model: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256()
    for path in list_files(model):
        digest.update(path.relative_to(model).as_posix().encode() + b"\0" + path.read_bytes())
    assert compute_model_hash(model) == digest.hexdigest()[:12]
    (model / "README.md").write_text("new")
    (model / "other").mkdir()
    (model / "other/config.json").write_text("{}")
    assert compute_model_hash(model.rename(tmp_path / "moved")) == digest.hexdigest()[:12]


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("model_index.json", "has no model_index.json"),
        ("unet/config.json", "unet has weights but no config.json"),
        (f"vae/{PLAIN}", "vae holds no weights; wanted are safetensors"),
        (f"text_encoder/{PLAIN}", "text_encoder holds no weights"),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused(model: Path, lost: str, message: str) -> None:
    (model / lost).unlink()
    with pytest.raises(ModelFormatError, match=message):
        find_model(model)


def test_a_folder_of_another_layout_or_kind_is_refused(model: Path) -> None:
    (model / "unet" / PLAIN).rename(model / "unet/weights.bin")
    with pytest.raises(ModelFormatError, match=r"unet holds only weights\.bin"):
        find_model(model)
    (model / "category_generator").mkdir()
    (model / "scheduler/scheduler_config.json").write_text(
        '{"_class_name": "FlowMatchEulerDiscreteScheduler"}'
    )
    with pytest.raises(ModelFormatError, match="samples with FlowMatchEulerDiscreteScheduler"):
        find_model(model)
    (model / "tokenizer").rmdir()
    with pytest.raises(ModelFormatError, match="lacks the sub-folder tokenizer/"):
        find_model(model)
    (model / "model_index.json").write_text('{"_class_name": "FluxPipeline", "transformer": []}')
    with pytest.raises(ModelFormatError, match="holds a FluxPipeline"):
        find_model(model)


def test_an_added_generator_without_weights_is_refused(model: Path) -> None:
    (model / "category_generator").mkdir()
    with pytest.raises(ModelFormatError, match="category_generator holds no weights"):
        find_model(model)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model_index.json", "is the index of a model; give its folder"),
        ("base.safetensors", r"from_single_file\('base.safetensors'\)"),
        ("base.ckpt", "holds pickled weights"),
        ("base.zip", "is a file; give a folder"),
    ],
)
def test_a_single_file_is_refused_with_what_to_do(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ModelFormatError, match=message):
        find_model(tmp_path / name)


def test_only_an_owner_and_a_name_go_to_the_hub(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(files, "fetch_model", lambda name: asked.append(name) or model)
    assert find_model("owner/name") == model and asked == ["owner/name"]
    for text in ("name", "a/b/c", "./name", "/name", "~/name", ""):
        with pytest.raises(ModelNotFoundError, match="no model folder at"):
            find_model(text)
    assert asked == ["owner/name"]
