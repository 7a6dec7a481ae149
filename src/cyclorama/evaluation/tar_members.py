"""Where in a tar does each member lie, so that an image is one seek and one read?"""

from __future__ import annotations

import tarfile
from pathlib import Path

from cyclorama.errors import DataError

Span = tuple[Path, int, int]
"""(shard, offset, size) of a member's content."""


def list_members(shard: Path) -> dict[str, dict[str, Span]]:
    """key -> suffix -> span of every file in ``shard``, names cut at the first dot, as WebDataset does.

    Raises DataError for a tar that is truncated or none.
    """
    found: dict[str, dict[str, Span]] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                if member.isfile():
                    folder, _, base = member.name.rpartition("/")
                    stem, _, suffix = base.partition(".")
                    key = f"{folder}/{stem}" if folder else stem
                    found.setdefault(key, {})[suffix.lower()] = (shard, member.offset_data, member.size)
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"{shard} is truncated or no tar: {error}; write it anew") from error
    return found


def read_span(shard: Path, offset: int, size: int) -> bytes:
    """The bytes of one member. Raises DataError if the shard has shrunk or gone."""
    try:
        with shard.open("rb") as stream:
            stream.seek(offset)
            data = stream.read(size)
    except OSError as error:
        raise DataError(f"cannot read {shard}: {error.strerror or error}") from error
    if len(data) != size:
        raise DataError(f"{shard} is cut off: {len(data)} of {size} bytes at {offset}; write it anew")
    return data
