"""SV2P: kernels that move a frame, the divergence, phases, learning, films from the prior."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from monkeynet_edu.baselines import Practice
from monkeynet_edu.baselines.sv2p import SV2P, ConvLSTM, SV2PConfig, as_kernels, cdna, gaussian_kl
from monkeynet_edu.errors import UserError
from monkeynet_edu.model import Device

CPU = Device(torch.device("cpu"), "float32")
SMALL = SV2PConfig(16, frames=4, width=4, kernels=3, latent=2)


def a_model() -> SV2P:
    torch.manual_seed(0)
    return SV2P(SMALL)


def walking(count: int = 2, length: int = 4, side: int = 16) -> Tensor:
    """Films (B, T, 3, H, W) of a square that walks to the right, the second twice as fast."""
    films = torch.full((count, length, 3, side, side), 0.2)
    for b in range(count):
        for t in range(length):
            films[b, t, 0, 5:9, 1 + t * (b + 1) : 5 + t * (b + 1)] = 0.9
    return films


def test_kernels_move_a_frame_as_a_loop_does() -> None:
    torch.manual_seed(0)
    frame, kernels = torch.rand(2, 3, 6, 7), torch.rand(2, 4, 5, 5)
    made = cdna(frame, kernels)
    assert made.shape == (2, 4, 3, 6, 7)
    for b, k, c, row, column in ((0, 0, 0, 0, 0), (1, 3, 2, 5, 6), (1, 2, 1, 3, 4)):
        total = 0.0
        for i in range(5):
            for j in range(5):
                y, x = min(max(row + i - 2, 0), 5), min(max(column + j - 2, 0), 6)
                total += float(kernels[b, k, i, j] * frame[b, c, y, x])
        assert float(made[b, k, c, row, column]) == pytest.approx(total, rel=1e-5)


def test_a_kernel_of_one_place_shifts_the_frame() -> None:
    frame, kernel = torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 5, 5)
    kernel[0, 0, 2, 4] = 1.0  # reads two columns further to the right
    assert torch.allclose(cdna(frame, kernel)[0, 0, :, :, :-2], frame[0, :, :, 2:])


def test_kernels_sum_to_one_and_zeros_mostly_stay() -> None:
    kernels = as_kernels(torch.randn(2, 3, 25) * 5)
    assert torch.allclose(kernels.sum(dim=(-2, -1)), torch.ones(2, 3), atol=1e-5)
    still = as_kernels(torch.zeros(1, 1, 25))[0, 0]
    assert float(still[2, 2]) == pytest.approx(math.e**3 / (math.e**3 + 24), rel=1e-5)


def test_the_divergence_is_the_closed_form_and_zero_for_the_prior() -> None:
    assert float(gaussian_kl(torch.zeros(4), torch.zeros(4))) == 0
    # N(1, e) against N(0, 1), one dimension: (1 + e - 1 - 1) / 2
    assert float(gaussian_kl(torch.ones(1), torch.ones(1))) == pytest.approx((math.e - 1) / 2)
    mean, log_variance = torch.tensor([0.7, -0.3]), torch.tensor([0.4, -1.0])
    z = mean + (log_variance / 2).exp() * torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0))
    own = torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(z).sum(dim=1)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(dim=1)
    assert float(gaussian_kl(mean, log_variance)) == pytest.approx(float((own - prior).mean()), abs=0.01)


def test_the_masks_mix_frame_copies_and_new_pixels_so_a_frame_stays_in_range() -> None:
    frame = torch.rand(2, 3, 16, 16)
    made = a_model().next_frame(frame, frame.flip(0), torch.zeros(2, 2), None)[0].detach()
    assert made.shape == frame.shape
    assert 0 <= float(made.min()) <= float(made.max()) <= 1


def test_each_mask_shows_its_own_layer() -> None:
    """Layers are the first frame, the frame before, new pixels, and the moved copies of the frame before."""
    model, first, before = a_model(), torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        for layer in (model.to_kernels, model.out):
            layer.weight.zero_()
            layer.bias.zero_()
        model.out.bias[:3] = math.log(3.0)
        stays = as_kernels(torch.zeros(2, 1, 25))
        layers = [first, before, torch.full_like(first, 0.75), *[cdna(before, stays)[:, 0]] * SMALL.kernels]
        for number, layer in enumerate(layers):
            model.out.bias[3:] = -100.0
            model.out.bias[3 + number] = 100.0
            made, _ = model.next_frame(first, before, torch.zeros(2, 2), None)
            assert torch.allclose(made, layer, atol=1e-5)


def test_what_nothing_speaks_for_is_at_first_as_in_the_first_frame() -> None:
    model = a_model()
    with torch.no_grad():
        model.out.weight.zero_()
        first, other = torch.ones(1, 3, 16, 16), torch.zeros(1, 3, 16, 16)
        assert float(model.next_frame(first, other, torch.zeros(1, 2), None)[0].min()) > 0.5


def test_the_gates_of_the_memory_are_worked_out_by_hand() -> None:
    memory = ConvLSTM(1, 1)
    with torch.no_grad():
        memory.gates.weight.zero_()
        # entered ¼; forgotten ½ (it keeps by a bias of 1); let out ¾; new ½
        memory.gates.bias.copy_(torch.tensor([-math.log(3.0), -1.0, math.log(3.0), math.atanh(0.5)]))
        shown, kept = memory(torch.rand(1, 1, 4, 4), (torch.rand(1, 1, 4, 4), torch.full((1, 1, 4, 4), 2.0)))
    assert torch.allclose(kept, torch.tensor(2.0 * 0.5 + 0.25 * 0.5))
    assert torch.allclose(shown, 0.75 * torch.tensor(1.125).tanh())


def test_the_latent_is_off_then_on_then_weighed() -> None:
    model = a_model()
    posterior = [p for n, p in model.named_parameters() if n.startswith("posterior")]
    for progress, learns, weighed in ((0.1, False, False), (0.3, True, False), (0.9, True, True)):
        step = model.gradients((walking(),), Practice.at(0, 0, progress), CPU)
        assert any(float(p.grad.abs().sum()) > 0 for p in posterior) == learns
        assert (float(step.losses["kl"]) > 0) == weighed


def with_posterior(model: SV2P, mean: float, variance: float) -> SV2P:
    """The same for every clip."""
    numbers = torch.tensor([mean, math.log(variance)]).repeat_interleave(SMALL.latent)
    model.posterior.forward = lambda clip: numbers.expand(len(clip), -1)
    return model


def test_beta_grows_from_the_second_phase_on_and_is_whole_half_way_to_the_end() -> None:
    model = with_posterior(a_model(), 1.0, 1.0)
    whole = SMALL.beta * SMALL.latent * 0.5  # the divergence of N(1, 1) is ½ in each dimension
    for progress, share in ((0.5, 0.0), (0.6, 0.4), (0.625, 0.5), (0.75, 1.0), (1.0, 1.0)):
        found = model.gradients((walking(),), Practice.at(0, 0, progress), CPU).losses["kl"]
        assert float(found) == pytest.approx(share * whole, abs=1e-9)


def called(model: SV2P, video: Tensor, progress: float) -> list[tuple[Tensor, ...]]:
    """What ``next_frame`` is given while a step is taken; the frames that it makes are -1, its memory counts."""
    given = []

    def next_frame(first: Tensor, frame: Tensor, z: Tensor, state: int | None) -> tuple[Tensor, int]:
        given.append((first, frame, z, state))
        return 0 * model.out.bias.sum() - torch.ones_like(frame), (state or 0) + 1

    model.next_frame = next_frame
    model.gradients((video,), Practice.at(5, 3, progress), CPU)
    return given


def test_frames_are_made_from_first_frame_the_one_before_z_and_memory() -> None:
    video = torch.rand(64, 4, 3, 16, 16)
    real = called(a_model(), video, 0.0)
    assert [state for _, _, _, state in real] == [None, 1, 2]
    assert all(torch.equal(first, video[:, 0]) for first, _, _, _ in real)
    assert all(torch.equal(frame, video[:, t]) for t, (_, frame, _, _) in enumerate(real))
    for progress, share in ((0.25, 0.5), (0.5, 0.0), (0.6, 0.0), (1.0, 0.0)):
        fed = called(a_model(), video, progress)
        is_real = torch.stack([(fed[t][1] == video[:, t]).all(dim=(1, 2, 3)) for t in (1, 2)])
        is_own = torch.stack([(fed[t][1] == -1).all(dim=(1, 2, 3)) for t in (1, 2)])
        assert (is_real | is_own).all()
        assert float(is_real.float().mean()) == pytest.approx(share, abs=0.15 if share else 0)


def test_z_is_drawn_from_the_posterior_by_the_steps_own_noise() -> None:
    model, video, found = with_posterior(a_model(), 2.0, 4.0), torch.rand(8, 4, 3, 16, 16), []
    for seed in (0, 1):
        torch.manual_seed(seed)  # whatever else the process draws
        found.append(called(model, video, 0.25))
    noise = torch.randn(8, SMALL.latent, generator=Practice.at(5, 3, 0.25).noise)
    for steps in found:
        assert all(torch.allclose(z, 2 + 2 * noise) for _, _, z, _ in steps)
    assert all(torch.equal(a[1], b[1]) for a, b in zip(*found, strict=True)), "what is real, too"
    assert all(torch.equal(z, steps[0][2]) for steps in found for _, _, z, _ in steps), "one z for the whole film"


def test_the_loss_is_the_squared_error_of_the_frames_after_the_first() -> None:
    model, video = a_model(), walking()
    for progress in (0.9, 0.5, 0.0):
        step = model.gradients((video,), Practice.at(0, 0, progress), CPU)
        assert step.generated.shape == (2, 3, 3, 16, 16)
        assert float(step.losses["frame"]) == pytest.approx(float(((step.generated - video[:, 1:]) ** 2).mean()))
    shown = {"first": video[:, 0], "middle": video[:, 2], "made": step.generated[:, 1]}
    shown |= {"last": video[:, 3], "made last": step.generated[:, 2]}
    assert list(step.pictures) == list(shown)
    assert all(torch.equal(step.pictures[name], frames) for name, frames in shown.items())


def test_gradients_reach_every_weight_in_the_last_phase_and_do_not_pile_up() -> None:
    model, video = a_model(), torch.rand(2, 4, 3, 16, 16)
    model.gradients((video,), Practice.at(0, 0, 0.9), CPU)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    assert model.out.weight.grad is not None
    assert (model.out.weight.grad.flatten(1).abs().sum(dim=1) > 0).all(), "new pixels and every mask"
    once = [p.grad.clone() for p in model.parameters()]
    model.gradients((torch.rand(2, 4, 3, 16, 16),), Practice.at(0, 1, 0.9), CPU)
    model.gradients((video,), Practice.at(0, 0, 0.9), CPU)
    assert all(torch.allclose(p.grad, g, rtol=1e-3, atol=1e-7) for p, g in zip(model.parameters(), once, strict=True))


def test_a_batch_is_learned_by_heart() -> None:
    model, films = a_model(), walking()
    optimizer = model.optimizers(1e-2)["networks"]
    errors = []
    for step in range(80):
        errors.append(float(model.gradients((films,), Practice.at(0, step, 0.4), CPU).losses["frame"]))
        optimizer.step()
    assert sum(errors[-5:]) < 0.5 * sum(errors[:5])


def test_films_begin_with_the_picture_and_differ_by_their_seed() -> None:
    model, picture = a_model(), torch.rand(3, 16, 16)
    films = model.predict(picture, 6, CPU, futures=2, seed=3)
    assert films.shape == (2, 6, 3, 16, 16)
    assert torch.equal(films[:, 0], picture.expand(2, -1, -1, -1))
    assert not torch.equal(films[0, 1:], films[1, 1:])
    assert torch.allclose(model.predict(picture, 6, CPU, seed=4)[0], films[1], atol=1e-5)
    assert model.predict(picture, 1, CPU).shape == (1, 1, 3, 16, 16)


def test_each_frame_of_a_film_is_made_of_the_picture_the_frame_before_and_the_memory() -> None:
    model, picture, given = a_model(), torch.rand(3, 16, 16), []

    def next_frame(first: Tensor, frame: Tensor, z: Tensor, state: int | None) -> tuple[Tensor, int]:
        given.append((first, frame, z, state))
        return frame + 1, (state or 0) + 1

    model.next_frame = next_frame
    film = model.predict(picture, 4, CPU, futures=2, seed=3)
    assert torch.allclose(film, picture + torch.arange(4.0)[:, None, None, None])
    assert all(torch.equal(first, picture.expand(2, -1, -1, -1)) for first, _, _, _ in given)
    assert all(torch.allclose(frame, picture + t) for t, (_, frame, _, _) in enumerate(given))
    assert [state for _, _, _, state in given] == [None, 1, 2]
    assert all(torch.equal(z, given[0][2]) for _, _, z, _ in given), "one z for the whole film"
    given.clear()
    model.predict(picture, 2, CPU, futures=3000)
    assert torch.allclose(given[0][2].mean(dim=0), torch.zeros(2), atol=0.1), "from the prior"
    assert torch.allclose(given[0][2].std(dim=0), torch.ones(2), rtol=0.05)


@pytest.mark.parametrize("change", [{"phases": (0.6, 0.3)}, {"beta": -1.0}, {"frames": 1}, {"latent": 0}])
def test_settings_that_make_no_training_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(UserError, match="expected"):
        SV2PConfig(**change)
