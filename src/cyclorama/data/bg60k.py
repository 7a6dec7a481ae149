"""Reader of the published BG60k, BG1k and BG-pair sets (arXiv 2312.13309, section 4.2).

Layout: ``bg60k_info.txt`` (image name, category name), images in ``bg60k_imgs_<i>/`` and masks in
``bg60k_masks_<i>/``; likewise ``bg1k``; ``bgpair_info.txt`` (image name, reference name, category name).
What the publication leaves unstated (text encoding, separator, mask names, what bright marks) is detected on
a sample and reported with its evidence. The sets are for academic use, which every record's ``licence``
repeats; they cannot be shipped with this package.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, cast, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclorama.config import Settings
from cyclorama.data.columns import MaskMeans
from cyclorama.data.decode import get_used_alpha, open_image
from cyclorama.data.folders import is_image_name
from cyclorama.data.records import DataRecord, RejectedRow
from cyclorama.errors import DataError

T = TypeVar("T")
Subset = Literal["bg60k", "bg1k", "bgpair"]
LICENCE = "BG60k, academic use only"
SEPARATORS = {"\t": "tab", "|": "bar", ",": "comma", ";": "semicolon", " ": "space"}
MASK_PATTERNS = tuple(
    f"{{stem}}{tail}.{suffix}"
    for suffix in ("png", "jpg", "jpeg", "webp", "bmp")
    for tail in ("", "_mask", "-mask")
)
POLARITY_MARGIN = 0.1
"""Least difference of mean level (0 to 1) between centre and border for a mask to count as evidence."""
POLARITY_AGREEMENT = 0.8
"""Least share of the counting masks that must agree."""
SAMPLE_LINES, SAMPLE_MASKS = 2000, 64
"""Lines looked at for separator and mask names; masks opened for their polarity."""
_FileIndex = dict[str, list[Path]]
"""File name, and file name without suffix -> the files of that name."""


class Bg60kSettings(Settings):
    """What to take as given instead of detecting it (None = detect)."""

    encoding: str | None = None
    separator: str | None = None
    mask_pattern: str | None = None
    """File name of a mask, with ``{stem}`` for the image's name without suffix: ``{stem}_mask.png``."""
    mask_means: MaskMeans | None = None


class Detected(NamedTuple):
    """A detected value and why it was taken for that."""

    value: str
    evidence: str


class PublishedSet(NamedTuple):
    """Records and rejected lines of an info file (together: every line), and by what evidence it was read."""

    info_file: Path
    records: list[DataRecord]
    rejected: list[RejectedRow]
    encoding: Detected
    separator: Detected
    mask_pattern: Detected
    mask_means: Detected
    category_script: Detected
    image_folders: tuple[str, ...]
    mask_folders: tuple[str, ...]

    def describe(self) -> str:
        """One line per finding, with its evidence."""
        suffixes = Counter(Path(str(record.image)).suffix.lower() for record in self.records)
        images = ", ".join(f"{count} {suffix}" for suffix, count in sorted(suffixes.items()))
        reasons = Counter(str(row.values["kind"]) for row in self.rejected)
        return (
            f"{self.info_file}: {len(self.records) + len(self.rejected)} lines, {len(self.records)} records, "
            f"{len({record.category for record in self.records})} categories\n"
            f"  text encoding: {self.encoding.value} ({self.encoding.evidence})\n"
            f"  separator: {self.separator.value!r} ({self.separator.evidence})\n"
            f"  mask names: {self.mask_pattern.value} ({self.mask_pattern.evidence})\n"
            f"  mask means: {self.mask_means.value} ({self.mask_means.evidence})\n"
            f"  category names: {self.category_script.value} ({self.category_script.evidence})\n"
            f"  images in {', '.join(self.image_folders)}: {images}\n"
            f"  masks in {', '.join(self.mask_folders)}\n"
            f"  left out: {reasons['image']} without image, {reasons['mask']} without mask, "
            f"{reasons['line']} unreadable lines"
        )


