"""Posters of the service: the command's bytes, edits that render nothing, layers that are the poster."""

from __future__ import annotations

import base64
import io
import json
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from asgi import Answer, ask
from cyclorama.generation.model import open_model
from cyclorama.generation.scenes import SceneModel
from cyclorama.imaging.product import Product
from cyclorama.posters.files import write_poster
from cyclorama.posters.maker import PosterMaker
from cyclorama.posters.words import PosterBrand
from cyclorama.service import leases
from cyclorama.service.app import create_app
from cyclorama.service.context import LOCAL
from cyclorama.service.making import Maker, Watch
from cyclorama.service.settings import ServiceSettings
from cyclorama.service.store import Store
from drawn import save_product
from quick_service import draw_flat
from service_store import add_asset

TEXTS = {
    "en": {"headline": "Slow evenings", "price": "€ 59", "action": "Discover"},
    "de": {"headline": "Lange Abende", "price": "59 €", "action": "Entdecken"},
}
SIZES = ["square", "300x240"]


def open_image(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@dataclass
class Desk:
    """A server in this process, and a job of two posters that a worker has made."""

    app: Any
    store: Store
    maker: Maker
    drawn: list[int]
    job: str = ""

    def ask(self, method: str, path: str, values: Any = None, **headers: str) -> Answer:
        body = b"" if values is None else json.dumps(values).encode()
        heads = {"content-type": "application/json", **headers}
        return ask(self.app, method, path, heads, [body])

    def order(self, **values: Any) -> Any:
        """The answer to a job of one product."""
        asset = add_asset(self.store, LOCAL, (self.store.folder / "a.png").read_bytes())
        items = [{"image": asset, "category": "mug"}]
        poster = {"texts": TEXTS, "sizes": SIZES[1:], "attempts": 1, **values.pop("poster", {})}
        return self.ask("POST", "/v1/jobs", {"items": items, "poster": poster, **values})

    def work(self) -> None:
        """Make all that waits."""
        while (claim := leases.claim_image(self.store, "w", ["scenes"], 0)) is not None:
            assert leases.publish_image(self.store, claim, *self.maker.make(claim, Watch()))

    def images(self, job: str | None = None) -> list[Any]:
        return list(self.ask("GET", f"/v1/jobs/{job or self.job}").json["images"])


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("posters")
    drawn: list[int] = []

    def draw(*values: Any, **more: Any) -> np.ndarray:
        drawn.append(1)
        return draw_flat(*values, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SceneModel, "draw", draw)
        app = create_app(ServiceSettings(data=folder))
        service = app.state.service
        service.children.run = lambda function, *values: function(*values)
        maker = Maker(open_model("scenes"), "cpu", "float32", service.store.blobs, folder)
        save_product(folder / "a.png", 0)
        desk = Desk(app, service.store, maker, drawn)
        answer = desk.order(seed=5)
        assert answer.status == 202, answer.body
        desk.job = answer.json["id"]
        desk.work()
        yield desk
        maker.close()
        service.store.close()


def test_posters_are_the_commands_and_languages_share_one_background(desk: Desk, tmp_path: Path) -> None:
    english, german = desk.images()
    assert [image["poster"]["language"] for image in (english, german)] == ["en", "de"]
    assert len(desk.drawn) == 1
    handle = open_model("scenes")
    product = Product.from_image((desk.store.folder / "a.png").read_bytes(), name="a.png")
    from cyclorama.posters.maker import PosterSettings

    making = PosterMaker(handle.load("cpu", "float32"), handle, PosterBrand(), PosterSettings(attempts=1))
    made = making.make(product, handle.registry.resolve("mug"), TEXTS, (240, 300), 5)
    for image, language in ((english, "en"), (german, "de")):
        found = desk.ask("GET", f"/v1/images/{image['id']}/file").body
        assert found == write_poster(made[language], tmp_path, language)[0].read_bytes()
        assert (image["width"], image["height"], image["report"]["exact"]) == (300, 240, True)
        assert image["bytes"] == len(found) and image["category"] == "mug"
        recipe = desk.ask("GET", f"/v1/images/{image['id']}/recipe").json
        assert recipe["texts"] == TEXTS[language] and str(desk.store.folder) not in json.dumps(recipe)


def test_a_draft_shows_the_poster_and_keeps_nothing(desk: Desk) -> None:
    image = desk.images()[0]
    before = len(desk.drawn)
    draft = desk.ask("POST", f"/v1/images/{image['id']}/poster/draft", {}).json
    assert draft["texts"] == TEXTS["en"] and set(draft["boxes"]) == set(TEXTS["en"])
    assert {words["id"] for words in draft["words"]} == set(TEXTS["en"])
    assert all(words["contrast"] >= words["limit"] for words in draft["words"])
    for words in draft["words"]:
        group = ElementTree.fromstring(words["outlines"])
        assert group.attrib["aria-label"] == TEXTS["en"][words["id"]] and group[1].attrib["d"]
    [button] = [words["plate"] for words in draft["words"] if words["id"] == "action"]
    assert open_image(base64.b64decode(button["image"])).size == (button["width"], button["height"])
    bare = np.asarray(open_image(base64.b64decode(draft["bare"])).convert("RGB"), int)
    flat = np.asarray(open_image(desk.ask("GET", f"/v1/images/{image['id']}/file").body), int)
    differs = np.abs(bare - flat).max(2) > 60
    inside = np.zeros(differs.shape, bool)
    for left, top, right, bottom in draft["boxes"].values():
        inside[int(top * 240) - 8 : int(bottom * 240) + 8, int(left * 300) - 8 : int(right * 300) + 8] = True
    assert differs[inside].sum() > 100 and differs[~inside].mean() < 0.01
    assert len(desk.images()) == 2 and len(desk.drawn) == before


def test_an_edit_is_a_new_image_that_nothing_was_rendered_for(desk: Desk) -> None:
    image, before = desk.images()[0], len(desk.drawn)
    path = f"/v1/images/{image['id']}/poster"
    box = [0.02, 0.02, 0.4, 0.14]
    change = {"texts": {"headline": "Quiet"}, "boxes": {"headline": box}}
    made = desk.ask("POST", path, change, **{"idempotency-key": "e1"})
    assert made.status == 201, made.body
    again = desk.ask("POST", path, change, **{"idempotency-key": "e1"})
    assert again.json["id"] == made.json["id"]
    assert (made.json["parent"], made.json["poster"]["language"]) == (image["id"], "en")
    draft = desk.ask("POST", f"/v1/images/{made.json['id']}/poster/draft", {}).json
    assert draft["texts"]["headline"] == "Quiet" and draft["boxes"]["headline"] == box
    assert desk.ask("GET", f"/v1/images/{made.json['id']}/recipe").json["texts"]["headline"] == "Quiet"
    same = desk.ask("POST", path, {}).json
    assert same["sha256"] == image["sha256"]
    german = desk.ask("POST", path, {"language": "de"}).json
    assert german["sha256"] == desk.images()[1]["sha256"]
    assert len(desk.drawn) == before
    archive = desk.ask("GET", f"/v1/jobs/{desk.job}/archive.zip").body
    names = zipfile.ZipFile(io.BytesIO(archive)).namelist()
    assert {"posters/a-300x240-en.png", "posters/a-300x240-de.png"} <= set(names)
    assert len(names) == len(set(names)) == len(desk.images()) + 1


def test_layers_put_together_are_the_poster(desk: Desk) -> None:
    image = desk.images()[0]
    flat = np.asarray(open_image(desk.ask("GET", f"/v1/images/{image['id']}/file").body))
    packed = zipfile.ZipFile(io.BytesIO(desk.ask("GET", f"/v1/images/{image['id']}/layers.zip").body))
    names = sorted(packed.namelist())
    assert names[0] == "00-Background.png" and any("Slow-evenings" in name for name in names)
    total = np.zeros((240, 300, 3))
    for name in names:
        layer = np.asarray(open_image(packed.read(name)).convert("RGBA"), float)
        alpha = layer[..., 3:] / 255
        total = np.rint(alpha * layer[..., :3] + (1 - alpha) * total)
    assert (total == flat).all()
    assert desk.ask("GET", f"/v1/images/{image['id']}/layers.psd").body[:4] == b"8BPS"
    svg = desk.ask("GET", f"/v1/images/{image['id']}/layers.svg")
    assert svg.headers["content-type"] == "image/svg+xml"
    root = ElementTree.fromstring(svg.body)
    assert root[0].attrib["href"].startswith("data:image/png;base64,") and len(root) == 4


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"poster": {"texts": {"en": {"slogan": "x"}}}}, "poster.texts.en.slogan"),
        (
            {"poster": {"texts": {"en": {"price": "1"}, "de": {"body": "x"}}}},
            "languages say different things",
        ),
        ({"poster": {"texts": {}}}, "poster.texts"),
        ({"poster": {"sizes": ["huge"]}}, "square, portrait, story"),
        ({"poster": {"sizes": ["9x"]}}, "9x"),
        ({"poster": {"sizes": ["9000x100"]}}, "width must be from 64 to 8192"),
        ({"poster": {"accent": "red"}}, "poster.accent"),
        ({"poster": {"avoid": ["slow"]}}, "the headline says 'slow'"),
        ({"settings": {"candidates": 2}}, "settings.candidates"),
        ({"gate": True}, "posters take no gate"),
    ],
)
def test_a_bad_order_is_refused_before_anything_is_made(desk: Desk, values: Any, said: str) -> None:
    answer = desk.order(**values)
    assert answer.status == 400 and said in answer.body.decode(), answer.body


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"texts": {"body": "x"}}, "the poster has no body"),
        ({"language": "fr"}, "no words in 'fr'"),
        ({"boxes": {"headline": [0.5, 0, 0.4, 1]}}, "left < right"),
        ({"boxes": {"product": [0, 0, 1, 1]}}, "boxes.product"),
        ({"boxes": {"logo": [0, 0, 1, 1]}}, "'logo' cannot be moved"),
        ({"boxes": {"headline": [0, 0, 0.01, 0.01]}}, "'Slow' is 12 pixels wide"),
        ({"texts": {"headline": "🦊"}}, "🦊"),
    ],
)
def test_a_bad_change_is_refused_by_name(desk: Desk, change: Any, said: str) -> None:
    image = desk.images()[0]
    answer = desk.ask("POST", f"/v1/images/{image['id']}/poster/draft", change)
    assert answer.status == 400 and said in answer.json["detail"] + answer.json.get("field", ""), answer.body


