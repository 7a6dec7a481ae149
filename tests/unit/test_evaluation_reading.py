"""Images by key from folders, manifests, shards and arrays; what is missing is named."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclorama.errors import DataError, MissingImageError
from cyclorama.evaluation.reading import (
    attach_masks,
    find_partners,
    from_arrays,
    get_reference_styles,
    match_keys,
    match_references,
    open_images,
)
from cyclorama.generation.items import ItemSource
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.run import run_images
from cyclorama.generation.settings import InputSettings
from drawn import save_product
from stand_in import StandIn, build_config


def paint(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (32, 40, 3), dtype=np.uint8)


def paint_mask() -> np.ndarray:
    mask = np.zeros((32, 40), np.uint8)
    mask[8:24, 10:30] = 255
    return mask


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def test_a_folder_gives_keys_by_path_and_masks_by_name(tmp_path: Path):
    save(tmp_path / "b" / "two.png", paint(2))
    save(tmp_path / "one.png", paint(1))
    save(tmp_path / "one.mask.png", paint_mask())
    save(tmp_path / "b" / "two_mask.png", paint_mask())
    (tmp_path / "notes.txt").write_text("not an image")
    images = open_images(tmp_path)
    assert images.keys == ["b/two", "one"] and images.has_masks()
    loaded = images.load("one")
    assert np.array_equal(loaded.pixels, paint(1))
    assert np.array_equal(loaded.mask, paint_mask() / np.float32(255))
    with pytest.raises(MissingImageError, match="has no image 'three'; it has 2: 'b/two', 'one'"):
        images.load("three")


def test_the_results_of_generate_leave_failures_out(tmp_path: Path):
    save(tmp_path / "images" / "tea-1.png", paint(1))
    rows = [
        {"row": 0, "name": "in/tea.png", "status": "done", "output": "images/tea-1.png"},
        {"row": 1, "name": "in/bad.png", "status": "failed", "error": "EmptyMaskError"},
    ]
    rows[0] |= {"category": "tea", "reference": "warm.jpg"}
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    images = open_images(tmp_path)
    assert images.keys == ["tea"]
    assert (images.items["tea"].category, images.items["tea"].reference) == (
        "tea",
        str(tmp_path / "warm.jpg"),
    )
    assert np.array_equal(images.load("tea").pixels, paint(1))
    references = from_arrays({"warm": paint(3), "cold": paint(4)})
    assert match_references(images, references) == {"tea": "warm"}
    partners = find_partners(images, references=references)
    assert get_reference_styles(partners) == {"cold": ("", None), "warm": ("tea", None)}
    with pytest.raises(MissingImageError, match="no reference 'warm' for 'tea'"):
        match_references(images, from_arrays({"cold": paint(4)}))


@pytest.mark.parametrize("storage", ["files", "webdataset"])
@pytest.mark.parametrize("table", [False, True])
def test_a_run_has_the_keys_of_its_input(tmp_path: Path, storage: str, table: bool):
    """The digest in the column ``key`` of results is nobody's id, and a run knows sub-folders as its input
    does."""
    source = tmp_path / "in"
    for number, name in enumerate(("p0", "shoes/p1", "shoes/p2")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        save_product(source / f"{name}.png", number, (64, 64))
    if table:
        (tmp_path / "list.csv").write_text("image\nin/p0.png\nin/shoes/p1.png\nin/shoes/p2.png\n")
        source = tmp_path / "list.csv"
    items, model = ItemSource(source, InputSettings(category="fruit")), StandIn()
    config = build_config(storage=storage).replace(rules=items.settings.build_rules())
    handle = ModelHandle("stand-in", Path(), "0" * 12, model.registry)
    run_images(items, tmp_path / "out", handle, config, load_model=lambda *_: model)
    made, given = open_images(tmp_path / "out"), open_images(source)
    assert made.keys == given.keys == (["p0", "p1", "p2"] if table else ["p0", "shoes/p1", "shoes/p2"])
    assert find_partners(made, given).paired
    rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    shown = [made.load(key).pixels for key in made.keys]
    if storage == "files":
        assert all(
            np.array_equal(pixels, np.asarray(Image.open(tmp_path / "out" / row["output"])))
            for pixels, row in zip(shown, rows, strict=True)
        )
        return
    with tarfile.open(tmp_path / "out" / "webdataset" / "shard-000000.tar") as tar:
        for pixels, row in zip(shown, rows, strict=True):
            member = tar.extractfile(row["output"].partition(":")[2])
            assert member is not None and np.array_equal(pixels, np.asarray(Image.open(member)))
    (tmp_path / "out" / "webdataset" / "shard-000000.tar").unlink()
    with pytest.raises(DataError, match=r"cannot read .*shard-000000\.tar"):
        open_images(tmp_path / "out")


def test_tables_and_their_mistakes(tmp_path: Path):
    save(tmp_path / "a.png", paint(1))
    save(tmp_path / "m.png", paint_mask())
    (tmp_path / "list.csv").write_text("id,image,mask,category\nx,a.png,m.png,tea\n")
    images = open_images(tmp_path / "list.csv")
    assert images.keys == ["x"] and images.load("x").mask.sum() == 320
    (tmp_path / "twice.csv").write_text("id,image\nx,a.png\nx,a.png\n")
    with pytest.raises(DataError, match=r"row 2 \(line 3\): the key 'x' is there twice"):
        open_images(tmp_path / "twice.csv")
    (tmp_path / "bad.jsonl").write_text("{no json")
    with pytest.raises(DataError, match=r"bad\.jsonl, row 1 \(line 1\): not valid JSON"):
        open_images(tmp_path / "bad.jsonl")
    (tmp_path / "none.jsonl").write_text('{"category": "tea"}\n')
    with pytest.raises(DataError, match="none.jsonl: missing column 'image'; columns found: 'category'"):
        open_images(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="no images at .*nowhere"):
        open_images(tmp_path / "nowhere")


def write_shard(path: Path, keys: list[str]) -> None:
    with tarfile.open(path, "w") as tar:
        for number, key in enumerate(keys):
            for suffix, array in (("png", paint(number)), ("mask.png", paint_mask())):
                stream = io.BytesIO()
                Image.fromarray(array).save(stream, "PNG")
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(stream.getvalue())
                tar.addfile(info, io.BytesIO(stream.getvalue()))
            data = json.dumps({"category": "tea", "product_id": f"p{number}"}).encode()
            info = tarfile.TarInfo(f"{key}.json")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_shards_are_read_by_key(tmp_path: Path):
    write_shard(tmp_path / "shard-000000.tar", ["b", "a"])
    images = open_images(tmp_path)
    assert images.keys == ["a", "b"] and images.has_masks()
    assert np.array_equal(images.load("b").pixels, paint(0))
    assert images.items["a"].meta["product_id"] == "p1"
    data = (tmp_path / "shard-000000.tar").read_bytes()
    (tmp_path / "shard-000001.tar").write_bytes(data)
    with pytest.raises(DataError, match="the key 'b' is there twice"):
        open_images(tmp_path)
    (tmp_path / "shard-000001.tar").write_bytes(b"no tar at all")
    with pytest.raises(DataError, match=r"shard-000001\.tar is truncated or not a tar"):
        open_images(tmp_path)
    (tmp_path / "shard-000001.tar").unlink()
    (tmp_path / "shard-000000.tar").write_bytes(data[:700])
    with pytest.raises(DataError, match=r"truncated|cut off"):
        images.load("b")


def test_partners_are_matched_by_key_and_gaps_are_named():
    images = from_arrays({"a": paint(1), "b": paint(2)})
    truth = from_arrays({"a": paint(1), "c": paint(3)}, {"a": paint_mask() / np.float32(255)})
    with pytest.raises(MissingImageError, match="1 of 2 images of arrays have no partner in arrays: 'b'"):
        match_keys(images, truth)
    assert match_keys(images, truth, allow_missing=True) == ["a"]
    found = find_partners(images, truth, allow_missing=True)
    assert found.paired and found.images.keys == ["a"] and "1 of 2 images" in found.notes[0]
    assert found.images.load("a").mask.sum() == 320  # from the truth
    strangers = find_partners(images, from_arrays({"z": paint(9)}))
    assert not strangers.paired and "only the sets are compared" in strangers.notes[0]


def test_masks_from_a_folder_of_their_own(tmp_path: Path):
    save(tmp_path / "images" / "a.png", paint(1))
    save(tmp_path / "masks" / "a.png", paint_mask())
    images = open_images(tmp_path / "images")
    assert not images.has_masks()
    masked = attach_masks(images, open_images(tmp_path / "masks"))
    assert masked.load("a").mask.sum() == 320
    with pytest.raises(MissingImageError, match="no mask for 'a'"):
        attach_masks(images, from_arrays({"b": paint(1)}))
    mask = (masked.load("a").mask * 255).astype(np.uint8)
    drawn = from_arrays({"a": np.dstack([mask] * 3)})  # mask images in memory, for files and for arrays
    for given in (images, from_arrays({"a": paint(1)})):
        assert np.array_equal(attach_masks(given, drawn).load("a").mask, masked.load("a").mask)
    files = attach_masks(from_arrays({"a": paint(1)}), open_images(tmp_path / "masks"))
    assert np.array_equal(files.load("a").pixels, paint(1)) and files.load("a").mask.sum() == 320


def test_masks_that_are_white_on_the_background_are_read_as_the_table_says(tmp_path: Path):
    """One picture twice: its mask as it is, and inverted with ``mask_means`` to say so."""
    (tmp_path / "masks").mkdir()
    save(tmp_path / "a.png", paint(1))
    for name, mask in (("product", paint_mask()), ("background", 255 - paint_mask())):
        save(tmp_path / f"masks/{name}.png", mask)
        (tmp_path / f"{name}.csv").write_text(f"id,image,mask,mask_means\na,a.png,masks/{name}.png,{name}\n")
        (tmp_path / f"only {name}.csv").write_text(f"id,image,mask_means\na,masks/{name}.png,{name}\n")
    for name in ("product", "background"):
        own, drawn = open_images(tmp_path / f"{name}.csv"), open_images(tmp_path / f"only {name}.csv")
        bare = from_arrays({"a": paint(1)})
        other = open_images(tmp_path / "background.csv")  # its mask gives way, and what is said of it
        for images in (own, attach_masks(bare, own), attach_masks(other, own), attach_masks(other, drawn)):
            assert np.array_equal(images.load("a").mask, paint_mask() / np.float32(255))
        assert find_partners(bare, own).images.load("a").mask.sum() == 320


def test_arrays_are_checked():
    with pytest.raises(DataError, match=r"'a' is float64 \(4, 4, 3\); give uint8"):
        from_arrays({"a": np.zeros((4, 4, 3))})
    with pytest.raises(DataError, match=r"mask of 'a' has shape \(3, 4\), not \(32, 40\)"):
        from_arrays({"a": paint(1)}, {"a": np.zeros((3, 4), np.float32)})
