"""Reader of the published BG60k, BG1k and BG-pair sets (arXiv 2312.13309, section 4.2).

Layout: ``bg60k_info.txt`` (image name, category name), images in ``bg60k_imgs_<i>/`` and masks in
``bg60k_masks_<i>/``; likewise ``bg1k``; ``bgpair_info.txt`` (image name, reference name, category name).
Everything the publication leaves unstated is detected on a sample and reported. The sets are for
academic use, which every record's ``licence`` repeats; they cannot be shipped with this package.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar, cast, get_args

from pydantic import Field

from cyclorama.config import Settings
from cyclorama.data.columns import MaskMeans
from cyclorama.data.decode import open_image
from cyclorama.data.detection import (
    Detected,
    detect_encoding,
    detect_mask_means,
    detect_mask_pattern,
    detect_script,
    detect_separator,
    split_line,
)
from cyclorama.data.folders import is_image_name
from cyclorama.data.records import DataRecord, RejectedRow
from cyclorama.errors import DataError

T = TypeVar("T")
Subset = Literal["bg60k", "bg1k", "bgpair"]
LICENCE = "BG60k, academic use only"
FileIndex = dict[str, list[Path]]
"""File name, and file name without suffix -> the files of that name."""
_KINDS = ("imgs", "masks")


class Bg60kSettings(Settings):
    """What to take as given instead of detecting it (None = detect)."""

    encoding: str | None = None
    separator: str | None = None
    mask_pattern: str | None = None
    """File name of a mask, with ``{stem}`` for the image's name without suffix: ``{stem}_mask.png``."""
    mask_means: MaskMeans | None = None
    sample_lines: Annotated[int, Field(ge=1)] = 2000
    """Lines looked at for separator and mask names."""
    sample_masks: Annotated[int, Field(ge=1)] = 64
    """Masks opened for their polarity."""


class Detection(NamedTuple):
    """What was found in a published set and by what evidence; ``describe`` puts it into words."""

    info_file: Path
    encoding: Detected
    separator: Detected
    mask_pattern: Detected
    mask_means: Detected
    category_script: Detected
    image_folders: tuple[str, ...]
    mask_folders: tuple[str, ...]
    image_suffixes: dict[str, int]
    """Images per file suffix."""
    lines: int
    records: int
    categories: int
    missing_images: int
    missing_masks: int
    bad_lines: int
    """Lines with another number of fields, and lines that repeat an image."""

    def describe(self) -> str:
        """One line per finding, with its evidence."""
        suffixes = ", ".join(f"{count} {suffix}" for suffix, count in sorted(self.image_suffixes.items()))
        return (
            f"{self.info_file}: {self.lines} lines, {self.records} records, {self.categories} categories\n"
            f"  text encoding: {self.encoding.value} ({self.encoding.evidence})\n"
            f"  separator: {self.separator.value!r} ({self.separator.evidence})\n"
            f"  mask names: {self.mask_pattern.value} ({self.mask_pattern.evidence})\n"
            f"  mask means: {self.mask_means.value} ({self.mask_means.evidence})\n"
            f"  category names: {self.category_script.value} ({self.category_script.evidence})\n"
            f"  images in {', '.join(self.image_folders)}: {suffixes}\n"
            f"  masks in {', '.join(self.mask_folders)}\n"
            f"  left out: {self.missing_images} without image, {self.missing_masks} without mask, "
            f"{self.bad_lines} unreadable lines"
        )


class PublishedSet(NamedTuple):
    """Records and rejected lines of an info file (together: every line), and what was detected."""

    records: list[DataRecord]
    rejected: list[RejectedRow]
    detection: Detection


