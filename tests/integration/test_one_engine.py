"""One photo, a folder, a table and a Ray cluster are one engine: what holds for one holds for all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _curating import build_recipe, build_test_rules, read_stable, write_input
from PIL import Image

import cyclorama
from cyclorama.curate.run import run_curate
from cyclorama.generation.items import ItemSource
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.run import RunResult, run_images
from cyclorama.generation.settings import GenerateConfig, RunConfig, RunSettings
from cyclorama.jobs.job import EngineSettings, Hooks
from cyclorama.jobs.store import ShardStore
from cyclorama.models.registry import CategoryRegistry

# Ray leaves pipes and sockets of its processes to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning", "ignore:subprocess:ResourceWarning"
)
PATHS = os.pathsep.join([str(Path(__file__).parent), str(Path(cyclorama.__file__).parents[1])])
PRODUCTS = 4
WAYS = ["photo", "folder", "table", "ray"]


def build_registry() -> CategoryRegistry:
    registry = CategoryRegistry()
    registry.add("lipstick", ["cosmetics"])
    registry.add("perfume")
    return registry


@dataclass
class Noise:
    """Noise of each image's own generator; a batch above ``room`` places runs out of memory."""

    room: int = 64
    registry: CategoryRegistry = field(default_factory=build_registry)
    image_size: int = 32
    image_multiple: int = 8

    def __call__(self, images: Any, masks: Any, categories: Any, generators: Any, **kwargs: Any) -> Any:
        import torch

        if len(images) > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        noise = [torch.rand(1, *image.shape, generator=g) for image, g in zip(images, generators)]
        return torch.cat(noise) * 2 - 1


def load(handle: ModelHandle, device: str, dtype: str) -> Noise:
    return Noise()


def load_small(handle: ModelHandle, device: str, dtype: str) -> Noise:
    return Noise(room=1)


