"""What a run puts before people: doubtful images with the evidence drawn in, and proposed pairs."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cyclorama.curate.config import CurateConfig
from cyclorama.curate.records import Box, RuleImage, Verdict
from cyclorama.curate.review import (
    IMAGE_FOLDER,
    Choice,
    Decision,
    ReviewImage,
    ReviewItem,
    find_pair,
    save_review_items,
)
from cyclorama.curate.settling import (
    JudgedRow,
    build_review_item,
    format_time,
    get_layers_after,
    list_against,
)
from cyclorama.curate.splits import BGPAIR, PairProposal, build_proposal, propose_pairs
from cyclorama.curate.store import FROM_FILE, CurateStore, ImageCache
from cyclorama.errors import DataError, InputError
from cyclorama.files import write_atomic
from cyclorama.jobs.store import encode_lines
from cyclorama.types import Pixels

_COLOURS = ("#e6194b", "#0082c8", "#f58231", "#3cb44b", "#911eb4")
"""Of the boxes, by the order in which their labels come."""
_QUALITY = 85


def encode_evidence(pixels: Pixels, boxes: Sequence[Box], side: int = 768) -> bytes:
    """A JPEG of ``pixels`` (H, W, 3), at most ``side`` long, with ``boxes`` and their labels drawn in.

    Boxes are in pixels of the full size. Equal input gives equal bytes.
    """
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    scale_x, scale_y = image.width / pixels.shape[1], image.height / pixels.shape[0]
    draw = ImageDraw.Draw(image)
    width = max(2, round(max(image.size) / 200))
    font = ImageFont.load_default(size=max(10, width * 5))
    labels = list(dict.fromkeys(box.label for box in boxes))
    for box in boxes:
        colour = _COLOURS[labels.index(box.label) % len(_COLOURS)]
        left, top = box.left * scale_x, box.top * scale_y
        right = max(left + 1, box.right * scale_x - 1)
        bottom = max(top + 1, box.bottom * scale_y - 1)
        draw.rectangle((left, top, right, bottom), outline="white", width=width + 2)
        draw.rectangle((left, top, right, bottom), outline=colour, width=width)
        text = f"{box.label} {box.score:.2f}"
        _, _, text_width, text_height = draw.textbbox((0, 0), text, font=font)
        x = min(max(0.0, left), max(0.0, image.width - text_width - 4))
        y = top - text_height - 4 if top > text_height + 4 else top + width
        draw.rectangle((x, y, x + text_width + 4, y + text_height + 4), fill=colour)
        draw.text((x + 2, y + 1), text, fill="white", font=font)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


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
    items = []
    for row in rows:
        if row.digest and (row.verdict == Verdict.REVIEW or row.decision is not None):
            items.append(build_review_item(row))
            _write_evidence(store.out, items[-1], row, cache)
    wanted = {image.path for item in items for image in item.images}
    pairs = _write_pairs(store, rows, config, decisions, set_keys)
    for item, members in pairs:
        wanted |= {image.path for image in item.images}
        for image, place in zip(item.images, members, strict=True):
            path, row = store.out / image.path, rows[place]
            loaded = None if path.is_file() else _try_load(row, row.layers, cache)
            if loaded is not None:
                write_atomic(path, encode_evidence(loaded.pixels, ()), durable=False)
    for path in (store.out / IMAGE_FOLDER).glob("*"):
        if f"{IMAGE_FOLDER}/{path.name}" not in wanted:
            path.unlink(missing_ok=True)
    save_review_items(store.out, [*items, *(item for item, _ in pairs)])


def draw_evidence(
    row: JudgedRow, cache: ImageCache, place: int | None = None, side: int = REVIEW_SIDE
) -> bytes | None:
    """A JPEG of what the finding at ``place`` saw with its boxes (None: the row as it came, with all boxes).

    None if the file cannot be read.
    """
    layers = FROM_FILE if place is None else row.seen[place] or FROM_FILE
    places = list_against(row) if place is None else [place]
    if place is None:
        places = [p for p in places if row.seen[p].get("pixels", "file") == "file"]
    boxes = [box for p in places for box in row.findings[p].boxes]
    loaded = _try_load(row, layers | {"mask": "none"}, cache)
    return None if loaded is None else encode_evidence(loaded.pixels, boxes, side)


def _write_evidence(out: Path, item: ReviewItem, row: JudgedRow, cache: ImageCache) -> None:
    for image in item.images:
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
    """Write the pairs with what people said of them; the review's items with their rows' places."""
    places = {row.record.key: place for place, row in enumerate(rows)}
    items, lines = [], []
    for proposal, decision in _propose(rows, config, decisions):
        product, reference = (places[key] for key in (proposal.product_key, proposal.reference_key))
        line: dict[str, object] = {
            "product": set_keys[product],
            "reference": set_keys[reference],
            "product_key": proposal.product_key,
            "reference_key": proposal.reference_key,
            "product_id": rows[product].record.product_id,
            "reference_product_id": rows[reference].record.product_id,
            "category": rows[product].category,
            "reason": proposal.reason,
            "state": "proposed",
        }
        if decision is not None:
            line |= {"state": f"{decision.choice}ed", "decided_by": decision.who}
            line["decided_at"] = format_time(decision.when)
        items.append((_build_item(proposal, rows[product], rows[reference]), (product, reference)))
        lines.append(line)
    write_atomic(store.out / PAIRS_FILE, encode_lines(lines))
    return items


def _propose(
    rows: Sequence[JudgedRow], config: CurateConfig, decisions: Mapping[str, Decision]
) -> list[tuple[PairProposal, Decision | None]]:
    """Pairs in the order of their products: those that people decided about, with what they said, and new."""
    aside = {row.record.key: row for row in rows if row.is_kept and row.split == BGPAIR}
    summaries = {key: row.summary for key, row in aside.items() if row.summary is not None}
    if config.pairs is None or not summaries:
        return []
    found: list[tuple[PairProposal, Decision | None]] = []
    decided: dict[tuple[str, str], Choice] = {}
    for decision in decisions.values():
        pair = find_pair(decision.key, summaries)
        if pair is None:
            continue
        product, reference = (aside[key] for key in pair)
        both = summaries[pair[0]], summaries[pair[1]]
        proposal = build_proposal(*both, (product.category, reference.category))
        if proposal is None:
            continue
        if decision.basis in ("", _build_item(proposal, product, reference).basis):
            found.append((proposal, decision))
            decided[pair] = decision.choice
    categories = [aside[key].category for key in summaries]
    found.sort(key=lambda one: one[0].reference_key)
    found += [(new, None) for new in propose_pairs([*summaries.values()], categories, config.pairs, decided)]
    return sorted(found, key=lambda one: one[0].product_key)


def _build_item(proposal: PairProposal, product: JudgedRow, reference: JudgedRow) -> ReviewItem:
    images = tuple(
        ReviewImage(f"{IMAGE_FOLDER}/{row.state[:32]}.jpg", label)
        for row, label in ((product, "product"), (reference, "reference"))
    )
    title = f"{proposal.product_key} in the style of {proposal.reference_key}"
    return ReviewItem(proposal.key, "pair", title, images, (proposal.reason,), proposal.numbers)
