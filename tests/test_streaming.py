"""Animation block by block: the frames of the animation of the whole clip, whatever the blocks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from small_model import SIDE, TINY

from monkeynet_edu import streaming
from monkeynet_edu.animation import Transfer, animate, detect_clip
from monkeynet_edu.data.blocks import BLOCK
from monkeynet_edu.errors import UserError
from monkeynet_edu.model import Device, MonkeyNet
from monkeynet_edu.streaming import SAMPLE, Sample, animate_blocks, read_motion, regroup

CPU = Device(torch.device("cpu"), "float32")
FRAMES = 2 * BLOCK + 1  # the last block of the detector and of the generator holds one frame


@pytest.fixture(scope="module")
def model() -> MonkeyNet:
    """A tiny model whose keypoints and flow differ from frame to frame."""
    torch.manual_seed(3)
    net = MonkeyNet(TINY)
    torch.nn.init.normal_(net.generator.dense_motion_module.hourglass.decoder.conv.weight, std=0.1)
    frames = torch.rand(8, 3, SIDE, SIDE)
    net.train()
    with torch.no_grad():
        found = net.detect(frames)
        net(frames, found, found[torch.tensor([1, 2, 3, 4, 5, 6, 7, 0])])
    return net.eval()


@pytest.fixture(scope="module")
def video() -> torch.Tensor:
    """(65, 3, 16, 16) of noise that changes little by little."""
    generator = torch.Generator().manual_seed(1)
    ends = torch.rand(2, 3, SIDE, SIDE, generator=generator)
    share = torch.linspace(0, 1, FRAMES).view(-1, 1, 1, 1)
    return (1 - share) * ends[0] + share * ends[1]


def streamed(net: MonkeyNet, image: torch.Tensor, video: torch.Tensor, block: int, transfer: object, device: Device = CPU):
    """The frames of the streaming path, joined."""
    motion = read_motion(net, torch.split(video, block), device)
    return torch.cat(list(animate_blocks(net, image, motion, device, transfer)))


@pytest.mark.parametrize("block", [1, 7, 32, 64, FRAMES])
@pytest.mark.parametrize(
    "transfer",
    [
        "auto",
        Transfer("absolute"),
        Transfer("relative"),
        Transfer("relative", FRAMES - 1, "hull", "adapted", True),
    ],
    ids=["auto", "absolute", "relative", "adapted"],
)
def test_streamed_frames_equal_those_of_the_whole_clip_to_the_bit(
    model: MonkeyNet, video: torch.Tensor, block: int, transfer: Transfer
) -> None:
    image = video[40].flip(-1)
    whole = animate(model, image, video, CPU, transfer).prediction
    assert (whole[0] - whole[-1]).abs().max() > 1e-3  # frames do differ
    assert torch.equal(streamed(model, image, video, block, transfer), whole)


def test_streamed_frames_equal_those_of_the_whole_clip_in_bfloat16(model: MonkeyNet, video: torch.Tensor) -> None:
    device = Device(torch.device("cpu"), "bfloat16")
    whole = animate(model, video[5], video, device, "auto").prediction
    assert (streamed(model, video[5], video, 9, "auto", device).float() - whole.float()).abs().max() <= 1 / 255


def test_the_configuration_of_the_model_is_followed(model: MonkeyNet, video: torch.Tensor) -> None:
    absolute = MonkeyNet(dataclasses.replace(model.config, transfer="absolute"))
    absolute.load_state_dict(model.state_dict())
    made = streamed(absolute, video[3], video, 8, "auto")
    assert torch.equal(made, animate(model, video[3], video, CPU, Transfer("absolute")).prediction)


def test_a_block_is_forgotten_before_the_next_one_is_read(
    model: MonkeyNet, video: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, seen = [], []

    def blocks() -> Iterator[torch.Tensor]:
        for block in torch.split(video, BLOCK):
            given.append(len(block))
            yield block

    real = streaming.detect_clip

    def spy(net: MonkeyNet, frames: torch.Tensor, device: Device):
        seen.append((len(frames), sum(given)))
        return real(net, frames, device)

    monkeypatch.setattr(streaming, "detect_clip", spy)
    found = read_motion(model, blocks(), CPU)
    assert seen == [(32, 32), (32, 64), (1, 65)]
    assert torch.equal(found.mean, detect_clip(model, video, CPU).mean)


def test_a_frame_is_drawn_when_it_is_asked_for(
    model: MonkeyNet, video: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    real = streaming.draw

    def spy(*arguments: object) -> Iterator[object]:
        for block in real(*arguments):
            drawn.append(len(block.prediction))
            yield block

    monkeypatch.setattr(streaming, "draw", spy)
    coming = animate_blocks(model, video[0], detect_clip(model, video, CPU), CPU)
    assert drawn == []
    next(coming)
    assert len(drawn) == 1


@pytest.mark.parametrize("lengths", [[1] * 9, [9], [4, 5], [0, 3, 0, 6], [8, 1], []])
def test_regrouped_blocks_hold_the_same_frames_in_order(lengths: list[int]) -> None:
    video = torch.arange(float(sum(lengths))).view(-1, 1, 1, 1)
    parts = list(regroup(torch.split(video, lengths) if lengths else [], 4))
    assert [len(part) for part in parts] == ([4, 4, 1] if lengths else [])
    assert not parts or torch.equal(torch.cat(parts), video)


@pytest.mark.parametrize("count", [1, 31, 63, 64, 65, 1000])
def test_a_sample_is_evenly_spread_and_bounded(count: int) -> None:
    sample = Sample()
    for block in torch.split(torch.arange(float(count)).view(-1, 1, 1, 1), 7):
        sample.add(block)
    numbers = sample.frames.flatten()
    assert min(count, SAMPLE) <= len(numbers) < 2 * SAMPLE
    steps = numbers.diff().unique()
    assert numbers[0] == 0
    assert len(steps) <= 1
    assert count - numbers[-1] <= (steps[0] if len(steps) else 1)


def test_bad_clips_are_refused_in_one_line(model: MonkeyNet, video: torch.Tensor) -> None:
    with pytest.raises(UserError, match="driving clip: expected at least one frame, got none"):
        read_motion(model, [], CPU)
    with pytest.raises(UserError, match="frame size 10"):
        read_motion(model, [video[:3, :, :10]], CPU)
    motion = read_motion(model, [video], CPU)
    with pytest.raises(UserError, match="frame size 10"):
        animate_blocks(model, video[0, :, :, :10], motion, CPU)
    with pytest.raises(UserError, match=f"from 0 to {FRAMES - 1} .*got 65;"):
        animate_blocks(model, video[0], motion, CPU, Transfer("relative", 65))
