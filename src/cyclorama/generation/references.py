"""References, decoded once for all products that follow them: kept by content, not by path."""

from __future__ import annotations

import threading
from collections import OrderedDict

from cyclorama.generation.plan import PlanRow
from cyclorama.generation.steps import RowFiles
from cyclorama.imaging.product import Reference

CAPACITY = 1 << 30
"""Bytes of decoded references kept."""


class ReferenceCache:
    """The references used last, up to a number of bytes. Equal contents give one and the same object."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[tuple[str, ...], Reference] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self.decoded = 0
        """How many have been decoded."""

    def load(self, row: PlanRow, files: RowFiles) -> Reference | None:
        """The reference of ``row``, or None. Raises the errors of loader and masks."""
        if "reference" not in files.paths:
            return None
        key = (
            files.digests["reference"],
            files.digests.get("reference_mask", ""),
            (row.mask_means or "") if "reference_mask" in files.paths else "",
        )
        with self._lock:  # held while decoding, so that one brand's first batch decodes its reference once
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            mask = files.paths.get("reference_mask")
            reference = Reference.from_image(files.paths["reference"], mask, mask_means=row.mask_means)
            self.decoded += 1
            self._kept[key] = reference
            self._bytes += _count_bytes(reference)
            while self._bytes > self._capacity and len(self._kept) > 1:
                _, old = self._kept.popitem(last=False)
                self._bytes -= _count_bytes(old)
            return reference


def _count_bytes(reference: Reference) -> int:
    mask = reference.product_mask
    return int(reference.pixels.nbytes) + (0 if mask is None else int(mask.nbytes))
