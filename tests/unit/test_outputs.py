"""What a curation run leaves (``cyclorama.curate.outputs``): shards, their notes, logs of the dropped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cyclorama.curate import outputs
from cyclorama.curate.records import Finding, Record, Verdict
from cyclorama.curate.settling import JudgedRow
from cyclorama.curate.store import FROM_FILE, CurateStore
from cyclorama.errors import DataError

RAW = b"a file"


def build_row(key: str, verdict: Verdict = Verdict.KEEP, findings: tuple[Finding, ...] = ()) -> JudgedRow:
    rule = "" if verdict == Verdict.KEEP else "text"
    digest = hashlib.sha256(RAW).hexdigest()
    record = Record(key, f"{key}.png", category="cup", licence="CC0-1.0")
    row = JudgedRow(record, list(findings), [], dict(FROM_FILE), digest, "", f"state of {key}", None)
    row.verdict, row.rule, row.reason = verdict, rule, "words" if rule else ""
    return row


def test_kept_rows_go_to_shards_in_order_and_old_shards_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[list[tuple[str, bytes]]] = []

    def write(samples: Any, folder: Path, size: int) -> None:
        assert (folder, size) == (tmp_path / "set", 2)
        written.append([(sample.key, sample.image) for sample in samples])

    monkeypatch.setattr(outputs, "write_shards", write)
    monkeypatch.setattr(outputs, "encode_sample", lambda row, key, cache: outputs.Sample(key, RAW, None))
    store, cache = CurateStore(tmp_path), SimpleNamespace()
    rows = [build_row("a"), build_row("b", Verdict.DROP), build_row("c"), build_row("d", Verdict.REPAIR)]
    store.set.mkdir()
    for number in (1, 2, 10):
        (store.set / f"shard-{number:06d}.tar").touch()
    keys = outputs.write_training_set(store, cache, rows, 2)  # type: ignore[arg-type]
    assert keys == {0: "a", 2: "c", 3: "d"}
    assert written == [[("a", RAW), ("c", RAW), ("d", RAW)]]
    names = sorted(path.name for path in store.set.glob("shard-*"))
    assert names == ["shard-000000.from", "shard-000001.from", "shard-000001.tar"]

    def finish() -> list[Path]:
        marks = [outputs.get_done_path(store.set / f"shard-{number:06d}.tar") for number in (0, 1)]
        for number, mark in enumerate(marks):
            (store.set / f"shard-{number:06d}.tar").touch()
            mark.write_text("{}")
        return marks

    marks = finish()
    monkeypatch.setattr(
        outputs, "load_done_mark", lambda tar: {} if outputs.get_done_path(tar).exists() else None
    )
    outputs.write_training_set(store, cache, rows, 2)  # type: ignore[arg-type]
    assert all(mark.is_file() for mark in marks)  # equal rows: the shards stand, nothing is encoded
    assert written[-1] == [("a", b""), ("c", b""), ("d", b"")]
    rows[3].state = "another"
    outputs.write_training_set(store, cache, rows, 2)  # type: ignore[arg-type]
    assert [mark.is_file() for mark in marks] == [True, False]
    assert written[-1] == [("a", b""), ("c", b""), ("d", RAW)]


def test_the_dropped_are_told_by_the_rule_that_dropped_them(tmp_path: Path) -> None:
    store = CurateStore(tmp_path)
    store.rejects.mkdir()
    (store.rejects / "of an earlier recipe.jsonl").touch()
    findings = (
        Finding("people", Verdict.DROP, "a face", {"score": 9.0}),
        Finding("text", Verdict.REVIEW, "perhaps", {"words": 1.0}),
        Finding("text", Verdict.DROP, "words", {"words": 7.0}),
    )
    rows = [build_row("a"), build_row("b", Verdict.DROP, findings), build_row("c", Verdict.REVIEW)]
    outputs.write_rejects(store, rows, ["people", "text"])
    assert sorted(path.name for path in store.rejects.iterdir()) == ["people.jsonl", "text.jsonl"]
    assert (store.rejects / "people.jsonl").read_bytes() == b""
    (line,) = (store.rejects / "text.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "key": "b",
        "image": "b.png",
        "product_id": None,
        "rule": "text",
        "reason": "words",
        "numbers": {"words": 7.0},
    }


def test_the_result_table_has_a_row_per_row(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    rows = [build_row("a"), build_row("b", Verdict.DROP)]
    rows[0].layers = FROM_FILE | {"pixels": "0abc", "mask": "none"}
    outputs.write_results(CurateStore(tmp_path), rows, {0: "a-key"})
    table = pq.read_table(tmp_path / "results.parquet").to_pylist()
    assert [(row["row"], row["key"], row["verdict"], row["set_key"]) for row in table] == [
        (0, "a", "keep", "a-key"),
        (1, "b", "drop", None),
    ]
    assert [(row["repaired_pixels"], row["product_mask"]) for row in table] == [
        ("cache/0a/0abc.png", None),
        (None, None),
    ]


def test_an_untouched_file_goes_into_a_shard_byte_for_byte() -> None:
    raw = outputs.encode_png(np.full((2, 3, 3), 9, np.uint8))
    image = SimpleNamespace(raw=raw, mask=np.ones((2, 3), np.float32), pixels=np.zeros((2, 3, 3), np.uint8))
    cache: Any = SimpleNamespace(load_image=lambda record, layers: image)
    row = build_row("a")
    with pytest.raises(DataError, match=r"a\.png has changed since it was judged"):
        outputs.encode_sample(row, "k", cache)
    row.digest = hashlib.sha256(raw).hexdigest()
    sample = outputs.encode_sample(row, "k", cache)
    assert (sample.key, sample.image, sample.image_suffix) == ("k", raw, "png")
    row.layers = FROM_FILE | {"pixels": "0abc"}
    assert outputs.encode_sample(row, "k", cache).image == outputs.encode_png(image.pixels)
    image.mask = None
    with pytest.raises(DataError, match="row 'a' has no mask"):
        outputs.encode_sample(row, "k", cache)
