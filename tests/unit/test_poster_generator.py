"""Posters from Python: a product and words in, a poster per size and language out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cyclorama
from cyclorama.errors import SettingsError
from cyclorama.generate import BackgroundGenerator
from cyclorama.generation.model import open_scenes
from cyclorama.posters.files import open_poster
from cyclorama.posters.generator import PosterGenerator
from cyclorama.posters.words import PosterBrand
from flat_scenes import FlatScenes

WORDS = {"headline": "Slow evenings", "price": "€ 59"}


@pytest.fixture
def generator() -> PosterGenerator:
    return PosterGenerator(BackgroundGenerator(FlatScenes(), open_scenes()), PosterBrand())


@pytest.fixture
def product() -> Image.Image:
    rows, columns = np.mgrid[:120, :80]
    alpha = (np.hypot((rows - 60) / 55, (columns - 40) / 25) < 1) * 255
    colour = np.full((120, 80, 3), (30, 60, 150))
    return Image.fromarray(np.dstack([colour, alpha]).astype(np.uint8))


def test_a_call_gives_a_poster_per_size_and_language(
    generator: PosterGenerator, product: Image.Image
) -> None:
    words = {"en": WORDS, "de": {"headline": "Langsame Abende", "price": "59 €"}}
    found = generator(product, words, size=["300x240", (400, 260)], category="perfume", seed=7, attempts=1)
    assert [(one.image.size, one.record.language) for one in found] == [
        ((300, 240), "en"),
        ((300, 240), "de"),
        ((260, 400), "en"),
        ((260, 400), "de"),
    ]
    for one in found:
        assert one.report.exact and one.record.texts == words[one.record.language]
        assert (one.pixels == np.asarray(one.image)).all() and one.record.category == "perfume"
    again = generator(product, words, size=(400, 260), category="perfume", seed=7, attempts=1)
    assert (again[1].pixels == found[3].pixels).all(), "the same call gives the same poster"
    other = generator(product, words, size=(400, 260), category="perfume", seed=8, attempts=1)
    assert (other[1].pixels != found[3].pixels).any()


def test_a_poster_is_saved_by_its_ending(
    generator: PosterGenerator, product: Image.Image, tmp_path: Path
) -> None:
    [poster] = generator(product, WORDS, size="300x240", category="perfume", attempts=1)
    for name in ("a.png", "b.psd", "c.ora", "d.svg"):
        assert poster.save(tmp_path / "new" / name) == tmp_path / "new" / name
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert (np.asarray(image) == poster.pixels).all()
    assert (tmp_path / "new" / "b.psd").read_bytes()[:4] == b"8BPS"
    assert "Slow evenings" in (tmp_path / "new" / "d.svg").read_text()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "a.png", "b.psd", "c.ora", "d.bare.png", "d.svg",
    ]  # fmt: skip
    poster.save(tmp_path / "x.poster.json")
    assert (open_poster(tmp_path / "x.poster.json").drawn.background == poster.drawn.background).all()
    with pytest.raises(SettingsError, match=r"ends with .gif; use one of .png"):
        poster.save(tmp_path / "x.gif")


def test_an_edit_changes_the_words_it_is_given(generator: PosterGenerator, product: Image.Image) -> None:
    [poster] = generator(product, WORDS, size="300x240", category="perfume", attempts=1)
    edited = generator.edit(poster, {"price": "€ 49"})
    assert edited.record.texts == {"headline": "Slow evenings", "price": "€ 49"}
    assert (edited.drawn.background == poster.drawn.background).all()


def test_what_cannot_be_a_poster_is_refused_by_name(generator: PosterGenerator, product: Image.Image) -> None:
    with pytest.raises(SettingsError, match="no roles"):
        generator(product, {"en": {"slogan": "x"}})
    with pytest.raises(SettingsError, match="square, portrait"):
        generator(product, WORDS, size="enormous")
    with pytest.raises(SettingsError, match="from 64 pixels"):
        generator(product, WORDS, size=(20, 300))
    with pytest.raises(SettingsError, match="attempts"):
        generator(product, WORDS, attempts=0)


def test_it_is_public_and_opens_a_model(product: Image.Image, tmp_path: Path) -> None:
    (tmp_path / "brand.yaml").write_text("fonts: [serif]\navoid: [cheap]\n")
    generator = cyclorama.PosterGenerator.from_pretrained(brand=tmp_path / "brand.yaml")
    assert generator.brand.avoid == ("cheap",)
    with pytest.raises(SettingsError, match="cheap"):
        generator(product, {"headline": "So cheap"})
