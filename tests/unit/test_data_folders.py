"""Folders: every image is a row whatever its name, nothing is read twice, what is skipped is counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cyclorama.data.folders import IMAGE_SUFFIXES
from cyclorama.data.table import open_table
from cyclorama.errors import ManifestError

CASES = Path(__file__).resolve().parents[1] / "cases"
JPEG = b"\xff\xd8\xff\xe0" + b"x" * 40


def write(folder: Path, *names: str, data: bytes = JPEG) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def names(folder: Path, **options: object) -> list[str]:
    return [row.name for row in open_table(folder, **options)]  # type: ignore[arg-type]


def test_the_given_folder_gives_all_images_and_no_thumbnail() -> None:
    table = open_table(CASES / "folder" / "in")
    assert [row.name for row in table] == [
        "IMG_0001.HEIC",
        "chrome.jfif",
        "noext",
        "ok.jpg",
        "old.jpe",
        "scan.jp2",
    ]
    assert "1 × system file, 2 × system folder" in "\n".join(table.notes)


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_every_ending_of_an_image_makes_a_row(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, f"a{suffix}", f"b{suffix.upper()}", data=b"broken")
    assert names(tmp_path) == [f"a{suffix}", f"b{suffix.upper()}"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000"])
def test_a_file_without_an_ending_is_known_by_its_content(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (32, 32), (200, 20, 20)).save(tmp_path / "DSC_0001", kind)
    write(tmp_path, "notes.dat", "list.csv", data=b"no image at all, but some text")
    table = open_table(tmp_path)
    assert [row.name for row in table] == ["DSC_0001"]
    assert "1 × no image (.csv), 1 × no image (.dat)" in table.notes[-1]


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir/a.jpg/SYNO.jpg",
        "__MACOSX/._a.jpg",
        "x/._a.jpg",
        ".Trash-1000/files/a.jpg",
        "#recycle/a.jpg",
        "$RECYCLE.BIN/a.jpg",
        "System Volume Information/a.jpg",
        ".thumbnails/a.jpg",
        ".a.jpg",
        "Thumbs.db",
        "desktop.ini",
        ".DS_Store",
        "lost+found/a.jpg",
    ],
)
def test_what_systems_leave_behind_is_no_input(tmp_path: Path, name: str) -> None:
    write(tmp_path, "a.jpg", name)
    table = open_table(tmp_path)
    assert [row.name for row in table] == ["a.jpg"]
    assert "1 × " in table.notes[-1]


def test_links_are_followed_once_and_never_in_circles(tmp_path: Path) -> None:
    write(tmp_path, "in/a.jpg", "in/sub/b.jpg", "elsewhere/c.jpg", "elsewhere/deep/d.jpg")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "linked too").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "sub" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "e.jpg").symlink_to(tmp_path / "elsewhere" / "c.jpg")
    (tmp_path / "in" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    table = open_table(tmp_path / "in")
    rows = list(table)
    found = [row.name for row in rows]
    assert sorted(Path(name).name for name in found) == [
        "a.jpg",
        "b.jpg",
        "c.jpg",
        "d.jpg",
        "e.jpg",
        "gone.jpg",
    ]
    assert "2 × link to a folder that is read already" in table.notes[-1]
    assert [row.name for row in rows if row.error] == ["gone.jpg"]


def test_masks_and_notes_stand_beside_their_images(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.jpg",
        "a.mask.png",
        "b.jpg",
        "b_mask.PNG",
        "c-mask.png",
        "shop/images/d.jpg",
        "shop/masks/d.png",
    )
    write(tmp_path, "b.json", data=b'{"category": "wine", "id": "B7"}')
    write(tmp_path, "a.json", data=b"[1]")
    write(tmp_path, "lonely.json", data=b"{}")
    table = open_table(tmp_path)
    rows = {row.name: row.values for row in table}
    assert list(rows) == ["a.jpg", "b.jpg", "c-mask.png", "shop/images/d.jpg"]
    masks = {name: Path(values["mask"]).name for name, values in rows.items() if "mask" in values}
    assert masks == {"a.jpg": "a.mask.png", "b.jpg": "b_mask.PNG", "shop/images/d.jpg": "d.png"}
    assert (rows["b.jpg"]["category"], rows["b.jpg"]["id"]) == ("wine", "B7")
    assert rows["shop/images/d.jpg"]["folder"] == "shop/images"
    assert "3 × mask of an image" in table.notes[-1]
    assert "1 × no image (.json)" in table.notes[-1]
    assert len(names(tmp_path, pair=False)) == 7


@pytest.mark.parametrize(
    ("photo", "mask"),
    [
        ("a0.png", "masks/a0.png"),
        ("a0.jpg", "masks/a0.png"),
        ("a0.jpg", "masks/a0_mask.png"),
        ("perfume/a0.png", "perfume/masks/a0.png"),
        ("perfume/a0.png", "masks/perfume/a0.png"),
        ("shop/perfume/new/a0.png", "shop/masks/perfume/new/a0-mask.png"),
        ("shop/images/a0.png", "shop/images/masks/a0.png"),
    ],
)
def test_a_folder_masks_anywhere_on_the_way_to_a_photo_holds_its_mask(
    tmp_path: Path, photo: str, mask: str
) -> None:
    write(tmp_path, photo, mask, photo.replace("a0", "b0"))
    rows = {row.name: row.values.get("mask") for row in open_table(tmp_path)}
    assert list(rows) == [photo, photo.replace("a0", "b0")]
    assert [value and Path(value).relative_to(tmp_path).as_posix() for value in rows.values()] == [mask, None]


def test_a_folder_masks_without_their_photos_holds_products(tmp_path: Path) -> None:
    write(tmp_path, "masks/a.jpg", "masks/deep/a.jpg", "mugs/b.jpg")
    assert names(tmp_path) == ["masks/a.jpg", "masks/deep/a.jpg", "mugs/b.jpg"]


def test_the_output_folder_inside_the_input_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "out/images/a.jpg", "masks/a.png")
    assert names(tmp_path, left_out=[tmp_path / "out", tmp_path / "masks"]) == ["a.jpg"]


def test_a_folder_without_images_says_what_it_holds(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "Thumbs.db", data=b"text")
    with pytest.raises(ManifestError, match=r"has no rows.*1 × no image \(\.txt\), 1 × system file"):
        open_table(tmp_path)
    with pytest.raises(ManifestError, match="no such file or folder"):
        open_table(tmp_path / "nowhere")
