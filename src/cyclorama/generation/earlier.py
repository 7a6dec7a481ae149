"""What has an earlier run left in the output folder, and what would the next one write over or leave behind?

Only shards that are not finished under the new plan are looked at, and inputs are compared only where another
input's run wants the path of an image that is there: by their address, else by their content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from cyclorama.data.addresses import read_bytes
from cyclorama.errors import CycloramaError, OutputError
from cyclorama.generation.items import ItemSource
from cyclorama.generation.job import ImageRun
from cyclorama.generation.plan import load_plan
from cyclorama.generation.results import list_images
from cyclorama.jobs.store import ShardStore


class Left(NamedTuple):
    """The row that an earlier run's image belongs to."""

    stem: str
    content: str | None
    """Digest of its input."""


def find_left(store: ShardStore, shards: Iterable[int]) -> dict[str, Left]:
    """The images of all rows that are known of ``shards``, by address below the output folder."""
    rows = (row for shard in shards for row in store.read_rows(shard))
    return {i["output"]: Left(row["stem"], row["content_sha256"]) for row in rows for i in list_images(row)}


def compare_left(
    job: ImageRun, store: ShardStore, left: dict[str, Left], finished: set[int], source: object
) -> str:
    """A note of the images in ``left`` that stay on the disk but in no row of the job's plan; empty for none.

    ``finished``: shards of the plan that need no work. Raises OutputError if the earlier run had another
    input than ``source`` and an image of it would be replaced by one of another file.
    """
    places = {_find_place(address) for address in left}
    places = {place for place in places if (store.out / place).exists()}
    if not places:
        return ""
    planned, inputs, plan = set[str](), dict[str, str](), job.plan
    for shard in set(range(len(plan.keys))) - finished:
        columns = (plan.read_column(shard, name) for name in ("output", "image", "error"))
        for row, (stem, image, error) in enumerate(zip(*columns, strict=True), shard * plan.shard_size):
            if error is None:
                inputs[stem] = image
                planned.update(places.intersection(map(_find_place, job.locate_images(shard, row, stem))))
    earlier = store.load_values().get("source")
    if earlier and isinstance(source, ItemSource) and earlier != source.address:
        _refuse_others(job, store, {a: i for a, i in left.items() if _find_place(a) in planned}, inputs)
    staying = [place for address in left if (place := _find_place(address)) in places - planned]
    if not staying:
        return ""
    folders = " and ".join(sorted({f"{place.partition('/')[0]}/" for place in staying}))
    if len(staying) == 1:
        return f"1 image of earlier rows is no longer part of this run; it stays in {folders}"
    return f"{len(staying)} images of earlier rows are no longer part of this run; they stay in {folders}"


def _refuse_others(job: ImageRun, store: ShardStore, going: dict[str, Left], inputs: dict[str, str]) -> None:
    """Raise OutputError if an image in ``going`` is of another file than the one to come in its place."""
    stems = {row.stem for row in going.values()}
    known: dict[str, str] = {}
    with suppress(OutputError, OSError, ValueError):  # no plan, or a torn one: contents tell
        before = load_plan(store.plan_folder)
        for shard in range(len(before.keys)):
            columns = (before.read_column(shard, name) for name in ("output", "image"))
            known.update(pair for pair in zip(*columns, strict=True) if pair[0] in stems)
    for address, (stem, content) in going.items():
        image = inputs.get(stem)
        if image is not None and (image == known.get(stem) or _hash(job, image) in (None, content)):
            continue
        raise OutputError(
            f"this run would replace {store.out / address}, an image of another input, "
            f"{store.load_values()['source']}; choose another --out, or give --overwrite"
        )


def _find_place(address: str) -> str:
    """The file that an image lies in: itself or its tar."""
    return address.partition(":")[0]


def _hash(job: ImageRun, image: str) -> str | None:
    """The digest of a file as rows state it; None for one that cannot be read and so replaces nothing."""
    try:
        return hashlib.sha256(read_bytes(image, urls=job.config.urls)).hexdigest()
    except (CycloramaError, OSError):
        return None
