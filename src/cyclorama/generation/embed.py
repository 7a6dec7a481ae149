"""A finished image as files: with its recipe in it, and its layers beside it if they are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cyclorama import __version__
from cyclorama.errors import UnreadableImageError
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.result import Generated
from cyclorama.generation.settings import GenerateConfig
from cyclorama.imaging.compositing import compute_contact_shadow
from cyclorama.imaging.formats import EncodingConfig, decode_image, encode_image, measure_encoding
from cyclorama.imaging.layers import LayerFormat, build_layers, encode_layers
from cyclorama.imaging.layout import CanvasLayout
from cyclorama.imaging.product import Product


def describe_image(
    model: ModelHandle,
    settings: dict[str, Any],
    layout: CanvasLayout,
    *,
    name: str,
    seed: int,
    category: str | None,
    identifier: str | None,
    reference: str | None,
    mask_source: str,
) -> dict[str, Any]:
    """The recipe as plain values: all that an image was made of, and nothing that differs between equal runs.

    ``settings``: as rows state them. ``name``: of the input. ``reference``: its file's name. An output among
    several also names its canvas, so that it can be made again by its own size or aspect.
    """
    source = {"input": name, "seed": seed, "category": category, "identifier": identifier}
    source |= {"reference": reference, "mask_source": mask_source}
    made_by = {"model": model.name, "model_hash": model.hash, "settings": settings}
    canvas = {"layout": layout.name, "canvas": layout.describe()} if layout.name else {}
    return {"cyclorama": __version__} | source | made_by | canvas


@dataclass(frozen=True)
class ImageEncoder:
    """Turns a finished image into its files, as the settings ask for."""

    encoding: EncodingConfig = field(default_factory=EncodingConfig)
    layers: LayerFormat | None = None
    contact_shadow: float = 0.0

    @classmethod
    def of(cls, settings: GenerateConfig) -> ImageEncoder:
        """The encoder that ``settings`` ask for."""
        return cls(settings.encoding, settings.layers, settings.contact_shadow)

    @property
    def suffix(self) -> str:
        """Suffix of the image's own file, with the dot."""
        return self.encoding.suffix

    def __call__(self, made: Generated, product: Product, recipe: dict[str, Any]) -> Mapping[str, bytes]:
        """The files of one image by suffix, its own first; ``product`` is on the image's canvas.

        Invariant: equal arguments give equal bytes. Raises SettingsError (a format that is too small).
        """
        content = encode_image(made.pixels, recipe, made.icc_profile, self.encoding, product.metadata)
        files = {self.suffix: content}
        if self.layers is not None:
            shadow = (
                compute_contact_shadow(product.matte, self.contact_shadow) if self.contact_shadow else None
            )
            layers = build_layers(made.pixels, made.background, product, shadow)
            files |= encode_layers(layers, self.layers)
        return files

    def measure(self, files: Mapping[str, bytes], product: Product) -> dict[str, Any]:
        """What a lossy file did to the opaque product (:func:`measure_encoding`); empty for a lossless
        one."""
        return {} if self.encoding.is_lossless else measure_encoding(files[self.suffix], product)


def load_metadata(path: str | Path) -> dict[str, Any]:
    """What is written into the image at ``path``: seed, settings, category, model.

    Reads PNG, WebP, JPEG and AVIF. Raises UnreadableImageError if the file is no such image or carries
    nothing of ours.
    """
    try:
        recipe = decode_image(Path(path).read_bytes()).recipe
    except (OSError, UnreadableImageError) as error:
        raise UnreadableImageError(f"cannot read {path}: {error}") from error
    if recipe is None:
        raise UnreadableImageError(
            f"{path} carries no Cyclorama settings; it was made or saved by another program, or with strip"
        )
    return recipe
