"""LaMa's losses against literal sums; whose gradient reaches whom; the discriminator's own pace."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from cyclorama.erasing.network import LamaGenerator, LamaShape
from cyclorama.errors import ConfigError
from cyclorama.evaluation.feature_network import FeatureNetwork, FeatureNetworkConfig
from cyclorama.lab.baselines.lama_training import (
    LamaObjective,
    LossConfig,
    compute_feature_distance,
    compute_masked_l1,
)
from cyclorama.models.discriminator import (
    PatchDiscriminator,
    ScaledConvolution,
    compute_discriminator_loss,
    split_detail,
)

TINY = LamaShape(width=4, downsamplings=2, blocks=1)


def build_batch() -> tuple[torch.Tensor, torch.Tensor]:
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    hole = torch.zeros(2, 1, 32, 32)
    hole[..., 8:24, 4:18] = 1
    return image, hole


@pytest.fixture
def networks() -> tuple[LamaGenerator, PatchDiscriminator, FeatureNetwork]:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        features = FeatureNetwork(FeatureNetworkConfig(categories=("a", "b"), widths=(4, 4, 4, 4)))
        return LamaGenerator(TINY), PatchDiscriminator((8, 8), 0.1), features.eval().requires_grad_(False)


def test_masked_l1_weighs_hole_and_rest():
    image, hole = build_batch()
    predicted = image + torch.where(hole > 0, 0.5, -0.2)
    share = hole.mean().item()
    expected = 10 * (1 - share) * 0.1 + 3 * share * 0.25  # errors count in [0, 1]
    assert compute_masked_l1(predicted, image, hole, 10, 3).item() == pytest.approx(expected, rel=1e-5)


def test_feature_distance_is_zero_for_equal_images_and_sends_gradient_to_one_side(networks):
    image, _ = build_batch()
    other = (image * 0.5).requires_grad_()
    image.requires_grad_()
    assert compute_feature_distance(networks[2], image, image).item() == 0
    distance = compute_feature_distance(networks[2], other, image)
    literal = sum(
        ((one - two) ** 2).sum().item() / one.numel()
        for one, two in zip(networks[2].compute_maps(other), networks[2].compute_maps(image))
    )
    assert distance.item() == pytest.approx(literal / 5, rel=1e-5)
    distance.backward()
    assert other.grad is not None and other.grad.abs().max() > 0 and image.grad is None


class FixedLogits(nn.Module):
    """Logits that are the image's first channel, pooled by 8."""

    def forward(self, image):
        return nn.functional.avg_pool2d(image[:, :1], 8), []


def test_discriminator_calls_only_patches_that_touch_the_hole_false():
    image, _ = build_batch()
    hole = torch.zeros(2, 1, 32, 32)
    hole[..., 3, 3] = 1  # one pixel of the first patch
    predicted = -image
    true, fake = FixedLogits()(image)[0], FixedLogits()(predicted)[0]
    expected = 0.0
    for b in range(2):
        for y in range(4):
            for x in range(4):
                expected += math.log(1 + math.exp(-true[b, 0, y, x]))
                sign = 1 if (y, x) == (0, 0) else -1
                expected += math.log(1 + math.exp(sign * fake[b, 0, y, x]))
    found = compute_discriminator_loss(FixedLogits(), predicted, image, hole, r1=0)
    assert found.item() == pytest.approx(expected / 32, rel=1e-5)
    with_r1 = compute_discriminator_loss(FixedLogits(), predicted, image, hole, r1=2.0)
    squared_norm = 32 * 32 * (1 / 64) ** 2  # each pixel of the first channel weighs 1/64 in one logit
    assert (with_r1 - found).item() == pytest.approx(2 * squared_norm, rel=1e-5)


