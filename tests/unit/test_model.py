"""Which device and precision a run takes, where its model lies, and what a model folder says of itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from cyclorama.bundled import find_bundled
from cyclorama.errors import ModelError, SettingsError
from cyclorama.generation import model
from cyclorama.generation.model import (
    CategoryRegistry,
    ModelHandle,
    describe_model,
    find_licence,
    format_model,
    open_model,
)
from cyclorama.processes import count_cpus

# --- the machine ---


@pytest.mark.parametrize(
    ("cuda", "bfloat16", "mps", "expected"),
    [
        (True, True, True, ("cuda", "bfloat16")),
        (True, False, False, ("cuda", "float16")),
        (False, True, True, ("mps", "float16")),
        (False, True, False, ("cpu", "float32")),
    ],
)
def test_auto_takes_the_fastest_device_in_half_precision(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, bfloat16: bool, mps: bool, expected: tuple[str, str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bfloat16)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    learned = open_model("bundled")
    assert learned.choose_device() == expected
    assert learned.choose_device("auto", "float16") == (expected[0], "float16")
    assert learned.choose_device("cpu") == ("cpu", "float32")
    assert learned.choose_device("cpu", "bfloat16") == ("cpu", "bfloat16")
    assert open_model().choose_device() == open_model().choose_device("cpu") == ("cpu", "float32")


def test_devices_and_precisions_that_are_not_there_are_named() -> None:
    with pytest.raises(SettingsError, match="dtype 'int8' is unknown; use one of auto, float32"):
        open_model().choose_device("auto", "int8")
    with pytest.raises(SettingsError, match="device 'warp' cannot be used here"):
        open_model("bundled").choose_device("warp")
    with pytest.raises(SettingsError, match="device 'cuda': scenes are rendered on the CPU"):
        open_model().choose_device("cuda")


@pytest.mark.parametrize(
    ("quota", "period", "cpus"),
    [
        ("max", 100, 64), ("0", 100, 64), ("-1", 100, 64), ("1", 100, 1), ("100", 100, 1), ("101", 100, 2),
        ("300", 100, 3), ("50", 200, 1), ("6400", 100, 64), ("6401", 100, 64),
    ],
)  # fmt: skip
def test_a_containers_share_of_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, period: int, cpus: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    (tmp_path / "old/cpu").mkdir(parents=True)
    (tmp_path / "old/cpu/cpu.cfs_quota_us").write_text("-1" if quota == "max" else quota)
    (tmp_path / "old/cpu/cpu.cfs_period_us").write_text(f"{period}\n")
    assert count_cpus(tmp_path / "old") == cpus
    (tmp_path / "cpu.max").write_text(f"{quota} {period}\n")
    assert count_cpus(tmp_path) == cpus
    assert count_cpus(tmp_path / "none") == 64


# --- the model's folder ---


def test_a_model_is_found_again_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    asked: list[str] = []

    def open_here(name: str) -> ModelHandle:
        asked.append(name)
        return ModelHandle("m", tmp_path / "here", "abc", CategoryRegistry())

    monkeypatch.setattr(model, "open_model", open_here)
    monkeypatch.setattr(model, "open_scenes", lambda library: open_here("scenes"))

    def find(name: str, folder: Path, digest: str = "abc") -> Path:
        return ModelHandle(name, folder, digest, CategoryRegistry()).find_here().folder

    assert find("m", tmp_path) == tmp_path and asked == []
    assert find("m", tmp_path / "gone") == tmp_path / "here"
    for name in ("bundled", "scenes"):  # where this machine's package is
        assert find(name, tmp_path) == find(name, tmp_path / "gone") == tmp_path / "here"
    assert asked == ["m", "bundled", "bundled", "scenes", "scenes"]
    with pytest.raises(ModelError, match=r"model 'm' is another one on machine .* \(abc\) than .* \(xyz\)"):
        find("m", tmp_path / "gone", "xyz")


def test_the_packages_model_has_its_index() -> None:
    assert model.open_model().name == model.open_model("scenes").name == "scenes"
    handle = model.open_model("bundled")
    assert (handle.name, handle.folder) == ("bundled", find_bundled("model"))
    assert handle.hash == "972950e97352"
    assert model.open_model(find_bundled("model")).name == "model"


def write_model(folder: Path, vae: dict[str, Any]) -> None:
    index = {
        "_class_name": "Any", "unet": ["diffusers", "UNet"], "vae": ["ours", "Coder"], "none": ["a", None],
        "safety_checker": ["a", "Checker"], "three": ["a", "b", "c"], "scheduler": ["diffusers", "DDIM"],
    }  # fmt: skip
    values = {
        "model_index.json": index,
        "scheduler/scheduler_config.json": {"_class_name": "DDIM", "prediction_type": "sample"},
        "unet/config.json": {"sample_size": 16},
        "vae/config.json": vae,
    }
    for name, value in values.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(value))
    save_file(
        {"a": np.zeros((3, 4), np.float32), "b": np.zeros(5, np.float16)},
        folder / "unet/diffusion_pytorch_model.safetensors",
    )


@pytest.mark.parametrize(
    ("vae", "size"),
    [
        ({"patch": 4}, 64),
        ({"block_out_channels": [8, 8, 8]}, 64),
        ({"block_out_channels": [8]}, 16),
        ({}, 16),
    ],
)
def test_a_model_is_described_from_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vae: dict[str, Any], size: int
) -> None:
    write_model(tmp_path, vae)
    known = CategoryRegistry()
    known.add("fruit")
    monkeypatch.setattr(model, "open_model", lambda given: ModelHandle("m", tmp_path, "abc", known))
    about = describe_model()
    assert list(about["components"]) == ["unet", "vae", "scheduler"]
    unet = about["components"]["unet"]
    assert (unet["class"], unet["parameters"], unet["dtype"]) == ("UNet", 17, "F16/F32")
    sizes = {
        name: sum(p.stat().st_size for p in (tmp_path / name).iterdir())
        for name in ("unet", "vae", "scheduler")
    }
    assert {name: part["bytes"] for name, part in about["components"].items()} == sizes
    vae_part = about["components"]["vae"]
    assert (vae_part["parameters"], vae_part["dtype"]) == (0, None)
    assert (about["parameters"], about["bytes"]) == (17, sum(sizes.values()))
    assert (about["image_size"], about["scheduler"], about["prediction_type"]) == (size, "DDIM", "sample")
    assert [category["name"] for category in about["categories"]] == ["fruit"]
    assert about["licence"] == "not stated"


def test_a_description_as_text() -> None:
    part = {"class": "UNet", "parameters": 1234567, "bytes": 4_940_000, "dtype": "F32"}
    text = format_model({
        "name": "m", "hash": "abc", "image_size": 64, "scheduler": "DDIM", "prediction_type": "sample",
        "licence": "MIT", "parameters": 1234567, "bytes": 5_000_000,
        "components": {"unet": part, "tokenizer": part | {"parameters": 0, "bytes": 60_000, "dtype": None}},
        "categories": [],
    }).splitlines()  # fmt: skip
    assert text == [
        "model        m",
        "hash         abc",
        "image size   64 px",
        "scheduler    DDIM, predicts sample",
        "licence      MIT",
        "",
        f"component{'':15}class{'':23}   parameters       MB  dtype",
        f"unet{'':20}UNet{'':24}    1,234,567     4.94  F32",
        f"tokenizer{'':15}UNet{'':24}            –     0.06  –",
        f"total{'':47}    1,234,567     5.00",
        "",
        f"category{'':16}identifier    aliases",
        "none; add one with `cyclorama models add-category`",
    ]


@pytest.mark.parametrize(
    ("files", "licence"),
    [
        ({}, "not stated"),
        ({"LICENSE": "\n  Apache License\n2.0"}, "Apache License"),
        ({"LICENSE": " \n"}, "not stated"),
        ({"README.md": "# A\nlicense: mit", "LICENSE": "other"}, "mit"),
        ({"MODEL_CARD.md": "**Licence:** CC0 "}, "CC0"),
        ({"README.md": "license:\n", "LICENSE": "other"}, "other"),
        ({"README.md": "MIT"}, "not stated"),
    ],
)
def test_a_licence_is_read_from_card_or_file(tmp_path: Path, files: dict[str, str], licence: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert find_licence(tmp_path) == licence
