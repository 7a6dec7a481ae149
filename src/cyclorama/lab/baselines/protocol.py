"""What every baseline looks like from outside: a batch of products in, backgrounds out, nothing composited.

A baseline answers the same call as :class:`cyclorama.models.pipeline.CycloramaPipeline`, so that loading,
placing, batching, compositing, journal and manifest are those of `cyclorama generate` and a comparison
compares the methods alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from cyclorama.errors import SettingsError, UnknownCategoryError
from cyclorama.models.inputs import check_batch
from cyclorama.models.registry import Category, CategoryRegistry, load_registry
from cyclorama.prompts import Prompts

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from cyclorama.diffusion.settings import SamplingConfig

BaselineName = Literal["lama", "inpaint", "controlnet", "blended", "paint-by-example"]
BASELINES: tuple[BaselineName, ...] = get_args(BaselineName)


@dataclass(frozen=True)
class BaselineOptions:
    """What a baseline can be told beside the sampler; a method reads what concerns it.

    Raises SettingsError for a value outside its range.
    """

    weights: str | None = None
    """Folder, file or hub id of the network that is not part of the model folder: LaMa's generator, a
    ControlNet."""
    features: str = "cyclorama"
    """Network that guides `blended`, as in `cyclorama evaluate --features`: ``cyclorama``,
    ``cyclorama=FOLDER``, ``clip=FOLDER_OR_HUB_ID``."""
    prompt: str | None = None
    """Text for the base with ``{category}`` in it; None: the full prompt where the model knows the category's
    identifier, else the product prompt."""
    hint_fill: float | None = None
    """`controlnet`: value of removed pixels in the hint, -1 or 0; None: what the ControlNet was trained with
    (0 for ours, -1 for published in-painting ControlNets)."""
    guide_strength: float = 300.0
    """`blended`: factor on the gradient of the feature distance, 0 or more; 0 guides nothing."""

    def __post_init__(self) -> None:
        if self.hint_fill not in (None, -1.0, 0.0):
            raise SettingsError(f"hint_fill must be -1 or 0, got {self.hint_fill!r}")
        if not 0 <= self.guide_strength < float("inf"):
            raise SettingsError(f"guide_strength must be 0 or more, got {self.guide_strength!r}")


class Baseline(ABC):
    """One loaded method. ``registry`` answers which categories it can be asked for."""

    name: ClassVar[BaselineName]
    registry: CategoryRegistry

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Native side in pixels."""

    @property
    @abstractmethod
    def image_multiple(self) -> int:
        """Height and width must be multiples of this, in pixels."""

    @abstractmethod
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

        product_image: (B, 3, H, W) in [-1, 1]; outside the mask it is what the photo has there.
        product_mask: (B, 1, H, W) in [0, 1], 1 = product (in-painting polarity is made inside, if needed).
        categories: B names. generators: B, one per image; all chance comes from them.
        reference_image: (B, 3, H, W) in [-1, 1] or None.
        reference_mask: (B, 1, H, W), 1 = the reference's own product, dilated; None where unknown.
        settings: the sampler's; a method without a sampler ignores them.

        Raises SettingsError (shapes, or a reference the method cannot do without).
        """

    def set_progress_bar_config(self, **settings: Any) -> None:
        """As diffusers' pipelines have it; kept, but a baseline shows no bar."""
        self.progress_bar_config = settings

    def check_inputs(
        self,
        product_image: Tensor,
        product_mask: Tensor,
        categories: Sequence[str],
        generators: Sequence[torch.Generator],
        reference_image: Tensor | None = None,
        reference_mask: Tensor | None = None,
    ) -> None:
        """Raise SettingsError unless all belong to one batch of a size the method can do."""
        check_batch(
            product_image, product_mask, categories, generators, reference_image, reference_mask,
            multiple=self.image_multiple,
        )  # fmt: skip


@dataclass(frozen=True)
class BaselineHandle:
    """A method found and named, its networks not yet loaded."""

    method: BaselineName
    name: str
    """Of its weights, for rows and sheets: ``bundled``, a folder's or file's own name, or a hub id."""
    folder: Path
    """Where its weights are (a file's parent)."""
    hash: str
    """12 hex digits over all weights and configs it uses."""
    registry: CategoryRegistry
    load: Callable[[str, str], Baseline]
    """The method ready on (device, dtype). Raises ModelFormatError."""
    settings: dict[str, Any]
    """The options that change its images, as plain values for rows and image files."""
    needs_reference: bool = False
    """Whether inputs without a reference must fail."""
    uses_reference: bool = True
    """False: a reference is ignored, and the command says so."""


class OpenCategory(Category):
    """A category that a model was not trained on: its name is all there is."""

    @property
    def identifier(self) -> str:
        """Empty: the model has no identifier for it."""
        return ""

    @property
    def prompts(self) -> Prompts:
        """The product prompt in all places that want a product; no background prompt."""
        product = f"A photo of {self.name}"
        return Prompts(product=product, background="", full=product)


class OpenRegistry(CategoryRegistry):
    """A registry that takes every name: those it knows as they are, any other as an OpenCategory.

    For published weights, which were trained on no list of categories. Invariant: what a name resolves to
    does not depend on which names were asked for before.
    """

    def resolve(self, name: str) -> Category:
        """The known category of that name or alias, else one made of the name."""
        try:
            return super().resolve(name)
        except UnknownCategoryError:
            return OpenCategory(" ".join(name.split()), 0)


def open_registry(folder: Path) -> OpenRegistry:
    """The categories in ``folder``, any other name taken as it is. Raises ModelFormatError."""
    return OpenRegistry(load_registry(folder).categories)
