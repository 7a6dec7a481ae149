"""The facade: product images in, finished advertising images out, in one call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cyclorama.errors import SettingsError
from cyclorama.generation.batches import build_batches, choose_batch_size, compute_item_seeds
from cyclorama.generation.engine import Pipeline, Task, compute_model_shape, sample_images
from cyclorama.generation.model import choose_device, open_model
from cyclorama.generation.result import Generated
from cyclorama.generation.settings import GenerateConfig
from cyclorama.generation.sources import compute_product_name, load_product, load_reference
from cyclorama.imaging.layout import CanvasLayout
from cyclorama.imaging.product import Product, Reference

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

ImageSource: TypeAlias = "str | Path | Image.Image | npt.NDArray[np.uint8]"
ProductSource: TypeAlias = "ImageSource | Product"
ReferenceSource: TypeAlias = "ImageSource | Reference"


class BackgroundGenerator:
    """Puts products before backgrounds in their category's style, or in that of a reference.

    Make one with :meth:`from_pretrained`; calling it gives the images.
    """

    def __init__(self, pipeline: Pipeline, model_name: str = "", model_hash: str = "") -> None:
        """Wrap a pipeline that is already on its device."""
        self.pipeline = pipeline
        self.model_name = model_name
        self.model_hash = model_hash

    @classmethod
    def from_pretrained(
        cls, model: str | Path | None = None, device: str = "auto", dtype: str = "auto"
    ) -> BackgroundGenerator:
        """A generator ready to be called.

        ``model``: a model folder, a hub id, or None for the model inside the package.
        ``device``: ``auto`` (CUDA, then Apple's GPU, then CPU) or a torch device.
        ``dtype``: ``auto`` (float32 on a CPU, half precision elsewhere), ``float32``,
        ``bfloat16`` or ``float16``.

        Raises ModelNotFoundError, ModelFormatError, SettingsError (no such device or dtype).
        """
        device, dtype = choose_device(device, dtype)
        handle = open_model(model)
        return cls(handle.load(device, dtype), handle.name, handle.hash)

    @property
    def categories(self) -> list[str]:
        """Names of the categories the model knows, in the order of their ids."""
        return self.pipeline.registry.names

    def __call__(
        self,
        products: ProductSource | Sequence[ProductSource],
        *,
        category: str | Sequence[str],
        reference: ReferenceSource | Sequence[ReferenceSource | None] | None = None,
        seed: int | Sequence[int] = 0,
        settings: GenerateConfig | None = None,
    ) -> list[Generated]:
        """A finished image per product, output and candidate, in this order, the first product's first.

        products: one or a list of paths, PIL images, uint8 arrays (H, W, 3 or 4) or :class:`Product`.
        Paths, images and arrays need an alpha channel or a plain white background to tell the product by;
        with a mask of your own, build a :class:`Product`.
        category: name or alias, one for all or one per product.
        reference: image whose background style is followed, one for all or one per product.
        seed: one for the run, from which each product's own is derived by its name (a path's file name;
        for what has no name, its content), so that an image is the same alone, in a list, in any order. A
        list gives each product's own seed, as stated in an earlier ``Generated.seed``.
        settings: sampling, canvases, candidates, batch size; with ``outputs``, ``Generated.settings`` names
        each image's under ``layout``. Encoding and layers concern files and have no effect here.

        Images have the input's own size, or that of their canvas. Invariants: where the product's matte is
        1 the image equals the input bit for bit unless the canvas asks for another scale, and then the
        resampled product; equal arguments give equal images on CPU float32 for one batch shape.

        Raises the errors of the loader and of the masks (ImageError, MaskError), UnknownCategoryError and
        SettingsError, all before the first image is sampled.
        """
        settings = settings or GenerateConfig()
        settings.build_sampling()
        sources = _to_list(products)
        categories = [
            self.pipeline.registry.resolve(name) for name in _spread(category, len(sources), "category")
        ]
        given = _spread(reference, len(sources), "reference")
        own_seeds: list[int | None] = [None] * len(sources)
        run_seed = 0
        if isinstance(seed, int):
            run_seed = seed
        else:
            own_seeds = _spread(seed, len(sources), "seed")
        _check_seeds([run_seed, *own_seeds])
        loaded = [_load_named(source) for source in sources]
        shared: dict[int, Reference] = {}
        for source in given:
            if source is not None and id(source) not in shared:
                shared[id(source)] = load_reference(source)
        tasks = []
        for i, product in enumerate(loaded):
            style = None if given[i] is None else shared[id(given[i])]
            seeds = compute_item_seeds(run_seed, product.name, own_seeds[i], settings.candidates)
            for layout in settings.build_layouts():
                for s in seeds:
                    tasks.append((layout, Task(product, categories[i], s, style, product.name)))
        return self._sample(tasks, settings)

    def _sample(
        self, tasks: Sequence[tuple[CanvasLayout, Task]], settings: GenerateConfig
    ) -> list[Generated]:
        shapes = [
            (
                *compute_model_shape(self.pipeline, layout.compute_size(task.product.size), settings),
                task.reference is not None,
            )
            for layout, task in tasks
        ]
        device = str(getattr(self.pipeline, "device", "cpu"))
        results: list[Generated | None] = [None] * len(tasks)
        for batch in build_batches(shapes, choose_batch_size(settings.batch_size, device)):
            members = [
                replace(task, product=layout.place(task.product))
                for layout, task in (tasks[i] for i in batch.members)
            ]
            for i, result in zip(
                batch.members, sample_images(self.pipeline, members, settings, batch.places), strict=True
            ):
                if isinstance(result, Exception):
                    raise result
                model = {"model": self.model_name, "model_hash": self.model_hash}
                layout = {"layout": tasks[i][0].name} if tasks[i][0].name else {}
                results[i] = replace(result, settings=result.settings | model | layout)
        return [result for result in results if result is not None]


def _to_list(products: Any) -> list[Any]:
    """The products as a list; a text, image, array or record counts as one."""
    listed = isinstance(products, Iterable) and not _is_single(products)
    sources = list(products) if listed else [products]
    if not sources:
        raise SettingsError("no products are given; give at least one image")
    return sources


def _is_single(value: Any) -> bool:
    return isinstance(value, str | Path | Product | Reference) or hasattr(value, "__array_interface__")


def _spread(value: Any, count: int, name: str) -> list[Any]:
    """``value`` for each of ``count`` products. Raises SettingsError for a list of another length."""
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise SettingsError(
            f"{len(value)} values of {name} for {count} products; give one, or one per product"
        )
    return list(value)


def _check_seeds(seeds: Iterable[Any]) -> None:
    from cyclorama.seeding import MAX_SEED

    for seed in seeds:
        if seed is not None and not (isinstance(seed, int) and 0 <= seed <= MAX_SEED):
            raise SettingsError(f"seed must be a whole number from 0 to 2**63 - 1, got {seed!r}")


def _load_named(source: Any) -> Product:
    product = source if isinstance(source, Product) else load_product(source)
    return product if product.name else replace(product, name=compute_product_name(product))
