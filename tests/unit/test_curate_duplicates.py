"""Copies are found whatever was done to them, images that only look alike are not; the best one stays."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw
from scipy import fft, ndimage

from cyclorama.curate.duplicates import (
    DuplicatesRule,
    DuplicatesSettings,
    compute_product_likeness,
    compute_rank,
    find_copies,
)
from cyclorama.curate.duplicates_pairs import (
    align,
    compute_likeness,
    find_embedding_pairs,
    find_hash_pairs,
    invert,
    sample_windows,
    smooth,
    whiten,
)
from cyclorama.curate.records import Finding, Record, RuleImage, Summary, Verdict
from cyclorama.curate.summary import (
    THUMBNAIL_SIDE,
    build_summary,
    compute_hashes,
    compute_sharpness,
    compute_thumbnail,
)
from cyclorama.curate.summary import summarise as summarise_image
from cyclorama.errors import ConfigError, SettingsError

Pixels = npt.NDArray[np.uint8]


def count_bits(first: npt.NDArray[np.uint64], second: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Bits that differ, element by element."""
    return np.asarray(np.bitwise_count(first ^ second), np.int64)


SIDE = 192


def draw_scene(series: int, number: int) -> Pixels:
    """An image of a series: the same room and layout in all of it, other product and small things."""
    room = np.random.default_rng(series)
    own = np.random.default_rng([series, number])
    image = Image.new("RGB", (SIDE, SIDE), tuple(int(v) for v in room.integers(120, 230, 3)))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 130, SIDE, SIDE), fill=tuple(int(v) for v in room.integers(60, 160, 3)))
    for _ in range(5):
        x, y = room.integers(0, 150, 2)
        pen.ellipse((x, y, x + 40, y + 30), fill=tuple(int(v) for v in room.integers(0, 255, 3)))
    for _ in range(26):
        x, y = own.integers(0, 180, 2)
        w, h = own.integers(6, 26, 2)
        pen.rectangle((x, y, x + w, y + h), fill=tuple(int(v) for v in own.integers(0, 255, 3)))
    pen.rounded_rectangle((75, 60, 117, 160), 8, fill=tuple(int(v) for v in own.integers(0, 255, 3)))
    noise = own.normal(0, 3, (SIDE, SIDE, 3))
    return np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)


def crop(pixels: Pixels) -> Pixels:
    return pixels[6:180, 14:188]


def resize(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((120, 120), Image.Resampling.BICUBIC))


def recompress(pixels: Pixels) -> Pixels:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=40)
    return np.asarray(Image.open(stream).convert("RGB"))


def recolour(pixels: Pixels) -> Pixels:
    return np.clip(pixels * [1.1, 0.95, 0.9] + 8, 0, 255).astype(np.uint8)


def write_over(pixels: Pixels) -> Pixels:
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    pen.rectangle((4, 4, 130, 26), fill="yellow")
    pen.text((8, 6), "SUPER SALE 50 %", fill="red", font_size=14)
    return np.asarray(image)


CHANGES: list[Callable[[Pixels], Pixels]] = [crop, resize, recompress, recolour, write_over]


def summarise(key: str, pixels: Pixels, **more: object) -> Summary:
    """What a run keeps; the features are coarse colours, which leave images of one series together."""
    coarse = (
        np.asarray(Image.fromarray(pixels).resize((4, 4), Image.Resampling.BOX), np.float32).ravel() - 128
    )
    numbers = {
        "height": float(len(pixels)),
        "width": float(pixels.shape[1]),
        "sharpness": compute_sharpness(pixels),
    }
    thumbnail = compute_thumbnail(pixels)
    return Summary(
        Record(key, f"{key}.png", product_id=key, **more),  # type: ignore[arg-type]
        (),
        coarse / np.linalg.norm(coarse),
        numbers,
        digest=key,
        thumbnail=thumbnail,
    )


