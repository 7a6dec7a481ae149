"""What a run puts before people: doubtful images with the evidence drawn in, and proposed pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cyclorama.curate.cache import FROM_FILE, ImageCache
from cyclorama.curate.config import CurateConfig
from cyclorama.curate.decisions import Decision
from cyclorama.curate.pairs import PairProposal, propose_pairs
from cyclorama.curate.records import RuleImage, Verdict
from cyclorama.curate.report_images import encode_evidence
from cyclorama.curate.review import IMAGE_FOLDER, ReviewImage, ReviewItem, save_review_items
from cyclorama.curate.settling import (
    JudgedRow,
    build_review_item,
    format_time,
    get_layers_after,
    list_against,
)
from cyclorama.curate.splits import BGPAIR
from cyclorama.curate.store import CurateStore
from cyclorama.errors import DataError, InputError
from cyclorama.files import write_atomic
from cyclorama.jobs.store import encode_lines

PAIRS_FILE = "pairs.jsonl"
REVIEW_SIDE = 768
"""Longest side, in pixels, of an image on the review page."""
_DIMMED = 0.25
"""Brightness of the background where a mask is shown."""


def write_review(
    store: CurateStore,
    cache: ImageCache,
    rows: Sequence[JudgedRow],
    config: CurateConfig,
    decisions: Mapping[str, Decision],
    set_keys: Mapping[int, str],
) -> None:
    """Write ``review.jsonl`` with its images, and ``pairs.jsonl`` with every pair and its state.

    Images that are there already are not made again. Raises OutputError.
    """
    items = [build_review_item(row) for row in rows if _is_for_review(row)]
    wanted = {image.path for item in items for image in item.images}
    for row in rows:
        if _is_for_review(row):
            _write_evidence(store.out, row, cache)
    pairs = _write_pairs(store, rows, config, decisions, set_keys)
    for item, members in pairs:
        wanted |= {image.path for image in item.images}
        for image, place in zip(item.images, members, strict=True):
            _write_plain(store.out / image.path, rows[place], cache)
    _remove_others(store.out / IMAGE_FOLDER, wanted)
    save_review_items(store.out, [*items, *(item for item, _ in pairs)])


def draw_evidence(
    row: JudgedRow, cache: ImageCache, place: int | None = None, side: int = REVIEW_SIDE
) -> bytes | None:
    """A JPEG of what the finding at ``place`` saw with its boxes (None: the row as it came, with all boxes).

    None if the file cannot be read.
    """
    if place is None:
        layers = FROM_FILE
        unchanged = [p for p in list_against(row) if row.seen[p].get("pixels", "file") == "file"]
        boxes = [box for p in unchanged for box in row.findings[p].boxes]
    else:
        layers = row.seen[place] or FROM_FILE
        boxes = list(row.findings[place].boxes)
    loaded = _try_load(row, layers | {"mask": "none"}, cache)
    return None if loaded is None else encode_evidence(loaded.pixels, boxes, side)


def _is_for_review(row: JudgedRow) -> bool:
    return bool(row.digest) and (row.verdict == Verdict.REVIEW or row.decision is not None)


def _write_evidence(out: Path, row: JudgedRow, cache: ImageCache) -> None:
    for image in build_review_item(row).images:
        path = out / image.path
        if path.is_file():
            continue
        _, _, kind = path.stem.partition("-")
        loaded = _try_load(row, get_layers_after(row), cache) if kind else None
        data = draw_evidence(row, cache) if not kind else None
        if loaded is not None and kind == "after":
            data = encode_evidence(loaded.pixels, (), REVIEW_SIDE)
        elif loaded is not None and loaded.mask is not None:
            shade = _DIMMED + (1 - _DIMMED) * loaded.mask[..., None]
            data = encode_evidence(np.rint(loaded.pixels * shade).astype(np.uint8), (), REVIEW_SIDE)
        if data is not None:
            write_atomic(path, data, durable=False)


def _write_plain(path: Path, row: JudgedRow, cache: ImageCache) -> None:
    if not path.is_file():
        loaded = _try_load(row, row.layers, cache)
        if loaded is not None:
            write_atomic(path, encode_evidence(loaded.pixels, ()), durable=False)


def _try_load(row: JudgedRow, layers: Mapping[str, str], cache: ImageCache) -> RuleImage | None:
    record = row.record if layers["mask"] == "file" else replace(row.record, mask=None)
    try:
        return cache.load_image(record, dict(layers))
    except (DataError, InputError, OSError):
        return None


def _write_pairs(
    store: CurateStore,
    rows: Sequence[JudgedRow],
    config: CurateConfig,
    decisions: Mapping[str, Decision],
    set_keys: Mapping[int, str],
) -> list[tuple[ReviewItem, tuple[int, int]]]:
    """Write the proposals with what people said of them; the review's items with their rows' places."""
    places = {row.record.key: place for place, row in enumerate(rows)}
    aside = [row for row in rows if row.is_kept and row.split == BGPAIR and row.summary is not None]
    proposals: list[PairProposal] = []
    if config.pairs is not None and aside:
        summaries = [row.summary for row in aside if row.summary is not None]
        proposals = propose_pairs(summaries, [row.category for row in aside], config.pairs)
    items, lines = [], []
    for proposal in proposals:
        product, reference = (places[key] for key in (proposal.product_key, proposal.reference_key))
        item = ReviewItem(
            proposal.key,
            "pair",
            f"{proposal.product_key} in the style of {proposal.reference_key}",
            tuple(
                ReviewImage(f"{IMAGE_FOLDER}/{rows[place].state[:32]}.jpg", label)
                for place, label in ((product, "product"), (reference, "reference"))
            ),
            (proposal.reason,),
            proposal.numbers,
        )
        decision = decisions.get(proposal.key)
        counts = decision is not None and decision.basis in ("", item.basis)
        line: dict[str, object] = {
            "product": set_keys[product],
            "reference": set_keys[reference],
            "product_id": proposal.product_key,
            "reference_id": proposal.reference_key,
            "category": rows[product].category,
            "reason": proposal.reason,
            "state": "proposed",
        }
        if counts and decision is not None:
            line |= {
                "state": f"{decision.choice}ed",
                "decided_by": decision.who,
                "decided_at": format_time(decision.when),
            }
        items.append((item, (product, reference)))
        lines.append(line)
    write_atomic(store.out / PAIRS_FILE, encode_lines(lines))
    return items


def _remove_others(folder: Path, wanted: Iterable[str]) -> None:
    names = {Path(path).name for path in wanted}
    for path in folder.glob("*"):
        if path.name not in names:
            path.unlink(missing_ok=True)
