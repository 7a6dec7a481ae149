"""A folder of posters is scored by its records: layout metrics are what the functions say, sets' too."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cyclorama.errors import DataError
from cyclorama.evaluation.layouts import build_task, measure_poster, read_layout
from cyclorama.evaluation.measure import evaluate_set
from cyclorama.evaluation.reading import find_partners, open_images
from cyclorama.evaluation.report import Report, build_json
from cyclorama.evaluation.settings import EvaluationSettings
from cyclorama.imaging.colour import ADOBE_RGB, to_srgb
from cyclorama.layout import metrics_published as published
from cyclorama.layout.elements import Box, Element, PosterLayout
from cyclorama.layout.metrics import measure_layout

HEIGHT, WIDTH = 150, 120
NETWORK = SimpleNamespace(name="none", weights_hash="0", resampler="none")


def build_layout(product: Box, *texts: Box, underlay: Box | None = None) -> PosterLayout:
    elements = [Element(id="product", kind="product", box=product, layer=1)]
    elements += [
        Element(id=f"t{n}", kind="text", role="body", box=box, layer=3) for n, box in enumerate(texts)
    ]
    if underlay is not None:
        elements.append(Element(id="panel", kind="underlay", box=underlay))
    return PosterLayout(height=HEIGHT, width=WIDTH, family="x", elements=tuple(elements), energy=1.5)


LAYOUTS = {
    "on": build_layout((0.3, 0.3, 0.7, 0.9), (0.2, 0.5, 0.6, 0.6), (0.25, 0.55, 0.5, 0.7)),
    "sub/calm": build_layout(
        (0.3, 0.5, 0.7, 0.9), (0.1, 0.1, 0.9, 0.2), (0.1, 0.25, 0.8, 0.35), underlay=(0.05, 0.05, 0.95, 0.4)
    ),
    "alone": build_layout((0.5, 0.1, 0.9, 0.9), (0.1, 0.1, 0.4, 0.2)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    chance = np.random.default_rng(0)
    for name, layout in LAYOUTS.items():
        stem = tmp_path / name
        stem.parent.mkdir(exist_ok=True)
        background = chance.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        product = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
        left, top, right, bottom = layout.select("product")[0].box
        product[round(top * HEIGHT) : round(bottom * HEIGHT), round(left * WIDTH) : round(right * WIDTH)] = (
            255
        )
        Image.fromarray(background).save(f"{stem}.png")
        Image.fromarray(background).save(f"{stem}.background.png")
        Image.fromarray(product).save(f"{stem}.product.png")
        Path(f"{stem}.poster.json").write_text(json.dumps({"version": 1, "layout": layout.describe()}))
    return tmp_path


def test_rows_and_the_whole_set_are_what_the_functions_say(folder: Path) -> None:
    images = open_images(folder)
    assert images.keys == ["alone", "on", "sub/calm"], "parts are no images"
    settings = EvaluationSettings(metrics=("layout",), projection=False)
    found = evaluate_set(find_partners(images), settings, (NETWORK, None))  # type: ignore[arg-type]
    for key, row in found.rows.items():
        one = read_layout(folder / f"{key}.poster.json")
        assert one.layout == LAYOUTS[key]
        own = measure_layout(one.layout, build_task(one), one.background)
        assert row["layout_occlusion"] == own["occlusion"]
        assert row.get("layout_flatness", 0) == np.nan_to_num(own["flatness"])
        assert row["pku_readability"] == published.pku_readability([one.layout], [one.background])
        assert row["jd_composition"] == published.jd_composition([one.layout], [one.background])
        saliency = [one.matte.astype(float)]
        assert row["pku_occlusion"] == published.pku_occlusion([one.layout], saliency)
    both = found.rows["on"]
    left, top, right, bottom = 0.25, 0.55, 0.5, 0.6
    shared = (right - left) * (bottom - top)
    assert both["layout_overlap"] == pytest.approx(shared / (0.25 * 0.15))
    assert both["jd_overlap"] == pytest.approx((shared / (0.4 * 0.1) + shared / (0.25 * 0.15)) / 2)
    assert both["layout_occlusion"] > 0.2 and found.rows["sub/calm"]["layout_occlusion"] == 0
    assert "jd_underlay" not in both and found.rows["sub/calm"]["jd_underlay"] == 1
    assert "jd_overlap" not in found.rows["alone"], "one text has no pair"
    ordered = [LAYOUTS[key] for key in images.keys]
    assert found.published["jd_overlap"] == published.jd_overlap(ordered)
    assert found.published["pku_validity"] == published.pku_validity(ordered)
    assert found.published["pku_underlay_strict"] == published.pku_underlay_strict(ordered)
    assert found.estimates["layout_overlap"].count == 3
    values = build_json(Report((found,)), with_rows=True)["sets"][0]
    assert values["published"] == found.published and values["rows"]["on"] == both


def test_a_background_is_scored_in_the_colours_it_has(folder: Path) -> None:
    path = folder / "on.background.png"
    Image.new("RGB", (WIDTH, HEIGHT), (60, 180, 60)).save(path, icc_profile=ADOBE_RGB)
    found = read_layout(folder / "on.poster.json").background
    expected = to_srgb(np.full((16, 16, 3), (60, 180, 60), np.uint8), ADOBE_RGB)[0, 0]
    assert (found == expected).all() and expected[0] == 0


def test_what_is_no_poster_is_said(folder: Path, tmp_path: Path) -> None:
    record = folder / "on.poster.json"
    (folder / "on.background.png").unlink()
    with pytest.raises(DataError, match=r"on\.background\.png is missing"):
        read_layout(record)
    record.write_text('{"layout": {"height": 3}}')
    with pytest.raises(DataError, match=r"on\.poster\.json: no layout can be read"):
        read_layout(record)
    (folder / "on.png").unlink()
    with pytest.raises(DataError, match=r"on\.png is missing"):
        open_images(folder)
    plain = tmp_path / "plain"
    plain.mkdir()
    Image.new("RGB", (64, 64)).save(plain / "a.png")
    settings = EvaluationSettings(metrics=("layout",), projection=False)
    found = evaluate_set(find_partners(open_images(plain)), settings, (NETWORK, None))  # type: ignore[arg-type]
    assert "no records of posters: layout not scored" in found.notes


def test_a_text_that_hides_the_product_is_worse_by_every_family(folder: Path) -> None:
    on, calm = (measure_poster(read_layout(folder / f"{name}.poster.json")) for name in ("on", "sub/calm"))
    for name in ("layout_occlusion", "pku_occlusion", "layout_overlap", "pku_overlap", "jd_overlap"):
        assert on[name] > calm.get(name, 0.0), name
