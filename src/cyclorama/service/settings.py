"""What ``cyclorama serve`` can be told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from cyclorama.config import Settings
from cyclorama.errors import CycloramaError, SettingsError

if TYPE_CHECKING:
    from cyclorama.generation.model import ModelHandle


FILE_BYTES = 32 * 2**20
"""Largest file, sent alone or as a part of a form."""
PIXELS = 40_000_000
"""Most pixels of a photo."""
Days = Annotated[float | None, Field(gt=0, le=36_500)]


class ServiceSettings(Settings):
    """Where the service listens, keeps things and makes images."""

    error_type: ClassVar[type[CycloramaError]] = SettingsError

    host: str = "127.0.0.1"
    """Address to listen at; another than this machine's own needs --auth."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8756
    """0 takes a free one."""
    data: Path = Path("cyclorama-data")
    """Data folder: database and files."""
    database: str | None = None
    """URL of PostgreSQL (postgresql+psycopg://…) in place of the data folder's SQLite."""
    store: str | None = None
    """fsspec address of files in place of the data folder's."""
    model: tuple[str, ...] = ("scenes",)
    """scenes, bundled, a model folder or a hub id; may be repeated, the first is the default."""
    scenes: Path | None = None
    """Folder of own category files, beside and over the built-in ones."""
    workers: Annotated[int, Field(ge=0, le=64)] = 1
    """Processes here that make images; 0 leaves it to `cyclorama serve worker` elsewhere."""
    threads: Annotated[int | None, Field(ge=1, le=256)] = None
    """Threads of a worker's arithmetic; None: the CPUs shared among the workers."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps, for learned models."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of learned models."""
    auth: Literal["none", "keys"] | None = None
    """keys: every request needs one; None: none on this machine's own address, which others cannot reach."""
    hosts: tuple[str, ...] = ()
    """Names by which browsers may call this server, beside localhost and this machine's; may be repeated."""
    cors: str | None = None
    """The one other site whose pages may use this server: https://shop.example."""
    allow_urls: tuple[str, ...] = ()
    """Hosts from which the server may fetch photos by address, as *.shop.example; may be repeated."""
    webhooks: tuple[str, ...] = ()
    """Hosts that may be told when a job has ended, as *.shop.example; may be repeated."""
    keep_inputs: Days = None
    """Days that uploaded files are kept after they were last asked for; None: for ever."""
    keep_images: Days = None
    """Days that images are kept which nobody approved; None: for ever."""
    keep_jobs: Days = None
    """Days that jobs are kept after their end, unless one of their images was approved; None: for ever."""
    store_limit: Annotated[float | None, Field(gt=0)] = None
    """Gigabytes of all files; beyond, the oldest images go which nobody approved."""
    drain: Annotated[float, Field(ge=0, le=3600)] = 60.0
    """Seconds that images in hand have after SIGTERM."""


def open_models(settings: ServiceSettings) -> dict[str, ModelHandle]:
    """The handles of the models that are served, by name, the default first.

    Raises ModelNotFoundError, ModelFormatError, ConfigError, SettingsError.
    """
    from cyclorama.generation.model import open_model

    scenes = settings.scenes
    handles = [open_model(name, scenes if name == "scenes" else None) for name in settings.model]
    return {handle.name: handle for handle in handles}
