"""A brand's file: read as written, written as read, faults named with their line."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from cyclorama.errors import ConfigError
from cyclorama.scenes.brand import Brand, BrandLight, format_colour, parse_colour, read_brand, write_brand
from cyclorama.scenes.surface import Style

TEXT = """\
scene: whisky
wall: '#0a2a3b'
floor: Tan
props: '#FF8000'
accent: gold
elements: [barrel, ice]
light:
  side: 0.5
  softness: 0
"""


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "brand.yaml"
    path.write_text(text)
    return path


def test_a_brand_is_the_style_that_its_file_says(tmp_path: Path) -> None:
    brand = read_brand(_write(tmp_path, TEXT))
    assert (brand.scene, brand.arrangement, brand.layout) == ("whisky", None, 0)
    assert brand.style == Style(
        wall=(10 / 255, 42 / 255, 59 / 255), floor=(210 / 255, 180 / 255, 140 / 255), prop=(1, 128 / 255, 0),
        accent=(1, 215 / 255, 0), elements=("barrel", "ice"), key_side=0.5, fill=0,
    )  # fmt: skip


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    style = Style(
        wall=(0.1, 0.2, 0.3), floor=(1, 1, 1), prop=(0, 0, 0), accent=(0.5, 0.5, 0.5), elements=("arches",),
        layout=3, key_side=-2.5, key_warmth=0.25, key_strength=0.7, fill=0.125,
    )  # fmt: skip
    path = tmp_path / "brand.yaml"
    write_brand(Brand.of(style, "studio", 7), path)
    found = read_brand(path)
    assert (found.scene, found.arrangement) == ("studio", 7)
    assert [format_colour(c) for c in found.style.palette] == ["#1a334c", "#ffffff", "#000000", "#808080"]
    assert found.light == BrandLight(side=-1, warmth=0.25, strength=0.7, softness=0.125)
    write_brand(found, path)
    assert read_brand(path) == found
    assert Brand.of(found.style, "studio", 7) == found


def test_workers_that_find_the_same_style_write_it_at_once(tmp_path: Path) -> None:
    brand = Brand(wall=(1, 1, 1), floor=(0, 0, 0), props=(1, 0, 0), accent=(0, 0, 1))
    workers = 4
    start = Barrier(workers, timeout=10)

    def write(worker: int) -> list[Brand]:
        found = []
        for turn in range(40):
            path = tmp_path / f"{turn}.yaml"
            start.wait()
            write_brand(brand, path)
            found.append(read_brand(path))
        return found

    with ThreadPoolExecutor(workers) as pool:
        assert list(pool.map(write, range(workers))) == [[brand] * 40] * workers
    assert len(list(tmp_path.iterdir())) == 40


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("floor: Tan", "floor: Tann", r"brand.yaml:3: floor: must be a colour .* did you mean tan"),
        ("'#0a2a3b'", "#0a2a3b", r"brand.yaml:2: wall: must be a colour .*in quotes.*, got None"),
        ("accent: gold\n", "", r"brand.yaml:1: file: missing key accent"),
        ("props", "prop", r"brand.yaml:4: file: unknown key 'prop'; did you mean props"),
        ("side: 0.5", "side: 5", r"brand.yaml:8: light.side: must be from -1 to 1, got 5"),
        ("softness", "soft", r"brand.yaml:9: light: unknown key 'soft'; did you mean softness"),
        ("[barrel, ice]", "ice", r"brand.yaml:6: elements: must be a list, got 'ice'"),
        (
            "scene: whisky",
            "scene: whiskey",
            r"brand.yaml:1: scene: unknown category 'whiskey'; did you mean whisky",
        ),
        (
            "[barrel, ice]",
            "[barel]",
            r"brand.yaml:6: elements: unknown element of whisky 'barel'; .* barrel",
        ),
        ("scene: whisky", "layout: 10", r"brand.yaml:1: layout: must be from 0 to 9, got 10"),
        ("light:\n", "light: [\n", r"brand.yaml:\d+: file: it is not valid YAML"),
    ],
)
def test_faults_are_named_with_line_field_and_limit(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_brand(_write(tmp_path, TEXT.replace(old, new)))


def test_colours_are_those_of_css() -> None:
    assert parse_colour("rebeccapurple") == parse_colour("#663399")
    for wrong in ("#fff", "rgb(1,2,3)", "0x112233", 7):
        with pytest.raises(ValueError, match="a colour such as"):
            parse_colour(wrong)
