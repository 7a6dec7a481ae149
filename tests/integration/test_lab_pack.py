"""A packed set is read as the set it was made from."""

from __future__ import annotations

import numpy as np
import pytest

from cyclorama.cli import main
from cyclorama.data.examples import ExampleConfig, ExampleSource, SourceConfig
from cyclorama.scenes.items import RenderConfig
from cyclorama.scenes.shards import claim_folder, write_shard


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "ads"
    config = RenderConfig(seed=3, size=64, samples=1, shard_size=2, categories=("perfume", "mug"))
    claim_folder(folder, {})
    for number in range(2):
        write_shard(folder, config, number, 2)
    return folder


def open_set(folder):
    return ExampleSource.open(SourceConfig(path=folder), ExampleConfig(height=64, width=64))


def test_masks_are_equal_and_images_nearly(rendered, tmp_path, capsys):
    assert main(["lab", "pack", str(rendered), "--out", str(tmp_path)]) == 0
    assert "2 of 2 shards packed" in capsys.readouterr().out
    whole, packed = open_set(rendered), open_set(tmp_path)
    assert [packed.category(i) for i in range(4)] == [whole.category(i) for i in range(4)]
    for index in range(4):
        (pixels, mask), (found, found_mask) = whole.load(index), packed.load(index)
        np.testing.assert_array_equal(found_mask, mask)
        error = np.square(found.astype(float) - pixels).mean()
        assert 10 * np.log10(255**2 / error) > 30
    size = sum(path.stat().st_size for path in rendered.glob("shard-*.tar"))
    assert sum(path.stat().st_size for path in tmp_path.glob("shard-*.tar")) < size
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert main(["lab", "pack", str(rendered), "--out", str(tmp_path)]) == 0
    assert "0 of 2 shards packed" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_another_set_or_quality_is_packed_anew(rendered, tmp_path, capsys):
    other = tmp_path / "other"
    claim_folder(other, {})
    write_shard(other, RenderConfig(seed=4, size=64, samples=1, shard_size=2, categories=("whisky",)), 0, 2)
    out = tmp_path / "packed"
    for folder, quality, said in ((other, 92, "1 of 1"), (rendered, 92, "2 of 2"), (rendered, 80, "2 of 2")):
        assert main(["lab", "pack", str(folder), "--out", str(out), "--quality", str(quality)]) == 0
        assert f"{said} shards packed" in capsys.readouterr().out
    assert {open_set(out).category(i) for i in range(4)} == {"perfume", "mug"}
    assert main(["lab", "pack", str(other), "--out", str(out)]) == 2
    assert f"holds shard-000001.tar, which {other} has not" in capsys.readouterr().err


def test_bad_requests_are_named(rendered, tmp_path, capsys):
    assert main(["lab", "pack", str(rendered), "--out", str(tmp_path), "--quality", "0"]) == 2
    assert "--quality is 0; give 1 to 100" in capsys.readouterr().err
    assert main(["lab", "pack", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "holds no finished shard" in capsys.readouterr().err
