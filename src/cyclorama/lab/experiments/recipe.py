"""What an experiment compares: methods, seeds, a held-out set and the columns of its table."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from cyclorama.errors import ConfigError
from cyclorama.evaluation.settings import GROUPS
from cyclorama.lab.experiments.columns import COLUMNS

Kind = Literal["ours", "lama", "inpaint", "controlnet", "blended", "paint-by-example"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Condition = Literal["none", "pair", "self"]
"""Where references come from: none; the set's own pairs; the product's own true image."""

DISTANCES = ("fid", "kid", "fid_background", "kid_background")
"""Columns that are distances between whole sets, not means over images."""
BUNDLED = "bundled"


@dataclass(frozen=True)
class MethodConfig:
    """One row of the table."""

    name: str
    """As the table shows it."""
    kind: Kind = "ours"
    model: str | None = None
    """A name under the experiment's ``models``; None: what the package carries."""
    weights: str | None = None
    """A second name under ``models``: a published ControlNet for the base in ``model``."""
    steps: int | None = None
    """Denoising steps; None: the experiment's. Likewise guidance and scheduler."""
    guidance: float | None = None
    scheduler: str | None = None
    eta: float = 0.0
    category_strength: float = 1.0
    """`ours`: factor on CG's residuals; 0 is "no CG"."""
    reference_strength: float = 1.0
    """`ours`: factor on PG's residuals; 0 is "no PG"."""
    initial_latent: bool = True
    """Start from the noised reference, where there is one."""
    guide_strength: float = 300.0
    """`blended`: factor on the gradient of the feature distance."""
    guide_features: str = "cyclorama"
    """`blended`: the network that guides, as in `cyclorama evaluate --features`."""
    prompt: str | None = None
    """Baselines: text with ``{category}`` in it; None: the model's own."""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ConfigError("a method has an empty name; give it the name that the table is to show")
        if self.kind == "ours" and self.weights is not None:
            raise ConfigError(f"method {self.name!r}: weights go with a baseline; name our model under model")


@dataclass(frozen=True)
class ExperimentConfig:
    """A whole experiment; relative paths count from the folder in which the command runs."""

    title: str
    data: Path
    """Folder with manifest.csv, as `lab render --kind bg1k|bgpair --unpack` leaves it, or a manifest."""
    methods: tuple[MethodConfig, ...]
    models: dict[str, str] = field(default_factory=dict)
    """Name to model folder, file or hub id; ``bundled`` is the model inside the package."""
    conditions: tuple[Condition, ...] = ("none",)
    compared: str | None = None
    """The method whose wins over each other are counted; None: the last of the list."""
    seeds: tuple[int, ...] = (0, 1, 2)
    images: int | None = None
    """Only the first so many of the set; None: all."""
    categories: tuple[str, ...] = ()
    """Only these; empty: all."""
    steps: int = 50
    guidance: float = 2.0
    scheduler: str | None = None
    """A diffusers scheduler class for all methods that name none; None: each model's own (DDIM)."""
    batch_size: int = 8
    device: str = "auto"
    dtype: str = "auto"
    """auto, float32, bfloat16, float16."""
    features: str = "cyclorama"
    """Network of distances and similarities, as in `cyclorama evaluate --features`."""
    against: Path | None = None
    """A larger true set for FID and KID; None: the true images of ``data``."""
    groups: tuple[str, ...] = ("distance", "similarity", "truth", "product", "following", "category", "leak")
    """Groups of metrics that are computed."""
    columns: tuple[str, ...] = ("similarity_truth", "similarity_truth_background", "fid", "kid")
    """Columns of the table, in order; result.json holds all metrics."""
    sheet_rows: int = 12
    """Products on the sheet, spread over the set; 0: no sheet."""

    def __post_init__(self) -> None:
        names = [method.name for method in self.methods]
        for what, values in (("method", names), ("seed", list(self.seeds)), ("condition", self.conditions)):
            if not values:
                raise ConfigError(f"{self.title!r} has no {what}; give at least one")
            for value in values:
                if list(values).count(value) > 1:
                    raise ConfigError(f"{self.title!r} has the {what} {value!r} twice; give each once")
        if self.compared is not None and self.compared not in names:
            raise ConfigError(f"compared is {self.compared!r}; the methods are {', '.join(names)}")
        if any(not 0 <= seed < 2**31 for seed in self.seeds):
            raise ConfigError(f"seeds are {list(self.seeds)}; each must be from 0 to 2**31 - 1")
        for name, number, least in (
            ("images", self.images, 2), ("steps", self.steps, 1), ("batch_size", self.batch_size, 1),
            ("sheet_rows", self.sheet_rows, 0),
        ):  # fmt: skip
            if number is not None and number < least:
                raise ConfigError(f"{name} is {number}; give {least} or more")
        self._check_names()

    def _check_names(self) -> None:
        for what, values, known in (
            ("metric group", self.groups, GROUPS),
            ("column", self.columns, tuple(COLUMNS)),
        ):
            for value in values:
                if value not in known:
                    raise ConfigError(f"no {what} {value!r}; known: {', '.join(known)}")
        for method in self.methods:
            for name in (method.model, method.weights):
                if name is not None and name not in self.models:
                    raise ConfigError(
                        f"method {method.name!r} wants the model {name!r}, which is not under models: "
                        f"{', '.join(self.models) or 'none'}; add it there, or --set models.{name}=FOLDER"
                    )

    @property
    def chief(self) -> str:
        """The name of the method that the others are compared with."""
        return self.compared or self.methods[-1].name

    def find_model(self, name: str | None) -> str | None:
        """The place of the model called ``name`` in this experiment; None for what the package carries."""
        place = None if name is None else self.models[name]
        return None if place == BUNDLED else place
