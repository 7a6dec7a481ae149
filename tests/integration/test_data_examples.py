"""Examples at the training size: geometry, masks, packing, and that nothing depends on order."""

from __future__ import annotations

import io
import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclorama.data.decode import decode_example, fit_image
from cyclorama.data.examples import (
    ExampleConfig,
    ExampleSource,
    PackedExamples,
    SourceConfig,
    compute_pack_hash,
    select_records,
)
from cyclorama.data.records import DataRecord, Place
from cyclorama.data.shards import Sample, write_shards
from cyclorama.errors import ConfigError, DataError, OutputError


def encode(array: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def records(tmp_path: Path) -> list[DataRecord]:
    rng = np.random.default_rng(0)
    made = []
    for i in range(4):
        pixels = rng.integers(0, 256, (24, 40, 3), dtype=np.uint8)
        mask = np.zeros((24, 40), np.uint8)
        mask[6:18, 12 + i : 26] = 255
        (tmp_path / f"{i}.png").write_bytes(encode(pixels))
        (tmp_path / f"{i}_mask.png").write_bytes(encode(mask))
        split = "test" if i == 3 else "train"
        made.append(
            DataRecord(
                f"r{i}",
                tmp_path / f"{i}.png",
                tmp_path / f"{i}_mask.png",
                "product",
                "wine",
                f"b{i}",
                split=split,
            )
        )
    return made


def to_samples(records: list[DataRecord]) -> list[Sample]:
    return [
        Sample(r.id, r.image.read_bytes(), r.mask.read_bytes(), {name: getattr(r, name) for name in LABELS})  # type: ignore[union-attr]
        for r in records
    ]


LABELS = ("id", "category", "brand", "split")


def test_crop_takes_the_middle_unchanged_when_no_scaling_is_needed(records: list[DataRecord]) -> None:
    source = ExampleSource(records, ExampleConfig(height=24, width=24))
    found, product = source.load(0)
    pixels = np.asarray(Image.open(records[0].image))
    assert np.array_equal(found, pixels[:, 8:32])
    mask = np.zeros((24, 24), np.float32)
    mask[6:18, 4:18] = 1
    assert np.array_equal(product, mask)
    assert (source.category(0), found.dtype, product.dtype) == ("wine", np.uint8, np.float32)


def test_pad_keeps_everything_and_repeats_the_border(records: list[DataRecord]) -> None:
    found, product = ExampleSource(records, ExampleConfig(height=40, width=40, fit="pad")).load(0)
    pixels = np.asarray(Image.open(records[0].image))
    assert np.array_equal(found[8:32], pixels)
    assert np.array_equal(found[:8], np.broadcast_to(pixels[0], (8, 40, 3)))
    assert product.sum() == 12 * 14
    assert product[:8].max() == 0


def test_masks_are_area_averaged() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[:, :3] = 255
    small = np.asarray(fit_image(Image.fromarray(mask), (2, 4), "crop", Image.Resampling.BOX, edge=False))
    assert small.tolist() == [[255, 128, 0, 0]] * 2


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("size", [(16, 16), (17, 31), (24, 40)])
def test_aspect_is_kept_for_any_size(fit: str, size: tuple[int, int]) -> None:
    """A circle stays a circle: its mask's extents agree within a pixel or two."""
    y, x = np.mgrid[:90, :120]
    circle = ((y - 44.5) ** 2 + (x - 59.5) ** 2 < 20**2).astype(np.uint8) * 255
    pixels = np.dstack([circle] * 3)
    image, mask = decode_example(encode(pixels), encode(circle), "product", size, fit, "circle")  # type: ignore[arg-type]
    assert image.shape == (*size, 3)
    on = mask >= 0.5
    tall, wide = on.any(axis=1).sum(), on.any(axis=0).sum()
    assert abs(int(tall) - int(wide)) <= 1
    scale = (max if fit == "crop" else min)(size[0] / 90, size[1] / 120)
    assert tall == pytest.approx(40 * scale, abs=1.5)


def test_image_kinds_decode_to_the_same_pixels() -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 2
    mask = np.zeros((8, 8), np.uint8)
    mask[2:5, 2:5] = 255
    rgb = np.dstack([grey] * 3)
    palette = io.BytesIO()
    Image.fromarray(grey).convert("P").save(palette, "PNG")
    kinds = {
        "grey": encode(grey),
        "rgba": encode(np.dstack([rgb, mask])),
        "16 bit": encode(grey.astype(np.uint16) * 257),
        "palette": palette.getvalue(),
    }
    for name, data in kinds.items():
        pixels, product = decode_example(data, encode(mask), None, (8, 8), "crop", name)
        assert np.array_equal(pixels, rgb), name
        assert np.array_equal(product, mask / np.float32(255)), name
    _, product = decode_example(kinds["rgba"], None, "alpha", (8, 8), "crop", "own alpha")
    assert np.array_equal(product, mask / np.float32(255))


def test_unstated_mask_meaning_takes_a_used_alpha_channel_first() -> None:
    pixels = encode(np.zeros((8, 8, 3), np.uint8))
    alpha = np.zeros((8, 8), np.uint8)
    alpha[3:6, 3:6] = 255
    black_cutout = np.dstack([np.zeros((8, 8, 3), np.uint8), alpha])
    _, product = decode_example(pixels, encode(black_cutout), None, (8, 8), "crop", "x")
    assert product.sum() == 9
    opaque = np.dstack([alpha, alpha, alpha, np.full((8, 8), 255, np.uint8)])
    _, product = decode_example(pixels, encode(opaque), None, (8, 8), "crop", "x")
    assert product.sum() == 9
    _, product = decode_example(pixels, encode(alpha), "background", (8, 8), "crop", "x")
    assert product.sum() == 55


def test_bad_images_are_named() -> None:
    good = encode(np.zeros((8, 8, 3), np.uint8))
    noise = encode(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    half = np.zeros((8, 8), np.uint8)
    half[:4] = 255
    cases = [
        (b"", encode(half), None, "x: not a readable image"),
        (noise[: len(noise) // 2], encode(half), None, "x: not a readable image"),
        (good, b"junk", None, r"x \(mask\): not a readable image"),
        (good, None, "product", "x: no mask"),
        (good, None, "alpha", "no alpha channel"),
        (good, encode(half[:, :4]), None, "the mask is 4 x 8, the image 8 x 8"),
        (good, encode(half * 0), None, "marks no product"),
        (good, encode(half * 0 + 255), None, "marks everything"),
    ]
    for image, mask, means, message in cases:
        with pytest.raises(DataError, match=message):
            decode_example(image, mask, means, (8, 8), "crop", "x")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="height: must be from 8 to 8192, got 4"):
        ExampleConfig(height=4, width=8)
    with pytest.raises(ConfigError, match="fit"):
        ExampleConfig(height=8, width=8, fit="stretch")  # type: ignore[arg-type]


def test_shards_and_manifest_of_one_set_give_equal_examples(
    records: list[DataRecord], tmp_path: Path
) -> None:
    config = ExampleConfig(height=16, width=20)
    write_shards(to_samples(records), tmp_path / "shards", shard_size=3)
    lines = [
        {"image": r.image.name, "mask": r.mask and r.mask.name, "category": r.category, "split": r.split}
        for r in records
    ]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, lines)))
    shards = ExampleSource.open(SourceConfig(path=tmp_path / "shards"), config)
    manifest = ExampleSource.open(SourceConfig(path=tmp_path / "list.jsonl", kind="table"), config)
    assert [record.id for record in shards.records] == ["r0", "r1", "r2", "r3"]
    for i in (3, 0, -1):
        assert all(map(np.array_equal, shards.load(i), manifest.load(i)))
    test = ExampleSource.open(SourceConfig(path=tmp_path / "shards", split="test"), config)
    assert [record.id for record in test.records] == ["r3"]
    assert np.array_equal(test.load(0)[0], shards.load(3)[0])
    assert len(ExampleSource.open(SourceConfig(path=tmp_path / "shards"), config, 2)) == 2
    inverted = SourceConfig(path=tmp_path / "list.jsonl", kind="table", mask_means="background")
    assert np.allclose(
        ExampleSource.open(inverted, config).load(0)[1], 1 - manifest.load(0)[1], atol=1.01 / 255
    )


