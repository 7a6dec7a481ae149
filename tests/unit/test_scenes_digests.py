"""Proves that every category file gives the products and stages it gave when its digests were stored.

The digests were made from the Python modules that the files replaced. ``scene_digests.py`` explains them;
``python tests/scene_digests.py > tests/scene_digests.json`` stores new ones after a change that is meant.
A digest holds the whole way from file to stage: cyclorama.scenes.grammar.document,
cyclorama.scenes.grammar.rows, cyclorama.scenes.grammar.expressions, cyclorama.scenes.grammar.vocabulary,
and cyclorama.scenes.compose.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cyclorama.scenes.grammar.reader import NAMES, load_category

sys.path.insert(0, str(Path(__file__).parents[1]))
from scene_digests import STORED, digest_category

PRODUCTS, STAGES = 6, 4
"""The first of each, a stage of every brand and one of none among them; the stored list is longer."""


@pytest.mark.parametrize("name", NAMES)
def test_products_and_stages_are_those_of_the_stored_digests(name: str) -> None:
    stored = json.loads(STORED.read_text())[name]
    found = digest_category(load_category(name), PRODUCTS, STAGES)
    assert found["products"] == stored["products"][:PRODUCTS]
    assert found["stages"] == stored["stages"][:STAGES]