def load_bg60k(
    folder: str | Path, subset: Subset = "bg60k", settings: Bg60kSettings | None = None
) -> PublishedSet:
    """The records of one published set, the lines that gave none, and what was detected.

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
    separator, pattern, means = _detect_layout(files, lines, settings, str(info))
    records: list[DataRecord] = []
    rejected: list[RejectedRow] = []
    taken: dict[str, int] = {}
    for number, text in lines:
        found = _read_line(subset, files, text, separator.value, pattern.value)
        if isinstance(found, DataRecord) and found.id in taken:
            found = "line", f"repeats line {taken[found.id]}"
        if isinstance(found, DataRecord):
            taken[found.id] = number
            records.append(replace(found, mask_means=cast(MaskMeans, means.value)))
        else:
            rejected.append(RejectedRow(number, found[1], {"line": text, "kind": found[0]}))
    categories = sorted({record.category or "" for record in records})
    folders = (
        tuple(sorted({path.relative_to(folder).parts[0] for paths in index.values() for path in paths}))
        for index in (files.images, files.masks)
    )
    chinese = sum(any("\u4e00" <= char <= "\u9fff" for char in name) for name in categories)
    value = "latin" if chinese == 0 else "chinese" if chinese == len(categories) else "mixed"
    script = Detected(value, f"{chinese} of {len(categories)} category names hold Chinese characters")
    return PublishedSet(info, records, rejected, encoding, separator, pattern, means, script, *folders)


class _Files(NamedTuple):
    images: _FileIndex
    masks: _FileIndex
    references: _FileIndex | None
    reference_masks: _FileIndex
    fields: int


def _index_set(folder: Path, subset: Subset) -> _Files:
    """Images in ``{subset}_imgs/`` and ``{subset}_imgs_<i>/``, at any depth as archives unpack; masks, too.

    References of ``bgpair``: the first place that has a name wins.
    """
    own, others = [], []
    for kind in ("imgs", "masks"):
        stem = f"{subset}_{kind}"
        own.append(_index_tree(folder, rf"{stem}(_\d.*)?"))
        if not own[-1]:
            packed = sorted(p.name for p in folder.iterdir() if p.is_file() and p.name.startswith(stem))
            hint = f"; unpack {packed[0]} first" if packed else ""
            raise DataError(f"no images in {folder / stem}/ or {folder / stem}_<i>/{hint}")
        if subset == "bgpair":
            others.append(_index_tree(folder, rf"bg60k_{kind}.*") | _index_tree(folder, rf"bg1k_{kind}.*"))
    images, masks = own
    if not others:
        return _Files(images, masks, None, {}, 2)
    references = others[0] | _index_tree(folder, "bgpair_ref.*") | images
    return _Files(images, masks, references, others[1] | masks, 3)


def _index_tree(folder: Path, pattern: str) -> _FileIndex:
    index: _FileIndex = {}
    for place in sorted(p for p in folder.iterdir() if p.is_dir() and re.fullmatch(pattern, p.name)):
        for path in sorted(place.rglob("*")):
            if is_image_name(path.name) and not path.name.startswith("."):
                for name in (path.name, path.stem):
                    index.setdefault(name, []).append(path)
    return index


def _find_file(index: _FileIndex, name: str) -> Path | None:
    paths = index.get(name, [])
    if len(paths) > 1:
        raise DataError(f"file name {name!r} is ambiguous: {', '.join(map(str, paths[:3]))}")
    return paths[0] if paths else None


def _read_lines(info: Path, settings: Bg60kSettings) -> tuple[Detected, list[tuple[int, str]]]:
    try:
        data = info.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {info}: {error.strerror or error}") from error
    given = settings.encoding
    encoding = Detected(given, "setting") if given is not None else detect_encoding(data, str(info))
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
    files: _Files, lines: Sequence[tuple[int, str]], settings: Bg60kSettings, where: str
) -> tuple[Detected, Detected, Detected]:
    """Separator, mask names, and what bright marks in a mask."""
    texts = [text for _, text in _spread(lines, SAMPLE_LINES)]
    known = files.images.keys() | (files.references or {}).keys()
    separator, pattern, means = (
        None if given is None else Detected(given, "setting")
        for given in (settings.separator, settings.mask_pattern, settings.mask_means)
    )
    separator = separator or detect_separator(texts, files.fields, known.__contains__, where)
    cells = [split_line(text, separator.value, files.fields) for text in texts]
    names = [line[0] for line in cells if line is not None]
    stems = [Path(name).stem if name in files.images and Path(name).suffix else name for name in names]
    stems = [stem for stem in stems if stem in files.images]
    if not stems:
        raise DataError(
            f"{where}: no line names an image that exists under the separator {separator.value!r}"
        )
    pattern = pattern or _detect_mask_pattern(stems, files.masks, where)
    if means is None:
        found = [files.masks.get(pattern.value.format(stem=stem), [None])[0] for stem in stems]
        paths = [path for path in found if path is not None]
        if not paths:
            raise DataError(f"{where}: no masks named {pattern.value!r}; give the setting 'mask_pattern'")
        masks = [open_image(path.read_bytes(), str(path)) for path in _spread(paths, SAMPLE_MASKS)]
        means = detect_mask_means(masks, where)
    return separator, pattern, means


def _read_line(
    subset: Subset, files: _Files, text: str, separator: str, pattern: str
) -> DataRecord | tuple[str, str]:
    """The record of a line, or (kind, reason) why there is none."""
    cells = split_line(text, separator, files.fields)
    if cells is None:
        return "line", f"does not hold {files.fields} fields"
    image = _find_file(files.images, cells[0])
    if image is None:
        return "image", f"no image {cells[0]!r}"
    name = product = f"{subset}/{image.stem}"
    reference = reference_mask = None
    if files.references is not None:
        reference = _find_file(files.references, cells[1])
        if reference is None:
            return "image", f"no reference {cells[1]!r}"
        name = f"{product}-{reference.stem}"
        reference_mask = _find_file(files.reference_masks, pattern.format(stem=reference.stem))
    mask = _find_file(files.masks, pattern.format(stem=image.stem))
    if mask is None:
        return "mask", f"no mask {pattern.format(stem=image.stem)!r}"
    labels: dict[str, Any] = {"category": cells[-1], "product_id": product, "licence": LICENCE}
    return DataRecord(name, image, mask, reference=reference, reference_mask=reference_mask, **labels)


def _spread(items: Sequence[T], count: int) -> list[T]:
    """At most ``count`` items, evenly spread over the sequence."""
    return list(items[:: max(1, len(items) // count)])[:count]


def detect_encoding(data: bytes, where: str) -> Detected:
    """``utf-8``, ``utf-8-sig`` or ``gb18030``. Raises DataError for any other."""
    if data.startswith(codecs.BOM_UTF8):
        return Detected("utf-8-sig", "byte-order mark")
    for codec, evidence in (("utf-8", "valid UTF-8"), ("gb18030", "not UTF-8, valid GB18030")):
        try:
            data.decode(codec)
            return Detected(codec, "plain ASCII" if data.isascii() else evidence)
        except UnicodeDecodeError:
            continue
    raise DataError(f"{where}: text is neither UTF-8 nor GB18030; name it with the setting 'encoding'")


def split_line(line: str, separator: str, fields: int) -> list[str] | None:
    """The ``fields`` cells of a line (the last one, the category, may hold separators), or None."""
    cells = [cell.strip() for cell in line.split(separator, fields - 1)]
    return cells if len(cells) == fields and all(cells) else None


def detect_separator(
    lines: Sequence[str], fields: int, is_name: Callable[[str], bool], where: str
) -> Detected:
    """The separator under which most lines begin with known image names and end with a category."""
    scores: dict[str, int] = {}
    for separator in SEPARATORS:
        cells = [split_line(line, separator, fields) for line in lines]
        scores[separator] = sum(c is not None and all(map(is_name, c[: fields - 1])) for c in cells)
    score = max(scores.values())
    best = [separator for separator in SEPARATORS if scores[separator] == score]
    if score == 0:
        names = " ".join(["image", "reference"][: fields - 1]) + " category"
        raise DataError(
            f"{where}: no line reads as '{names}' with an image that exists; first line: {lines[0][:80]!r}. "
            "Check that the archives are unpacked beside it, or give the setting 'separator'."
        )
    listed = ", ".join(SEPARATORS[name] for name in best)
    if len(best) > 1:
        raise DataError(f"{where}: separator may be any of {listed}; give the setting 'separator'")
    return Detected(best[0], f"{score} of {len(lines)} sampled lines name existing images under {listed}")


def _detect_mask_pattern(stems: Sequence[str], masks: _FileIndex, where: str) -> Detected:
    """How a mask is called after its image's stem, such as ``{stem}_mask.png``."""
    scores = {p: sum(p.format(stem=stem) in masks for stem in stems) for p in MASK_PATTERNS}
    best = max(scores, key=lambda pattern: scores[pattern])
    if scores[best] == 0:
        raise DataError(
            f"{where}: no mask found for {stems[0]!r} under any of {', '.join(MASK_PATTERNS)}; "
            "give the setting 'mask_pattern'"
        )
    return Detected(best, f"{scores[best]} of {len(stems)} sampled images have such a mask")


