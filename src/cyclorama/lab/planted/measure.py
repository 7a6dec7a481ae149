"""What does each rule say of each planted image, at which cost, and what is left after erasing?

Every rule is asked by itself, so that none hides what another lets through; only the product mask is handed
on to the rules that need one. Answers are kept line by
line in ``RULE.jsonl``; a run that was stopped goes on where it was, and a changed rule is measured anew by
deleting its file.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from cyclorama.curate.config import OWN, CurateConfig, EraseSettings, ReadingSettings, erase_hole
from cyclorama.curate.reading import read_input
from cyclorama.curate.records import Record, RuleImage
from cyclorama.curate.store import decode_record, from_values, to_values
from cyclorama.curate.summary import build_summary, compute_embedding, summarise
from cyclorama.errors import InputError
from cyclorama.imaging.loading import LoadLimits
from cyclorama.lab.planted.build import open_bases
from cyclorama.lab.planted.scenes import Pixels

IMAGE_RULES = ("size", "quality", "mask", "blank", "people", "text")
SET_RULES = ("licence", "clicks", "category", "duplicates")
OWN_SHARE = 0.3
"""Share of a place that was planted text, 0-1, from which what is read there is left of it."""
Truth = dict[str, str]
Line = dict[str, Any]
"""What a rule said of a row, as it is kept."""


def read_truth(folder: Path, limit: int | None = None) -> dict[str, Truth]:
    """Row id to its truth, for the first ``limit`` rows; they lie in a random order."""
    with (folder / "truth.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:limit]
    return {row["id"]: row for row in rows}


def read_records(source: Path) -> list[Record]:
    """The rows of a table or folder that can be used."""
    rows = read_input(str(source), ReadingSettings()).rows
    return [row.record for row in rows if not row.problem]


def open_image(record: Record) -> RuleImage:
    """The row's image, as a run would hand it to its first rule. Raises InputError."""
    mask = None if record.mask is None else Path(record.mask).read_bytes()
    return decode_record(record, Path(record.image).read_bytes(), mask, LoadLimits())


class WatchedEraser:
    """The eraser of a run, which remembers what it was asked to fill."""

    def __init__(self, settings: EraseSettings) -> None:
        self._erase = partial(erase_hole, settings)
        self.hole: Any = None

    def __call__(self, pixels: Pixels, hole: Any) -> Pixels:
        """``pixels`` with ``hole`` filled."""
        self.hole = np.asarray(hole) > 0 if self.hole is None else self.hole | (np.asarray(hole) > 0)
        return self._erase(pixels, hole)


def build_rule(name: str, config: CurateConfig, **options: Any) -> Any:
    """The rule called ``name`` with the recipe's settings."""
    rule = next(rule for rule in OWN if rule.name == name)
    return rule(getattr(config, name), **options)


def check_erased(
    image: RuleImage, repaired: Pixels, hole: Any, clean: Pixels, text: Any, engine: Any
) -> dict[str, Any]:
    """What is left of a planted text, and what else has changed. ``text`` (H, W) is the planted opacity.

    ``left`` are the words read on the background at a place of which ``OWN_SHARE`` or more was planted
    text, ``touching`` all those whose place touches it: the reader may take a whole scene for one letter.
    """
    changed = (repaired != image.pixels).any(axis=2)
    product = image.mask > 0.02 if image.mask is not None else np.zeros(changed.shape, bool)
    near = ndimage.binary_dilation(text > 0.05, iterations=4)
    left, touching = [], []
    found = engine(np.ascontiguousarray(repaired[..., ::-1]))  # as its package sets it up
    for polygon, words in [] if found.boxes is None else zip(found.boxes, found.txts):
        low, high = np.floor(polygon.min(0)).astype(int).clip(0), np.ceil(polygon.max(0)).astype(int)
        window = (slice(low[1], high[1] + 1), slice(low[0], high[0] + 1))
        if near[window].any() and product[window].mean() < 0.5:
            touching.append(words)
            if near[window].mean() >= OWN_SHARE:
                left.append(words)
    error = float(np.abs(repaired.astype(float) - clean)[hole].mean()) if hole.any() else 0.0
    return {
        "left": left, "touching": touching, "error": error,
        "changed_outside": int((changed & ~hole).sum()), "changed_on_product": int((changed & product).sum()),
    }  # fmt: skip


