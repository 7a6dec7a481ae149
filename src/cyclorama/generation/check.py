"""Before a run: what is wrong with its inputs (rows, categories, files, masks, duplicates, licences), and
what it would make, in which time, with how many bytes."""

from __future__ import annotations

import difflib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cyclorama.data.licences import is_restricted, is_stated
from cyclorama.errors import CycloramaError, ImageError, MaskError
from cyclorama.generation.batches import choose_batch_size, measure_job
from cyclorama.generation.items import Item, ItemSource
from cyclorama.generation.job import ImageRun, LoadModel, hash_file, read_size
from cyclorama.generation.model import ModelHandle, find_licence
from cyclorama.generation.plan import Plan, PlanRow, build_plan
from cyclorama.generation.result import encode_files
from cyclorama.generation.run import plan_job, settle_config
from cyclorama.generation.settings import GenerateConfig, RunConfig
from cyclorama.generation.worker import ImageJob
from cyclorama.imaging.compositing import composite
from cyclorama.imaging.cutout import find_matte
from cyclorama.imaging.loading import load_image
from cyclorama.imaging.masks import load_mask
from cyclorama.imaging.product import Product
from cyclorama.jobs.run import build_engine
from cyclorama.jobs.store import ShardStore
from cyclorama.scenes.items import LICENCE

SHOWN = 20
"""Examples of each fault in the report."""
_THREADS = 4


class _Faults(dict[str, dict[str, Any]]):
    """Error to how many rows have it, and the first of them."""

    def add(self, row: PlanRow, error: str, reason: str) -> None:
        fault = self.setdefault(error, {"count": 0, "examples": []})
        fault["count"] += 1
        if len(fault["examples"]) < SHOWN:
            fault["examples"].append({"row": row.row + 1, "name": row.name, "reason": reason})


def check_inputs(
    source: ItemSource,
    model: ModelHandle,
    settings: GenerateConfig | None = None,
    examine: int = 2000,
) -> dict[str, Any]:
    """The report as plain values; ``problems`` counts rows that would fail.

    All rows are looked up: cells, files, categories. The files of ``examine`` rows, evenly spread (0: of
    all), are opened: headers, masks (inverted, empty, too small a product), duplicates by content. Files
    elsewhere are not fetched: ``not_fetched`` counts them. Raises ManifestError, UnknownCategoryError
    (default or alias), SettingsError.
    """
    faults = _Faults()
    categories: Counter[tuple[str, str, str]] = Counter()
    unknown: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    settings, rules = settings or GenerateConfig(), source.settings.build_rules()

    def count_licences(folder: Path) -> Iterator[Item]:
        for item in source.iterate(folder / "embedded"):
            licences.update([item.licence] if item.licence else [])
            yield item

    with tempfile.TemporaryDirectory(prefix="cyclorama-check-") as scratch:
        plan = build_plan(count_licences(Path(scratch)), Path(scratch) / "plan", rules, model.registry, {})
        step = 1 if examine == 0 else max(1, plan.rows // examine)
        chosen: list[PlanRow] = []
        for row in plan.iterate():
            if row.failure is None:
                given = row.category_given or row.category_match or ""
                categories[given, row.category or "", row.category_source or ""] += 1
                if row.row % step == 0:
                    chosen.append(row)
                continue
            faults.add(row, row.failure.error, row.failure.reason)
            if row.failure.error == "UnknownCategoryError":
                unknown[row.category_given or ""] += 1
        opened = [row for row in chosen if _is_local(row.image)]
        duplicates = _examine(plan, opened, settings, model, faults)
    known = {other.lower(): c.name for c in model.registry.categories for other in (c.name, *c.aliases)}
    return {
        "input": source.name,
        "notes": source.notes,
        "rows": plan.rows,
        "examined": len(opened),
        "not_fetched": len(chosen) - len(opened),
        "problems": sum(fault["count"] for fault in faults.values()),
        "faults": dict(sorted(faults.items())),
        "categories": [
            {"given": given, "used": used, "source": how, "rows": count}
            for (given, used, how), count in categories.most_common()
        ],
        "unknown_categories": [
            {"given": name, "rows": count, "nearest": _find_nearest(name, known)}
            for name, count in unknown.most_common()
        ],
        "duplicates": duplicates,
        "model": _describe_licence(model.name, find_licence(model.folder) if model.learned else LICENCE),
        "data_licences": [
            _describe_licence(name, name) | {"rows": count} for name, count in licences.most_common()
        ],
    }


def format_report(report: Mapping[str, Any]) -> str:
    """``report`` as a plain text table."""
    looked = f"{report['rows']} rows, {report['problems']} of those looked at would fail; files of "
    looked += f"{report['examined']} rows opened"
    if report["not_fetched"]:
        looked += f", {report['not_fetched']} rows' files lie elsewhere and were not fetched"
    lines = [*report["notes"], looked, "", f"{'rows':>9}  {'category given':<32}{'used':<24}found by"]
    for entry in report["categories"][:SHOWN]:
        given = entry["given"] or "–"
        lines.append(f"{entry['rows']:>9}  {given[-30:]:<32}{entry['used'][:22]:<24}{entry['source']}")
    if len(report["categories"]) > SHOWN:
        lines.append(f"{'':>9}  and {len(report['categories']) - SHOWN} more")
    for entry in report["unknown_categories"][:SHOWN]:
        nearest = ", ".join(entry["nearest"]) or "none is near"
        lines.append(f"{entry['rows']:>9}  {entry['given'][-30:]:<32}{'unknown':<24}nearest: {nearest}")
    if report["faults"]:
        lines += ["", f"{'rows':>9}  fault"]
    for name, fault in sorted(report["faults"].items(), key=lambda pair: -pair[1]["count"]):
        first = fault["examples"][0]
        lines.append(f"{fault['count']:>9}  {name}: row {first['row']}, {first['name']}: {first['reason']}")
    for group in report["duplicates"][:SHOWN]:
        lines.append(f"{len(group['rows']):>9}  same image: {', '.join(group['names'][:4])}")
    model = report["model"]
    lines += ["", f"model {model['name']}: licence {model['licence']}{_warn(model)}"]
    for entry in report["data_licences"]:
        lines.append(f"data: licence {entry['licence']}, {entry['rows']} rows{_warn(entry)}")
    return "\n".join(lines)


def _examine(
    plan: Plan, rows: list[PlanRow], settings: GenerateConfig, model: ModelHandle, faults: _Faults
) -> list[dict[str, Any]]:
    """Open the rows' files; the groups of rows whose images have equal contents."""
    groups: dict[str, list[PlanRow]] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda row: _look(row, settings, model), rows)
        for row, (digest, failure) in zip(rows, found, strict=True):
            if failure is not None:
                faults.add(row, type(failure).__name__, str(failure))
            if digest:
                groups.setdefault(digest, []).append(row)
    return [
        {"rows": [row.row + 1 for row in group], "names": [row.name for row in group]}
        for group in groups.values()
        if len({row.image for row in group}) > 1
    ]


