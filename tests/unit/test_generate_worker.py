"""The worker on a stand-in model: overlap, memory that runs out, gates, references, tars, torn journals."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cyclorama.errors import ModelError, SettingsError
from cyclorama.generation import batches
from cyclorama.generation.batches import choose_batch_size, compute_cpu_batch
from cyclorama.generation.engine import Sampler, is_out_of_memory
from cyclorama.generation.gates import GateVerdict
from cyclorama.generation.items import ItemSource
from cyclorama.generation.job import ReferenceCache, RowFiles
from cyclorama.generation.plan import PlanRow, build_plan
from cyclorama.generation.results import read_status
from cyclorama.generation.run import plan_job
from cyclorama.generation.settings import GenerateConfig, RunConfig, RunSettings
from cyclorama.generation.task import Task
from cyclorama.imaging.product import Product
from cyclorama.jobs.in_process import InProcessEngine
from cyclorama.jobs.job import Hooks
from stand_in import (
    StandIn,
    build_config,
    build_job,
    build_registry,
    read_rows,
    read_stable,
    run,
    write_manifest,
)
from stand_in import shop as shop

# --- the worker -------------------------------------------------------------------------------------------


def test_overlap_changes_no_byte(folder: Path) -> None:
    run(folder, "a", in_flight=1, loaders=1)
    run(folder, "b", StandIn(seconds=0.01), in_flight=4, loaders=5)
    assert read_stable(folder / "a") == read_stable(folder / "b")


def test_model_runs_in_one_thread_and_its_share_is_measured(folder: Path) -> None:
    result, model = run(folder, model=StandIn(seconds=0.1))
    assert len(model.threads) == 1
    assert result.work.busy_seconds == pytest.approx(0.1 * len(model.calls), rel=0.5)
    assert 0 <= result.work.idle_share < 1


def build_blank() -> Product:
    matte = np.zeros((64, 64), np.float32)
    matte[16:48, 16:48] = 1
    return Product(np.zeros((64, 64, 3), np.uint8), matte)


def test_batches_follow_from_the_shard(folder: Path) -> None:
    """Shard 0 holds shapes wide, square, square, wide; shard 1 square, square, wide."""
    _, model = run(folder)
    assert [row["batch_places"] for row in read_rows(folder)] == [2, 2, 2, 2, 2, 2, 1]
    assert sorted(model.calls) == [1, 2, 2, 2]


def test_out_of_memory_halves_the_batch() -> None:
    model = StandIn(room=1)
    sampler = Sampler(model, GenerateConfig(), 4)
    product = build_blank()
    results = sampler.sample([Task(product, model.registry.categories[0], s) for s in range(4)], 4)
    assert model.calls == [4, 2, 1, 1, 1, 1]
    assert [(made.seed, places) for made, places, _ in results] == [(s, 1) for s in range(4)]
    assert all(0 < made.seconds < 60 and 0 < share < 60 for made, _, share in results)
    assert 0 < sampler.busy_seconds < 60
    sampler.close()


def test_out_of_memory_costs_no_row(folder: Path) -> None:
    notes: list[str] = []
    settings = {"batch_size": 4}
    hooks = Hooks(noted=notes.append)
    result, model = run(folder, "a", StandIn(room=1), hooks, settings=settings, shard_size=7, in_flight=1)
    assert (result.done, result.failed) == (7, 0)
    assert max(model.calls) > 1
    assert {row["batch_places"] for row in read_rows(folder, "a")} == {1}
    assert "1 instead of 4" in notes[0]
    run(folder, "b", settings={"batch_size": 1}, shard_size=7)
    ours, theirs = (
        {name: data for name, data in read_stable(folder / out).items() if name.startswith("images")}
        for out in "ab"
    )
    assert ours == theirs


@pytest.mark.parametrize(
    ("error", "expected"),
    [(RuntimeError("CUDA out of memory."), True), (torch.cuda.OutOfMemoryError("CUDA out of memory"), True),
     (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True), (MemoryError(), True),
     (RuntimeError("shape mismatch"), False), (OSError("out of memory"), False)],
)  # fmt: skip
def test_what_counts_as_out_of_memory(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_a_image_too_large_alone_is_a_failed_row(folder: Path) -> None:
    result, _ = run(folder, model=StandIn(room=0))
    assert (result.done, result.failed) == (0, 7)
    assert {(row["error"], "out of memory" in row["reason"]) for row in read_rows(folder)} == {
        ("RuntimeError", True)
    }


def test_one_that_breaks_does_not_take_its_batch_along(folder: Path) -> None:
    def spoil(answer: Any) -> Any:
        if answer.shape[0] > 1:
            raise RuntimeError("only singly")
        return answer

    model = StandIn(spoil=spoil)
    sampler = Sampler(model, GenerateConfig(), 4)
    product = build_blank()
    results = sampler.sample([Task(product, model.registry.categories[0], s) for s in range(2)], 1)
    assert [type(made).__name__ for made, _, _ in results] == ["Generated", "Generated"]
    results = sampler.sample([Task(product, model.registry.categories[0], s) for s in range(2)], 2)
    assert [str(made) for made, _, _ in results] == ["only singly"] * 2
    sampler.close()


def test_a_lost_device_ends_the_run_and_nothing_is_counted(folder: Path) -> None:
    def lose(answer: Any) -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(ModelError, match="device failed"):
        run(folder, model=StandIn(spoil=lose))
    assert read_status(folder / "out")["failed"] == 0
    result, _ = run(folder)
    assert (result.done, result.failed) == (7, 0)


def test_not_a_number_is_a_failed_row(folder: Path) -> None:
    result, _ = run(folder, model=StandIn(spoil=lambda answer: answer * float("nan")))
    assert {row["error"] for row in read_rows(folder)} == {"ModelError"}
    assert result.failed == 7


def test_references_are_decoded_once_by_content(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ReferenceCache] = []
    original = ReferenceCache.__init__

    def note(self: ReferenceCache, *args: Any) -> None:
        original(self, *args)
        made.append(self)

    monkeypatch.setattr(ReferenceCache, "__init__", note)
    texture = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    for name in ("r1.png", "r2.png"):
        Image.fromarray(texture).save(folder / name)
    write_manifest(folder, [{"image": f"p{i}.png", "reference": f"r{1 + i % 2}.png"} for i in range(7)])
    result, _ = run(folder)
    assert result.done == 7
    assert [cache.decoded for cache in made] == [1]


def test_small_cache_still_gives_the_right_reference(folder: Path) -> None:
    cache = ReferenceCache(capacity=1)
    from cyclorama.generation.job import inspect_row
    from cyclorama.generation.plan import build_plan

    write_manifest(folder, [{"image": "p1.png", "reference": f"p{i}.png"} for i in (2, 4, 2)])
    job = build_job(folder, build_config())
    plan = build_plan(ItemSource(folder / "m.jsonl"), folder / "plan", job.config.rules, build_registry(), {})
    loaded = [cache.load(row, inspect_row(job, row, folder)) for row in plan.read_shard(0)]
    assert cache.decoded == 3
    assert [r.name for r in loaded if r is not None] == ["p2.png", "p4.png", "p2.png"]


@pytest.mark.parametrize(("room", "decoded"), [(0, 5), (-1, 7)])
def test_a_cache_counts_pixels_and_masks(folder: Path, room: int, decoded: int) -> None:
    for name in ("a", "b", "c"):
        Image.new("RGB", (80, 70), (90, 80, 70)).save(folder / f"{name}.png")
    mask = Image.new("L", (80, 70), 0)
    mask.paste(255, (20, 20, 60, 60))
    mask.save(folder / "mask.png")
    row = build_plan_row(folder)
    cache = ReferenceCache(capacity=2 * 80 * 70 * (3 + 4) + room)
    for name in ("a", "b", "a", "c", "a", "b", "c"):
        paths = {"reference": folder / f"{name}.png", "reference_mask": folder / "mask.png"}
        digests = {"reference": name, "reference_mask": "m"}
        files = RowFiles(paths | {"image": folder / "p1.png"}, digests, (64, 64), "")
        assert cache.load(row, files) is not None
    assert cache.decoded == decoded


def build_plan_row(folder: Path) -> PlanRow:
    job = build_job(folder, build_config())
    plan = build_plan(ItemSource(folder / "m.jsonl"), folder / "plan", job.config.rules, build_registry(), {})
    return plan.read_shard(0)[0]


class Progress:
    """What the caller is told of a run."""

    def __init__(self) -> None:
        self.total, self.steps = 0, [0]

    def start(self, total: int) -> None:
        self.total = total

    def build_hooks(self, **values: Any) -> Hooks:
        return Hooks(started=self.start, advanced=self.steps.append, **values)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"attempts": 3, "gate": True},
        {"settings": {"batch_size": 2, "candidates": 2, "outputs": ("1:1", "2:1")}},
    ],
    ids=["plain", "attempts", "several images a row"],
)  # fmt: skip
def test_progress_counts_every_image_once(folder: Path, values: dict[str, Any]) -> None:
    """Also where one fails inside a batch, and where the gate asks for further ones."""
    values = dict(values)
    (folder / "broken.png").write_bytes((folder / "p0.png").read_bytes()[:-200])
    write_manifest(
        folder, [{"image": name} for name in ("p0.png", "broken.png", "p3.png", "p1.png", "gone.png")]
    )
    gate = EvenGate(never=True) if values.pop("gate", False) else None
    progress = Progress()
    result, _ = run(folder, hooks=progress.build_hooks(), gate=gate, **values)
    assert (result.done, result.failed) == (3, 2)
    assert progress.total == 5 * values.get("settings", {}).get("candidates", 1) ** 2
    assert sum(progress.steps) == progress.total
    assert min(progress.steps) >= 0


def test_progress_of_a_shard_that_is_begun_twice_never_exceeds_the_whole(folder: Path) -> None:
    """A worker that dies has told of images that its successor finds finished."""

    class Twice(InProcessEngine):
        def run(self, job: Any, shards: Any, hooks: Any) -> Any:
            hooks.advanced(3)
            yield from super().run(job, shards, hooks)

    progress = Progress()
    run(folder, hooks=progress.build_hooks(), engine=Twice())
    assert sum(progress.steps) == progress.total == 7


# --- gates, candidates, layouts ---------------------------------------------------------------------------


@dataclass(frozen=True)
class EvenGate:
    """Passes images with an even seed; scores by the seed."""

    never: bool = False

    def __call__(self, made: Any, product: Any, reference: Any) -> GateVerdict:
        passed = made.seed % 2 == 0 and not self.never
        return GateVerdict(passed, float(made.seed % 1000), {"seed": made.seed}, "" if passed else "odd")

    def describe(self) -> dict[str, Any]:
        return {"never": self.never}


def test_refused_images_are_tried_with_other_seeds(folder: Path) -> None:
    (folder / "broken.png").write_bytes((folder / "p0.png").read_bytes()[:200])
    names = [*(f"p{i}.png" for i in range(7)), "broken.png", "gone.png"]
    write_manifest(folder, [{"image": name} for name in names])
    result, _ = run(folder, attempts=8, gate=EvenGate())
    assert (result.done, result.failed) == (7, 2)
    rows = read_rows(folder)[:7]
    assert all(row["seed"] % 2 == 0 and row["gate_passed"] for row in rows)
    assert result.made == sum(row["attempts"] for row in rows) > 7
    assert len(list((folder / "out/images").iterdir())) == 7
    first = read_stable(folder / "out")
    run(folder, "again", attempts=8, in_flight=1, gate=EvenGate())
    assert read_stable(folder / "again") == first


def test_the_best_is_kept_and_marked_if_none_passes(folder: Path) -> None:
    run(folder, attempts=2, gate=EvenGate(never=True))
    for row in read_rows(folder):
        assert (row["attempts"], row["gate_passed"], row["status"]) == (3, False, "done")
        assert json.loads(row["gate"]) == {"values": {"seed": row["seed"]}, "reason": "odd"}
    settings = {"batch_size": 2, "candidates": 3}
    run(
        folder,
        "best",
        keep="best",
        settings=settings,
        gate=EvenGate(never=True),
    )
    run(folder, "all", settings=settings)
    every = {row["row"]: json.loads(row["images"]) for row in read_rows(folder, "all")}
    for row in read_rows(folder, "best"):
        seeds = [image["seed"] for image in every[row["row"]]]
        assert row["seed"] == max(seeds, key=lambda seed: seed % 1000)
        assert row["output"] == f"images/p{row['row']}.png"
    assert [p["output"] for p in every[0]] == [f"images/p0-c{k}.png" for k in (1, 2, 3)]


def test_several_layouts_of_one_product(folder: Path) -> None:
    run(folder, settings={"batch_size": 2, "outputs": ("64x64", "128x64")})
    names = sorted(path.name for path in (folder / "out/images").iterdir())
    assert names == sorted(f"p{i}.{name}.png" for i in range(7) for name in ("64x64", "128x64"))
    with Image.open(folder / "out/images/p3.128x64.png") as image:
        assert image.size == (128, 64)
    seeds = {tuple(p["seed"] for p in json.loads(row["images"])) for row in read_rows(folder)}
    assert all(len(set(pair)) == 1 for pair in seeds)


def test_layers_and_lossy_files_lie_where_generate_puts_them(folder: Path) -> None:
    settings = {"batch_size": 2, "layers": "png", "format": "jpeg"}
    run(folder, settings=settings)
    for row in read_rows(folder):
        assert row["output"] == f"images/p{row['row']}.jpg"
        assert (row["exact"], row["file_max_difference"] > 0) == (True, True)
        files = [file["name"] for file in json.loads(row["images"])[0]["files"]]
        assert len(files) > 1
        assert all(name.startswith("layers/p") for name in files[1:])
        assert all((folder / "out" / name).is_file() for name in files)
    (folder / "out" / files[1]).unlink()
    (folder / "out/images/p6.jpg").unlink()
    result, _ = run(folder, settings=settings)
    assert result.made == 1
    assert (folder / "out" / files[1]).is_file()
    with pytest.raises(SettingsError, match="--gate"):
        RunConfig(run=RunSettings(keep="best"))


# --- batch size ---


@pytest.mark.parametrize(
    ("side", "places"), [(8, 8), (16, 8), (32, 2), (45, 1), (64, 1), (96, 1), (0, 8), (None, 1), ("x", 1)]
)
def test_batches_on_a_cpu_follow_from_the_model_alone(tmp_path: Path, side: Any, places: int) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet/config.json").write_text(json.dumps({"sample_size": side}))
    assert compute_cpu_batch(tmp_path) == places
    assert compute_cpu_batch(tmp_path / "absent") == 1


def test_a_folder_keeps_its_batch_size_until_the_model_changes(folder: Path) -> None:
    def choose(images: int = 1000, asked: int | None = None, **values: Any) -> int:
        run_file = {"device": "cpu", "batch_size": 5, "model_hash": "0" * 12}
        job = build_job(folder, build_config({"batch_size": asked}))
        return choose_batch_size(job, InProcessEngine(), run_file | values, images)

    assert choose() == 5
    assert choose(asked=3) == 3
    assert choose(model_hash="1" * 12) == 1
    assert choose(device="cuda") == 1
    assert choose(batch_size=0) == 1


def test_few_images_are_made_in_batches_of_the_usual_size(folder: Path) -> None:
    """One on a CPU, where an image then has the bits that it has alone."""
    (folder / "unet").mkdir()
    (folder / "unet/config.json").write_text('{"sample_size": 16}')
    job = build_job(folder, build_config({"batch_size": None}))
    job = job.replace(model=replace(job.model, folder=folder))
    chosen = [choose_batch_size(job, InProcessEngine(), {}, images) for images in (0, 1, 64, 65)]
    assert chosen == [1, 1, 1, 8]
    cuda = job.replace(config=job.config.replace(engine=job.engine.replace(device="cuda")))
    assert choose_batch_size(cuda, InProcessEngine(), {}, 64) == 8


def test_measuring_finds_the_largest_batch_that_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(batches, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    class Timed(StandIn):
        per_call, per_image = 2.0, 0.1

        def __call__(self, images: Any, *args: Any, **kwargs: Any) -> Any:
            steps = kwargs["settings"].num_inference_steps
            clock[0] += steps * (self.per_call + self.per_image * len(images))
            return super().__call__(images, *args, **kwargs)

    settings = GenerateConfig(num_inference_steps=50)
    found = batches.measure_model(Timed(room=9), settings, "cuda")
    assert found == (8, pytest.approx(50 * (2 / 8 + 0.1)))
    assert batches.measure_model(Timed(), settings, "cuda")[0] == 64
    flat = Timed()
    flat.per_call = 0.001
    assert batches.measure_model(flat, settings, "cuda")[0] == 1
    assert batches.measure_model(Timed(), settings, "cpu")[0] == 1
    named = settings.replace(batch_size=12)
    found = batches.measure_model(Timed(), named, "cpu")
    assert found == (12, pytest.approx(50 * (2 / 12 + 0.1)))
    assert batches.measure_model(Timed(room=7), named, "cuda")[0] == 6
    with pytest.raises(ModelError, match="does not fit"):
        batches.measure_model(Timed(room=0), settings, "cuda")


def test_further_attempts_are_no_progress(folder: Path) -> None:
    job = build_job(folder, build_config(attempts=2)).replace(gate=EvenGate(never=True))
    job, _ = plan_job(ItemSource(folder / "m.jsonl"), job, folder / "plan")
    counts: list[int] = []
    worker = job.open_worker("cpu")
    try:
        report = worker.process(0, Hooks(advanced=counts.append))
    finally:
        worker.close()
    assert (report.advanced, sum(counts), report.made, report.done) == (4, 4, 12, 4)