def test_planted_copies_are_found_among_look_alikes() -> None:
    originals = {f"{s}-{n}": draw_scene(s, n) for s in range(6) for n in range(5)}
    rows = [summarise(key, pixels) for key, pixels in originals.items()]
    planted = {}
    for place, change in enumerate(CHANGES * 2):
        source = list(originals)[place * 3]
        rows.append(summarise(f"{source}-{change.__name__}", change(originals[source])))
        planted[rows[-1].record.key] = source
    findings = DuplicatesRule().judge_all(rows)
    dropped = {row.record.key: f for row, f in zip(rows, findings, strict=True) if f.verdict == Verdict.DROP}
    groups = [{key, f.values["kept"]} for key, f in dropped.items()]
    missed = [pair for pair in planted.items() if set(pair) not in groups]
    assert missed == []
    assert len(groups) == len(planted)
    shrunk = [key for key in dropped if key.endswith("-resize")]
    assert len(shrunk) == 2  # the small ones go, the originals stay
    assert all(f.numbers["copies"] == 2 and "shows the same as" in f.reason for f in dropped.values())
    reordered = DuplicatesRule().judge_all(rows[::-1])
    assert [f.verdict for f in reordered[::-1]] == [f.verdict for f in findings]


def _show(key: str, product: npt.NDArray[np.float32], light: npt.NDArray[np.float64]) -> Summary:
    """The same room for every product of a series; the product covers a seventh of it."""
    pixels = draw_scene(5, 1)
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[64:136, 60:132] = product
    shown = mask > 0
    pixels[shown] = np.repeat(light[..., None], 3, axis=2)[product > 0].astype(np.uint8)
    image = RuleImage(Record(key, key, product_id=key), pixels, None, mask)
    values = summarise_image(image, lambda _: np.ones(8, np.float32) / np.sqrt(np.float32(8)))
    return build_summary(image.record, (), values, key)