def detect_mask_means(masks: Sequence[Image.Image], where: str) -> Detected:
    """``product`` or ``background`` (what bright marks), or ``alpha`` (opaque = product).

    A used alpha channel in most masks settles the channel. Polarity is voted on by comparing the
    middle third of each mask with its outermost ring: products stand in the middle. Fewer than 80 %
    agreeing votes, or votes from fewer than a quarter of the masks, are ambiguous.

    Raises DataError: ambiguous, an alpha channel that is opaque outside the product, colour images
    without an alpha channel instead of masks.
    """
    alphas = [alpha for mask in masks if (alpha := get_used_alpha(mask)) is not None]
    by_alpha = len(alphas) * 2 > len(masks)
    if not by_alpha and sum(map(_is_colourful, masks)) * 2 > len(masks):
        raise DataError(
            f"{where}: masks are colour images without an alpha channel, so nothing marks the product"
        )
    votes = [_vote(level) for level in (alphas if by_alpha else [mask.convert("L") for mask in masks])]
    bright, dark = votes.count(1), votes.count(-1)
    decided = bright + dark
    evidence = (
        f"by {'alpha' if by_alpha else 'grey level'}: {bright} of {len(votes)} masks are brighter in the "
        f"middle than at the border, {dark} darker, {len(votes) - decided} undecided"
    )
    if decided * 4 < len(votes) or max(bright, dark) < POLARITY_AGREEMENT * decided:
        raise DataError(
            f"{where}: mask polarity is ambiguous ({evidence}); look at a mask and give the setting "
            "'mask_means' as 'product', 'background' or 'alpha' (what bright, or opaque, marks)"
        )
    if by_alpha and dark > bright:
        raise DataError(
            f"{where}: masks are transparent in the middle ({evidence}), so their alpha does not mark "
            "the product; give the setting 'mask_means'"
        )
    return Detected("alpha" if by_alpha else "product" if bright > dark else "background", evidence)


def _is_colourful(mask: Image.Image) -> bool:
    if mask.mode not in ("RGB", "RGBA"):
        return False
    return bool((np.ptp(np.asarray(mask.convert("RGB")), axis=2) > 24).mean() > 0.02)


def _vote(mask: Image.Image) -> int:
    """1 where the middle is clearly brighter than the ring, -1 where darker, 0 otherwise."""
    level: npt.NDArray[np.float64] = np.asarray(mask, dtype=np.float64) / 255
    height, width = level.shape
    if min(height, width) < 3:
        return 0
    middle = level[height // 3 : height - height // 3, width // 3 : width - width // 3].mean()
    ring = max(1, min(height, width) // 32)
    inner = level[ring : height - ring, ring : width - ring]
    border = (level.sum() - inner.sum()) / (level.size - inner.size)
    difference = float(middle - border)
    return 0 if abs(difference) < POLARITY_MARGIN else (1 if difference > 0 else -1)
