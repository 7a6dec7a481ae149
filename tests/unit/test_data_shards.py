"""Shards: deterministic, resumable, readable by webdataset, and every damage named."""

from __future__ import annotations

import io
import json
import logging
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclorama.data.decode import find_stored_suffix
from cyclorama.data.shards import (
    Sample,
    build_index,
    iter_members,
    list_shards,
    load_done_mark,
    name_keys,
    read_shards,
    write_shards,
)
from cyclorama.errors import DataError, OutputError


def encode(array: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind)
    return stream.getvalue()


def make_samples(count: int, start: int = 0) -> list[Sample]:
    samples = []
    for i in range(start, start + count):
        pixels = np.full((4, 6, 3), i, np.uint8)
        mask = np.zeros((4, 6), np.uint8)
        mask[1:3, 2:4] = 255
        meta = {"id": f"p{i}", "category": "酒", "brand": None, "seed": i}
        samples.append(Sample(f"p{i:03d}", encode(pixels), encode(mask), meta))
    return samples


def test_what_is_written_is_read_in_order(tmp_path: Path) -> None:
    samples = make_samples(5)
    paths = write_shards(samples, tmp_path, shard_size=2)
    assert [p.name for p in paths] == ["shard-000000.tar", "shard-000001.tar", "shard-000002.tar"]
    assert list(read_shards(tmp_path)) == samples
    assert list(read_shards(paths[2])) == samples[4:]
    assert list(read_shards(str(tmp_path / "shard-00000[01].tar"))) == samples[:4]
    wild = tmp_path.parent / f"{tmp_path.name[:-1]}?" / "shard-000002.*"
    assert list(read_shards(wild)) == samples[4:]
    assert not list(tmp_path.glob("*.part"))


