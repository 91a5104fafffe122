from __future__ import annotations

import colorsys
import math
import time

import numpy as np
import pytest
import torch

from monkeynet_edu.data.datasets import Clip
from monkeynet_edu.data.pairs import (
    NO_AUGMENTATION,
    PUBLISHED_AUGMENTATIONS,
    Augmentation,
    PairSampler,
    rotate_and_resize,
    shift_hue,
)
from monkeynet_edu.errors import UserError


def numbered(count: int, length: int = 6, side: int = 8) -> list[Clip]:
    """Clip c, frame t holds c in red, t in green and a ramp over columns in blue."""
    clips = []
    for c in range(count):
        frames = np.zeros((length, side, side, 3), dtype=np.uint8)
        frames[..., 0] = c
        frames[..., 1] = np.arange(length)[:, None, None]
        frames[..., 2] = np.arange(side) * 10
        clips.append(Clip(f"clip{c}", frames))
    return clips


def read(batch: torch.Tensor) -> tuple[list[int], list[int], list[bool]]:
    """Clip numbers, frame numbers and whether mirrored, of a batch of `numbered` clips."""
    values = (batch * 255).round()
    mirrored = values[:, 2, 0, 0] > values[:, 2, 0, -1]
    return values[:, 0, 0, 0].int().tolist(), values[:, 1, 0, 0].int().tolist(), mirrored.tolist()


def gathered(sampler: PairSampler, steps: int):
    rows = []
    for step in range(steps):
        source, driving = sampler.batch(step)
        (clip, t, flipped), (clip2, t2, flipped2) = read(source), read(driving)
        assert clip == clip2
        assert flipped == flipped2
        rows += zip(clip, t, t2, flipped, strict=True)
    return rows


def test_a_pair_is_two_distinct_frames_of_one_clip_the_earlier_one_first():
    source, driving = PairSampler(numbered(8), 8).batch(0)
    assert source.shape == driving.shape == (8, 3, 8, 8)
    assert source.dtype == torch.float32
    rows = gathered(PairSampler(numbered(8), 8), 60)
    assert all(first < second for _, first, second, _ in rows)
    # All 15 pairs of 6 frames are equally likely: 480 draws, 32 of each expected, standard deviation 5.5.
    counts = [sum((a, b) == (s, t) for _, s, t, _ in rows) for a in range(6) for b in range(a + 1, 6)]
    assert min(counts) > 32 - 4 * 5.5
    assert max(counts) < 32 + 4 * 5.5


def test_a_short_reach_draws_all_near_pairs_and_no_far_ones():
    sampler = PairSampler(numbered(8, length=11), 8)
    for reach, widest in ((0.3, 3), (0.01, 1)):
        gaps, firsts = set(), set()
        for step in range(40):
            source, driving = sampler.batch(step, reach)
            for a, b in zip(read(source)[1], read(driving)[1], strict=True):
                gaps.add(b - a)
                firsts.add(a)
        assert gaps == set(range(1, widest + 1))
        assert firsts == set(range(10)), "every frame but the last may come first"


def test_flips_come_at_the_published_rates_and_never_both():
    rows = gathered(PairSampler(numbered(8), 8, Augmentation()), 100)
    swapped = np.array([first > second for _, first, second, _ in rows])
    mirrored = np.array([flag for *_, flag in rows])
    assert not (swapped & mirrored).any()
    assert swapped.mean() == pytest.approx(0.5, abs=0.07)
    assert mirrored.mean() == pytest.approx(0.25, abs=0.07)
    bair = gathered(PairSampler(numbered(8), 8, PUBLISHED_AUGMENTATIONS["bair"]), 60)
    assert all(first < second for _, first, second, _ in bair)
    assert np.mean([flag for *_, flag in bair]) == pytest.approx(0.5, abs=0.1)


def test_every_clip_is_drawn_once_an_epoch_also_when_batches_straddle_epochs():
    sampler = PairSampler(numbered(10), 4)
    drawn = [index for step in range(5) for index in sampler.clip_indices(step)]
    assert sorted(drawn[:10]) == list(range(10))
    assert sorted(drawn[10:]) == list(range(10))
    assert drawn[:10] != drawn[10:]
    assert read(sampler.batch(2)[0])[0] == drawn[8:12]
    assert [sampler.epoch(step) for step in (0, 2, 3, 5)] == [0, 0, 1, 2]
    assert (sampler.steps(1), sampler.steps(2)) == (3, 5)


def test_a_resumed_run_draws_what_the_uninterrupted_one_would():
    chosen = PUBLISHED_AUGMENTATIONS["actions"]
    whole = PairSampler(numbered(8, side=16), 4, chosen, seed=5)
    expected = [whole.batch(step) for step in range(6)]
    resumed = PairSampler(numbered(8, side=16), 4, chosen, seed=5)
    for step in (5, 3):
        for got, wanted in zip(resumed.batch(step), expected[step], strict=True):
            assert torch.equal(got, wanted)
    other = PairSampler(numbered(8, side=16), 4, chosen, seed=6).batch(5)
    assert not torch.equal(other[0], expected[5][0])


def test_both_frames_of_a_pair_get_the_same_augmentation():
    noise = np.random.default_rng(0).integers(0, 255, (1, 16, 16, 3), dtype=np.uint8)
    still = [Clip(str(i), np.repeat(noise, 4, axis=0)) for i in range(4)]
    plain, _ = PairSampler(still, 4).batch(0)
    for chosen in (Augmentation(hue=0.5), Augmentation(rotation=10), Augmentation(resize=(0.9, 1.1))):
        source, driving = PairSampler(still, 4, chosen).batch(0)
        assert torch.equal(source, driving)
        assert not torch.equal(source, plain)
        assert source.min() >= 0
        assert source.max() <= 1
        assert not torch.equal(source[0], source[1])  # drawn anew for each pair


