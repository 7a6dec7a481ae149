"""The JSON of the service: what requests may hold and what answers look like.

Ids are opaque texts with a prefix (``as_`` asset, ``jb_`` job, ``im_`` image). Times are ISO 8601, UTC. What
a request holds beyond these shapes is refused by name.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cyclorama.data.columns import MaskMeans
from cyclorama.errors import RequestError
from cyclorama.generation.settings import MAX_OUTPUTS, GenerateConfig
from cyclorama.layout.elements import Role
from cyclorama.layout.task import Corner
from cyclorama.posters.canvases import read_canvas
from cyclorama.posters.words import check_wordings
from cyclorama.seeding import MAX_SEED

T = TypeVar("T")
MAX_ITEMS = 256
MAX_POINTS = 4096
JobState = Literal["queued", "running", "done", "failed", "cancelled"]
"""``done`` may hold failed images; ``failed`` is a job of which every image failed."""
BatchState = JobState | Literal["open", "checking"]
"""``open``: its files and settings may change."""
Decision = Literal["open", "approved", "rejected"]
Lane = Literal["interactive", "bulk"]
Side = Annotated[int, Field(ge=0)]
Coordinate = Annotated[float, Field(ge=-100_000, le=100_000)]
Address = Annotated[str, Field(min_length=1, max_length=2000)]
Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
Words = Annotated[str, Field(min_length=1, max_length=1000)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]
CutoutWarning = Literal["empty", "small", "full", "inverted", "cut_by_frame"]
Tool = Literal["add", "erase", "lasso", "carve", "refine"]


class Shape(BaseModel):
    """Base of all requests and answers."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=()
    )


class Page(Shape, Generic[T]):
    """One page of a list, newest first."""

    items: list[T]
    next: str | None = None
    """Give it as ``after`` for the next page; null on the last one."""


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    """``urn:cyclorama:error:`` and the error's class, such as InvertedMaskError."""
    title: str
    status: int
    detail: str
    """The value, the limit and the remedy."""
    field: str | None = None
    """The field of the request that is meant."""
    request_id: str | None = None


class ProductBox(Shape):
    """A rectangle in pixels."""

    left: Side
    top: Side
    width: Side
    height: Side


class Asset(Shape):
    """A file that was uploaded: an image, a mask, a style file. Equal bytes have one id."""

    id: str
    name: str
    """As it was uploaded first; it decides the seed of a product that has none."""
    media_type: str
    bytes: int
    sha256: str
    width: int | None = None
    height: int | None = None
    alpha: bool | None = None
    """Whether it has an alpha channel."""
    icc_profile: str | None = None
    """Name of its colour profile."""
    notes: list[str] = []
    created: datetime


class AssetSource(Shape):
    """A file that the server fetches, if its host is allowed."""

    url: Address


class Stroke(Shape):
    """One stroke on a matte, in pixels of the full-size image."""

    tool: Tool
    """``add`` and ``erase`` paint along the points, ``lasso`` adds the area that they enclose, ``carve``
    takes it away, ``refine`` cuts the edge under the stroke out anew."""
    radius: Annotated[float, Field(gt=0, le=4096)] = 16.0
    hardness: Annotated[float, Field(ge=0, le=1)] = 1.0
    """1: a sharp rim; 0: soft from the middle on."""
    points: Annotated[list[tuple[Coordinate, Coordinate]], Field(min_length=1, max_length=MAX_POINTS)]
    """(x, y) from the image's upper left corner."""


class CutoutRequest(Shape):
    """Cut a product out, or mend the matte that a first cut gave."""

    image: str
    mask: str | None = None
    """Asset of a mask; null tells the product as ``generate`` does."""
    mask_means: MaskMeans | None = None
    strokes: Annotated[list[Stroke], Field(max_length=2000)] = []


class Cutout(Shape):
    """A product told from its background, before any model runs."""

    matte: str
    """Asset of the matte, PNG, white = product; give it as an item's ``mask``."""
    mask_source: str
    mask_confidence: float | None = None
    width: int
    height: int
    box: ProductBox
    """Of the product."""
    share: float
    """Of the image's area."""
    warnings: list[CutoutWarning] = []
    """``empty``, ``small``, ``full``: no image can be made with it; ``inverted``: as a background looks;
    ``cut_by_frame``: the product runs out of the image."""
    notes: list[str] = []


class JobItem(Shape):
    """One product of a job."""

    image: str
    """Asset of the photo."""
    mask: str | None = None
    mask_means: MaskMeans | None = None
    category: str | None = None
    """A name in any language or a shop's path; null or ``auto`` tells it from the image."""
    reference: str | None = None
    """Asset of an image whose background style is followed."""
    reference_mask: str | None = None
    style: str | None = None
    """Asset of a style file, for the rendered sets."""
    backdrop: str | None = None
    """Asset of a photo of an empty place, for the rendered sets."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    """Of the first candidate; null derives it from the job's seed and the name."""
    name: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    """Null: the asset's."""


