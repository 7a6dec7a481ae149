"""References are encoded once per content, each alone: no cache, order or batch changes an image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.models.pipeline import CycloramaPipeline
from cyclorama.models.speed import EncodingCache, compute_digest, get_weights_state
from tiny_models import build_tiny_pipeline

STEPS = SamplingConfig(num_inference_steps=2)


@pytest.fixture(name="pipeline")
def build_pipeline() -> CycloramaPipeline:
    built = build_tiny_pipeline()
    built.set_progress_bar_config(disable=True)
    return built


@pytest.fixture(name="encoded")
def count_encodings(pipeline: CycloramaPipeline) -> Iterator[dict[str, list[int]]]:
    """How many images each call of the two encoders had."""
    counts: dict[str, list[int]] = {"latents": [], "hint": []}
    vae, hint = pipeline.vae.encode, pipeline.personality_generator.controlnet_cond_embedding

    def encode(image: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        counts["latents"].append(len(image))
        return vae(image, *args, **kwargs)

    pipeline.vae.encode = encode
    handle = hint.register_forward_pre_hook(lambda _, args: counts["hint"].append(len(args[0])))
    yield counts
    handle.remove()
    pipeline.vae.encode = vae


def draw(seed: int, channels: int = 3) -> torch.Tensor:
    return torch.rand(1, channels, 64, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def sample(pipeline: CycloramaPipeline, references: list[int], **values: Any) -> torch.Tensor:
    """Product ``i`` with reference ``references[i]``; images in that order."""
    count = len(references)
    masks = torch.zeros(count, 1, 64, 64)
    masks[:, :, 16:48, 20:40] = 1
    hidden = values.pop("hidden", None)
    return pipeline(
        torch.cat([draw(100 + i) for i in range(count)]),
        masks,
        ["fruit"] * count,
        [torch.Generator().manual_seed(i) for i in range(count)],
        torch.cat([draw(number) for number in references]),
        None if hidden is None else torch.stack([torch.full((1, 64, 64), h) for h in hidden]),
        settings=SamplingConfig(num_inference_steps=2, **values),
    )


def test_a_reference_is_encoded_once_for_all_its_images(
    pipeline: CycloramaPipeline, encoded: dict[str, list[int]]
) -> None:
    sample(pipeline, [1, 1, 2])
    assert encoded == {"latents": [1, 1], "hint": [1, 1]}
    sample(pipeline, [2, 1])
    assert encoded == {"latents": [1, 1], "hint": [1, 1]}
    sample(pipeline, [3])
    assert encoded == {"latents": [1] * 3, "hint": [1] * 3}
    assert pipeline.encodings.computed == 6


def test_images_are_the_same_with_and_without_the_cache(pipeline: CycloramaPipeline) -> None:
    kept = [sample(pipeline, [1, 2, 1]), sample(pipeline, [2, 1, 1]), sample(pipeline, [1, 2, 1])]
    pipeline.encodings = EncodingCache(0)
    fresh = [sample(pipeline, [1, 2, 1]), sample(pipeline, [2, 1, 1])]
    assert torch.equal(kept[0], fresh[0])
    assert torch.equal(kept[1], fresh[1])
    assert torch.equal(kept[2], fresh[0])
    assert pipeline.encodings.computed == 12
    assert not torch.equal(fresh[0][0], fresh[1][0])


def test_only_what_is_needed_is_encoded(pipeline: CycloramaPipeline, encoded: dict[str, list[int]]) -> None:
    sample(pipeline, [1], initial_latent=False)
    assert encoded == {"latents": [], "hint": [1]}
    sample(pipeline, [2], reference_strength=0.0)
    assert encoded == {"latents": [1], "hint": [1]}


def test_another_mask_is_another_hint(pipeline: CycloramaPipeline, encoded: dict[str, list[int]]) -> None:
    """The hint is the reference outside its own product; a mask of zeros hides what no mask does: nothing."""
    shown, hidden = sample(pipeline, [1], hidden=[0.0]), sample(pipeline, [1], hidden=[1.0])
    assert encoded == {"latents": [1], "hint": [1, 1]}
    assert not torch.equal(shown, hidden)
    assert torch.equal(sample(pipeline, [1]), shown)
    both = sample(pipeline, [1, 1], hidden=[0.0, 1.0])
    assert encoded == {"latents": [1], "hint": [1, 1]}
    assert (both[0] - shown[0]).abs().max() * 127.5 <= 2


def test_changed_weights_are_noticed(pipeline: CycloramaPipeline, encoded: dict[str, list[int]]) -> None:
    before = sample(pipeline, [1])
    with torch.no_grad():
        next(pipeline.personality_generator.controlnet_cond_embedding.parameters()).add_(0.5)
    after = sample(pipeline, [1])
    assert encoded == {"latents": [1], "hint": [1, 1]}
    assert not torch.equal(before, after)
    pipeline.to(torch.bfloat16)
    sample(pipeline, [1])
    assert encoded == {"latents": [1, 1], "hint": [1, 1, 1]}


def test_the_cache_forgets_what_was_used_longest_ago() -> None:
    cache = EncodingCache(megabytes=2)
    made: list[str] = []

    def build(name: str, megabytes: float = 1) -> torch.Tensor:
        made.append(name)
        return torch.zeros(round(megabytes * 2**18))

    def get(name: str, megabytes: float = 1) -> torch.Tensor:
        return cache.get(name, lambda: build(name, megabytes))

    first = get("a")
    get("b")
    assert get("a") is first
    get("c")
    assert made == ["a", "b", "c"]
    get("a")
    get("b")
    assert made == ["a", "b", "c", "b"]
    assert get("large", 3).nbytes == 3 * 2**20  # given, but not kept
    get("large", 3)
    assert made[4:] == ["large", "large"]
    get("b")
    assert cache.computed == len(made) == 7


def test_digests_name_values_shape_and_kind() -> None:
    x = draw(1)
    same = x.to(memory_format=torch.channels_last)
    assert compute_digest(x) == compute_digest(same) == compute_digest(x.clone())
    others = [x.reshape(1, 3, 4096), x.double(), x.bfloat16(), torch.nextafter(x, x + 1), draw(2)]
    assert len({compute_digest(x), *map(compute_digest, others)}) == 6


def test_weights_made_for_inference_only_have_a_state() -> None:
    with torch.inference_mode():
        layer = torch.nn.Linear(2, 2)
    assert get_weights_state(layer) == get_weights_state(layer)