def load_bg60k(
    folder: str | Path, subset: Subset = "bg60k", settings: Bg60kSettings | None = None
) -> PublishedSet:
    """The records of one published set, the lines that gave none, and the detection report.

    For ``bgpair`` the reference is looked for among the set's own images first, then in BG1k's and
    BG60k's; its mask, if there is one, becomes ``reference_mask`` (one ``mask_means`` holds for both).
    Invariant: lines in = records + rejected.

    Raises DataError: no info file or folders (naming archives still packed), nothing matches, or an
    ambiguity, naming the setting of ``Bg60kSettings`` that decides it.
    """
    folder, settings = Path(folder), settings or Bg60kSettings()
    if subset not in get_args(Subset):
        raise DataError(f"subset is {subset!r}, must be one of {', '.join(get_args(Subset))}")
    info = folder / f"{subset}_info.txt"
    if not info.is_file():
        raise DataError(f"no {info.name} in {folder}; give the folder that holds it")
    files = _index_set(folder, subset)
    encoding, lines = _read_lines(info, settings)
    layout = _detect_layout(files, lines, settings, info)
    records, rejected = _build_records(subset, files, lines, layout)
    categories = sorted({record.category or "" for record in records})
    reasons = Counter(str(row.values["kind"]) for row in rejected)
    detection = Detection(
        info,
        encoding,
        *layout,
        category_script=detect_script(categories),
        image_folders=_name_folders(files.images, folder),
        mask_folders=_name_folders(files.masks, folder),
        image_suffixes=dict(Counter(Path(str(record.image)).suffix.lower() for record in records)),
        lines=len(lines),
        records=len(records),
        categories=len(categories),
        missing_images=reasons["image"],
        missing_masks=reasons["mask"],
        bad_lines=reasons["line"],
    )
    return PublishedSet(records, rejected, detection)


class _Files(NamedTuple):
    images: FileIndex
    masks: FileIndex
    references: FileIndex | None
    reference_masks: FileIndex

    @property
    def fields(self) -> int:
        return 2 if self.references is None else 3

    def knows(self, name: str) -> bool:
        return name in self.images or (self.references is not None and name in self.references)


class _Layout(NamedTuple):
    separator: Detected
    pattern: Detected
    means: Detected


def _index_set(folder: Path, subset: Subset) -> _Files:
    """Images in ``{subset}_imgs/`` and ``{subset}_imgs_<i>/``, at any depth as archives unpack; masks, too.

    References of ``bgpair``: the first place that has a name wins.
    """
    own = []
    for kind in ("imgs", "masks"):
        stem = f"{subset}_{kind}"
        own.append(_index_tree(folder, rf"{stem}(_\d.*)?"))
        if not own[-1]:
            packed = sorted(p.name for p in folder.iterdir() if p.is_file() and p.name.startswith(stem))
            hint = f"; unpack {packed[0]} first" if packed else ""
            raise DataError(f"no images in {folder / stem}/ or {folder / stem}_<i>/{hint}")
    images, masks = own
    if subset != "bgpair":
        return _Files(images, masks, None, {})
    places = {
        kind: [_index_tree(folder, rf"{name}_{kind}.*") for name in ("bg60k", "bg1k")] for kind in _KINDS
    }
    others = _index_tree(folder, "bgpair_ref.*")
    references = {**places["imgs"][0], **places["imgs"][1], **others, **images}
    return _Files(images, masks, references, {**places["masks"][0], **places["masks"][1], **masks})


def _index_tree(folder: Path, pattern: str) -> FileIndex:
    index: FileIndex = {}
    for place in sorted(p for p in folder.iterdir() if p.is_dir() and re.fullmatch(pattern, p.name)):
        for path in sorted(place.rglob("*")):
            if is_image_name(path.name) and not path.name.startswith("."):
                for name in (path.name, path.stem):
                    index.setdefault(name, []).append(path)
    return index


def _find_file(index: FileIndex, name: str) -> Path | None:
    paths = index.get(name, [])
    if len(paths) > 1:
        raise DataError(f"file name {name!r} is ambiguous: {', '.join(map(str, paths[:3]))}")
    return paths[0] if paths else None


def _name_folders(index: FileIndex, folder: Path) -> tuple[str, ...]:
    return tuple(sorted({path.relative_to(folder).parts[0] for paths in index.values() for path in paths}))


