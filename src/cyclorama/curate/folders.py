"""What does a plain folder of images say about them?

Beside ``cup.jpg`` may stand its mask (``cup.mask.png`` or ``cup_mask.png``; or ``masks/cup.png`` beside
``images/cup.jpg``) and what is known about it (``cup.json``). An unpacked shard of ours is such a folder.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

from cyclorama.curate.files import list_files, read_bytes, resolve
from cyclorama.data.schema import IMAGE_SUFFIXES
from cyclorama.errors import DataError

MASK_ENDINGS = (".mask", "_mask", "-mask")
IMAGE_FOLDERS = ("images", "imgs", "images", "ori_imgs")
_LARGEST_NOTE = 2**20


def read_folder(address: str, folder_category: bool) -> list[dict[str, Any]]:
    """The cells of one row per image below ``address``, in the order of their paths."""
    files = list(list_files(address))
    known = set(files)
    folders = {str(parent) for name in files for parent in PurePosixPath(name).parents}
    images = [name for name in files if _is_image(name, folders)]
    rows = []
    for name in images:
        path = PurePosixPath(name)
        row: dict[str, Any] = {}
        note = str(path.with_suffix(".json"))
        if note in known:
            row |= _read_note(resolve(address, note))
        row |= {"image": resolve(address, name), "key": row.get("id") or name}
        row.pop("id", None)
        mask = next((m for m in _list_masks(path) if m in known), None)
        if mask is not None:
            row["mask"] = resolve(address, mask)
        if folder_category and "category" not in row and path.parent.name not in ("", *IMAGE_FOLDERS):
            row["category"] = path.parent.name
        rows.append(row)
    return rows


def _is_image(name: str, folders: set[str]) -> bool:
    path = PurePosixPath(name)
    if path.suffix.lower() not in IMAGE_SUFFIXES or path.stem.lower().endswith(MASK_ENDINGS):
        return False
    return not any(
        parent.name == "masks" and any(str(parent.with_name(other)) in folders for other in IMAGE_FOLDERS)
        for parent in path.parents
        if parent.name
    )


def _list_masks(path: PurePosixPath) -> list[str]:
    """Where the mask of the image at ``path`` may lie."""
    stem, parts = path.stem, path.parts
    found = [str(path.with_name(f"{stem}{ending}.png")) for ending in MASK_ENDINGS]
    for place, part in enumerate(parts[:-1]):
        if part in IMAGE_FOLDERS:
            other = PurePosixPath(*parts[:place], "masks", *parts[place + 1 :])
            found += [str(other), str(other.with_suffix(".png")), str(other.with_name(f"{stem}_mask.png"))]
    return found


def _read_note(address: str) -> dict[str, Any]:
    """What the JSON file beside an image says; nothing if it is no JSON object."""
    try:
        values = json.loads(read_bytes(address, _LARGEST_NOTE))
    except (DataError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
