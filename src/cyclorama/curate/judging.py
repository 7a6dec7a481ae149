"""Rows through the image rules: read, judge what is not known yet, keep every answer.

A worker takes a range of rows in turn and writes down what the image rules say of them.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cyclorama.curate.cache import (
    FROM_FILE,
    ImageCache,
    Layers,
    compute_changed_digest,
    compute_content_digest,
    decode_record,
    settle,
    to_values,
)
from cyclorama.curate.config import CurateConfig
from cyclorama.curate.records import Finding, ImageRule, Record, RuleImage, Verdict
from cyclorama.curate.rules import Rules
from cyclorama.curate.store import CurateStore
from cyclorama.curate.summary import summarise
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


@dataclass
class Clock:
    """Seconds of processor time and images per rule, of what was worked out and not taken over."""

    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, start: float) -> None:
        """Count one image of rule ``name`` that began at ``start`` (``time.process_time``)."""
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start
        self.counts[name] = self.counts.get(name, 0) + 1


@dataclass(frozen=True)
class Judged:
    """What came out for one row, as plain values."""

    findings: tuple[dict[str, Any], ...]
    """Each with ``layers``: where the image lay that the rule saw."""
    layers: Mapping[str, str]
    """Where the image lies after all rules."""
    digest: str = ""
    """SHA-256 of the file."""
    content: str = ""
    """Digest of the image before all rules, with its mask and labels."""
    state: str = ""
    """Digest of the image after all rules."""
    summary: Mapping[str, Any] | None = None
    """None for a dropped row."""


class Judge:
    """Rules and cache of one process."""

    def __init__(self, rules: Rules, cache: ImageCache) -> None:
        self.rules = rules
        self.cache = cache
        self.clock = Clock()

    def judge(self, record: Record, accepted: bool = False) -> Judged:
        """What the image rules say of ``record``; a drop is the last word unless a person ``accepted`` it.

        Raises ModelError, MissingDependencyError, ConfigError, OutputError; whatever else goes wrong is a
        finding of the row.
        """
        start = time.process_time()
        try:
            data = self.cache.read(record.image)
            mask_data = None if record.mask is None else self.cache.read(record.mask)
        except DataError as error:
            return Judged((_refuse(str(error)),), dict(FROM_FILE))
        self.clock.add(READING, start)
        return _Row(self, record, data, mask_data).judge(accepted)


class _Row:
    def __init__(self, judge: Judge, record: Record, data: bytes, mask_data: bytes | None) -> None:
        self._judge, self._record, self._data, self._mask_data = judge, record, data, mask_data
        self._content = compute_content_digest(record, data, mask_data)
        self._answers = judge.cache.load(self._content)
        self._known = len(self._answers)
        self._original: RuleImage | None = None
        self._image: RuleImage | None = None
        self._layers: Layers = dict(FROM_FILE)
        self._state = self._content

    def judge(self, accepted: bool) -> Judged:
        findings: list[dict[str, Any]] = []
        summary: Mapping[str, Any] | None = None
        try:
            for rule in self._judge.rules.images:
                seen = dict(self._layers)
                values = self._ask(rule)
                findings.append(values | {"layers": seen})
                if values["verdict"] == Verdict.DROP and not accepted:
                    break
            if accepted or all(values["verdict"] != Verdict.DROP for values in findings):
                summary = self._summarise()
        except InputError as error:  # of the decoder: the file, or its mask, is none
            findings = [_refuse(_say(error))]
        if len(self._answers) > self._known:
            self._judge.cache.save(self._content, self._answers)
        digest = hashlib.sha256(self._data).hexdigest()
        return Judged(tuple(findings), self._layers, digest, self._content, self._state, summary)

    def _ask(self, rule: ImageRule) -> dict[str, Any]:
        """The rule's answer, taken over or worked out; the row goes on with what it repaired."""
        key = compute_key({"rule": self._judge.rules.identities[rule.name], "image": self._state})
        answer = self._answers.get(key)
        if answer is not None and (answer["next"] is None or self._judge.cache.has(answer["next"]["layers"])):
            if answer["next"] is not None:
                self._move(answer["next"]["state"], answer["next"]["layers"])
            found: dict[str, Any] = answer["finding"]
            return found
        image = self._load()
        start = time.process_time()
        try:
            finding = rule.judge(image)
            following = None if finding.repaired is None else self._take(image, finding.repaired)
        except ENDS_RUN:
            raise
        except Exception as error:  # whatever an image does to a rule is this row's failure, not the run's
            return to_values(Finding(rule.name, Verdict.DROP, f"the rule failed: {_say(error)}"))
        finally:
            self._judge.clock.add(rule.name, start)
        values = to_values(replace(finding, rule=rule.name))
        self._answers[key] = {"finding": values, "next": following}
        return values

    def _take(self, former: RuleImage, repaired: RuleImage) -> dict[str, Any]:
        image = settle(repaired, former)
        state = compute_changed_digest(self._state, image)
        layers = self._judge.cache.put(state, former, self._layers, image)
        self._move(state, layers)
        self._image = image
        return {"state": state, "layers": layers}

    def _move(self, state: str, layers: Layers) -> None:
        self._state, self._layers, self._image = state, dict(layers), None

    def _load(self) -> RuleImage:
        """The image as it is now, decoded when first needed. Raises InputError."""
        if self._original is None:
            start = time.process_time()
            limits = self._judge.cache.limits
            self._original = decode_record(self._record, self._data, self._mask_data, limits)
            self._judge.clock.add("decoding", start)
        if self._image is None:
            self._image = self._judge.cache.get(self._original, self._layers)
        return self._image

    def _summarise(self) -> Mapping[str, Any]:
        key = compute_key({"summary": self._judge.rules.summary, "image": self._state})
        if key not in self._answers:
            image = self._load()
            start = time.process_time()
            self._answers[key] = {"summary": summarise(image, self._judge.rules.compute_embedding)}
            self._judge.clock.add("summary", start)
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
    """The rules of one process. Shards may be asked for from several threads; they are done in turn."""

    def __init__(self, job: CurateJob) -> None:
        self._job = job
        self._store = CurateStore(job.out)
        self._judge = Judge(job.build_rules(job.recipe), ImageCache(self._store.cache, job.recipe.reading))
        self._turn = threading.Lock()

    def process(self, shard: int, hooks: Hooks) -> ShardReport:
        """Judge the rows of ``shard``, or as many as there were before a stop was asked for.

        What is judged is kept row by row, so that nothing of it is done again. Raises OutputError,
        ModelError, MissingDependencyError, ConfigError.
        """
        with self._turn:
            start = time.perf_counter()
            results: list[dict[str, Any]] = []
            self._judge.clock = Clock()
            for row in self._store.load_plan(shard):
                if hooks.stopping():
                    return ShardReport(shard, advanced=len(results), finished=False)
                results.append(self._judge_row(row))
                hooks.advanced(1)
            self._store.save_shard(shard, self._job.keys[shard], results, asdict(self._judge.clock))
        count, seconds = len(results), time.perf_counter() - start
        return ShardReport(shard, done=count, made=count, advanced=count, wall_seconds=seconds)

    def close(self) -> None:
        """Nothing is left open."""

    def _judge_row(self, row: dict[str, Any]) -> dict[str, Any]:
        record = Record(**row["record"])
        judged = Judged((), {}) if row["skip"] else self._judge.judge(record, row["accepted"])
        return {"key": record.key} | asdict(judged)
