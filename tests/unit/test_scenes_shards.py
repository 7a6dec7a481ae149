"""Proves bytes, done marks and ownership of a rendered set's shards."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from cyclorama.config import to_plain
from cyclorama.errors import OutputError
from cyclorama.files import write_atomic
from cyclorama.scenes import shards
from cyclorama.scenes.items import RenderConfig, RenderedItem

ITEMS = [
    RenderedItem(f"0-{k:06d}", {"id": k}, {"png": b"image%d" % k, "mask.png": b"mask%d" % k})
    for k in range(3)
]


def test_a_shard_has_three_members_an_item_and_plain_headers() -> None:
    data = shards.pack_items(ITEMS)
    assert data == shards.pack_items(ITEMS)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
        assert [m.name for m in members[:3]] == ["0-000000.png", "0-000000.mask.png", "0-000000.json"]
        assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in members} == {(0, 0, 0, "", 0o644)}
        stored = tar.extractfile("0-000002.mask.png")
        assert stored is not None
        assert stored.read() == b"mask2"


def test_extras_lie_between_mask_and_metadata_and_are_read_back(tmp_path: Path) -> None:
    members = {"png": b"truth", "mask.png": b"mask", "product.png": b"cut", "reference.png": b"other"}
    item = RenderedItem("bgpair-0-000000", {"id": "a"}, members)
    data = shards.pack_items([item, *ITEMS])
    write_atomic(shards.shard_path(tmp_path, 0), data)
    assert list(shards.read_items(tmp_path)) == []  # no done mark: not finished
    write_atomic(shards.done_path(tmp_path, 0), b"{}")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = [m.name.partition(".")[2] for m in tar.getmembers()[:5]]
    assert names == ["png", "mask.png", "product.png", "reference.png", "json"]
    assert list(shards.read_items(tmp_path)) == [item, *ITEMS]


@pytest.mark.parametrize(("kind", "used"), [("train", "train"), ("bg1k", "other"), ("bgpair", "other")])
def test_each_kind_is_rendered_by_its_own_function(tmp_path: Path, monkeypatch, kind, used) -> None:
    for name in ("render_item", "render_held_out_item"):
        said = b"train" if name == "render_item" else b"other"
        made = RenderedItem("k", {"id": 0}, {"png": said, "mask.png": b"mask"})
        monkeypatch.setattr(shards, name, lambda config, index, made=made: made)
    shards.write_shard(tmp_path, RenderConfig(seed=0, kind=kind), 0, 1)
    assert [i.members["png"] for i in shards.read_items(tmp_path)] == [used.encode()]


def test_a_shard_is_done_only_with_mark_count_and_bytes(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(shards, "render_item", lambda config, index: ITEMS[index])
    shards.write_shard(tmp_path, RenderConfig(seed=0), 0, 3)
    assert shards.is_done(tmp_path, 0, 3)
    assert not shards.is_done(tmp_path, 0, 4)
    assert not shards.is_done(tmp_path, 1, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shard-000000.done.json", "shard-000000.tar"]
    path = shards.shard_path(tmp_path, 0)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert not shards.is_done(tmp_path, 0, 3)
    shards.done_path(tmp_path, 0).write_text("{")
    assert not shards.is_done(tmp_path, 0, 3)


def test_a_shard_holds_the_items_of_its_number(tmp_path: Path, monkeypatch) -> None:
    rendered: list[int] = []
    monkeypatch.setattr(shards, "render_item", lambda config, index: rendered.append(index) or ITEMS[0])
    shards.write_shard(tmp_path, RenderConfig(seed=0, shard_size=3), 2, 2, lambda: rendered.append(-1))
    assert rendered == [6, -1, 7, -1]
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["shard-000002.done.json", "shard-000002.tar"]


def test_a_kill_before_the_mark_leaves_the_shard_open(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(shards, "render_item", lambda config, index: ITEMS[index])
    shards.write_shard(tmp_path, RenderConfig(seed=0), 0, 3)
    shards.done_path(tmp_path, 0).unlink()
    assert not shards.is_done(tmp_path, 0, 3)


def test_another_config_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    shards.claim_folder(tmp_path, to_plain(RenderConfig(seed=0, size=64)))
    shards.claim_folder(tmp_path, to_plain(RenderConfig(seed=0, size=64)))
    with pytest.raises(OutputError, match="size: 64 there, 128 asked"):
        shards.claim_folder(tmp_path, to_plain(RenderConfig(seed=0, size=128)))
    assert json.loads((tmp_path / "config.json").read_text())["size"] == 64


def test_foreign_shards_or_config_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "shard-000000.tar").touch()
    with pytest.raises(OutputError, match=r"shards but no config\.json"):
        shards.claim_folder(tmp_path / "a", to_plain(RenderConfig(seed=0)))
    (tmp_path / "config.json").write_text("not json")
    with pytest.raises(OutputError, match="is not a run's config"):
        shards.claim_folder(tmp_path, to_plain(RenderConfig(seed=0)))
    with pytest.raises(OutputError, match="cannot make the folder"):
        shards.claim_folder(tmp_path / "config.json", to_plain(RenderConfig(seed=0)))
