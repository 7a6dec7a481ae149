"""How does a run become files that survive a kill?  Tar shards, done marks written last, and single files."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from cyclorama.errors import OutputError
from cyclorama.files import write_atomic
from cyclorama.scenes.compose import derive
from cyclorama.scenes.items import (
    RenderConfig,
    RenderedItem,
    render_held_out_item,
    render_item,
    render_poster_item,
)

CONFIG_NAME = "config.json"
MANIFEST_NAME = "manifest.csv"

FOLDERS = {
    "png": "truth",
    "mask.png": "mask",
    "product.png": "product",
    "reference.png": "reference",
    "reference_mask.png": "reference_mask",
    "parts.png": "parts",
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
    "parts",
)


def shard_path(folder: Path, number: int) -> Path:
    """Where shard ``number`` lies."""
    return folder / f"shard-{number:06d}.tar"


def done_path(folder: Path, number: int) -> Path:
    """Where the done mark of shard ``number`` lies."""
    return folder / f"shard-{number:06d}.done.json"


def claim_folder(folder: Path, wanted: dict[str, object]) -> None:
    """Make ``folder`` this run's own, with ``wanted`` as its config.

    Raises:
        OutputError: if it holds a run with another config.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder}: {error.strerror}; choose another --out"
        ) from error
    path = folder / CONFIG_NAME
    if path.exists():
        try:
            found = dict(json.loads(path.read_text()))
        except ValueError as error:
            raise OutputError(f"{path} is not a run's config; choose another --out") from error
        if found != wanted:
            keys = sorted(k for k in {*found, *wanted} if found.get(k) != wanted.get(k))
            changes = "; ".join(f"{k}: {found.get(k)!r} there, {wanted.get(k)!r} asked" for k in keys)
            raise OutputError(f"{folder} holds a run with another config ({changes}); choose another --out")
        return
    if any(folder.glob("shard-*.tar")):
        raise OutputError(f"{folder} holds shards but no {CONFIG_NAME}; choose another --out")
    write_atomic(path, json.dumps(wanted, indent=1, sort_keys=True).encode())


def pack_items(items: list[RenderedItem]) -> bytes:
    """A tar file of the items; the same items give the same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for item in items:
            text = json.dumps(item.metadata, sort_keys=True).encode()
            for ending, data in (*item.members.items(), ("json", text)):
                header = tarfile.TarInfo(f"{item.key}.{ending}")
                header.size, header.mode = len(data), 0o644
                tar.addfile(header, io.BytesIO(data))
    return out.getvalue()


def is_done(folder: Path, number: int, count: int, source: str | None = None) -> bool:
    """Whether shard ``number`` is complete with ``count`` items of ``source`` and its bytes are those of its
    done mark."""
    mark, path = done_path(folder, number), shard_path(folder, number)
    if not mark.exists() or not path.exists():
        return False
    try:
        said = json.loads(mark.read_text())
        return bool(
            said["count"] == count
            and said.get("source") == source
            and said["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        )
    except (ValueError, KeyError, TypeError):
        return False


def write_shard(
    folder: Path, config: RenderConfig, number: int, count: int, on_item: Callable[[], None] | None = None
) -> None:
    """Render and write shard ``number`` with its first ``count`` items, then its done mark."""
    render = {"train": render_item, "general": render_item, "poster": render_poster_item}.get(
        config.kind, render_held_out_item
    )
    items = []
    for index in range(number * config.shard_size, number * config.shard_size + count):
        items.append(render(config, index))
        if on_item is not None:
            on_item()
    save_shard(folder, number, items)


def save_shard(folder: Path, number: int, items: list[RenderedItem], source: str | None = None) -> None:
    """Write shard ``number`` of ``items``, then its done mark, with what they were made of."""
    data = pack_items(items)
    done_path(folder, number).unlink(missing_ok=True)
    write_atomic(shard_path(folder, number), data)
    mark: dict[str, object] = {"count": len(items), "sha256": hashlib.sha256(data).hexdigest()}
    if source is not None:
        mark["source"] = source
    write_atomic(done_path(folder, number), json.dumps(mark, sort_keys=True).encode())


def list_finished(folder: Path) -> list[Path]:
    """The finished shards in ``folder``, in order."""
    return [
        mark.with_name(mark.name.replace(".done.json", ".tar"))
        for mark in sorted(folder.glob("shard-*.done.json"))
    ]


def read_shard(path: Path) -> Iterator[RenderedItem]:
    """The items of a shard, in order."""
    members: dict[str, bytes] = {}
    with tarfile.open(path) as tar:
        for header in tar:
            key, _, name = header.name.partition(".")
            file = tar.extractfile(header)
            assert file is not None
            members[name] = file.read()
            if name == "json":  # an item's last member
                metadata = json.loads(members.pop("json"))
                yield RenderedItem(key, metadata, members)
                members = {}


def read_items(folder: Path) -> Iterator[RenderedItem]:
    """All items of the finished shards in ``folder``, in order."""
    for path in list_finished(folder):
        yield from read_shard(path)


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
        files = {FOLDERS[member]: f"{FOLDERS[member]}/{item.key}.png" for member in item.members}
        for name, data in zip(files.values(), item.members.values(), strict=True):
            if not (folder / name).exists():  # if it is there, it is whole: it was written in one step
                write_atomic(folder / name, data)
        row = {name: value for name in COLUMNS if (value := item.metadata.get(name)) is not None}
        row |= {"mask_means": "product", "seed": str(derive("generate", item.key)), **files}
        rows.append({**row, "image": files["product" if "reference" in files else "truth"]})
    columns = [name for name in COLUMNS if any(row.get(name) for row in rows)]
    text = io.StringIO()
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_atomic(folder / MANIFEST_NAME, text.getvalue().encode())
    return len(rows)
