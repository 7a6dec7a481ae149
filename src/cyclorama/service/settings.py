"""What ``cyclorama serve`` can be told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from cyclorama.config import Settings
from cyclorama.errors import CycloramaError, SettingsError

if TYPE_CHECKING:
    from cyclorama.generation.model import ModelHandle


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
