"""A claimed image, made with the steps of ``cyclorama generate``, so that equal inputs give equal bytes.

The model, its scenes and plates, references, and the products used last stay in memory between images.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cyclorama.errors import InputError, UnknownIdError
from cyclorama.generation.engine import draw_empty, sample_images
from cyclorama.generation.gate_settings import GateThresholds
from cyclorama.generation.job import ImageRun, ReferenceCache, RowFiles, load_product, read_size
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.plan import PlanRow
from cyclorama.generation.result import Generated, encode_files
from cyclorama.generation.rows import describe_recipe, prepare_image
from cyclorama.generation.scenes import fit_cutout
from cyclorama.generation.settings import GenerateConfig, RunConfig, RunSettings
from cyclorama.generation.shard import RowState
from cyclorama.generation.sheet import encode_thumbnail
from cyclorama.generation.task import Task
from cyclorama.imaging.compositing import apply_shadow, compute_contact_shadow
from cyclorama.imaging.formats import MEDIA_TYPES, decode_image
from cyclorama.imaging.layout import find_box
from cyclorama.imaging.product import Product
from cyclorama.imaging.recompose import CONTACT, Effect, crop_rgba, settle, to_rgba
from cyclorama.models.words import CategoryRules
from cyclorama.service.blobs import Blobs
from cyclorama.service.jobs import ASSETS
from cyclorama.service.leases import Claim
from cyclorama.service.photos import SHOWN
from cyclorama.service.poster_press import PosterPress
from cyclorama.types import Pixels

KEPT_PRODUCTS = 8
"""Decoded products that a worker keeps, for their other outputs and candidates."""


class StoppedError(Exception):
    """The image is no longer wanted."""


@dataclass
class Watch:
    """How one image is watched and stopped while it is made."""

    progress: Callable[[int, int], None] = lambda step, steps: None
    """Called with the step that is done, from 1, and the number of steps."""
    stopping: Callable[[], bool] = lambda: False
    """True once the image is no longer wanted."""
    preview: Callable[[bytes], None] | None = None
    """Called with a small WebP of a rendered set, before it is drawn."""


class Maker:
    """A loaded model; several threads may make images with it, which itself works in one."""

    def __init__(self, handle: ModelHandle, device: str, dtype: str, blobs: Blobs, folder: Path) -> None:
        """``folder``: for copies of files that lie elsewhere.

        Raises ModelError, SettingsError, MissingDependencyError.
        """
        self.handle, self.blobs, self.folder = handle, blobs, folder
        device, self._dtype = handle.choose_device(device, dtype)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cyclorama-model")
        self._model = self._thread.submit(handle.load, device, self._dtype).result()
        self._side = ThreadPoolExecutor(4, thread_name_prefix="cyclorama-side")
        self._references = ReferenceCache()
        self._posters = PosterPress(self._model, handle, blobs, self._thread)
        self._products: OrderedDict[tuple[str, int], Future[tuple[RowState, Product]]] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """End all threads."""
        self._thread.shutdown()
        self._side.shutdown()

    def make(self, claim: Claim, watch: Watch) -> tuple[dict[str, Any], dict[str, str]]:
        """What is to be said of the image, and the blobs of its files by kind.

        Raises CycloramaError, StoppedError, and whatever decoders raise.
        """
        start = time.perf_counter()
        row, product = self._load(claim)
        if claim.request.get("poster"):
            assert row.files is not None
            reference = self._references.load(row.plan, row.files)
            return self._posters.make(claim, row, product.derive(name=claim.name), reference)
        layout, candidate = claim.output, claim.candidate - 1
        values = (product, self._references, self._model.registry)
        task, placement = prepare_image(row, layout, candidate, *values)
        made, model_seconds = self._sample(row, task, watch)
        recipe = describe_recipe(row, layout, candidate, task.product)
        files, stated = self._finish(row, task, made, recipe)
        result = {
            "category": made.category,
            "identifier": made.identifier,
            "seed": made.seed,
            "height": made.pixels.shape[0],
            "width": made.pixels.shape[1],
            "mask_source": product.mask_source,
            "mask_confidence": product.mask_confidence,
            "style": made.style,
            "placement": placement,
            "recognised": row.recognition,
            "recipe": recipe,
            **stated,
            "model_seconds": model_seconds,
            "seconds": time.perf_counter() - start,
        }
        return result, files

    def take_apart(self, claim: Claim, watch: Watch) -> tuple[dict[str, Any], dict[str, str]]:
        """What is to be said of a finished image's parts, and their blobs (:mod:`cyclorama.service.parts`).

        Raises CycloramaError, StoppedError, and whatever decoders raise.
        """
        row, product = self._load(claim)
        settings = row.job.config.settings
        values = (product, self._references, self._model.registry)
        task, _ = prepare_image(row, claim.output, claim.candidate - 1, *values)
        if watch.stopping():
            raise StoppedError

        def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            return self._thread.submit(function, *args, **kwargs).result()

        empty = draw_empty(self._model, task, settings.replace(size="source"), call)
        standing, contact = task.product, settings.contact_shadow
        plate = decode_image(self.blobs.read(claim.files["plate"])).pixels
        lit = plate
        if contact:
            darkened = apply_shadow(plate, compute_contact_shadow(standing.matte, contact))
            lit = np.rint(darkened).astype(np.uint8)
        if empty is None:
            empty, effect, strength = plate, Effect.of_contact(standing.matte), contact / CONTACT
        else:
            empty = settle(empty, lit, standing.matte)
            effect, strength = Effect.between(empty, lit, standing.matte), 1.0
        drawn: dict[str, Any] = {
            "lit": lit,
            "empty": empty,
            "shadow": effect.shadow,
            "light": effect.light,
            "product": to_rgba(standing),
            "cut": crop_rgba(product),
        }
        encoded = {
            name: self._side.submit(self._keep, _encode_part, pixels, product.icc_profile)
            for name, pixels in drawn.items()
            if pixels is not None
        }
        placed = row.job.layouts[claim.output].compute_placement(product, task.category.share)
        box, own = (asdict(find_box(drawn[name][..., 3] / 255)) for name in ("product", "cut"))
        said = {
            "box": box,
            "lit_box": box,
            "scale": placed.scale,
            "photo_box": own,
            "shadow": strength,
            "lit_shadow": strength,
            "metadata": product.metadata,
        }
        return said, {name: digest.result() for name, digest in encoded.items()}

    def _sample(self, row: RowState, task: Task, watch: Watch) -> tuple[Generated, float]:
        """The image, and the seconds the model worked on it."""
        settings, spent = row.job.config.settings, 0.0

        def work(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            nonlocal spent
            if watch.stopping():
                raise StoppedError
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent += time.perf_counter() - start

        def look(pipeline: Any, step: int, timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
            if watch.stopping():
                raise StoppedError
            watch.progress(step + 1, settings.steps)
            return values

        def show(ground: Pixels) -> None:
            if watch.preview is not None:
                watch.preview(_encode_preview(ground, task.product))

        def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            if function is self._model:
                kwargs["callback_on_step_end"] = look
            elif watch.preview is not None and function == getattr(self._model, "draw", None):
                kwargs["look"] = show
            return self._thread.submit(work, function, *args, **kwargs).result()

        [made] = sample_images(self._model, [task], settings.replace(size="source"), 1, call)
        if isinstance(made, Exception):
            raise made
        return made, spent

    def _finish(
        self, row: RowState, task: Task, made: Generated, recipe: dict[str, Any]
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """The files, kept, and what is to be said of them."""
        settings, judge = row.job.config.settings, row.job.gate
        plate = self._side.submit(self._keep, _encode_part, made.background, made.icc_profile)
        small = self._side.submit(self._keep, encode_thumbnail, made.pixels, None, SHOWN)
        verdict = None if judge is None else judge(made, task.product, task.reference)
        values = (made.pixels, made.background, task.product, recipe, settings, made.empty)
        encoded, measured = encode_files(*values)
        kept = {suffix: self._side.submit(self.blobs.put, data) for suffix, data in encoded.items()}
        own = settings.encoding.suffix
        digests = {"file" if suffix == own else suffix: digest.result() for suffix, digest in kept.items()}
        files = digests | {"plate": plate.result(), "thumbnail": small.result()}
        said = verdict and {name: getattr(verdict, name) for name in ("passed", "score", "values", "reason")}
        return files, {
            "media_type": MEDIA_TYPES[settings.format],
            "suffix": own,
            "bytes": len(encoded[own]),
            "sha256": digests["file"],
            "report": made.report.describe() | measured,
            "verdict": said,
        }

    def _keep(self, encode: Callable[..., bytes], *values: Any) -> str:
        return self.blobs.put(encode(*values))

    def _load(self, claim: Claim) -> tuple[RowState, Product]:
        """The item's row and product, for all its images once. Raises the errors of loader and masks."""
        key = (claim.job, claim.item)
        with self._lock:
            known = key in self._products
            future = self._products.setdefault(key, Future())
            self._products.move_to_end(key)
            while len(self._products) > KEPT_PRODUCTS:
                self._products.popitem(last=False)
        if not known:
            try:
                future.set_result(self._load_anew(claim))
            except BaseException as error:
                future.set_exception(error)
                if not isinstance(error, InputError) or isinstance(error, UnknownIdError):  # may pass
                    self._products.pop(key, None)
        return future.result()

    def _load_anew(self, claim: Claim) -> tuple[RowState, Product]:
        item, config = claim.request["items"][claim.item], self._read_config(claim)
        for name in ASSETS:
            if item.get(name) is not None and name not in claim.digests:
                raise UnknownIdError(f"{name}: asset {item[name]} was deleted; upload it again")
        folder = self.folder / f"{os.getpid()}-{os.urandom(8).hex()}"
        paths = {name: self.blobs.fetch(digest, folder) for name, digest in claim.digests.items()}
        run = ImageRun(self.folder, config, self.handle)
        weakref.finalize(run, shutil.rmtree, folder, ignore_errors=True)  # once nobody makes images of it
        found = CategoryRules().choose(item.get("category"), self.handle.registry)
        row = PlanRow(
            row=claim.item,
            name=claim.name,
            id=None,
            image="",
            mask=None,
            reference=claim.titles.get("reference"),
            reference_mask=None,
            mask_means=item.get("mask_means"),
            seed=item.get("seed"),
            category_given=item.get("category"),
            category=None if found is None else found.category.name,
            identifier=None if found is None else found.category.identifier,
            category_source=None if found is None else found.source,
            category_match=None if found is None else found.matched,
            output="",
            key="",
            style=claim.titles.get("style"),
            backdrop=claim.titles.get("backdrop"),
        )
        size = read_size(paths["image"])
        for layout in run.layouts:
            config.settings.check_canvas(layout.compute_size(size))
        files = RowFiles(paths, claim.digests, size, "")
        product, _ = load_product(run, row, files)
        return RowState(row, run, 0, files), product

    def _read_config(self, claim: Claim) -> RunConfig:
        """The job's settings; a single product in a style of its own gets its set alone, as with the
        command."""
        request, values = claim.request, dict(claim.request["settings"])
        styled = {"style", "reference"} & set(claim.digests)
        if styled and len(request["items"]) == 1:
            values.setdefault("shared_sets", False)
        run = RunSettings(seed=request["seed"], dtype=self._dtype)  # type: ignore[arg-type]
        return RunConfig(GenerateConfig(**values), run, gate=GateThresholds() if request["gate"] else None)


def explain(error: Exception, claim: Claim) -> str:
    """What ``error`` says, with the names that files were uploaded by instead of their places here."""
    reason = str(error)
    for name, digest in claim.digests.items():
        title = claim.titles[name]
        reason = re.sub(rf"[^\s'\"]*{digest}", lambda found, title=title: title, reason)  # type: ignore[misc]
    return reason


def _encode_preview(ground: Pixels, product: Product) -> bytes:
    """A WebP of ``product`` on the small ``ground``."""
    cutout = fit_cutout(product, max(ground.shape[:2]))
    behind = np.asarray(Image.fromarray(ground).resize(cutout.canvas[::-1]), np.float32)
    mixed = behind + cutout.matte[..., None] * (cutout.foreground - behind)
    return encode_thumbnail(np.rint(mixed).astype(np.uint8))


def _encode_part(pixels: Any, icc_profile: bytes | None) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1, icc_profile=icc_profile)
    return buffer.getvalue()
