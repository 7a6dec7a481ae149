"""Is a person in the image?

Faces that look ahead or sideways are found by OpenCV's cascades (Viola and Jones; carried by
``opencv-python-headless`` below version 5). People without a visible face, and faces more surely, are seen by
networks that are given by path: MediaPipe's (``blaze``), or any object detection model that ``transformers``
loads from a folder (``model``). OpenCV's people detector (gradient histograms, Dalal and Triggs) can be asked
too, but takes furniture for people. The rule errs to dropping; a face on the product, as on dolls and printed
packs, goes to review.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PositiveFloat, model_validator

from cyclorama.config import Settings, Share
from cyclorama.curate.people_finding import (
    BODY,
    FACE,
    FoundPerson,
    build_blaze_finder,
    build_body_finder,
    build_cascade_finder,
    build_model_finder,
)
from cyclorama.curate.records import Finding, RuleImage, Verdict
from cyclorama.errors import ConfigError
from cyclorama.types import Matte, Pixels

PersonFinder = Callable[[Pixels], list[FoundPerson]]
"""Pixels uint8 (H, W, 3) -> everyone in them, however unsure."""


class PeopleSettings(Settings):
    """Who is sought, and from what score on a find counts. Each detector has a scale of its own."""

    face: PositiveFloat | None = 6.0
    """Fewest neighbouring windows that see a frontal face; None switches the detector off."""
    profile: PositiveFloat | None = 6.0
    """The same for a face from the side."""
    body: PositiveFloat | None = None
    """Least score of an upright body (distance from the separating plane, 0.5 or more); None: not sought.
    Furniture and bottles reach 1.5, so it only helps where images show little else than people."""
    model: Path | None = None
    """Folder of an object detection model that ``transformers`` can load; None for none."""
    model_labels: tuple[str, ...] = ("person", "face", "human face", "man", "woman", "boy", "girl")
    """Names of the model's classes that are people."""
    model_score: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """Least score of a find of the model, 0-1."""
    blaze: Path | None = None
    """Folder in or below which MediaPipe's two networks lie; None for none."""
    blaze_face: Annotated[float, Field(gt=0, lt=1)] = 0.65
    """Least probability of a face found by them, 0-1."""
    blaze_body: Annotated[float, Field(gt=0, lt=1)] = 0.72
    """Least probability of a person found by them, 0-1."""
    smallest: Annotated[float, Field(gt=0, lt=1)] = 0.06
    """Least side of a find as a share of the image's shorter side, 0-1."""
    working_side: Annotated[int, Field(ge=128)] = 512
    """Shorter side, in pixels, at which people are sought; smaller images are enlarged to it."""
    product_overlap: Share = 0.85
    """Share of a face that must lie on the product for it to be the product's, 0-1."""
    body_overlap: Share = 0.25
    """The same for a body, whose rectangle is mostly background: the product itself was taken for one."""
    keep_on_product: bool = False
    """Whether faces on the product alone are no reason to review it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if all(limit is None for limit in (self.face, self.profile, self.body, self.model, self.blaze)):
            raise ConfigError("every detector is switched off; set 'people: null' instead")
        return self


class PeopleRule:
    """Drops images of people."""

    name = "people"

    def __init__(
        self, settings: PeopleSettings | None = None, finders: tuple[PersonFinder, ...] | None = None
    ) -> None:
        self.settings = settings or PeopleSettings()
        self._finders = finders

    def judge(self, image: RuleImage) -> Finding:
        """Drop with a person off the product, review with one on it, else keep.

        ``score`` in the numbers is the greatest find's score over its detector's limit: from 1 on it counts.
        Raises MissingDependencyError (no OpenCV with cascades), ModelNotFoundError (``model``).
        """
        if self._finders is None:
            self._finders = _build_finders(self.settings)
        found = [person for finder in self._finders for person in finder(image.pixels)]
        mask = image.product
        on = [person for person in found if _is_on_product(person, mask, self.settings)]
        behind = [person for person in found if not any(person is other for other in on)]
        sure = [person for person in behind if person.ratio >= 1]
        printed = [person for person in on if person.ratio >= 1 and person.box.label != "body"]
        numbers = {
            "score": max((person.ratio for person in behind), default=0.0),
            "people": float(len(sure)),
            "product_score": max((person.ratio for person in on), default=0.0),
        }
        for person in found:
            name = person.box.label.replace(" ", "_")
            numbers[name] = max(numbers.get(name, 0.0), person.ratio)
        boxes = tuple(person.box for person in (*sure, *printed))
        doubted = [] if self.settings.keep_on_product else printed
        if sure or doubted:
            best = max(sure or doubted, key=lambda person: person.ratio)
            where = " with" if sure else " on the product,"
            reason = f"{best.box.label}{where} {best.ratio:.2f} of the score that counts"
            return Finding(self.name, Verdict.DROP if sure else Verdict.REVIEW, reason, numbers, boxes)
        return Finding(self.name, Verdict.KEEP, numbers=numbers, boxes=boxes)


def _is_on_product(person: FoundPerson, mask: Matte | None, settings: PeopleSettings) -> bool:
    if mask is None:
        return False
    least = settings.body_overlap if person.box.label == "body" else settings.product_overlap
    box = person.box
    place = mask[max(0, box.top) : box.bottom, max(0, box.left) : box.right]
    return place.size > 0 and float((place >= 0.5).mean()) >= least


def _build_finders(settings: PeopleSettings) -> tuple[PersonFinder, ...]:
    finders: list[PersonFinder] = []
    side, smallest = settings.working_side, settings.smallest
    for limit, file, label, mirrored in (
        (settings.face, "haarcascade_frontalface_alt2.xml", "face", False),
        (settings.profile, "haarcascade_profileface.xml", "profile", True),
    ):
        if limit is not None:
            finders.append(build_cascade_finder(file, label, limit, side, smallest, mirrored=mirrored))
    if settings.body is not None:
        finders.append(build_body_finder(settings.body, side))
    if settings.blaze is not None:
        for network, least in ((FACE, settings.blaze_face), (BODY, settings.blaze_body)):
            finders.append(build_blaze_finder(settings.blaze, network, least, smallest))
    if settings.model is not None:
        labels, least = settings.model_labels, settings.model_score
        finders.append(build_model_finder(settings.model, labels, least, smallest))
    return tuple(finders)
