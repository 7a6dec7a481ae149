"""Everything about a run that is known before the first image: what to make, under which name and seed.

Files are looked at (headers, digests) but not decoded; whatever is already wrong becomes a failure here.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclorama.errors import CycloramaError, InputError
from cyclorama.generation.batches import compute_item_seeds
from cyclorama.generation.categories import CategoryRules
from cyclorama.generation.items import Failure, Item
from cyclorama.generation.journal import compute_file_digest, compute_key
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.names import build_image_names
from cyclorama.generation.settings import GenerateConfig
from cyclorama.imaging.layers import check_layer_format
from cyclorama.imaging.layout import CanvasLayout
from cyclorama.models.registry import Category
from cyclorama.types import Size

if TYPE_CHECKING:
    from cyclorama.imaging.cutout import CutoutNetwork

_KEY_FORMAT = 1
_EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True)
class PlannedImage:
    """One image to be made of an item."""

    path: str
    """Below the output folder, with ``/``."""
    seed: int
    key: str
    """Digest of all that the image depends on; equal keys give equal images."""
    layout: CanvasLayout = field(default_factory=CanvasLayout)
    candidate: int = 1
    """Its number among the candidates of its layout, from 1."""


@dataclass(frozen=True)
class PlannedItem:
    """An item with its category and images; or with its failure, and no images."""

    item: Item
    category: Category | None = None
    size: Size = (0, 0)
    """(height, width) of the input, upright, from its header."""
    images: tuple[PlannedImage, ...] = ()
    reference_digest: str | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class RunConfig:
    """What holds for a whole run, beside its items."""

    settings: GenerateConfig = field(default_factory=GenerateConfig)
    rules: CategoryRules = field(default_factory=CategoryRules)
    seed: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    overwrite: bool = False
    network: CutoutNetwork | None = None
    """Cuts out products that have neither mask nor alpha nor a plain background."""


def build_plan(items: Sequence[Item], model: ModelHandle, config: RunConfig) -> list[PlannedItem]:
    """One planned item per item, in order, failures included.

    Raises UnknownCategoryError if the default category or an alias' target is unknown to the model.
    """
    config.rules.check(model.registry)
    settings = config.settings
    names = build_image_names(
        [_get_place(item) for item in items],
        settings.candidates,
        [layout.name for layout in settings.build_layouts()],
        settings.encoding.suffix,
    )
    look = _Look()
    plan = []
    for item, paths in zip(items, names, strict=True):
        try:
            if item.failure is not None:
                plan.append(PlannedItem(item, failure=item.failure))
            else:
                plan.append(_plan_item(item, paths, model, config, look))
        except (CycloramaError, OSError) as error:
            plan.append(PlannedItem(item, failure=Failure.of(error)))
    return plan


class _Look:
    """Digests and sizes of files, each file read once however many items share it."""

    def __init__(self) -> None:
        self.digest = cache(compute_file_digest)
        self.size = cache(read_size)


def _get_place(item: Item) -> str:
    return item.name if item.folder is None else f"{item.folder}/{item.name}"


def _plan_item(
    item: Item, paths: list[str], model: ModelHandle, config: RunConfig, look: _Look
) -> PlannedItem:
    files = {
        "image": item.image,
        "mask": item.mask,
        "reference": item.reference,
        "reference_mask": item.reference_mask,
    }
    for role, path in files.items():
        if path is not None and not path.is_file():
            raise InputError(f"{role.replace('_', ' ')} {path} does not exist or is no file")
    item = replace(item, category=_find_category(item, model, config))
    category = config.rules.resolve(item.category, model.registry)
    assert item.image is not None  # only a rejected row has none, and its failure came first
    size = look.size(item.image)
    if item.reference is not None:
        look.size(item.reference)
    seeds = compute_item_seeds(config.seed, item.name, item.seed, config.settings.candidates)
    digests = {role: None if path is None else look.digest(path) for role, path in files.items()}
    common = digests | {
        "format": _KEY_FORMAT,
        "mask_means": item.mask_means,
        "category": [category.name, category.identifier],
        "settings": describe_settings(config),
        "network": None if config.network is None else getattr(config.network, "name", "network"),
        "model": model.hash,
    }
    images = []
    remaining = iter(paths)
    for layout in config.settings.build_layouts():
        check_canvas(layout.compute_size(size), config.settings)
        own = {"layout": layout.describe()} if layout.name else {}
        for number, seed in enumerate(seeds, start=1):
            name = next(remaining)
            key = compute_key(common | own | {"seed": seed, "path": name})
            images.append(PlannedImage(f"images/{name}", seed, key, layout, number))
    return PlannedItem(item, category, size, tuple(images), digests["reference"])


def check_canvas(size: Size, settings: GenerateConfig) -> None:
    """Raise SettingsError if the files that ``settings`` ask for cannot hold an image of ``size``."""
    settings.encoding.check_size(size)
    if settings.layers is not None:
        check_layer_format(settings.layers, size)


def _find_category(item: Item, model: ModelHandle, config: RunConfig) -> str | None:
    """Its row's name, else (without a default) that of the nearest sub-folder the model knows."""
    if item.category is not None or config.rules.default is not None:
        return item.category
    return next((name for name in item.folders if config.rules.knows(name, model.registry)), None)


def describe_settings(config: RunConfig) -> dict[str, Any]:
    """The settings as rows and images state them."""
    return config.settings.describe() | {"dtype": config.dtype}


def read_size(path: Path) -> Size:
    """(height, width) of an image file, EXIF orientation applied, from its header.

    Raises the named error of :func:`cyclorama.imaging.loading.load_image` if the header already shows that it
    cannot be used.
    """
    from PIL import Image

    from cyclorama.imaging.decoding import FORMATS
    from cyclorama.imaging.loading import LoadLimits, load_image

    limits = LoadLimits()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
                # Asking a PNG for EXIF that is not in its header would decode the whole image.
                exif = {} if image.format == "PNG" and "exif" not in image.info else image.getexif()
                turned = exif.get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
                frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    except Exception:  # whatever the decoder dislikes, the loader gives it its name
        return load_image(path).size
    suspicious = width * height > limits.pixels or min(width, height) < limits.side or frames > 1
    if suspicious or path.stat().st_size > limits.file_bytes:
        return load_image(path).size
    return (width, height) if turned else (height, width)
