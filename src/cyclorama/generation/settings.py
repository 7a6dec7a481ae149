"""What a generation run can be told, checked before anything expensive starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cyclorama.diffusion.limits import check_integer, check_sampling
from cyclorama.errors import SettingsError
from cyclorama.imaging.formats import EncodingConfig
from cyclorama.imaging.layers import LayerFormat, check_layer_format
from cyclorama.imaging.layout import CanvasLayout, Placement
from cyclorama.imaging.shadow import check_strength
from cyclorama.types import Size

if TYPE_CHECKING:
    from cyclorama.diffusion.settings import SamplingConfig

MAX_CANDIDATES = 64
MAX_BATCH = 256
MAX_OUTPUTS = 16


@dataclass(frozen=True)
class GenerateConfig:
    """Settings of a run; every image's file and manifest row carries them.

    Raises SettingsError for a value outside its range, naming the value and the range.
    """

    num_inference_steps: int = 50
    """Denoising steps, 1–1000."""
    guidance_scale: float = 2.0
    """Classifier-free guidance, 1–30; 1 means none and halves the work."""
    eta: float = 0.0
    """DDIM's η in [0, 1]; 0 draws no noise after the start."""
    scheduler: str | None = None
    """Class name of any diffusers scheduler; None takes the model's own (DDIM)."""
    reference_strength: float = 1.0
    """Factor on the personality generator's residuals, 0 or more."""
    category_strength: float = 1.0
    """Factor on the category generator's residuals, 0 or more."""
    initial_latent: bool = True
    """With a reference, start from the noised reference instead of plain noise (method, 7)."""
    size: Size | None = None
    """(height, width) of the images in pixels; None keeps each input's own size."""
    candidates: int = 1
    """Images per input and output, each from a seed of its own, 1–64."""
    batch_size: int | None = None
    """Images sampled together; None means 1 on a CPU and 8 on an accelerator."""
    aspect: Size | None = None
    """(height, width) in any unit: the smallest canvas of this shape that holds the whole input."""
    placement: Placement | None = None
    """Where the product stands (:class:`cyclorama.imaging.layout.CanvasLayout`); None: where it stands in the
    photo, or in the middle if a product scale or margin is given."""
    product_scale: float | None = None
    """Share of the canvas that the product's box takes in its tighter direction, 0.05–1; None: no scaling."""
    margin: float = 0.0
    """Share of the canvas' shorter side that stays free of product at every edge, 0–0.45."""
    outputs: tuple[str, ...] = ()
    """Several canvases per input, at most 16: ``"W:H"``, ``"WxH"``, ``"source"``; not with size or aspect."""
    encoding: EncodingConfig = field(default_factory=EncodingConfig)
    """The file format of the images."""
    layers: LayerFormat | None = None
    """Whether, and in which format, layers are written beside each image."""
    contact_shadow: float = 0.0
    """Darkening under the product, 0–0.8, made from its outline; 0 leaves the model's own shadows alone."""

    def __post_init__(self) -> None:
        check_sampling(
            self.num_inference_steps,
            self.guidance_scale,
            self.eta,
            self.reference_strength,
            self.category_strength,
        )
        check_integer("candidates", self.candidates, 1, MAX_CANDIDATES)
        if self.batch_size is not None:
            check_integer("batch size", self.batch_size, 1, MAX_BATCH)
        if self.layers is not None:
            check_layer_format(self.layers)
        check_strength(self.contact_shadow)
        self.build_layouts()

    def build_layouts(self) -> tuple[CanvasLayout, ...]:
        """The canvases of every input, at least one; with ``outputs`` each has a name for its files.

        Raises SettingsError (an output that is not understood, comes twice, or goes with size or aspect).
        """
        if isinstance(self.outputs, str) or len(self.outputs) > MAX_OUTPUTS:
            raise SettingsError(
                f"outputs must be a tuple of at most {MAX_OUTPUTS} texts, got {self.outputs!r}"
            )
        if not self.outputs:
            return (self._build_layout("", self.size, self.aspect),)
        if self.size is not None or self.aspect is not None:
            raise SettingsError("outputs are given beside a size or an aspect; list them all under outputs")
        layouts = tuple(self._build_layout(*parse_output(text)) for text in self.outputs)
        names = [layout.name for layout in layouts]
        if len(set(names)) < len(names):
            raise SettingsError(f"outputs {', '.join(self.outputs)} name one canvas twice; give each once")
        return layouts

    def _build_layout(self, name: str, size: Size | None, aspect: Size | None) -> CanvasLayout:
        return CanvasLayout(
            name=name,
            size=size,
            aspect=aspect,
            placement=self.placement,
            product_scale=self.product_scale,
            margin=self.margin,
        )

    def build_sampling(self) -> SamplingConfig:
        """The sampler's part of these settings. Raises SettingsError (unknown scheduler)."""
        from cyclorama.diffusion.settings import SamplingConfig

        return SamplingConfig(
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
            eta=self.eta,
            scheduler=self.scheduler,
            reference_strength=self.reference_strength,
            category_strength=self.category_strength,
            initial_latent=self.initial_latent,
        )

    def describe(self) -> dict[str, Any]:
        """The settings that change an image or its files, as plain values.

        Batch size, number of candidates and the list of outputs do not change one; layout, encoding and
        layers are stated where they are not the default.
        """
        values = {
            "steps": self.num_inference_steps,
            "guidance": self.guidance_scale,
            "eta": self.eta,
            "scheduler": self.scheduler,
            "reference_strength": self.reference_strength,
            "category_strength": self.category_strength,
            "initial_latent": self.initial_latent,
            "size": "source",
        }
        values |= self._build_layout("", self.size, self.aspect).describe()
        values |= self.encoding.describe()
        if self.layers is not None:
            values["layers"] = self.layers
        if self.contact_shadow:
            values["contact_shadow"] = self.contact_shadow
        return values


def parse_size(text: str) -> Size | None:
    """(height, width) of ``"WxH"``; None for ``"source"``.

    >>> parse_size("640x480")
    (480, 640)

    Raises SettingsError for anything else.
    """
    if text.strip().lower() == "source":
        return None
    size = _parse_pair(text.lower(), "x")
    if size is None:
        raise SettingsError(
            f"size {text!r} is not understood: give 'source' or WIDTHxHEIGHT in pixels, such as 1024x768"
        )
    return size


def parse_aspect(text: str) -> Size:
    """(height, width) of ``"W:H"``.

    >>> parse_aspect("16:9")
    (9, 16)

    Raises SettingsError for anything else.
    """
    aspect = _parse_pair(text, ":")
    if aspect is None:
        raise SettingsError(f"aspect {text!r} is not understood: give WIDTH:HEIGHT, such as 3:4")
    return aspect


def parse_output(text: str) -> tuple[str, Size | None, Size | None]:
    """(name, size, aspect) of one entry of ``outputs``.

    >>> parse_output("16:9")
    ('16x9', None, (9, 16))

    Raises SettingsError.
    """
    if ":" in text:
        aspect = parse_aspect(text)
        return f"{aspect[1]}x{aspect[0]}", None, aspect
    try:
        size = parse_size(text)
    except SettingsError as error:
        raise SettingsError(
            f"output {text!r} is not understood: give WIDTH:HEIGHT, WIDTHxHEIGHT in pixels, or 'source'"
        ) from error
    return "source" if size is None else f"{size[1]}x{size[0]}", size, None


def _parse_pair(text: str, separator: str) -> Size | None:
    width, found, height = text.partition(separator)
    if not (found and width.strip().isdecimal() and height.strip().isdecimal()):
        return None
    return int(height), int(width)
