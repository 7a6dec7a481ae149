"""What does each rule say of each planted image, at which cost, and what is left after erasing?

Every rule is asked by itself, so that none hides what another lets through; only the product mask is handed
on to the rules that need one. Answers are kept line by line in ``RULE.jsonl``; a run that was stopped goes on
where it was, and a changed rule is measured anew by deleting its file.
"""

from __future__ import annotations

import csv
import json
import resource
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from cyclorama.curate.config import CurateConfig, ReadingSettings
from cyclorama.curate.decoding import decode_record
from cyclorama.curate.reading import read_input
from cyclorama.curate.records import Finding, LoadedImage, Record, Verdict
from cyclorama.curate.summary import build_summary, summarise
from cyclorama.errors import InputError
from cyclorama.imaging.loading import LoadLimits
from cyclorama.lab.planted.scenes import Pixels, list_bases

IMAGE_RULES = ("size", "quality", "mask", "blank", "people", "text")
SET_RULES = ("licence", "clicks", "category", "duplicates")
NEED_MASK = ("quality", "blank", "people", "text")
OWN_SHARE = 0.3
"""Share of a place that was planted text, 0-1, from which what is read there is left of it."""
Truth = dict[str, str]


def read_truth(folder: Path, limit: int | None = None) -> dict[str, Truth]:
    """Row id to its truth, for the first ``limit`` rows; they lie in a random order."""
    with (folder / "truth.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:limit]
    return {row["id"]: row for row in rows}


def read_records(folder: Path) -> list[Record]:
    """The manifest's rows with addresses that can be opened."""
    return [row.record for row in read_input(str(folder / "manifest.csv"), ReadingSettings()).rows]


def open_image(record: Record) -> LoadedImage:
    """The row's image, as a run would hand it to its first rule. Raises InputError."""
    mask = None if record.mask is None else Path(record.mask).read_bytes()
    return decode_record(record, Path(record.image).read_bytes(), mask, LoadLimits())


class Eraser:
    """An eraser that remembers what it was asked to fill."""

    def __init__(self, erase: Callable[[Pixels, Any], Pixels]) -> None:
        self._erase = erase
        self.hole: Any = None

    def __call__(self, pixels: Pixels, hole: Any) -> Pixels:
        self.hole = np.asarray(hole) > 0 if self.hole is None else self.hole | (np.asarray(hole) > 0)
        return self._erase(pixels, hole)


def build_eraser(name: str, config: CurateConfig) -> Eraser:
    """``lama``: the one a run uses. ``telea``: OpenCV's, a stand-in of no learning."""
    if name == "lama":
        rules = import_module("cyclorama.curate.rules")
        return Eraser(rules.Eraser(config.erase))
    cv2 = import_module("cv2")
    photo = cv2 if hasattr(cv2, "inpaint") else cv2.photo
    return Eraser(
        lambda pixels, hole: photo.inpaint(pixels, np.asarray(hole).astype(np.uint8), 5, photo.INPAINT_TELEA)
    )


def build_rule(name: str, config: CurateConfig, eraser: Eraser | None = None) -> Any:
    """The rule called ``name`` with the recipe's settings."""
    module = import_module(f"cyclorama.curate.{name}")
    rule = getattr(module, f"{name.title()}Rule")
    settings = getattr(config, name)
    return rule(settings, erase=eraser) if name == "text" else rule(settings)


class Reader:
    """RapidOCR as its package sets it up, and not as the rule uses it."""

    def __init__(self) -> None:
        self._engine = import_module("rapidocr").RapidOCR(
            params={"Global.log_level": "error", "EngineConfig.onnxruntime.intra_op_num_threads": 1}
        )

    def find(self, pixels: Pixels) -> list[tuple[Any, str]]:
        """(polygon (4, 2), words) of every text read."""
        found = self._engine(np.ascontiguousarray(pixels[..., ::-1]))
        return [] if found.boxes is None else list(zip(found.boxes, found.txts))


def check_erased(
    image: LoadedImage, repaired: Pixels, hole: Any, clean: Pixels, text: Any, reader: Reader
) -> dict[str, Any]:
    """What is left of a planted text, and what else has changed. ``text`` (H, W) is the planted opacity.

    ``left`` are the words read on the background at a place of which ``OWN_SHARE`` or more was planted
    text, ``touching`` all those whose place touches it: the reader may take a whole scene for one letter.
    """
    changed = (repaired != image.pixels).any(axis=2)
    product = image.mask > 0.02 if image.mask is not None else np.zeros(changed.shape, bool)
    near = ndimage.binary_dilation(text > 0.05, iterations=4)
    left, touching, background = [], [], []
    for polygon, words in reader.find(repaired):
        low = np.floor(polygon.min(0)).astype(int).clip(0)
        high = np.ceil(polygon.max(0)).astype(int)
        window = (slice(low[1], high[1] + 1), slice(low[0], high[0] + 1))
        if product[window].mean() < 0.5:
            background.append(words)
        if near[window].any() and product[window].mean() < 0.5:
            touching.append(words)
            if near[window].mean() >= OWN_SHARE:
                left.append(words)
    covered = float(hole[text > 0.2].mean()) if (text > 0.2).any() else 1.0
    error = np.abs(repaired.astype(float) - clean)[hole].mean() if hole.any() else 0.0
    before = np.abs(image.pixels.astype(float) - clean)[~hole].mean()
    return {
        "left": left, "touching": touching, "background": background, "covered": covered,
        "changed_outside": int((changed & ~hole).sum()), "changed_on_product": int((changed & product).sum()),
        "error": float(error), "error_elsewhere": float(before), "erased": float(hole.mean()),
    }  # fmt: skip


def to_line(finding: Finding, seconds: float) -> dict[str, Any]:
    """A finding as it is kept."""
    return {
        "verdict": str(finding.verdict), "reason": finding.reason,
        "numbers": {name: float(value) for name, value in finding.numbers.items()},
        "boxes": [[b.left, b.top, b.right, b.bottom, b.label, float(b.score)] for b in finding.boxes],
        "values": dict(finding.values), "seconds": seconds,
    }  # fmt: skip


class Measurer:
    """Asks the image rules about the planted images."""

    def __init__(
        self, folder: Path, out: Path, config: CurateConfig, eraser: str, shards: Path | None
    ) -> None:
        self.folder, self.out, self.config = folder, out, config
        self._eraser = build_eraser(eraser, config)
        self._masks = build_rule("mask", config)
        self._reader: Reader | None = None
        self._bases = None if shards is None else list_bases(shards)
        self._seed = int(json.loads((folder / "settings.json").read_text())["seed"])

    def measure(self, name: str, records: list[Record], truth: dict[str, Truth]) -> None:
        """Ask rule ``name`` (or make the ``summary``) of every record that has no line yet."""
        path = self.out / f"{name}.jsonl"
        known = {line["id"] for line in read_lines(path)}
        rule = None if name == "summary" else build_rule(name, self.config, self._eraser)
        embed = import_module("cyclorama.curate.signature").Embedder(self.config.output.features)
        with path.open("a", encoding="utf-8") as file:
            for record in records:
                if record.key in known or record.key not in truth:
                    continue
                start = time.process_time()
                try:
                    image = open_image(record)
                except InputError as error:
                    line = {"verdict": "unread", "reason": str(error), "numbers": {}, "seconds": 0.0}
                else:
                    decoded = time.process_time() - start
                    if image.mask is None and name in (*NEED_MASK, "summary"):
                        image = self._masks.judge(image).repaired or image
                    start = time.process_time()
                    if rule is None:
                        values = summarise(image, lambda pixels: embed.compute([pixels])[0])
                        line = {"verdict": "keep", "summary": values, "seconds": time.process_time() - start}
                    else:
                        line = self._ask(rule, image, truth[record.key])
                    line["decoding"] = decoded
                file.write(json.dumps({"id": record.key} | line) + "\n")
                file.flush()

    def _ask(self, rule: Any, image: LoadedImage, truth: Truth) -> dict[str, Any]:
        self._eraser.hole = None
        start = time.process_time()
        finding = rule.judge(image)
        line = to_line(finding, time.process_time() - start)
        if rule.name == "mask":
            path = self.folder / "truth" / f"{truth['id']}.mask.png"
            if path.exists() and finding.repaired is not None and finding.repaired.mask is not None:
                right = np.asarray(Image.open(path)) > 127
                found = finding.repaired.mask > 0.5
                line["iou"] = float((right & found).sum() / max(1, (right | found).sum()))
        path = self.folder / "truth" / f"{truth['id']}.text.png"
        if rule.name == "text" and path.exists() and finding.repaired is not None:
            self._reader = self._reader or Reader()
            text = np.asarray(Image.open(path), np.float32) / 255
            clean = self._open_clean(truth, image)
            line["check"] = check_erased(
                image, finding.repaired.pixels, self._eraser.hole, clean, text, self._reader
            )
        return line

    def _open_clean(self, truth: Truth, image: LoadedImage) -> Pixels:
        """The image before it was written on; the image itself where that is not known."""
        if self._bases is None or not truth["kind"].startswith(("text", "logo")):
            return image.pixels
        from cyclorama.lab.planted.planted import Row, open_bases

        return open_bases(Row(0, truth["kind"], (int(truth["base"]),)), self._bases, self._seed)[0].pixels


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines of a JSONL file; none if it is not there."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:  # cut off by a kill; measured again
            continue
    return found


def judge_sets(
    config: CurateConfig, records: list[Record], out: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(rule, lines by id) of the rules that compare rows; duplicates among rows with a summary."""
    for name in ("licence", "clicks", "category"):
        start = time.process_time()
        findings = build_rule(name, config).judge_all(records)
        seconds = (time.process_time() - start) / max(1, len(records))
        yield name, {r.key: to_line(f, seconds) for r, f in zip(records, findings)}
    by_key = {record.key: record for record in records}
    rows = []
    before = {name: {line["id"]: line for line in read_lines(out / f"{name}.jsonl")} for name in IMAGE_RULES}
    for line in read_lines(out / "summary.jsonl"):
        if "summary" in line:
            said = {name: lines[line["id"]] for name, lines in before.items() if line["id"] in lines}
            findings = tuple(
                Finding(name, Verdict(f["verdict"]), f["reason"], f["numbers"]) for name, f in said.items()
            )
            rows.append(build_summary(by_key[line["id"]], findings, line["summary"], ""))
    start = time.process_time()
    judged = build_rule("duplicates", config).judge_all(rows)
    seconds = (time.process_time() - start) / max(1, len(rows))
    yield "duplicates", {row.record.key: to_line(f, seconds) for row, f in zip(rows, judged)}


def get_peak_memory() -> float:
    """MiB that this process has taken at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
