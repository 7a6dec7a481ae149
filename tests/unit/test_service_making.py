"""A worker's images with a learned model: bytes of the engine, steps told, an end within a step."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama.errors import UnknownIdError
from cyclorama.generation import scenes
from cyclorama.generation.items import Item
from cyclorama.generation.model import open_model
from cyclorama.generation.run import run_images
from cyclorama.generation.settings import GenerateConfig, RunConfig
from cyclorama.jobs.job import EngineSettings
from cyclorama.service import jobs, leases
from cyclorama.service.making import KEPT_PRODUCTS, Maker, StoppedError, Watch, explain
from cyclorama.service.schemas import JobRequest
from cyclorama.service.store import Store
from drawn import save_product
from service_store import add_asset

SETTINGS = {"steps": 3, "preset": "fast", "outputs": ["source", "64x80"], "candidates": 2}


def claim(store: Store, asset: str, settings: dict[str, object]) -> list[leases.Claim]:
    values = {"items": [{"image": asset, "category": "fruit"}], "settings": settings}
    jobs.submit_once(store, JobRequest.model_validate(values), "local", "tiny", "s", None, "")
    found = [leases.claim_image(store, "w", ["tiny"], 0) for _ in range(4)]
    return [one for one in found if one is not None]


def test_images_of_a_job_are_the_engines_and_end_within_a_step(model: Path, tmp_path: Path) -> None:
    save_product(tmp_path / "a.png", 0)
    handle = open_model(model)
    out = tmp_path / "out"
    item = Item("a.png", str(tmp_path / "a.png"), category="fruit")
    config = RunConfig(GenerateConfig(**SETTINGS), engine=EngineSettings(device="cpu"))
    assert run_images([item], out, handle, config).made == 4

    store = Store(tmp_path / "data")
    asset = add_asset(store, content=(tmp_path / "a.png").read_bytes())
    maker = Maker(handle, "cpu", "float32", store.blobs, tmp_path)
    claims = claim(store, asset, SETTINGS)
    told: list[tuple[int, int]] = []
    names = ["a.source-c1.png", "a.source-c2.png", "a.64x80-c1.png", "a.64x80-c2.png"]
    for one, name in zip(claims, names, strict=True):
        result, files = maker.make(one, Watch(lambda *step: told.append(step)))
        assert store.blobs.read(files["file"]) == (out / "images" / name).read_bytes()
        assert result["report"]["max_difference"] == 0 and set(files) == {"file", "plate", "thumbnail"}
    assert told == [(1, 3), (2, 3), (3, 3)] * 4

    steps: list[int] = []
    with pytest.raises(StoppedError):
        watch = Watch(lambda step, steps_: steps.append(step), lambda: len(steps) >= 2)
        maker.make(claims[0], watch)
    assert steps == [1, 2]
    maker.close()
    store.close()


def test_errors_name_files_as_they_were_uploaded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    [held] = claim(store, add_asset(store, name="shoe.jpg"), {})
    path = tmp_path / "blobs" / held.digests["image"][:2] / held.digests["image"]
    assert explain(ValueError(f"cannot read {path}: torn"), held) == "cannot read shoe.jpg: torn"
    store.close()


def test_a_file_that_was_gone_is_looked_for_again(model: Path, tmp_path: Path) -> None:
    save_product(tmp_path / "a.png", 0)
    store = Store(tmp_path / "data")
    data = (tmp_path / "a.png").read_bytes()
    [first, *_] = claim(store, add_asset(store, content=data), SETTINGS)
    maker = Maker(open_model(model), "cpu", "float32", store.blobs, tmp_path)
    store.blobs.drop(first.digests["image"])
    with pytest.raises(UnknownIdError, match="is gone"):
        maker.make(first, Watch())
    store.blobs.put(data)
    assert set(maker.make(first, Watch())[1]) == {"file", "plate", "thumbnail"}
    maker.close()
    store.close()


def test_copies_of_inputs_that_lie_elsewhere_go_with_their_products(model: Path, tmp_path: Path) -> None:
    save_product(tmp_path / "a.png", 0)
    store = Store(tmp_path / "data", None, "memory://copies")
    asset = add_asset(store, content=(tmp_path / "a.png").read_bytes())
    items = [{"image": asset, "category": "fruit"}] * (KEPT_PRODUCTS + 3)
    request = JobRequest.model_validate({"items": items, "settings": {"preset": "fast"}})
    jobs.submit_once(store, request, "local", "tiny", "s", None, "")
    copies = tmp_path / "copies"
    maker = Maker(open_model(model), "cpu", "float32", store.blobs, copies)
    for _ in items:
        held = leases.claim_image(store, "w", ["tiny"], 0)
        assert held is not None
        row, _ = maker._load(held)
        assert row.files is not None and Path(row.files.paths["image"]).exists()
        del row
    assert len(list(copies.iterdir())) == KEPT_PRODUCTS
    maker.close()
    store.close()


def test_a_preview_shows_the_image_small_and_changes_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(scenes, "PREVIEW_SIDE", 48)
    save_product(tmp_path / "a.png", 0, (96, 72))
    store = Store(tmp_path / "data")
    asset = add_asset(store, content=(tmp_path / "a.png").read_bytes())
    values = {
        "items": [{"image": asset, "category": "fruit"}],
        "settings": {"preset": "fast", "outputs": ["72x96"]},
    }
    jobs.submit_once(store, JobRequest.model_validate(values), "local", "scenes", "s", None, "")
    held = leases.claim_image(store, "w", ["scenes"], 0)
    assert held is not None
    maker = Maker(open_model("scenes"), "cpu", "float32", store.blobs, tmp_path)
    seen: list[bytes] = []
    _, files = maker.make(held, Watch())
    assert maker.make(held, Watch(preview=seen.append))[1] == files
    [small], whole = (
        [np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float32) for data in seen],
        Image.open(io.BytesIO(store.blobs.read(files["file"]))).convert("RGB").resize((36, 48)),
    )
    assert small.shape == (48, 36, 3)
    assert np.abs(small - np.asarray(whole)).mean() < 25, "noise, but the same image"
    maker.close()
    store.close()