def test_a_poster_is_no_image_with_a_place_and_the_other_way_round(desk: Desk) -> None:
    poster = desk.images()[0]
    answer = desk.ask("POST", f"/v1/images/{poster['id']}/recompose", {})
    assert answer.status == 400 and "is a poster" in answer.json["detail"]
    assert desk.ask("GET", f"/v1/images/{poster['id']}/plate").body[:4] == b"\x89PNG"
    assert desk.ask("GET", f"/v1/images/{poster['id']}/style").status == 400
    job = desk.ask("POST", "/v1/jobs", {"items": [{"image": add_photo(desk)}], "settings": {"size": "64x64"}})
    desk.work()
    [plain] = desk.images(job.json["id"])
    for method, tail in (("POST", "poster"), ("POST", "poster/draft"), ("GET", "layers.svg")):
        answer = desk.ask(method, f"/v1/images/{plain['id']}/{tail}", {} if method == "POST" else None)
        assert answer.status == 400 and "is no poster" in answer.json["detail"]


def add_photo(desk: Desk) -> str:
    return add_asset(desk.store, LOCAL, (desk.store.folder / "a.png").read_bytes())


def test_a_brand_gives_logo_accent_and_words_to_avoid(desk: Desk) -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (40, 20), (10, 120, 60, 255)).save(buffer, "PNG")
    logo = add_asset(desk.store, LOCAL, buffer.getvalue(), "logo.png")
    kit = {
        "name": "Acme", "palette": ["#eeeeee", "#dddddd", "#cccccc", "#aa2244"], "avoid_words": ["cheap"],
        "logo": {"image": logo, "corner": "top-right"}, "outputs": ["800x800"],
    }  # fmt: skip
    brand = desk.ask("POST", "/v1/brands", kit).json["id"]
    job = desk.order(brand=brand, poster={"texts": {"en": TEXTS["en"]}, "sizes": ["320x320"]}).json
    asked = job["request"]["poster"]
    assert (asked["logo"], asked["logo_corner"], asked["accent"]) == (logo, "top-right", "#aa2244")
    assert asked["avoid"] == ["cheap"] and job["counts"]["queued"] == 1
    desk.work()
    [image] = desk.images(job["id"])
    left, top, right, bottom = (
        320 * side
        for side in desk.ask("POST", f"/v1/images/{image['id']}/poster/draft", {}).json["boxes"]["logo"]
    )
    edited = desk.ask("POST", f"/v1/images/{image['id']}/poster", {"texts": {"headline": "Slow"}}).json
    for id in (image["id"], edited["id"]):
        flat = open_image(desk.ask("GET", f"/v1/images/{id}/file").body)
        assert flat.getpixel((round((left + right) / 2), round((top + bottom) / 2))) == (10, 120, 60)
    refused = desk.order(brand=brand, poster={"texts": {"en": {"headline": "Not cheap"}}})
    assert refused.status == 400 and "the brand avoids" in refused.json["detail"]
