"""The Python API: product images in, finished advertising images out, in one call."""

from __future__ import annotations

import hashlib
import io
import operator
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np

from cyclorama.data.addresses import is_url, read_bytes
from cyclorama.data.fetch import UrlPolicy
from cyclorama.errors import ImageError, InputError, MaskError, SettingsError
from cyclorama.generation.batches import build_batches, choose_usual_size, compute_item_seeds
from cyclorama.generation.engine import sample_images
from cyclorama.generation.model import ModelHandle, open_model
from cyclorama.generation.recognise import recognise
from cyclorama.generation.result import Generated, describe_image, describe_looks
from cyclorama.generation.settings import GenerateConfig
from cyclorama.generation.styles import FittedStyle
from cyclorama.generation.task import Model, Task, compute_model_shape
from cyclorama.imaging.inputs import is_address, is_one
from cyclorama.imaging.layout import CanvasLayout
from cyclorama.imaging.product import Product, Reference
from cyclorama.models.words import AUTO, CategoryRules
from cyclorama.processes import check_process
from cyclorama.scenes.brand import Brand
from cyclorama.seeding import MAX_SEED

if TYPE_CHECKING:
    from cyclorama.imaging.inputs import ImageLike

    One: TypeAlias = ImageLike | Product
    Followed: TypeAlias = ImageLike | Reference | Product | Generated | None
    StyleFile: TypeAlias = str | Path | Brand | None
    BackdropFile: TypeAlias = str | Path | None


_FILE_ONLY = {"format", "quality", "provenance", "strip", "layers", "dtype", "channels_last", "compile"}
"""What a recipe says about files and arithmetic, which a call does not set."""


