"""Model folders and hub repositories as people have them: found and loaded alike, or refused by name."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from diffusers import EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler

from cyclorama.cli import main
from cyclorama.errors import ModelFormatError, ModelNotFoundError
from cyclorama.generation.model import describe_model
from cyclorama.models.base import load_base
from cyclorama.models.files import choose_files, compute_model_hash, find_model, find_weights
from cyclorama.models.pipeline import CycloramaPipeline
from tiny_models import build_tiny_pipeline

PARTS = ("unet", "vae", "text_encoder", "category_generator", "personality_generator")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("saved") / "model"
    build_tiny_pipeline().save_pretrained(folder)
    return folder


@pytest.fixture
def model(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def rename_weights(model: Path, variant: str, keep: bool = False) -> None:
    for part in PARTS:
        (path,) = (model / part).glob("*.safetensors")
        (shutil.copy if keep else Path.rename)(path, path.with_suffix(f".{variant}.safetensors"))


@pytest.mark.parametrize("variant", ["fp16", "bf16", "ema"])
def test_a_folder_with_one_variant_is_loaded_and_described_alike(
    model: Path, saved: Path, variant: str
) -> None:
    rename_weights(model, variant)
    loaded, plain = CycloramaPipeline.from_pretrained(model), CycloramaPipeline.from_pretrained(saved)
    for part in PARTS:
        own, wanted = getattr(loaded, part).state_dict(), getattr(plain, part).state_dict()
        assert all(torch.equal(value, own[name]) for name, value in wanted.items())
        assert find_weights(model / part)[1] == variant
    assert describe_model(model)["parameters"] == describe_model(saved)["parameters"]


def test_of_two_variants_the_plain_one_counts_once(model: Path, saved: Path) -> None:
    rename_weights(model, "fp16", keep=True)
    ours, theirs = describe_model(model), describe_model(saved)
    assert (ours["parameters"], ours["bytes"]) == (theirs["parameters"], theirs["bytes"])
    assert compute_model_hash(model) == compute_model_hash(saved)
    for part in PARTS:
        (model / part).joinpath("diffusion_pytorch_model.fp16.safetensors").write_bytes(b"")
    CycloramaPipeline.from_pretrained(model)  # the copies are not looked at


def test_sharded_variants_are_whole_or_refused(model: Path) -> None:
    unet = load_base(model).unet
    shutil.rmtree(model / "unet")
    unet.save_pretrained(model / "unet", max_shard_size="20KB", variant="fp16")
    shards = sorted((model / "unet").glob("*-of-*"))
    assert len(shards) > 2 and find_weights(model / "unet")[1] == "fp16"
    loaded = CycloramaPipeline.from_pretrained(model).unet.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in unet.state_dict().items())
    shards[1].unlink()
    with pytest.raises(ModelFormatError, match=f"only {len(shards) - 1} of {len(shards)} shards are there"):
        find_model(model)


def test_a_single_file_is_refused_with_what_to_do(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = model / "unet" / "diffusion_pytorch_model.safetensors"
    for call in (CycloramaPipeline.from_pretrained, CycloramaPipeline.from_base, describe_model):
        with pytest.raises(ModelFormatError, match="single file of weights; .*from_single_file"):
            call(file)
    assert main(["models", "show", "--model", str(file)]) == 2
    assert "from_single_file" in capsys.readouterr().err
    pickled = model / "v1-5.ckpt"
    pickled.write_bytes(b"x")
    with pytest.raises(ModelFormatError, match="holds pickled weights"):
        find_model(pickled)
    with pytest.raises(ModelFormatError, match=f"give its folder {model}"):
        find_model(model / "model_index.json")


def set_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


WEIGHTS = "diffusion_pytorch_model.safetensors"
POINTER = b"version https://git-lfs.github.com/spec/v1"
DAMAGES: dict[str, tuple[str, Any]] = {
    "is not a whole safetensors file": ("vae", lambda p: (p / WEIGHTS).write_bytes(POINTER)),
    "cut off: ": ("text_encoder", lambda p: cut(p / "model.safetensors")),
    "weights but no config.json": ("unet", lambda p: (p / "config.json").unlink()),
    "cannot load UNet2D": ("unet", lambda p: (p / "config.json").write_text("{")),
    "only own.safetensors; wanted are": ("vae", lambda p: (p / WEIGHTS).rename(p / "own.safetensors")),
    "no weights": ("personality_generator", lambda p: (p / WEIGHTS).unlink()),
    "cannot load CLIPTokenizer": ("tokenizer", lambda p: (p / "tokenizer_config.json").write_text("[")),
    "lacks the sub-folder tokenizer/": ("tokenizer", shutil.rmtree),
    "of Stable Diffusion 1.x or 2.x": (".", lambda p: set_json(p / "model_index.json", prior=["x", "X"])),
    "samples with FlowMatchEuler": (
        "scheduler", lambda p: FlowMatchEulerDiscreteScheduler().save_pretrained(p)
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", DAMAGES)
def test_a_folder_that_cannot_be_loaded_is_refused_by_loading_and_by_show(model: Path, text: str) -> None:
    part, damage = DAMAGES[text]
    damage(model / part)
    with pytest.raises(ModelFormatError, match=text):
        CycloramaPipeline.from_pretrained(model)
    if "cannot load" not in text:  # what only the libraries can tell
        assert main(["models", "show", "--model", str(model)]) == 2


def test_a_suitable_scheduler_of_another_class_is_no_obstacle(model: Path) -> None:
    EulerDiscreteScheduler(prediction_type="v_prediction").save_pretrained(model / "scheduler")
    assert CycloramaPipeline.from_pretrained(model).scheduler.config.prediction_type == "v_prediction"


@pytest.mark.parametrize("given", ["", "  ", "~/no/such", "none", "a/b/c"])
def test_what_is_no_model_is_refused_without_asking_the_hub(given: str) -> None:
    with pytest.raises(ModelNotFoundError, match="no model folder at"):
        find_model(given)


def test_home_is_expanded(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(model.parent))
    assert find_model("~/model") == model


REPOSITORY = [
    "README.md", "model_index.json", "categories.json", "v1-5-pruned.safetensors", "v1-5-pruned.ckpt",
    "art.png", "unet/config.json",
    "unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.non_ema.safetensors",
    "vae/config.json", "vae/diffusion_pytorch_model.fp16.safetensors", "vae/flax_model.msgpack",
    "text_encoder/config.json", "text_encoder/model.fp16-00001-of-00002.safetensors",
    "text_encoder/model.fp16-00002-of-00002.safetensors", "text_encoder/model.safetensors.index.fp16.json",
    "tokenizer/vocab.json", "tokenizer/merges.txt", "scheduler/scheduler_config.json",
    "safety_checker/config.json", "safety_checker/model.safetensors", "onnx/unet/model.onnx",
]  # fmt: skip
USED = [
    "README.md", "categories.json", "model_index.json", "scheduler/scheduler_config.json",
    "text_encoder/config.json", "text_encoder/model.fp16-00001-of-00002.safetensors",
    "text_encoder/model.fp16-00002-of-00002.safetensors", "text_encoder/model.safetensors.index.fp16.json",
    "tokenizer/merges.txt", "tokenizer/vocab.json", "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors", "vae/config.json",
    "vae/diffusion_pytorch_model.fp16.safetensors",
]  # fmt: skip


def test_only_the_files_that_are_used_are_chosen() -> None:
    assert choose_files(REPOSITORY) == USED
    root = ["config.json", "diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.safetensors"]
    assert choose_files(root) == ["config.json", "diffusion_pytorch_model.safetensors"]


def test_a_hub_repository_is_fetched_by_that_choice(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename_weights(model, "fp16", keep=True)
    names = [p.relative_to(model).as_posix() for p in model.rglob("*") if p.is_file()]
    asked: list[list[str]] = []

    def snapshot(hub_id: str, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        for name in set(names) - set(allow_patterns):
            (model / name).unlink()
        return str(model)

    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda hub_id: names)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    CycloramaPipeline.from_pretrained("owner/name")
    assert len(asked[0]) == len(names) - len(PARTS) and not any("fp16" in name for name in asked[0])


def test_without_a_network_what_was_fetched_earlier_is_used(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(hub_id: str) -> list[str]:
        raise ConnectionError("no route")

    def snapshot(hub_id: str, local_files_only: bool = False) -> str:
        assert local_files_only
        return str(model)

    monkeypatch.setattr(huggingface_hub, "list_repo_files", fail)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert find_model("owner/name") == model
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: fail("x"))
    with pytest.raises(ModelNotFoundError, match=r"cannot fetch model 'owner/name' .*\(ConnectionError\)"):
        find_model("owner/name")


def test_loading_shows_nothing(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    CycloramaPipeline.from_pretrained(model)
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err == ""


def test_a_quiet_run_shows_nothing_whatever_its_scheduler_says(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[logging.LogRecord] = []
    logging.getLogger("diffusers.schedulers").setLevel(logging.NOTSET)
    monkeypatch.setattr(logging.getLogger("diffusers"), "handlers", [Told(told)])
    photo = Path(__file__).parents[1] / "cases" / "colour" / "plain.png"
    options = ["--category", "fruit", "--steps", "1", "--scheduler", "DPMSolverSinglestep", "--size", "64x64"]
    run = ["generate", str(photo), "--out", str(tmp_path / "out"), "--model", str(model), "--device", "cpu"]
    assert main([*run, *options, "--quiet"]) == 0
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err == "" and not told


class Told(logging.Handler):
    def __init__(self, told: list[logging.LogRecord]) -> None:
        super().__init__()
        self.emit = told.append  # type: ignore[method-assign]
