"""Packed examples (``cyclorama.data.examples``): the room they need, and what comes back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cyclorama.data import examples as module
from cyclorama.data.examples import ExampleConfig, PackedExamples
from cyclorama.data.records import DataRecord
from cyclorama.errors import ConfigError, DataError, OutputError


class Three:
    """Three examples of 8 x 16."""

    config = ExampleConfig(height=8, width=16)
    records = tuple(DataRecord(str(n), Path("a.png"), Path("b.png"), category="cup") for n in range(3))

    def __len__(self) -> int:
        return 3

    def category(self, index: int) -> str:
        return f"cup {index}"

    def load(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return np.full((8, 16, 3), index, np.uint8), np.full((8, 16), index / 2, np.float32)


def test_packing_needs_four_bytes_a_pixel_and_gives_what_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for free in (3 * 8 * 16 * 4 - 1, 3 * 8 * 16 * 4):
        monkeypatch.setattr(module.shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        if free % 2:
            with pytest.raises(OutputError, match=r"3 images of 8 x 16 needs 0.0 GB, .* has 0.0 GB free"):
                module._pack(Three(), tmp_path, "hash")  # type: ignore[arg-type]
        else:
            module._pack(Three(), tmp_path, "hash")  # type: ignore[arg-type]
    packed = PackedExamples(tmp_path, Three.config)
    assert (len(packed), packed.category(2)) == (3, "cup 2")
    pixels, mask = packed.load(1)
    assert (pixels == 1).all() and np.abs(mask - 0.5).max() < 0.003
    assert module._load_hash(tmp_path) == "hash"


def test_training_takes_what_has_a_category_and_a_mask() -> None:
    masked, alone = Three.records[0], DataRecord("x", Path("a.png"), None, category="cup")
    assert module.select_records([masked, alone][:1], None) == [masked]
    own = replace(alone, mask_means="alpha")
    assert module.select_records([masked, own], None) == [masked, own]
    with pytest.raises(DataError, match="record 'x' has no mask file"):
        module.select_records([masked, alone], None)
    with pytest.raises(DataError, match="record 'x' has no category"):
        module.select_records([replace(own, category=None)], None)
    parts = [replace(masked, split="train"), replace(own, split="bg1k")]
    assert module.select_records(parts, "bg1k") == parts[1:]
    with pytest.raises(DataError, match=r"none of 2 images is in split 'test'.*\['bg1k', 'train'\]"):
        module.select_records(parts, "test")


def test_bright_is_the_product_in_shards_alone() -> None:
    assert module.SourceConfig(path=Path("s"), mask_means=None).kind == "shards"
    assert module.SourceConfig(path=Path("s"), kind="table", mask_means="background").kind == "table"
    with pytest.raises(ConfigError, match="mask_means does not apply to shards"):
        module.SourceConfig(path=Path("s"), mask_means="background")


def test_arrays_of_another_size_or_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for array in (np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.float32)):
        np.save(path, array)
        with pytest.raises(DataError, match=r"expected uint8 \(2, 2\); pack for this size"):
            module._map_array(path, (2, 2))
    np.save(path, np.ones((2, 2), np.uint8))
    assert (module._map_array(path, (2, 2)) == 1).all()