def test_sources_that_cannot_be_trained_on_are_refused(records: list[DataRecord], tmp_path: Path) -> None:
    config = ExampleConfig(height=16, width=16)
    cases = [
        (replace(records[0], category=None), None, "'r0' has no category"),
        (replace(records[0], mask=None), None, "'r0' has no mask file"),
        (records[0], "val", r"none of 1 images is in split 'val'; splits found: \['train'\]"),
    ]
    for record, split, message in cases:
        with pytest.raises(DataError, match=message):
            select_records([record], split)
    gone = ExampleSource(records, config)
    records[0].image.unlink()
    with pytest.raises(DataError, match=r"record 'r0': cannot read .*0.png"):
        gone.load(0)
    with pytest.raises(ConfigError, match="does not apply to shards"):
        SourceConfig(path=tmp_path, mask_means="background")
    for name, sample, message in [
        (
            "a",
            Sample("k", b"", None, {"category": "wine"}),
            "record 'k' has no mask file .in shards: member mask.png",
        ),
        ("b", Sample("k", b"", b"", {"category": None}), "record 'k' has no category"),
    ]:
        write_shards([sample], tmp_path / name)
        with pytest.raises(DataError, match=message):
            ExampleSource.open(SourceConfig(path=tmp_path / name), config)


def assert_equal_examples(
    left: ExampleSource | PackedExamples, right: ExampleSource | PackedExamples
) -> None:
    assert len(left) == len(right)
    for i in range(len(left)):
        assert all(map(np.array_equal, left.load(i), right.load(i)))
        assert left.category(i) == right.category(i)


