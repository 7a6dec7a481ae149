"""A backdrop for a run and for a row: used, stated, part of what a run is resumed by; bad ones are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama import cli
from cyclorama.errors import SettingsError
from cyclorama.generate import BackgroundGenerator
from drawn import save_product


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Two products and a plate."""
    for i in range(2):
        save_product(tmp_path / f"p{i}.png", i, (64, 64))
    save_plate(tmp_path / "plate.png", 170)
    return tmp_path


def save_plate(path: Path, wall: int) -> None:
    pixels = np.full((64, 96, 3), wall, np.uint8)
    pixels[32:] = (110, 80, 50)
    Image.fromarray(pixels).save(path)


def run(
    shop: Path, *rows: dict[str, Any], options: tuple[str, ...] = (), code: int = 0
) -> list[dict[str, Any]]:
    lines = [json.dumps({"image": f"p{i}.png", "category": "perfume"} | row) for i, row in enumerate(rows)]
    (shop / "m.jsonl").write_text("\n".join(lines))
    common = ["--out", str(shop / "out"), "--size", "64x64", "--quiet"]
    assert cli.main(["generate", str(shop / "m.jsonl"), *common, *options]) == code
    results = shop / "out" / "results.jsonl"
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def test_a_run_and_a_row_have_a_backdrop_and_a_change_of_it_is_noticed(shop: Path) -> None:
    save_plate(shop / "own.png", 90)
    options = ("--backdrop", str(shop / "plate.png"))
    first, second = run(shop, {}, {"backdrop": "own.png"}, options=options)
    assert first["style"].startswith("plate-")
    assert second["style"].startswith("own-")
    assert first["exact"] is second["exact"] is True
    shown = [np.asarray(Image.open(shop / "out" / r["output"]).convert("RGB")) for r in (first, second)]
    assert (shown[0][:4] == 170).all()
    assert (shown[1][:4] == 90).all()
    again = run(shop, {}, {"backdrop": "own.png"}, options=options)
    assert [r["image_sha256"] for r in again] == [first["image_sha256"], second["image_sha256"]]
    save_plate(shop / "plate.png", 150)
    third, fourth = run(shop, {}, {"backdrop": "own.png"}, options=options)
    assert third["style"] != first["style"]
    assert third["image_sha256"] != first["image_sha256"]
    assert fourth["image_sha256"] == second["image_sha256"]


def test_bad_backdrops_are_told_before_the_run_or_in_their_row(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGBA", (64, 64), (9, 9, 9, 90)).save(shop / "clear.png")
    (shop / "text.png").write_text("no image")
    first, second = run(shop, {"backdrop": "clear.png"}, {"backdrop": "text.png"}, code=2)
    assert first["reason"] == "backdrop clear.png is transparent in places; flatten it first"
    assert (first["error"], second["error"]) == ("SettingsError", "UnreadableImageError")
    both, _ = run(shop, {"backdrop": "plate.png", "reference": "p1.png"}, {"backdrop": "clear.png"}, code=2)
    assert both["reason"].endswith("it has a reference and a backdrop; keep one of them")
    plate = ("--backdrop", str(shop / "plate.png"))
    for options, told in [
        (("--backdrop", str(shop / "none.png")), "no such file for --backdrop"),
        (("--backdrop", str(shop / "clear.png")), "clear.png is transparent"),
        ((*plate, "--reference", str(shop / "p0.png")), "--reference and --backdrop are given together"),
        ((*plate, "--model", "bundled"), "plate.png goes with the rendered sets, not with model bundled"),
    ]:
        run(shop, {}, options=options, code=2)
        assert told in capsys.readouterr().err


def test_a_backdrop_through_the_api_is_the_commands(shop: Path) -> None:
    row = run(shop, {"backdrop": "plate.png"})[0]
    shown = np.asarray(Image.open(shop / "out" / row["output"]).convert("RGB"))
    make, chosen = BackgroundGenerator.from_pretrained(), {"category": "perfume", "size": "64x64"}
    made = make(shop / "p0.png", backdrop=shop / "plate.png", **chosen)
    assert np.array_equal(made.pixels, shown)
    assert made.style == "plate"
    with pytest.raises(SettingsError, match="a reference and a backdrop are given for one product"):
        make(shop / "p0.png", backdrop=shop / "plate.png", reference=shop / "p1.png", **chosen)
