"""MoCoGAN: content that stays, motion that is drawn, two judges, both sides of the game, films."""

from __future__ import annotations

import pytest
import torch

from monkeynet_edu.baselines import Practice
from monkeynet_edu.baselines.mocogan import ImageDiscriminator, MoCoGAN, MoCoGANConfig, VideoDiscriminator
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
    assert not torch.allclose(content[0], content[1], atol=1e-4), "of its picture"
    assert not torch.allclose(motion[0, 0], motion[1, 0], atol=1e-4), "the first state, too"


def test_a_film_is_that_of_its_own_picture_and_noise() -> None:
    model, first, noise = a_model().eval(), windows()[:, 0], torch.randn(2, 4, SMALL.noise)
    films = model(first, noise)
    for i in range(2):
        assert torch.allclose(films[i : i + 1], model(first[i : i + 1], noise[i : i + 1]), atol=1e-5)


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
    judges = [*model.image_judge.parameters(), *model.video_judge.parameters()]
    assert {id(p) for p in judging} == {id(p) for p in judges}
    adams = model.optimizers(1e-3)
    assert list(adams) == ["generator", "discriminator"]
    held = [[id(p) for p in group["params"]] for adam in adams.values() for group in adam.param_groups]
    assert held == [[id(p) for p in drawing], [id(p) for p in judging]]
    assert [group["scale"] for adam in adams.values() for group in adam.param_groups] == [1.0, 1.5]


def test_the_judges_losses_are_worked_out_by_hand() -> None:
    model, seen = a_model(), []
    real, made = torch.full((2, 5, 3, 4, 4), 0.5), torch.full((2, 5, 3, 4, 4), 0.0)
    made[:, 0] = 1.0  # one frame of five; the scores say how bright things are

    def still(pictures: torch.Tensor) -> torch.Tensor:
        seen.append(pictures)
        return pictures.mean(dim=(1, 2, 3))

    def moving(clips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(clips)
        return clips.mean(dim=(1, 2, 3, 4)), clips

    model.image_judge.forward, model.video_judge.forward = still, moving
    own, others, matching = model.judge(real, made)
    # Clips: real ½, generated 1/5. Frames: real ½; one of five generated frames is 1, the others 0.
    assert float(own) == pytest.approx((0.25 + 0.04) + (0.25 + 1 / 5))
    assert float(others) == pytest.approx(0.64 + 4 / 5)
    assert float(matching) == pytest.approx((1 * 0.5 + 4 * 0.5) / 5)
    assert [tuple(shown.shape) for shown in seen] == [(2, 3, 5, 4, 4)] * 2 + [(10, 3, 4, 4)] * 2
    assert torch.equal(seen[1][:, :, 0], made[:, 0])
    assert torch.equal(seen[3][5], made[1, 0])


def test_the_clip_judge_also_sees_what_differs_from_the_first_frame() -> None:
    judge, seen, clips = VideoDiscriminator(4), [], torch.rand(2, 3, 5, 16, 16)
    judge.layers.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    judge(clips)
    for t in range(5):
        assert torch.allclose(seen[0][:, :3, t], 4 * clips[:, :, t] - 2)
        assert torch.allclose(seen[0][:, 3:, t], 8 * (clips[:, :, t] - clips[:, :, 0]), atol=1e-6)


def test_the_judges_first_weights_hand_on_the_whole_signal() -> None:
    torch.manual_seed(0)
    for judge in (ImageDiscriminator(16), VideoDiscriminator(16).layers):
        for layer in judge.modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Conv3d) and layer.weight.numel() > 500:
                he = (2 / (1 + 0.2**2) / layer.weight[0].numel()) ** 0.5
                assert float(layer.weight.detach().std()) == pytest.approx(he, rel=0.1)


def test_gradients_do_not_pile_up() -> None:
    model, batch = a_model(), windows()
    found = []
    for _ in range(2):
        model.gradients((batch,), Practice.at(0, 0, 0.0), CPU)
        found.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-6) for a, b in zip(*found, strict=True))


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
    assert torch.allclose(model.predict(picture, 7, CPU, futures=2, seed=3)[:, :6], films, atol=1e-5)  # as many are drawn
    assert torch.allclose(model.predict(picture, 6, CPU, seed=4)[0], films[1], atol=1e-5)
    assert model.predict(picture, 1, CPU).shape == (1, 1, 3, 16, 16)


@pytest.mark.parametrize("change", [{"frames": 1}, {"motion": 0}, {"frame_size": 40}])
def test_sizes_that_make_no_network_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(UserError, match="expected"):
        MoCoGANConfig(**change)