def _look(row: PlanRow, settings: GenerateConfig, model: ModelHandle) -> tuple[str, Exception | None]:
    """The digest of a row's image, and what is wrong with its files."""
    image = Path(row.image or "")
    try:
        digest = hash_file(image)
    except CycloramaError as error:
        return "", error
    try:
        for layout in settings.build_layouts():
            settings.check_canvas(layout.compute_size(read_size(image)))
        loaded = load_image(image)
        if row.mask is None:
            find_matte(loaded)
        elif _is_local(row.mask):
            load_mask(row.mask, loaded.size, row.mask_means)
        if row.reference is not None and _is_local(row.reference):
            load_image(row.reference)
        if row.style is not None and _is_local(row.style):
            model.read_style(Path(row.style))
        if row.backdrop is not None and _is_local(row.backdrop):
            model.read_backdrop(Path(row.backdrop))
    except Exception as error:  # whatever a file does to us is its row's fault
        return digest, error
    return digest, None


def _is_local(address: str | None) -> bool:
    return address is not None and "://" not in address and "::" not in address


def _find_nearest(name: str, known: Mapping[str, str]) -> list[str]:
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    return list(dict.fromkeys(known[other] for other in near))


def _describe_licence(name: str, licence: str) -> dict[str, Any]:
    known = {"restricted": is_restricted(licence), "stated": is_stated(licence)}
    return {"name": name, "licence": licence} | known


def _warn(entry: Mapping[str, Any]) -> str:
    if entry["restricted"]:
        return "  << does not allow commercial use"
    return "" if entry["stated"] else "  << find out before commercial use"


USUAL_BYTES = 2.0 * 1024 * 1024
"""Of a photographic PNG of a megapixel, about; for inputs that cannot be looked at from here."""
TRIALS = 8


