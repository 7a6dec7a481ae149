"""Which of half precision, channels-last memory, compiled blocks and larger batches pay? Ratios in one run.

    python benchmarks/speed_options.py bundled [--steps 4] [--repeats 3]     whole calls of the bundled model
    python benchmarks/speed_options.py sd15 [--repeats 2] [--batches 2]      one guided step of the UNet of
                                                                   Stable Diffusion 1.5, random weights

The variants take turns; the table gives the median of seconds per image and of the ratio to float32 with
one image in the same turn, below 1 is faster, and how far images move (in levels of 255). Seconds are
the process's own processor time where it has one thread, else wall time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch

from cyclorama.bundled import find_bundled
from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.models.pipeline import CycloramaPipeline
from cyclorama.models.speed import tune_network


@dataclass(frozen=True)
class Variant:
    """One way to run a network."""

    batch: int = 1
    dtype: str = "float32"
    channels_last: bool = False
    compile: bool = False

    @property
    def name(self) -> str:
        words = [f"batch {self.batch}", self.dtype]
        return ", ".join(words + ["channels_last"] * self.channels_last + ["compile"] * self.compile)


def list_variants(batches: list[int]) -> list[Variant]:
    alone = [
        Variant(1, dtype, channels_last, compiled)
        for dtype in ("float32", "bfloat16")
        for channels_last in (False, True)
        for compiled in (False, True)
    ]
    return alone + [Variant(batch) for batch in batches if batch > 1]


def build_bundled(variant: Variant, steps: int) -> Callable[[], torch.Tensor]:
    pipeline = CycloramaPipeline.from_pretrained(find_bundled("model"), getattr(torch, variant.dtype))
    pipeline.set_progress_bar_config(disable=True)
    pipeline.tune(channels_last=variant.channels_last, compile=variant.compile)
    side, count = pipeline.image_size, variant.batch
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).repeat(count, 1, 1, 1)
    masks = torch.zeros(count, 1, side, side)
    masks[..., side // 4 : -side // 4, side // 3 : -side // 3] = 1
    names = [pipeline.registry.names[0]] * count
    settings = SamplingConfig(num_inference_steps=steps)

    def run() -> torch.Tensor:
        generators = [torch.Generator().manual_seed(number) for number in range(count)]
        made: torch.Tensor = pipeline(images, masks, names, generators, images, settings=settings)
        return made[:1]

    return run


def build_sd15(variant: Variant, base: Any) -> Callable[[], torch.Tensor]:
    unet = deepcopy(base).to(getattr(torch, variant.dtype))
    tune_network(unet, channels_last=variant.channels_last, compile=variant.compile)
    draw = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 4, 64, 64, generator=draw).repeat(2 * variant.batch, 1, 1, 1).to(unet.dtype)
    prompts = torch.randn(1, 77, 768, generator=draw).repeat(2 * variant.batch, 1, 1).to(unet.dtype)
    timestep = torch.tensor(500)

    def run() -> torch.Tensor:
        with torch.no_grad():
            predicted: torch.Tensor = unet(latents, timestep, prompts, return_dict=False)[0]
        return predicted[:1].float()

    return run


def measure(
    build: Callable[[Variant], Callable[[], torch.Tensor]], variants: list[Variant], turns: int
) -> None:
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    runs, first, images = {}, {}, {}
    for variant in variants:
        started = time.perf_counter()
        runs[variant] = build(variant)
        images[variant] = runs[variant]()
        first[variant] = time.perf_counter() - started
    seconds: dict[Variant, list[float]] = {variant: [] for variant in variants}
    for turn in range(turns):
        for variant in variants if turn % 2 == 0 else variants[::-1]:
            started = clock()
            runs[variant]()
            seconds[variant].append((clock() - started) / variant.batch)
    print("| variant | s/image | ratio (min-max) | moved, of 255 | first call, s |\n|---|---|---|---|---|")
    for variant in variants:
        ratios = [a / b for a, b in zip(seconds[variant], seconds[variants[0]], strict=True)]
        moved = float((images[variant] - images[variants[0]]).abs().max()) * 127.5
        print(
            f"| {variant.name} | {statistics.median(seconds[variant]):.3f} | {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f}-{max(ratios):.2f}) | {moved:.1f} | {first[variant]:.0f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shape", choices=["bundled", "sd15"])
    parser.add_argument("--steps", type=int, default=4, help="of the bundled model's calls")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="*", help="further batch sizes in float32")
    parser.add_argument("--without-compile", action="store_true")
    args = parser.parse_args()
    batches = args.batches if args.batches is not None else [2, 4, 8, 16] if args.shape == "bundled" else [2]
    variants = [v for v in list_variants(batches) if not (v.compile and args.without_compile)]
    print(f"{args.shape}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    if args.shape == "bundled":
        measure(lambda variant: build_bundled(variant, args.steps), variants, args.repeats)
        return
    from generation import build_sd15_base

    torch.manual_seed(0)
    base = build_sd15_base().unet.eval()
    measure(lambda variant: build_sd15(variant, base), variants, args.repeats)


if __name__ == "__main__":
    main()
