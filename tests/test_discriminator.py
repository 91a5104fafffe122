"""Discriminator: sizes, blocks, what it sees of the keypoints."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monkeynet_edu.discriminator import Discriminator, DiscriminatorBlock, DiscriminatorConfig, InstanceNorm
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.motion import EmbeddingConfig


def keypoints(seed: int, batch: int = 1) -> Keypoints:
    mean = torch.rand(batch, 2, 2, generator=torch.Generator().manual_seed(seed)) - 0.5
    return Keypoints(mean, (0.05 * torch.eye(2)).expand(batch, 2, 2, 2))


def picture(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(4))


def build(config: DiscriminatorConfig) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(config, keypoints=2)


def test_features_are_the_frame_then_every_block_then_the_score() -> None:
    frame = picture(2, 3, 64, 64)
    out = build(DiscriminatorConfig(8, 32, 4))(frame, keypoints(0, 2), keypoints(1, 2))
    assert out[0] is frame
    # 64 → (64 - 3)/2 = 30 → 13 → 5 → 1
    shapes = [(2, 16, 30, 30), (2, 32, 13, 13), (2, 32, 5, 5), (2, 32, 1, 1), (2, 1, 1, 1)]
    assert [tuple(x.shape) for x in out[1:]] == shapes


def test_a_block_is_convolution_norm_leaky_relu_and_average() -> None:
    block, x = DiscriminatorBlock(3, 5, InstanceNorm(5, affine=True)), picture(2, 3, 9, 9) - 0.5
    y = F.conv2d(x, block.conv.weight, block.conv.bias)
    mean, variance = y.mean((2, 3), keepdim=True), y.var((2, 3), unbiased=False, keepdim=True)
    y = (y - mean) / (variance + 1e-5).sqrt()
    y = torch.where(y > 0, y, 0.2 * y)
    y = (y[..., ::2, ::2] + y[..., 1::2, ::2] + y[..., ::2, 1::2] + y[..., 1::2, 1::2]) / 4
    torch.testing.assert_close(block(x), y, atol=1e-6, rtol=1e-5)


def test_instance_norm_is_that_of_pytorch_and_leaves_channels_last_as_they_are() -> None:
    ours, theirs = InstanceNorm(5, affine=True).double(), nn.InstanceNorm2d(5, affine=True).double()
    for norm in (ours, theirs):
        norm.weight.data.copy_(torch.linspace(-1, 2, 5))
        norm.bias.data.copy_(torch.linspace(0.5, -3, 5))
    x = picture(3, 5, 7, 6).double().contiguous(memory_format=torch.channels_last).requires_grad_()
    mine, wanted = ours(x), theirs(x)
    torch.testing.assert_close(mine, wanted)
    assert mine.is_contiguous(memory_format=torch.channels_last)
    weights = torch.arange(6.0, dtype=torch.float64)  # of the columns
    found = torch.autograd.grad((weights * mine**2).sum(), (x, ours.weight, ours.bias))
    torch.testing.assert_close(found, torch.autograd.grad((weights * wanted**2).sum(), (x, theirs.weight, theirs.bias)))


def test_gradients_of_the_features_arrive_with_channels_last() -> None:
    model = build(DiscriminatorConfig(8, 32, 2))
    seen: list[Tensor] = []

    def watch(_: nn.Module, __: object, made: Tensor) -> None:
        made.register_hook(seen.append)

    for block in model.down_blocks:
        block.register_forward_hook(watch)
    out = model(picture(2, 3, 32, 32), keypoints(0, 2), keypoints(1, 2))
    torch.stack([(x - 0.5).abs().mean() for x in out[1:]]).sum().backward()
    assert [x.shape[1] for x in seen] == [32, 16]
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in seen)


def test_the_first_block_alone_has_no_norm_and_the_others_learn_theirs() -> None:
    blocks = build(DiscriminatorConfig(8, 32, 3)).down_blocks
    assert isinstance(blocks[0].norm, nn.Identity)
    for block in list(blocks)[1:]:
        assert isinstance(block.norm, nn.InstanceNorm2d)
        assert block.norm.affine
        assert not block.norm.track_running_stats


def test_it_sees_the_driving_keypoints_and_not_those_of_the_source() -> None:
    model, frame = build(DiscriminatorConfig(8, 32, 2)), picture(1, 3, 32, 32)
    score = model(frame, keypoints(0), keypoints(1))[-1]
    assert torch.equal(model(frame, keypoints(5), keypoints(1))[-1], score)
    assert not torch.equal(model(frame, keypoints(0), keypoints(5))[-1], score)


def test_without_an_embedding_it_sees_the_frame_alone() -> None:
    model, frame = build(DiscriminatorConfig(8, 32, 2, embedding=None)), picture(1, 3, 32, 32)
    first = model.down_blocks[0]
    assert isinstance(first, DiscriminatorBlock)
    assert first.conv.in_channels == 3
    assert torch.equal(model(frame, keypoints(0), keypoints(1))[-1], model(frame, keypoints(0), keypoints(5))[-1])


def test_the_keypoints_come_after_the_colours() -> None:
    model, frame = build(DiscriminatorConfig(8, 32, 1)), picture(1, 3, 32, 32)
    first = model.down_blocks[0]
    assert isinstance(first, DiscriminatorBlock)
    assert first.conv.in_channels == 5
    with torch.no_grad():
        first.conv.weight[:, 3:] = 0
    assert torch.equal(model(frame, keypoints(0), keypoints(1))[-1], model(frame, keypoints(0), keypoints(5))[-1])


def test_the_scale_shrinks_frame_and_heatmaps_but_not_the_first_feature() -> None:
    frame = picture(1, 3, 32, 32)
    out = build(DiscriminatorConfig(8, 32, 1, scale=0.5))(frame, keypoints(0), keypoints(1))
    assert out[0] is frame
    assert out[1].shape == (1, 16, 6, 6)  # (16 - 3)/2
    small = build(DiscriminatorConfig(8, 32, 1, EmbeddingConfig(heatmap="gaussian", scale=0.5)))
    assert small(frame, keypoints(0), keypoints(1))[1].shape == (1, 16, 14, 14)  # the embedding alone is shrunk


def test_gradients_reach_frame_and_driving_keypoints() -> None:
    frame, driving = picture(1, 3, 32, 32).requires_grad_(), keypoints(1)
    driving.mean.requires_grad_()
    build(DiscriminatorConfig(8, 32, 2))(frame, keypoints(0), driving)[-1].sum().backward()
    assert frame.grad is not None
    assert frame.grad.abs().max() > 0
    assert driving.mean.grad is not None
    assert driving.mean.grad.abs().max() > 0
