"""What is missing is said with its name and the way to it, whichever package it is."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cyclorama.curate.people_finding import FACE, build_blaze_finder, build_body_finder
from cyclorama.curate.text_finding import RapidTextFinder, draw_texts
from cyclorama.data.table import open_table
from cyclorama.errors import MissingDependencyError, import_optional
from cyclorama.evaluation.preservation import build_rapidocr_reader
from cyclorama.imaging.cutout import RembgNetwork
from cyclorama.jobs.job import EngineSettings
from cyclorama.jobs.run import build_engine

PIXELS = np.zeros((64, 64, 3), np.uint8)


def _open_sheet(folder: Path) -> object:
    with zipfile.ZipFile(folder / "a.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "")
    return open_table(str(folder / "a.xlsx"))


def _find_face(folder: Path) -> object:
    (folder / FACE.file).write_bytes(b"TFL3")
    return build_blaze_finder(folder, FACE, 0.5, 0.1)(PIXELS)


@pytest.mark.parametrize(
    ("package", "ask", "said"),
    [
        (
            "cv2",
            lambda _: build_body_finder(1.0, 64)(PIXELS),
            r"cyclorama\[curate\]\"; or set \"people: null",
        ),
        ("cv2", lambda _: draw_texts([], (8, 8)), r"cyclorama\[curate\]\"; or set \"text: null"),
        ("rapidocr", lambda _: RapidTextFinder()(PIXELS), r"RapidOCR: pip install \"cyclorama\[curate\]"),
        ("rapidocr", lambda _: build_rapidocr_reader(), r"cyclorama\[evaluate\]\", or leave the metric"),
        ("ai_edge_litert.interpreter", _find_face, "LiteRT: pip install ai-edge-litert; or set 'people"),
        ("ray", lambda _: build_engine(EngineSettings(engine="ray")), r"pip install 'cyclorama\[ray\]'"),
        ("rembg", lambda _: RembgNetwork("u2netp"), r"'u2netp' needs rembg.* pip install 'rembg\[cpu\]'"),
        ("openpyxl", _open_sheet, r"a\.xlsx needs openpyxl: pip install 'cyclorama\[excel\]'"),
    ],
)
def test_what_is_missing_names_its_remedy(
    package: str, ask: Callable[[Path], object], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=said):
        ask(tmp_path)


def test_a_package_that_exits_is_missing_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """rembg ends the process where onnxruntime is missing."""
    (tmp_path / "quits.py").write_text("raise SystemExit(1)")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingDependencyError, match="^get it$"):
        import_optional("quits", "get it")
    assert import_optional("sys", "get it") is sys
