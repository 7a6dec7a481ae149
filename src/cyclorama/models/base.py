"""The frozen text-to-image model: loading, saving, encoding, decoding (any SD 1.x/2.x layout)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, ModelMixin, UNet2DConditionModel
from diffusers.utils import logging as diffusers_log
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging as transformers_log

from cyclorama.errors import ModelFormatError
from cyclorama.models.autoencoder import PatchAutoencoder
from cyclorama.models.files import BASE_PARTS, find_model, find_weights, load_json

_VAE_CLASSES = {"AutoencoderKL": AutoencoderKL, "PatchAutoencoder": PatchAutoencoder}


class BaseSizes:
    """The numbers that follow from a base's parts."""

    unet: UNet2DConditionModel
    vae: Any
    scheduler: DDIMScheduler

    @property
    def latent_channels(self) -> int:
        """Channels of the latents."""
        return int(self.unet.config.in_channels)

    @property
    def vae_scale(self) -> int:
        """Pixels per latent position along a side."""
        return compute_vae_scale(self.vae)

    @property
    def image_multiple(self) -> int:
        """Height and width must be multiples of this, in pixels."""
        return int(self.vae_scale * 2 ** (len(self.unet.config.block_out_channels) - 1))

    @property
    def image_size(self) -> int:
        """The native side in pixels."""
        return int(self.unet.config.sample_size) * self.vae_scale


@dataclass
class BaseModel(BaseSizes):
    """The parts of a base."""

    unet: UNet2DConditionModel
    vae: Any
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: DDIMScheduler


def compute_vae_scale(vae: Any) -> int:
    """Pixels per latent position along a side: 8 for Stable Diffusion's autoencoder."""
    if isinstance(vae, PatchAutoencoder):
        return int(vae.config.patch)
    return int(2 ** (len(vae.config.block_out_channels) - 1))


@contextmanager
def no_bars() -> Iterator[None]:
    """While open, diffusers and transformers show no bars for the parts they load or save."""
    shown = [log for log in (diffusers_log, transformers_log) if log.is_progress_bar_enabled()]
    for log in shown:
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log in shown:
            log.enable_progress_bar()


def load_base(folder_or_hub_id: str | Path, *, dtype: torch.dtype = torch.float32) -> BaseModel:
    """The base of a Stable Diffusion 1.x/2.x checkpoint or of a Cyclorama model.

    Raises ModelNotFoundError, ModelFormatError.
    """
    folder = find_model(folder_or_hub_id)
    return BaseModel(
        unet=load_part(UNet2DConditionModel, folder / "unet", dtype),
        vae=load_vae(folder / "vae", dtype),
        text_encoder=load_part(CLIPTextModel, folder / "text_encoder", dtype),
        tokenizer=_open(CLIPTokenizer, folder / "tokenizer"),
        scheduler=_open(DDIMScheduler, folder / "scheduler"),
    )


def load_vae(folder: Path, dtype: torch.dtype) -> Any:
    """The autoencoder in ``folder``, whichever of the supported classes it is.

    Raises ModelFormatError for another class.
    """
    name = load_json(folder / "config.json").get("_class_name")
    if name not in _VAE_CLASSES:
        raise ModelFormatError(f"{folder}: autoencoder class {name!r}; supported: {', '.join(_VAE_CLASSES)}")
    return load_part(_VAE_CLASSES[name], folder, dtype)


def load_part(cls: Any, folder: Path, dtype: torch.dtype) -> Any:
    """A network of class ``cls`` from ``folder``, safetensors only, in evaluation mode.

    The plain weights, or the variant that is there. Raises ModelFormatError naming the folder if
    configuration or weights do not fit.
    """
    options: dict[str, Any] = {"dtype": dtype}
    if issubclass(cls, ModelMixin):
        options = {"torch_dtype": dtype, "low_cpu_mem_usage": False}
    variant = find_weights(folder)[1]
    return _open(cls, folder, use_safetensors=True, variant=variant, **options).eval()


@no_bars()
def _open(cls: Any, folder: Path, **options: Any) -> Any:
    try:
        return cls.from_pretrained(folder, **options)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ModelFormatError(f"cannot load {cls.__name__} from {folder}: {error}") from error


def save_base(base: BaseModel, folder: str | Path, max_shard_size: str = "10GB") -> None:
    """Write a base in the diffusers layout, safetensors, with Stable Diffusion's kind of index."""
    parts = {name: getattr(base, name) for name in BASE_PARTS}
    save_parts(parts, Path(folder), "StableDiffusionPipeline", max_shard_size)


@no_bars()
def save_parts(parts: dict[str, Any], folder: Path, class_name: str, max_shard_size: str) -> None:
    """Write ``parts``, each into its sub-folder, and then the index: a folder with an index is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    index: dict[str, object] = {"_class_name": class_name}
    for name, part in parts.items():
        shards = {"max_shard_size": max_shard_size} if isinstance(part, torch.nn.Module) else {}
        part.save_pretrained(folder / name, **shards)
        index[name] = [type(part).__module__.split(".")[0], type(part).__name__]
    index |= {"safety_checker": [None, None], "feature_extractor": [None, None]}
    temporary = folder / "model_index.json.tmp"
    temporary.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    temporary.replace(folder / "model_index.json")


@torch.no_grad()
def encode_image(vae: Any, image: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Latents (B, c, h, w), scaled for the UNet, of ``image`` (B, 3, H, W) in [-1, 1].

    The distribution's mode without a generator, else one sample. Invariant: on a CPU an image's mode
    does not depend on the others, see :func:`_by_image`.
    """
    if generator is None:
        latents = _by_image(lambda x: vae.encode(x).latent_dist.mode(), image.to(vae.dtype))
    else:
        latents = vae.encode(image.to(vae.dtype)).latent_dist.sample(generator)
    scaled: Tensor = latents * vae.config.scaling_factor
    return scaled


@torch.no_grad()
def decode_latents(vae: Any, latents: Tensor) -> Tensor:
    """Image (B, 3, H, W) in [-1, 1], float32, of scaled latents (B, c, h, w).

    Invariant: on a CPU an image does not depend on the others, see :func:`_by_image`.
    """
    image = _by_image(lambda x: vae.decode(x).sample, latents.to(vae.dtype) / vae.config.scaling_factor)
    return image.float().clamp(-1, 1)


def _by_image(network: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    """``network`` of ``batch``, on a CPU one image at a time.

    The attention of diffusers' autoencoders leaves its output with the channels last, where group norm
    splits its sums among threads across images: bits would depend on an image's place. At these sizes a
    CPU gains nothing from a batch.
    """
    if batch.device.type != "cpu" or len(batch) <= 1:
        return network(batch)
    return torch.cat([network(batch[i : i + 1]) for i in range(len(batch))])


@torch.no_grad()
def encode_prompts(tokenizer: Any, text_encoder: Any, texts: Sequence[str]) -> Tensor:
    """Prompt embeddings (N, L, D) of ``texts``; longer texts are cut at the model's length L."""
    embeds: Tensor = text_encoder(tokenize(tokenizer, texts).to(text_encoder.device))[0]
    return embeds


def tokenize(tokenizer: Any, texts: Sequence[str]) -> Tensor:
    """Token ids int64 (N, L) of ``texts``, padded or cut to the model's length L."""
    ids: Tensor = tokenizer(
        list(texts),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    return ids
