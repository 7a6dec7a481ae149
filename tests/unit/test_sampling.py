"""The start of a sample and its steps: cyclorama.diffusion.sampling by its values."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cyclorama.diffusion.sampling import build_start, sample_latents, sample_noise
from cyclorama.errors import SettingsError


class Scheduler:
    """Adds what is known: ``z + 2 n + t``; a step adds the prediction and the timestep."""

    init_noise_sigma = 3.0

    def __init__(self, timesteps: list[int], alphas: list[float] | None = None) -> None:
        self.timesteps = torch.tensor(timesteps)
        if alphas is not None:
            self.alphas_cumprod = torch.tensor(alphas, dtype=torch.float64)

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        assert steps.shape == noise.shape[:1]
        return latents + 2 * noise + steps.view(-1, 1, 1, 1)

    def scale_model_input(self, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return latents / 2

    def step(self, prediction: Any, timestep: Any, latents: Any, return_dict: bool) -> tuple[torch.Tensor]:
        assert not return_dict
        return (latents + prediction + timestep,)


class Random(Scheduler):
    seen: list[Any]

    def step(self, prediction: Any, timestep: Any, latents: Any, return_dict: bool, eta=None, generator=None):
        self.seen = [eta, generator]
        return (latents,)


NOISE = torch.arange(8.0).view(2, 1, 2, 2)


def test_without_a_reference_noise_has_the_schedulers_strength() -> None:
    assert torch.equal(build_start(Scheduler([9]), NOISE, None), NOISE * 3)


@pytest.mark.parametrize("alphas", [None, [0.9, 0.5, 1e-6], [0.0, 1e-6, 0.5, 0.0]])
def test_a_reference_is_noised_to_the_first_timestep(alphas: list[float] | None) -> None:
    """Timestep 2 counts, and the table's last place where it is shorter; 1e-6 is still a signal."""
    timesteps = {None: 2, 3: 2, 4: 1}[alphas and len(alphas)]
    start = build_start(Scheduler([timesteps, 0], alphas), NOISE, torch.ones(2, 1, 2, 2))
    assert torch.equal(start, 1 + 2 * NOISE + timesteps)


@pytest.mark.parametrize(("timestep", "alphas"), [(2, [0.9, 0.5, 0.99e-6]), (5, [0.9, 0.5, 0.0])])
def test_a_schedule_without_signal_carries_no_reference(timestep: int, alphas: list[float]) -> None:
    with pytest.raises(SettingsError, match="Scheduler has zero terminal signal-to-noise ratio"):
        build_start(Scheduler([timestep], alphas), NOISE, NOISE)
    assert torch.equal(build_start(Scheduler([timestep], alphas), NOISE, None), NOISE * 3)


def test_the_last_place_of_a_short_table_counts() -> None:
    start = build_start(Scheduler([5], [0.0, 0.0, 0.5]), NOISE, NOISE)
    assert torch.equal(start, 3 * NOISE + 5)


def test_steps_follow_each_other() -> None:
    steps = []

    def step(index: int, timestep: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        steps.append((index, int(timestep)))
        return latents + 100

    found = sample_latents(lambda z, t: 4 * z, Scheduler([3, 1]), torch.ones(1, 1, 1, 1), on_step=step)
    first = 1 + 4 * 0.5 + 3 + 100
    assert float(found) == first + 4 * first / 2 + 1 + 100 and steps == [(0, 3), (1, 1)]


def test_eta_and_generators_go_where_they_are_known() -> None:
    start = torch.zeros(1, 1, 1, 1)
    one, two = torch.Generator(), torch.Generator()
    for generators, passed in (([one], one), ([one, two], [one, two]), (None, None)):
        scheduler = Random([1])
        sample_latents(lambda z, t: z, scheduler, start, eta=0.5, generators=generators)
        assert scheduler.seen[0] == 0.5 and scheduler.seen[1] == passed
    assert torch.equal(sample_latents(lambda z, t: z, Scheduler([1]), start, eta=0.0), start + 1)
    with pytest.raises(SettingsError, match=r"eta=0.1 has no meaning for Scheduler; use 0"):
        sample_latents(lambda z, t: z, Scheduler([1]), start, eta=0.1)


def test_the_noise_of_an_image_is_its_generators() -> None:
    seeds = [torch.Generator().manual_seed(s) for s in (1, 2)]
    noise = sample_noise((2, 3), seeds)
    assert noise.shape == (2, 2, 3) and noise.dtype == torch.float32
    alone = torch.randn(2, 3, generator=torch.Generator().manual_seed(2))
    assert torch.equal(noise[1], alone) and not torch.equal(noise[0], alone)
