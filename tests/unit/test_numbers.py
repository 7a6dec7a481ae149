"""Whole modules of imaging and evaluation against stored numbers.

Named here is all that ``tests/numbers_of_images.py`` and ``tests/numbers_of_sets.py`` count up:
cyclorama.imaging.clipping, cyclorama.imaging.colour, cyclorama.imaging.compositing,
cyclorama.imaging.decoding, cyclorama.imaging.formats, cyclorama.imaging.inputs, cyclorama.imaging.keying,
cyclorama.imaging.layers, cyclorama.imaging.layout, cyclorama.imaging.loading, cyclorama.imaging.masks,
cyclorama.imaging.matting, cyclorama.imaging.metadata, cyclorama.imaging.parts, cyclorama.imaging.product,
cyclorama.imaging.transforms, cyclorama.evaluation.compare, cyclorama.evaluation.distances,
cyclorama.evaluation.feature_network, cyclorama.evaluation.features, cyclorama.evaluation.following,
cyclorama.evaluation.measure, cyclorama.evaluation.preservation, cyclorama.evaluation.projection,
cyclorama.evaluation.published, cyclorama.evaluation.reading, cyclorama.evaluation.report,
cyclorama.evaluation.rim, cyclorama.evaluation.settings, cyclorama.evaluation.tables.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

import numbers_of_images
import numbers_of_sets


def list_differences(found: Any, stored: Any, place: str = "") -> Iterator[str]:
    if isinstance(stored, dict) and isinstance(found, dict) and stored.keys() == found.keys():
        for key, value in stored.items():
            yield from list_differences(found[key], value, f"{place}/{key}")
    elif isinstance(stored, list) and isinstance(found, list) and len(stored) == len(found):
        for number, value in enumerate(stored):
            yield from list_differences(found[number], value, f"{place}[{number}]")
    elif isinstance(stored, float) and isinstance(found, float):
        if not math.isclose(found, stored, rel_tol=1e-4, abs_tol=1e-4):
            yield f"{place}: {found} instead of {stored}"
    elif found != stored:
        yield f"{place}: {found!r} instead of {stored!r}"


MODULES = [(helper, name) for helper in (numbers_of_images, numbers_of_sets) for name in helper.COUNTS]


@pytest.mark.parametrize(("helper", "name"), MODULES, ids=[name for _, name in MODULES])
def test_numbers_are_those_stored(helper: Any, name: str) -> None:
    found = json.loads(json.dumps(numbers_of_images.sum_up(helper.COUNTS[name]())))
    differences = list(list_differences(found, json.loads(helper.STORED.read_text())[name]))
    assert not differences, differences[:5]
