"""What raters see: a page, its words, images of which only the content differs; and what its server gives."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps

from cyclorama.errors import SettingsError, StudyError, StudyImageError
from cyclorama.evaluation.reading import ImageSet, read_place
from cyclorama.imaging.loading import load_image
from cyclorama.lab.study.answers import AnswerStore, format_answers, parse_answers
from cyclorama.lab.study.study import IMAGE_FOLDER, LETTERS, PAGE_FOLDER, PAGE_NAME, QUESTIONS, Study
from cyclorama.pages import Reply, Site, build_page

WORDING = {
    "language": "en",
    "direction": "ltr",
    "title": "Image study",
    "code": "Your code",
    "start": "Start",
    "unknown_code": "This code is not in this study. Please check it.",
    "introduction_rank": "Choose the images from first to last. The last place fills itself.",
    "introduction_change": "Choose a placed image again to take back its place and all after it.",
    "introduction_keys": "Keyboard: A, B, C … or 1, 2, 3 … to place, Backspace to take back, Enter to go on.",
    "introduction_kept": "Answers are kept on this device. You can close the page and go on later.",
    "similarity": "Which image is most like the reference in its background?",
    "similarity_scale": "1 = most alike",
    "quality": "Which image is the best as a whole?",
    "quality_scale": "1 = best",
    "reference": "Reference",
    "image": "Image {letter}",
    "place": "place {place}",
    "enlarge": "Enlarge",
    "close": "Close",
    "back": "Back",
    "undo": "Take back",
    "next": "Next",
    "progress": "{done} of {all}",
    "placed": "{letter}: place {place}",
    "taken_back": "Taken back",
    "complete": "All placed",
    "download": "Save answers as a file",
    "done": "All done. Thank you!",
    "send_file": "Please save your answers as a file and send it back.",
    "saved": "Your answers have arrived. You can close the page.",
    "not_sent": "Some answers have not arrived yet. The page keeps trying; you can also save them as a file.",
    "not_kept": "This browser keeps nothing. Save your answers as a file before you close the page.",
    "no_script": "This page needs JavaScript.",
}
"""Text by its purpose. ``{…}`` is filled in by the page."""


def check_wording(changes: Mapping[str, str]) -> dict[str, str]:
    """The wording with ``changes``. Raises SettingsError (unknown purpose, no text, a lost ``{…}``)."""
    if not isinstance(changes, Mapping):
        raise SettingsError(f"the wording must be texts by their purpose, got {type(changes).__name__}")
    for purpose, text in changes.items():
        if purpose not in WORDING:
            raise SettingsError(f"no wording {purpose!r}; choose from {', '.join(WORDING)}")
        if not isinstance(text, str) or not text.strip():
            raise SettingsError(f"the wording of {purpose!r} must be a text, got {text!r}")
        for blank in ("{letter}", "{place}", "{done}", "{all}"):
            if (blank in WORDING[purpose]) != (blank in text):
                raise SettingsError(
                    f"the wording of {purpose!r} needs {WORDING[purpose]!r}'s blanks, got {text!r}"
                )
    if changes.get("direction", "ltr") not in ("ltr", "rtl"):
        raise SettingsError(f"the wording's direction must be ltr or rtl, got {changes['direction']!r}")
    return {**WORDING, **changes}


SHAPE_TOLERANCE = 0.02
"""Largest relative difference of aspect ratios that is cropped away instead of refused."""
_QUALITY = 92


def load_study_image(images: ImageSet, key: str) -> Image.Image:
    """The image as sRGB: an embedded colour profile is applied, everything else about the file is dropped.

    Raises what :meth:`ImageSet.load` raises.
    """
    item = images.items.get(key)
    if item is None or isinstance(item.image, np.ndarray):
        return Image.fromarray(images.load(key).pixels)
    loaded = load_image(read_place(item.image))
    image = Image.fromarray(loaded.pixels)
    if loaded.icc_profile is not None:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(loaded.icc_profile))
            converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"))
        except (ImageCms.PyCMSError, OSError):
            return image  # a broken profile is what every viewer ignores
        if converted is not None:
            image = converted
    return image


def level_images(images: Mapping[str, Image.Image], side: int, name: str) -> dict[str, Image.Image]:
    """The images of one pair, all of one size: the smallest among them, at most ``side`` long.

    An image is scaled down and, where its shape differs by less than 2 %, cropped in the middle; it is never
    scaled up. Raises StudyImageError for shapes that differ by more.
    """
    sizes = {method: image.size for method, image in images.items()}
    ratios = {method: width / height for method, (width, height) in sizes.items()}
    if max(ratios.values()) > min(ratios.values()) * (1 + SHAPE_TOLERANCE):
        ends = max(ratios, key=ratios.__getitem__), min(ratios, key=ratios.__getitem__)
        shapes = (f"{method} {sizes[method][0]}×{sizes[method][1]}" for method in ends)
        raise StudyImageError(
            f"the images of {name!r} differ in shape by more than {SHAPE_TOLERANCE:.0%}: "
            f"{', '.join(shapes)}; raters could tell the methods apart by "
            "that: bring them to one shape"
        )
    width, height = min(w for w, _ in sizes.values()), min(h for _, h in sizes.values())
    scale = min(1.0, side / max(width, height))
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    return {method: ImageOps.fit(image, target, Image.Resampling.LANCZOS) for method, image in images.items()}


def encode(image: Image.Image) -> bytes:
    """A JPEG without any metadata, settings equal for all."""
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)
    return stream.getvalue()


SERVER_MARK = 'data-server=""'
"""What a server replaces to have answers sent to itself."""


def format_page(
    study: Study, addresses: Mapping[str, str], sizes: Sequence[tuple[int, int]], wording: Mapping[str, str]
) -> str:
    """The page of ``study``: ``addresses`` of the images by random name, ``sizes`` (width, height) by pair.

    Invariant: it holds no method, product, reference or category name, no seed, and no mark of repeats.
    """
    raters = {
        code: [
            {
                "task": task.name,
                "reference": study.pairs[task.pair].reference_image,
                "images": task.images,
                "size": sizes[task.pair],
            }
            for task in tasks
        ]
        for code, tasks in study.raters.items()
    }
    values = {"study": study.name, "questions": QUESTIONS, "letters": LETTERS, "wording": wording}
    values |= {"raters": raters, "images": dict(sorted(addresses.items()))}
    data = json.dumps(values, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return build_page(
        "cyclorama.lab.study",
        "page",
        wording["title"],
        "study",
        wording["no_script"],
        root=f'lang="{escape(wording["language"])}" dir="{wording["direction"]}" {SERVER_MARK}',
        images="'self' data: file:",
        data=f'<script type="application/json" id="data">{data}</script>\n',
    )


_IMAGE = re.compile(r"/images/([0-9a-f]{12})\.jpg")


class StudySite:
    """What a server of one study gives and takes.

    Only the page, the study's own images and a rater's own answers go out; the key is never read from here.
    """

    def __init__(self, folder: Path, study: Study) -> None:
        """Raises StudyError (no page), and what AnswerStore raises."""
        page = folder / PAGE_FOLDER / PAGE_NAME
        try:
            text = page.read_text(encoding="utf-8")
        except OSError as error:
            raise StudyError(f"cannot read the page {page}: {error}; build the study again") from error
        if SERVER_MARK not in text or study.name not in text:
            raise StudyError(f"{page} is not the page of study {study.name}; build the study again")
        self.page = text.replace(SERVER_MARK, 'data-server="answers"', 1).encode()
        self.images = folder / PAGE_FOLDER / IMAGE_FOLDER
        self.study = study
        self.store = AnswerStore(folder, study)
        self.site = Site(self._read, {"/answers": self._keep})

    def _read(self, place: str, query: Mapping[str, str]) -> Reply | None:
        match = _IMAGE.fullmatch(place)
        image = self.images / f"{match[1]}.jpg" if match else None
        rater = query.get("rater", "") if place == "/answers" else ""
        if place in ("/", f"/{PAGE_NAME}"):
            return Reply(self.page, "text/html; charset=utf-8")
        if rater in self.study.raters:
            answers = format_answers(self.study, rater, self.store.load(rater))
            return Reply(json.dumps(answers, ensure_ascii=False).encode(), "application/json")
        if image is not None and image.is_file():
            return Reply(image.read_bytes(), "image/jpeg", "private, max-age=86400")
        return None

    def _keep(self, values: Any) -> dict[str, Any]:
        self.store.save(*parse_answers(values, self.study, "the request"))
        return {}
