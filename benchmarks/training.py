"""Images per second of stage `category` against a plain ControlNet training loop, in one run.

    python benchmarks/training.py [--shape sd15|bundled] [--steps N] [--batch B] [--device cpu]

The peer is written the way diffusers' ControlNet example trains: autoencoder and text encoder run in the
loop, the ControlNet sees one prompt. Ours runs the stage's own batches and loss: cached latents and prompt
embeddings, perturbation-free hint, mask-guided attention over two prompts. Same frozen base, sizes, dtype,
optimiser and batch. Ours pays once for its cache; that time is printed beside the rate.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import ControlNetModel

from cyclorama.data.examples import SourceConfig
from cyclorama.models.base import BaseModel, encode_image, encode_prompts
from cyclorama.models.registry import CategoryRegistry
from cyclorama.models.scratch import BaseShape, build_base
from cyclorama.prompts import build_identifier, build_prompts
from cyclorama.training.batch import BatchBuilder, DrawSettings, sample_draws, sample_indices
from cyclorama.training.config import DataConfig, ModelConfig, TrainConfig
from cyclorama.training.dataset import PromptTable, list_prompt_texts
from cyclorama.training.stage import StageNetworks, Start
from cyclorama.training.stages import STAGES
from generation import build_sd15_base

CATEGORIES = ("perfume", "whisky")


class RandomData:
    """Images in memory."""

    def __init__(self, size: int, count: int = 4) -> None:
        rng = np.random.default_rng(0)
        self._pixels = rng.integers(0, 255, (count, size, size, 3), dtype=np.uint8)
        self._mask = np.zeros((size, size), np.float32)
        self._mask[size // 4 : -size // 4, size // 3 : -size // 3] = 1

    def __len__(self) -> int:
        return len(self._pixels)

    def load(self, index: int) -> Any:
        return self._pixels[index], self._mask

    def category(self, index: int) -> str:
        return CATEGORIES[index % len(CATEGORIES)]


def to_tensor(pixels: Any) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1


def time_steps(step: Callable[[int], None], steps: int, batch: int, device: str) -> float:
    """Images per second over ``steps`` after one warm-up step."""
    step(0)
    if device != "cpu":
        torch.cuda.synchronize()
    started = time.perf_counter()
    for index in range(1, steps + 1):
        step(index)
    if device != "cpu":
        torch.cuda.synchronize()
    return steps * batch / (time.perf_counter() - started)


def run_optimizer(loss: torch.Tensor, parameters: list[Any], optimizer: torch.optim.Optimizer) -> None:
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def measure_peer(
    base: BaseModel, data: RandomData, args: argparse.Namespace, widths: tuple[int, ...]
) -> float:
    controlnet = ControlNetModel.from_unet(base.unet, conditioning_embedding_out_channels=widths)
    controlnet.to(args.device).train()
    parameters = list(controlnet.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-5, fused=True)
    generator = torch.Generator().manual_seed(0)

    def step(index: int) -> None:
        picked = [(index * args.batch + i) % len(data) for i in range(args.batch)]
        images = torch.cat([to_tensor(data.load(i)[0]) for i in picked]).to(args.device)
        masks = torch.stack([torch.from_numpy(data.load(i)[1])[None] for i in picked]).to(args.device)
        latents = encode_image(base.vae, images, generator)
        noise = torch.randn(latents.shape, generator=generator).to(args.device)
        timesteps = torch.randint(0, 1000, (args.batch,), generator=generator).to(args.device)
        noisy = base.scheduler.add_noise(latents, noise, timesteps)
        texts = [build_prompts(data.category(i), build_identifier(0)).full for i in picked]
        embeds = encode_prompts(base.tokenizer, base.text_encoder, texts)
        condition = (images * 0.5 + 0.5) * masks
        down, mid = controlnet(noisy, timesteps, embeds, condition, return_dict=False)
        prediction = base.unet(
            noisy, timesteps, embeds, down_block_additional_residuals=down,
            mid_block_additional_residual=mid, return_dict=False,
        )[0]  # fmt: skip
        run_optimizer(F.mse_loss(prediction.float(), noise.float()), parameters, optimizer)

    return time_steps(step, args.steps, args.batch, args.device)


def measure_ours(base: BaseModel, data: RandomData, args: argparse.Namespace) -> tuple[float, float]:
    started = time.perf_counter()
    latents = np.stack([encode_image(base.vae, to_tensor(data.load(i)[0])).numpy() for i in range(len(data))])
    prompts = [build_prompts(name, build_identifier(i)) for i, name in enumerate(CATEGORIES)]
    rows = encode_prompts(base.tokenizer, base.text_encoder, list_prompt_texts(prompts)).numpy()
    cache_seconds = time.perf_counter() - started
    source = SourceConfig(path=Path("unused"))
    config = TrainConfig(
        data=DataConfig(source=source),
        model=ModelConfig(base="unused"),
        steps=args.steps,
        batch_size=args.batch,
        channels_last=not args.contiguous,
    )
    stage, start = STAGES["category"], Start(Path("unused"), CategoryRegistry(), config)
    networks = StageNetworks(stage, start, base.scheduler, *stage.build(start, base)).to(args.device)
    if config.channels_last:
        networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    builder = BatchBuilder(data, latents, PromptTable(rows, CATEGORIES), stage.needs, config.perturb, None, 0)
    draw_settings = DrawSettings(0, latents.shape[2:], 1000, False, config.prompt_dropout)
    parameters = list(networks.trainable_parameters().values())
    optimizer = torch.optim.AdamW(parameters, lr=1e-5, fused=True)

    def step(index: int) -> None:
        first = index * args.batch
        indices = sample_indices(len(data), 0, first, args.batch)
        draws = [sample_draws(first + i, int(k), draw_settings) for i, k in enumerate(indices)]
        loss = networks(builder.build(draws).to(torch.device(args.device)))
        run_optimizer(loss, parameters, optimizer)

    return time_steps(step, args.steps, args.batch, args.device), cache_seconds / len(data)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=["sd15", "bundled"], default="sd15")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--contiguous", action="store_true", help="ours without channels_last")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.manual_seed(0)
    if args.shape == "sd15":
        base, size, widths = build_sd15_base(), 512, (16, 32, 96, 256)
    else:
        shape = BaseShape(unet_channels=(64, 128), decoder_widths=(128, 64, 32))
        base, size, widths = build_base(shape, list(CATEGORIES)), 256, (8, 16, 32, 64, 64)
    args.batch = args.batch or (1 if args.shape == "sd15" else 16)
    for module in (base.unet, base.vae, base.text_encoder):
        module.requires_grad_(False).eval().to(args.device)
    data = RandomData(size)
    peer = measure_peer(base, data, args, widths)
    gc.collect()
    ours, cache = measure_ours(base, data, args)
    print(f"torch {torch.__version__}, {args.device}, {torch.get_num_threads()} threads, float32")
    print(
        "| shape | size | batch | ours images/s | plain loop images/s | ratio | ours: cache once, s/image |"
    )
    print("|---|---|---|---|---|---|---|")
    rates = f"{ours:.3f} | {peer:.3f} | {ours / peer:.2f} | {cache:.2f}"
    print(f"| {args.shape} | {size} | {args.batch} | {rates} |")


if __name__ == "__main__":
    main()
