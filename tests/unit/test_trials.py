"""Trials of an experiment (``cyclorama.lab.experiments.trials``) on a held-out set
(``cyclorama.lab.experiments.held_out``): what is opened, under which inputs, and what was made."""

from __future__ import annotations

import csv
import hashlib
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from cyclorama.errors import DataError, ModelNotFoundError, OutputError, SettingsError
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.settings import GenerateConfig
from cyclorama.jobs.job import Hooks
from cyclorama.lab.experiments import trials
from cyclorama.lab.experiments.held_out import HeldOutSet, open_held_out
from cyclorama.lab.experiments.recipe import ExperimentConfig, MethodConfig
from cyclorama.lab.experiments.trials import (
    ModelCache,
    OpenedMethod,
    Trial,
    compare_decoders,
    find_folder,
    make_trial,
    open_method,
    open_methods,
)
from drawn import draw_product
from stand_in import StandIn, build_registry

COLUMNS = ("id", "image", "mask", "mask_means", "category", "reference", "truth")


def write_set(folder: Path, count: int = 3, **changes: str) -> Path:
    """A manifest of ``count`` drawn products; ``changes`` go to every row; an empty one leaves it out."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for n in range(count):
        product = draw_product((64, 64), n)
        product.convert("RGB").save(folder / f"p{n}.png")
        product.convert("RGB").rotate(90).save(folder / f"t{n}.png")
        product.getchannel("A").save(folder / f"m{n}.png")
        product.convert("RGB").rotate(180).save(folder / f"r{n}.png")
        row = {"id": f"k{n}", "image": f"p{n}.png", "mask": f"m{n}.png", "category": "fruit"}
        rows.append({**row, "reference": f"r{n}.png", "truth": f"t{n}.png", **changes})
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [c for c in COLUMNS if rows[0].get(c)], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def configure(folder: Path, **changes: Any) -> ExperimentConfig:
    values = {"title": "t", "data": folder, "methods": (MethodConfig(name="ours"),), **changes}
    return ExperimentConfig(**values)


def handle(name: str = "0") -> ModelHandle:
    return ModelHandle(name, Path(), name * 12, build_registry())


def open_as(config: MethodConfig, name: str = "0", **given: Any) -> OpenedMethod:
    return OpenedMethod(config, handle(name), GenerateConfig(batch_size=2), **given)


def test_a_set_gives_inputs_under_each_condition(tmp_path: Path) -> None:
    found = open_held_out(configure(write_set(tmp_path / "set"), conditions=("none", "pair", "self")))
    assert found.folder == tmp_path / "set"
    data = (tmp_path / "set" / "manifest.csv").read_bytes()
    assert found.digest == hashlib.blake2b(data, digest_size=6).hexdigest()
    assert [Path(str(item.image)).name for item in found.truth.items.values()] == [
        "t0.png",
        "t1.png",
        "t2.png",
    ]
    assert [Path(str(i.image)).name for i in found.products.items.values()] == ["p0.png", "p1.png", "p2.png"]
    assert found.pairs is not None and list(found.pairs.items) == ["k0", "k1", "k2"]

    def name(condition: Any) -> list[str | None]:
        given = [item.reference for item in found.build_inputs(condition)]
        return [None if one is None else Path(str(one)).name for one in given]

    assert name("none") == [None] * 3
    assert name("pair") == ["r0.png", "r1.png", "r2.png"]
    assert name("self") == ["t0.png", "t1.png", "t2.png"]
    own = found.build_inputs("self")[1]
    assert (own.reference, own.reference_mask) == (
        str((tmp_path / "set" / "t1.png").absolute()),
        str((tmp_path / "set" / "m1.png").absolute()),
    )
    bare = found.build_inputs("none")[0]
    assert (bare.reference_mask, bare.seed, bare.id) == (None, None, "k0")
    assert found.get_references("none") is None
    assert found.get_references("pair") is found.pairs and found.get_references("self") is found.truth
    by_file = open_held_out(configure(tmp_path / "set" / "manifest.csv"))
    assert by_file.digest == found.digest and by_file.folder == found.folder


def test_masks_are_read_as_the_set_says(tmp_path: Path) -> None:
    plain = open_held_out(configure(write_set(tmp_path / "plain")))
    folder = write_set(tmp_path / "inverted", mask_means="background")
    for path in folder.glob("m*.png"):
        with Image.open(path) as image:
            ImageOps.invert(image).save(path)
    inverted = open_held_out(configure(folder))
    for one, other in ((plain.truth, inverted.truth), (plain.products, inverted.products)):
        assert all(np.allclose(one.load(key).mask, other.load(key).mask, atol=1e-6) for key in one.keys)


def test_a_set_without_truth_shows_its_products_in_their_images(tmp_path: Path) -> None:
    found = open_held_out(configure(write_set(tmp_path, truth="", reference="")))
    assert [Path(str(item.image)).name for item in found.truth.items.values()] == [
        "p0.png",
        "p1.png",
        "p2.png",
    ]
    assert found.pairs is None


def test_sets_are_cut_to_two_or_more_images(tmp_path: Path) -> None:
    write_set(tmp_path)
    assert [str(item.id) for item in open_held_out(configure(tmp_path, images=2)).items] == ["k0", "k1"]
    assert len(open_held_out(configure(tmp_path, categories=("fruit",))).items) == 3
    with pytest.raises(SettingsError, match="has no category 'tea'; it has fruit"):
        open_held_out(configure(tmp_path, categories=("tea",)))
    two = write_set(tmp_path / "two", 2)
    assert len(open_held_out(configure(two)).items) == 2
    with pytest.raises(SettingsError, match="1 images are left; an experiment needs 2 or more"):
        open_held_out(configure(write_set(tmp_path / "one", 1)))
    with pytest.raises(SettingsError, match="'k0' has no reference, but the experiment wants pairs"):
        open_held_out(configure(write_set(tmp_path / "bare", reference=""), conditions=("pair",)))
    with pytest.raises(DataError, match="'k0' has no mask"):
        open_held_out(configure(write_set(tmp_path / "unmasked", mask="")))
    with pytest.raises(DataError, match="no held-out set at"):
        open_held_out(configure(tmp_path / "nowhere"))


def test_pairs_need_a_reference_for_every_product(tmp_path: Path) -> None:
    lines = (write_set(tmp_path) / "manifest.csv").read_text().replace("r1.png", "").splitlines()
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    assert open_held_out(configure(tmp_path)).pairs is None


def test_ours_and_baselines_are_opened_with_their_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = MethodConfig(name="ours", steps=7, guidance=1.0, category_strength=0.5)
    config = configure(Path("set"), methods=(ours,), steps=20, guidance=3.0)
    asked: list[Any] = []
    monkeypatch.setattr(trials, "open_model", lambda place: asked.append(place) or handle())
    opened = open_method(ours, config, None)
    assert asked == ["bundled"] and opened.uses_reference and not opened.needs_reference
    settings = opened.settings
    assert (settings.num_inference_steps, settings.guidance_scale, settings.category_strength) == (
        7,
        1.0,
        0.5,
    )
    plain = open_method(MethodConfig(name="o"), config, None).settings
    assert (plain.num_inference_steps, plain.guidance_scale) == (20, 3.0)
    lama = open_method(MethodConfig(name="lama", kind="lama"), config, None)
    assert (lama.model.name, lama.uses_reference, lama.settings.describe()["method"]) == (
        "lama:bundled", False, "lama"
    )  # fmt: skip
    assert len(asked) == 2


def test_methods_share_a_loaded_model_by_weights_or_by_all_they_are_told() -> None:
    ours = open_as(MethodConfig(name="a"))
    other = replace(ours, config=MethodConfig(name="b"), settings=GenerateConfig(batch_size=2, eta=0.5))
    assert ours.load_key == other.load_key == "ours " + "0" * 12
    assert len(ours.digest) == 10 and ours.digest != other.digest
    assert (
        ours.digest == open_as(MethodConfig(name="z")).digest != open_as(MethodConfig(name="a"), "1").digest
    )
    lama = open_as(MethodConfig(name="a", kind="lama"))
    assert lama.load_key == f"lama {lama.digest}"


def test_missing_models_end_the_run_or_leave_a_row_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(place: str | None) -> ModelHandle:
        if place != "bundled":
            raise ModelNotFoundError(f"no model\n at {place}")
        return handle()

    monkeypatch.setattr(trials, "open_model", find)
    away, here = MethodConfig(name="away", model="far"), MethodConfig(name="here")
    config = configure(Path("set"), methods=(away, here), models={"far": "gone"})
    with pytest.raises(
        ModelNotFoundError, match="(?s)method 'away': .*--set models.far=FOLDER, or leave it out"
    ):
        open_methods(config, ["fruit"])
    opened, missing = open_methods(config, ["fruit"], skip_missing=True)
    assert list(opened) == ["here"] and missing == {"away": "no model at gone"}
    with pytest.raises(ModelNotFoundError, match="no method of 't' has its model: no model at gone"):
        open_methods(configure(Path("set"), methods=(away,), models={"far": "gone"}), ["fruit"], True)
    with pytest.raises(
        SettingsError, match=r"does not know 2 categories of the set \(tea, mug\).*\"categories=\[fruit\]\""
    ):
        open_methods(configure(Path("set")), ["tea", "fruit", "mug", "tea"])
    needy = open_as(here, needs_reference=True)
    monkeypatch.setattr(trials, "open_method", lambda method, config, name: needy)
    with pytest.raises(SettingsError, match=r"'here' \(ours\) paints after a reference alone"):
        open_methods(configure(Path("set"), methods=(here,)), ["fruit"])
    assert list(
        open_methods(configure(Path("set"), methods=(here,), conditions=("pair",)), ["fruit"])[0]
    ) == ["here"]


def test_a_folder_says_all_that_an_image_depends_on() -> None:
    method = open_as(MethodConfig(name="a", kind="paint-by-example"))
    held_out: HeldOutSet = SimpleNamespace(digest="abc")  # type: ignore[assignment]
    trial = Trial("a", "pair", 3)
    place = find_folder(Path("store"), trial, method, held_out, "cuda:1", "float32")
    assert place == Path("store/images") / f"paint-by-example-{method.digest}-cuda-float32-abc-pair-s3"
    assert trial.label == "a, pair, seed 3" and replace(trial, model=1).label == "a, pair, seed 3, model 2"
    sets = replace(method, model=SimpleNamespace(hash="0" * 12, learned=False))  # type: ignore[arg-type]
    place = find_folder(Path("store"), trial, sets, held_out, "cuda:1", "float16")
    assert "-cpu-float32-" in place.name and sets.choose_machine("cuda", "float16") == ("cpu", "float32")


def test_a_model_is_loaded_again_for_another_method_device_or_type(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[tuple[str, str]] = []

    def load(self: ModelHandle, device: str, dtype: str) -> list[str]:
        loads.append((device, dtype))
        return [self.name]

    monkeypatch.setattr(ModelHandle, "load", load)
    cache, one, two = ModelCache(), open_as(MethodConfig(name="a")), open_as(MethodConfig(name="b"), "1")
    first = cache.load(one, one.model, "cpu", "float32")
    assert cache.load(one, one.model, "cpu", "float32") is first and loads == [("cpu", "float32")]
    assert cache.load(two, two.model, "cpu", "float32") == ["1"]
    assert cache.load(one, one.model, "cpu", "float32") == ["0"] and len(loads) == 3
    cache.load(one, one.model, "cuda", "float32")
    cache.load(one, one.model, "cuda", "float16")
    assert loads[3:] == [("cuda", "float32"), ("cuda", "float16")]


def test_another_choice_of_images_leaves_those_that_are_there(tmp_path: Path) -> None:
    folder, method, model = write_set(tmp_path / "set", 4), open_as(MethodConfig(name="ours")), StandIn()
    cache = ModelCache()
    cache._key, cache._loaded = (method.load_key, "cpu", "float32"), model

    def make(condition: Any = "self", **chosen: Any) -> list[str]:
        held_out = open_held_out(configure(folder, **chosen))
        place, machine = tmp_path / condition, ("cpu", "float32")
        made = make_trial(Trial("ours", condition, 0), method, held_out, place, machine, cache, Hooks())
        return list(made.images.items)

    assert make() == ["k0", "k1", "k2", "k3"]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "self").rglob("p*.png")}
    asked = len(model.calls)
    assert make(images=2) == ["k0", "k1"] and make(images=3) == ["k0", "k1", "k2"]
    assert make() == ["k0", "k1", "k2", "k3"] and len(model.calls) == asked
    assert {path: path.stat().st_mtime_ns for path in before} == before and len(before) == 4


def test_what_failed_is_tried_again_where_images_are_made(tmp_path: Path) -> None:
    held_out = open_held_out(configure(write_set(tmp_path / "set")))
    method = open_as(MethodConfig(name="ours"))

    def make(model: StandIn, hooks: Hooks | None) -> Any:
        cache = ModelCache()
        cache._key, cache._loaded = (method.load_key, "cpu", "float32"), model
        trial = Trial("ours", "none", 0)
        return make_trial(trial, method, held_out, tmp_path / "out", ("cpu", "float32"), cache, hooks)

    assert list(make(StandIn(room=0), Hooks()).failures) == ["k0", "k1", "k2"]
    assert list(make(StandIn(), None).failures) == ["k0", "k1", "k2"], "only looked at"
    assert list(make(StandIn(), Hooks()).images.items) == ["k0", "k1", "k2"]


def test_different_autoencoders_are_told(tmp_path: Path) -> None:
    opened = {}
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name / "vae").mkdir(parents=True)
        (tmp_path / name / "vae/config.json").write_bytes(content)
        method = open_as(MethodConfig(name=name))
        opened[name] = (replace(method, model=replace(method.model, folder=tmp_path / name)),)
    opened["lama"] = (open_as(MethodConfig(name="lama", kind="lama")),)
    (note,) = compare_decoders(opened)
    assert re.search(r"autoencoders differ \(\w{12}: a, b; \w{12}: c\), so", note)
    del opened["c"]
    assert compare_decoders(opened) == []


def test_a_trial_makes_what_is_missing_and_names_what_failed(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", 4, mask_means="product")
    held_out = open_held_out(configure(folder))
    model = StandIn()
    method = open_as(MethodConfig(name="ours"))
    cache = ModelCache()
    cache._key, cache._loaded = (method.load_key, "cpu", "float32"), model
    (folder / "p2.png").write_bytes(b"no image")

    def make(seed: int = 0) -> Any:
        out = tmp_path / "out" / str(seed)
        return make_trial(Trial("ours", "none", seed), method, held_out, out, ("cpu", "float32"), cache)

    made = make()
    assert made.finished and made.images.name == "ours"
    assert list(made.images.items) == ["k0", "k1", "k3"] and list(made.failures) == ["k2"]
    assert made.failures["k2"]
    item = made.images.items["k1"]
    assert (item.category, item.reference) == ("fruit", "k1") and item.mask == held_out.products.items[
        "k1"
    ].mask
    assert (item.mask_means, item.meta) == ("product", held_out.products.items["k1"].meta)
    for one in made.images.items.values():
        assert isinstance(one.image, Path) and one.image.is_relative_to(tmp_path / "out" / "0")
        with Image.open(one.image) as image:
            assert image.size == (64, 64)
    rows = sorted(r["seconds"] for r in trials.iterate_rows(tmp_path / "out" / "0") if r["status"] == "done")
    assert made.seconds_per_image == rows[1]
    asked = len(model.calls)
    assert make().images.keys == made.images.keys and len(model.calls) == asked
    other = make(1)
    assert other.images.items["k0"].image.read_bytes() != made.images.items["k0"].image.read_bytes()
    shutil.rmtree(tmp_path / "out" / "1")
    (tmp_path / "out" / "1").write_text("in the way")
    with pytest.raises(OutputError, match="ours, none, seed 1: "):
        make(1)