def compute_gradients(config, networks, batch):
    generator, discriminator, features = networks
    for network in (generator, discriminator):
        network.zero_grad()
    LamaObjective(config, features, 32)(generator, discriminator, *batch).backward()
    return (
        {name: p.grad.clone() for name, p in generator.named_parameters() if p.grad is not None},
        {name: p.grad.clone() for name, p in discriminator.named_parameters() if p.grad is not None},
    )


def test_neither_networks_gradient_reaches_the_other(networks):
    batch = build_batch()
    generator, discriminator, _ = networks
    both = LossConfig(r1=0.0)
    ours, theirs = compute_gradients(both, networks, batch)
    alone, same = compute_gradients(
        LossConfig(l1_known=0, l1_missing=1, perceptual=0, adversarial=0, feature_matching=0, r1=0),
        networks,
        batch,
    )
    assert ours.keys() == alone.keys() and theirs.keys() == same.keys()
    for name, value in theirs.items():  # the discriminator's own loss, whatever the generator's parts weigh
        assert torch.allclose(value, same[name], rtol=1e-5, atol=1e-7), name
    assert any(not torch.allclose(value, alone[name]) for name, value in ours.items())
    silenced = {name: p.detach().clone() for name, p in discriminator.named_parameters()}
    with torch.no_grad():
        for p in discriminator.parameters():
            p.zero_()
    flat, _ = compute_gradients(
        LossConfig(l1_known=0, perceptual=0, feature_matching=0, r1=0), networks, batch
    )
    assert all(
        value.abs().max() == 0 for value in flat.values()
    )  # nothing but the discriminator teaches here
    with torch.no_grad():
        for name, p in discriminator.named_parameters():
            p.copy_(silenced[name])
    taught, _ = compute_gradients(
        LossConfig(l1_known=0, perceptual=0, feature_matching=0, r1=0), networks, batch
    )
    assert max(value.abs().max() for value in taught.values()) > 0
    assert generator.training


def test_scaled_convolution_is_a_plain_one_at_another_pace():
    with torch.random.fork_rng():
        torch.manual_seed(4)
        layer = ScaledConvolution(3, 5, 2, 0.1)
        torch.manual_seed(4)
        plain = nn.Conv2d(3, 5, 3, 2, 1)
    values = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(layer(values), plain(values), atol=1e-6)
    moves = []
    for network, weight in ((layer, lambda: layer.weight * 0.1), (plain, lambda: plain.weight)):
        before = weight().detach().clone()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.0)
        network(values).square().sum().backward()
        optimizer.step()
        moves.append((weight() - before).abs().mean().item())
    assert moves[0] == pytest.approx(moves[1] * 0.1, rel=0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        {"perceptual": -1.0},
        {"discriminator_rate": 0.0},
        {"discriminator_widths": ()},
        {"l1_missing": 0.0, "perceptual": 0.0, "adversarial": 0.0},
    ],
)
def test_impossible_weights_are_refused(wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}|nothing would teach"):
        LossConfig(**wrong)


def test_a_perceptual_loss_needs_its_network():
    with pytest.raises(ConfigError, match="feature network"):
        LamaObjective(LossConfig(), None, 32)


def test_images_too_small_for_the_feature_network_are_refused_before_training(networks):
    with pytest.raises(ConfigError, match="32 pixels or more, got 16"):
        LamaObjective(LossConfig(), networks[2], 16)


def test_detail_is_what_a_mean_of_five_by_five_takes_away():
    image = torch.rand(2, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    both = split_detail(image)
    assert torch.equal(both[:, :3], image)
    window = image[:, :, 2:7, 1:6].mean(dim=(2, 3))
    torch.testing.assert_close(both[:, 3:, 4, 3], 5 * (image[:, :, 4, 3] - window))
    corner = image[:, :, :3, :3].mean(dim=(2, 3))
    torch.testing.assert_close(both[:, 3:, 0, 0], 5 * (image[:, :, 0, 0] - corner))
    assert split_detail(torch.full((1, 3, 8, 8), 0.3))[:, 3:].abs().max() < 1e-6
