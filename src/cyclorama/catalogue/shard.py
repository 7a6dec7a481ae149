"""What is known of a shard's rows while they are worked on: what is finished, what is missing, in which
batches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cyclorama.catalogue.job import Job
from cyclorama.catalogue.plan import PlanRow
from cyclorama.catalogue.protocols import PixelModel, StagedFile
from cyclorama.catalogue.results import to_json
from cyclorama.catalogue.stages import RowFiles
from cyclorama.catalogue.store import Store
from cyclorama.generation.batches import build_batches, compute_item_seeds
from cyclorama.generation.engine import compute_model_shape
from cyclorama.generation.items import Failure
from cyclorama.generation.names import build_ending
from cyclorama.jobs.job import ShardReport
from cyclorama.types import Size

_PLANNED = ("row", "name", "id", "category_given", "category", "identifier", "category_choice", "reference")

_STATED = ("seed", "height", "width", "places", "report", "verdict", "placement")


@dataclass(frozen=True)
class Spot:
    """One image to be made: place of the row in the shard, of the layout, and number of the candidate."""

    row: int
    layout: int
    candidate: int


@dataclass(frozen=True)
class Batch:
    """Missing images that are sampled together, and the places of the batch they belong to."""

    spots: tuple[Spot, ...]
    places: int


@dataclass
class RowState:
    """One row: its plan, its images so far, and its result once it is settled."""

    plan: PlanRow
    job: Job
    shard: int
    files: RowFiles | None = None
    result: dict[str, Any] | None = None
    reused: bool = False
    images: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    """(layout, candidate) to what :func:`cyclorama.catalogue.stages.finish_image` said of it."""
    kept: list[dict[str, Any]] = field(default_factory=list)

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do."""
        return self.result is not None

    @property
    def seeds(self) -> list[int]:
        """The seed of each candidate, further attempts included."""
        config = self.job.config
        count = config.settings.candidates + config.attempts
        return compute_item_seeds(config.seed, self.plan.name, self.plan.seed, count)

    @property
    def size(self) -> Size | None:
        """(height, width) of the input, None if its header could not be read."""
        if self.files is not None:
            return self.files.size
        if self.result is None or self.result.get("input_height") is None:
            return None
        return self.result["input_height"], self.result["input_width"]

    def add_image(self, spot: Spot, entry: dict[str, Any]) -> None:
        """Note a staged image."""
        self.images[spot.layout, spot.candidate] = entry

    def has(self, spot: Spot) -> bool:
        """Whether nothing has to be sampled for ``spot``."""
        return self.settled or (spot.layout, spot.candidate) in self.images

    def needs_attempt(self, layout: int, number: int) -> bool:
        """Whether the ``number``-th further attempt (from 1) is called for: the gate refused all before
        it."""
        count = self.job.config.settings.candidates + number - 1
        if self.result is not None:
            made = [
                p["attempts"] for p in json.loads(self.result.get("images") or "[]") if p["layout"] == layout
            ]
            return bool(made) and made[0] > count
        before = [self.images.get((layout, k)) for k in range(count)]
        return all(p is not None and p["verdict"] is not None and not p["verdict"]["passed"] for p in before)

    def is_complete(self, last: bool) -> bool:
        """Whether all images are there; ``last`` says that no further attempts follow."""
        candidates = self.job.config.settings.candidates
        for layout in range(len(self.job.toolkit.layouts)):
            if any((layout, k) not in self.images for k in range(candidates)):
                return False
            made = sum(1 for place, _ in self.images if place == layout)
            if not last and self.needs_attempt(layout, made - candidates + 1):
                return False
        return True

    def select(self, folder: Path) -> list[StagedFile]:
        """Decide which images are kept; their files, staged in ``folder``, under their final names."""
        config, toolkit = self.job.config, self.job.toolkit
        wanted = 1 if config.keep == "best" else config.settings.candidates
        files: list[StagedFile] = []
        self.kept = []
        for layout in range(len(toolkit.layouts)):
            made = sorted((k, entry) for (place, k), entry in self.images.items() if place == layout)
            best = sorted(made, key=lambda pair: (*_rank(pair[1]), pair[0]))[:wanted]
            for number, (candidate, entry) in enumerate(sorted(best, key=lambda pair: pair[0]), 1):
                ending = build_ending(toolkit.layouts[layout].name, number, wanted)
                staged = self._stage(folder, entry["files"], ending)
                files += staged
                self.kept.append(self._describe(layout, candidate, entry, staged, len(made)))
        return files

    def _stage(self, folder: Path, files: Sequence[Mapping[str, Any]], ending: str) -> list[StagedFile]:
        suffixes = [file["suffix"] for file in files]
        names = self.job.toolkit.writer.build_names(self.plan.row, self.plan.output, ending, suffixes)
        return [
            StagedFile(folder / file["staged"], name, file["bytes"], file["sha256"])
            for file, name in zip(files, names, strict=True)
        ]

    def _describe(
        self, layout: int, candidate: int, entry: Mapping[str, Any], staged: Sequence[StagedFile], made: int
    ) -> dict[str, Any]:
        return {
            "output": self.job.toolkit.writer.locate(self.shard, staged[0].name),
            "layout": layout,
            "candidate": candidate + 1,
            "attempts": made,
            "files": [{"name": f.name, "bytes": f.bytes, "sha256": f.sha256} for f in staged],
            **{name: entry[name] for name in _STATED},
        }

    def finish(self) -> None:
        """Settle the row with what :meth:`select` has kept."""
        assert self.files is not None
        first = self.kept[0]
        entries = list(self.images.values())
        verdict = first["verdict"]
        report = first["report"]
        times = {name: sum(e[name] for e in entries) for name in ("model_seconds", "finish_seconds")}
        times["load_seconds"] = max(e["load_seconds"] for e in entries)
        self.result = self._begin("done") | {
            "mask_source": entries[0]["mask_source"],
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
            "gate": None if verdict is None else to_json([verdict["values"], verdict["reason"]]),
            "attempts": len(entries),
            "images": to_json(self.kept),
            "seconds": sum(times.values()),
            **times,
        }

    def fail(self, failure: Failure) -> None:
        """Settle the row as failed."""
        self.result = self._begin("failed") | {"error": failure.error, "reason": failure.reason}

    def reuse(self, earlier: Mapping[str, Any]) -> bool:
        """Settle the row with an ``earlier`` run's result, if all its files are in place."""
        images = json.loads(earlier.get("images") or "[]")
        files = [(file["name"], file["bytes"]) for image in images for file in image["files"]]
        writer = self.job.toolkit.writer
        if not writer.restore(self.shard, files):
            return False
        for image in images:
            image["output"] = writer.locate(self.shard, image["files"][0]["name"])
        ours = {name: getattr(self.plan, name) for name in _PLANNED}
        self.result = dict(earlier) | ours | {"plan_key": self.plan.key}
        if images:
            self.result |= {"output": images[0]["output"], "images": to_json(images)}
        self.reused = True
        return True

    def _begin(self, status: str) -> dict[str, Any]:
        size = self.size
        return {name: getattr(self.plan, name) for name in _PLANNED} | {
            "status": status,
            "content_sha256": None if self.files is None else self.files.digests["image"],
            "key": None if self.files is None else self.files.key,
            "input_height": None if size is None else size[0],
            "input_width": None if size is None else size[1],
            "run_seed": self.job.config.seed,
            "model": self.job.model.name,
            "model_hash": self.job.model.hash,
            "settings": to_json(self.job.config.describe_settings()),
            "plan_key": self.plan.key,
        }

    def build_result(self) -> dict[str, Any]:
        """The row's result and timings as plain values."""
        assert self.result is not None
        return self.result

    def count_kept(self) -> int:
        """How many images the row has."""
        return len(json.loads(self.build_result().get("images") or "[]"))


