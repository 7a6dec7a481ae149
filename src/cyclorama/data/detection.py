"""What a published set leaves unstated, found by looking: text encoding, separator, mask name, mask polarity.

Every function returns a finding together with its evidence in words, or raises DataError naming the
setting that decides the matter by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclorama.errors import DataError

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


@dataclass(frozen=True)
class Detected:
    """A detected value and why it was taken for that."""

    value: str
    evidence: str


def detect_encoding(data: bytes, where: str) -> Detected:
    """``utf-8``, ``utf-8-sig`` or ``gb18030``."""
    if data.startswith(b"\xef\xbb\xbf"):
        return Detected("utf-8-sig", "byte-order mark")
    try:
        text = data.decode("utf-8")
        return Detected("utf-8", "plain ASCII" if text.isascii() else "valid UTF-8")
    except UnicodeDecodeError:
        pass
    try:
        data.decode("gb18030")
        return Detected("gb18030", "not UTF-8, valid GB18030")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: text is neither UTF-8 nor GB18030; name it with the setting 'encoding'"
        ) from error


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
    best = max(scores, key=lambda separator: scores[separator])
    rivals = [name for name in SEPARATORS if name != best and scores[name] == scores[best]]
    names = " ".join(["image", "reference"][: fields - 1]) + " category"
    if scores[best] == 0:
        raise DataError(
            f"{where}: no line reads as '{names}' with an image that exists; first line: {lines[0][:80]!r}. "
            "Check that the archives are unpacked beside it, or give the setting 'separator'."
        )
    if rivals:
        listed = ", ".join(SEPARATORS[name] for name in (best, *rivals))
        raise DataError(f"{where}: separator may be any of {listed}; give the setting 'separator'")
    return Detected(
        best, f"{scores[best]} of {len(lines)} sampled lines name existing images under {SEPARATORS[best]}"
    )


def detect_mask_pattern(stems: Sequence[str], is_mask: Callable[[str], bool], where: str) -> Detected:
    """How a mask is called after its image's stem, such as ``{stem}_mask.png``."""
    scores = {p: sum(is_mask(p.format(stem=stem)) for stem in stems) for p in MASK_PATTERNS}
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
    used = [_has_used_alpha(mask) for mask in masks]
    by_alpha = sum(used) * 2 > len(masks)
    if not by_alpha and sum(map(_is_colourful, masks)) * 2 > len(masks):
        raise DataError(
            f"{where}: masks are colour images without an alpha channel, so nothing marks the product"
        )
    levels = [
        np.asarray(mask.getchannel("A") if by_alpha else mask.convert("L"), dtype=np.float64) / 255
        for mask, has_alpha in zip(masks, used, strict=True)
        if has_alpha or not by_alpha
    ]
    votes = [_vote(level) for level in levels]
    bright, dark = votes.count(1), votes.count(-1)
    decided = bright + dark
    channel = "alpha" if by_alpha else "grey level"
    evidence = (
        f"by {channel}: {bright} of {len(levels)} masks are brighter in the middle than at the border, "
        f"{dark} darker, {len(levels) - decided} undecided"
    )
    if decided * 4 < len(levels) or max(bright, dark) < POLARITY_AGREEMENT * decided:
        raise DataError(
            f"{where}: mask polarity is ambiguous ({evidence}); look at a mask and give the setting "
            "'mask_means' as 'product', 'background' or 'alpha' (what bright, or opaque, marks)"
        )
    if by_alpha:
        if dark > bright:
            raise DataError(
                f"{where}: masks are transparent in the middle ({evidence}), so their alpha does not mark "
                "the product; give the setting 'mask_means'"
            )
        return Detected("alpha", evidence)
    return Detected("product" if bright > dark else "background", evidence)


def detect_script(names: Sequence[str]) -> Detected:
    """``latin``, ``chinese`` or ``mixed``: the script of the category names."""
    chinese = sum(any("\u4e00" <= char <= "\u9fff" for char in name) for name in names)
    value = "latin" if chinese == 0 else "chinese" if chinese == len(names) else "mixed"
    return Detected(value, f"{chinese} of {len(names)} category names hold Chinese characters")


def _has_used_alpha(mask: Image.Image) -> bool:
    if mask.mode not in ("RGBA", "LA"):
        return False
    lowest, highest = mask.getchannel("A").getextrema()
    return lowest != highest


def _is_colourful(mask: Image.Image) -> bool:
    if mask.mode not in ("RGB", "RGBA"):
        return False
    values = np.asarray(mask.convert("RGB"), dtype=np.int16)
    return bool((values.max(axis=2) - values.min(axis=2) > 24).mean() > 0.02)


def _vote(level: npt.NDArray[np.float64]) -> int:
    """1 where the middle is clearly brighter than the ring, -1 where darker, 0 otherwise."""
    height, width = level.shape
    if min(height, width) < 3:
        return 0
    middle = level[height // 3 : height - height // 3, width // 3 : width - width // 3].mean()
    ring = max(1, min(height, width) // 32)
    inner = level[ring : height - ring, ring : width - ring]
    border = (level.sum() - inner.sum()) / (level.size - inner.size)
    difference = float(middle - border)
    return 0 if abs(difference) < POLARITY_MARGIN else (1 if difference > 0 else -1)
