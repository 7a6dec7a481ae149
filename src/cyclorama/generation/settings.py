"""What a generation run can be told, checked before anything expensive starts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar, cast

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from cyclorama.config import Settings, read_pairs
from cyclorama.data.columns import MaskMeans
from cyclorama.diffusion.settings import GUIDANCE, LEAST_REUSED, PRESETS, SamplingConfig
from cyclorama.errors import CycloramaError, InputError, SettingsError
from cyclorama.generation.gate_settings import GateThresholds
from cyclorama.imaging.placement import Placement
from cyclorama.jobs.job import EngineSettings
from cyclorama.models.words import CategoryRules, load_category_rules
from cyclorama.seeding import MAX_SEED

if TYPE_CHECKING:
    from cyclorama.data.fetch import UrlPolicy
    from cyclorama.imaging.formats import EncodingConfig
    from cyclorama.imaging.layout import CanvasLayout
    from cyclorama.types import Size

MAX_OUTPUTS = 16
S = TypeVar("S", bound=Settings)


def _join_pair(separator: str) -> BeforeValidator:
    """Takes (height, width) for ``"W:H"``."""
    return BeforeValidator(
        lambda value: (
            separator.join(str(side) for side in reversed(value))
            if isinstance(value, tuple | list) and len(value) == 2
            else value
        )
    )


def _split_commas(value: Any) -> Any:
    """``("1:1,3:4",)`` as ``("1:1", "3:4")``."""
    if not isinstance(value, tuple | list):
        return value
    return tuple(part.strip() for text in value for part in str(text).split(","))


_COLUMNS = BeforeValidator(lambda value: read_pairs(value, "FIELD=NAME, such as 'image=Bild 1'"))
SCENE_REFERENCE = "cyclorama://scene"
"""Address of the reference that is no file: the set that is rendered for the product itself."""


class InputSettings(Settings):
    """What holds for all inputs that do not say otherwise themselves."""

    error_type: ClassVar[type[CycloramaError]] = SettingsError

    category: str | None = None
    """Category of every input that names none the model knows; auto tells it from the image."""
    alias: tuple[str, ...] = ()
    """Take category GIVEN as NAME: GIVEN=NAME; '*=NAME' for all unknown ones; may be repeated."""
    category_map: Path | None = None
    """Aliases from a JSON or YAML file of given: name pairs."""
    strict_category: bool = False
    """Only a category's own names count, in any language; what else would stand for one is an error."""
    mask: Path | None = None
    """Product mask of one image; for a folder, a folder of masks with the images' relative names."""
    mask_means: MaskMeans | None = None
    """What white marks in mask files; None: product."""
    reference: Path | None = None
    """Reference image for every input without its own; `scene`: the rendered set of each product, for learned
    models."""
    reference_mask: Path | None = None
    """Mask of the reference's own product, which is not copied."""
    style: Path | None = None
    """Style file (YAML) of rendered sets, for every input with no style or reference of its own."""
    backdrop: Path | None = None
    """Photo of an empty place to set products into, where they have no style, reference or backdrop."""
    column: Annotated[dict[str, str] | tuple[str, ...], _COLUMNS] = Field(default_factory=dict)
    """Take FIELD from the table's column NAME: FIELD=NAME, such as image="Bild 1"; may be repeated."""
    encoding: str | None = None
    """Encoding of a text table where it cannot be told (cp1251, shift_jis, big5)."""
    allow_urls: tuple[str, ...] = ()
    """Host whose https addresses may be read as images (*.shop.example; * for all); may be repeated."""
    inside: bool = False
    """Take no file from elsewhere than below the input's folder, web addresses apart: for others' tables."""

    @property
    def columns(self) -> dict[str, str]:
        """Field to its column."""
        return cast("dict[str, str]", self.column)

    @property
    def reference_address(self) -> str | None:
        """The reference's address."""
        if self.reference is None or self.reference.is_file():
            return None if self.reference is None else str(self.reference.absolute())
        return SCENE_REFERENCE

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        if self.reference_mask is not None and self.reference is None:
            raise SettingsError("--reference-mask is given without --reference; give both")
        given = [
            f"--{name}" for name in ("style", "reference", "backdrop") if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise SettingsError(f"{' and '.join(given)} are given together; keep one of them")
        for name in ("reference", "reference_mask", "style", "backdrop", "mask"):
            path = getattr(self, name)
            missing = path is not None and not (path.exists() if name == "mask" else path.is_file())
            if missing and (name, str(path)) != ("reference", "scene"):
                raise InputError(f"no such file for --{name.replace('_', '-')}: {path}")
        return self

    def build_rules(self) -> CategoryRules:
        """How given names become categories. Raises ConfigError, SettingsError."""
        return load_category_rules(self.category_map, self.alias, self.category, self.strict_category)


class GenerateConfig(Settings):
    """How images are made; every image's file and result row carries these settings.

    Raises SettingsError for a value outside its range, naming the value and the range.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)
    error_type: ClassVar[type[CycloramaError]] = SettingsError

    preset: Literal["quality", "balanced", "fast"] = "quality"
    """Sampler and steps: quality (50 steps, the paper's), balanced (25), fast (8, DPMSolverMultistep)."""
    num_inference_steps: Annotated[int | None, Field(ge=1, le=1000, alias="steps")] = None
    """Denoising steps; None takes the preset's."""
    guidance_scale: Annotated[float | None, Field(ge=1, le=30, alias="guidance")] = None
    """Classifier-free guidance; 1 means none and halves the work. None: 2, with a reference the preset's."""
    encoder_every: Annotated[int | None, Field(ge=1, le=10)] = None
    """Steps that one answer of the base's encoder, CG and PG serves; None: the preset's."""
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    """DDIM's η; 0 draws no noise after the start."""
    scheduler: str | None = None
    """Class name of a diffusers scheduler; None takes the preset's."""
    reference_strength: Annotated[float, Field(ge=0)] = 1.0
    """How strongly the reference acts; rendered sets follow it, or with 0 do not."""
    category_strength: Annotated[float, Field(ge=0)] = 1.0
    """How strongly the category acts."""
    initial_latent: bool = True
    """With a reference, start from the noised reference instead of plain noise (method, 7)."""
    candidates: Annotated[int, Field(ge=1, le=64)] = 1
    """Images per input and output, each from a seed of its own."""
    batch_size: Annotated[int | None, Field(ge=1, le=256)] = None
    """Images sampled together; None: 1 to 8 by the model on a CPU, 8 or what a trial finds on a GPU."""
    size: Annotated[str, _join_pair("x")] = "source"
    """Size of the images: WIDTHxHEIGHT in pixels, or source for each input's own."""
    aspect: Annotated[str | None, _join_pair(":")] = None
    """WIDTH:HEIGHT: the smallest canvas of this shape that holds the whole input, unscaled."""
    outputs: Annotated[tuple[str, ...], Field(max_length=MAX_OUTPUTS), BeforeValidator(_split_commas)] = ()
    """Several canvases per input instead of size and aspect, with commas: 1:1,3:4,1600x900,source."""
    placement: Placement | None = None
    """Where the product stands, or X,Y: where the middle of its foot is, shares of the canvas' sides; None:
    where it stands in the photo, or center with a scale or margin."""
    product_scale: Annotated[float | None, Field(ge=0.05, le=1)] = None
    """Share of the canvas that the product takes where it is nearest to filling it; None: its own pixels."""
    margin: Annotated[float, Field(ge=0, le=0.45)] = 0.0
    """Share of the canvas' shorter side kept free at every edge."""
    contact_shadow: Annotated[float, Field(ge=0, le=0.8)] = 0.0
    """Darkening of the ground under the product, made from its outline; 0 leaves the model's own alone."""
    format: Literal["png", "webp", "jpeg", "avif"] = "png"
    """File format of the images."""
    quality: Annotated[int | None, Field(ge=1, le=100)] = None
    """None: lossless WebP, JPEG 95, AVIF 90. Only lossless files keep products exact."""
    provenance: bool | None = None
    """Say in XMP that the background is machine-made; None: in all formats but PNG."""
    strip: bool = False
    """Write pixels and colour profile only: no rights or resolution of the photo, no recipe."""
    shared_sets: bool = True
    """Render the empty set that products of one style share once; off: each image whole, faster for one."""
    layers: Literal["ora", "psd", "png"] | None = None
    """Write background, shadow and product too: ora (OpenRaster), psd, or png."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        self.build_layouts()
        _ = self.encoding
        return self

    @property
    def steps(self) -> int:
        """Denoising steps."""
        return self.num_inference_steps or PRESETS[self.preset].steps

    @property
    def canvas_size(self) -> Size | None:
        """(height, width) asked for, None for each input's own."""
        return parse_size(self.size)

    @property
    def encoding(self) -> EncodingConfig:
        """The file format of the images."""
        from cyclorama.imaging.formats import EncodingConfig

        return self._build(EncodingConfig)

    def build_layouts(self) -> tuple[CanvasLayout, ...]:
        """The canvases of every input, at least one; with ``outputs`` each has a name for its files.

        Raises SettingsError (an output that is not understood, comes twice, or goes with size or aspect).
        """
        size, aspect = self.canvas_size, None if self.aspect is None else parse_aspect(self.aspect)
        if not self.outputs:
            return (self._build_layout("", size, aspect),)
        if size is not None or aspect is not None:
            raise SettingsError("outputs are given beside a size or an aspect; list them all under outputs")
        layouts = tuple(self._build_layout(*parse_output(text)) for text in self.outputs)
        if len({layout.name for layout in layouts}) < len(layouts):
            raise SettingsError(f"outputs {', '.join(self.outputs)} name one canvas twice; give each once")
        return layouts

    def _build_layout(self, name: str, size: Size | None, aspect: Size | None) -> CanvasLayout:
        from cyclorama.imaging.layout import CanvasLayout

        return self._build(CanvasLayout, name=name, size=size, aspect=aspect)

    def check_canvas(self, size: Size) -> None:
        """Raise SettingsError if the files asked for cannot hold an image of ``size``."""
        from cyclorama.imaging.layers import check_layer_format

        self.encoding.check_size(size)
        if self.layers is not None:
            check_layer_format(self.layers, size)

    def get_guidance(self, referenced: bool) -> float:
        """Classifier-free guidance of images with or without a reference."""
        own = PRESETS[self.preset].guidance if referenced else GUIDANCE
        return own if self.guidance_scale is None else self.guidance_scale

    def get_encoder_every(self) -> int:
        """Steps that one answer of the encoders serves: as told, else the preset's if there are enough."""
        own = PRESETS[self.preset].encoder_every if self.steps >= LEAST_REUSED else 1
        return self.encoder_every or own

    def build_sampling(self, referenced: bool = False) -> SamplingConfig:
        """The sampler's part of these settings, for images with or without a reference.

        Raises SettingsError (unknown scheduler, too few steps to share an encoder's answer).
        """
        values = {
            "num_inference_steps": self.steps,
            "scheduler": self.scheduler or PRESETS[self.preset].scheduler,
            "guidance_scale": self.get_guidance(referenced),
            "encoder_every": self.get_encoder_every(),
        }
        return self._build(SamplingConfig, **values)

    def _build(self, part: type[S], **values: Any) -> S:
        """The settings of a step: ``values``, and for its other fields the equally named ones here."""
        return part(**{n: getattr(self, n) for n in part.model_fields if n not in values} | values)

    def describe(self, learned: bool = True, referenced: bool = False) -> dict[str, Any]:
        """The settings that change an image or its files, as plain values; the sampler's only of a
        ``learned`` model, its guidance that of images with or without a reference.

        Batch size, number of candidates and the list of outputs do not change one; layout, encoding and
        layers are stated where they are not the default.
        """
        values: dict[str, Any] = {"preset": self.preset}
        if learned:
            values = {"steps": self.steps, "guidance": self.get_guidance(referenced), "eta": self.eta}
            values["scheduler"] = self.scheduler or PRESETS[self.preset].scheduler
            strengths = ("reference_strength", "category_strength", "initial_latent")
            values |= {name: getattr(self, name) for name in strengths}
            values |= {"encoder_every": every} if (every := self.get_encoder_every()) > 1 else {}
        else:
            changed = {
                "reference_strength": self.reference_strength == 0,
                "shared_sets": not self.shared_sets,
            }
            values |= {name: getattr(self, name) for name, stated in changed.items() if stated}
        values["size"] = "source"
        aspect = None if self.aspect is None else parse_aspect(self.aspect)
        values |= self._build_layout("", self.canvas_size, aspect).describe() | self.encoding.describe()
        optional = {"layers": self.layers, "contact_shadow": self.contact_shadow}
        return values | {name: value for name, value in optional.items() if value}


class RunSettings(Settings):
    """What holds for a whole run beside :class:`GenerateConfig`."""

    error_type: ClassVar[type[CycloramaError]] = SettingsError

    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    """Seed of the run; every input's own follows from it and the input's name."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of the model: float32 on a CPU, half precision elsewhere."""
    cutout: str | None = None
    """rembg network in the bundled one's place, for photos that nothing else tells apart."""
    attempts: Annotated[int, Field(ge=0, le=16)] = 0
    """Further seeds for an image whose candidates all fail the gate; turns the gate on."""
    keep: Literal["all", "best"] = "all"
    """Keep every candidate, or the one that the gate scores best, which turns it on."""
    storage: Literal["files", "webdataset"] = "files"
    """Images as files in images/, or as one WebDataset tar per shard in webdataset/."""
    retry: Literal["failed"] | None = None
    """Try rows again that failed in an earlier run though nothing about them has changed."""
    overwrite: bool = False
    """Make all images anew and write over what is there."""
    channels_last: bool = False
    """Convolutions in channels-last memory (GPUs, bfloat16); changes rounding, stated in every row."""
    compile: bool = False
    """Compile blocks of the networks; minutes at the first batch."""
    in_flight: Annotated[int, Field(ge=1, le=16)] = 2
    """Batches per shard in work between the first file read and the last file written."""


@dataclass(frozen=True)
class RunConfig:
    """All settings of a run; plain values, so that they travel to any worker."""

    settings: GenerateConfig = field(default_factory=GenerateConfig)
    run: RunSettings = field(default_factory=lambda: RunSettings(dtype="float32"))
    engine: EngineSettings = field(default_factory=EngineSettings)
    rules: CategoryRules = field(default_factory=CategoryRules)
    gate: GateThresholds | None = None
    """Limits that every finished image is held against; None judges none."""
    urls: UrlPolicy | None = None
    """Which web addresses may be read; None: none."""

    def __post_init__(self) -> None:
        if self.gate is None and (self.run.attempts or self.run.keep == "best"):
            raise SettingsError("attempts and keeping the best candidate need a gate to judge by; add --gate")

    def replace(self, **changes: Any) -> RunConfig:
        """A checked copy with other values."""
        return dataclasses.replace(self, **changes)

    def describe_settings(self, learned: bool = True, referenced: bool = False) -> dict[str, Any]:
        """The settings that change an image, as rows and images with or without a reference state them."""
        values = self.settings.describe(learned, referenced) | ({"dtype": self.run.dtype} if learned else {})
        tuning = {"channels_last": self.run.channels_last, "compile": self.run.compile}
        return values | {name: True for name, chosen in tuning.items() if chosen}

    def describe(self, learned: bool = True) -> dict[str, Any]:
        """All that images, their places or their number depend on beside inputs, model and gate."""
        with_reference = {"guidance_with_reference": self.settings.get_guidance(True)} if learned else {}
        return self.describe_settings(learned) | {
            **with_reference,
            "run_seed": self.run.seed,
            "candidates": self.settings.candidates,
            "layouts": [[layout.name, layout.describe()] for layout in self.settings.build_layouts()],
            "suffix": self.settings.encoding.suffix,
            "cutout": self.run.cutout,
            "storage": self.run.storage,
            "keep": self.run.keep,
            "attempts": self.run.attempts,
        }


def parse_size(text: str, what: str = "size") -> Size | None:
    """(height, width) of ``"WxH"``; None for ``"source"``. Raises SettingsError for anything else.

    >>> parse_size("640x480")
    (480, 640)
    """
    if text.strip().lower() == "source":
        return None
    return _parse_pair(text.lower(), "x", what, "'source' or WIDTHxHEIGHT in pixels, such as 1024x768")


def parse_aspect(text: str) -> Size:
    """(height, width) of ``"W:H"``. Raises SettingsError for anything else.

    >>> parse_aspect("16:9")
    (9, 16)
    """
    return _parse_pair(text, ":", "aspect", "WIDTH:HEIGHT, such as 3:4")


def parse_output(text: str) -> tuple[str, Size | None, Size | None]:
    """(name, size, aspect) of one entry of ``outputs``. Raises SettingsError.

    >>> parse_output("16:9")
    ('16x9', None, (9, 16))
    """
    size = aspect = None
    if ":" in text:
        aspect = parse_aspect(text)
    else:
        size = parse_size(text, "output")
    height, width = size or aspect or (0, 0)
    return f"{width}x{height}" if height else "source", size, aspect


def _parse_pair(text: str, separator: str, what: str, form: str) -> Size:
    width, _, height = text.partition(separator)
    if not (width.strip().isdecimal() and height.strip().isdecimal()):
        raise SettingsError(f"{what} {text!r} is not understood: give {form}")
    return int(height), int(width)
