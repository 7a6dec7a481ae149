"""Every scheduler that diffusers exports: it samples our kind of model exactly, or is refused by name."""

from __future__ import annotations

from collections.abc import Callable

import diffusers
import pytest
import torch
from torch import Tensor

from cyclorama.diffusion.sampling import build_scheduler, build_start, sample_latents, sample_noise
from cyclorama.diffusion.settings import SCHEDULERS, SamplingConfig, find_scheduler_name
from cyclorama.errors import SettingsError
from cyclorama.models.scratch import build_ddim

EXPORTED = sorted(n for n in dir(diffusers) if n.endswith("Scheduler") and not n.startswith("Flax"))
IMAGE = torch.linspace(-1, 1, 48).reshape(1, 3, 4, 4)


def predict_perfectly(prediction_type: str) -> Callable[[Tensor, Tensor], Tensor]:
    """What a network would answer that knows the only image there is, at any (also fractional) timestep."""
    alphas = build_ddim(prediction_type).alphas_cumprod.double()

    def predict(noisy_latents: Tensor, timestep: Tensor) -> Tensor:
        place = float(timestep.clamp(0, 999))
        low = int(place)
        ratio = ((1 - alphas) / alphas).sqrt().log()
        sigma = (ratio[low] + (place - low) * (ratio[min(low + 1, 999)] - ratio[low])).exp()
        alpha = (1 / (1 + sigma**2)).float()
        noise = (noisy_latents - alpha.sqrt() * IMAGE) / (1 - alpha).sqrt()
        return noise if prediction_type == "epsilon" else alpha.sqrt() * noise - (1 - alpha).sqrt() * IMAGE

    return predict


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", EXPORTED)
def test_a_suitable_scheduler_ends_at_the_image_and_any_other_is_refused(
    name: str, prediction_type: str
) -> None:
    if name not in SCHEDULERS:
        with pytest.raises(SettingsError, match=f"scheduler '{name}' cannot sample .*; nearest that can: "):
            SamplingConfig(scheduler=name)
        return
    scheduler = build_scheduler(build_ddim(prediction_type), SamplingConfig(scheduler=name).scheduler)
    scheduler.set_timesteps(20)
    generators = [torch.Generator().manual_seed(5)]
    start = build_start(scheduler, sample_noise((3, 4, 4), generators), None)
    made = sample_latents(predict_perfectly(prediction_type), scheduler, start, generators=generators)
    assert float((made - IMAGE).square().mean().sqrt()) < 0.05  # the schedule's own last noise is 0.03


def test_the_list_names_classes_that_diffusers_has() -> None:
    assert set(SCHEDULERS) <= set(EXPORTED)
    assert len(set(SCHEDULERS)) == len(SCHEDULERS)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("ddim", "DDIMScheduler"),
        ("UNIPCMultistep", "UniPCMultistepScheduler"),
        (" PNDMScheduler ", "PNDMScheduler"),
    ],
)
def test_names_are_found_in_any_case_with_or_without_their_ending(given: str, found: str) -> None:
    assert find_scheduler_name(given).startswith(found)


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("Euler", "EulerAncestralDiscreteScheduler, EulerDiscreteScheduler"),
        ("EDMEuler", "Euler"),
        ("FlowMatchEulerDiscreteScheduler", "EulerDiscreteScheduler"),
        ("DPMSolverSDE", "DPMSolver"),
        ("dpm", "DPMSolverMultistepScheduler, DPMSolverSinglestepScheduler"),
        ("", "DDIMScheduler"),
        ("???", "DDIMScheduler"),
    ],
)
def test_the_nearest_suitable_class_is_suggested(given: str, near: str) -> None:
    with pytest.raises(SettingsError, match=f"nearest that can: .*{near}"):
        find_scheduler_name(given)