def test_no_augmentation_hands_the_pixels_over_exactly():
    clips = [Clip("a", np.random.default_rng(0).integers(0, 255, (2, 5, 7, 3), dtype=np.uint8))]
    source, driving = PairSampler(clips, 1, NO_AUGMENTATION).batch(0)
    for image, frame in ((source, clips[0].frames[0]), (driving, clips[0].frames[1])):
        np.testing.assert_array_equal((image[0].permute(1, 2, 0) * 255).round().numpy(), frame)


def one(value: float) -> torch.Tensor:
    return torch.tensor([value])


def test_a_quarter_turn_is_the_exact_quarter_turn_clockwise():
    image = torch.rand(1, 3, 9, 9)
    turned = rotate_and_resize(image, one(math.pi / 2), one(1.0), torch.zeros(1, 2))
    torch.testing.assert_close(turned, torch.rot90(image, -1, dims=(2, 3)), atol=1e-5, rtol=0)


def test_a_turn_keeps_angles_in_a_frame_that_is_not_square():
    image = torch.zeros(1, 1, 21, 41)
    image[0, 0, 10, 28] = 1  # eight pixels right of the centre …
    turned = rotate_and_resize(image, one(math.pi / 2), one(1.0), torch.zeros(1, 2))
    middle = turned[0, 0, :, 10:31]  # beyond lies the reflection
    assert (middle > 0.99).nonzero().tolist() == [[18, 10]]  # … goes eight below it


def test_enlarging_by_two_spreads_the_middle_and_a_shift_moves_it():
    ramp = torch.linspace(0, 1, 9).expand(1, 1, 9, 9)
    doubled = rotate_and_resize(ramp, one(0.0), one(2.0), torch.zeros(1, 2))
    torch.testing.assert_close(doubled[0, 0, 4], torch.linspace(0.25, 0.75, 9))
    shifted = rotate_and_resize(ramp, one(0.0), one(2.0), torch.tensor([[0.5, 0.0]]))
    torch.testing.assert_close(shifted[0, 0, 4], torch.linspace(0.5, 1.0, 9))


def test_beyond_the_border_the_picture_is_reflected():
    ramp = torch.linspace(-1, 1, 9).expand(1, 1, 9, 9)
    halved = rotate_and_resize(ramp, one(0.0), one(0.5), torch.zeros(1, 2))
    expected = torch.tensor([0.0, -0.5, -1.0, -0.5, 0.0, 0.5, 1.0, 0.5, 0.0])
    torch.testing.assert_close(halved[0, 0, 4], expected, atol=1e-6, rtol=0)


def test_a_shrunk_pair_stays_in_the_middle_and_an_enlarged_one_wanders():
    plain, _ = PairSampler(numbered(8), 8).batch(0)
    for factor in (0.5, 2.0):
        chosen = Augmentation(time_flip=0, horizontal_flip=0, resize=(factor, factor))
        source, _ = PairSampler(numbered(8), 8, chosen).batch(0)
        centred = rotate_and_resize(plain, torch.zeros(8), torch.full((8,), factor), torch.zeros(8, 2))
        assert torch.allclose(source[:, 2], centred[:, 2], atol=1e-5) == (factor < 1)


def test_hue_turns_as_in_the_colour_circle_and_leaves_greys_alone():
    colours = np.random.default_rng(0).random((20, 3))
    colours[0] = 0.4
    colours[1] = 0.0
    image = torch.tensor(colours, dtype=torch.float32).T[None, :, :, None]
    for turn in (0.0, 1 / 3, -0.3, 0.5):
        expected = []
        for rgb in colours:
            hue, saturation, value = colorsys.rgb_to_hsv(*rgb)
            expected.append(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value))
        got = shift_hue(image, one(turn))[0, :, :, 0].T
        torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float32), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"time_flip": 1.5},
        {"horizontal_flip": -0.1},
        {"hue": 0.6},
        {"rotation": -1},
        {"resize": (1.1, 0.9)},
        {"resize": (0, 1)},
    ],
)
def test_an_augmentation_out_of_range_is_refused_by_name(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        Augmentation(**wrong)


def test_a_clip_of_one_frame_is_refused_by_name():
    clips = [Clip("lonely", np.zeros((1, 8, 8, 3), dtype=np.uint8))]
    with pytest.raises(UserError, match=r"lonely.*a pair needs two frames"):
        PairSampler(clips, 1).batch(0)


def test_fewer_clips_than_a_batch_are_refused_with_both_numbers():
    with pytest.raises(UserError, match=r"16.*10") as caught:
        PairSampler(numbered(10), 16)
    assert "add clips" in str(caught.value)
    with pytest.raises(UserError, match="batch size"):
        PairSampler(numbered(10), 0)


def test_clips_of_two_frame_sizes_are_refused_with_both():
    clips = [*numbered(1), Clip("large", np.zeros((3, 16, 16, 3), dtype=np.uint8))]
    with pytest.raises(UserError, match=r"(8x8.*16x16|16x16.*8x8)"):
        PairSampler(clips, 2).batch(0)


def test_a_batch_of_sixteen_is_drawn_in_a_few_milliseconds():
    sampler = PairSampler(numbered(16, length=30, side=64), 16, Augmentation())
    sampler.batch(0)
    times = []
    for step in range(20):
        begin = time.perf_counter()
        sampler.batch(step)
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.008
