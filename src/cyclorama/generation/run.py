"""A whole run: plan, tell finished shards from open ones, have an engine do these, write the results.

The same for one photo and for a million rows; a small run is one shard in this process.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cyclorama import __version__
from cyclorama.errors import OutputError
from cyclorama.files import refuse, write_atomic
from cyclorama.generation.batches import choose_batch_size
from cyclorama.generation.earlier import compare_left, find_left
from cyclorama.generation.items import Item, ItemSource
from cyclorama.generation.job import ImageRun, LoadModel, open_network
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.plan import FORMAT, Plan, build_plan
from cyclorama.generation.results import JSON_FILE, TABLE_FILE, build_mark, merge_results, read_settled
from cyclorama.generation.settings import RunConfig
from cyclorama.generation.sheet import SHEET_NAME, SHOWN_ROWS, build_sheet, build_sheet_row, describe_run
from cyclorama.generation.worker import ImageJob
from cyclorama.jobs.job import Engine, Hooks
from cyclorama.jobs.run import Totals, build_engine, run_shards
from cyclorama.jobs.store import ShardStore, decode_lines, encode_lines, name_moved

R = TypeVar("R", bound=ImageRun)
FOLDERS = ("images", "webdataset", "layers")
"""What a run fills beside its journal."""


@dataclass
class RunResult:
    """What a run has done, and what the output looks like after it."""

    rows: int
    done: int = 0
    failed: int = 0
    made: int = 0
    """Images made now."""
    kept: int = 0
    """Images that an earlier run had made."""
    shards: int = 0
    open_shards: int = 0
    """Shards that were not finished when the run began."""
    finished: bool = False
    failures: list[dict[str, Any]] = field(default_factory=list)
    """The first rows that failed: name, error, reason."""
    notes: list[str] = field(default_factory=list)
    """What was noted of the first rows that are done, such as a shadow taken out of the product."""
    plan_seconds: float = 0.0
    work: Totals = field(default_factory=Totals)

    refused: int = 0
    """Rows that failed before the model was asked."""

    @property
    def nothing_started(self) -> bool:
        """Whether every row was refused."""
        return 0 < self.refused == self.rows


def run_images(
    source: ItemSource | Iterable[Item],
    out: Path,
    model: ModelHandle,
    config: RunConfig,
    hooks: Hooks | None = None,
    *,
    engine: Engine | None = None,
    load_model: LoadModel | None = None,
    gate: Callable[..., Any] | None = None,
) -> RunResult:
    """Make every image of ``source`` that ``out`` does not hold yet; one row in, one row out.

    Invariant: however often it is killed and run again, with any number of workers, ``out`` ends with the
    same images and the same results, byte for byte (on a CPU in float32 with equal ``threads``). A failing
    row never stops the others.

    Raises UnknownCategoryError (default or alias), OutputError (disk, another run), ModelError.
    """
    hooks, store = hooks or Hooks(), ShardStore(out)
    engine = engine or build_engine(config.engine)
    config = settle_config(config, engine, model)
    job = ImageJob(out, config, model, load_model=load_model, gate=gate)
    open_network(config.run.cutout)
    with store.lock(() if config.run.overwrite else FOLDERS, hooks.noted):
        start = time.perf_counter()
        job, finished = plan_run(source, job, hooks)
        plan, images = job.plan, job.images_per_row
        items = {s: images * plan.count_rows(s) for s in range(len(plan.keys)) if s not in finished}
        size = choose_batch_size(job, engine, store.load_values(), images * plan.rows if items else 0)
        job = job.replace(batch_size=size)
        named = source if isinstance(source, ItemSource) else None
        store.save_values(
            {
                "format": FORMAT,
                "cyclorama": __version__,
                "input": named.name if named else "",
                "source": named.address if named else "",
                "notes": named.notes if named else [],
                "model": model.name,
                "model_hash": model.hash,
                "settings": job.describe(),
                "device": job.engine.device,
                "threads": job.engine.threads,
                "shard_size": job.engine.shard_size,
                "batch_size": size,
            }
        )
        result = RunResult(plan.rows, shards=len(plan.keys), open_shards=len(items))
        result.plan_seconds = time.perf_counter() - start
        if items:
            for name in (JSON_FILE, TABLE_FILE):
                (out / name).unlink(missing_ok=True)
            note_moved_rows(store, plan, list(items), finished)
            result.work = run_shards(job, items, hooks, engine)
            result.made = result.work.made
        _conclude(store, job, result)
    return result


def settle_config(config: RunConfig, engine: Engine, model: ModelHandle) -> RunConfig:
    """``config`` with device, dtype and number of workers chosen. Raises SettingsError,
    MissingDependencyError."""
    settings = config.engine
    device, dtype = engine.call(settings, model.choose_device, settings.device, config.run.dtype)
    settings = engine.settle(settings.replace(device=device))
    return config.replace(engine=settings, run=config.run.replace(dtype=dtype))


def plan_run(source: ItemSource | Iterable[Item], job: R, hooks: Hooks) -> tuple[R, set[int]]:
    """The job with its plan in the output folder, and the shards that need no work. ``hooks`` are told of
    images that no row has any more. Raises OutputError (an image of another input would be replaced)."""
    store, overwrite = ShardStore(job.out), job.config.run.overwrite
    left = find_left(store, store.list_known()) if overwrite else {}
    if overwrite:
        shutil.rmtree(store.folder, ignore_errors=True)
    folder = store.folder / "plan.new"  # the plan before stays until this one is agreed to
    try:
        job, finished = plan_job(source, job, folder)
        left = left or find_left(store, [shard for shard in store.list_known() if shard not in finished])
        note = compare_left(job, store, left, finished, source)
        job = job.replace(plan=job.plan.move(store.plan_folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if note:
        hooks.noted(note)
    return job, finished


def plan_job(source: ItemSource | Iterable[Item], job: R, folder: Path) -> tuple[R, set[int]]:
    """The job with its plan, written into ``folder``, and the shards that need no work.

    Those with failed rows need some if they are to be tried again.
    """
    config, store = job.config, ShardStore(job.out)
    plan = build_plan(
        source, folder, config.rules, job.model.registry, job.describe(), config.engine.shard_size
    )
    finished, again = set(), config.run.retry == "failed"
    for shard, key in enumerate(plan.keys):
        mark = store.load_mark(shard, key)
        whole = mark is not None and job.writer.is_complete(shard, mark["files"])
        if mark is not None and whole and not (again and mark["failed"]):
            finished.add(shard)
    return job.replace(plan=plan), finished


def note_moved_rows(store: ShardStore, plan: Plan, open_shards: Sequence[int], finished: set[int]) -> None:
    """Write down, for each open shard, the finished rows that it finds in other shards, since rows were added
    or the shard size changed.

    Must be done before any shard is written anew. Rows noted by an interrupted run stay. Holds the rows of
    one shard, and the keys of all. Raises OutputError.
    """
    stale = [shard for shard in store.list_shards() if shard not in finished]
    if not stale:
        return
    owners = {key: shard for shard in open_shards for key in plan.read_keys(shard)}
    folder = store.folder / "work" / "moving"
    shutil.rmtree(folder, ignore_errors=True)  # of a start that was killed here: its shards still stand
    try:
        folder.mkdir(parents=True)
        for shard in stale:
            found: dict[int, list[dict[str, Any]]] = {}
            for row in store.load_rows(shard):
                owner = owners.get(row["plan_key"], shard)
                if owner != shard:
                    found.setdefault(owner, []).append(row)
            for owner, rows in found.items():
                with (folder / str(owner)).open("ab") as file:
                    file.write(encode_lines(rows))
        for path in folder.iterdir():
            name = name_moved(int(path.name))
            rows = [*store.load_values(name).get("rows", []), *decode_lines(path.read_bytes())]
            latest = {(row["plan_key"], row.get("size"), row.get("language")): row for row in rows}
            store.save_values({"rows": list(latest.values())}, name)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise refuse(folder, error) from error
    shutil.rmtree(folder, ignore_errors=True)


def iterate_rows(out: Path) -> Iterator[dict[str, Any]]:
    """All rows of finished shards with their seconds, which ``results.jsonl`` leaves out."""
    store = ShardStore(out)
    for shard in store.list_shards():
        yield from store.load_rows(shard)


def _conclude(store: ShardStore, job: ImageRun, result: RunResult) -> None:
    """Count what stands, also in unfinished shards; with every shard finished, write results and sheet, drop
    shards the plan no longer has."""
    counts, marked = Counter[str](), 0
    for shard, key in enumerate(job.plan.keys):
        mark = store.load_mark(shard, key)
        marked += mark is not None
        mark = mark or build_mark(read_settled(store, job.plan, shard))
        counts.update({name: mark[name] for name in ("done", "failed", "refused", "images")})
    result.done, result.failed, result.refused = counts["done"], counts["failed"], counts["refused"]
    result.kept = max(0, counts["images"] - result.made)
    result.finished = marked == result.shards
    if not result.finished:
        return
    smaller = any(shard >= result.shards for shard in store.list_shards())
    if result.open_shards or smaller or not (store.out / TABLE_FILE).exists() or result.failed:
        shown: dict[str, list[dict[str, Any]]] = {"done": [], "failed": []}
        for row in merge_results(store, result.shards):
            if len(shown[row["status"]]) < SHOWN_ROWS:
                shown[row["status"]].append(row)
        done, result.failures = shown.values()
        result.notes = [f"{row['name']}: {note}" for row in done for note in row.get("notes") or ()]
        count, candidates = len(done) + len(result.failures), job.config.settings.candidates
        summary = describe_run(job.model, job.config, result.done, result.failed, count)
        cards = [build_sheet_row(store.out, row, candidates) for row in done]
        page = build_sheet("Contact sheet", summary, cards, result.failures)
        write_atomic(store.out / SHEET_NAME, page.encode("utf-8", "backslashreplace"))
    store.drop_shards_from(result.shards)  # last: a run killed before it knows by them that results are old
    store.clear_work()
