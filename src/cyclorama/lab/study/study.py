"""What only the experimenter may know: which image is whose.  Kept in ``key.json``, outside the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from cyclorama.errors import StudyError
from cyclorama.lab.study.plan import RatingTask

KEY_NAME = "key.json"
PAGE_FOLDER = "page"
PAGE_NAME = "index.html"
IMAGE_FOLDER = "images"
ANSWERS_FOLDER = "answers"
DATABASE_NAME = "answers.sqlite"
_FORMAT = "cyclorama-study-key/1"


@dataclass(frozen=True)
class Pair:
    """One product with one reference, as every method made it."""

    product: str
    """Key of the images in the methods' sets."""
    reference: str
    """Key in the set of references."""
    category: str | None
    reference_image: str
    """Random name of the reference on the page."""
    images: Mapping[str, str]
    """Method -> random name of its image on the page."""


@dataclass(frozen=True)
class Study:
    """A built study."""

    name: str
    """Random; in the page and in every answer, so that answers find their study."""
    seed: int
    methods: tuple[str, ...]
    pairs: tuple[Pair, ...]
    raters: Mapping[str, tuple[RatingTask, ...]]
    """Rater code -> tasks in their order."""
    sources: Mapping[str, str]
    """Where each method's images, and the references, came from."""

    def get_methods(self, pair: int) -> dict[str, str]:
        """Random image name -> method, for one pair."""
        return {image: method for method, image in self.pairs[pair].images.items()}


def format_key(study: Study) -> str:
    """The key as JSON text."""
    return json.dumps({"format": _FORMAT, **asdict(study)}, indent=1, ensure_ascii=False) + "\n"


def load_study(folder: Path) -> Study:
    """The study in ``folder``. Raises StudyError (no key there, or not one that ``build`` wrote)."""
    path = folder / KEY_NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StudyError(
            f"{folder} holds no study ({KEY_NAME} is missing); give the folder that "
            "'cyclorama lab study build --out' wrote"
        ) from error
    except (OSError, ValueError) as error:
        raise StudyError(
            f"cannot read {path}: {error}; build the study again or bring the file back"
        ) from error
    found = values.get("format") if isinstance(values, dict) else None
    if found != _FORMAT:
        raise StudyError(f"{path} has format {found!r}, not {_FORMAT!r}; it was not made by this version")
    try:
        study = TypeAdapter(Study).validate_python({n: v for n, v in values.items() if n != "format"})
        for tasks in study.raters.values():
            for task in tasks:
                if set(study.get_methods(task.pair)) != set(task.images):
                    raise ValueError(f"task {task.name}")
        if any(set(pair.images) != set(study.methods) for pair in study.pairs):
            raise ValueError("methods")
    except (ValueError, IndexError) as error:
        raise StudyError(
            f"{path} is damaged ({str(error)[:200]}); build the study again or bring the file back"
        ) from error
    return study
