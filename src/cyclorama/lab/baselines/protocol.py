"""What every baseline looks like from outside: a batch of products in, backgrounds out, nothing composited.

A baseline answers the same call as :class:`cyclorama.models.pipeline.CycloramaPipeline`, so that loading,
placing, batching, compositing, journal and manifest are those of `cyclorama generate` and a comparison
compares the methods alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from cyclorama.diffusion.settings import SamplingConfig, check_batch
from cyclorama.errors import ModelNotFoundError, SettingsError
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.settings import GenerateConfig
from cyclorama.lab.baselines.options import BASELINES, BaselineName, BaselineOptions
from cyclorama.models.registry import Category, CategoryRegistry, Found, load_registry
from cyclorama.prompts import PRODUCT_PROMPT, Prompts

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Inputs:
    """One batch on the method's device; shapes and ranges as in :meth:`Baseline.__call__`."""

    image: Tensor
    mask: Tensor
    categories: tuple[Category, ...]
    reference: Tensor | None
    reference_mask: Tensor | None

    @property
    def pasted(self) -> Tensor:
        """The product (B, 3, H, W) on the reference, or on neutral grey where there is none."""
        background = 0 if self.reference is None else self.reference
        return self.mask * self.image + (1 - self.mask) * background


class Baseline(ABC):
    """One loaded method. ``registry`` answers which categories it can be asked for."""

    name: ClassVar[BaselineName]
    registry: CategoryRegistry

    image_size: int
    """Native side in pixels."""
    image_multiple: int
    """Height and width must be multiples of this, in pixels."""
    device: torch.device
    """Where the networks are."""

    @abstractmethod
    def paint(
        self, inputs: Inputs, generators: Sequence[torch.Generator], settings: SamplingConfig
    ) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1]; all chance comes from ``generators``."""

    def __call__(
        self,
        product_image: Tensor,
        product_mask: Tensor,
        categories: Sequence[str],
        generators: Sequence[torch.Generator],
        reference_image: Tensor | None = None,
        reference_mask: Tensor | None = None,
        settings: SamplingConfig | None = None,
    ) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1], float32, before the product is composited back.

        What goes in is as in :meth:`cyclorama.models.pipeline.CycloramaPipeline.__call__`; a method without a
        sampler ignores ``settings``. Raises SettingsError (shapes, a reference it cannot do without).
        """
        check_batch(
            product_image, product_mask, categories, generators, reference_image, reference_mask,
            multiple=self.image_multiple,
        )  # fmt: skip
        device = self.device
        inputs = Inputs(
            product_image.to(device),
            product_mask.to(device),
            tuple(self.registry.resolve(name) for name in categories),
            None if reference_image is None else reference_image.to(device),
            None if reference_mask is None else reference_mask.to(device),
        )
        return self.paint(inputs, generators, settings or SamplingConfig())

    def set_progress_bar_config(self, **settings: Any) -> None:  # noqa: B027
        """As diffusers' pipelines have it; a baseline shows no bar."""


@dataclass(frozen=True)
class BaselineHandle(ModelHandle):
    """A method found and named as a model that a generation run can load; its hash tells methods apart.

    ``name``: the method and its weights (``bundled``, a folder's or file's own name, or a hub id).
    """

    method: BaselineName
    loader: Callable[[str, str], Baseline]
    """The method ready on (device, dtype); can be pickled."""
    settings: dict[str, Any]
    """The options that change its images, as plain values for rows and image files."""
    needs_reference: bool = False
    """Whether inputs without a reference must fail."""
    uses_reference: bool = True
    """False: a reference is ignored, and the command says so."""

    def load(self, device: str, dtype: str) -> Any:
        """The method on ``device``. Raises ModelFormatError."""
        return self.loader(device, dtype)

    def find_here(self) -> BaselineHandle:
        """Itself. Raises ModelNotFoundError if its weights are not on this machine."""
        if not self.folder.exists():
            raise ModelNotFoundError(f"{self.name}: this machine does not see {self.folder}; share it")
        return self


class BaselineRunSettings(GenerateConfig):
    """Settings of a generation run that state the method and its options wherever settings are stated."""

    method: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, settings: GenerateConfig, handle: BaselineHandle) -> Self:
        """``settings`` with the method of ``handle`` and its options."""
        common = {name: getattr(settings, name) for name in GenerateConfig.model_fields}
        return cls(**common, method=tuple({"method": handle.method, **handle.settings}.items()))

    def get_guidance(self, referenced: bool) -> float:
        """Classifier-free guidance; that presets do without it is known of our own method alone."""
        return super().get_guidance(False)

    def describe(self, learned: bool = True, referenced: bool = False) -> dict[str, Any]:
        """The settings that change an image, the method's among them."""
        unused = ("reference_strength", "category_strength", "encoder_every")
        values = super().describe(learned, referenced)
        return dict(self.method) | {name: value for name, value in values.items() if name not in unused}


class OpenCategory(Category):
    """A category that a model was not trained on: its name is all there is."""

    @property
    def identifier(self) -> str:
        """Empty: the model has no identifier for it."""
        return ""

    @property
    def prompts(self) -> Prompts:
        """The product prompt in all places that want a product; no background prompt."""
        product = PRODUCT_PROMPT.replace("{category}", self.name)
        return Prompts(product=product, background="", full=product)


class OpenRegistry(CategoryRegistry):
    """A registry that takes every name: those it knows as they are, any other as an OpenCategory.

    For published weights, which were trained on no list of categories. Invariant: what a name resolves to
    does not depend on which names were asked for before.
    """

    def look_up(self, word: str) -> tuple[Category, Found] | None:
        """The known category of that name or alias, else one made of the name."""
        known = super().look_up(word)
        if known is not None or not word.strip():
            return known
        return OpenCategory(" ".join(word.split()), 0), "name"


def open_registry(folder: Path) -> OpenRegistry:
    """The categories in ``folder``, any other name taken as it is. Raises ModelFormatError."""
    return OpenRegistry(load_registry(folder).categories)


def open_baseline(
    name: BaselineName, model: str | None = None, options: BaselineOptions | None = None
) -> BaselineHandle:
    """The handle of baseline ``name`` with the weights of ``model`` (folder, hub id, None: the bundled ones).

    Imports that method alone. Raises SettingsError (no such baseline), ModelNotFoundError, ModelFormatError.
    """
    if name not in BASELINES:
        raise SettingsError(f"no baseline {name!r}; known: {', '.join(BASELINES)}")
    method = import_module(f"cyclorama.lab.baselines.{name.replace('-', '_')}")
    handle: BaselineHandle = method.open_method(model, options or BaselineOptions())
    return handle