class BackgroundGenerator:
    """Puts products before backgrounds in their category's style, or in that of a reference.

    Make one with :meth:`from_pretrained`; calling it gives the images. Threads may share one: calls wait for
    each other, and results are those of calls made alone. Processes need one each, started with ``spawn``.
    """

    def __init__(
        self,
        pipeline: Model,
        model: ModelHandle | None = None,
        urls: UrlPolicy | Iterable[str] | bool | None = None,
    ) -> None:
        """Wrap a pipeline that is already on its device; ``model`` names it in recipes."""
        self.pipeline = pipeline
        self.urls = _read_policy(urls)
        self.model = model or ModelHandle("", Path(), "", pipeline.registry)
        self.lock = threading.RLock()

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path | None = None,
        device: str = "auto",
        dtype: str = "auto",
        urls: UrlPolicy | Iterable[str] | bool | None = None,
        scenes: str | Path | None = None,
    ) -> BackgroundGenerator:
        """A generator ready to be called.

        ``model``: ``scenes`` or None (rendered sets, no weights), ``bundled`` (the learned model inside the
        package), a model folder or a hub id.
        ``device``: ``auto`` (CUDA, then Apple's GPU, then CPU) or a torch device.
        ``dtype``: ``auto`` (float32 on a CPU, half precision elsewhere), ``float32``,
        ``bfloat16`` or ``float16``.
        ``urls``: hosts whose https addresses may be given as images (``*.shop.example``), True for every
        public one, or a policy with its limits; None reads no web address.
        ``scenes``: a folder of own category files for the rendered sets, beside and over the built-in ones.

        Raises ModelNotFoundError, ModelFormatError, SettingsError (no such device or dtype), ConfigError (a
        fault in a category file), MissingDependencyError (no extra ``learned``), ForkedProcessError.
        """
        check_process()
        handle = open_model(model, None if scenes is None else Path(scenes))
        device, dtype = handle.choose_device(device, dtype)
        return cls(handle.load(device, dtype), handle, urls)

    @property
    def categories(self) -> list[str]:
        """Names of the categories the model knows, in the order of their ids."""
        return self.pipeline.registry.names

    @overload
    def __call__(
        self,
        products: One,
        *,
        category: str | Iterable[str] = AUTO,
        mask: ImageLike | Iterable[ImageLike | None] | None = None,
        reference: Followed | Iterable[Followed] = None,
        style: StyleFile | Iterable[StyleFile] = None,
        backdrop: BackdropFile | Iterable[BackdropFile] = None,
        seed: int | Iterable[int | None] | None = 0,
        settings: GenerateConfig | Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Generated: ...

    @overload
    def __call__(
        self,
        products: Iterable[One],
        *,
        category: str | Iterable[str] = AUTO,
        mask: ImageLike | Iterable[ImageLike | None] | None = None,
        reference: Followed | Iterable[Followed] = None,
        style: StyleFile | Iterable[StyleFile] = None,
        backdrop: BackdropFile | Iterable[BackdropFile] = None,
        seed: int | Iterable[int | None] | None = 0,
        settings: GenerateConfig | Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> list[Generated]: ...

    def __call__(
        self,
        products: Any,
        *,
        category: Any = AUTO,
        mask: Any = None,
        reference: Any = None,
        style: Any = None,
        backdrop: Any = None,
        seed: Any = 0,
        settings: Any = None,
        **changes: Any,
    ) -> Any:
        """The finished image of one product, or a list for several.

        A list has an image per product, output and candidate, in this order, the first product's first. One
        product gives its image itself, and a list only where ``outputs`` or ``candidates`` ask for several.

        products: one or many (list, tuple, iterator, batch) of paths, bytes, open files, PIL images, arrays,
        torch tensors or :class:`Product`.
        category: a name in any language, a path of a taxonomy, a noun, or ``auto``, told from the image; one
        for all or one per product.
        mask: where white marks the product, one for all or one per product (None where there is none).
        Without a mask the alpha channel or a plain light background tells the product.
        reference: image whose background style is followed, one for all or one per product.
        style: style file (YAML) or :class:`cyclorama.scenes.brand.Brand` for the rendered sets, instead of a
        reference; one for all or one per product.
        backdrop: path of a photo of an empty place that products are set into, likewise.
        seed: one for the run, from which each product's own is derived by its name (a path's file name;
        for what has no name, its content), so that an image is the same alone, in a list, in any order. A
        list gives each product's own seed, as stated in an earlier ``Generated.seed``.
        settings: sampling, canvases, candidates, batch size, as :class:`GenerateConfig` or a mapping of its
        fields; further keywords change single fields. Encoding and layers concern files and have no effect.

        Images have the input's own size, or that of their canvas. Invariants: where the product's matte is
        1 the image equals the input bit for bit unless the canvas asks for another scale, and then the
        resampled product; equal arguments give equal images on CPU float32 for one batch shape.

        Raises ImageError, MaskError, UnknownCategoryError, SettingsError, all before the first image is
        sampled, and ForkedProcessError.
        """
        check_process()
        config = _read_settings(settings, changes)
        config.build_sampling()
        sources = [products] if is_one(products) or isinstance(products, Product) else list(products)
        if not sources:
            raise SettingsError("no products are given; give at least one image")
        count = len(sources)
        rules, names = CategoryRules(), self._read_categories(category, count)
        registry = self.pipeline.registry
        named = [rules.choose(name, registry) for name in names]
        masks, references = _spread(mask, count, "mask"), _spread(reference, count, "reference")
        run_seed, own_seeds = _read_seeds(seed, count)
        with self.lock:
            loaded = []
            for i, source in enumerate(sources):
                place = f"product {i + 1} of {count}: " if count > 1 else ""
                loaded.append(load_product(self.fetch(source), self.fetch(masks[i]), place))
            categories = [
                (found or recognise(product, registry)).category
                for found, product in zip(named, loaded, strict=True)
            ]
            followed = {id(source): load_reference(self.fetch(source)) for source in references}
            looks = _spread(style, count, "style"), _spread(backdrop, count, "backdrop")
            styles = [self.load_style(*look) for look in zip(looks[0], references, looks[1], strict=True)]
            said = [describe_looks(*look) for look in zip(*looks, strict=True)]
            tasks = []
            for i, product in enumerate(loaded):
                seeds = compute_item_seeds(run_seed, product.name, own_seeds[i], config.candidates)
                for layout in config.build_layouts():
                    for s in seeds:
                        values = (s, followed[id(references[i])], styles[i], product.name)
                        tasks.append((layout, Task(product, categories[i], *values), said[i]))
            made = self._sample(tasks, config)
        return made[0] if len(made) == 1 and sources[0] is products else made

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, lock=threading.RLock())

    def fetch(self, value: Any) -> Any:
        """An open file for an address that may be read; all else as it is."""
        if not is_address(value) or (is_url(value) and self.urls is None):
            return value
        stream = io.BytesIO(read_bytes(value, urls=self.urls))
        stream.name = value
        return stream

    def again(
        self,
        recipe: Mapping[str, Any],
        product: One,
        *,
        mask: ImageLike | None = None,
        reference: Followed = None,
        style: StyleFile = None,
        backdrop: BackdropFile = None,
    ) -> Generated:
        """The image of a ``recipe`` (``Generated.recipe``, or what :func:`load_metadata` reads), made again.

        All else is what it was made of. Raises SettingsError for a recipe of another model, a reference,
        style or backdrop that is missing or too many, and as calling does.
        """
        if recipe.get("model_hash") != self.model.hash:
            raise SettingsError(
                f"the recipe is of model {recipe.get('model')} ({recipe.get('model_hash')}), this one is "
                f"{self.model.name} ({self.model.hash}); load that one"
            )
        for name, given in {"reference": reference, "style": style, "backdrop": backdrop}.items():
            if ((said := recipe.get(name)) is None) != (given is None):
                raise SettingsError(f"the recipe's {name} is {said}; give it, or none for None")
        settings = {**recipe["settings"], **recipe.get("canvas", {})}
        settings = {name: value for name, value in settings.items() if name not in _FILE_ONLY}
        made: Generated = self(
            product,
            category=recipe["category"],
            mask=mask,
            reference=reference,
            style=style,
            backdrop=backdrop,
            seed=[recipe["seed"]],
            settings=settings,
        )
        return made

    def load_style(self, style: StyleFile, reference: Any, backdrop: BackdropFile) -> FittedStyle | None:
        """The style of one product. Raises ConfigError, ImageError, SettingsError."""
        looks = {"style": style, "reference": reference, "backdrop": backdrop}
        given = [f"a {name}" for name, look in looks.items() if look is not None]
        if len(given) > 1:
            raise SettingsError(f"{' and '.join(given)} are given for one product; leave one out")
        if backdrop is not None:
            return FittedStyle(Path(backdrop).stem, self.model.read_backdrop(Path(backdrop)))
        if style is None or isinstance(style, Brand):
            return None if style is None else FittedStyle("brand", style)
        return FittedStyle(Path(style).stem, self.model.read_style(Path(style)))

    def _sample(
        self, tasks: Sequence[tuple[CanvasLayout, Task, dict[str, str]]], settings: GenerateConfig
    ) -> list[Generated]:
        shapes = [
            (
                *compute_model_shape(self.pipeline, layout.compute_size(task.product.size), settings),
                task.reference is not None,
            )
            for layout, task, _ in tasks
        ]
        device = str(getattr(self.pipeline, "device", "cpu"))
        results: dict[int, Generated] = {}
        for batch in build_batches(shapes, choose_usual_size(settings.batch_size, device)):
            members = [
                replace(
                    task,
                    product=layout.place(task.product, task.category.share),
                    frame=layout.compute_size(task.product.size),
                )
                for layout, task, _ in (tasks[i] for i in batch.members)
            ]
            sampled = sample_images(self.pipeline, members, settings, batch.places)
            for i, result in zip(batch.members, sampled, strict=True):
                if isinstance(result, Exception):
                    raise result
                layout, task, looks = tasks[i]
                recipe = describe_image(
                    self.model,
                    result.settings,
                    layout,
                    input=task.name,
                    seed=result.seed,
                    category=result.category,
                    identifier=result.identifier,
                    reference=None if task.reference is None else task.reference.name,
                    mask_source=task.product.mask_source,
                    **looks,
                )
                results[i] = replace(result, recipe=recipe)
        return [results[i] for i in range(len(tasks))]

    def _read_categories(self, category: Any, count: int) -> list[str]:
        names = [category] * count if isinstance(category, str) else _spread(category, count, "category")
        for name in names:
            if not isinstance(name, str) or not name.strip():
                known = ", ".join(self.categories)
                raise SettingsError(f"category is {name!r}; give the name of one, as text: {known}")
        return names


def _read_policy(urls: Any) -> UrlPolicy | None:
    if urls is None or urls is False or isinstance(urls, UrlPolicy):
        return urls or None
    return UrlPolicy(hosts=("*",) if urls is True else (urls,) if isinstance(urls, str) else tuple(urls))


def _read_settings(settings: Any, changes: Mapping[str, Any]) -> GenerateConfig:
    if not isinstance(settings, GenerateConfig | Mapping | None):
        raise SettingsError(
            f"settings is {type(settings).__name__}; give a GenerateConfig, or a mapping of its fields"
        )
    names = {field.alias: name for name, field in GenerateConfig.model_fields.items()}  # steps, guidance
    changes = {names.get(name, name): value for name, value in changes.items()}
    if isinstance(settings, GenerateConfig):
        return settings.replace(**changes) if changes else settings
    given = {names.get(name, str(name)): value for name, value in (settings or {}).items()}
    return GenerateConfig(**given | changes)


def _spread(value: Any, count: int, name: str) -> list[Any]:
    """``value`` for each of ``count`` products. Raises SettingsError for a list of another length."""
    if is_one(value) or isinstance(value, Product | Reference | Generated | Brand | Path):
        return [value] * count
    values = list(value)
    if len(values) != count:
        raise SettingsError(
            f"{len(values)} values of {name} for {count} products; give one, or one per product"
        )
    return values


def _read_seeds(seed: Any, count: int) -> tuple[int, list[int | None]]:
    """(seed of the run, each product's own)."""
    if is_one(seed) and (getattr(seed, "ndim", 0) == 0):
        return (0 if seed is None else read_seed(seed)), [None] * count
    own = [None if value is None else read_seed(value) for value in _spread(seed, count, "seed")]
    return 0, own


def read_seed(value: Any) -> int:
    """A seed of any kind of whole number. Raises SettingsError."""
    try:
        seed = operator.index(value)
    except TypeError:
        seed = -1
    if isinstance(value, bool) or not 0 <= seed <= MAX_SEED:
        raise SettingsError(f"seed must be a whole number from 0 to 2**63 - 1, got {value!r}")
    return seed


def load_product(source: Any, mask: Any, place: str = "") -> Product:
    """A product with a name. Raises ImageError, MaskError, SettingsError, which ``place`` begins."""
    try:
        if not isinstance(source, Product):
            product = Product.from_image(source, mask)
        elif mask is not None:
            raise SettingsError("a mask is given for a Product, which has one; leave one of them out")
        else:
            product = source
    except (ImageError, MaskError, SettingsError) as error:
        raise type(error)(f"{place}{error}") from error
    return product if product.name else product.derive(name=_compute_name(product))


def _compute_name(product: Product) -> str:
    """A name for a product that has none, made of its pixels and matte; equal images get equal names."""
    digest = hashlib.blake2b(repr(product.size).encode(), digest_size=6)
    for plane in (product.pixels, product.matte):
        digest.update(np.ascontiguousarray(plane).tobytes())
    return f"product-{digest.hexdigest()}"


def load_reference(source: Any) -> Reference | None:
    """The reference that is given as any kind of image. Raises InputError."""
    if source is None or isinstance(source, Reference):
        return source
    if isinstance(source, Product):
        return Reference(source.pixels, source.matte, source.name, source.notes)
    try:
        return Reference.from_image(source.pixels if isinstance(source, Generated) else source)
    except InputError as error:
        raise type(error)(f"reference: {error}") from error
