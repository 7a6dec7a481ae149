"""What a run costs beside the model: planning and resuming, and the share of time outside the model.

    python benchmarks/scale.py plan [--rows 1000000] [--shard-size 256]
    python benchmarks/scale.py overlap [--rows 256] [--shard-size 64] [--side 1024] [--model-seconds 0.6]
    python benchmarks/scale.py overlap --device cuda [--steps 50]      Stable Diffusion 1.5's shapes
    python benchmarks/scale.py overlap --sd15 --rows 4 --steps 2 --batch-size 1      the same on a CPU
    python benchmarks/scale.py references [--sd15] [--steps 10] [--batch-size 8]     kept encodings

``plan`` prints seconds and peak memory of planning a manifest and of starting again when everything is
finished (every input and every image is looked up). ``overlap`` runs products through the whole engine;
without a GPU the model is a stand-in that takes a given time and leaves the processor free, as a GPU does.
``references`` has one reference serve all images and takes turns with encoding it for every image.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cyclorama.generation.items import ItemSource
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.settings import GenerateConfig, RunConfig, RunSettings
from cyclorama.jobs.in_process import InProcessEngine
from cyclorama.jobs.job import EngineSettings
from cyclorama.models.registry import CategoryRegistry

FILES = 50_000
BYTES = 64


def build_registry() -> CategoryRegistry:
    registry = CategoryRegistry()
    registry.add("thing")
    return registry


def build_handle() -> ModelHandle:
    return ModelHandle("stand-in", Path(), "0" * 12, build_registry())


@dataclass
class StandIn:
    """A model that answers with noise after a given time, without using the processor."""

    seconds: float
    registry: CategoryRegistry = field(default_factory=build_registry)
    image_size: int = 512
    image_multiple: int = 8

    def __call__(self, images: Any, masks: Any, categories: Any, generators: Any, **kwargs: Any) -> Any:
        import torch

        time.sleep(self.seconds * len(images))
        return torch.cat([torch.rand(1, *i.shape, generator=g) for i, g in zip(images, generators)]) * 2 - 1


def load_stand_in(handle: ModelHandle, device: str, dtype: str, seconds: float = 0.0) -> StandIn:
    return StandIn(seconds)


def load_sd15(handle: ModelHandle, device: str, dtype: str) -> Any:
    import torch

    from generation import CASES, build_ours

    return build_ours(CASES["sd15"], device, getattr(torch, dtype))


def get_peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def build_inputs(folder: Path, rows: int) -> Path:
    """A manifest of ``rows`` different paths; folders of links to one folder, since a million files are slow
    to make."""
    stock = folder / "stock"
    stock.mkdir()
    for number in range(min(rows, FILES)):
        (stock / f"product-{number:06d}.png").write_bytes(b"x" * BYTES)
    groups = -(-rows // FILES)
    for group in range(groups):
        (folder / f"in{group}").symlink_to(stock)
    manifest = folder / "manifest.csv"
    with manifest.open("w") as file:
        file.write("image,category\n")
        for row in range(rows):
            file.write(f"in{row // FILES}/product-{row % FILES:06d}.png,thing\n")
    return manifest


def plan_once(folder: Path, shard_size: int) -> dict[str, float]:
    from cyclorama.generation.run import run_images

    class NoEngine(InProcessEngine):
        def run(self, job: Any, shards: Any, hooks: Any) -> Any:
            return iter(())

    start = time.perf_counter()
    config = RunConfig(
        run=RunSettings(dtype="float32"), engine=EngineSettings(device="cpu", shard_size=shard_size)
    )
    source = ItemSource(folder / "manifest.csv")
    result = run_images(
        source, folder / "out", build_handle(), config, engine=NoEngine(), load_model=load_stand_in
    )
    return {
        "seconds": time.perf_counter() - start,
        "processor": time.process_time(),
        "megabytes": get_peak_megabytes(),
        "rows": result.rows,
        "open": result.open_shards,
        "shards": result.shards,
    }


def pretend_finished(folder: Path) -> None:
    """Write every shard's results as a run would, without making an image."""
    from cyclorama.generation.plan import load_plan
    from cyclorama.jobs.store import ShardStore

    store = ShardStore(folder / "out")
    plan = load_plan(store.plan_folder)
    (folder / "out/images").mkdir()
    for link in folder.glob("in*"):
        (folder / "out/images" / link.name).symlink_to(folder / "stock")
    for shard, key in enumerate(plan.keys):
        rows = [
            {
                "row": row.row, "name": row.name, "status": "done", "category": row.category,
                "output": f"images/{row.output}.png", "bytes": BYTES, "image_sha256": "0" * 64,
                "plan_key": row.key, "model_seconds": 0.6, "settings": {}, "images": [], "stem": row.output,
                "category_source": "name",
            }
            for row in plan.read_shard(shard)
        ]  # fmt: skip
        mark = {"rows": len(rows), "done": len(rows), "failed": 0, "refused": 0, "images": len(rows)}
        files = [(row["output"], BYTES) for row in rows]
        store.save_shard(
            shard, key, rows, mark | {"files": files, "failures": {}, "model_seconds": 0.6 * len(rows)}
        )


