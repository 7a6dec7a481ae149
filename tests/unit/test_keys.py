"""How images find their partners, by key: cyclorama.evaluation.reading by its values."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama.errors import DataError, MissingImageError
from cyclorama.evaluation.features import compute_set_digest
from cyclorama.evaluation.reading import (
    ImageSet,
    attach_masks,
    find_partners,
    find_reference,
    from_arrays,
    match_keys,
    open_images,
)

PIXELS = np.zeros((4, 6, 3), np.uint8)


def build(*keys: str, name: str = "set", **options: Any) -> ImageSet:
    return from_arrays(dict.fromkeys(keys, PIXELS), name=name, **options)


@pytest.mark.parametrize(
    "pixels", [PIXELS.astype(np.float32), PIXELS[..., 0], PIXELS[..., :2], np.zeros((4, 6, 4), np.uint8)]
)
def test_arrays_of_another_kind_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"give uint8 \(H, W, 3\)"):
        from_arrays({"a": pixels})


def test_a_mask_has_its_images_size() -> None:
    assert build("a", masks={"a": np.ones((4, 6), np.float32)}).has_masks() and not build("a").has_masks()
    with pytest.raises(DataError, match=r"the mask of 'a' has shape \(6, 4\), not \(4, 6\)"):
        build("a", masks={"a": np.ones((6, 4), np.float32)})


@pytest.mark.parametrize(("lost", "more"), [(1, ""), (5, ""), (6, " …")])
def test_lost_partners_are_named_up_to_five(lost: int, more: str) -> None:
    images = build("a", *(f"z{n}" for n in range(lost)), name="made")
    shown = ", ".join(f"'z{n}'" for n in range(min(lost, 5)))
    message = f"{lost} of {lost + 1} images of made have no partner in truth: {shown}{more}; add them"
    with pytest.raises(MissingImageError) as caught:
        match_keys(images, build("a", name="truth"))
    assert str(caught.value).startswith(message)
    assert match_keys(images, build("a"), allow_missing=True) == ["a"]
    assert match_keys(images, build("other")) == []


@pytest.mark.parametrize(("there", "more"), [("bcd", ""), ("bcde", " …")])
def test_a_missing_mask_is_told_with_what_is_there(there: str, more: str) -> None:
    with pytest.raises(MissingImageError) as caught:
        attach_masks(build("a"), build(*there, name="masks"))
    assert str(caught.value) == f"no mask for 'a' in masks; it has {len(there)}: 'b', 'c', 'd'{more}"


def test_images_without_an_original_are_left_out_with_a_note() -> None:
    found = find_partners(build(*"abcd"), build("b", "c"), allow_missing=True)
    assert found.images.keys == ["b", "c"] and found.paired
    assert found.notes == ("2 of 4 images have no original; left out",)
    whole = find_partners(build("a", "b"), build("a", "b", "c"))
    assert whole.notes == () and whole.paired
    apart = find_partners(build("a", name="made"), build("b", name="truth"))
    assert apart.notes == ("no key of made is in truth: only the sets are compared",) and not apart.paired


def test_a_reference_is_found_by_key_or_file_name() -> None:
    references = build("sets/one", "sets/two.png", "three")
    names = ["three", "x/three.png", "sets/one", "one", "y/one.jpg", "two.png", "two", "four"]
    assert [find_reference(name, references) for name in names] == [
        *("three", "three", "sets/one", "sets/one", "sets/one", "sets/two.png", None, None)
    ]


def test_a_set_of_other_masks_is_another_set() -> None:
    plain = build("a", "b")
    inverted = ImageSet("x", {k: replace(item, mask_means="background") for k, item in plain.items.items()})
    assert compute_set_digest(plain) == compute_set_digest(build("a", "b", name="other"))
    assert len({compute_set_digest(found) for found in (plain, inverted, build("a"))}) == 3


def test_images_have_their_keys_from_a_folder_or_a_runs_results(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a.png", "images/b.png"):
        Image.fromarray(PIXELS).save(tmp_path / name)
    assert open_images(tmp_path).keys == ["a", "images/b"]
    rows: list[dict[str, Any]] = [
        {"status": "done", "output": "images/b.png", "input": "shop/b first.jpg", "category": "tea"},
        {"status": "failed", "output": None, "input": "c.jpg"},
    ]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = open_images(tmp_path)
    assert {key: item.category for key, item in found.items.items()} == {"b": "tea"}
    with pytest.raises(DataError, match="no images at"):
        open_images(tmp_path / "nothing")
