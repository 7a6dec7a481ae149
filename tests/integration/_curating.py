"""A small input for curating runs, rules that cost nothing, and a way to compare two output folders."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cyclorama.curate.category import CategoryRule, CategorySettings
from cyclorama.curate.config import CurateConfig, OutputSettings, Rules, identify
from cyclorama.curate.records import Finding, Record, RuleImage, Summary, Verdict
from cyclorama.curate.splits import SplitSettings
from cyclorama.curate.store import CurateStore

SIDE = 48
STAMP = np.array([255, 0, 255], np.uint8)
"""Colour that the test's repairing rule paints over."""


class BrightRule:
    """Drops what is brighter than ``limit``, puts to review what comes within ``doubt`` of it."""

    name = "bright"

    def __init__(self, settings: Mapping[str, float]) -> None:
        self.limit = settings.get("limit", 0.77)
        self.doubt = settings.get("doubt", 0.1)
        self.version = str(settings.get("version", 1))

    def judge(self, image: RuleImage) -> Finding:
        mean = float(image.pixels.mean()) / 255
        numbers = {"mean": mean}
        if mean > self.limit:
            return Finding(self.name, Verdict.DROP, f"mean {mean:.3f}, at most {self.limit}", numbers)
        if mean > self.limit - self.doubt:
            return Finding(self.name, Verdict.REVIEW, f"mean {mean:.3f} is near {self.limit}", numbers)
        return Finding(self.name, Verdict.KEEP, numbers=numbers)


class StampRule:
    """Paints grey over every pixel of the stamp's colour; fails on an image with a single such pixel."""

    name = "stamp"

    def judge(self, image: RuleImage) -> Finding:
        found = (image.pixels == STAMP).all(axis=2)
        if found.sum() == 1:
            raise RuntimeError("one pixel is too little")
        if not found.any():
            return Finding(self.name, Verdict.KEEP)
        pixels = image.pixels.copy()
        pixels[found] = 128
        numbers = {"pixels": float(found.sum())}
        return Finding(self.name, Verdict.REPAIR, "a stamp", numbers, (), replace(image, pixels=pixels))


class MaskFromDarkRule:
    """Gives an image without mask one of its dark pixels, in halves, which no file can keep exactly."""

    name = "dark"

    def judge(self, image: RuleImage) -> Finding:
        if image.mask is not None:
            return Finding(self.name, Verdict.KEEP)
        mask = np.where(image.pixels.mean(axis=2) < 100, 1.0, 0.0).astype(np.float32)
        mask[:, 0] = 0.3
        return Finding(self.name, Verdict.KEEP, repaired=replace(image, mask=mask))


class FewClicksRule:
    """Drops rows with fewer than ``least`` clicks."""

    name = "few"
    needs_images = False

    def __init__(self, least: int) -> None:
        self.least = least

    def judge_all(self, rows: Sequence[Record | Summary]) -> list[Finding]:
        return [self._judge(row) for row in rows if isinstance(row, Record)]

    def _judge(self, row: Record) -> Finding:
        if (row.clicks or 0) >= self.least:
            return Finding(self.name, Verdict.KEEP)
        return Finding(self.name, Verdict.DROP, f"{row.clicks} clicks, at least {self.least}")


class SameFileRule:
    """Drops all but the first of equal files."""

    name = "same"
    needs_images = True

    def judge_all(self, rows: Sequence[Record | Summary]) -> list[Finding]:
        first: dict[str, str] = {}
        findings = []
        for row in rows:
            assert isinstance(row, Summary)
            kept = first.setdefault(row.digest, row.record.key)
            same = kept != row.record.key
            reason = f"the same as {kept}" if same else ""
            findings.append(Finding(self.name, Verdict.DROP if same else Verdict.KEEP, reason))
        return findings


def compute_mean_colours(pixels: np.ndarray) -> np.ndarray:
    """A small embedding."""
    values = pixels.reshape(-1, 3).mean(axis=0).astype(np.float32) + 1
    return values / np.linalg.norm(values)


def build_test_rules(config: CurateConfig) -> Rules:
    """The rules above; ``bright`` and ``few`` take their settings from ``config.further``."""
    bright = BrightRule(config.further.get("bright", {}))
    images = (bright, MaskFromDarkRule(), StampRule())
    return Rules(
        before=(
            FewClicksRule(config.further.get("few", {}).get("least", 1)),
            CategoryRule(CategorySettings()),
        ),
        images=images,
        after=(SameFileRule(),),
        identities={rule.name: identify(rule, config.further.get(rule.name, {})) for rule in images},
        summary="test",
        compute_embedding=compute_mean_colours,
    )


def build_recipe(**further: dict[str, Any]) -> CurateConfig:
    """A recipe for :func:`build_test_rules`: three images a shard, and a third of the products aside."""
    return CurateConfig(
        erase=None,
        further=further,
        pairs=None,
        splits=SplitSettings(bg1k=0.2, bgpair=0.2),
        output=OutputSettings(shard_size=3, samples=2),
    )


def draw_image(seed: int, brightness: int = 120, stamp: int = 0) -> np.ndarray:
    """uint8 (48, 48, 3): noise round ``brightness``, a dark product, and ``stamp`` pixels of the stamp."""
    generator = np.random.default_rng(seed)
    pixels = (
        generator.integers(brightness - 12, brightness + 12, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
    )
    pixels[16:40, 12:30] = generator.integers(20, 90, 3)
    pixels[2, 2 : 2 + stamp] = STAMP
    return pixels


def encode(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return stream.getvalue()


def write_input(folder: Path, count: int = 11) -> Path:
    """A manifest of ``count`` rows with images of every fate; the path of the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        kind = "JPEG" if number in (0, 3, 9) else "PNG"
        name = f"{number:02d}.{'jpg' if kind == 'JPEG' else 'png'}"
        brightness = {4: 250, 5: 212}.get(number, 120)
        stamp = {1: 30, 6: 1}.get(number, 0)
        data = encode(draw_image(number, brightness, stamp), kind)
        if number == 2:
            data = data[: len(data) // 2]  # cut off
        if number == 8:
            data = (folder / "07.png").read_bytes()
        (folder / name).write_bytes(data)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[16:40, 12:30] = 255
        row: dict[str, Any] = {
            "goods_id": f"p{number // 2}",
            "img_path": name,
            "cate_name": ["Cup", "vases"][number % 2],
        }
        row |= {"clicks": 0 if number == 3 else 50, "impressions": 1000, "season": "spring"}
        if number % 2 == 0:
            (folder / f"{number:02d}.mask.png").write_bytes(encode(mask))
            row["mask_path"] = f"{number:02d}.mask.png"
        rows.append(row)
    manifest = folder / "shop.jsonl"
    lines = [json.dumps(row) for row in rows]
    lines.insert(9, "{not json")
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def read_stable(out: Path) -> dict[str, bytes]:
    """Name to content of every file that equal runs have equal."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in CurateStore(out).list_stable()}
