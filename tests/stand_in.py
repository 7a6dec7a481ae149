"""A stand-in model and the run of a small shop with it."""

from __future__ import annotations

import json
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from cyclorama.generation.gate_settings import GateThresholds
from cyclorama.generation.items import ItemSource
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.plan import PlanRow
from cyclorama.generation.run import RunResult, run_images
from cyclorama.generation.settings import GenerateConfig, RunConfig, RunSettings
from cyclorama.generation.worker import ImageJob
from cyclorama.jobs.job import EngineSettings, Hooks
from cyclorama.jobs.store import ShardStore
from cyclorama.models.registry import CategoryRegistry
from drawn import save_product

ROW = PlanRow(
    row=3, name="a.png", id=None, image="/shop/a.png", mask=None, reference=None, reference_mask=None,
    mask_means=None, seed=None, category_given="fruit", category="fruit", identifier="fruit",
    category_source="name", category_match="fruit", output="a", key="k",
)  # fmt: skip


def build_registry() -> CategoryRegistry:
    known = CategoryRegistry()
    known.add("fruit")
    return known


@dataclass
class StandIn:
    """Noise of the image's own generator in place of a background; counts and limits its batches."""

    registry: CategoryRegistry = field(default_factory=build_registry)
    image_size: int = 64
    image_multiple: int = 8
    room: int = 1000
    """Larger batches raise what a full GPU raises."""
    seconds: float = 0.0
    calls: list[int] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    spoil: Callable[[Any], Any] = lambda answer: answer

    def __call__(self, images: Any, masks: Any, categories: Any, generators: Any, **kwargs: Any) -> Any:
        self.calls.append(len(images))
        self.threads.add(threading.current_thread().name)
        if len(images) > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        time.sleep(self.seconds)
        noise = torch.cat(
            [torch.rand(1, *i.shape, generator=g) for i, g in zip(images, generators, strict=True)]
        )
        return self.spoil(noise * 2 - 1)


@pytest.fixture(name="folder")
def shop(tmp_path: Path) -> Path:
    """Seven products of two shapes and their manifest."""
    for i in range(7):
        save_product(tmp_path / f"p{i}.png", i, (64, 64) if i % 3 else (64, 128))
    write_manifest(tmp_path, [{"image": f"p{i}.png"} for i in range(7)])
    return tmp_path


def write_manifest(folder: Path, rows: list[dict[str, Any]]) -> None:
    lines = [json.dumps({"category": "fruit"} | row) + "\n" for row in rows]
    (folder / "m.jsonl").write_text("".join(lines))


ENGINE = ("workers", "threads", "loaders", "shard_size")


def build_config(settings: dict[str, Any] | None = None, **values: Any) -> RunConfig:
    """A run of the stand-in on the CPU; a gate passed to :func:`run` judges in place of the limits."""
    engine = {name: values.pop(name) for name in ENGINE if name in values}
    limits = GateThresholds() if values.get("attempts") or values.get("keep") == "best" else None
    return RunConfig(
        GenerateConfig(**(settings or {"batch_size": 2})),
        RunSettings(dtype="float32", **values),
        EngineSettings(device="cpu", **{"shard_size": 4, **engine}),
        gate=limits,
    )


def run(
    folder: Path, out: str = "out", model: StandIn | None = None, hooks: Hooks | None = None, **values: Any
) -> tuple[RunResult, StandIn]:
    loaded = model or StandIn()
    gate, engine = values.pop("gate", None), values.pop("engine", None)
    handle = ModelHandle("stand-in", Path(), "0" * 12, loaded.registry)
    result = run_images(
        ItemSource(folder / "m.jsonl"), folder / out, handle, build_config(**values), hooks, engine=engine,
        load_model=lambda *_: loaded, gate=gate,
    )  # fmt: skip
    return result, loaded


def build_job(folder: Path, config: RunConfig) -> ImageJob:
    handle = ModelHandle("stand-in", Path(), "0" * 12, build_registry())
    return ImageJob(folder / "out", config, handle, load_model=lambda *_: StandIn())  # type: ignore[arg-type]


def read_rows(folder: Path, out: str = "out") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / out / "results.parquet").to_pylist()
    return rows


def read_stable(out: Path) -> dict[str, bytes]:
    """Every file whose bytes are promised."""
    files = [out / "results.parquet", out / "results.jsonl"]
    for part in ("images", "webdataset", "layers"):
        files += sorted(p for p in (out / part).rglob("*") if p.is_file())
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in files}


def count_held_marks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many marks lived each time that one was loaded; grows as they are."""
    load, marks, held = ShardStore.load_mark, list[Any](), list[int]()

    class Mark(dict[str, Any]):
        """One that can be watched."""

    def watch(self: ShardStore, shard: int, key: str | None = None) -> Any:
        mark = load(self, shard, key)
        held.append(sum(known() is not None for known in marks))
        if mark is None:
            return None
        mark = Mark(mark)
        marks.append(weakref.ref(mark))
        return mark

    monkeypatch.setattr(ShardStore, "load_mark", watch)
    return held
