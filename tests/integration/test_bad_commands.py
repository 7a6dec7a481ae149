"""Bad inputs at the command: exit code, error class, message, and no traceback (table in docs/command.md)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclorama import cli


@pytest.fixture
def place(tmp_path: Path, model: Path) -> Path:
    """A folder with what the bad commands need; ``ok.png`` is a good product."""
    rgba = np.zeros((64, 64, 4), dtype=np.uint8)
    rgba[16:48, 16:48] = (200, 60, 40, 255)
    Image.fromarray(rgba).save(tmp_path / "ok.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(
        tmp_path / "busy.png"
    )
    Image.fromarray(255 - rgba[..., 3]).save(tmp_path / "inverted.png")
    Image.fromarray(np.zeros((64, 64), dtype=np.uint8)).save(tmp_path / "black.png")
    Image.fromarray(rgba[:40, :, 3]).save(tmp_path / "short.png")
    Image.fromarray(rgba[:8, :8]).save(tmp_path / "tiny.png")
    data = (tmp_path / "ok.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "notes.docx").write_text("hello")
    frames = [Image.fromarray(rgba).convert("RGB"), Image.new("RGB", (64, 64))]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(np.pad(rgba, ((0, 0), (0, 16400), (0, 0)))).save(tmp_path / "long.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a.png").write_bytes(data)
    (tmp_path / "masks").mkdir()
    (tmp_path / "no_image.csv").write_text("photo_file,category\nok.png,fruit\n")
    (tmp_path / "no_rows.csv").write_text("image,category\n")
    (tmp_path / "nothing.csv").write_text("")
    (tmp_path / "bad_seed.csv").write_text("image,category,seed\nok.png,fruit,soon\n")
    (tmp_path / "latin.csv").write_bytes("image,category\nok.png,für\n".encode("latin-1"))
    (tmp_path / "map.yaml").write_text("- a\n- b\n")
    shutil.copytree(model, tmp_path / "pickled")
    for weights in (tmp_path / "pickled/unet").glob("*.safetensors"):
        weights.rename(weights.with_name("diffusion_pytorch_model.bin"))
    shutil.copytree(model, tmp_path / "base")
    shutil.rmtree(tmp_path / "base/category_generator")
    (tmp_path / "used/images").mkdir(parents=True)
    (tmp_path / "used/images/mine.png").write_bytes(data)
    return tmp_path


FRUIT = ("--category", "fruit")

CASES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "input empty, as of an unset variable": (("", *FRUIT), "usage", "an argument is empty"),
    "option empty, as of an unset variable": (
        ("ok.png", "--category", ""),
        "usage",
        "--category is empty; give a value (is a shell variable unset?)",
    ),
    "input missing": (("gone.png", *FRUIT), "ManifestError", "gone.png"),
    "input of another kind": (("notes.docx", *FRUIT), "ManifestError", "notes.docx"),
    "empty folder": (("empty", *FRUIT), "ManifestError", "empty"),
    "category unknown": (("ok.png", "--category", "perfum"), "UnknownCategoryError", "nearest: perfume"),
    "alias without =": (("ok.png", *FRUIT, "--alias", "lipstick"), "SettingsError", "given=category"),
    "alias to an unknown category": (
        ("ok.png", *FRUIT, "--alias", "a=sofa"),
        "UnknownCategoryError",
        "'sofa'",
    ),
    "column without =": (("no_image.csv", "--column", "image"), "SettingsError", "FIELD=NAME"),
    "category map is no mapping": (("ok.png", "--category-map", "map.yaml"), "SettingsError", "pairs"),
    "category map missing": (("ok.png", "--category-map", "gone.yaml"), "ConfigError", "No such file"),
    "manifest without image column": (("no_image.csv",), "ManifestError", "'photo_file'"),
    "manifest with zero rows": (("no_rows.csv",), "ManifestError", "no rows"),
    "manifest empty": (("nothing.csv",), "ManifestError", "empty"),
    "manifest in Windows-1252": (("latin.csv",), "UnknownCategoryError", "'für'"),
    "manifest with a bad seed": (("bad_seed.csv",), "ManifestError", "'soon'"),
    "reference missing": (("ok.png", *FRUIT, "--reference", "gone.png"), "SettingsError", "--reference"),
    "reference is no image": (
        ("ok.png", *FRUIT, "--reference", "text.png"),
        "UnreadableImageError",
        "text.png",
    ),
    "reference mask alone": (
        ("ok.png", *FRUIT, "--reference-mask", "black.png"),
        "SettingsError",
        "--reference",
    ),
    "mask missing": (("ok.png", *FRUIT, "--mask", "gone.png"), "SettingsError", "--mask"),
    "mask file for a folder": (("folder", *FRUIT, "--mask", "black.png"), "SettingsError", "folder of masks"),
    "mask folder lacks a mask": (("folder", *FRUIT, "--mask", "masks"), "MissingMaskError", "no mask"),
    "mask for a manifest": (("bad_seed.csv", "--mask", "black.png"), "SettingsError", "column 'mask'"),
    "image is text": (("text.png", *FRUIT), "UnreadableImageError", "text.png"),
    "image animated": (("moving.gif", *FRUIT), "AnimatedImageError", "2 frames"),
    "image too small": (("tiny.png", *FRUIT), "ImageTooSmallError", "8 x 8"),
    "preset unknown": (
        ("ok.png", *FRUIT, "--preset", "best"),
        "SettingsError",
        "'quality', 'balanced' or 'fast'",
    ),
    "steps 0": (("ok.png", *FRUIT, "--steps", "0"), "SettingsError", "1 to 1000, got '0'"),
    "guidance below 0": (("ok.png", *FRUIT, "--guidance", "-1"), "SettingsError", "got '-1'"),
    "scheduler unknown": (("ok.png", *FRUIT, "--scheduler", "DDIMM"), "SettingsError", "DDIM"),
    "size not understood": (("ok.png", *FRUIT, "--size", "big"), "SettingsError", "WIDTHxHEIGHT"),
    "size too small": (
        ("ok.png", *FRUIT, "--size", "20x400"),
        "SettingsError",
        "width must be from 64 to 8192",
    ),
    "size too long": (("ok.png", *FRUIT, "--size", "1600x90"), "SettingsError", "10 times the shorter"),
    "aspect not understood": (("ok.png", *FRUIT, "--aspect", "wide"), "SettingsError", "WIDTH:HEIGHT"),
    "size and aspect": (
        ("ok.png", *FRUIT, "--size", "128x96", "--aspect", "1:1"),
        "SettingsError",
        "give one of them",
    ),
    "outputs beside a size": (
        ("ok.png", *FRUIT, "--outputs", "1:1,3:4", "--size", "128x96"),
        "SettingsError",
        "list them all under outputs",
    ),
    "output not understood": (("ok.png", *FRUIT, "--outputs", "1:1,big"), "SettingsError", "'big'"),
    "output given twice": (("ok.png", *FRUIT, "--outputs", "1:1,1:1"), "SettingsError", "twice"),
    "placement unknown": (("ok.png", *FRUIT, "--placement", "middle"), "SettingsError", "bottom-right"),
    "keep with a margin": (
        ("ok.png", *FRUIT, "--placement", "keep", "--margin", "0.1"),
        "SettingsError",
        "another placement",
    ),
    "product scale above 1": (
        ("ok.png", *FRUIT, "--product-scale", "1.5"),
        "SettingsError",
        "0.05 to 1, got '1.5'",
    ),
    "margin too large": (("ok.png", *FRUIT, "--margin", "0.5"), "SettingsError", "0 to 0.45, got '0.5'"),
    "product scale leaves no margin": (
        ("ok.png", *FRUIT, "--size", "128x128", "--product-scale", "0.9", "--margin", "0.1"),
        "SettingsError",
        "at most 0.8",
    ),
    "contact shadow too dark": (
        ("ok.png", *FRUIT, "--contact-shadow", "1"),
        "SettingsError",
        "0 to 0.8, got '1'",
    ),
    "format unknown": (("ok.png", *FRUIT, "--format", "gif"), "SettingsError", "'webp', 'jpeg' or 'avif'"),
    "quality for PNG": (("ok.png", *FRUIT, "--quality", "90"), "SettingsError", "lossless"),
    "quality 0": (
        ("ok.png", *FRUIT, "--format", "jpeg", "--quality", "0"),
        "SettingsError",
        "1 to 100, got '0'",
    ),
    "layers unknown": (("ok.png", *FRUIT, "--layers", "tiff"), "SettingsError", "'ora', 'psd' or 'png'"),
    "image too long for WebP": (
        ("long.png", *FRUIT, "--format", "webp"),
        "SettingsError",
        "16383 pixels",
    ),
    "candidates 0": (("ok.png", *FRUIT, "--candidates", "0"), "SettingsError", "1 to 64, got '0'"),
    "seed below 0": (("ok.png", *FRUIT, "--seed", "-3"), "SettingsError", "got '-3'"),
    "batch size 0": (("ok.png", *FRUIT, "--batch-size", "0"), "SettingsError", "got '0'"),
    "device unknown": (("ok.png", *FRUIT, "--device", "toaster"), "SettingsError", "'toaster'"),
    "dtype unknown": (("ok.png", *FRUIT, "--dtype", "float12"), "SettingsError", "float32"),
    "model folder missing": (
        ("ok.png", *FRUIT, "--model", "gone/model/x"),
        "ModelNotFoundError",
        "gone/model/x",
    ),
    "model folder is none": (
        ("ok.png", *FRUIT, "--model", "./empty"),
        "ModelFormatError",
        "model_index.json",
    ),
    "model with pickled weights only": (
        ("ok.png", *FRUIT, "--model", "pickled"),
        "ModelFormatError",
        "safetensors",
    ),
    "model is a plain base": (
        ("ok.png", *FRUIT, "--model", "base"),
        "ModelFormatError",
        "category_generator",
    ),
    "output is a file": (("ok.png", *FRUIT, "--out", "notes.docx"), "OutputError", "is a file"),
    "output holds other images": (("ok.png", *FRUIT, "--out", "used"), "OutputError", "--overwrite"),
    "input lies where the run writes": (
        ("used/images", *FRUIT, "--out", "used", "--overwrite"),
        "OutputError",
        "another folder",
    ),
}
"""Nothing can start: exit code 2."""

LATE_CASES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "category missing, and the image does not tell one": (("ok.png",), "UnknownCategoryError", "--category"),
    "no way to tell the product": (("busy.png", *FRUIT), "MissingMaskError", "--mask"),
    "image truncated": (("truncated.png", *FRUIT), "UnreadableImageError", "truncated"),
    "mask inverted": (
        ("busy.png", *FRUIT, "--mask", "inverted.png"),
        "InvertedMaskError",
        "--mask-means background",
    ),
    "mask empty": (("busy.png", *FRUIT, "--mask", "black.png"), "EmptyMaskError", "black.png"),
    "mask of another shape": (("busy.png", *FRUIT, "--mask", "short.png"), "MaskSizeError", "short.png"),
}
"""Found when the image is decoded: a failed row, exit code 1."""


def run_bad(place: Path, model: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.chdir(place)
    command = ["generate", *arguments]
    for option, value in (("--model", str(model)), ("--out", "out"), ("--device", "cpu"), ("--steps", "1")):
        if option not in arguments:
            command += [option, value]
    return cli.main(command)


def check(
    place: Path,
    model: Path,
    case: tuple[tuple[str, ...], str, str],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, error, message = case
    assert run_bad(place, model, arguments, monkeypatch) == code
    printed = capsys.readouterr().err
    lines = [line for line in printed.splitlines() if line.startswith("cyclorama: ")]
    assert len(lines) == 1, printed
    assert lines[0].startswith(f"cyclorama: {error}: ")
    assert message in lines[0]
    assert "Traceback" not in printed


@pytest.mark.parametrize("name", CASES)
def test_nothing_starts(
    name: str, place: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check(place, model, CASES[name], 2, monkeypatch, capsys)
    assert not (place / "out/images").exists()


@pytest.mark.parametrize("name", LATE_CASES)
def test_input_fails(
    name: str, place: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check(place, model, LATE_CASES[name], 1, monkeypatch, capsys)
    (row,) = [json.loads(line) for line in (place / "out/results.jsonl").read_text().splitlines()]
    assert (row["status"], row["error"]) == ("failed", LATE_CASES[name][1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "a.png"], "--out"),
        (["generate", "a.png", "--out", "o", "--steps", "many"], "steps"),
        (["generate", "a.png", "--out", "o", "--mask-means", "both"], "mask_means"),
        (["paint"], "paint"),
    ],
)
def test_command_line_is_wrong(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = cli.main(arguments)
    except SystemExit as stop:  # of commands that parse with argparse
        code = stop.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_docs_list_every_case() -> None:
    page = Path(__file__).parents[2].joinpath("docs/command.md").read_text(encoding="utf-8")
    table = {
        cells[1].strip(): cells[2].strip(" `")
        for line in page.splitlines()
        if len(cells := line.split("|")) >= 5
    }
    for name, (_, error, _) in (CASES | LATE_CASES).items():
        assert table.get(name) == error, name
