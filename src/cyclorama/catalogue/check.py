"""What is wrong with a manifest, before a run: a report on rows, categories, files, masks, duplicates,
licences."""

from __future__ import annotations

import difflib
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cyclorama.catalogue.config import CatalogueConfig
from cyclorama.catalogue.manifest import is_remote, read_chunks
from cyclorama.catalogue.plan import Plan, PlanRow, build_plan
from cyclorama.catalogue.stages import hash_file
from cyclorama.data.licences import is_restricted, is_stated
from cyclorama.data.schema import MaskMeans
from cyclorama.errors import CycloramaError, MissingMaskError
from cyclorama.generation.categories import CategoryRules
from cyclorama.generation.describe import find_licence
from cyclorama.generation.model import ModelHandle
from cyclorama.imaging.keying import KeyingConfig, key_studio_background
from cyclorama.imaging.loading import load_image
from cyclorama.imaging.masks import check_mask, has_shape, load_mask

SHOWN = 20
"""Examples of each fault in the report."""
_THREADS = 4


@dataclass
class Fault:
    """One kind of fault: how many rows have it, and the first of them."""

    count: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: int, name: str, reason: str) -> None:
        """One more row."""
        self.count += 1
        if len(self.examples) < SHOWN:
            self.examples.append({"row": row + 1, "name": name, "reason": reason})