def test_equal_samples_give_equal_bytes(tmp_path: Path) -> None:
    (first,) = write_shards(make_samples(3), tmp_path / "a")
    (second,) = write_shards(iter(make_samples(3)), tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    mark = load_done_mark(first)
    assert mark is not None
    assert (mark["count"], mark["bytes"]) == (3, first.stat().st_size)
    assert mark == load_done_mark(second)


def test_the_index_reads_any_member_of_any_shard(tmp_path: Path) -> None:
    samples = make_samples(5)
    write_shards(samples, tmp_path, shard_size=2)
    index = build_index(tmp_path)
    assert len(index) == 5
    shards = [str(path) for path in list_shards(tmp_path)]
    assert [shards.index(entry.shard) for entry in index.values()] == [0, 0, 1, 1, 2]
    for sample in reversed(samples):
        entry = index[sample.key]
        assert (entry.read("png"), entry.read("mask.png"), entry.meta) == (
            sample.image,
            sample.mask,
            sample.meta,
        )
    with pytest.raises(DataError, match="key 'p000' has no member webp; it has .'png', 'mask.png', 'json'."):
        index["p000"].read("webp")


def test_webdataset_reads_our_shards(tmp_path: Path) -> None:
    tariterators = pytest.importorskip("webdataset.tariterators")
    samples = make_samples(3)
    (path,) = write_shards(samples, tmp_path)
    with path.open("rb") as stream:  # webdataset.WebDataset leaves its files to the garbage collector
        members = tariterators.tar_file_expander([{"url": str(path), "stream": stream}])
        found = list(tariterators.group_by_keys(members))
    assert [item["__key__"] for item in found] == ["p000", "p001", "p002"]
    assert [item["png"] for item in found] == [sample.image for sample in samples]
    assert [item["mask.png"] for item in found] == [sample.mask for sample in samples]
    assert [json.loads(item["json"]) for item in found] == [sample.meta for sample in samples]


def test_we_read_shards_that_webdataset_wrote(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    samples = make_samples(2)
    path = tmp_path / "other-1.tar"
    with webdataset.TarWriter(str(path)) as sink:
        for s in samples:
            sink.write(
                {"__key__": s.key, "png": s.image, "mask.png": s.mask, "json": json.dumps(s.meta).encode()}
            )
    assert list(read_shards(path, require_done=False)) == samples
    with pytest.raises(DataError, match="require_done=False"):
        list(read_shards(path))


def test_an_interrupted_run_goes_on_and_keeps_finished_shards(tmp_path: Path) -> None:
    samples = make_samples(6)

    def interrupted():
        yield from samples[:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(interrupted(), tmp_path, shard_size=2)
    assert len(list_shards(tmp_path)) == 2
    os.utime(tmp_path / "shard-000000.tar", ns=(1, 1))
    (tmp_path / "shard-000001.done.json").unlink()
    write_shards(samples, tmp_path, shard_size=2)
    assert list(read_shards(tmp_path)) == samples
    assert (tmp_path / "shard-000000.tar").stat().st_mtime_ns == 1
    assert (tmp_path / "shard-000001.tar").stat().st_mtime_ns != 1


def test_shards_without_a_done_mark_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    samples = make_samples(4)
    write_shards(samples, tmp_path, shard_size=2)
    (tmp_path / "shard-000001.done.json").write_text("{")
    with caplog.at_level(logging.WARNING):
        assert list(read_shards(tmp_path)) == samples[:2]
    assert "left out 1 of 2 shards" in caplog.text
    assert list(read_shards(tmp_path, require_done=False)) == samples


def test_another_sets_shards_are_not_overwritten(tmp_path: Path) -> None:
    write_shards(make_samples(4), tmp_path, shard_size=2)
    with pytest.raises(OutputError, match="holds other images"):
        write_shards(make_samples(4, start=9), tmp_path, shard_size=2)
    with pytest.raises(OutputError, match=r"also holds shard-000001.tar of another set"):
        write_shards(make_samples(2), tmp_path, shard_size=2)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write shards"):
        write_shards(make_samples(1), tmp_path / "file")


@pytest.mark.parametrize("key", ["", "a.b", "a/b", " a", "a\n"])
def test_keys_that_webdataset_would_cut_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(DataError, match="cannot name a shard member"):
        write_shards([Sample(key, b"", None)], tmp_path)


def test_repeated_keys_and_bad_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'p000' appears twice"):
        write_shards(make_samples(1) * 2, tmp_path / "a", shard_size=1)
    with pytest.raises(DataError, match="shard_size is 0"):
        write_shards([], tmp_path / "b", shard_size=0)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    (path,) = write_shards(make_samples(3), tmp_path)
    data = path.read_bytes()
    whole = len(data.rstrip(b"\0")) // 512 * 512 + 512 + 1024
    for size in range(0, whole, 512):
        path.write_bytes(data[:size])
        with pytest.raises(DataError, match=r"shard-000000\.tar"):
            build_index(path, require_done=False)
    path.write_bytes(data[:whole])
    assert len(build_index(path)) == 3


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("folder", ["", "f/", "long" * 40 + "/", "饼/"])
def test_every_kind_of_tar_lists_the_members_tarfile_lists(tmp_path: Path, kind: int, folder: str) -> None:
    path = tmp_path / "x.tar"
    if kind == tarfile.USTAR_FORMAT and folder.startswith("long"):
        folder = "long" * 30 + "/"  # fits into the prefix field
    with tarfile.open(path, "w", format=kind) as tar:
        tar.add(tmp_path, "d", recursive=False)
        for i, size in enumerate([0, 1, 511, 512, 513]):
            info = tarfile.TarInfo(("" if i == 0 else folder) + f"k{i}.png")
            info.size = size
            tar.addfile(info, io.BytesIO(bytes([i]) * size))
    with tarfile.open(path) as tar:
        expected = [(m.name, m.offset_data, m.size) for m in tar if m.isfile()]
    assert len(expected) == 5
    with path.open("rb") as stream:
        found = []
        for member in iter_members(stream):
            stream.seek(7)  # the reader may move the stream
            found.append(member)
    assert found == expected
    data = path.read_bytes()
    end = expected[-1][1] + 1024  # the last member's two blocks
    for size in (*range(512, end, 512), end, end + 512):
        path.write_bytes(data[:size])
        with path.open("rb") as stream, pytest.raises(tarfile.TarError):
            list(iter_members(stream))


def test_a_cut_in_a_member_names_the_key(tmp_path: Path) -> None:
    (path,) = write_shards(make_samples(3), tmp_path)
    entry = build_index(path)["p001"]
    path.write_bytes(path.read_bytes()[: get_offset(entry.members["mask.png"]) + 10])
    with pytest.raises(DataError, match=r"shard-000000.tar is truncated or not a tar at or after key 'p001'"):
        list(read_shards(path))


def test_a_shard_that_shrinks_after_indexing_names_the_key(tmp_path: Path) -> None:
    (path,) = write_shards(make_samples(2), tmp_path)
    index = build_index(path)
    path.write_bytes(path.read_bytes()[: get_offset(index["p001"].members["png"]) + 1])
    with pytest.raises(DataError, match=r"key 'p001': .*shard-000000.tar is cut off: 1 of"):
        index["p001"].read("png")
    path.unlink()
    with pytest.raises(DataError, match=r"key 'p000': cannot read .*shard-000000.tar"):
        index["p000"].read("png")


def get_offset(address: str) -> int:
    return int(address.rpartition("::")[2].partition("+")[0])


def write_members(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


DAMAGED = {
    "no image": ([("k.json", b"{}"), ("k.mask.png", b"")], "key 'k' has no image"),
    "no json": ([("k.png", b"")], "key 'k' has no json member, only \\['png'\\]"),
    "bad json": ([("k.png", b""), ("k.json", b"{")], "key 'k': its JSON member is not valid"),
    "list json": ([("k.png", b""), ("k.json", b"[]")], "key 'k': its JSON member is no object"),
    "member twice": ([("k.png", b""), ("k.png", b""), ("k.json", b"{}")], "key 'k' has member 'png' twice"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_incomplete_images_are_named(tmp_path: Path, case: str) -> None:
    members, message = DAMAGED[case]
    path = write_members(tmp_path / "bad.tar", members)
    with pytest.raises(DataError, match=f"bad.tar: {message}"):
        list(read_shards(path, require_done=False))


def test_sets_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    one = write_members(tmp_path / "1.tar", [("k.png", b""), ("k.json", b"{}")])
    write_members(tmp_path / "2.tar", [("k.png", b""), ("k.json", b"{}")])
    with pytest.raises(DataError, match=r"2\.tar: key 'k' is also in .*1\.tar"):
        build_index(tmp_path, require_done=False)
    (tmp_path / "1.done.json").write_text('{"count": 2}')
    with pytest.raises(DataError, match="holds 1 images, its done mark says 2"):
        build_index(one)
    with pytest.raises(DataError, match="no shards"):
        list_shards(tmp_path / "nowhere")
    one.write_bytes(b"not a tar" * 100)
    with pytest.raises(DataError, match=r"1\.tar is truncated or not a tar"):
        build_index(one)


def test_keys_are_made_from_ids_and_differ() -> None:
    ids = ["x/a.1", "x_a_1", "x a\n1", "...", "/", "x_a_1-2"]
    assert list(name_keys(ids)) == ["x_a_1", "x_a_1-2", "x_a_1-3", "image", "image-2", "x_a_1-2-2"]


def test_only_upright_rgb_files_go_into_a_shard_as_they_are() -> None:
    pixels = np.zeros((4, 8, 3), np.uint8)
    assert [find_stored_suffix(encode(pixels, kind)) for kind in ("PNG", "JPEG", "WEBP", "BMP")] == [
        "png", "jpg", "webp", None,
    ]  # fmt: skip
    assert find_stored_suffix(encode(pixels[..., 0])) is None  # grey
    for turn, expected in ((1, "jpg"), (6, None)):
        exif, stream = Image.Exif(), io.BytesIO()
        exif[0x0112] = turn
        Image.fromarray(pixels).save(stream, "JPEG", exif=exif)
        assert find_stored_suffix(stream.getvalue()) == expected


def test_a_tar_cut_right_after_a_member_lacks_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("a.png")
        info.size = 512
        tar.addfile(info, io.BytesIO(bytes([1]) * 512))
    path.write_bytes(path.read_bytes()[:1024])
    with (
        path.open("rb") as stream,
        pytest.raises(tarfile.ReadError, match="the end-of-archive mark is missing"),
    ):
        list(iter_members(stream))
    with path.open("rb") as stream:
        assert next(iter_members(stream)) == ("a.png", 512, 512)  # the member itself is whole
