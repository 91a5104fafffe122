"""Blocks: shapes, widths, order of concatenation, and the published numbers of parameters."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monkeynet_edu import layers
from monkeynet_edu.layers import Decoder, DownBlock, Encoder, GroupBlock, Hourglass, ResidualBlock, UpBlock


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_level_width_doubles_up_to_the_bound() -> None:
    assert [layers.level_width(32, 512, level) for level in range(6)] == [32, 64, 128, 256, 512, 512]


def test_a_down_block_is_convolution_norm_relu_and_average_of_four() -> None:
    block, x = DownBlock(3, 5).eval(), random(2, 3, 6, 8)
    assert isinstance(block.norm.running_mean, Tensor)
    block.norm.running_mean.fill_(0.1)  # otherwise the norm does next to nothing
    full = F.relu((F.conv2d(x, block.conv.weight, block.conv.bias, padding=1) - 0.1) / (1 + 1e-5) ** 0.5)
    mean = (full[..., ::2, ::2] + full[..., 1::2, ::2] + full[..., ::2, 1::2] + full[..., 1::2, 1::2]) / 4
    torch.testing.assert_close(block(x), mean)


def test_an_up_block_repeats_pixels_before_it_convolves() -> None:
    block, x = UpBlock(3, 5).eval(), random(2, 3, 4, 3)
    repeated = x.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
    wanted = F.relu(F.conv2d(repeated, block.conv.weight, block.conv.bias, padding=1) / (1 + 1e-5) ** 0.5)
    skip = random(2, 4, 8, 6)
    torch.testing.assert_close(block(x, skip), torch.cat([wanted, skip], dim=1))


def test_an_up_block_computes_what_is_taught_and_so_does_its_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    block, taught = UpBlock(3, 5).double(), layers.up_and_concatenate
    inputs = random(2, 3, 4, 3).double().requires_grad_(), random(2, 4, 8, 6).double().requires_grad_()
    wanted = [*inputs, *block.parameters()]
    ours = block(*inputs)
    monkeypatch.setattr(layers, "up_and_concatenate", lambda *args: taught(*args))  # now the plain form runs
    plain = block(*inputs)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-12)
    weights = random(*ours.shape).double()
    for a, b in zip(*(torch.autograd.grad((o * weights).sum(), wanted) for o in (ours, plain)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_u_net_keeps_channels_last_and_its_precision_from_end_to_end(precision: torch.dtype) -> None:
    network = Hourglass(3, 2, 4, 8, 2)
    seen: list[Tensor] = []
    for part in (*network.encoder.down_blocks, *network.decoder.up_blocks):
        part.register_forward_hook(lambda _, __, made: seen.append(made))
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        network(random(2, 3, 16, 16))
    assert len(seen) == 4
    assert all(x.is_contiguous(memory_format=torch.channels_last) and x.dtype == precision for x in seen)


def test_a_group_block_does_not_mix_groups() -> None:
    torch.manual_seed(0)  # with other weights ReLU may hide the change
    block, x = GroupBlock(6, 3).eval(), random(1, 6, 4, 4)
    changed = x.clone()
    changed[:, 2:4] += 1
    same = (block(x) == block(changed)).all(dim=-1).all(dim=-1)[0]
    assert same.tolist() == [True, True, False, False, True, True]


def test_a_residual_block_adds_to_its_input_and_starts_with_the_norm() -> None:
    block, x = ResidualBlock(4).eval(), random(1, 4, 5, 5)
    nn.init.zeros_(block.conv2.weight)
    assert block.conv2.bias is not None
    nn.init.constant_(block.conv2.bias, 0.5)
    torch.testing.assert_close(block(x), x + 0.5)
    assert torch.equal(block.conv1(F.relu(block.norm1(-x.abs()))), block.conv1(torch.zeros_like(x)))


def test_the_encoder_returns_its_input_first_then_ever_smaller_and_wider_levels() -> None:
    x = random(2, 3, 16, 32)
    levels = Encoder(3, 4, 12, 3).eval()(x)
    assert levels[0] is x
    assert [tuple(level.shape) for level in levels] == [(2, 3, 16, 32), (2, 8, 8, 16), (2, 12, 4, 8), (2, 12, 2, 4)]


def test_the_decoders_inputs_have_the_published_widths() -> None:
    b, m, n, e = 4, 12, 3, 5
    decoder = Decoder(3, None, b, m, n, e)
    taken = [block.conv.in_channels for block in decoder.up_blocks if isinstance(block, UpBlock)]
    given = [block.conv.out_channels for block in decoder.up_blocks if isinstance(block, UpBlock)]
    # i = 2, 1, 0: (1 or 2)·min(m, b·2^(i+1)) + e → min(m, b·2^i)
    assert taken == [12 + 5, 2 * 12 + 5, 2 * 8 + 5]
    assert given == [12, 8, 4]
    assert decoder.out_channels == 4 + 3 + 5


def test_the_decoder_puts_its_own_output_before_the_level_and_leaves_the_list_alone() -> None:
    decoder = Decoder(3, None, 4, 16, 2, 1).eval()
    levels = [random(1, 4, 8, 8), random(1, 9, 4, 4), random(1, 17, 2, 2)]  # each level with its extra channel last
    before = list(levels)
    out = decoder(levels)
    assert len(levels) == 3
    assert all(a is b for a, b in zip(levels, before, strict=True))
    assert torch.equal(out[:, 4:], levels[0])
    first, second = decoder.up_blocks
    assert torch.equal(out[:, :4], second(first(levels[2], levels[1]), levels[0])[:, :4])


def test_the_last_convolution_is_optional() -> None:
    x = Decoder(3, 7, 4, 16, 1).eval()([random(1, 3, 4, 4), random(1, 8, 2, 2)])
    assert x.shape == (1, 7, 4, 4)
    assert Decoder(3, None, 4, 16, 1).conv is None


@pytest.mark.parametrize("levels", [1, 3, 5])
def test_an_hourglass_keeps_the_resolution_of_any_picture_it_can_halve(levels: int) -> None:
    side = 2**levels
    out = Hourglass(2, 6, 4, 8, levels).eval()(random(1, 2, side, 3 * side))
    assert out.shape == (1, 6, side, 3 * side)


def test_an_hourglass_has_as_many_parameters_as_counted_by_hand() -> None:
    # n = 1, b = 2, m = 8, 3 → 5: down 3→4 (112 + 8), up 4→2 (74 + 4), last 2+3→5 (230); a norm has 2 a channel.
    assert count(Hourglass(3, 5, 2, 8, 1)) == (3 * 9 * 4 + 4) + 8 + (4 * 9 * 2 + 2) + 4 + (5 * 9 * 5 + 5)
