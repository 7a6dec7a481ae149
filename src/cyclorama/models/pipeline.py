"""The whole generator in diffusers' conventions: base + CG + PG, one call for one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from cyclorama.diffusion.sampling import (
    build_scheduler,
    build_start,
    plan_encoders,
    sample_latents,
    sample_noise,
)
from cyclorama.diffusion.settings import SamplingConfig, check_batch
from cyclorama.errors import ModelFormatError
from cyclorama.models.attention import cached_prompts
from cyclorama.models.autoencoder import PatchAutoencoder
from cyclorama.models.base import (
    BaseModel,
    BaseSizes,
    decode_latents,
    encode_image,
    encode_prompts,
    load_base,
    load_part,
    load_vae,
    save_parts,
)
from cyclorama.models.files import BASE_PARTS, find_model
from cyclorama.models.generators import (
    GENERATORS,
    CategoryGenerator,
    PersonalityGenerator,
    Residuals,
    build_condition_image,
    predict_noise,
)
from cyclorama.models.registry import Category, CategoryRegistry, load_registry, save_registry
from cyclorama.models.speed import (
    EncodingCache,
    combine_guidance,
    compute_digest,
    get_weights_state,
    lent_encoder,
    list_prompt_free_layers,
    shared_halves,
    shared_timestep,
    tune_network,
)
from cyclorama.prompts import EMPTY_PROMPTS

StepCallback = Callable[[Any, int, Tensor, dict[str, Tensor]], dict[str, Tensor] | None]


class CycloramaPipeline(DiffusionPipeline, BaseSizes):
    """Advertising images from product images, in batches of one shape.

    arXiv 2312.13309. ``registry`` holds the categories. Differs from the paper: see the method's
    settled points (PG's input, soft masks, product guarantee, which is applied by the caller).
    """

    model_cpu_offload_seq = "text_encoder->unet->vae"
    _callback_tensor_inputs: ClassVar[list[str]] = ["latents"]

    def __init__(
        self,
        unet: Any,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        scheduler: Any,
        category_generator: CategoryGenerator,
        personality_generator: PersonalityGenerator,
    ) -> None:
        super().__init__()
        self.register_modules(
            unet=unet,
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            scheduler=scheduler,
            category_generator=category_generator,
            personality_generator=personality_generator,
        )
        self.registry = CategoryRegistry()
        self.encodings = EncodingCache()
        """Latents and hints of the references used last."""
        self._prompts: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}

    @classmethod
    def from_pretrained(
        cls,
        folder_or_hub_id: str | Path,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device | None = None,
    ) -> CycloramaPipeline:
        """The model in a folder or hub repository (safetensors only), ready on ``device``.

        Raises ModelNotFoundError, ModelFormatError (also for a plain base, see :meth:`from_base`).
        """
        folder = find_model(folder_or_hub_id)
        missing = [name for name in GENERATORS if not (folder / name).is_dir()]
        if missing:
            raise ModelFormatError(
                f"{folder} has no {' and no '.join(missing)}: it is a base, not a Cyclorama model. Train one "
                f"on it (`cyclorama train category --config …`) or CycloramaPipeline.from_base for an "
                f"untrained pair"
            )
        base = load_base(folder, dtype=dtype)
        generators = {name: load_part(part, folder / name, dtype) for name, part in GENERATORS.items()}
        pipeline = cls.from_parts(base, load_registry(folder), **generators)
        return pipeline if device is None else pipeline.to(device)

    @classmethod
    def from_base(
        cls,
        base: str | Path | BaseModel,
        dtype: torch.dtype = torch.float32,
        with_mask: bool = False,
        registry: CategoryRegistry | None = None,
    ) -> CycloramaPipeline:
        """An untrained pair of generators on any Stable Diffusion 1.x/2.x base, given as folder or hub id.

        Invariant: its images are the base's own until the generators are trained.
        """
        if not isinstance(base, BaseModel):
            folder = find_model(base)
            registry = registry or load_registry(folder)
            base = load_base(folder, dtype=dtype)
        scale = base.vae_scale
        generators: dict[str, Any] = {
            name: part.from_base(base.unet, scale, with_mask).to(dtype) for name, part in GENERATORS.items()
        }
        return cls.from_parts(base, registry or CategoryRegistry(), **generators)

    @classmethod
    def from_parts(cls, base: BaseModel, registry: CategoryRegistry, **generators: Any) -> CycloramaPipeline:
        """The pipeline of a base and both generators, all in evaluation mode."""
        parts = {name: getattr(base, name) for name in BASE_PARTS} | generators
        for part in parts.values():
            if isinstance(part, torch.nn.Module):
                part.eval()
        pipeline = cls(**parts)
        pipeline.registry = registry
        return pipeline

    def save_pretrained(self, folder: str | Path, max_shard_size: str = "10GB") -> None:
        """Write the model folder: categories.json, safetensors in shards of at most ``max_shard_size``."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_registry(self.registry, folder)
        parts = {name: getattr(self, name) for name in (*BASE_PARTS, *GENERATORS)}
        save_parts(parts, folder, "CycloramaPipeline", max_shard_size)

    def bundle(self, autoencoder: str | Path | None, aliases: Mapping[str, str | Sequence[str]]) -> None:
        """Make this ready to ship: half precision, the decoder of model ``autoencoder``, more ``aliases``.

        A decoder may be trained while the other stages already use its fixed encoder; only one with the same
        encoder fits. Raises ModelFormatError otherwise, UnknownCategoryError for aliases of no category.
        """
        if autoencoder is not None:
            trained = load_vae(find_model(autoencoder) / "vae", torch.float32)
            if not (isinstance(self.vae, PatchAutoencoder) and isinstance(trained, PatchAutoencoder)):
                raise ModelFormatError("only a PatchAutoencoder's decoder can be exchanged")
            if not torch.equal(self.vae.analysis.weight, trained.analysis.weight):
                raise ModelFormatError("the autoencoder's encoder is not the one this model was trained with")
            self.register_modules(vae=trained)
        extra = {
            self.registry.resolve(name).name: (names,) if isinstance(names, str) else tuple(names)
            for name, names in aliases.items()
        }
        categories = self.registry.categories
        self.registry = CategoryRegistry(
            [Category(c.name, c.id, (*c.aliases, *extra.get(c.name, ()))) for c in categories]
        )
        for name in ("unet", "vae", "text_encoder", *GENERATORS):
            getattr(self, name).half()

    def tune(self, *, channels_last: bool = False, compile: bool = False) -> None:
        """Other memory order, compiled blocks: the same images up to rounding, at another speed.

        See :func:`cyclorama.models.speed.tune_network`; ``cyclorama models advise`` says where they pay.
        """
        for network in (self.unet, self.category_generator, self.personality_generator):
            tune_network(network, channels_last=channels_last, compile=compile)

    @torch.no_grad()
    def __call__(
        self,
        product_image: Tensor,
        product_mask: Tensor,
        categories: Sequence[str],
        generators: Sequence[torch.Generator],
        reference_image: Tensor | None = None,
        reference_mask: Tensor | None = None,
        settings: SamplingConfig | None = None,
        callback_on_step_end: StepCallback | None = None,
    ) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1], float32, before the product is composited back.

        product_image: (B, 3, H, W) in [-1, 1]; what lies outside the mask is not looked at.
        product_mask: (B, 1, H, W) in [0, 1], 1 = product.
        categories: B names or aliases. generators: B, one per image, for its starting noise.
        reference_image: (B, 3, H, W) in [-1, 1] or None (PG is not run then).
        reference_mask: (B, 1, H, W), 1 = hidden from PG, normally the reference's own product,
        dilated; None shows the whole reference.
        callback_on_step_end: called as in diffusers with ``{"latents": …}``; may return a changed dict.

        Raises SettingsError (shapes), UnknownCategoryError. Invariant: bit-equal on CPU float32 for
        one batch shape, whatever the order.
        """
        settings = settings or SamplingConfig()
        check_batch(
            product_image, product_mask, categories, generators, reference_image, reference_mask,
            multiple=self.image_multiple,
        )  # fmt: skip
        scheduler = build_scheduler(self.scheduler, settings.scheduler)
        device, scale = self._execution_device, self.vae_scale  # found by a walk of all modules, so once
        scheduler.set_timesteps(settings.num_inference_steps, device=device)
        guided = settings.guidance_scale > 1
        image, mask = product_image.to(device), product_mask.to(device)
        prompts = self._encode_categories(categories, guided, device)
        steps = len(scheduler.timesteps)
        predict = self._build_predictor(
            image, mask, prompts, reference_image, reference_mask, settings, steps
        )
        shape = (self.latent_channels, image.shape[-2] // scale, image.shape[-1] // scale)
        noise = sample_noise(shape, generators).to(device)
        start_from = None
        if reference_image is not None and settings.initial_latent:
            start_from = self._encode_references(reference_image, device)
        start = build_start(scheduler, noise, start_from).to(self.unet.dtype)
        bar = self.progress_bar(total=settings.num_inference_steps)

        def on_step(index: int, timestep: Tensor, latents: Tensor) -> Tensor:
            bar.update()
            if callback_on_step_end is None:
                return latents
            changed = callback_on_step_end(self, index, timestep, {"latents": latents})
            return latents if changed is None else changed.get("latents", latents)

        networks = [self.unet, self.category_generator, self.personality_generator]
        shared = [layer for network in networks if guided for layer in list_prompt_free_layers(network)]
        with bar, cached_prompts(networks), shared_halves(shared), shared_timestep(networks):
            latents = sample_latents(
                predict, scheduler, start, eta=settings.eta, generators=generators, on_step=on_step
            )
        images = decode_latents(self.vae, latents)
        self.maybe_free_model_hooks()
        return images

    def _encode_categories(
        self, categories: Sequence[str], guided: bool, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Embeddings for the whole (guided) batch, made once: (B', 2L, D) for CG, (B', L, D) for the rest."""
        prompts = [self.registry.resolve(name).prompts for name in categories]
        if guided:
            prompts = [EMPTY_PROMPTS] * len(prompts) + prompts
        product, background, full = (
            torch.stack([self._encode_prompt(getattr(p, kind), device) for p in prompts])
            for kind in ("product", "background", "full")
        )
        return torch.cat([product, background], dim=1), full

    def _encode_prompt(self, text: str, device: torch.device) -> Tensor:
        """Embedding (L, D), kept between calls; encoded alone, so the batch cannot change its bits."""
        key = (text, self.text_encoder.dtype, device)
        if key not in self._prompts:
            self._prompts[key] = encode_prompts(self.tokenizer, self.text_encoder, [text])[0]
        return self._prompts[key]

    def _encode_each(
        self, kind: str, device: torch.device, network: Any, encode: Callable[..., Tensor], *inputs: Tensor
    ) -> Tensor:
        """``encode`` of each row of ``inputs`` alone, kept by content and by the weights of ``network``.

        Alone, so that neither the batch nor what is kept from before can change an image's bits.
        """
        dtype = next(network.parameters()).dtype
        state = (kind, get_weights_state(network), dtype, device)
        rows = zip(*(value.unsqueeze(1) for value in inputs), strict=True)
        encoded = [
            self.encodings.get((*state, *map(compute_digest, row)), partial(encode, *row)) for row in rows
        ]
        return torch.cat(encoded)

    def _encode_references(self, images: Tensor, device: torch.device) -> Tensor:
        """Latents (B, c, h, w), float32, of references (B, 3, H, W)."""
        return self._encode_each(
            "latents",
            device,
            self.vae,
            lambda image: encode_image(self.vae, image.to(device)).float(),
            images,
        )

    def _encode_reference_hints(self, images: Tensor, masks: Tensor | None, device: torch.device) -> Tensor:
        """PG's hint features (B, C0, h, w) of references (B, 3, H, W) outside ``masks`` (B, 1, H, W)."""
        pg = self.personality_generator

        def encode(image: Tensor, mask: Tensor) -> Tensor:
            condition = build_condition_image(image.to(device), 1 - mask.to(device), pg.with_mask)
            hint: Tensor = pg.encode_hint(condition)
            return hint

        hidden = torch.zeros_like(images[:, :1]) if masks is None else masks
        return self._encode_each("hint", device, pg.controlnet_cond_embedding, encode, images, hidden)

    def _build_predictor(
        self,
        image: Tensor,
        mask: Tensor,
        prompts: tuple[Tensor, Tensor],
        reference_image: Tensor | None,
        reference_mask: Tensor | None,
        settings: SamplingConfig,
        steps: int,
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """Guided prediction as a function of noisy latents and timestep, to be called ``steps`` times.

        All that does not change is prepared here, once.
        """
        cg, pg = self.category_generator, self.personality_generator
        masked_prompts, full_prompts = prompts
        copies = 2 if settings.guidance_scale > 1 else 1
        masks = mask.to(self.unet.dtype).repeat(copies, 1, 1, 1)
        cg_hint = cg.encode_hint(build_condition_image(image, mask, cg.with_mask)).repeat(copies, 1, 1, 1)
        use_pg = reference_image is not None and settings.reference_strength > 0
        if use_pg:
            assert reference_image is not None
            pg_hint = self._encode_reference_hints(reference_image, reference_mask, image.device)
            pg_hint = pg_hint.repeat(copies, 1, 1, 1)
        layer_masks: dict[int, Tensor] = {}
        reuse = settings.encoder_every > 1
        fresh = iter(plan_encoders(steps, settings.encoder_every))
        encoded: dict[Any, Any] = {}
        residuals: Residuals | None = None

        def encode(model_input: Tensor, timestep: Tensor) -> Residuals:
            if not layer_masks:
                layer_masks.update(cg.compute_masks(masks, model_input))
            category: Residuals = cg(model_input, timestep, masked_prompts, cg_hint, layer_masks)
            category = category.scale(settings.category_strength)
            if not use_pg:
                return category
            style: Residuals = pg.predict_residuals(model_input, timestep, full_prompts, pg_hint, masks)
            return category + style.scale(settings.reference_strength)

        def predict(noisy_latents: Tensor, timestep: Tensor) -> Tensor:
            nonlocal residuals
            model_input = noisy_latents.to(self.unet.dtype).repeat(copies, 1, 1, 1)
            if next(fresh):
                encoded.clear()
                residuals = encode(model_input, timestep)
            with lent_encoder(self.unet, encoded) if reuse else nullcontext():
                prediction = predict_noise(self.unet, model_input, timestep, full_prompts, residuals)
            return prediction if copies == 1 else combine_guidance(prediction, settings.guidance_scale)

        return predict
