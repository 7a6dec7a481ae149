"""One word for one thing: the words of the list below are not used in code, messages and documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

INSTEAD = {
    r"pictures?\b": "image",
    r"stop was wished|wish(es|ed)? to stop|StopWish": "a stop was asked for",
    r"\blest\b": "so that … not",
    r"sureness": "confidence",
    r"crumbs?\b": "small pieces",
    r"gravest": "most severe",
    r"\bLANES\b|\bin lanes\b|work_in_lanes": "shards at a time",
    r"\bstrangers?\b": "files of others",
    r"palette[_ ]follows": "palette_percentile",
    r"category[_ ]right": "category_accuracy",
}
"""What is not said, and what is said instead (docs/glossary.md)."""
SHOPS_OWN = {"columns.py", "tables.md"}
"""Files that list the columns of shops, some of which are called picture."""

FILES = sorted(
    path
    for pattern in ("src/**/*.py", "src/**/*.js", "src/**/*.yaml", "recipes/**/*.yaml", "docs/*.md", "*.md")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md" and path.name not in SHOPS_OWN
)


@pytest.mark.parametrize("word", INSTEAD)
def test_the_word_is_not_used(word: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(rf"(?i:{word})" if word.islower() else word, line)
    ]
    assert found == [], f"say {INSTEAD[word]!r}"


def test_the_list_finds_what_it_names() -> None:
    assert len(FILES) > 300
    assert re.search(next(iter(INSTEAD)), "a picture")
