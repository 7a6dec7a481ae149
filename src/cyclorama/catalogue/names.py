"""Which file names do a million inputs get? The answer of ``generate``, column by column.

:func:`cyclorama.generation.names.build_image_names` is the rule; here it is applied to whole Arrow columns,
and called only for the few names that are unusual or get into each other's way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cyclorama.generation.names import build_image_names, split_name

_ODD = r'[<>:"|?*\x00-\x1f\\]|//|^/|/$|(^|/)\.|[ .](/|$)'
"""Names that need more than cutting off the suffix."""
_LONGEST = 150
"""Longer names, in bytes, may need shortening."""
_SUFFIX = r"^(?P<stem>.*)\.(?P<suffix>[^./]+)$"


def build_stems(names: pa.Array) -> pa.Array:
    """For each input name, its images' path without suffix and candidate (``shoes/a``).

    Invariant: ``stem + ".png"`` is what ``build_image_names`` gives for the same names.
    """
    if len(names) == 0:
        return names
    stems, suffixes = _split(names)
    folded = fold_case(stems)
    codes, kinds = _encode(folded), _encode(suffixes)
    first = np.empty(codes.max() + 1, dtype=kinds.dtype)
    first[codes[::-1]] = kinds[::-1]
    several = np.zeros(len(first), dtype=bool)
    several[codes[kinds != first[codes]]] = True
    keeps = pc.and_(pa.array(several[codes]), pc.not_equal(suffixes, ""))
    if pc.any(keeps).as_py():
        stems = pc.if_else(keeps, pc.binary_join_element_wise(stems, suffixes, "-"), stems)
        folded = fold_case(stems)
        codes = _encode(folded)
    if np.bincount(codes).max() == 1:
        return stems
    return _number(stems, codes)


def fold_case(names: pa.Array) -> pa.Array:
    """The names as a disk that ignores case sees them (``str.casefold``)."""
    lowered = pc.utf8_lower(names)
    unusual = np.flatnonzero(~pc.string_is_ascii(names).to_numpy(zero_copy_only=False))
    return _replace(lowered, unusual, [name.casefold() for name in names.take(pa.array(unusual)).to_pylist()])


def _split(names: pa.Array) -> tuple[pa.Array, pa.Array]:
    parts = pc.extract_regex(names, _SUFFIX)
    found = pc.is_valid(parts)
    stems = pc.if_else(found, pc.struct_field(parts, "stem"), names)
    suffixes = pc.utf8_lower(pc.if_else(found, pc.struct_field(parts, "suffix"), ""))
    odd = pc.or_(
        pc.or_(pc.match_substring_regex(names, _ODD), pc.greater(pc.binary_length(names), _LONGEST)),
        pc.equal(names, ""),
    )
    odd = pc.or_(odd, pc.invert(pc.string_is_ascii(suffixes)))
    where = np.flatnonzero(odd.to_numpy(zero_copy_only=False))
    if not len(where):
        return stems, suffixes
    pairs = [split_name(text) for text in names.take(pa.array(where)).to_pylist()]
    own_stems, own_suffixes = ([pair[side] for pair in pairs] for side in (0, 1))
    return _replace(stems, where, own_stems), _replace(suffixes, where, own_suffixes)


def _number(stems: pa.Array, codes: np.ndarray[Any, Any]) -> pa.Array:
    """The second image of a name gets ``-2``, and so on; names others hold are passed over."""
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.empty(len(codes), dtype=np.int64)
    rank[order] = np.arange(len(codes)) - starts[codes[order]]
    endings = pc.binary_join_element_wise("", pc.cast(pa.array(rank + 1), pa.string()), "-")
    numbered = pc.if_else(pa.array(rank == 0), stems, pc.binary_join_element_wise(stems, endings, ""))
    entangled = np.zeros(len(codes), dtype=bool)
    while True:
        taken = _encode(fold_case(numbered))
        crowded = (np.bincount(taken) > 1)[taken] & ~entangled
        if not crowded.any():
            return numbered
        groups = np.zeros(len(counts), dtype=bool)
        groups[codes[crowded]] = True
        entangled |= groups[codes]
        # Those in each other's way are settled by the rule itself; whom they push into joins the next round.
        where = np.flatnonzero(entangled)
        wanted = [f"{stem}.png" for stem in stems.take(pa.array(where)).to_pylist()]
        settled = [paths[0].removesuffix(".png") for paths in build_image_names(wanted)]
        numbered = _replace(numbered, where, settled)


def _encode(column: pa.Array) -> np.ndarray[Any, Any]:
    codes: np.ndarray[Any, Any] = column.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    return codes


def _replace(column: pa.Array, where: np.ndarray[Any, Any], values: list[str]) -> pa.Array:
    if not len(where):
        return column
    mask = np.zeros(len(column), dtype=bool)
    mask[where] = True
    return pc.replace_with_mask(column, pa.array(mask), pa.array(values, pa.string()))
