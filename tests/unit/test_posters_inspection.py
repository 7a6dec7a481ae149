"""Faults planted on a poster's files are found again, and nothing else is called a fault."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama.cli import main
from cyclorama.commands.inspect_label import TYPES, write_items, write_labels
from cyclorama.curate.review import Review
from cyclorama.errors import SettingsError
from cyclorama.imaging.layout import Rectangle, find_box, place_in_box
from cyclorama.imaging.product import Product
from cyclorama.layout.elements import PosterLayout
from cyclorama.posters.checks import LIMITS, _measure_lost, check_poster, measure_poster
from cyclorama.posters.drawing import draw_poster
from cyclorama.posters.files import Poster, write_poster
from cyclorama.posters.inspection import inspect_record
from cyclorama.posters.maker import place
from cyclorama.posters.planning import PlanRequest, plan_poster
from cyclorama.posters.record import PosterRecord
from cyclorama.posters.words import PosterBrand, choose_fonts

WORDS = {"headline": "Slow evenings", "price": "€ 59"}
HEIGHT, WIDTH = 400, 320
BRAND = choose_fonts(PosterBrand(), "perfume")


def make_product() -> Product:
    rows, columns = np.mgrid[:240, :200]
    distance = np.hypot((rows - 120) / 100, (columns - 100) / 60)
    matte = np.clip((1 - distance) * 40, 0, 1).astype(np.float32)
    pixels = np.zeros((240, 200, 3), np.uint8)
    pixels[...] = (30, 60, 150)
    return Product(pixels, matte, pixels, name="disc.png")


@pytest.fixture(scope="module")
def layout() -> PosterLayout:
    request = PlanRequest(make_product(), (HEIGHT, WIDTH), {"en": WORDS}, BRAND)
    return plan_poster(request, "rules", 1, 3)[0]


def stand(layout: PosterLayout, down: float = 0.0, scale: float = 1.0) -> Product:
    """The product at its box, moved down by a share of its height and scaled about its foot."""
    product = make_product()
    found = find_box(place(product, layout)[0].matte)
    tall, wide = round(found.height * scale), round(found.width * scale)
    top = found.top + found.height - tall + round(down * found.height)
    box = Rectangle(top, found.left + (found.width - wide) // 2, tall, wide)
    standing = place_in_box(product, (HEIGHT, WIDTH), box)
    levels = np.where(standing.matte < 1, np.minimum(np.rint(standing.matte * 255), 254), 255)
    return standing.derive(matte=(levels / 255).astype(np.float32))  # as its part holds it


def make(layout: PosterLayout, product: Product, ground: Any = (225, 215, 205)) -> Poster:
    background = np.broadcast_to(np.asarray(ground, np.uint8), (HEIGHT, WIDTH, 3)).copy()
    drawn = draw_poster(background, product, layout, WORDS, "en", BRAND)
    record = PosterRecord(
        name="disc.png", category="perfume", language="en", texts=WORDS, layout=layout, seed=1, attempt=1,
        model="scenes", model_hash="h", preset="fast", brand=BRAND.model_dump(mode="json"),
        proofs=drawn.proofs, verdict=check_poster(drawn, product, layout, WORDS), exact=True, scale=1.0,
    )  # fmt: skip
    return Poster(drawn, product, record)


@pytest.mark.parametrize(
    ("planted", "faults"),
    [
        ({}, set()),
        ({"down": -0.03}, {"floating"}),
        ({"down": 0.03}, {"sunk"}),
        ({"scale": 0.6}, {"size"}),
    ],
)
def test_a_product_that_leaves_its_ground_or_its_scale_is_a_fault(
    layout: PosterLayout, planted: dict[str, float], faults: set[str]
) -> None:
    poster = make(layout, stand(layout, **planted))
    assert set(poster.record.verdict.faults) == faults
    values = poster.record.verdict.values
    assert values["lift"] == pytest.approx(-planted.get("down", 0.0), abs=0.008)
    assert values["scale"] == pytest.approx(planted.get("scale", 1.0), abs=0.02)


def test_a_flat_products_foot_is_not_off_by_rounding(layout: PosterLayout) -> None:
    rows, columns = np.mgrid[:60, :600]
    matte = ((abs(rows - 30) < 8) & (abs(columns - 300) < 280)).astype(np.float32)
    flat = Product(np.full((60, 600, 3), 30, np.uint8), matte, name="flat.png")
    for shift in np.linspace(0, 0.01, 9):
        moved = layout.model_copy(
            update={
                "elements": tuple(
                    e.model_copy(update={"box": (0.1, 0.5 + shift, 0.9, 0.55 + shift)})
                    if e.id == "product"
                    else e
                    for e in layout.elements
                )
            }
        )
        assert make(moved, place(flat, moved)[0]).record.verdict.values["lift"] == 0


def test_every_limit_asks_for_a_value_and_says_what_it_found(layout: PosterLayout) -> None:
    poster = make(layout, stand(layout))
    values = measure_poster(poster.drawn, poster.product, layout, WORDS)
    assert {limit.value for limit in LIMITS} | {"uneven"} == set(values)
    for limit in LIMITS:
        assert limit.judge(values[limit.value]) is None
        beyond = limit.most + 1 if np.isfinite(limit.most) else limit.least - 1
        said = limit.judge(beyond)
        assert said is not None and ("limit" in said or "at least" in said)


def test_a_product_like_what_is_behind_it_is_indistinct(layout: PosterLayout) -> None:
    poster = make(layout, stand(layout), (32, 62, 150))
    assert "indistinct" in poster.record.verdict.faults
    assert poster.record.verdict.values["lost"] == 1
    half = poster.product.foreground.copy()
    half[:, : WIDTH // 2] = (250, 200, 40)
    two = make(layout, poster.product.derive(pixels=half, foreground=half), (32, 62, 150))
    assert 0.1 < two.record.verdict.values["lost"] < 0.9, "one of its sides is seen"


@pytest.mark.parametrize("left", [300, 301, 302])
@pytest.mark.parametrize(("behind", "lost"), [(30, 1.0), (200, 0.0)])
def test_a_product_thinner_than_a_sample_is_judged(left: int, behind: int, lost: float) -> None:
    """A poster of 800 pixels is looked at in every third one; a wire of 2 may lie between them."""
    matte = np.zeros((800, 640), np.float32)
    matte[100:700, left : left + 2] = 1
    product = Product(np.full((800, 640, 3), 30, np.uint8), matte, name="wire.png")
    drawn: Any = SimpleNamespace(background=np.full((800, 640, 3), behind, np.uint8))
    assert _measure_lost(drawn, product) == lost


def test_inspect_finds_what_was_changed_after_a_poster_was_made(
    layout: PosterLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = make(layout, stand(layout))
    for name in ("clean", "raised", "painted", "torn"):
        write_poster(clean, tmp_path, name)
    raised = replace(clean, product=stand(layout, -0.1))
    drawn = draw_poster(clean.drawn.background, raised.product, layout, WORDS, "en", BRAND)
    write_poster(replace(raised, drawn=drawn), tmp_path, "raised")
    with Image.open(tmp_path / "painted.png") as image:
        pixels = np.array(image)
    pixels[:3, :5] = 0
    Image.fromarray(pixels).save(tmp_path / "painted.png")
    (tmp_path / "torn.product.png").unlink()
    out = tmp_path / "out"
    assert main(["inspect", str(tmp_path), "--out", str(out)]) == 1
    rows = {row["name"]: row for row in map(json.loads, (out / "inspection.jsonl").read_text().splitlines())}
    states = {name: row["status"] for name, row in rows.items()}
    assert states == {"clean": "done", "painted": "marked", "raised": "marked", "torn": "failed"}
    assert rows["clean"]["values"] == clean.record.verdict.values
    assert set(rows["raised"]["faults"]) == {"floating"}
    assert rows["painted"]["faults"] == {
        "differs": "15 pixels are not what its record and parts give; 0 is the limit"
    }
    assert "torn.product.png is missing" in rows["torn"]["reason"]
    said = capsys.readouterr()
    assert said.out == "4 posters: 1 pass all checks, 2 are marked, 1 cannot be judged\n"
    assert "raised: floating: foot is" in said.err
    assert 'src="../clean.png"' in (out / "index.html").read_text()
    assert main(["inspect", str(tmp_path / "clean.poster.json"), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    (tmp_path / "none").mkdir()
    assert main(["inspect", str(tmp_path / "none")]) == 2
    assert "holds no record of a poster" in capsys.readouterr().err


def test_an_image_of_another_size_differs(layout: PosterLayout, tmp_path: Path) -> None:
    write_poster(make(layout, stand(layout)), tmp_path, "a")
    Image.new("RGB", (WIDTH, HEIGHT + 1)).save(tmp_path / "a.png")
    verdict = inspect_record(tmp_path / "a.poster.json", "a").verdict
    assert verdict is not None and not verdict.accepted
    assert verdict.faults == {"differs": "the image is 320x401, its record and parts give 320x400"}


def test_plan_gives_the_layouts_that_posters_are_drawn_from(tmp_path: Path) -> None:
    product = make_product()
    alpha = np.rint(product.matte * 255).astype(np.uint8)
    (tmp_path / "in").mkdir()
    Image.fromarray(np.dstack([product.pixels, alpha])).save(tmp_path / "in" / "vase.png")
    (tmp_path / "in" / "torn.png").write_bytes(b"no image")
    (tmp_path / "texts.yaml").write_text("headline: Good morning\n")
    out = tmp_path / "out"
    arguments = [str(tmp_path / "in"), "--texts", str(tmp_path / "texts.yaml"), "--size", "160x200"]
    arguments += ["--category", "vase", "--seed", "4", "--plans", "2"]
    assert main(["plan", *arguments, "--out", str(out), "--quiet"]) == 1
    rows = [json.loads(line) for line in (out / "plans.jsonl").read_text().splitlines()]
    assert [(row["name"], row["status"]) for row in rows] == [("torn.png", "failed"), ("vase.png", "done")]
    told = json.loads((out / rows[1]["plans"]).read_text())
    layouts = [PosterLayout.model_validate(values) for values in told["layouts"]]
    assert len(layouts) == 2 and layouts[0].energy <= layouts[1].energy  # type: ignore[operator]
    with Image.open(out / "plans" / "vase.160x200.png") as image:
        assert image.width > 2 * 280 and image.height > 360
    made = tmp_path / "made"
    assert main(["poster", *arguments, "--attempts", "1", "--out", str(made), "--quiet"]) == 1
    [record] = made.rglob("vase*.poster.json")
    assert PosterRecord(**json.loads(record.read_text())).layout == layouts[0]


def test_plan_of_names_that_differ_in_their_suffix_and_of_web_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = make_product()
    alpha = np.rint(product.matte * 255).astype(np.uint8)
    (tmp_path / "in").mkdir()
    for suffix, width in (("png", 200), ("webp", 90)):
        rgba = Image.fromarray(np.dstack([product.pixels, alpha])).resize((width, 240))
        rgba.save(tmp_path / "in" / f"vase.{suffix}", lossless=True)
    (tmp_path / "texts.yaml").write_text("headline: Good morning\n")
    options = ["--texts", str(tmp_path / "texts.yaml"), "--size", "160x200", "--category", "vase", "--quiet"]
    assert main(["plan", str(tmp_path / "in"), "--out", str(tmp_path / "a"), *options]) == 0
    rows = [json.loads(line) for line in (tmp_path / "a" / "plans.jsonl").read_text().splitlines()]
    told = [json.loads((tmp_path / "a" / row["plans"]).read_text()) for row in rows]
    assert [(row["name"], row["energy"]) for row in rows] == [
        (one["name"], one["layouts"][0]["energy"]) for one in told
    ]
    assert [one["name"] for one in told] == ["vase.png", "vase.webp"]

    asked: list[str] = []
    data = (tmp_path / "in" / "vase.png").read_bytes()
    monkeypatch.setattr("cyclorama.data.addresses.fetch", lambda url, policy: asked.append(url) or data)
    (tmp_path / "t.csv").write_text("image\nhttps://cdn.shop.example/vase.png\n")
    web = [str(tmp_path / "t.csv"), "--allow-urls", "cdn.shop.example", "--out", str(tmp_path / "b")]
    assert main(["plan", *web, *options]) == 0
    assert asked == ["https://cdn.shop.example/vase.png"]


def test_people_label_posters_and_do_not_see_what_others_said(layout: PosterLayout, tmp_path: Path) -> None:
    posters, out = tmp_path / "posters", tmp_path / "labels"
    for name, planted in (("clean", {}), ("up", {"down": -0.1}), ("small", {"scale": 0.6})):
        write_poster(make(layout, stand(layout, **planted)), posters, name)
    write_items(posters, out)
    review = Review(out)
    assert [item["key"] for item in review.load_state()["items"]] == ["clean", "small", "up"]
    assert all(tuple(item["labels"]) == TYPES for item in review.load_state()["items"])
    assert not any(
        item["reasons"] for item in review.load_state()["items"]
    )  # the checks' verdict is not shown
    answers = [
        ("clean", "Ana", ""), ("up", "Ana", "floating"), ("small", "Ana", "floating,size"),
        ("clean", "Bo", ""), ("up", "Bo", "floating"), ("small", "Bo", "size"),
    ]  # fmt: skip
    for key, who, labels in answers:
        choice = "reject" if labels else "accept"
        review.decide({"key": key, "choice": choice, "who": who, "labels": labels, "reason": ""})
        assert {d["who"] for d in review.load_state(who)["decisions"].values()} == {who}
    with pytest.raises(SettingsError, match="labels are floating, sunk, .*; got ugly"):
        review.decide({"key": "up", "choice": "reject", "who": "Bo", "labels": "floating,ugly"})
    said = write_labels(posters, out)
    assert said == [
        f"6 labels of 2 people in {out / 'labels.jsonl'}",
        "Ana and Bo, 3 posters, floating: kappa 0.40",  # agreed 2/3, by chance 4/9
        "Ana and Bo, 3 posters, size: kappa 1.00",
    ]
    rows = [json.loads(line) for line in (out / "labels.jsonl").read_text().splitlines()]
    found = {(row["name"], row["who"]): row for row in rows}
    assert {key: row["types"] for key, row in found.items()} == {
        (key, who): labels.split(",") if labels else [] for key, who, labels in answers
    }
    assert list(found["up", "Ana"]["faults"]) == ["floating"] and not found["clean", "Bo"]["faults"]
    assert found["clean", "Ana"]["accepted"] and not found["up", "Bo"]["accepted"]
    write_items(posters, out)  # the same folder goes on
    assert len(Review(out).load_state("Ana")["decisions"]) == 3
