"""Before a run: what is wrong with its inputs (rows, categories, files, masks, duplicates, licences)?"""

from __future__ import annotations

import difflib
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from cyclorama.data.licences import is_restricted, is_stated
from cyclorama.generation.items import FILES, Failure, Item, ItemSource
from cyclorama.generation.job import (
    ImageRun,
    ReferenceCache,
    inspect_row,
    load_product,
    open_network,
    rename_paths,
)
from cyclorama.generation.model import ModelHandle, find_licence
from cyclorama.generation.plan import PlanRow, build_plan
from cyclorama.generation.settings import SCENE_REFERENCE, RunConfig
from cyclorama.generation.shard import RowState
from cyclorama.models.words import compute_sure
from cyclorama.scenes.items import LICENCE

SHOWN = 20
"""Examples of each fault in the report."""
_THREADS = 4


class _Faults(dict[str, dict[str, Any]]):
    """Error to how many rows have it, and the first of them."""

    def add(self, row: PlanRow, failure: Failure) -> None:
        fault = self.setdefault(failure.error, {"count": 0, "examples": []})
        fault["count"] += 1
        if len(fault["examples"]) < SHOWN:
            fault["examples"].append({"row": row.row + 1, "name": row.name, "reason": failure.reason})


def check_inputs(
    source: ItemSource,
    model: ModelHandle,
    config: RunConfig | None = None,
    examine: int = 2000,
) -> dict[str, Any]:
    """The report as plain values; ``problems`` counts rows that would fail.

    All rows are looked up: cells, files, categories. ``examine`` rows, evenly spread (0: all), are opened and
    cut out by the steps of a run, all but the model's own: ``looked_at`` says what was found in each that
    would be made. Files elsewhere are not fetched: ``not_fetched`` counts their rows. Duplicates are told by
    content. Raises ManifestError, UnknownCategoryError (default or alias), SettingsError,
    MissingDependencyError (no rembg).
    """
    faults = _Faults()
    categories: Counter[tuple[str, str, str]] = Counter()
    unknown: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    config = (config or RunConfig()).replace(rules=source.settings.build_rules(), urls=source.urls)
    open_network(config.run.cutout)

    def count_licences(folder: Path) -> Iterator[Item]:
        for item in source.iterate(folder / "embedded"):
            licences.update([item.licence] if item.licence else [])
            yield item

    with tempfile.TemporaryDirectory(prefix="cyclorama-check-") as scratch:
        items = count_licences(Path(scratch))
        plan = build_plan(items, Path(scratch) / "plan", config.rules, model.registry, {})
        step = 1 if examine == 0 else max(1, plan.rows // examine)
        chosen: list[PlanRow] = []
        for row in plan.iterate():
            if row.failure is None:
                if row.row % step == 0:
                    chosen.append(row)
                if row.category is not None or row.row % step or not _is_local(row):
                    given = row.category_given or row.category_match or ""
                    categories[given, row.category or "", row.category_source or ""] += 1
                continue
            faults.add(row, row.failure)
            if row.failure.error == "UnknownCategoryError":
                unknown[row.category_given or ""] += 1
        opened = [row for row in chosen if _is_local(row)]
        looked_at, duplicates = _examine(ImageRun(Path(scratch), config, model, plan), opened, faults)
    for entry in looked_at:
        if entry["from_image"]:
            categories[entry["category_given"] or "", entry["category"], entry["category_source"]] += 1
    known = {other.lower(): c.name for c in model.registry.categories for other in (c.name, *c.aliases)}
    return {
        "input": source.name,
        "notes": source.notes,
        "rows": plan.rows,
        "examined": len(opened),
        "not_fetched": len(chosen) - len(opened),
        "problems": sum(fault["count"] for fault in faults.values()),
        "faults": dict(sorted(faults.items())),
        "looked_at": looked_at,
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
    told = [entry for entry in report["looked_at"] if entry["from_image"]]
    if told:
        lines += ["", f"{'row':>9}  {'image':<32}{'used':<24}told by"]
        lines += map(_describe_told, told[:SHOWN])
    if len(told) > SHOWN:
        lines.append(f"{'':>9}  and {len(told) - SHOWN} more; --json FILE has all")
    if report["faults"]:
        lines += ["", f"{'rows':>9}  fault"]
    for name, fault in sorted(report["faults"].items(), key=lambda pair: -pair[1]["count"]):
        lines.append(f"{fault['count']:>9}  {name}")
        lines += [f"{'':>11}row {e['row']}, {e['name']}: {e['reason']}" for e in fault["examples"]]
    for group in report["duplicates"][:SHOWN]:
        lines.append(f"{len(group['rows']):>9}  same image: {', '.join(group['names'][:4])}")
    model = report["model"]
    lines += ["", f"model {model['name']}: licence {model['licence']}{_warn(model)}"]
    for entry in report["data_licences"]:
        lines.append(f"data: licence {entry['licence']}, {entry['rows']} rows{_warn(entry)}")
    return "\n".join(lines)


def _describe_told(entry: Mapping[str, Any]) -> str:
    """A row without a given category: which it gets, and what tells its product from its background."""
    source, likely = entry["category_source"], entry["category_match"]
    how = f"{source}: {likely}, {entry['category_sure']:.0%} sure" if source == "image" else source
    cut = entry["mask_source"]
    if entry["mask_confidence"] is not None:
        cut += f", {entry['mask_confidence']:.0%} sure"
    return f"{entry['row']:>9}  {entry['name'][-30:]:<32}{entry['category'][:22]:<24}{how}; cut out by {cut}"


def _examine(
    job: ImageRun, rows: list[PlanRow], faults: _Faults
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What was found in those of ``rows`` that would be made; the groups of rows whose images have equal
    contents."""
    groups: dict[str, list[PlanRow]] = {}
    references, looked_at = ReferenceCache(), []
    with ThreadPoolExecutor(_THREADS) as pool:
        states = [RowState(row, job, 0) for row in rows]
        found = pool.map(lambda state: _look(state, references), states)
        for state, entry in zip(states, found, strict=True):
            if isinstance(entry, Failure):
                faults.add(state.plan, entry)
            else:
                looked_at.append(entry)
            if state.files is not None:
                groups.setdefault(state.files.digests["image"], []).append(state.plan)
    return looked_at, [
        {"rows": [row.row + 1 for row in group], "names": [row.name for row in group]}
        for group in groups.values()
        if len({row.image for row in group}) > 1
    ]


def _look(state: RowState, references: ReferenceCache) -> dict[str, Any] | Failure:
    """What a run finds in a row's files before the model, by the same steps."""
    row, job = state.plan, state.job
    try:
        state.files = inspect_row(job, row, job.out)
        product, _ = load_product(job, row, state.files)
        category = state.find_category(product)
        for layout in job.layouts:
            layout.place(product, category.share)
        references.load(row, state.files)
    except Exception as error:  # whatever a file does to us is its row's fault
        failure = Failure.of(error)
        return replace(failure, reason=rename_paths(row, state.files, failure.reason))
    told = state.recognition or {
        "category": category.name,
        "category_source": row.category_source,
        "category_match": row.category_match,
        "category_sure": compute_sure(row.category_source or ""),
    }
    return {
        "row": row.row + 1,
        "name": row.name,
        "category_given": row.category_given,
        "from_image": row.category is None,
        **{name: told[name] for name in ("category", "category_source", "category_match", "category_sure")},
        "mask_source": product.mask_source,
        "mask_confidence": product.mask_confidence,
        "notes": list(product.notes),
    }


def _is_local(row: PlanRow) -> bool:
    addresses = [getattr(row, name) or "" for name in FILES]
    return not any("://" in one or "::" in one for one in addresses if one != SCENE_REFERENCE)


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
