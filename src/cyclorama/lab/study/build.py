"""From the methods' images to a study folder: sample pairs, make the images alike, write page and key.

::

    DIR/key.json            whose image is whose, and every rater's tasks; for the experimenter only
    DIR/raters.txt          one code a line, to hand out
    DIR/page/index.html     what raters open; the whole study unless its images lie in page/images/
    DIR/answers/            where the answer files go that raters send back
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from cyclorama.errors import MissingImageError, OutputError, SettingsError
from cyclorama.evaluation import tables
from cyclorama.evaluation.reading import ImageSet, find_reference
from cyclorama.lab.study.page import (
    check_wording,
    encode,
    format_page,
    level_images,
    load_study_image,
)
from cyclorama.lab.study.study import (
    ANSWERS_FOLDER,
    CODE_LETTERS,
    IMAGE_FOLDER,
    KEY_FORMAT,
    KEY_NAME,
    MAX_METHODS,
    PAGE_FOLDER,
    PAGE_NAME,
    Namer,
    Pair,
    Study,
    StudySettings,
    plan_rater,
    sample_keys,
)

RATERS_NAME = "raters.txt"


def find_common_pairs(
    methods: Mapping[str, ImageSet], references: ImageSet
) -> tuple[dict[str, str], tuple[str, ...]]:
    """(product key to reference key of the pairs present for all methods, notes on what was left out).

    A product's reference is the one its manifest rows name (key or file name), else the reference of the
    product's own key. A product for which two methods name different references is no pair of both.

    Raises SettingsError (fewer than 2 or more than 8 methods) and MissingImageError (no common pair).
    """
    if not 2 <= len(methods) <= MAX_METHODS:
        raise SettingsError(f"a study compares 2 to {MAX_METHODS} methods, got {len(methods)}")
    products = sorted(set.union(*(set(images.keys) for images in methods.values())))
    result: dict[str, str] = {}
    lacking, divided, without = 0, 0, 0
    for key in products:
        if any(key not in images for images in methods.values()):
            lacking += 1
            continue
        stated = {item.reference for images in methods.values() if (item := images.items[key]).reference}
        found = {find_reference(name, references) for name in stated or {key}}
        if len(found) > 1:
            divided += 1
        elif (reference := found.pop()) is None:
            without += 1
        else:
            result[key] = reference
    reasons = [
        (lacking, "not done by every method"),
        (divided, "made with different references"),
        (without, f"without a reference in {references.name}"),
    ]
    notes = [f"{count} of {len(products)} products left out: {why}" for count, why in reasons if count]
    if not result:
        raise MissingImageError(
            f"no product–reference pair is there for all methods ({'; '.join(notes)}); images are matched "
            "by manifest id, else by file name without suffix"
        )
    return result, tuple(notes)


def build_study(
    methods: Mapping[str, ImageSet],
    references: ImageSet,
    folder: Path,
    settings: StudySettings,
    wording: Mapping[str, str] | None = None,
    advance: Callable[[], None] = lambda: None,
) -> tuple[Study, tuple[str, ...]]:
    """Write the study into the new folder ``folder``; (the study, notes on what was left out).

    ``advance`` is called once per finished pair. The folder appears in one step, when all of it is written.

    Raises OutputError (folder not empty, not writable), SettingsError, MissingImageError,
    StudyImageError, ImageError.
    """
    texts = check_wording({} if wording is None else wording)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"output {folder} is a file; give a new folder with --out")
    if (folder / KEY_NAME).exists():
        raise OutputError(f"{folder} already holds a study, to which answers may exist; give a new --out")
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty; give a new folder with --out")
    common, notes = find_common_pairs(methods, references)
    keys = sample_keys(list(common), settings.pairs, settings.seed)
    namer = Namer(settings.seed, "images")
    pairs, encoded, sizes = [], {}, []
    for key in keys:
        images = {method: load_study_image(found, key) for method, found in methods.items()}
        levelled = level_images(images, settings.side, key)
        names = {method: namer.draw() for method in methods}
        encoded.update({names[method]: encode(image) for method, image in levelled.items()})
        sizes.append(next(iter(levelled.values())).size)
        reference_name = namer.draw()
        reference = load_study_image(references, common[key])
        reference.thumbnail((settings.side, settings.side), Image.Resampling.LANCZOS)
        encoded[reference_name] = encode(reference)
        categories = {found.items[key].category for found in methods.values()} - {None}
        category = categories.pop() if len(categories) == 1 else None
        pairs.append(Pair(key, common[key], category, reference_name, names))
        advance()
    codes = Namer(settings.seed, "raters")
    plans = {}
    for _ in range(settings.raters):
        code = codes.draw(6, CODE_LETTERS)
        shown = [sorted(pair.images.values()) for pair in pairs]  # by random name: no order of methods
        plans[code] = plan_rater(shown, settings.repeated, settings.seed, code)
    sources = {method: images.name for method, images in methods.items()}
    study = Study(
        Namer(settings.seed, "study").draw(16),
        settings.seed,
        tuple(methods),
        tuple(pairs),
        plans,
        {**sources, "references": references.name},
    )
    _write(study, encoded, sizes, folder, settings.embed, texts)
    return study, notes


def _write(
    study: Study,
    encoded: Mapping[str, bytes],
    sizes: list[tuple[int, int]],
    folder: Path,
    embed: bool,
    texts: Mapping[str, str],
) -> None:
    """Everything into a folder beside the place, then one rename; images in the order of their names."""
    folder = folder.resolve()
    part = folder.with_name(folder.name + ".part")
    page = part / PAGE_FOLDER
    try:
        if part.exists():
            shutil.rmtree(part)
        (part / ANSWERS_FOLDER).mkdir(parents=True)
        page.mkdir()
        addresses = {}
        for name in sorted(encoded):
            if embed:
                addresses[name] = tables.embed(encoded[name], "jpeg")
            else:
                addresses[name] = f"{IMAGE_FOLDER}/{name}.jpg"
                path = page / addresses[name]
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(encoded[name])
                os.utime(path, (946684800, 946684800))  # dates do not tell the order in which they were made
        text = format_page(study, addresses, sizes, texts)
        (page / PAGE_NAME).write_text(text, encoding="utf-8")
        (part / RATERS_NAME).write_text("".join(f"{code}\n" for code in study.raters), encoding="utf-8")
        key = json.dumps({"format": KEY_FORMAT, **asdict(study)}, indent=1, ensure_ascii=False) + "\n"
        (part / KEY_NAME).write_text(key, encoding="utf-8")
        if folder.is_dir():
            folder.rmdir()
        part.rename(folder)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise OutputError(f"cannot write the study to {folder}: {error}") from error
