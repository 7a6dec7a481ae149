"""Seconds per image: this pipeline against diffusers' own with two ControlNets, in one run.

    python benchmarks/generation.py [--shape sd15|bundled|both] [--steps N] [--fast] [--repeats R]

Same random weights (shared in memory), same dtype, same prompts' lengths, same scheduler and guidance; with
``--fast`` ours samples as its preset ``fast`` does with a reference, and the peer with ``--steps`` as before.
The runs alternate, and the median of the ratios is reported. GMAC, 10^9 multiplications with addition, are
counted at one step and at two, and follow from these for more (of ``fast`` all are). Peak memory is that of a
process of its own for each side on the CPU, and the allocator's on a GPU.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    StableDiffusionControlNetPipeline,
    UNet2DConditionModel,
)
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel

from cyclorama.diffusion.settings import PRESETS, Preset, SamplingConfig
from cyclorama.models.base import BaseModel
from cyclorama.models.pipeline import CycloramaPipeline
from cyclorama.models.registry import CategoryRegistry
from cyclorama.models.scratch import BaseShape, build_base, build_ddim, build_tokenizer

GUIDANCE = 2.0


@dataclass(frozen=True)
class Case:
    name: str
    size: int
    steps: int
    batch: int
    fast: bool = False

    @property
    def settings(self) -> SamplingConfig:
        """Ours; no first latent, since the peer does not encode its reference."""
        preset = PRESETS["fast"] if self.fast else Preset(self.steps, None, GUIDANCE)
        return SamplingConfig(
            num_inference_steps=preset.steps,
            scheduler=preset.scheduler,
            guidance_scale=preset.guidance,
            encoder_every=preset.encoder_every,
            initial_latent=False,
        )


CASES = {"sd15": Case("sd15", 512, 2, 1), "bundled": Case("bundled", 256, 50, 1)}


def build_sd15_base() -> BaseModel:
    """Stable Diffusion 1.5's shapes with random weights."""
    tokenizer = build_tokenizer(["A photo of a thing, in the background of sks 0"], length=77)
    unet = UNet2DConditionModel(
        sample_size=64, cross_attention_dim=768, attention_head_dim=8,
        block_out_channels=(320, 640, 1280, 1280), layers_per_block=2,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        sample_size=512,
    )  # fmt: skip
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
            num_attention_heads=12, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        )
    )  # fmt: skip
    return BaseModel(unet, vae, text_encoder, tokenizer, build_ddim("epsilon"))