def test_packed_examples_equal_their_source_bit_for_bit(records: list[DataRecord], tmp_path: Path) -> None:
    source = ExampleSource(records, ExampleConfig(height=13, width=17))
    packed = PackedExamples.prepare(source, tmp_path / "packed")
    assert_equal_examples(packed, source)
    assert_equal_examples(PackedExamples(tmp_path / "packed", source.config), source)
    assert json.loads((tmp_path / "packed/done.json").read_text())["hash"] == compute_pack_hash(source)
    packed.load(0)[0][:] = 0  # a copy: the file stays as it is
    assert_equal_examples(packed, source)


def test_packing_happens_once_and_again_when_contents_or_size_change(
    records: list[DataRecord], tmp_path: Path
) -> None:
    folder = tmp_path / "packed"
    source = ExampleSource(records, ExampleConfig(height=16, width=16))
    PackedExamples.prepare(source, folder)
    stamp = (folder / "done.json").stat().st_mtime_ns
    PackedExamples.prepare(source, folder)
    assert (folder / "done.json").stat().st_mtime_ns == stamp

    pixels = np.asarray(Image.open(records[1].image)).copy()
    pixels[0, 10] += 1
    records[1].image.write_bytes(encode(255 - pixels))
    changed = ExampleSource(records, ExampleConfig(height=16, width=16))
    assert_equal_examples(PackedExamples.prepare(changed, folder), changed)
    larger = ExampleSource(records, ExampleConfig(height=18, width=16))
    assert_equal_examples(PackedExamples.prepare(larger, folder), larger)
    with pytest.raises(DataError, match=r"holds uint8 \(4, 18, 16, 3\), expected uint8 \(4, 16, 16, 3\)"):
        PackedExamples(folder, source.config)