def check_catalogue(
    manifest: str,
    model: ModelHandle,
    rules: CategoryRules | None = None,
    mask_means: MaskMeans | None = None,
    examine: int = 2000,
) -> dict[str, Any]:
    """The coverage report as plain values; ``problems`` counts rows that would fail.

    All rows are looked up: cells, files, categories, ids. The files of ``examine`` rows, evenly spread (0: of
    all), are opened: headers, masks (inverted, empty, too small a product), duplicates by content.
    Raises ManifestError, UnknownCategoryError (default or alias).
    """
    config = CatalogueConfig(rules=rules or CategoryRules(), mask_means=mask_means)
    faults: dict[str, Fault] = {}
    categories: Counter[tuple[str, str, str]] = Counter()
    unknown: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="cyclorama-check-") as scratch:
        plan = build_plan(manifest, Path(scratch), config, model.registry, {})
        step = 1 if examine == 0 else max(1, plan.rows // examine)
        chosen: list[PlanRow] = []
        for row in _iterate(plan):
            if row.failure is None:
                categories[row.category_given or "", row.category or "", row.category_choice or ""] += 1
                if row.row % step == 0:
                    chosen.append(row)
                continue
            faults.setdefault(row.failure.error, Fault()).add(row.row, row.name, row.failure.reason)
            if row.failure.error == "UnknownCategoryError":
                unknown[row.category_given or ""] += 1
        duplicates = _examine(plan, chosen, faults)
    licences = _count_licences(manifest)
    return {
        "manifest": manifest,
        "rows": plan.rows,
        "examined": len(chosen),
        "problems": sum(fault.count for fault in faults.values()),
        "faults": {
            name: {"count": fault.count, "examples": fault.examples} for name, fault in sorted(faults.items())
        },
        "categories": [
            {"given": given, "used": used, "choice": choice, "rows": count}
            for (given, used, choice), count in categories.most_common()
        ],
        "unknown_categories": [
            {"given": name, "rows": count, "nearest": _find_nearest(name, model)}
            for name, count in unknown.most_common()
        ],
        "duplicates": duplicates,
        "model": _describe_licence(model.name, find_licence(model.folder)),
        "data_licences": [_describe_licence(name, name) | {"rows": count} for name, count in licences],
    }


def format_report(report: Mapping[str, Any]) -> str:
    """``report`` as a plain text table."""
    lines = [
        f"{report['rows']} rows, {report['problems']} of those looked at would fail; files of "
        f"{report['examined']} rows opened",
        "",
        f"{'rows':>9}  {'category given':<32}{'used':<24}chosen by",
    ]
    for entry in report["categories"][:SHOWN]:
        given = entry["given"] or "–"
        lines.append(f"{entry['rows']:>9}  {given[:30]:<32}{entry['used'][:22]:<24}{entry['choice']}")
    if len(report["categories"]) > SHOWN:
        lines.append(f"{'':>9}  and {len(report['categories']) - SHOWN} more")
    for entry in report["unknown_categories"][:SHOWN]:
        nearest = ", ".join(entry["nearest"]) or "none is near"
        lines.append(f"{entry['rows']:>9}  {entry['given'][:30]:<32}{'unknown':<24}nearest: {nearest}")
    if report["faults"]:
        lines += ["", f"{'rows':>9}  fault"]
    for name, fault in sorted(report["faults"].items(), key=lambda pair: -pair[1]["count"]):
        first = fault["examples"][0]
        lines.append(f"{fault['count']:>9}  {name}: row {first['row']}, {first['name']}: {first['reason']}")
    for group in report["duplicates"][:SHOWN]:
        lines.append(f"{len(group['rows']):>9}  same image: {', '.join(group['names'][:4])}")
    lines += [
        "",
        f"model {report['model']['name']}: licence {report['model']['licence']}{_warn(report['model'])}",
    ]
    for entry in report["data_licences"]:
        lines.append(f"data: licence {entry['licence']}, {entry['rows']} rows{_warn(entry)}")
    return "\n".join(lines)


def _iterate(plan: Plan) -> Iterator[PlanRow]:
    for shard in range(len(plan.keys)):
        yield from plan.read_shard(shard)


def _examine(plan: Plan, rows: list[PlanRow], faults: dict[str, Fault]) -> list[dict[str, Any]]:
    """Open the rows' files; the groups of rows whose images have equal contents."""
    groups: dict[str, list[PlanRow]] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for row, (digest, failure) in zip(rows, pool.map(lambda row: _look(plan, row), rows), strict=True):
            if failure is not None:
                faults.setdefault(type(failure).__name__, Fault()).add(row.row, row.name, str(failure))
            if digest:
                groups.setdefault(digest, []).append(row)
    return [
        {"rows": [row.row + 1 for row in group], "names": [row.name for row in group]}
        for group in groups.values()
        if len({row.image for row in group}) > 1
    ]


def _look(plan: Plan, row: PlanRow) -> tuple[str, Exception | None]:
    """The digest of a row's image, and what is wrong with its files."""
    image = plan.resolve(row.image) or ""
    if is_remote(image):  # fetching all images is the run's business
        return "", None
    try:
        digest = hash_file(Path(image))
    except CycloramaError as error:
        return "", error
    try:
        loaded = load_image(image)
        mask = plan.resolve(row.mask)
        if mask is not None and not is_remote(mask):
            load_mask(mask, loaded.size, "background" if row.mask_means == "background" else "product")
        elif mask is None and loaded.alpha is not None and has_shape(loaded.alpha):
            check_mask(loaded.alpha, f"alpha of {row.name}")
        elif mask is None:
            keyed = key_studio_background(loaded.pixels, KeyingConfig())
            if keyed.matte is None:
                raise MissingMaskError(
                    f"{row.name}: no mask, no transparency, no plain light background ({keyed.reason}); give "
                    "a mask, or run with --cutout"
                )
            check_mask(keyed.matte, f"product keyed out of {row.name}")
        reference = plan.resolve(row.reference)
        if reference is not None and not is_remote(reference):
            load_image(reference)
    except Exception as error:  # whatever a file does to us is its row's fault
        return digest, error
    return digest, None


def _count_licences(manifest: str) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter()
    for chunk in read_chunks(manifest):
        for entry in chunk.columns["licence"].value_counts().to_pylist():
            if entry["values"] is not None:
                counts[entry["values"]] += entry["counts"]
    return counts.most_common()


def _find_nearest(name: str, model: ModelHandle) -> list[str]:
    known = {other.lower(): c.name for c in model.registry.categories for other in (c.name, *c.aliases)}
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    return list(dict.fromkeys(known[other] for other in near))


def _describe_licence(name: str, licence: str) -> dict[str, Any]:
    return {
        "name": name,
        "licence": licence,
        "restricted": is_restricted(licence),
        "stated": is_stated(licence),
    }


def _warn(entry: Mapping[str, Any]) -> str:
    if entry["restricted"]:
        return "  << does not allow commercial use"
    return "" if entry["stated"] else "  << find out before commercial use"
