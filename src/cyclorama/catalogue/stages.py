"""The steps of one row outside the model: look at its files, cut the product out, finish and stage its
images.

Every step is a function of plain arguments, so that it can run in a thread, a process or on another machine.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from cyclorama.catalogue.inputs import FILES
from cyclorama.catalogue.job import Toolkit
from cyclorama.catalogue.manifest import is_remote, open_remote
from cyclorama.catalogue.plan import Plan, PlanRow
from cyclorama.errors import ManifestError, UnreadableImageError
from cyclorama.files import refuse, write_atomic
from cyclorama.generation.items import Item
from cyclorama.generation.journal import compute_key
from cyclorama.generation.plan import check_canvas, read_size
from cyclorama.generation.result import Generated
from cyclorama.generation.settings import GenerateConfig
from cyclorama.generation.sources import SourceLoader
from cyclorama.imaging.product import Product, Reference
from cyclorama.types import Size

_KEY_FORMAT = 1


@dataclass(frozen=True)
class RowFiles:
    """A row's files on this machine, with what is known of them before decoding."""

    paths: Mapping[str, Path]
    """Column to file."""
    digests: Mapping[str, str]
    """Column to sha256 of the file."""
    size: Size
    """(height, width) of the input, upright, from its header."""
    key: str
    """Digest of contents and settings: equal keys, equal images."""


def inspect_row(
    plan: Plan, row: PlanRow, run_values: dict[str, Any], scratch: Path, settings: GenerateConfig
) -> RowFiles:
    """The files of ``row``, fetched into ``scratch`` if they are elsewhere, hashed, the header read.

    Raises the named errors of the loader for what the header already shows, and SettingsError for a canvas
    that the format asked for cannot hold.
    """
    paths, digests = {}, {}
    for column in FILES:
        address = plan.resolve(getattr(row, column))
        if address is None:
            continue
        path = _fetch(address, scratch) if is_remote(address) else Path(address)
        paths[column] = path
        digests[column] = _hash_shared(path, _stamp(path)) if "reference" in column else hash_file(path)
    size = read_size(paths["image"])
    for layout in settings.build_layouts():
        check_canvas(layout.compute_size(size), settings)
    if "reference" in paths:
        _read_shared_size(paths["reference"], _stamp(paths["reference"]))
    values = run_values | {
        "format": _KEY_FORMAT,
        "files": digests,
        "mask_means": row.mask_means,
        "category": [row.category, row.identifier],
        "name": row.name,
        "output": row.output,
        "seed": row.seed,
    }
    return RowFiles(paths, digests, size, compute_key(values))


def load_product(row: PlanRow, files: RowFiles, cutout: str | None) -> tuple[Product, float]:
    """The product, decoded and cut out, and the seconds that took. Raises the errors of loader and masks."""
    start = time.perf_counter()
    item = Item(
        name=row.name,
        image=files.paths["image"],
        mask=files.paths.get("mask"),
        mask_means=row.mask_means,  # type: ignore[arg-type]
    )
    product, _ = SourceLoader(build_network(cutout)).load(item)
    return product, time.perf_counter() - start


@lru_cache(1)
def build_network(name: str | None) -> Any:
    """The cut-out network called ``name``, one per process, or None. Raises MissingDependencyError."""
    if name is None:
        return None
    from cyclorama.imaging.cutout import RembgNetwork

    return RembgNetwork(name)


def finish_image(
    made: Generated,
    product: Product,
    reference: Reference | None,
    recipe: dict[str, Any],
    toolkit: Toolkit,
    target: Path,
) -> dict[str, Any]:
    """Judge, encode and stage one image at ``target`` plus its suffixes; its entry as plain values.

    Raises OutputError.
    """
    start = time.perf_counter()
    verdict = None if toolkit.gate is None else toolkit.gate(made, product, reference)
    files = []
    encoded = toolkit.encoder(made, product, recipe)
    measured = toolkit.encoder.measure(encoded, product)
    for suffix, data in encoded.items():
        staged = target.with_name(target.name + suffix)
        write_atomic(staged, data)
        digest = hashlib.sha256(data).hexdigest()
        files.append({"staged": staged.name, "suffix": suffix, "bytes": len(data), "sha256": digest})
    height, width = made.pixels.shape[:2]
    return {
        "seed": made.seed,
        "files": files,
        "height": height,
        "width": width,
        "mask_source": product.mask_source,
        "report": made.report.describe() | measured,
        "verdict": None if verdict is None else asdict(verdict),
        "finish_seconds": time.perf_counter() - start,
    }


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes. Raises UnreadableImageError."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise UnreadableImageError(
            f"cannot read {path}: {error.strerror}; check the path and its rights"
        ) from error
    return digest.hexdigest()


@lru_cache(4096)
def _hash_shared(path: Path, stamp: tuple[int, int]) -> str:
    return hash_file(path)


@lru_cache(4096)
def _read_shared_size(path: Path, stamp: tuple[int, int]) -> Size:
    return read_size(path)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise UnreadableImageError(
            f"cannot read {path}: {error.strerror}; check the path and its rights"
        ) from error
    return found.st_size, found.st_mtime_ns


def _fetch(address: str, scratch: Path) -> Path:
    """A remote file's copy in ``scratch``, fetched once."""
    name = PurePosixPath(address.partition("?")[0]).name
    path = scratch / f"{hashlib.blake2b(address.encode(), digest_size=8).hexdigest()}-{name[-80:]}"
    if path.exists():
        return path
    part = path.with_name(f"{path.name}.{threading.get_ident()}.part")
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        with open_remote(address) as stream, part.open("wb") as copy:
            shutil.copyfileobj(stream, copy, 1 << 20)
        part.replace(path)
    except (OSError, ManifestError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise refuse(path, error) from error
        raise UnreadableImageError(
            f"cannot fetch {address}: {error}; check the address and the network"
        ) from error
    return path
