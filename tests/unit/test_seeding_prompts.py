"""Seeds depend on (run, item, purpose) only; prompts are written as the method says."""

from __future__ import annotations

import pytest
import torch

from cyclorama.prompts import build_identifier, build_prompts
from cyclorama.seeding import build_numpy_generator, compute_seed
from cyclorama.tensors import build_generator


def test_seeds_are_stable_and_differ_by_each_part() -> None:
    assert compute_seed(0, "a.png", "noise") == 5908148969588473085
    seeds = {
        compute_seed(run, item, purpose)
        for run in (0, 1)
        for item in ("a", "b", 1, "1")
        for purpose in ("noise", "order")
    }
    assert len(seeds) == 16
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_generators_repeat_and_do_not_touch_the_global_state() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    a = torch.randn(4, generator=build_generator(1, "x", "noise"))
    b = torch.randn(4, generator=build_generator(1, "x", "noise"))
    assert torch.equal(a, b)
    assert torch.equal(torch.rand(1), expected)
    first, again = (build_numpy_generator(1, 2, "p").integers(0, 2**62) for _ in range(2))
    assert first == again


def test_prompts_and_identifiers() -> None:
    prompts = build_prompts("rice cooker", build_identifier(17))
    assert prompts.product == "A photo of rice cooker"
    assert prompts.background == "in the background of sks 17"
    assert prompts.full == "A photo of rice cooker, in the background of sks 17"
    with pytest.raises(ValueError, match="0 or more, got -1"):
        build_identifier(-1)
