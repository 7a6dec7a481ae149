"""Posters of a job, made by a worker with the steps of ``cyclorama poster``.

All languages of a canvas are made at once, since they share its background; each is published by its own
claim.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from cyclorama.errors import FontFileError, UnknownIdError
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.shard import RowState
from cyclorama.generation.task import Model
from cyclorama.imaging.product import Product, Reference
from cyclorama.posters.canvases import read_canvas
from cyclorama.posters.files import Poster
from cyclorama.posters.maker import PosterMaker, PosterSettings
from cyclorama.posters.words import PosterBrand, check_wordings
from cyclorama.service.blobs import Blobs
from cyclorama.service.leases import Claim
from cyclorama.service.posters import write_files
from cyclorama.typography.fonts import find_faces

KEPT = 2
"""Canvases whose other languages wait for their own claims."""


class PosterPress:
    """Makes posters with a loaded model; several threads may ask, the model works in one."""

    def __init__(self, model: Model, handle: ModelHandle, blobs: Blobs, thread: Executor) -> None:
        """``thread``: the model's own."""
        self._model, self._handle, self._blobs, self._thread = model, handle, blobs, thread
        self._made: OrderedDict[tuple[str, int, int], Future[dict[str, Poster]]] = OrderedDict()
        self._lock = threading.Lock()

    def make(
        self, claim: Claim, row: RowState, product: Product, reference: Reference | None
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """What is to be said of the claim's poster, and the blobs of its files by kind.

        Raises CycloramaError: settings, layout, words that no font has or that do not fit.
        """
        start, spot = time.perf_counter(), (claim.job, claim.item, claim.output)
        with self._lock:
            if spot not in self._made:
                self._made[spot] = self._thread.submit(self._draw, claim, row, product, reference)
            future = self._made[spot]
            self._made.move_to_end(spot)
            while len(self._made) > KEPT:
                self._made.popitem(last=False)
        try:
            posters = future.result()
        except BaseException:
            with self._lock:
                self._made.pop(spot, None)  # another try may not meet it
            raise
        poster = list(posters.values())[claim.candidate - 1]
        with tempfile.TemporaryDirectory() as folder:
            stated, paths = write_files(poster, Path(folder))
            files = {kind: self._keep(path) for kind, path in paths.items()}
        if "logo" in claim.digests:
            files["logo"] = claim.digests["logo"]
        stated |= {
            "identifier": row.find_category(product).identifier,
            "mask_source": product.mask_source,
            "mask_confidence": product.mask_confidence,
            "sha256": files["file"],
            "seconds": time.perf_counter() - start,
        }
        return stated, files

    def _keep(self, path: Path) -> str:
        with path.open("rb") as file:
            return self._blobs.put_file(file)

    def _draw(
        self, claim: Claim, row: RowState, product: Product, reference: Reference | None
    ) -> dict[str, Poster]:
        """The posters of a canvas, by language."""
        order: Mapping[str, Any] = claim.request["poster"]
        paths = {} if row.files is None else row.files.paths
        if order["logo"] is not None and "logo" not in paths:
            raise UnknownIdError(f"logo: asset {order['logo']} was deleted; upload it again")
        brand = PosterBrand(
            accent=order["accent"],
            fonts=_choose_fonts(order["fonts"]),
            logo=paths.get("logo"),
            logo_corner=order["logo_corner"],
            avoid=tuple(order["avoid"]),
            style=paths.get("style"),
        )
        settings = PosterSettings(
            plans=order["plans"],
            attempts=order["attempts"],
            preset=claim.request["settings"].get("preset", "fast"),
        )
        maker = PosterMaker(self._model, self._handle, brand, settings)
        item = claim.request["items"][claim.item]
        seed = claim.request["seed"] if item.get("seed") is None else item["seed"]
        category = self._handle.registry.resolve(row.find_category(product).name)
        canvas = read_canvas(order["sizes"][claim.output])
        return maker.make(product, category, check_wordings(order["texts"]), canvas, seed, reference)


def _choose_fonts(family: str) -> tuple[str, ...]:
    """The family, and this machine's fonts for letters that it has not."""
    try:
        find_faces((family, "system"), 400)
    except FontFileError:  # there are none
        return (family,)
    return family, "system"