class Measurer:
    """Asks the image rules about the planted images in ``folder``; answers go to ``out``.

    With ``shards``, the rendered images, what was erased is compared with the image as it was.
    """

    def __init__(self, folder: Path, out: Path, config: CurateConfig, shards: Path | None) -> None:
        self._folder, self._out, self._config, self._shards = folder, out, config, shards
        self._eraser = WatchedEraser(config.erase or EraseSettings())
        self._masks = build_rule("mask", config)
        self._engine: Any = None
        self._embed = partial(compute_embedding, features=config.output.features)
        self._seed = int(json.loads((folder / "settings.json").read_text())["seed"])

    def measure(self, name: str, records: list[Record], truth: dict[str, Truth]) -> int:
        """Ask rule ``name`` (or make the ``summary``) of every record that has no line yet; lines in all."""
        path = self._out / f"{name}.jsonl"
        known = {line["id"] for line in read_lines(path)}
        options = {"erase": self._eraser} if name == "text" else {}
        rule = None if name == "summary" else build_rule(name, self._config, **options)
        with path.open("a", encoding="utf-8") as file:
            for record in records:
                if record.key in known or record.key not in truth:
                    continue
                line = {"id": record.key} | self._ask(name, rule, record, truth[record.key])
                file.write(json.dumps(line) + "\n")
                file.flush()
        return len(read_lines(path))

    def _ask(self, name: str, rule: Any, record: Record, truth: Truth) -> Line:
        start = time.process_time()
        try:
            image = open_image(record)
        except InputError as error:
            return {"verdict": "unread", "reason": str(error), "numbers": {}, "seconds": 0.0}
        decoded = time.process_time() - start
        if image.mask is None and name not in ("size", "mask"):
            image = self._masks.judge(image).repaired or image
        self._eraser.hole = None
        start = time.process_time()
        if rule is None:
            summary = summarise(image, self._embed)
            return {"verdict": "keep", "summary": summary, "seconds": time.process_time() - start}
        finding = rule.judge(image)
        line = to_values(finding) | {"seconds": time.process_time() - start, "decoding": decoded}
        mask, text = self._open_truth(truth, "mask"), self._open_truth(truth, "text")
        repaired = finding.repaired
        if name == "mask" and mask is not None and repaired is not None:
            right, found = mask > 0.5, repaired.mask > 0.5
            line["iou"] = float((right & found).sum() / max(1, (right | found).sum()))
        if name == "text" and text is not None and repaired is not None:
            self._engine = self._engine or import_module("rapidocr").RapidOCR(
                params={"Global.log_level": "error", "EngineConfig.onnxruntime.intra_op_num_threads": 1}
            )
            clean = image.pixels  # where it is not known what it was before it was written on
            if self._shards is not None and truth["kind"].startswith(("text", "logo")):
                clean = open_bases([int(truth["base"])], self._shards, self._seed)[0].pixels
            hole = self._eraser.hole
            line["check"] = check_erased(image, repaired.pixels, hole, clean, text, self._engine)
        return line

    def _open_truth(self, truth: Truth, what: str) -> npt.NDArray[np.float32] | None:
        path = self._folder / "truth" / f"{truth['id']}.{what}.png"
        return np.asarray(Image.open(path), np.float32) / np.float32(255) if path.exists() else None


def read_lines(path: Path) -> list[Line]:
    """Whole lines of a JSONL file; none if it is not there."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:  # cut off by a kill; measured again
            continue
    return found


def judge_sets(
    config: CurateConfig, records: list[Record], found: dict[str, dict[str, Line]]
) -> Iterator[tuple[str, dict[str, Line]]]:
    """(rule, lines by id) of the rules that compare rows; duplicates among rows with a summary."""
    by_key = {record.key: record for record in records}
    rows = []
    for key, line in found.get("summary", {}).items():
        if "summary" in line:
            said = [found[name][key] for name in IMAGE_RULES if key in found.get(name, {})]
            rows.append(build_summary(by_key[key], tuple(map(from_values, said)), line["summary"], ""))
    for name in SET_RULES:
        asked: list[Any] = rows if name == "duplicates" else records
        start = time.process_time()
        findings = build_rule(name, config).judge_all(asked)
        seconds = (time.process_time() - start) / max(1, len(asked))
        keys = [row.record.key for row in rows] if name == "duplicates" else [r.key for r in records]
        yield name, {key: to_values(f) | {"seconds": seconds} for key, f in zip(keys, findings)}
