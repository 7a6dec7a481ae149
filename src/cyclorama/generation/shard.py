"""What is known of a shard's rows while they are worked on: what is finished, what is missing, in which
batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from cyclorama.generation.batches import Batch, build_batches, compute_item_seeds
from cyclorama.generation.items import Failure
from cyclorama.generation.job import ImageRun, RowFiles
from cyclorama.generation.plan import PlanRow
from cyclorama.generation.recognise import recognise
from cyclorama.generation.results import build_mark
from cyclorama.generation.task import Model, compute_model_shape
from cyclorama.generation.writers import build_ending, has_size
from cyclorama.imaging.product import Product
from cyclorama.jobs.store import ShardStore, compute_key, name_moved
from cyclorama.models.registry import Category
from cyclorama.models.words import CategoryMatch, compute_sure
from cyclorama.types import Size

_PLANNED = ("row", "name", "id", "category_given", "category", "identifier", "category_source",
            "category_match")  # fmt: skip
_CATEGORY = ("category", "identifier", "category_source", "category_match", "category_sure")
_STATED = (
    "seed",
    "height",
    "width",
    "places",
    "mask_source",
    "mask_confidence",
    "style",
    "report",
    "verdict",
    "placement",
)
_FILE = ("name", "bytes", "sha256", "suffix")
_TIMES = ("load_seconds", "model_seconds", "finish_seconds")


@dataclass(frozen=True)
class Spot:
    """One image to be made: place of the row in the shard, of the layout, and number of the candidate."""

    row: int
    layout: int
    candidate: int


@dataclass
class RowState:
    """One row: its plan, its images so far, and its result once it is settled."""

    plan: PlanRow
    job: ImageRun
    shard: int
    files: RowFiles | None = None
    result: dict[str, Any] | None = None
    reused: bool = False
    recognised: CategoryMatch | None = None
    """The category that the image tells, where the row names none; known once it is cut out."""
    images: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    """(layout, candidate) to what :func:`cyclorama.generation.job.finish_image` said of it."""

    def find_category(self, product: Product) -> Category:
        """The category that the row names, or else that ``product``, its cut-out, is of.

        Raises UnknownCategoryError (the image tells none that the model has, nor has it a general one).
        """
        registry = self.job.model.registry
        if self.plan.category is not None:
            return registry.resolve(self.plan.category)
        if self.recognised is None:
            self.recognised = recognise(product, registry)
        return self.recognised.category

    @property
    def recognition(self) -> dict[str, Any] | None:
        """What the row's result says of a category that the image told."""
        found = self.recognised
        if found is None:
            return None
        values = (found.category.name, found.category.identifier, found.source, found.matched, found.sure)
        return dict(zip(_CATEGORY, values, strict=True))

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do."""
        return self.result is not None

    @property
    def seeds(self) -> list[int]:
        """The seed of each candidate, further attempts included."""
        config = self.job.config
        count = config.settings.candidates + config.run.attempts
        return compute_item_seeds(config.run.seed, self.plan.name, self.plan.seed, count)

    @property
    def size(self) -> Size | None:
        """(height, width) of the input, None if its header could not be read."""
        if self.files is not None:
            return self.files.size
        if self.result is None or self.result.get("input_height") is None:
            return None
        return self.result["input_height"], self.result["input_width"]

    def has(self, spot: Spot) -> bool:
        """Whether nothing has to be sampled for ``spot``."""
        return self.settled or (spot.layout, spot.candidate) in self.images

    def needs_attempt(self, layout: int, number: int) -> bool:
        """Whether the ``number``-th further attempt (from 1) is called for: the gate refused all before
        it."""
        count = self.job.config.settings.candidates + number - 1
        if self.result is not None:
            made = [image["attempts"] for image in self.list_images() if image["layout"] == layout]
            return bool(made) and made[0] > count
        before = [self.images.get((layout, k)) for k in range(count)]
        return all(p is not None and p["verdict"] is not None and not p["verdict"]["passed"] for p in before)

    def is_complete(self, last: bool) -> bool:
        """Whether all images are there; ``last`` says that no further attempts follow."""
        candidates = self.job.config.settings.candidates
        for layout in range(len(self.job.layouts)):
            if any((layout, k) not in self.images for k in range(candidates)):
                return False
            made = sum(1 for place, _ in self.images if place == layout)
            if not last and self.needs_attempt(layout, made - candidates + 1):
                return False
        return True

    def conclude(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The row's result with the images that are kept, and their staged files with their final names."""
        layouts, candidates = self.job.layouts, self.job.config.settings.candidates
        wanted = 1 if self.job.config.run.keep == "best" else candidates
        kept: list[dict[str, Any]] = []
        files: list[dict[str, Any]] = []
        for layout in range(len(layouts)):
            made = sorted((k, entry) for (place, k), entry in self.images.items() if place == layout)
            best = sorted(made, key=lambda pair: (*_rank(pair[1]), pair[0]))[:wanted]
            for number, (candidate, entry) in enumerate(sorted(best), 1):
                ending = build_ending(layouts[layout].name, number, wanted)
                suffixes = [file["suffix"] for file in entry["files"]]
                names = self.job.writer.build_names(self.plan.row, self.plan.output, ending, suffixes)
                staged = [file | {"name": name} for file, name in zip(entry["files"], names, strict=True)]
                files += staged
                image = {
                    "output": self.job.writer.locate(self.shard, names[0]),
                    "layout": layout,
                    "layout_name": layouts[layout].name or None,
                    "candidate": candidate + 1,
                    "attempts": len(made),
                    "key": self.compute_image_key(layout, candidate),
                    "files": [{name: file[name] for name in _FILE} for file in staged],
                    **{name: entry[name] for name in _STATED},
                    "recognised": entry.get("recognised"),
                }
                kept.append({name: value for name, value in image.items() if value not in (None, {})})
        first, entries = kept[0], list(self.images.values())
        verdict, report = first.get("verdict"), dict(first["report"])
        notes = [*report.pop("notes", ()), *first.get("placement", {}).get("notes", ())]
        times = {name: sum(e[name] for e in entries) for name in ("model_seconds", "finish_seconds")}
        times["load_seconds"] = max(e["load_seconds"] for e in entries)
        result = (
            self.begin("done")
            | (entries[0].get("recognised") or {})
            | {
                "mask_source": entries[0]["mask_source"],
                "mask_confidence": entries[0]["mask_confidence"],
                "style": first.get("style"),
                "output": first["output"],
                "height": first["height"],
                "width": first["width"],
                "bytes": first["files"][0]["bytes"],
                "image_sha256": first["files"][0]["sha256"],
                "seed": first["seed"],
                "batch_places": first["places"],
                **report,
                "gate_passed": None if verdict is None else verdict["passed"],
                "gate_score": None if verdict is None else verdict["score"],
                "gate": None
                if verdict is None
                else {"values": verdict["values"], "reason": verdict["reason"]},
                "attempts": len(entries),
                "images": kept,
                "notes": notes or None,
                "seconds": sum(times.values()),
                **times,
            }
        )
        return result, files

    def fail(self, failure: Failure) -> None:
        """Settle the row as failed."""
        self.result = self.begin("failed") | {"error": failure.error, "reason": failure.reason}

    def reuse(self, earlier: Mapping[str, Any]) -> bool:
        """Settle the row with an ``earlier`` run's result, if its files are in place under their names."""
        images = [dict(image) for image in earlier.get("images") or []]
        files = [(file["name"], file["bytes"]) for image in images for file in image["files"]]
        writer = self.job.writer
        if files and writer.numbered and earlier["row"] != self.plan.row:
            return False
        if not writer.restore(self.shard, files):
            return False
        for image in images:
            image["output"] = writer.locate(self.shard, image["files"][0]["name"])
        told = _CATEGORY if self.plan.category is None and self.plan.failure is None else ()
        ours = {name: getattr(self.plan, name) for name in _PLANNED if name not in told}
        if not told:
            ours["category_sure"] = compute_sure(self.plan.category_source or "")
        self.result = dict(earlier) | ours | {"plan_key": self.plan.key, "stem": self.plan.output}
        if images:
            self.result |= {"output": images[0]["output"], "images": images}
        self.reused = True
        return True

    def reuse_image(self, image: Mapping[str, Any]) -> None:
        """Take over an ``image`` of an earlier run that is wanted under the same name, if it is in place."""
        candidates, writer = self.job.config.settings.candidates, self.job.writer
        if self.job.config.run.keep == "best":  # needs all candidates to choose from
            return
        suffixes = [file["suffix"] for file in image["files"]]
        files = [(file["name"], file["bytes"]) for file in image["files"]]
        for layout, candidate in itertools.product(range(len(self.job.layouts)), range(candidates)):
            ending = build_ending(self.job.layouts[layout].name, candidate + 1, candidates)
            names = writer.build_names(self.plan.row, self.plan.output, ending, suffixes)
            if (
                image["key"] == self.compute_image_key(layout, candidate)
                and names == [name for name, _ in files]
                and writer.restore(self.shard, files)
            ):
                kept = {name: image.get(name) for name in _STATED} | dict.fromkeys(_TIMES, 0.0)
                kept["placement"], kept["recognised"] = image.get("placement", {}), image.get("recognised")
                kept["files"] = [file | {"staged": f"kept{file['suffix']}"} for file in image["files"]]
                self.images[layout, candidate] = kept

    def compute_image_key(self, layout: int, candidate: int) -> str:
        """Digest of all that one image depends on: equal keys, equal images."""
        assert self.files is not None
        run = self.job.describe()
        gone = ("candidates", "layouts", "attempts", "keep")
        return compute_key(
            {
                "files": self.files.digests,
                "mask_means": self.plan.mask_means,
                "category": [self.plan.category, self.plan.identifier],
                "name": self.plan.name,
                "layout": [self.job.layouts[layout].name, self.job.layouts[layout].describe()],
                "seed": self.seeds[candidate],
                "run": run | {"config": {n: v for n, v in run["config"].items() if n not in gone}},
            }
        )

    def begin(self, status: str) -> dict[str, Any]:
        """What a result says of its row, whatever came of it."""
        size, reference, source = self.size, self.plan.reference, self.plan.category_source or ""
        return {name: getattr(self.plan, name) for name in _PLANNED} | {
            "category_sure": None if self.plan.category is None else compute_sure(source),
            "status": status,
            "reference": None if reference is None else PurePosixPath(reference).name,
            "content_sha256": None if self.files is None else self.files.digests["image"],
            "key": None if self.files is None else self.files.key,
            "input_height": None if size is None else size[0],
            "input_width": None if size is None else size[1],
            "run_seed": self.job.config.run.seed,
            "model": self.job.model.name,
            "model_hash": self.job.model.hash,
            "settings": self.job.describe_settings(self.plan.reference is not None),
            "plan_key": self.plan.key,
            "stem": self.plan.output,
            "reference_digest": None if self.files is None else self.files.digests.get("reference"),
        }

    def list_images(self) -> list[dict[str, Any]]:
        """The images that a settled row keeps."""
        assert self.result is not None
        return self.result.get("images") or []


