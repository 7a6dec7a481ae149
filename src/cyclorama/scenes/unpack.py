"""How does a set become single files?  Folders of images and the table ``cyclorama generate`` takes."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from cyclorama.files import write_atomic
from cyclorama.scenes.compose import derive
from cyclorama.scenes.shards import StoredItem, read_items

MANIFEST_NAME = "manifest.csv"

FOLDERS = {
    "png": "truth",
    "mask.png": "mask",
    "product.png": "product",
    "reference.png": "reference",
    "reference_mask.png": "reference_mask",
}
"""The folder of each member of a shard's item."""

COLUMNS = (
    "id",
    "image",
    "mask",
    "mask_means",
    "category",
    "brand",
    "product_id",
    "reference",
    "reference_mask",
    "seed",
    "split",
    "licence",
    "truth",
    "product",
    "reference_product_id",
    "scene_id",
)


def unpack_set(folder: Path) -> int:
    """Write the finished shards' images as ``{truth,mask,...}/{key}.png``, then the table; the items.

    Files that are there already stay as they are.  ``image`` is the image to take the product from: for
    pairs the product in neutral light, which tells nothing of the true scene; else the truth itself, as
    with a photo.  ``mask`` fits both.  ``seed`` depends on the item alone.

    Raises:
        OutputError: if the folder cannot be written.
    """
    rows = []
    for item in read_items(folder):
        for member, data in item.members.items():
            path = folder / _name_file(item, member)
            if not path.exists():  # if it is there, it is whole: it was written in one step
                write_atomic(path, data)
        rows.append(_describe_row(item))
    columns = [name for name in COLUMNS if any(row.get(name) for row in rows)]
    text = io.StringIO()
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_atomic(folder / MANIFEST_NAME, text.getvalue().encode())
    return len(rows)


def _name_file(item: StoredItem, member: str) -> str:
    return f"{FOLDERS[member]}/{item.key}.png"


def _describe_row(item: StoredItem) -> dict[str, str]:
    files = {FOLDERS[member]: _name_file(item, member) for member in item.members}
    known = {name: value for name in COLUMNS if (value := item.metadata.get(name)) is not None}
    return {
        **known,
        **files,
        "image": files["product"] if "reference" in files else files["truth"],
        "mask_means": "product",
        "seed": str(derive("generate", item.key)),
    }
