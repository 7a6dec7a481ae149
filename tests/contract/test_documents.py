"""What documents point at is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCE = PROJECT["urls"]["Source"]
OWN = (
    f"{SOURCE}/blob/main/",
    f"{SOURCE}/tree/main/",
    SOURCE.replace("github.com", "raw.githubusercontent.com") + "/main/",
)
"""What our own files' addresses begin with: the index and the site show pages away from the repository."""


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files(path: Path) -> None:
    targets = LINK.findall(path.read_text(encoding="utf-8"))
    targets += [
        str(ROOT / target.removeprefix(own)) for own in OWN for target in targets if target.startswith(own)
    ]
    local = [target.split("#")[0] for target in targets if "://" not in target and not target.startswith("#")]
    assert [target for target in local if not (path.parent / target).exists()] == []


def test_the_readme_works_away_from_the_repository() -> None:
    targets = LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert [target for target in targets if "://" not in target and not target.startswith("#")] == []
    assert any(target.startswith(OWN[2]) for target in targets)


def test_results_are_one_table_of_claims() -> None:
    lines = (ROOT / "RESULTS.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|") and "---" not in line]
    assert len(lines) <= 150 and len(rows) > 30
    assert all(line.count(" | ") == 4 for line in rows), [r for r in rows if r.count(" | ") != 4]


def test_there_are_documents_with_links() -> None:
    assert len(DOCUMENTS) > 15
    assert LINK.findall("[a](b.md#c), ![d](e/f.jpg)") == ["b.md#c", "e/f.jpg"]
