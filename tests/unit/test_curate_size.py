"""Size rule: which sizes are kept, reviewed and dropped."""

from __future__ import annotations

import numpy as np
import pytest

from cyclorama.config import build_config
from cyclorama.curate.quality import SizeRule, SizeSettings
from cyclorama.curate.records import Record, RuleImage, Verdict
from cyclorama.errors import ConfigError


def _judge(height: int, width: int, settings: SizeSettings):
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    return SizeRule(settings).judge(RuleImage(Record("a", "a.png"), pixels, None, None))


@pytest.mark.parametrize(
    ("height", "width", "verdict", "reason"),
    [
        (100, 250, Verdict.KEEP, ""),
        (100, 251, Verdict.DROP, "its sides are as 1 to 2.51, the limit is 2.50"),
        (251, 100, Verdict.DROP, "its sides are as 1 to 2.51, the limit is 2.50"),
        (99, 120, Verdict.REVIEW, "the shorter side has 99 pixels, 100 are wanted"),
        (80, 80, Verdict.REVIEW, "the shorter side has 80 pixels, 100 are wanted"),
        (79, 90, Verdict.DROP, "the shorter side has 79 pixels, the least is 80"),
        (200, 300, Verdict.KEEP, ""),
        (201, 300, Verdict.DROP, "60,300 pixels, the limit is 60,000"),
    ],
)
def test_limits_are_exact(height: int, width: int, verdict: Verdict, reason: str) -> None:
    found = _judge(
        height, width, SizeSettings(min_side=80, wanted_side=100, max_pixels=60_000, max_aspect=2.5)
    )
    assert (found.verdict, found.reason) == (verdict, reason)
    longer, shorter = max(height, width), min(height, width)
    assert found.numbers == {"height": height, "width": width, "aspect": longer / shorter}


def test_every_fault_is_named() -> None:
    found = _judge(10, 40, SizeSettings())
    assert found.reason == (
        "the shorter side has 10 pixels, the least is 256; its sides are as 1 to 4.00, the limit is 2.50"
    )


def test_bad_settings_are_refused_before_any_image() -> None:
    with pytest.raises(ConfigError, match="min_side is 300, wanted_side is 256"):
        SizeSettings(min_side=300)
    with pytest.raises(ConfigError, match="max_aspect: must be .* 1, got 0.5"):
        SizeSettings(max_aspect=0.5)
    with pytest.raises(ConfigError, match="unknown key 'minside'"):
        build_config(SizeSettings, {"minside": 3})
