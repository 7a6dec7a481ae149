"""``cyclorama lab pack``: a rendered set made small enough to travel, for training on another machine."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclorama.scenes.items import RenderedItem


def pack(rendered: Path, /, *, out: Path, quality: int = 92) -> int:
    """Store a set's images as WebP, an eighth of their size; training reads the result as it reads the set.

    Masks keep every level. What is packed already of the same shard at that quality stays, so that a growing
    set is packed step by step.

    Parameters
    ----------
    rendered
        Folder that `cyclorama lab render` made; its finished shards are taken.
    out
        Folder for the packed shards.
    quality
        Quality of the WebP images, 1 to 100.
    """
    from cyclorama.errors import DataError, OutputError, SettingsError
    from cyclorama.files import check_output_folder
    from cyclorama.scenes.shards import is_done, list_finished, read_shard, save_shard

    if not 1 <= quality <= 100:
        raise SettingsError(f"--quality is {quality}; give 1 to 100")
    check_output_folder(out)
    shards = list_finished(rendered)
    if not shards:
        raise DataError(f"{rendered} holds no finished shard; make a set with `cyclorama lab render`")
    foreign = sorted({path.name for path in list_finished(out)} - {path.name for path in shards})
    if foreign:
        raise OutputError(f"{out} holds {foreign[0]}, which {rendered} has not; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    packed = before = after = 0
    for path in shards:
        number, items = int(path.stem.removeprefix("shard-")), list(read_shard(path))
        with path.open("rb") as file:
            source = f"{hashlib.file_digest(file, 'sha256').hexdigest()} at {quality}"
        if not is_done(out, number, len(items), source):
            save_shard(out, number, [_shrink(item, quality) for item in items], source)
            packed += 1
        before += path.stat().st_size
        after += (out / path.name).stat().st_size
    print(
        f"{packed} of {len(shards)} shards packed, {before / 1e6:.1f} MB in {after / 1e6:.1f} MB; see {out}"
    )
    return 0


def _shrink(item: RenderedItem, quality: int) -> RenderedItem:
    """The item with its PNG members as WebP: images at ``quality``, masks and other planes without loss."""
    import io
    from dataclasses import replace

    from PIL import Image

    members = {}
    for name, data in item.members.items():
        image, out = Image.open(io.BytesIO(data)), io.BytesIO()
        if image.mode not in ("RGB", "RGBA", "L"):  # numbers of parts
            members[name] = data
            continue
        image.save(out, "WEBP", quality=quality, lossless=image.mode != "RGB", exact=True)
        members[f"{name.removesuffix('png')}webp"] = out.getvalue()
    return replace(item, members=members)