class PosterOrder(Shape):
    """Words that products are advertised with: items × sizes × languages. Languages share a background."""

    texts: Annotated[dict[Language, dict[Role, Words]], Field(min_length=1, max_length=16)]
    """Language to role to words; all languages have the same roles."""
    sizes: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_OUTPUTS)] = ("square",)
    """square, portrait, story, banner, marketplace, a4, or WxH in pixels."""
    plans: Annotated[int, Field(ge=1, le=12)] = 4
    """Layouts planned for each canvas; the best is drawn, the others are what is tried next."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Backgrounds drawn at most until a poster passes all checks."""
    accent: Colour | None = None
    """Of prices and buttons; null takes the product's most lively colour."""
    fonts: Literal["sans", "serif"] = "sans"
    """For letters that it has not, the server's own fonts are asked."""
    logo: str | None = None
    """Asset of an image with a transparent background."""
    logo_corner: Corner | None = None
    """Null: where there is room."""
    avoid: Annotated[tuple[Words, ...], Field(max_length=100)] = ()
    """Words that must not be said, whatever their case."""

    @model_validator(mode="after")
    def _check_words(self) -> Self:
        check_wordings(self.texts)
        for size in self.sizes:
            GenerateConfig().check_canvas(read_canvas(size))
        return self


class JobRequest(Shape):
    """Products, and how their images are made: items × outputs × candidates."""

    items: Annotated[list[JobItem], Field(min_length=1, max_length=MAX_ITEMS)]
    settings: GenerateConfig = Field(default_factory=GenerateConfig)
    """Those of ``cyclorama generate``."""
    model: str | None = None
    """One of ``GET /v1/models``; null: the server's first."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    """Of the run; each product's own follows from it and from the product's name."""
    gate: bool = False
    """Judge every image."""
    preview: bool = False
    """Show a small, noisy image of each rendered set before it is drawn (event ``preview``)."""
    lane: Lane = "bulk"
    webhook: Address | None = None
    """An https address that is told when the job has ended, if the server allows its host."""
    brand: str | None = None
    """Whose style, canvases and format are taken where the request names none."""
    brand_version: Annotated[int, Field(ge=1)] | None = None
    """Null: the newest; a job says which it took."""
    poster: PosterOrder | None = None
    """Make posters; of the settings they take ``preset`` alone (``fast`` if it is not given)."""

    @model_validator(mode="after")
    def _check_poster(self) -> Self:
        if self.poster is not None:
            given = self.settings.model_fields_set - {"preset"}
            if given or self.gate:
                named = ", ".join(sorted(f"settings.{name}" for name in given)) or "gate"
                raise RequestError(f"posters take no {named}; leave it out")
        return self


class JobCounts(Shape):
    """How many of a job's images are in which state."""

    queued: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0


class Gate(Shape):
    """What the gate says of an image."""

    passed: bool
    score: float | None = None
    reason: str | None = None
    values: dict[str, Any] = {}


class PosterReport(Shape):
    """What a poster says of itself, beside its image."""

    language: str
    family: str
    """Of layouts."""
    attempt: int
    """Which background it stands on, from 1."""
    faults: dict[str, str]
    """Check that it fails to what was measured; a poster with any is marked, not refused."""


class Image(Shape):
    """One image of a job, from the moment it is asked for."""

    id: str
    job: str
    item: int
    """From 0, in the order of the request."""
    output: int
    """From 0, in the order of ``outputs``."""
    candidate: int
    """From 1."""
    state: JobState
    name: str
    """The item's."""
    created: datetime
    finished: datetime | None = None
    error: Problem | None = None
    category: str | None = None
    identifier: str | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    media_type: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    mask_source: str | None = None
    mask_confidence: float | None = None
    style: str | None = None
    report: dict[str, Any] = {}
    """How many opaque product pixels were compared with the photo, how many differ, and notes."""
    gate: Gate | None = None
    seconds: float | None = None
    preview: bool = False
    """Whether ``GET /v1/images/{id}/preview`` has something to show while the image is made."""
    decision: Decision = "open"
    reasons: list[str] = []
    note: str | None = None
    decided: datetime | None = None
    parent: str | None = None
    """The image that this one was put together anew from."""
    moved: bool = False
    """Whether the product has left the place that ground and light were made for, by more than 3 % of the
    canvas: sample again to have them made for its new one."""
    poster: PosterReport | None = None
    """Of a poster; its ``output`` counts sizes, its ``candidate`` languages."""


class ImageChange(Shape):
    """A verdict on an image."""

    decision: Decision
    reasons: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=32)] = []
    note: Annotated[str, Field(max_length=2000)] | None = None


class JobSummary(Shape):
    """A job without its images."""

    id: str
    state: JobState
    lane: Lane
    model: str
    items: int
    counts: JobCounts
    """Of images."""
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    ahead: int | None = None
    """Images that are before this job's first waiting one; null once none waits."""
    seconds_left: float | None = None
    """Estimate by the measured rate; null where nothing is measured yet."""


class JobDetail(JobSummary):
    """A job with all its images: by item, output and candidate."""

    request: JobRequest
    images: list[Image]


class Event(Shape):
    """One line of ``GET /v1/events``; what does not belong to its type is left out.

    ``queued``, ``started``, ``progress`` (step, steps; of a batch: rows), ``preview``, ``image``,
    ``image_failed``, ``parts`` (a finished image was taken apart), ``done`` (the job's end, cancelled ones
    too), ``resync`` (some were left out: read the jobs anew), ``bye`` (the server stops).
    """

    type: Literal[
        "queued", "started", "progress", "preview", "image", "image_failed", "parts", "done", "resync", "bye"
    ]
    job: str | None = None
    """Or batch."""
    image: str | None = None
    item: int | None = None
    output: int | None = None
    candidate: int | None = None
    step: int | None = None
    steps: int | None = None
    state: BatchState | None = None
    counts: JobCounts | None = None
    error: Problem | None = None


class Me(Shape):
    """Who asks."""

    key: str
    scopes: list[str]


class SessionRequest(Shape):
    """A browser comes in."""

    key: Annotated[str, Field(min_length=1, max_length=200)]
    """As ``cyclorama serve keys add`` showed it."""
