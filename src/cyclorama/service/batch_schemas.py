"""The JSON of batches: a table of products, checked and then made as a run of the engine."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from cyclorama.data.columns import MaskMeans
from cyclorama.generation.settings import GenerateConfig
from cyclorama.seeding import MAX_SEED
from cyclorama.service.schemas import Address, BatchState, Problem, Shape

MAX_NAMES = 10_000
Name = Annotated[str, Field(min_length=1, max_length=1000)]


class BatchFiles(Shape):
    """Files that a table's cells name, by the name they are written with."""

    files: Annotated[dict[Name, str], Field(max_length=MAX_NAMES)] = Field(default_factory=dict)
    """Name, such as ``shoes/01.png``, to asset."""


class BatchOrder(BatchFiles):
    """A new batch. Without a table every image among its files is a product."""

    table: str | None = None
    """Asset of a table: CSV, TSV, JSON lines, Parquet, Excel or a feed."""


class BatchRequest(Shape):
    """How a batch's images are made."""

    columns: dict[str, str] = Field(default_factory=dict)
    """Field to column, before what was detected: ``{"image": "Bild 1"}``."""
    encoding: str | None = None
    """Of a text table where it cannot be told."""
    category: str | None = None
    """Of products that name none the model knows; ``auto`` tells it from the image."""
    aliases: dict[str, str] = Field(default_factory=dict)
    """Given name to category; ``*`` stands for all unknown ones."""
    strict_category: bool = False
    mask_means: MaskMeans | None = None
    reference: str | None = None
    """Asset, for every product without its own; so are the next three."""
    reference_mask: str | None = None
    style: str | None = None
    backdrop: str | None = None
    settings: GenerateConfig = Field(default_factory=GenerateConfig)
    """Those of ``cyclorama generate``."""
    model: str | None = None
    """One of ``GET /v1/models``; null: the server's first."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    gate: bool = False
    """Judge every image."""
    attempts: Annotated[int, Field(ge=0, le=16)] = 0
    """Further seeds where all candidates fail the gate."""
    keep: Literal["all", "best"] = "all"
    webhook: Address | None = None
    """An https address that is told when a run has ended, if the server allows its host."""
    brand: str | None = None
    """Whose style, canvases and format are taken where the request names none; what a row of the table names
    comes first."""
    brand_version: Annotated[int, Field(ge=1)] | None = None
    """Null: the newest; a batch says which it took."""


class BatchTable(Shape):
    """What was found in a batch's table."""

    name: str | None = None
    """Null: there is none, the images are the products."""
    kind: str
    rows: int
    """Records; a record with several images is several rows of the results."""
    columns: list[str] = Field(default_factory=list)
    fields: dict[str, list[str]] = Field(default_factory=dict)
    """Field to the columns that were detected for it."""
    sample: list[dict[str, str]] = Field(default_factory=list)
    """The first rows, as text."""
    notes: list[str] = Field(default_factory=list)


class BatchExample(Shape):
    """A row with a fault."""

    row: int
    """From 1."""
    name: str
    reason: str


class BatchFault(Shape):
    """One kind of fault, and the first rows that have it."""

    error: str
    count: int
    examples: list[BatchExample] = Field(default_factory=list)


class BatchCategory(Shape):
    """A category as the table gives it, and what it stands for."""

    given: str
    used: str | None = None
    """Null: the model knows none such."""
    source: str | None = None
    rows: int
    nearest: list[str] = Field(default_factory=list)


class BatchCheck(Shape):
    """What a run would do."""

    rows: int
    problems: int
    """Rows that would fail, among those looked at."""
    examined: int
    """Rows whose files were opened and cut out."""
    not_fetched: int
    """Rows whose files lie elsewhere."""
    faults: list[BatchFault] = Field(default_factory=list)
    categories: list[BatchCategory] = Field(default_factory=list)
    duplicates: int = 0
    """Rows with an image that another one has, too."""
    notes: list[str] = Field(default_factory=list)
    images: int
    """To be made."""
    seconds: float
    """About; of the whole run."""
    bytes: int
    """About; of its images."""
    free_bytes: int


class BatchFailure(Shape):
    """One kind of failure of finished rows."""

    error: str
    count: int
    example: str
    """The first one's reason."""


class BatchCounts(Shape):
    """How far a batch is."""

    rows: int = 0
    done: int = 0
    failed: int = 0
    images: int = 0
    bytes: int = 0


class BatchSummary(Shape):
    """A batch in a list."""

    id: str
    state: BatchState
    table: BatchTable
    counts: BatchCounts
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None


class BatchDetail(BatchSummary):
    """A batch: its table, how it is made, what the check says, how far it is."""

    request: BatchRequest
    files: int
    """That came with it."""
    check: BatchCheck | None = None
    seconds_left: float | None = None
    failures: list[BatchFailure] = Field(default_factory=list)
    """The commonest first; `GET /{id}/rows?status=failed` lists the rows."""
    error: Problem | None = None
    """Why it could not be checked or run as a whole."""


BatchRow = dict[str, Any]
"""A row as it stands in ``results.jsonl``."""
