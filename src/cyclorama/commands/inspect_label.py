"""``cyclorama inspect label``: people say what is wrong with posters; the answers are kept for inspectors
that learn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from cyclorama.curate.review import (
    FILE_NAME,
    IMAGE_FOLDER,
    Decision,
    Review,
    ReviewImage,
    ReviewItem,
    load_log,
    save_review_items,
)

TYPES = (
    "floating",
    "sunk",
    "size",
    "indistinct",
    "cropped",
    "unreadable",
    "text_on_product",
    "crowded",
    "unsuitable",
    "extension",
)
"""What may be wrong, by its key on the page, 1 to 0: the checks' faults that an eye can see, a product that
is torn or cut already in its photo (``unsuitable``), and a background that goes on as the product
(``extension``)."""
RESULTS = "labels.jsonl"


def label(
    place: Path,
    /,
    *,
    out: Path,
    host: str = "127.0.0.1",
    port: int = 8610,
    hosts: tuple[str, ...] = (),
) -> int:
    """Serve a page on which people label posters with what is wrong with them.

    Each person sees neither the checks' verdict nor what others said. Ctrl-C ends: DIR/labels.jsonl then has
    a row per poster and person with what the checks say beside it, and for every type how far two people
    agree (Cohen's kappa) is printed.

    Parameters
    ----------
    place
        A folder of posters as `cyclorama poster` wrote it.
    out
        Folder for images, answers and labels.jsonl; the same one goes on.
    host
        Address to listen at; the default is this machine only.
    port
        Port, 0 for any.
    hosts
        Names by which the server is reached, beside this machine's own.
    """
    from cyclorama.commands.serve import NEEDS_SERVE
    from cyclorama.errors import import_optional

    import_optional("fastapi", NEEDS_SERVE)
    from cyclorama.service.site import SiteServer

    write_items(place, out)
    found = Review(out)
    server = SiteServer(found.site, host, port, hosts)
    print(f"{found.count} posters to label at {server.address}; Ctrl-C ends", flush=True)
    try:
        server.serve()
    finally:
        for line in write_labels(place, out):
            print(line)
    return 0


def write_items(place: Path, out: Path) -> None:
    """The page's list and images of all posters in ``place``. Raises SettingsError, OutputError."""
    import hashlib

    import numpy as np
    from PIL import Image

    from cyclorama.curate.reviewing import encode_evidence
    from cyclorama.files import write_atomic
    from cyclorama.layout.elements import ENDING
    from cyclorama.posters.inspection import list_records

    items = []
    for record in list_records(place):
        image = record.with_name(record.name.removesuffix(ENDING) + ".png")
        name = _get_name(record, place)
        with Image.open(image) as opened:
            data = encode_evidence(np.asarray(opened.convert("RGB")), (), 1024)
        path = f"{IMAGE_FOLDER}/{hashlib.sha256(data).hexdigest()[:32]}.jpg"
        write_atomic(out / path, data, durable=False)
        items.append(ReviewItem(name, "poster", name, (ReviewImage(path, "the poster"),), (), labels=TYPES))
    save_review_items(out, items)


def write_labels(place: Path, out: Path) -> list[str]:
    """Write labels.jsonl, a row per poster and person: ``name``, ``who``, ``when``, ``accepted``, ``types``,
    ``note``, and of the checks ``faults`` and ``values``; sentences about it."""
    from cyclorama.files import write_atomic
    from cyclorama.posters.inspection import list_records
    from cyclorama.posters.record import read_record

    log = load_log(out / FILE_NAME)
    said = {(one.key, one.who): one for one, undone in log if undone is None}
    verdicts = {_get_name(path, place): read_record(path).verdict for path in list_records(place)}
    rows = [
        {
            "name": one.key,
            "who": one.who,
            "when": one.when,
            "accepted": one.choice == "accept",
            "types": _get_types(one),
            "note": one.reason,
            "faults": verdicts[one.key].faults,
            "values": verdicts[one.key].values,
        }
        for one in said.values()
        if one.key in verdicts
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomic(out / RESULTS, lines.encode())
    people = sorted({who for _, who in said})
    found = [f"{len(rows)} labels of {len(people)} people in {out / RESULTS}"]
    for one, other in combinations(people, 2):
        both = [key for key, who in said if who == one and (key, other) in said]
        for kind in TYPES:
            pairs = [
                (kind in _get_types(said[key, one]), kind in _get_types(said[key, other])) for key in both
            ]
            if any(map(any, pairs)):
                found.append(
                    f"{one} and {other}, {len(both)} posters, {kind}: kappa {compute_kappa(pairs):.2f}"
                )
    return found


def compute_kappa(pairs: Sequence[tuple[bool, bool]]) -> float:
    """Cohen's kappa of two people's answers (1960): 1 where they always agree, 0 as by chance."""
    agreed = sum(one == other for one, other in pairs) / len(pairs)
    first, second = (sum(side) / len(pairs) for side in zip(*pairs, strict=True))
    chance = first * second + (1 - first) * (1 - second)
    return 1.0 if chance == 1 else (agreed - chance) / (1 - chance)


def _get_name(record: Path, place: Path) -> str:
    from cyclorama.layout.elements import ENDING

    return record.relative_to(place if place.is_dir() else place.parent).as_posix().removesuffix(ENDING)


def _get_types(decision: Decision) -> list[str]:
    return [one for one in TYPES if one in decision.labels.split(",")]
