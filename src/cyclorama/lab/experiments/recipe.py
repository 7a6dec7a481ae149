"""What an experiment compares: methods, seeds, a held-out set and the columns of its table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from cyclorama.config import Settings
from cyclorama.errors import ConfigError, CycloramaError, OutputError, SettingsError
from cyclorama.evaluation.settings import DISTANCES, GROUPS, METRICS, check_names
from cyclorama.lab.baselines.options import BaselineName, BaselineOptions

Kind = Literal["ours"] | BaselineName
Condition = Literal["none", "pair", "self"]
"""Where references come from: none; the set's own pairs; the product's own true image."""

COLUMNS = METRICS | DISTANCES
BUNDLED = "bundled"


class MethodConfig(BaselineOptions):
    """One row of the table; ``weights`` is a second name under the experiment's ``models``."""

    error_type: ClassVar[type[CycloramaError]] = ConfigError

    name: Annotated[str, Field(pattern=r"\S")]
    """As the table shows it."""
    kind: Kind = "ours"
    model: str | tuple[str, ...] | None = None
    """A name under the experiment's ``models``, or several, trainings from several seeds that make one row;
    None: what the package carries."""
    steps: Annotated[int | None, Field(ge=1)] = None
    """Denoising steps; None: the experiment's. Likewise guidance and scheduler."""
    guidance: float | None = None
    scheduler: str | None = None
    eta: float = 0.0
    encoder_every: int = 1
    """`ours`: steps that one answer of the encoders serves."""
    category_strength: float = 1.0
    """`ours`: factor on CG's residuals; 0 is "no CG"."""
    reference_strength: float = 1.0
    """`ours`: factor on PG's residuals; 0 is "no PG"."""
    initial_latent: bool = True
    """Start from the noised reference, where there is one."""

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if self.kind == "ours" and self.weights is not None:
            raise ConfigError(f"method {self.name!r}: weights go with a baseline; name our model under model")
        if self.kind == "ours" and self.prompt is not None:
            raise ConfigError(f"method {self.name!r}: a prompt goes with a baseline; ours has its own")
        return self

    @property
    def models(self) -> tuple[str | None, ...]:
        """The names of its models."""
        return self.model if isinstance(self.model, tuple) else (self.model,)


class ExperimentConfig(Settings):
    """A whole experiment; relative paths count from the folder in which the command runs."""

    title: str
    data: Path
    """Folder with manifest.csv, as `lab render --kind bg1k|bgpair --unpack` leaves it, or a manifest."""
    methods: Annotated[tuple[MethodConfig, ...], Field(min_length=1)]
    models: dict[str, str] = Field(default_factory=dict)
    """Name to model folder, file or hub id; ``bundled`` is the model inside the package."""
    conditions: Annotated[tuple[Condition, ...], Field(min_length=1)] = ("none",)
    compared: str | None = None
    """The method whose wins over each other are counted; None: the last of the list."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(min_length=1)] = (0, 1, 2)
    images: Annotated[int | None, Field(ge=2)] = None
    """Only the first so many of the set; None: all."""
    categories: tuple[str, ...] = ()
    """Only these; empty: all."""
    steps: Annotated[int, Field(ge=1)] = 50
    guidance: float = 2.0
    scheduler: str | None = None
    """A diffusers scheduler class for all methods that name none; None: each model's own (DDIM)."""
    batch_size: Annotated[int, Field(ge=1)] = 8
    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    features: str = "cyclorama"
    """Network of distances and similarities, as in `cyclorama evaluate --features`."""
    against: Path | None = None
    """A larger true set for FID and KID; None: the true images of ``data``."""
    metrics: tuple[str, ...] = (
        "distance", "similarity", "truth", "product", "following", "category", "leak",
    )  # fmt: skip
    """Groups of metrics that are computed."""
    columns: tuple[str, ...] = ("similarity_truth", "similarity_truth_background", "fid", "kid")
    """Columns of the table, in order; result.json holds all metrics."""
    sheet_rows: Annotated[int, Field(ge=0)] = 12
    """Products on the sheet, spread over the set; 0: no sheet."""

    @field_validator("metrics", mode="before")
    @classmethod
    def _check_metrics(cls, names: Any) -> Any:
        return check_names(names, GROUPS, "metric group")

    @field_validator("columns", mode="before")
    @classmethod
    def _check_columns(cls, names: Any) -> Any:
        return check_names(names, tuple(COLUMNS), "column")

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [method.name for method in self.methods]
        lists: dict[str, Sequence[Any]] = {
            "method": names, "seed": self.seeds, "condition": self.conditions,
        }  # fmt: skip
        for what, values in lists.items():
            for value in values:
                if values.count(value) > 1:
                    raise ConfigError(f"{self.title!r} has the {what} {value!r} twice; give each once")
        if self.compared is not None and self.compared not in names:
            raise ConfigError(f"compared is {self.compared!r}; the methods are {', '.join(names)}")
        for method in self.methods:
            for name in (*method.models, method.weights):
                if name is not None and name not in self.models:
                    raise ConfigError(
                        f"method {method.name!r} wants the model {name!r}, which is not under models: "
                        f"{', '.join(self.models) or 'none'}; add it there, or --set models.{name}=FOLDER"
                    )
        return self

    @property
    def chief(self) -> str:
        """The name of the method that the others are compared with."""
        return self.compared or self.methods[-1].name

    def find_model(self, name: str | None) -> str | None:
        """The place of the model called ``name`` in this experiment; None for what the package carries."""
        place = None if name is None else self.models[name]
        return None if place == BUNDLED else place


class RunOptions(Settings):
    """What a run is told beside its recipe."""

    error_type: ClassVar[type[SettingsError]] = SettingsError

    out: Path
    """Folder for table and sheet."""
    store: Path | None = None
    """Folder of images, features and scores that experiments share (default: store beside DIR)."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that share the cores."""
    skip_missing: bool = False
    """Show a method whose model is missing as a row 'not trained' instead of refusing to start."""

    @model_validator(mode="after")
    def _check_folders(self) -> Self:
        for name, folder in (("output", self.out), ("store", self.store)):
            if folder is not None and folder.exists() and not folder.is_dir():
                raise OutputError(f"{name} {folder} is a file; give a folder")
        return self

    @property
    def store_folder(self) -> Path:
        """The store's folder."""
        return (self.store or self.out.resolve().parent / "store").resolve()