def estimate_run(
    source: ItemSource, out: Path, model: ModelHandle, config: RunConfig, load_model: LoadModel | None = None
) -> str:
    """Lines of text on what is ahead for ``source``; nothing is written into ``out``.

    Raises as :func:`cyclorama.generation.run.run_images` does before its first image.
    """
    config = settle_config(config, build_engine(config.engine), model)
    store = ShardStore(out)
    job = ImageJob(out, config, model, load_model=load_model)
    with tempfile.TemporaryDirectory(prefix="cyclorama-plan-") as scratch:
        job, finished = plan_job(source, job, Path(scratch) / "plan")
        plan = job.plan
        ahead = [shard for shard in range(len(plan.keys)) if shard not in finished]
        rows = sum(map(plan.count_rows, ahead))
        usable = rows if not plan.rows else round(rows * (plan.rows - plan.failed) / plan.rows)
        kept = sum(_count_kept(job, store, shard) for shard in ahead)
        images = max(0, usable - kept) * job.images_per_row
        seconds, size, basis = _measure(job, store, needed=images > 0)
    size = round(images * size)
    free = shutil.disk_usage(next(p for p in [out.absolute(), *out.absolute().parents] if p.exists())).free
    hours, rest = divmod(round(images * seconds / (config.engine.workers or 1)), 3600)
    lines = [
        f"{plan.rows} rows: {plan.rows - rows} in finished shards, {plan.failed} cannot be used "
        "(see `cyclorama check`)",
        f"{images} images to make in {len(ahead)} shards",
        f"about {hours}:{rest // 60:02d}:{rest % 60:02d} ({seconds:.3g} s an image, from {basis})",
        f"about {format_bytes(size)} of disk; {format_bytes(free)} are free",
    ]
    if size > free:
        lines.append("the disk is too small: the run would stop when it is full, and go on with more room")
    return "\n".join(lines)


def format_bytes(count: float) -> str:
    """``count`` in MB, or from 1 GB on in GB.

    >>> format_bytes(2_340_000), format_bytes(5.1e12)
    ('2.34 MB', '5100.00 GB')
    """
    return f"{count / 1e6:.2f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def _count_kept(job: ImageRun, store: ShardStore, shard: int) -> int:
    """Rows of an unfinished ``shard`` that stay as an earlier run has left them, as far as it opened them."""
    rows = store.load_rows(shard) + [e["result"] for e in store.read_journal(shard) if "result" in e]
    retry = job.config.run.retry == "failed"
    known = {r["plan_key"] for r in rows if r.get("input_height") and not (retry and r["status"] == "failed")}
    return len(known.intersection(job.plan.read_keys(shard)))


def _measure(job: ImageRun, store: ShardStore, needed: bool) -> tuple[float, float, str]:
    """The model's seconds and the bytes of an image, and where they come from: of finished shards of an
    earlier run with the same settings, else a trial."""
    rows = images = size = 0
    seconds = 0.0
    same = store.load_values().get("settings") == job.describe()
    for shard in store.list_shards() if same else ():
        mark = store.load_mark(shard) or {"done": 0, "images": 0, "files": [], "model_seconds": 0.0}
        rows, images, seconds = rows + mark["done"], images + mark["images"], seconds + mark["model_seconds"]
        size += sum(count for _, count in mark["files"])
    if images and seconds:
        return seconds / rows / job.images_per_row, size / images, f"{rows} finished rows"
    if not needed:
        return 0.0, 0.0, "nothing to make"
    engine = build_engine(job.engine)
    if job.engine.device.startswith("cpu"):  # there the model decides the batch, elsewhere the trial does
        count = choose_batch_size(job, engine, store.load_values(), 0)
        settings = job.config.settings.replace(batch_size=count)
        job = job.replace(config=job.config.replace(settings=settings))
    found: float = engine.call(job.engine, measure_job, job)[1]
    return found, try_encoding(job), "a short trial"


def try_encoding(job: ImageRun) -> float:
    """Mean bytes of an image with the job's canvases and files: eight inputs, spread over the plan, stand in
    for images.

    Inputs elsewhere than on a disk, and such as cannot be read, are passed over; with none left it is two
    bytes a pixel.
    """
    sizes: list[float] = []
    step = max(1, len(job.plan.keys) // TRIALS)
    for shard in range(0, len(job.plan.keys), step):
        rows = [row for row in job.plan.read_shard(shard) if row.failure is None]
        for row in rows[:: max(1, len(rows) * step // TRIALS)][: 2 * TRIALS]:  # more: some may fail
            if len(sizes) < TRIALS and row.image is not None and Path(row.image).is_file():
                with suppress(ImageError, MaskError, OSError):  # the run will name it; this is an estimate
                    sizes.append(_encode(job, row))
    return sum(sizes) / len(sizes) if sizes else USUAL_BYTES


def _encode(job: ImageRun, row: PlanRow) -> float:
    product, total = Product.from_image(row.image, row.mask, mask_means=row.mask_means), 0
    for layout in job.layouts:
        placed = layout.place(product)
        size = placed.size[::-1]
        photo = np.asarray(Image.fromarray(product.pixels).resize(size, Image.Resampling.BICUBIC))
        files, _ = encode_files(composite(photo, placed), photo, placed, {}, job.config.settings)
        total += sum(map(len, files.values()))
    return total / len(job.layouts)
