"""Rows through the image rules: read, judge what is not known yet, keep every answer.

A worker takes a range of rows in turn and writes down what the image rules say of them.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cyclorama.curate.config import CurateConfig, Rules
from cyclorama.curate.records import Finding, ImageRule, Record, RuleImage, Verdict
from cyclorama.curate.store import (
    FROM_FILE,
    CurateStore,
    ImageCache,
    Layers,
    compute_changed_digest,
    compute_content_digest,
    decode_record,
    settle,
    to_values,
)
from cyclorama.curate.summary import summarise
from cyclorama.data.addresses import is_remote
from cyclorama.errors import (
    ConfigError,
    DataError,
    InputError,
    MissingDependencyError,
    ModelError,
    OutputError,
)
from cyclorama.jobs.job import EngineSettings, Hooks, ShardReport
from cyclorama.jobs.store import compute_key

READING = "reading"
"""Name under which an unreadable file or row is a finding."""
ENDS_RUN = (ModelError, MissingDependencyError, ConfigError, OutputError)
"""Errors that no image is to blame for."""


@dataclass(frozen=True)
class CurateJob:
    """What every worker must know; all fields can be pickled."""

    out: Path
    engine: EngineSettings
    recipe: CurateConfig
    build_rules: Callable[[CurateConfig], Rules]
    keys: tuple[str, ...]
    """Of every shard: what it is finished under."""
    parallel_steps: bool = False
    """Rules keep their models; nothing is done elsewhere."""

    def open_worker(self, device: str, pool: Executor | None = None) -> CurateWorker:
        """A worker in this process; the rules' models run on the CPU."""
        return CurateWorker(self)