def _read_lines(info: Path, settings: Bg60kSettings) -> tuple[Detected, list[tuple[int, str]]]:
    try:
        data = info.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {info}: {error.strerror or error}") from error
    if settings.encoding is not None:
        encoding = Detected(settings.encoding, "setting")
    else:
        encoding = detect_encoding(data, str(info))
    try:
        text = data.decode(encoding.value)
    except (UnicodeDecodeError, LookupError) as error:
        raise DataError(
            f"{info}: cannot decode as {encoding.value!r} (setting 'encoding'): {error}"
        ) from error
    lines = [(number, line.strip("\r ")) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise DataError(f"{info} is empty")
    return encoding, lines


def _detect_layout(
    files: _Files, lines: Sequence[tuple[int, str]], settings: Bg60kSettings, info: Path
) -> _Layout:
    texts = [text for _, text in _spread(lines, settings.sample_lines)]
    if settings.separator is not None:
        separator = Detected(settings.separator, "setting")
    else:
        separator = detect_separator(texts, files.fields, files.knows, str(info))
    cells = [split_line(text, separator.value, files.fields) for text in texts]
    stems = [
        Path(c[0]).stem if c[0] in files.images and Path(c[0]).suffix else c[0]
        for c in cells
        if c is not None
    ]
    stems = [stem for stem in stems if stem in files.images]
    if not stems:
        raise DataError(f"{info}: no line names an image that exists under the separator {separator.value!r}")
    if settings.mask_pattern is not None:
        pattern = Detected(settings.mask_pattern, "setting")
    else:
        pattern = detect_mask_pattern(stems, files.masks.__contains__, str(info))
    if settings.mask_means is not None:
        return _Layout(separator, pattern, Detected(settings.mask_means, "setting"))
    found = [
        files.masks[name][0] for stem in stems if (name := pattern.value.format(stem=stem)) in files.masks
    ]
    if not found:
        raise DataError(f"{info}: no masks named {pattern.value!r}; give the setting 'mask_pattern'")
    masks = [open_image(path.read_bytes(), str(path)) for path in _spread(found, settings.sample_masks)]
    return _Layout(separator, pattern, detect_mask_means(masks, str(info)))


def _build_records(
    subset: Subset, files: _Files, lines: Sequence[tuple[int, str]], layout: _Layout
) -> tuple[list[DataRecord], list[RejectedRow]]:
    records: list[DataRecord] = []
    rejected: list[RejectedRow] = []
    taken: dict[str, int] = {}
    for number, text in lines:

        def reject(kind: str, reason: str, number: int = number, text: str = text) -> None:
            rejected.append(RejectedRow(number, reason, {"line": text, "kind": kind}))

        cells = split_line(text, layout.separator.value, files.fields)
        if cells is None:
            reject("line", f"does not hold {files.fields} fields")
            continue
        image = _find_file(files.images, cells[0])
        if image is None:
            reject("image", f"no image {cells[0]!r}")
            continue
        reference = None if files.references is None else _find_file(files.references, cells[1])
        if files.references is not None and reference is None:
            reject("image", f"no reference {cells[1]!r}")
            continue
        mask_name = layout.pattern.value.format(stem=image.stem)
        mask = _find_file(files.masks, mask_name)
        if mask is None:
            reject("mask", f"no mask {mask_name!r}")
            continue
        name = f"{subset}/{image.stem}" if reference is None else f"{subset}/{image.stem}-{reference.stem}"
        if name in taken:
            reject("line", f"repeats line {taken[name]}")
            continue
        taken[name] = number
        reference_mask = None
        if reference is not None:
            reference_mask = _find_file(
                files.reference_masks, layout.pattern.value.format(stem=reference.stem)
            )
        records.append(
            DataRecord(
                id=name,
                image=image,
                mask=mask,
                mask_means=cast(MaskMeans, layout.means.value),
                category=cells[-1],
                product_id=f"{subset}/{image.stem}",
                reference=reference,
                reference_mask=reference_mask,
                licence=LICENCE,
            )
        )
    return records, rejected


def _spread(items: Sequence[T], count: int) -> list[T]:
    """At most ``count`` items, evenly spread over the sequence."""
    step = max(1, len(items) // max(1, count))
    return list(items[::step])[:count]