def test_another_product_in_the_same_scene_is_no_copy() -> None:
    y, x = np.mgrid[:72, :72]
    disc = (np.hypot(y - 35.5, x - 35.5) < 36).astype(np.float32)
    tripod = ((y < 30) | (abs(abs(x - 36) - y / 3) < 4)).astype(np.float32)
    stripes, steps = 90 + 60.0 * (x // 12 % 2), 40 + 2.5 * y
    first, same = _show("a", disc, stripes), _show("b", disc, 10 + 0.9 * stripes)
    shape, pattern = _show("c", tripod, stripes), _show("d", disc, steps)
    assert compute_product_likeness(first, same) > 0.99
    assert compute_product_likeness(first, shape) < 0.6
    assert compute_product_likeness(first, pattern) < 0.2
    assert compute_product_likeness(first, _summary_without_mask(first)) == 1
    for other, copy in ((same, True), (shape, False), (pattern, False)):
        _, likeness = find_copies([first, other], DuplicatesSettings())
        assert likeness[0] > 0.9  # the room alone makes them alike
        settings = DuplicatesSettings(likeness=0.9)
        dropped = [f.verdict is Verdict.DROP for f in DuplicatesRule(settings).judge_all([first, other])]
        assert sum(dropped) == copy


def _summary_without_mask(row: Summary) -> Summary:
    return Summary(**{**row.__dict__, "mask_shape": None, "product": None})


def test_copies_of_copies_and_equal_files_are_one_group() -> None:
    scene = draw_scene(9, 9)
    rows = [summarise("a", scene), summarise("b", recompress(scene)), summarise("c", resize(scene))]
    flat = np.full((SIDE, SIDE, 3), 255, np.uint8)
    rows += [summarise("white", flat), summarise("white too", flat), summarise("white again", flat)]
    rows[-1] = Summary(**{**rows[-1].__dict__, "digest": "white"})
    found = {row.record.key: f for row, f in zip(rows, DuplicatesRule().judge_all(rows), strict=True)}
    assert [found[key].verdict.value for key in ("a", "b", "c")].count("keep") == 1
    assert found["c"].numbers["copies"] == 3
    assert found["white too"].verdict == Verdict.KEEP  # nothing to see is no likeness
    assert {found["white"].verdict, found["white again"].verdict} == {Verdict.KEEP, Verdict.DROP}


def test_the_best_is_the_unblamed_detailed_lightly_compressed_and_clicked_one() -> None:
    scene = draw_scene(2, 2)
    plain = summarise("plain", scene)
    enlarged = summarise("enlarged", np.asarray(Image.fromarray(scene).resize((400, 400))))
    assert compute_rank(plain) > compute_rank(summarise("shrunk", resize(scene)))
    assert compute_rank(plain) > compute_rank(enlarged)
    assert compute_rank(summarise("clicked", scene, clicks=900)) > compute_rank(plain)

    def change(**values: object) -> Summary:
        return Summary(**{**plain.__dict__, **values})

    crushed = change(numbers={**plain.numbers, "quality.jpeg_quality": 20.0})
    assert compute_rank(plain) > compute_rank(crushed)
    repaired = change(findings=(Finding("text", Verdict.REPAIR, "erased"),))
    assert compute_rank(crushed) > compute_rank(repaired)


def test_hash_is_the_sign_of_low_frequencies_and_parts_hash_like_crops() -> None:
    pixels = draw_scene(4, 1)
    thumbnail = compute_thumbnail(pixels)
    small = thumbnail.astype(np.float64).reshape(32, 3, 32, 3).mean(axis=(1, 3))
    low = fft.dctn(small, norm="ortho")[:8, :8].ravel()
    expected = sum(1 << int(k) for k in np.flatnonzero(low > np.median(low[1:])))
    whole = [(0.0, 0.0, 1.0, 1.0)]
    assert compute_hashes(thumbnail[None], whole)[0, 0] == expected
    brighter = np.clip(pixels.astype(int) // 2 + 60, 0, 255).astype(np.uint8)
    assert (
        np.bitwise_count(compute_hashes(compute_thumbnail(brighter)[None], whole)[0, 0] ^ np.uint64(expected))
        <= 4
    )
    cut = round(0.1 * SIDE)
    part = compute_hashes(compute_thumbnail(pixels[:-cut, cut:])[None], whole)[0, 0]
    hashes = compute_hashes(thumbnail[None], [(0.0, 0.1, 0.9, 1.0), (0.0, 0.0, 1.0, 1.0)])[0]
    near, far = count_bits(hashes, part)
    assert near <= 4 < far


def test_hash_pairs_are_those_of_all_pairs_within_a_few_bits() -> None:
    chance = np.random.default_rng(0)
    hashes = chance.integers(0, 2**64, (400, 3), dtype=np.uint64)
    for n in range(0, 60, 2):  # one's whole is near another's part, by up to three bits
        flips = sum(1 << int(b) for b in chance.choice(64, n % 4, replace=False))
        hashes[n, 0] = hashes[n + 1, 1 + n % 2] ^ np.uint64(flips)
    distances = np.bitwise_count(hashes[:, 0][:, None, None] ^ hashes[None]).min(axis=2)
    close = np.minimum(distances, distances.T) <= 3
    expected = np.argwhere(np.triu(close, 1))
    assert len(expected) == 30
    assert find_hash_pairs(hashes, 3).tolist() == expected.tolist()
    assert find_hash_pairs(hashes[:1], 3).shape == (0, 2)


def test_embedding_pairs_by_cells_find_nearly_all_exact_neighbours() -> None:
    chance = np.random.default_rng(1)
    centres = chance.normal(size=(60, 16))
    vectors = np.repeat(centres, 60, axis=0) + 0.3 * chance.normal(size=(3600, 16))
    embeddings = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    white = whiten(embeddings)
    likeness = white @ white.T
    np.fill_diagonal(likeness, -2)
    nearest = likeness.argmax(axis=1)
    found = {tuple(pair) for pair in find_embedding_pairs(embeddings, 3).tolist()}
    hits = [(min(a, int(b)), max(a, int(b))) in found for a, b in enumerate(nearest)]
    assert np.mean(hits) > 0.97
    assert len(found) < 3600 * 3 + 1
    again = find_embedding_pairs(embeddings, 3)
    assert {tuple(pair) for pair in again.tolist()} == found


def test_alignment_finds_the_crop_and_likeness_ignores_brightness_and_a_plate() -> None:
    chance = np.random.default_rng(3)
    whole = ndimage.gaussian_filter(chance.normal(0, 900, (480, 480)), 6) + 128
    window = np.array([0.05, 0.1, 0.85, 0.9])
    edges = (window * 480).round().astype(int)

    def shrink(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        return compute_thumbnail(np.repeat(np.clip(plane, 0, 255).astype(np.uint8)[..., None], 3, 2))

    part = whole[edges[0] : edges[2], edges[1] : edges[3]] * 0.8 + 20
    part[40:90, 40:300] = 250
    first, second = (smooth(shrink(plane)[None]) for plane in (part, whole))
    starts = np.array([[[0.0, 0.0, 1.0, 1.0], [0.1, 0.1, 0.9, 0.9]]])
    found, fit = align(first, second, starts, (4, 2, 1, 0.5), samples=32)
    assert found[0] == pytest.approx(window, abs=0.012)
    assert fit[0] > 0.95
    assert compute_likeness(first, second, found, 8)[0] > 0.97
    other = smooth(shrink(ndimage.gaussian_filter(chance.normal(0, 900, (480, 480)), 6) + 128)[None])
    assert compute_likeness(first, other, found, 8)[0] < 0.6
    assert invert(invert(found)) == pytest.approx(found)


def test_equal_files_are_one_pair() -> None:
    """Also where the indexes propose them again."""
    rows = [summarise(key, draw_scene(0, number)) for key, number in (("a", 0), ("b", 1), ("c", 2), ("d", 1))]
    rows = [replace(row, digest=digest) for row, digest in zip(rows, ("1", "2", "3", "2"))]
    pairs, likeness = find_copies(rows, DuplicatesSettings())
    found = [tuple(pair) for pair in pairs.tolist()]
    assert found.count((1, 3)) == 1 and len(set(found)) == len(found)
    assert likeness[found.index((1, 3))] == 1


def test_samples_on_the_border_lie_inside() -> None:
    planes = np.arange(64, dtype=np.float32).reshape(1, 8, 8)
    windows = np.array([[0.0, 0.0, 2.0, 2.0]])  # cells at 1/3, 1 and 5/3 of the side
    values, inside = sample_windows(planes, windows, 3)
    assert inside[0].tolist() == [[True, True, False], [True, True, False], [False, False, False]]
    assert values[0, 1, 1] == 63  # the border itself shows the last pixel
    _, before = sample_windows(planes, np.array([[-1.0, -1.0, 1.0, 1.0]]), 3)
    assert before[0].tolist() == [[False, False, False], [False, True, True], [False, True, True]]


def test_rows_without_thumbnails_and_bad_settings_are_refused() -> None:
    assert DuplicatesRule().judge_all([]) == []
    lone = summarise("lone", draw_scene(0, 0))
    assert [f.verdict for f in DuplicatesRule().judge_all([lone])] == [Verdict.KEEP]
    assert len(find_copies([lone], DuplicatesSettings())[0]) == 0
    with pytest.raises(SettingsError, match="thumbnails"):
        DuplicatesRule().judge_all([lone.record])
    with pytest.raises(SettingsError, match=f"{THUMBNAIL_SIDE} pixels"):
        DuplicatesRule().judge_all([Summary(**{**lone.__dict__, "thumbnail": np.zeros((48, 48), np.uint8)})])
    for values in ({"likeness": 0.9, "doubtful": 0.95}, {"gate": 65}, {"least_blocks": 0}):
        with pytest.raises(
            ConfigError,
            match=r"doubtful is 0.95, likeness is 0.9|gate: .* 64, got 65|least_blocks: .* 1 to 64, got 0",
        ):
            DuplicatesSettings(**values)  # type: ignore[arg-type]
