"""What callers mean by an image: every usual kind gives the same pixels, all others an error that helps."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cyclorama.errors import CycloramaError, MaskError, UnreadableImageError
from cyclorama.imaging.inputs import find_name, is_address, is_one, read_image
from cyclorama.imaging.loading import load_image
from cyclorama.imaging.masks import load_mask

RGBA = np.random.default_rng(0).integers(0, 256, (24, 40, 4), dtype=np.uint8)
RGB = np.ascontiguousarray(RGBA[..., :3])


def encode(array: np.ndarray = RGB, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def write(folder: Path) -> Path:
    path = folder / "a b.png"
    path.write_bytes(encode())
    return path


OPENED: list[Any] = []


def keep(file: Any) -> Any:
    OPENED.append(file)
    return file


@pytest.fixture(autouse=True)
def close_files() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def rewound(folder: Path) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG")
    return buffer  # stands at its end, as after every save


def zipped(folder: Path) -> Any:
    with zipfile.ZipFile(folder / "z.zip", "w") as file:
        file.writestr("a.png", encode())
    return zipfile.Path(folder / "z.zip", "a.png")


class Framework:
    """Arrays of other libraries."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return RGB


KINDS: dict[str, Callable[[Path], Any]] = {
    "path": write,
    "data address": lambda f: "data:image/png;base64," + base64.b64encode(encode()).decode(),
    "text": lambda f: str(write(f)),
    "file address": lambda f: write(f).as_uri(),
    "file address with host": lambda f: write(f).as_uri().replace("file://", "file://localhost"),
    "bytes": lambda f: encode(),
    "bytearray": lambda f: bytearray(encode()),
    "memoryview": lambda f: memoryview(encode()),
    "BytesIO": lambda f: io.BytesIO(encode()),
    "BytesIO at its end": rewound,
    "open file": lambda f: keep(write(f).open("rb")),
    "path in a zip": zipped,
    "open member of a zip": lambda f: zipped(f).open("rb"),
    "PIL": lambda f: Image.fromarray(RGB),
    "PIL opened lazily": lambda f: Image.open(write(f)),
    "uint8": lambda f: RGB,
    "uint8 not contiguous": lambda f: np.asfortranarray(RGB)[::-1][::-1],
    "uint8 CHW": lambda f: RGB.transpose(2, 0, 1),
    "int64": lambda f: RGB.astype(np.int64),
    "uint16": lambda f: RGB.astype(np.uint16) * 257,
    "float64 to 1": lambda f: RGB / 255,
    "float32 to 1": lambda f: (RGB / 255).astype(np.float32),
    "float32 a little above 1": lambda f: (RGB / 255 * 1.0001).astype(np.float32),
    "float16 to 255": lambda f: RGB.astype(np.float16),
    "float CHW to 255": lambda f: RGB.transpose(2, 0, 1).astype(np.float32),
    "tensor CHW": lambda f: torch.from_numpy(RGB).permute(2, 0, 1),
    "tensor HWC": lambda f: torch.from_numpy(RGB),
    "tensor to 1": lambda f: torch.from_numpy(RGB).permute(2, 0, 1) / 255,
    "tensor that asks for gradients": lambda f: (torch.from_numpy(RGB) / 255).requires_grad_(),
    "tensor of bfloat16": lambda f: (torch.from_numpy(RGB) / 255).to(torch.bfloat16),
    "batch of one": lambda f: torch.from_numpy(RGB).permute(2, 0, 1)[None] / 255,
    "another library's array": lambda f: Framework(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_pixels(kind: str, tmp_path: Path) -> None:
    given = KINDS[kind](tmp_path)
    if not kind.startswith("batch"):
        assert is_one(given)
    loaded = load_image(given)
    assert np.array_equal(loaded.pixels, RGB)
    assert loaded.alpha is None


@pytest.mark.parametrize("scale", [1, 1 / 255], ids=["to 255", "to 1"])
def test_alpha_of_floats_has_a_scale_of_its_own(scale: float) -> None:
    given = np.dstack([RGB * scale, RGBA[..., 3] / 255])
    loaded = load_image(given)
    assert np.array_equal(loaded.pixels, RGB)
    assert loaded.alpha is not None and np.abs(loaded.alpha * 255 - RGBA[..., 3]).max() < 1e-3


@pytest.mark.parametrize(
    ("array", "grey"),
    [
        (RGB[..., 0], RGB[..., 0]),
        (RGB[..., :1], RGB[..., 0]),
        (RGB[..., 0][None], RGB[..., 0]),
        (RGB[..., 0] > 99, (RGB[..., 0] > 99) * 255),
        (Image.fromarray(RGB[..., 0].astype(np.float32)), RGB[..., 0]),
        (Image.fromarray((RGB[..., 0] / 255).astype(np.float32)), RGB[..., 0]),
        (Image.fromarray(RGB[..., 0].astype(np.int32)), RGB[..., 0]),
        (Image.fromarray(RGB[..., 0].astype(np.int32) * 257), RGB[..., 0]),
        (Image.fromarray(RGB[..., 0].astype(np.uint16) * 257), RGB[..., 0]),
    ],
)
def test_grey_in_every_form(array: Any, grey: np.ndarray) -> None:
    pixels = load_image(array).pixels
    assert np.array_equal(pixels, np.repeat(grey[..., None], 3, axis=2))


def test_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path)
    assert np.array_equal(load_image("~/a b.png").pixels, RGB)
    assert np.array_equal(load_image(Path("~/a b.png")).pixels, RGB)


def closed(folder: Path) -> Any:
    file = write(folder).open("rb")
    file.close()
    return file


def cut_off(folder: Path) -> Any:
    path = folder / "cut.png"
    path.write_bytes(encode()[:700])
    return keep(Image.open(keep(path.open("rb"))))


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "None": (lambda f: None, "None; give a path"),
    "a number": (lambda f: 7, "int; give a path"),
    "a mapping": (lambda f: {"image": "a.png"}, "dict; give a path"),
    "a set": (lambda f: {"a.png"}, "set; give a path"),
    "no text": (lambda f: "", "path of an image is empty"),
    "blank text": (lambda f: "  ", "path of an image is empty"),
    "web address": (lambda f: "https://shop.example/a.png", "allow its host"),
    "bucket": (lambda f: "s3://bucket/a.png", "allow its host"),
    "data address without base64": (lambda f: "data:image/png,AAAA", "it is not base64"),
    "data address cut off": (
        lambda f: "data:image/png;base64,AAAAA",
        "data:image/png;base64,… cannot be read",
    ),
    "file of text": (lambda f: keep(write(f).open("r", encoding="latin-1")), "'rb'"),
    "StringIO": (lambda f: io.StringIO("a"), "'rb'"),
    "closed file": (closed, "keep it open"),
    "PIL image cut off": (cut_off, "open it again"),
    "-1 to 1": (lambda f: RGB / 127.5 - 1, r"\(x \+ 1\) / 2"),
    "tensor -1 to 1": (lambda f: torch.from_numpy(RGB) / 127.5 - 1, r"\(x \+ 1\) / 2"),
    "above 255": (lambda f: RGB * 4.0, "0 to 255"),
    "between the scales": (lambda f: RGB / 200, "from 0 to 1.275"),
    "up to 2": (lambda f: RGB / 127.5, "from 0 to 2"),
    "not a number": (lambda f: np.where(RGB == 3, np.nan, RGB), "not finite"),
    "infinite": (lambda f: np.where(RGB == 3, np.inf, RGB), "not finite"),
    "uint8 from 0 to 1": (lambda f: (RGB > 99).astype(np.uint8), "nearly black"),
    "int from 0 to 1": (lambda f: (RGB > 99).astype(int), "nearly black"),
    "8 bits in uint16": (lambda f: RGB.astype(np.uint16), "give uint8"),
    "16 bits in int32": (lambda f: RGB.astype(np.int32) * 257, "uint16"),
    "negative": (lambda f: RGB.astype(int) - 9, "from -9"),
    "complex": (lambda f: RGB.astype(complex), "complex128"),
    "text array": (lambda f: np.array([["a"]]), "<U1"),
    "two axes too few": (lambda f: np.zeros(5), r"\(5,\)"),
    "a batch": (lambda f: np.stack([RGB, RGB]), r"\(2, 24, 40, 3\)"),
    "five channels": (lambda f: np.zeros((24, 40, 5)), r"\(24, 40, 5\)"),
    "nothing": (lambda f: np.zeros((0, 0, 3)), r"\(0, 0, 3\)"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_all_else_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    build, message = REFUSED[kind]
    with pytest.raises(UnreadableImageError, match=message):
        read_image(build(tmp_path))


MASK = np.zeros((24, 40), bool)
MASK[6:18, 10:30] = True


@pytest.mark.parametrize(
    "mask",
    [
        MASK,
        MASK.astype(np.uint8),
        MASK.astype(np.uint8) * 255,
        MASK.astype(np.int64),
        MASK.astype(np.float64),
        MASK.astype(np.float32) * 255,
        MASK[..., None],
        MASK.astype(np.float32)[None],
        torch.from_numpy(MASK),
        torch.from_numpy(MASK.astype(np.float32))[None],
        torch.from_numpy(MASK.astype(np.float32))[None, None],
        Image.fromarray(MASK),
        Image.fromarray(MASK.astype(np.uint8) * 255),
        Image.fromarray(MASK.astype(np.float32)),
        io.BytesIO(encode(MASK.astype(np.uint8) * 255)),
    ],
)
def test_masks_of_every_kind(mask: Any) -> None:
    assert np.array_equal(load_mask(mask, (24, 40)), MASK.astype(np.float32))


def test_soft_masks_keep_their_precision() -> None:
    soft = np.where(MASK, 0.12345, 0).astype(np.float32)
    soft[8:16, 12:28] = 1
    assert np.array_equal(load_mask(soft, (24, 40)), soft)
    above = np.where(soft == 1, np.float32(1.0005), soft)
    assert np.array_equal(load_mask(above, (24, 40)), soft)


@pytest.mark.parametrize(
    "mask", [MASK * 2.0 - 1, np.where(MASK, np.nan, 0), MASK * 1.5, MASK.astype(complex), "", None]
)
def test_masks_that_cannot_be_read(mask: Any) -> None:
    with pytest.raises((UnreadableImageError, MaskError)):
        load_mask(mask, (24, 40))


def test_one_or_several() -> None:
    for one in ("a.png", b"x", Path("a"), RGB, RGB[..., 0], torch.zeros(3, 8, 8), None, 7, {}, np.float32(1)):
        assert is_one(one)
    for several in (
        ["a"],
        ("a",),
        iter("ab"),
        np.array(["a", "b"]),
        np.stack([RGB]),
        torch.zeros(1, 3, 8, 8),
    ):
        assert not is_one(several)


def test_names() -> None:
    named = io.BytesIO(b"")
    named.name = "/photos/e.png"
    found = ["/photos/a.png", Path("b.png"), "https://host/c.png?size=1", "file:///photos/d.png", named]
    assert [find_name(value) for value in found] == ["a.png", "b.png", "c.png", "d.png", "e.png"]
    assert [find_name(value) for value in (RGB, b"x", 3, None)] == [""] * 4
    addresses = ["https://host/a.png", "s3://b/c", "file:///a.png", "a.png", "C:\\a.png", b"https://host"]
    assert [is_address(value) for value in addresses] == [True, True, False, False, False, False]


def test_torch_is_not_imported_for_those_who_do_not_use_it() -> None:
    code = (
        "import sys, numpy as np\nfrom cyclorama.imaging.inputs import read_image\n"
        "read_image(np.full((20, 20, 3), 0.5))\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_no_error_of_a_library_escapes(tmp_path: Path) -> None:
    class Broken:
        def read(self) -> bytes:
            raise OSError("gone")

        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            raise TypeError("on another device")

    with pytest.raises(CycloramaError, match="gone"):
        read_image(Broken())
    broken = Broken()
    del type(broken).read
    with pytest.raises(CycloramaError, match="another device"):
        read_image(broken)