class CurateWorker:
    """The rules and the cache of one process. Shards asked for from several threads are done in turn."""

    def __init__(self, job: CurateJob) -> None:
        self.rules, self._job, self._store = job.build_rules(job.recipe), job, CurateStore(job.out)
        self.cache = ImageCache(self._store.cache, job.recipe.reading)
        self._turn = threading.Lock()
        self._seconds: dict[str, float] = defaultdict(float)
        self._counts: dict[str, int] = defaultdict(int)
        self._unread = 0

    def process(self, shard: int, hooks: Hooks) -> ShardReport:
        """Judge the rows of ``shard``, or as many as there were before a stop was asked for.

        What is judged is kept row by row, so that nothing of it is done again. Raises OutputError,
        ModelError, MissingDependencyError, ConfigError; whatever else goes wrong is a finding of its row.
        """
        with self._turn:
            start = time.perf_counter()
            results: list[dict[str, Any]] = []
            self._seconds.clear()
            self._counts.clear()
            self._unread = 0
            for row in self._store.load_plan(shard):
                if hooks.stopping():
                    return ShardReport(shard, advanced=len(results), finished=False)
                results.append(self._judge(**row))
                hooks.advanced(1)
            times = {"seconds": dict(self._seconds), "counts": dict(self._counts)}
            found = times | {"unread": self._unread}
            self._store.save_shard(shard, self._job.keys[shard], results, found)
        count, seconds = len(results), time.perf_counter() - start
        return ShardReport(shard, done=count, made=count, advanced=count, wall_seconds=seconds)

    def close(self) -> None:
        """Nothing is left open."""

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Count one image of rule ``name``, and the processor time it takes, of what is worked out."""
        start = time.process_time()
        try:
            yield
        finally:
            self._seconds[name] += time.process_time() - start
            self._counts[name] += 1

    def _judge(self, record: dict[str, Any], accepted: bool, skip: bool) -> dict[str, Any]:
        """What the image rules say of a row, as plain values.

        ``findings``: each with the ``layers`` that its rule saw; ``layers`` after all rules; ``digest``:
        SHA-256 of the file; ``content`` and ``state``: digests of the image before and after all rules, with
        its mask and labels; ``summary``: None for a dropped row, which no person has ``accepted``.
        """
        row = Record(**record)
        judged: dict[str, Any] = {"key": row.key, "findings": [], "layers": {}, "summary": None}
        judged |= {"digest": "", "content": "", "state": ""}
        if skip:
            return judged
        try:
            with self.time(READING):
                data = self.cache.read(row.image)
                mask_data = None if row.mask is None else self.cache.read(row.mask)
        except DataError as error:
            self._unread += is_remote(row.image) or is_remote(row.mask or "")  # may be there another time
            return judged | {"findings": [_refuse(str(error))], "layers": FROM_FILE}
        return judged | _Row(self, row, data, mask_data).judge(accepted)


class _Row:
    def __init__(self, worker: CurateWorker, record: Record, data: bytes, mask_data: bytes | None) -> None:
        self._worker, self._record, self._data, self._mask_data = worker, record, data, mask_data
        self._content = self._state = compute_content_digest(record, data, mask_data)
        self._answers = worker.cache.load(self._content)
        self._original: RuleImage | None = None
        self._image: RuleImage | None = None
        self._layers: Layers = dict(FROM_FILE)

    def judge(self, accepted: bool) -> dict[str, Any]:
        findings: list[dict[str, Any]] = []
        summary: Mapping[str, Any] | None = None
        known = len(self._answers)
        try:
            for rule in self._worker.rules.images:
                seen = dict(self._layers)
                findings.append(self._ask(rule) | {"layers": seen})
                if findings[-1]["verdict"] == Verdict.DROP and not accepted:
                    break
            else:
                summary = self._summarise()
        except InputError as error:  # of the decoder: the file, or its mask, is none
            findings = [_refuse(_say(error))]
        if len(self._answers) > known:
            self._worker.cache.save(self._content, self._answers)
        digests = {"content": self._content, "state": self._state}
        digests["digest"] = hashlib.sha256(self._data).hexdigest()
        return {"findings": findings, "layers": self._layers, "summary": summary, **digests}

    def _ask(self, rule: ImageRule) -> dict[str, Any]:
        """The rule's answer, taken over or worked out; the row goes on with what it repaired."""
        key = compute_key({"rule": self._worker.rules.identities[rule.name], "image": self._state})
        answer = self._answers.get(key)
        if answer is not None and (
            answer["next"] is None or self._worker.cache.has(answer["next"]["layers"])
        ):
            if (following := answer["next"]) is not None:
                self._state, self._layers, self._image = following["state"], following["layers"], None
            found: dict[str, Any] = answer["finding"]
            return found
        image = self._load()
        try:
            with self._worker.time(rule.name):
                finding = rule.judge(image)
                following = None if finding.repaired is None else self._take(image, finding.repaired)
        except ENDS_RUN:
            raise
        except Exception as error:  # whatever an image does to a rule is this row's failure, not the run's
            return to_values(Finding(rule.name, Verdict.DROP, f"the rule failed: {_say(error)}"))
        values = to_values(replace(finding, rule=rule.name))
        self._answers[key] = {"finding": values, "next": following}
        return values

    def _take(self, former: RuleImage, repaired: RuleImage) -> dict[str, Any]:
        image = settle(repaired, former)
        state = compute_changed_digest(self._state, image)
        layers = self._worker.cache.put(state, former, self._layers, image)
        self._state, self._layers, self._image = state, layers, image
        return {"state": state, "layers": layers}

    def _load(self) -> RuleImage:
        """The image as it is now, decoded when first needed. Raises InputError."""
        if self._original is None:
            with self._worker.time("decoding"):
                limits = self._worker.cache.limits
                self._original = decode_record(self._record, self._data, self._mask_data, limits)
        if self._image is None:
            self._image = self._worker.cache.get(self._original, self._layers)
        return self._image

    def _summarise(self) -> Mapping[str, Any]:
        key = compute_key({"summary": self._worker.rules.summary, "image": self._state})
        if key not in self._answers:
            image = self._load()
            with self._worker.time("summary"):
                self._answers[key] = {"summary": summarise(image, self._worker.rules.compute_embedding)}
        found: Mapping[str, Any] = self._answers[key]["summary"]
        return found


def find_worst(findings: Iterable[Finding]) -> Verdict:
    """The worst verdict of ``findings``; KEEP of none."""
    return max((f.verdict for f in findings), key=lambda verdict: verdict.severity, default=Verdict.KEEP)


def _refuse(reason: str) -> dict[str, Any]:
    return to_values(Finding(READING, Verdict.DROP, reason)) | {"layers": dict(FROM_FILE)}


def _say(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) and text else f"{type(error).__name__}: {text}"