def test_two_runs_that_share_a_packed_folder_and_start_together_pack_once(
    records: list[DataRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ExampleSource(records, ExampleConfig(height=24, width=24))
    load, decoded = source.load, list[int]()

    def decode(index: int) -> tuple[np.ndarray, np.ndarray]:
        decoded.append(index)
        time.sleep(0.1)  # meanwhile the other one comes along
        return load(index)

    monkeypatch.setattr(source, "load", decode)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(PackedExamples.prepare, [source] * 2, [tmp_path / "packed"] * 2))
    assert decoded == [0, 1, 2, 3]
    monkeypatch.undo()
    for packed in found:
        assert_equal_examples(packed, source)


def test_labels_count_as_contents(records: list[DataRecord]) -> None:
    config = ExampleConfig(height=16, width=16)
    relabelled = [replace(records[0], category="tea"), *records[1:]]
    hashes = {compute_pack_hash(ExampleSource(r, config)) for r in (records, relabelled, records[:3])}
    assert len(hashes) == 3


def test_another_decoding_is_another_fingerprint(
    records: list[DataRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ExampleSource(records, ExampleConfig(height=16, width=16))
    before = source.compute_fingerprint(), compute_pack_hash(source)
    monkeypatch.setattr("cyclorama.data.examples.VERSION", 2)
    assert not {*before} & {source.compute_fingerprint(), compute_pack_hash(source)}


def test_shard_fingerprints_follow_the_contents_not_the_place(
    records: list[DataRecord], tmp_path: Path
) -> None:
    config = ExampleConfig(height=16, width=16)
    for name, chosen in (("a", records), ("b", records), ("c", records[:3])):
        write_shards(to_samples(chosen), tmp_path / name)
    a, b, c = (
        ExampleSource.open(SourceConfig(path=tmp_path / n), config).compute_fingerprint() for n in "abc"
    )
    assert a == b
    assert a != c


def test_content_hashes_see_every_file_wherever_it_lies(records: list[DataRecord], tmp_path: Path) -> None:
    config = ExampleConfig(height=16, width=16)

    def compute(chosen: list[DataRecord]) -> str:
        return ExampleSource(chosen, config).compute_content_hash()

    def move(place: Place | None, name: str) -> Path:
        assert isinstance(place, Path)
        return Path(shutil.copyfile(place, tmp_path / name))

    plain = compute(records)
    pairs = enumerate(records)
    moved = [replace(r, image=move(r.image, f"i{n}.png"), mask=move(r.mask, f"m{n}.png")) for n, r in pairs]
    held = [replace(r, image=r.image.read_bytes(), mask=r.mask.read_bytes()) for r in moved]  # type: ignore[union-attr]
    assert plain == compute(moved) == compute(held)
    changed = np.asarray(Image.open(moved[2].mask)).copy()
    changed[0, 0] ^= 255
    moved[2].mask.write_bytes(encode(changed))  # type: ignore[union-attr]
    others = [moved, records[::-1], records[:3], [replace(records[0], category="tea"), *records[1:]]]
    assert len({plain, *map(compute, others)}) == 5

    hashes = {}
    for name, chosen in (("a", records), ("b", records), ("c", moved)):
        write_shards(to_samples(chosen), tmp_path / name)
        for done in (True, False):
            source = SourceConfig(path=tmp_path / name, require_done=False)
            hashes[name, done] = ExampleSource.open(source, config).compute_content_hash()
            for mark in (tmp_path / name).glob("*.done.json"):
                mark.unlink()
    for done in (True, False):
        assert hashes["a", done] == hashes["b", done] != hashes["c", done]


def test_an_interrupted_pack_is_not_used(records: list[DataRecord], tmp_path: Path) -> None:
    folder = tmp_path / "packed"
    source = ExampleSource(records, ExampleConfig(height=16, width=16))
    PackedExamples.prepare(source, folder)
    whole = records[2].mask.read_bytes()  # type: ignore[union-attr]
    records[2].mask.write_bytes(b"broken")  # type: ignore[union-attr]
    broken = ExampleSource(records, ExampleConfig(height=16, width=16))
    with pytest.raises(DataError, match=r"image 'r2' \(mask\): not a readable image"):
        PackedExamples.prepare(broken, folder)
    with pytest.raises(DataError, match="no finished packed set"):
        PackedExamples(folder, source.config)
    records[2].mask.write_bytes(whole)  # type: ignore[union-attr]
    again = ExampleSource(records, ExampleConfig(height=16, width=16))
    assert_equal_examples(PackedExamples.prepare(again, folder), again)


def test_damaged_packs_and_full_disks_say_so(
    records: list[DataRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "packed"
    source = ExampleSource(records, ExampleConfig(height=16, width=16))
    PackedExamples.prepare(source, folder)
    (folder / "pixels.npy").write_bytes((folder / "pixels.npy").read_bytes()[:-1])
    with pytest.raises(DataError, match=r"pixels\.npy is damaged"):
        PackedExamples(folder, source.config)
    (folder / "meta.jsonl").write_text("{")
    with pytest.raises(DataError, match=r"meta\.jsonl is damaged"):
        PackedExamples(folder, source.config)
    (folder / "done.json").write_text("{}")
    with pytest.raises(DataError, match=r"done\.json has no hash"):
        PackedExamples(folder, source.config)
    monkeypatch.setattr(
        "cyclorama.data.examples.shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})()
    )
    with pytest.raises(OutputError, match=r"needs 0\.0 GB"):
        PackedExamples.prepare(source, tmp_path / "full")
    monkeypatch.undo()
    with pytest.raises(OutputError, match="cannot write .*Not a directory"):
        PackedExamples.prepare(source, records[0].image / "below")
    (tmp_path / "other" / "meta.jsonl").mkdir(parents=True)
    with pytest.raises(OutputError, match="cannot pack into .*other: Is a directory"):
        PackedExamples.prepare(source, tmp_path / "other")


def test_rendered_shards_are_read_as_written(tmp_path: Path) -> None:
    from cyclorama.files import write_atomic
    from cyclorama.scenes.items import RenderedItem
    from cyclorama.scenes.shards import done_path, pack_items, shard_path

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    mask = np.zeros((16, 16), np.uint8)
    mask[4:12, 5:9] = 255
    mask[4:12, 9] = 100
    meta = {"category": "coffee", "brand": "b1", "product_id": "p", "split": "train", "palette": ["#ffffff"]}
    items = [
        RenderedItem(f"k{i}", {"id": f"k{i}", **meta}, {"png": encode(pixels[i]), "mask.png": encode(mask)})
        for i in range(2)
    ]
    write_atomic(shard_path(tmp_path, 0), pack_items(items))
    write_atomic(done_path(tmp_path, 0), b'{"count": 2, "sha256": "x"}')
    source = ExampleSource.open(
        SourceConfig(path=tmp_path, split="train"), ExampleConfig(height=16, width=16)
    )
    for i in range(2):
        assert np.array_equal(source.load(i)[0], pixels[i])
        assert np.array_equal(source.load(i)[1], mask / np.float32(255))
    last = source.records[1]
    assert (last.id, last.category, last.brand, last.product_id, last.split) == (
        "k1", "coffee", "b1", "p", "train",
    )  # fmt: skip


@pytest.mark.parametrize(("size", "pads"), [((10, 8), ((2, 3), (0, 0))), ((5, 11), ((0, 0), (1, 2)))])
def test_padding_is_halved_and_its_odd_pixel_comes_last(size, pads) -> None:  # type: ignore[no-untyped-def]
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    mask = np.zeros((5, 8), np.uint8)
    mask[1:3, 2:7] = 200
    found, product = decode_example(encode(pixels), encode(mask), "product", size, "pad", "x")
    assert np.array_equal(found, np.pad(pixels, (*pads, (0, 0)), mode="edge"))
    assert np.array_equal(product, np.pad(mask, pads) / np.float32(255))


def test_masks_within_limits_are_taken() -> None:
    pixels = encode(np.zeros((100, 102, 3), np.uint8))
    wide = np.zeros((50, 51), np.uint8)
    for low, high, message in [
        (0, 128, None), (0, 127, "marks no product"), (127, 255, None), (128, 255, "marks everything"),
    ]:  # fmt: skip
        levels = wide + low
        levels[10:40, 10:40] = high
        mask = encode(levels.astype(np.uint8))
        if message is None:
            assert decode_example(pixels, mask, "product", (50, 51), "crop", "x")[
                1
            ].max() == high / np.float32(255)
        else:
            with pytest.raises(DataError, match=message):
                decode_example(pixels, mask, "product", (50, 51), "crop", "x")
    square = np.zeros((100, 100), np.uint8)
    square[20:60, 20:60] = 255
    decode_example(pixels, encode(square), "product", (50, 50), "crop", "x")  # 2 % of aspect is the same view
    with pytest.raises(DataError, match="their aspects must agree"):
        decode_example(pixels, encode(square[:, :99]), "product", (50, 50), "crop", "x")


def test_a_disk_with_just_enough_room_is_packed_on(
    records: list[DataRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [4 * 16 * 18 * 4]
    monkeypatch.setattr(
        "cyclorama.data.examples.shutil.disk_usage", lambda path: type("Usage", (), {"free": free[0]})()
    )
    source = ExampleSource(records, ExampleConfig(height=16, width=18))
    assert len(PackedExamples.prepare(source, tmp_path / "a")) == 4
    free[0] -= 1
    with pytest.raises(OutputError, match="packing 4 images of 16 x 18 needs"):
        PackedExamples.prepare(source, tmp_path / "b")
