"""Records turned into shard samples: any manifest or published set becomes WebDataset shards."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

from PIL import Image

from cyclorama.data.decode import open_image, read_mask
from cyclorama.data.records import DataRecord, read_place
from cyclorama.data.shards import Sample
from cyclorama.errors import DataError

_STORED = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}
_ORIENTATION = 0x0112


def encode_samples(records: Iterable[DataRecord]) -> Iterator[Sample]:
    """One sample per record, in order, with keys made from the ids ("a/b.c" becomes "a_b_c").

    RGB files that need no rotation keep their bytes; all others become PNG. Masks become mode L,
    255 = product, whatever they meant before.

    Raises DataError: unreadable file, or a record without a mask.
    """
    taken: set[str] = set()
    for record in records:
        stem = re.sub(r"[./\s\x00-\x1f]", "_", record.id) or "image"
        key, count = stem, 1
        while key in taken:
            count += 1
            key = f"{stem}-{count}"
        taken.add(key)
        yield _encode(record, key)


def _encode(record: DataRecord, key: str) -> Sample:
    where = f"record {record.id!r}"
    try:
        data = read_place(record.image)
        mask_data = None if record.mask is None else read_place(record.mask)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    if mask_data is None and record.mask_means != "alpha":
        raise DataError(f"{where}: no mask; shards hold one for every image")
    image = open_image(data, where)
    marks = image if mask_data is None else open_image(mask_data, f"{where} (mask)")
    mask = read_mask(marks, record.mask_means, where)
    suffix = _stored_suffix(data)
    meta: dict[str, Any] = {
        "id": record.id,
        "category": record.category,
        "brand": record.brand,
        "product_id": record.product_id or record.id,
        "seed": record.seed,
        "split": record.split,
        "licence": record.licence,
    }
    meta.update({name: value for name, value in record.extra.items() if name not in meta})
    return Sample(
        key=key,
        image=data if suffix else _encode_png(image.convert("RGB")),
        mask=_encode_png(mask),
        meta=meta,
        image_suffix=suffix or "png",
    )


def _stored_suffix(data: bytes) -> str | None:
    """The member suffix under which the bytes can stay as they are, or None if they must be rewritten."""
    with Image.open(io.BytesIO(data)) as image:
        if image.mode != "RGB" or image.getexif().get(_ORIENTATION, 1) != 1:
            return None
        return _STORED.get(image.format or "")


def _encode_png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