def build_ours(case: Case, device: str, dtype: torch.dtype) -> CycloramaPipeline:
    torch.manual_seed(0)
    registry = CategoryRegistry()
    registry.add("thing")
    if case.name == "sd15":
        base = build_sd15_base()
    else:
        shape = BaseShape(unet_channels=(64, 128), decoder_widths=(128, 64, 32))
        base = build_base(shape, ["A photo of a thing, in the background of sks 0"])
    pipeline = CycloramaPipeline.from_base(base, registry=registry)
    for generator in (pipeline.category_generator, pipeline.personality_generator):
        for conv in (*generator.controlnet_down_blocks, generator.controlnet_mid_block):
            torch.nn.init.normal_(conv.weight, std=0.01)
    pipeline.to(device, dtype)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def build_peer(ours: CycloramaPipeline) -> StableDiffusionControlNetPipeline:
    """diffusers' pipeline on the very same tensors; contiguous memory, its default."""
    controlnets = []
    for generator in (ours.category_generator, ours.personality_generator):
        config = {k: v for k, v in generator.config.items() if not k.startswith("_")}
        with torch.device("meta"):
            peer = ControlNetModel(**config)
        peer.load_state_dict(generator.state_dict(), assign=True)
        controlnets.append(peer.eval())
    if "block_out_channels" not in ours.vae.config:  # diffusers reads the latents' scale off this length
        ours.vae.register_to_config(block_out_channels=(0,) * ours.vae_scale.bit_length())
    pipeline = StableDiffusionControlNetPipeline(
        vae=ours.vae, text_encoder=ours.text_encoder, tokenizer=ours.tokenizer, unet=ours.unet,
        controlnet=controlnets, scheduler=ours.scheduler, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def run_ours(pipeline: CycloramaPipeline, case: Case, steps: int | None = None) -> None:
    image = torch.zeros(case.batch, 3, case.size, case.size)
    mask = torch.zeros(case.batch, 1, case.size, case.size)
    mask[..., case.size // 4 : -case.size // 4, case.size // 3 : -case.size // 3] = 1
    generators = [torch.Generator().manual_seed(i) for i in range(case.batch)]
    settings = case.settings if steps is None else case.settings.replace(num_inference_steps=steps)
    pipeline(image, mask, ["thing"] * case.batch, generators, image, mask, settings)


def run_peer(pipeline: StableDiffusionControlNetPipeline, case: Case, steps: int | None = None) -> None:
    image = torch.zeros(case.batch, 3, case.size, case.size)
    generators = [torch.Generator().manual_seed(i) for i in range(case.batch)]
    prompt = ["A photo of thing, in the background of sks 0"] * case.batch
    pipeline(
        prompt, image=[image, image], num_inference_steps=steps or case.steps, guidance_scale=GUIDANCE,
        generator=generators, height=case.size, width=case.size, output_type="pt",
    )  # fmt: skip


def count_operations(run: Callable[[], None]) -> float:
    """10^9 multiplications with addition that ``run`` takes."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 2e9


def count_steps(run: Callable[[int], None], steps: int) -> float:
    """The same of ``run(steps)`` with equal steps, told by its first two."""
    first, both = (count_operations(partial(run, few)) for few in (1, 2))
    return first + (steps - 1) * (both - first)


def measure(case: Case, device: str, dtype: torch.dtype, repeats: int) -> dict[str, Any]:
    ours = build_ours(case, device, dtype)
    peer = build_peer(ours)
    operations = {  # this warms both up, too
        "ours": count_operations(lambda: run_ours(ours, case))
        if case.fast
        else count_steps(lambda n: run_ours(ours, case, n), case.steps),
        "peer": count_steps(lambda n: run_peer(peer, case, n), case.steps),
    }
    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    for repeat in range(repeats):
        sides = [("peer", run_peer, peer), ("ours", run_ours, ours)]
        for name, run, pipeline in sides if repeat % 2 == 0 else sides[::-1]:
            started = time.perf_counter()
            run(pipeline, case)  # type: ignore[operator]
            if device != "cpu":
                torch.cuda.synchronize()
            seconds[name].append((time.perf_counter() - started) / case.batch)
    ratios = [a / b for a, b in zip(seconds["ours"], seconds["peer"], strict=True)]
    return {
        "case": case.name,
        "size": case.size,
        "steps": f"{case.settings.num_inference_steps} / {case.steps}",
        "dtype": str(dtype).removeprefix("torch."),
        "ours_s": statistics.median(seconds["ours"]),
        "peer_s": statistics.median(seconds["peer"]),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "operations": operations,
    }


def measure_memory(side: str, case: Case, device: str, dtype: torch.dtype) -> float:
    """GiB at the peak, this process having run one side only."""
    pipeline: Any = build_ours(case, device, dtype)
    short = replace(case, steps=1, fast=False)
    if side == "ours":
        run_ours(pipeline, short)
    else:
        run_peer(build_peer(pipeline), short)
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return torch.cuda.max_memory_allocated() / 2**30


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=["sd15", "bundled", "both"], default="both")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--no-memory", action="store_true", help="leave the peak memory out")
    parser.add_argument("--fast", action="store_true", help="ours as preset fast with a reference")
    parser.add_argument("--memory-of", choices=["ours", "peer"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    dtype = getattr(torch, args.dtype)
    names = ["bundled", "sd15"] if args.shape == "both" else [args.shape]
    cases = [Case(n, CASES[n].size, args.steps or CASES[n].steps, args.batch, args.fast) for n in names]
    if args.memory_of:
        print(json.dumps(measure_memory(args.memory_of, cases[0], args.device, dtype)))
        return
    print(f"torch {torch.__version__}, {args.device}, {torch.get_num_threads()} threads, guidance {GUIDANCE}")
    columns = ["shape", "size", "steps", "dtype", "ours s/image", "diffusers s/image", "ratio (min-max)"]
    columns += ["ours GMAC", "diffusers GMAC", "ours GiB", "diffusers GiB"]
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    for case in cases:
        row = measure(case, args.device, dtype, args.repeats)
        memory = {}
        for side in () if args.no_memory else ("ours", "peer"):
            command = [
                sys.executable, __file__, "--memory-of", side, "--shape", case.name,
                "--batch", str(case.batch),
                "--dtype", args.dtype, "--device", args.device,
            ]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            memory[side] = float(done.stdout.strip().splitlines()[-1])
        print(
            f"| {row['case']} | {row['size']} | {row['steps']} | {row['dtype']} | {row['ours_s']:.2f} "
            f"| {row['peer_s']:.2f} | {row['ratio']:.3f} ({row['ratio_min']:.3f}-{row['ratio_max']:.3f}) "
            f"| {row['operations']['ours']:.1f} | {row['operations']['peer']:.1f} "
            f"| {memory.get('ours', float('nan')):.2f} | {memory.get('peer', float('nan')):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
