"""MoCoGAN: content that stays, motion that is drawn, two judges, both sides of the game, films."""

from __future__ import annotations

import pytest
import torch

from monkeynet_edu.baselines import Practice
from monkeynet_edu.baselines.mocogan import MoCoGAN, MoCoGANConfig
from monkeynet_edu.errors import UserError
from monkeynet_edu.model import Device

CPU = Device(torch.device("cpu"), "float32")
SMALL = MoCoGANConfig(16, frames=6, every=2, content=4, motion=5, noise=2, width=4, judges=4)


def a_model() -> MoCoGAN:
    torch.manual_seed(0)
    return MoCoGAN(SMALL)


def windows(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 6, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_the_content_code_is_the_same_for_every_frame_and_the_motion_code_is_not() -> None:
    model, codes = a_model().eval(), []
    model.spread.register_forward_pre_hook(lambda _, inputs: codes.append(inputs[0]))
    model(windows()[:, 0], torch.randn(2, 5, SMALL.noise))
    seen = codes[0].reshape(2, 5, SMALL.content + SMALL.motion)
    content, motion = seen.split([SMALL.content, SMALL.motion], dim=-1)
    assert torch.equal(content, content[:, :1].expand_as(content))
    assert not torch.allclose(motion[:, 1:], motion[:, :-1], atol=1e-4)


def test_noise_of_a_frame_reaches_the_frames_after_it_alone() -> None:
    model, first = a_model().eval(), windows()[:, 0]
    noise = torch.zeros(2, 5, SMALL.noise)
    changed = noise.clone()
    changed[:, 2] = 3.0
    films = [model(first, n) for n in (noise, changed)]
    assert torch.equal(films[0][:, :3], films[1][:, :3])
    assert not torch.allclose(films[0][:, 3], films[1][:, 3], atol=1e-6)


def test_where_the_mask_is_closed_the_first_frame_shows() -> None:
    model, first = a_model().eval(), windows()[:, 0]
    with torch.no_grad():
        model.generator.conv.weight.zero_()
        model.generator.conv.bias.copy_(torch.tensor([0.0, 0.0, 0.0, -100.0]))
    film = model(first, torch.randn(2, 4, SMALL.noise))
    assert torch.allclose(film, first[:, None].expand_as(film))


def test_every_weight_belongs_to_one_side_of_the_game() -> None:
    model = a_model()
    drawing, judging = model._sides()
    assert {id(p) for p in drawing} | {id(p) for p in judging} == {id(p) for p in model.parameters()}
    assert not {id(p) for p in drawing} & {id(p) for p in judging}
    assert list(model.optimizers(1e-3)) == ["generator", "discriminator"]


def test_each_side_gets_the_gradients_of_its_own_loss() -> None:
    model, batch, state = a_model(), windows(), Practice.at(0, 0, 0.0)
    step = model.gradients((batch,), state, CPU)
    drawing, judging = model._sides()
    got = [p.grad.clone() for p in judging]
    assert all(p.grad is not None for p in drawing)
    own, _, _ = model.judge(batch[:, ::2], step.generated)
    expected = torch.autograd.grad(own, judging)
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-6) for a, b in zip(got, expected, strict=True))
    model.train()
    drawn = [p.grad.clone() for p in drawing]
    real, noise = batch[:, ::2], torch.randn(2, 3, SMALL.noise, generator=Practice.at(0, 0, 0.0).noise)
    made = model(real[:, 0], noise)
    _, others, matching = model.judge(real, made)
    loss = SMALL.first * (made[:, 0] - real[:, 0]).abs().mean() + others + SMALL.matching * matching
    expected = torch.autograd.grad(loss, drawing)
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-5) for a, b in zip(drawn, expected, strict=True))


def test_a_judge_learns_to_tell_films_apart_and_a_generator_to_keep_the_first_frame() -> None:
    model, batch = a_model(), windows(4)
    optimizers = model.optimizers(2e-3)
    said = []
    for step in range(40):
        said.append(model.gradients((batch,), Practice.at(0, step, 0.0), CPU).losses)
        for optimizer in optimizers.values():
            optimizer.step()
    assert float(said[-1]["discriminator"]) < 0.8 * float(said[0]["discriminator"])
    assert float(said[-1]["frame"]) < float(said[0]["frame"])


def test_films_begin_with_the_picture_and_frames_between_are_blended() -> None:
    model, picture = a_model(), torch.rand(3, 16, 16)
    films = model.predict(picture, 6, CPU, futures=2, seed=3)
    assert films.shape == (2, 6, 3, 16, 16)
    assert torch.equal(films[:, 0], picture.expand(2, -1, -1, -1))
    assert torch.allclose(films[:, 1], (films[:, 0] + films[:, 2]) / 2, atol=1e-6)
    assert not torch.equal(films[0, 1:], films[1, 1:])
    assert torch.allclose(model.predict(picture, 6, CPU, seed=4)[0], films[1], atol=1e-5)
    assert model.predict(picture, 1, CPU).shape == (1, 1, 3, 16, 16)


@pytest.mark.parametrize("change", [{"frames": 1}, {"motion": 0}, {"frame_size": 40}])
def test_sizes_that_make_no_network_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(UserError, match="expected"):
        MoCoGANConfig(**change)