class ShardState:
    """All rows of a shard, with what earlier runs have left."""

    def __init__(self, job: Job, shard: int, store: Store, journal: Iterable[Mapping[str, Any]]) -> None:
        self.job = job
        self.rows = [RowState(row, job, shard) for row in job.plan.read_shard(shard)]
        self.run_values = describe_run(job)
        self.sampled = 0
        self._shard = shard
        self._folder = store.get_work(shard)
        retry = shard in job.retry
        earlier = [*store.load_shard(shard), *store.load_moved(shard)]
        usable = [row for row in earlier if not (retry and row["status"] == "failed")]
        self._by_content = {row["key"]: row for row in usable if row["status"] == "done"}
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
            elif row is not None and all(_is_staged(self._folder, file) for file in entry["files"]):
                row.images[entry["spot"][0], entry["spot"][1]] = dict(entry)
        return finished

    def reuse_by_content(self, row: RowState) -> None:
        """Settle a row whose files have other times but the contents of an earlier run."""
        assert row.files is not None
        earlier = self._by_content.get(row.files.key)
        if earlier is not None:
            row.reuse(earlier)

    def build_batches(self, model: PixelModel, number: int) -> list[Batch]:
        """The batches of round ``number`` (0: the candidates; then one further attempt each) with what is
        missing.

        Their layout counts finished rows too, so it is the same after a restart.
        """
        candidates = self.job.config.settings.candidates
        settings = replace(self.job.config.settings, size=None)
        spots, shapes = [], []
        for place, row in enumerate(self.rows):
            if row.size is None:
                continue
            for index, layout in enumerate(self.job.toolkit.layouts):
                if number and not row.needs_attempt(index, number):
                    continue
                shape = compute_model_shape(model, layout.compute_size(row.size), settings)
                numbers = [candidates + number - 1] if number else range(candidates)
                for candidate in numbers:
                    spots.append(Spot(place, index, candidate))
                    shapes.append((*shape, row.plan.reference is not None))
        batches = []
        for batch in build_batches(shapes, self.job.batch_size):
            missing = [spots[i] for i in batch.members if not self.rows[spots[i].row].has(spots[i])]
            if missing:
                batches.append(Batch(tuple(missing), batch.places))
        return batches

    def report(self, finished: bool) -> ShardReport:
        """Counts of this run."""
        settled = [row.build_result()["status"] for row in self.rows if row.settled]
        return ShardReport(
            shard=self._shard,
            done=settled.count("done"),
            failed=settled.count("failed"),
            reused=sum(row.reused for row in self.rows),
            made=self.sampled,
            finished=finished,
        )


def describe_run(job: Job) -> dict[str, Any]:
    """All that images depend on beside their rows."""
    return build_run_values(job.config.describe(), job.toolkit.describe(), job.model.hash)


def build_run_values(
    config: Mapping[str, Any], toolkit: Mapping[str, Any], model_hash: str
) -> dict[str, Any]:
    """As :func:`describe_run`, before there is a job."""
    return {"config": dict(config), "toolkit": dict(toolkit), "model": model_hash}


def _rank(entry: Mapping[str, Any]) -> tuple[bool, float]:
    """Sorts the best first: passed before refused, then by score."""
    verdict = entry["verdict"]
    return (False, 0.0) if verdict is None else (not verdict["passed"], -verdict["score"])


def _is_staged(folder: Path, file: Mapping[str, Any]) -> bool:
    try:
        return bool((folder / file["staged"]).stat().st_size == file["bytes"])
    except OSError:
        return False