def measure_planning(rows: int, shard_size: int) -> None:
    with tempfile.TemporaryDirectory(prefix="cyclorama-bench-") as name:
        folder = Path(name)
        build_inputs(folder, rows)
        print(f"{rows} rows, {shard_size} a shard; own process each")
        print(f"{'':<28}{'seconds':>9}{'processor':>11}{'peak MB':>9}{'open shards':>13}")
        for stage in ("plan", "resume, all finished"):
            if stage != "plan":
                subprocess.run([sys.executable, __file__, "pretend", name], check=True)
            command = [sys.executable, __file__, "plan-once", name, "--shard-size", str(shard_size)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            print(
                f"{stage:<28}{found['seconds']:>9.1f}{found['processor']:>11.1f}{found['megabytes']:>9.0f}{found['open']:>13}"
            )


def draw_products(folder: Path, rows: int, side: int) -> Path:
    import numpy as np
    from PIL import Image

    grid = np.mgrid[:side, :side] / side - 0.5
    alpha = np.clip((0.35 - np.hypot(*grid)) * side / 4, 0, 1)
    for row in range(rows):
        texture = np.random.default_rng(row).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        colour = np.asarray(Image.fromarray(texture).resize((side, side), Image.Resampling.BICUBIC))
        Image.fromarray(np.dstack([colour, np.rint(alpha * 255).astype(np.uint8)])).save(
            folder / f"{row}.png"
        )
    manifest = folder / "manifest.csv"
    manifest.write_text("image,category\n" + "".join(f"{row}.png,thing\n" for row in range(rows)))
    return manifest


def measure_overlap(args: argparse.Namespace) -> None:
    from cyclorama.generation.run import run_images

    real = args.device != "cpu" or args.sd15
    load = load_sd15 if real else partial(load_stand_in, seconds=args.model_seconds)
    config = RunConfig(
        GenerateConfig(num_inference_steps=args.steps, batch_size=args.batch_size),
        RunSettings(dtype="float32" if args.device == "cpu" else "bfloat16"),
        EngineSettings(device=args.device, shard_size=args.shard_size),
    )
    with tempfile.TemporaryDirectory(prefix="cyclorama-bench-") as name:
        source = ItemSource(draw_products(Path(name), args.rows, args.side))
        result = run_images(source, Path(name) / "out", build_handle(), config, load_model=load)
    what = "SD 1.5 shapes" if real else f"stand-in, {args.model_seconds:g} s an image"
    work = result.work
    print(f"{args.rows} products of {args.side} px, {what}, batches of {args.batch_size or 'measured size'}")
    print(f"{result.made / work.wall_seconds:.2f} images/s; worker's time {work.worker_seconds:.1f} s")
    print(f"{work.busy_seconds:.1f} s in the model; share outside the model {work.idle_share:.1%}")
    print(f"rows done {result.done}, failed {result.failed}; peak {get_peak_megabytes():.0f} MB")


def measure_references(args: argparse.Namespace) -> None:
    """Seconds of a batch whose images share a reference: encodings kept, and computed for each image."""
    import torch

    from cyclorama.bundled import find_bundled
    from cyclorama.diffusion.settings import SamplingConfig
    from cyclorama.models.pipeline import CycloramaPipeline
    from cyclorama.models.speed import EncodingCache

    class Forgetful(EncodingCache):
        """Computes everything anew, also within a batch."""

        def get(self, key: Any, compute: Any) -> Any:
            self.computed += 1
            return compute()

    dtype = torch.float32 if args.device == "cpu" else torch.bfloat16
    if args.sd15:
        pipeline = load_sd15(build_handle(), args.device, str(dtype).removeprefix("torch."))
    else:
        pipeline = CycloramaPipeline.from_pretrained(find_bundled("model"), dtype).to(args.device)
        pipeline.set_progress_bar_config(disable=True)
    side, count = pipeline.image_size, args.batch_size
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(count, 3, side, side, generator=draw) * 2 - 1
    reference = (torch.rand(1, 3, side, side, generator=draw) * 2 - 1).repeat(count, 1, 1, 1)
    masks = torch.zeros(count, 1, side, side)
    masks[..., side // 4 : -side // 4, side // 3 : -side // 3] = 1
    names = [pipeline.registry.names[0]] * count
    clock = time.process_time if args.device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter

    def run(cache: EncodingCache, steps: int) -> tuple[float, Any]:
        pipeline.encodings = cache
        generators = [torch.Generator().manual_seed(i) for i in range(count)]
        settings = SamplingConfig(num_inference_steps=steps)
        start = clock()
        made = pipeline(images, masks, names, generators, reference, masks, settings).cpu()
        return clock() - start, made

    kept, anew = EncodingCache(), Forgetful()
    run(kept, 1)
    run(anew, 1)
    seconds: dict[str, list[float]] = {"kept": [], "anew": [], "encoding": []}
    equal = True
    for _ in range(args.repeats):
        first, ours = run(kept, args.steps)
        second, theirs = run(anew, args.steps)
        equal &= bool(torch.equal(ours, theirs))
        pipeline.encodings = Forgetful()
        start = clock()
        pipeline._encode_references(reference, reference.device)
        pipeline._encode_reference_hints(reference, masks, reference.device)
        if args.device != "cpu":
            torch.cuda.synchronize()
        for name, value in (("kept", first), ("anew", second), ("encoding", clock() - start)):
            seconds[name].append(value / count)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = [a / b for a, b in zip(seconds["kept"], seconds["anew"], strict=True)]
    what = "SD 1.5 shapes" if args.sd15 else "bundled model"
    print(f"{what}, {side} px, {count} images of one reference, {args.steps} steps, {args.device}, {dtype}")
    print(
        f"encoding the reference: {middle['encoding'] * 1000:.1f} ms; kept: {kept.computed} encodings in all"
    )
    ratio = statistics.median(ratios)
    print(f"s/image: kept {middle['kept']:.3f}, anew {middle['anew']:.3f}; ratio {ratio:.3f}")
    print(f"equal bits: {equal}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    plan = actions.add_parser("plan")
    plan.add_argument("--rows", type=int, default=1_000_000)
    plan.add_argument("--shard-size", type=int, default=256)
    overlap = actions.add_parser("overlap")
    overlap.add_argument("--rows", type=int, default=256)
    overlap.add_argument("--shard-size", type=int, default=64)
    overlap.add_argument("--side", type=int, default=1024)
    overlap.add_argument("--model-seconds", type=float, default=0.6)
    overlap.add_argument("--batch-size", type=int, default=8)
    overlap.add_argument("--device", default="cpu")
    overlap.add_argument("--sd15", action="store_true", help="Stable Diffusion 1.5's shapes on a CPU, too")
    overlap.add_argument("--steps", type=int, default=50)
    references = actions.add_parser("references")
    references.add_argument(
        "--sd15", action="store_true", help="Stable Diffusion 1.5's shapes, random weights"
    )
    references.add_argument("--steps", type=int, default=10)
    references.add_argument("--batch-size", type=int, default=8)
    references.add_argument("--repeats", type=int, default=3)
    references.add_argument("--device", default="cpu")
    once = actions.add_parser("plan-once")
    once.add_argument("folder", type=Path)
    once.add_argument("--shard-size", type=int, required=True)
    pretend = actions.add_parser("pretend")
    pretend.add_argument("folder", type=Path)
    args = parser.parse_args()
    if args.action == "plan":
        measure_planning(args.rows, args.shard_size)
    elif args.action == "overlap":
        measure_overlap(args)
    elif args.action == "references":
        measure_references(args)
    elif args.action == "plan-once":
        print(json.dumps(plan_once(args.folder, args.shard_size)))
    else:
        pretend_finished(args.folder)


if __name__ == "__main__":
    main()