class ShardState:
    """All rows of a shard, with what earlier runs have left."""

    def __init__(
        self, job: ImageRun, shard: int, store: ShardStore, journal: Iterable[Mapping[str, Any]]
    ) -> None:
        self.job = job
        self.rows = [RowState(row, job, shard) for row in job.plan.read_shard(shard)]
        self.sampled = 0
        self._folder = store.get_work(shard)
        retry = job.config.run.retry == "failed"
        earlier = [*store.load_rows(shard), *store.load_values(name_moved(shard)).get("rows", [])]
        usable = [row for row in earlier if not (retry and row["status"] == "failed")]
        self._by_content = {row["key"]: row for row in usable if row["status"] == "done"}
        self._by_stem = {row["stem"]: row for row in usable if row["status"] == "done"}
        by_key: dict[str, Mapping[str, Any]] = {row["plan_key"]: row for row in usable}
        by_key |= self._read_journal(journal, retry)
        for row in self.rows:
            if row.plan.failure is not None:
                row.fail(row.plan.failure)
            elif row.plan.key in by_key:
                row.reuse(by_key[row.plan.key])

    def _read_journal(
        self, journal: Iterable[Mapping[str, Any]], retry: bool
    ) -> dict[str, Mapping[str, Any]]:
        """Finished rows by key; images that still wait for the others of their row go to their rows."""
        rows = {row.plan.key: row for row in self.rows}
        finished: dict[str, Mapping[str, Any]] = {}
        for entry in journal:
            row = rows.get(entry["key"])
            if "result" in entry:
                if not (retry and entry["result"]["status"] == "failed"):
                    finished[entry["key"]] = entry["result"]
            elif row is not None and all(
                has_size(self._folder / file["staged"], file["bytes"]) for file in entry["files"]
            ):
                row.images[entry["spot"][0], entry["spot"][1]] = dict(entry)
        return finished

    def reuse_by_content(self, row: RowState) -> None:
        """Settle a row whose files have other times but the contents of an earlier run; of a row whose
        outputs or candidates have changed, take over the images that are still wanted."""
        earlier = None if row.files is None else self._by_content.get(row.files.key)
        if earlier is not None and row.reuse(earlier):
            return
        for image in self._by_stem.get(row.plan.output, {}).get("images", ()):
            row.reuse_image(image)

    def build_batches(self, model: Model, number: int) -> list[Batch[Spot]]:
        """The batches of round ``number`` (0: the candidates; then one further attempt each) with what is
        missing.

        Their layout counts finished rows too, so it is the same after a restart.
        """
        candidates = self.job.config.settings.candidates
        settings = self.job.config.settings.replace(size="source")
        spots, shapes = [], []
        for place, row in enumerate(self.rows):
            if row.size is None:
                continue
            for index, layout in enumerate(self.job.layouts):
                if number and not row.needs_attempt(index, number):
                    continue
                shape = compute_model_shape(model, layout.compute_size(row.size), settings)
                for candidate in [candidates + number - 1] if number else range(candidates):
                    spots.append(Spot(place, index, candidate))
                    shapes.append((*shape, row.plan.reference is not None))
        batches = []
        for batch in build_batches(shapes, self.job.batch_size):
            missing = [spots[i] for i in batch.members if not self.rows[spots[i].row].has(spots[i])]
            if missing:
                batches.append(Batch(tuple(missing), batch.places))
        return batches

    def build_mark(self) -> dict[str, Any]:
        """What the shard's mark says."""
        named = ({"row": row.plan.row, "name": row.plan.name} | (row.result or {}) for row in self.rows)
        return build_mark(named)


def _rank(entry: Mapping[str, Any]) -> tuple[bool, bool, float]:
    """Sorts the best first: passed before refused, measured before unmeasured, then by score."""
    verdict = entry["verdict"] or {"passed": True, "score": None}
    return not verdict["passed"], verdict["score"] is None, -(verdict["score"] or 0.0)