def load_half(handle: ModelHandle, device: str, dtype: str) -> Noise:
    return Noise(room=2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray on this machine for all tests here, where it is installed."""
    pytest.importorskip("ray")
    from cyclorama.jobs import ray_cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PATHS)
        patch.delenv("RAY_ADDRESS", raising=False)
        with ray_cluster.join_cluster(EngineSettings(engine="ray", workers=2, threads=1)):
            yield


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return str(request.param)


def draw(path: Path, seed: int) -> None:
    rgba = np.random.default_rng(seed).integers(0, 256, (40, 40, 4), dtype=np.uint8)
    rgba[..., 3] = 0
    rgba[10:30, 12:28, 3] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgba).save(path)


GIVEN = {"Beauty > Perfume": "path, name", "Cosmetics > Perfumes & Scents": "path, part, plural"}
"""Categories as shops write them, and how ``perfume`` is found in each."""


def prepare(way: str, folder: Path) -> Path:
    """The input of one way: products whose category is told by the folder, or by the table."""
    if way == "photo":
        draw(folder / "p0.png", 0)
        return folder / "p0.png"
    lines = []
    for number in range(PRODUCTS):
        category = list(GIVEN)[number % 2]
        name = f"{category}/p{number}.png" if way == "folder" else f"p{number}.png"
        draw(folder / "in" / name, number)
        lines.append(json.dumps({"image": name, "category": category}) + "\n")
    if way == "folder":
        return folder / "in"
    (folder / "in" / "list.jsonl").write_text("".join(lines))
    return folder / "in" / "list.jsonl"


def run(
    way: str, source: Path, out: Path, load_model: Any = load, category: str = "perfume"
) -> tuple[RunResult, list[dict[str, Any]], list[str]]:
    from cyclorama.models.words import CategoryRules

    # one photo gives four images too, so that a batch of four can be halved everywhere
    candidates = PRODUCTS if way == "photo" else 1
    engine = EngineSettings(
        engine="ray" if way == "ray" else "in-process", device="cpu", threads=1, workers=1
    )
    config = RunConfig(
        GenerateConfig(steps=2, batch_size=4, candidates=candidates),
        RunSettings(dtype="float32"),
        engine,
        CategoryRules(default=category if way == "photo" else None),
    )
    notes: list[str] = []
    handle = ModelHandle("noise", Path(__file__).parent, "0" * 12, build_registry())
    result = run_images(
        ItemSource(source), out, handle, config, Hooks(noted=notes.append), load_model=load_model
    )
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    return result, rows, notes


def read_images(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("images/**/*.png"))}


@pytest.fixture(scope="module")
def finish(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """``finish(way)`` is the input of a way and the folder of its undisturbed run."""

    @cache
    def finish(way: str) -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp(way)
        source = prepare(way, folder)
        result, _, _ = run(way, source, folder / "out")
        assert (result.made, result.failed) == (PRODUCTS, 0)
        return source, folder / "out"

    return finish


@pytest.fixture
def whole(way: str, finish: Callable[[str], tuple[Path, Path]]) -> tuple[Path, Path]:
    return finish(way)


def test_out_of_memory_halves_the_batch_and_goes_on(way: str, tmp_path: Path) -> None:
    source = prepare(way, tmp_path)
    room, load_model = (1, load_small) if way in ("photo", "table") else (2, load_half)
    result, rows, notes = run(way, source, tmp_path / "out", load_model)
    assert (result.made, result.failed) == (PRODUCTS, 0)
    assert {row["batch_places"] for row in rows} == {room}
    assert notes == [f"memory ran out: batches of {room} instead of 4"]
    assert 0 < result.plan_seconds < 60
    assert len(read_images(tmp_path / "out")) == PRODUCTS


def test_a_torn_journal_line_costs_one_image(way: str, whole: tuple[Path, Path], tmp_path: Path) -> None:
    source, out = whole[0], tmp_path / "out"
    shutil.copytree(whole[1], out)
    reopen(ShardStore(out), torn=-1)
    result, rows, _ = run(way, source, out)
    assert result.made == 1
    assert all(row["status"] == "done" for row in rows)
    assert read_images(out) == read_images(whole[1])


def test_a_torn_line_before_the_last_and_a_staged_file_of_another_size_cost_one_image_each(
    way: str, whole: tuple[Path, Path], tmp_path: Path
) -> None:
    source, out = whole[0], tmp_path / "out"
    shutil.copytree(whole[1], out)
    store = ShardStore(out)
    reopen(store, torn=1)
    victim = store.get_work(0) / "2.png"
    victim.write_bytes(victim.read_bytes()[:-10])
    result, rows, _ = run(way, source, out)
    assert result.made == 2
    assert all(row["status"] == "done" for row in rows)
    assert read_images(out) == read_images(whole[1])


def reopen(store: ShardStore, torn: int) -> None:
    """Make shard 0 one in work, as a kill leaves it: its images recorded, one line of the journal torn."""
    rows = store.load_rows(0)
    work = store.get_work(0)
    work.mkdir(parents=True)
    lines, count = [], 0
    for row in rows:
        for image in row["images"]:
            staged = [file | {"staged": f"{count}{file['suffix']}"} for file in image["files"]]
            for file in staged:
                (store.out / file["name"]).rename(work / file["staged"])
            times = dict.fromkeys(("load_seconds", "model_seconds", "finish_seconds"), 0.0)
            kept = {"verdict": None, "placement": {}} | {n: image.get(n) for n in KEPT} | times
            spot = {"row": row["row"], "key": row["plan_key"], "spot": [0, image["candidate"] - 1]}
            lines.append(json.dumps(spot | kept | {"files": staged}) + "\n")
            count += 1
    assert len(lines) == PRODUCTS
    lines[torn] = lines[torn][:40] + ("" if torn == -1 else "\n")
    store.get_journal(0).write_text("".join(lines))
    store.get_mark(0).unlink()
    store.get_rows(0).unlink()


KEPT = ("seed", "height", "width", "places", "mask_source", "mask_confidence", "style", "report")


def test_a_category_path_gives_its_last_level(way: str, whole: tuple[Path, Path], tmp_path: Path) -> None:
    if way == "photo":
        for number, given in enumerate(GIVEN):
            _, (row,), _ = run(way, whole[0], tmp_path / f"{number}", category=given)
            assert (row["category"], row["category_source"]) == ("perfume", "default")
        return
    rows = [json.loads(line) for line in (whole[1] / "results.jsonl").read_text().splitlines()]
    assert {row["category"] for row in rows} == {"perfume"}
    said = "folder, " if way == "folder" else ""
    assert {row["category_source"] for row in rows} == {said + source for source in GIVEN.values()}


def test_where_it_is_started_changes_nothing(
    way: str, whole: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths that count from the root folder against whole paths."""
    source, out = whole
    monkeypatch.chdir("/")
    run(way, source.relative_to("/"), (tmp_path / "out").relative_to("/"))
    assert read_images(tmp_path / "out") == read_images(out)
    assert (tmp_path / "out/results.jsonl").read_bytes() == (out / "results.jsonl").read_bytes()


def test_curating_with_two_workers_on_ray_gives_the_bytes_of_one_process(
    cluster: None, tmp_path: Path
) -> None:
    manifest = write_input(tmp_path / "shop")
    alone = EngineSettings(threads=None, shard_size=4)
    run_curate(str(manifest), tmp_path / "alone", build_recipe(), alone, build=build_test_rules)
    seen: list[int] = []
    result = run_curate(
        str(manifest),
        tmp_path / "shared",
        build_recipe(),
        EngineSettings(engine="ray", workers=2, threads=1, shard_size=4),
        Hooks(advanced=seen.append),
        build=build_test_rules,
    )
    assert result.finished and sum(seen) == 12
    assert read_stable(tmp_path / "shared") == read_stable(tmp_path / "alone")
