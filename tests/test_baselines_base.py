"""What all rivals share: the loop, resuming, files, batches and the monitor, tried on a rival of a few weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from monkeynet_edu.baselines import Practice, Rival, RivalConfig, RivalRun, RivalStep, registry
from monkeynet_edu.baselines.base import RivalAdams, WindowSampler, vitals
from monkeynet_edu.data.pairs import Augmentation
from monkeynet_edu.data.sprites import Clip
from monkeynet_edu.errors import UserError
from monkeynet_edu.model import Device
from monkeynet_edu.monitor import Monitor
from monkeynet_edu.run_folder import CHECKPOINT_FILE, FINDINGS_FILE, METRICS_FILE
from monkeynet_edu.training import Budget, Pace, Recipe, sprite_augmentation, train

CPU = Device(torch.device("cpu"), "float32")
HOW = Recipe(2, 1e-2, "cosine", augmentation=Augmentation(0.5, 0.0))


@dataclass(frozen=True)
class NoiseConfig(RivalConfig):
    frames: int = 3
    width: int = 4


class Noise(Rival):
    """Learns the last frame of a window from its first and noise."""

    title = "Noise"
    draws = "windows"

    def __init__(self, config: NoiseConfig) -> None:
        super().__init__()
        self.config = config
        self.paint = nn.Conv2d(4, 3, 3, padding=1)

    def optimizers(self, rate: float) -> dict[str, torch.optim.Optimizer]:
        return {"paint": torch.optim.Adam(self.parameters(), lr=rate)}

    def gradients(self, batch: tuple[Tensor, ...], state: Practice, device: Device) -> RivalStep:
        first, last = batch[0][:, 0], batch[0][:, -1]
        drawn = torch.randn(len(first), 1, *first.shape[-2:], generator=state.noise)
        made = self.paint(torch.cat([first, drawn], dim=1)).sigmoid()
        loss = (made - last).abs().mean()
        self.zero_grad()
        loss.backward()
        return RivalStep({"frame": loss.detach()}, {"first": first, "made": made}, made)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry knows the rival of these tests, under the name of its module."""
    monkeypatch.setitem(
        registry.RIVALS, "test_baselines_base", registry.Entry("Noise", "NoiseConfig", HOW, ("mini-nemo",), ())
    )
    monkeypatch.setattr(registry, "import_module", lambda name: __import__(__name__))


def clips(count: int = 4, length: int = 5) -> list[Clip]:
    rng = np.random.default_rng(0)
    return [Clip(f"{i}", rng.integers(0, 256, (length, 16, 16, 3), dtype=np.uint8)) for i in range(count)]


def a_run(how: Recipe = HOW) -> RivalRun:
    torch.manual_seed(how.seed)
    model = Noise(NoiseConfig(16))
    return RivalRun(model, RivalAdams(model.optimizers(how.learning_rate)), how, "noise")


def test_a_killed_training_of_a_rival_goes_on_bit_for_bit(known: None, tmp_path: Path) -> None:
    whole = a_run()
    train(whole, clips(), Budget(6), tmp_path / "whole", CPU)

    class StopError(Exception):
        pass

    def stopping(run: RivalRun) -> None:
        taken = run.take

        def take(batch: tuple[Tensor, ...], progress: float, device: Device) -> RivalStep:
            if run.step == 4:
                raise StopError
            return taken(batch, progress, device)

        run.take = take  # type: ignore[method-assign]

    cut = a_run()
    stopping(cut)
    with pytest.raises(StopError):
        train(cut, clips(), Budget(6), tmp_path / "cut", CPU, Pace(checkpoint=0.0))
    with pytest.raises(UserError, match=r"another configuration; first difference recipe\.seed: 1 here, 0 there"):
        a_run(replace(HOW, seed=1)).restore(tmp_path / "cut")
    again = a_run()
    again.restore(tmp_path / "cut")
    assert again.step == 4
    report = train(again, clips(), Budget(6), tmp_path / "cut", CPU)
    assert report.finished
    pairs = zip(whole.model.parameters(), again.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_noise_depends_on_seed_and_step_alone() -> None:
    def drawn(seed: int, step: int) -> Tensor:
        return torch.randn(4, generator=Practice.at(seed, step, 0.0).noise)

    assert torch.equal(drawn(1, 2), drawn(1, 2))
    assert not torch.equal(drawn(1, 2), drawn(1, 3))
    assert not torch.equal(drawn(1, 2), drawn(2, 2))


def test_a_run_folder_holds_model_metrics_and_preview(known: None, tmp_path: Path) -> None:
    run = a_run()
    train(run, clips(), Budget(2), tmp_path, CPU)
    assert {CHECKPOINT_FILE, METRICS_FILE, "model.safetensors", "preview.png"} <= {p.name for p in tmp_path.iterdir()}
    assert registry.is_rival(tmp_path)
    assert not registry.is_rival(tmp_path / CHECKPOINT_FILE)
    loaded = registry.load(tmp_path)
    assert loaded.config == run.model.config
    assert torch.equal(loaded.paint.weight, run.model.paint.weight)


def test_weights_of_another_shape_are_named(known: None, tmp_path: Path) -> None:
    model = Noise(NoiseConfig(16))
    model.paint = nn.Conv2d(4, 3, 5, padding=2)
    model.save(tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"paint\.weight"):
        registry.load(tmp_path)


def test_monkey_nets_weights_are_no_rival(tmp_path: Path) -> None:
    from monkeynet_edu.paths import weights_path

    assert not registry.is_rival(weights_path("mini-nemo"))
    with pytest.raises(UserError, match="expected a rival's weights"):
        registry.load(weights_path("mini-nemo"))


def test_losses_that_are_not_finite_end_the_training_and_are_named(known: None, tmp_path: Path) -> None:
    run = a_run()
    with torch.no_grad():
        run.model.paint.weight.fill_(float("nan"))
    with pytest.raises(UserError, match="expected finite"):
        train(run, clips(), Budget(30), tmp_path, CPU)


def test_a_learning_rate_that_is_too_high_is_named_by_the_monitor(known: None, tmp_path: Path) -> None:
    run = a_run(replace(HOW, learning_rate=10.0))
    train(run, clips(), Budget(40), tmp_path, CPU, monitor=Monitor())
    assert "learning-rate" in (tmp_path / FINDINGS_FILE).read_text()


def test_a_discriminator_that_always_knows_is_seen_in_the_vitals() -> None:
    frames = torch.rand(2, 3, 3, 4, 4)
    won = {"adversarial": torch.tensor(1.0), "discriminator": torch.tensor(0.01)}
    seen = vitals((frames,), RivalStep(won, {}, frames), torch.tensor(0.01))
    assert (seen.adversarial, seen.discriminator) == pytest.approx((1.0, 0.01))
    assert seen.frames == pytest.approx(float((frames[:, 0] - frames[:, -1]).abs().mean()))


def test_windows_are_consecutive_frames_and_depend_on_seed_and_step_alone() -> None:
    numbered = [Clip(f"{i}", np.tile(np.arange(9, dtype=np.uint8)[:, None, None, None], (1, 4, 4, 3))) for i in range(3)]
    plain = replace(HOW, augmentation=Augmentation(0.0, 0.0))
    (drawn,) = WindowSampler(numbered, 4, plain, torch.device("cpu")).batch(5)
    steps = (drawn[:, :, 0, 0, 0] * 255).round().diff(dim=1)
    assert drawn.shape == (2, 4, 3, 4, 4)
    assert (steps == 1).all()
    again = WindowSampler(numbered, 4, plain, torch.device("cpu"))
    again.batch(4)
    assert torch.equal(again.batch(5)[0], drawn)
    flipped = replace(HOW, augmentation=Augmentation(1.0, 0.0))
    (back,) = WindowSampler(numbered, 4, flipped, torch.device("cpu")).batch(5)
    assert ((back[:, :, 0, 0, 0] * 255).round().diff(dim=1) == -1).all()


def marked(count: int, length: int, height: int, width: int) -> list[Clip]:
    """Clips whose pixels say where they are: clip and frame in red, row in green, column in blue."""
    found = []
    for clip in range(count):
        frames = np.zeros((length, height, width, 3), np.uint8)
        frames[..., 0] = 10 * clip + np.arange(length)[:, None, None]
        frames[..., 1], frames[..., 2] = np.arange(height)[:, None], np.arange(width)
        found.append(Clip(str(clip), frames))
    return found


def test_windows_begin_anywhere_are_turned_as_often_as_asked_and_show_every_clip_once_an_epoch() -> None:
    how = replace(HOW, batch_size=4, augmentation=Augmentation(0.25, 0.5))
    sampler = WindowSampler(marked(4, 5, 6, 8), 3, how, torch.device("cpu"))
    starts, backwards, mirrored, forwards = set(), 0, 0, 0
    for step in range(100):
        windows = (255 * sampler.batch(step)[0]).round().int()  # (4, 3, 3, 6, 8)
        red, green, blue = windows.unbind(dim=2)
        assert sorted((red[:, 0, 0, 0] // 10).tolist()) == [0, 1, 2, 3]
        assert (green == torch.arange(6)[:, None]).all(), "never upside down"
        for times, columns in zip(red[:, :, 0, 0] % 10, blue[:, 0, 0], strict=True):
            steps = times.diff().tolist()
            assert steps in ([1, 1], [-1, -1])
            starts.add(int(times.min()))
            turned = steps == [-1, -1]
            flipped = columns.tolist() == list(range(7, -1, -1))
            assert flipped or columns.tolist() == list(range(8))
            backwards, forwards = backwards + turned, forwards + (not turned)
            mirrored += flipped
            assert not (turned and flipped)
    assert starts == {0, 1, 2}
    assert backwards / 400 == pytest.approx(0.25, abs=0.08)
    assert mirrored / forwards == pytest.approx(0.5, abs=0.08)


def test_what_is_drawn_of_a_clip_depends_on_seed_and_step() -> None:
    def drawn(seed: int, step: int) -> Tensor:
        how = replace(HOW, batch_size=1, augmentation=Augmentation(0.25, 0.5), seed=seed)
        return WindowSampler(marked(1, 60, 6, 8), 3, how, torch.device("cpu")).batch(step)[0]  # one clip: no order

    assert torch.equal(drawn(0, 0), drawn(0, 0))
    assert sum(torch.equal(drawn(0, 0), drawn(seed, 0)) for seed in range(1, 9)) < 3
    assert sum(torch.equal(drawn(0, 0), drawn(0, step)) for step in range(1, 9)) < 3


def test_a_step_is_told_the_seed_the_step_and_the_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    run, told = a_run(replace(HOW, seed=5)), []
    real = Noise.gradients
    monkeypatch.setattr(Noise, "gradients", lambda self, *given: told.append(given[1]) or real(self, *given))
    run.step = 7
    run.take((torch.rand(2, 3, 3, 16, 16),), 0.25, CPU)
    assert told[0].progress == 0.25
    assert told[0].noise.initial_seed() == Practice.at(5, 7, 0.25).noise.initial_seed()
    assert len({Practice.at(*at, 0.0).noise.initial_seed() for at in ((5, 7), (5, 8), (6, 7))}) == 3


def test_a_training_begins_with_weights_of_its_seed_its_rate_and_its_configuration(known: None) -> None:
    name, how = "test_baselines_base", replace(HOW, seed=3, learning_rate=5e-3)
    first, same, other = (registry.start(name, h, "mini-nemo", CPU) for h in (how, how, replace(how, seed=4)))
    weights = [run.model.state_dict()["paint.weight"] for run in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert [g["lr"] for _, adam in first.optimizers.items() for g in adam.param_groups] == [5e-3]
    assert registry.start(name, how, "mini-nemo", CPU, NoiseConfig(32)).model.config == NoiseConfig(32)


def test_recipes_turn_no_film_round_and_show_near_frames_first_where_motions_are_large() -> None:
    film = registry.recipe_for("sv2p", "mini-bair", 2, generated=True)
    assert (film.seed, film.augmentation.time_flip, film.first_reach) == (2, 0.0, 1.0)
    assert film.augmentation != Augmentation(), "sprites' own, but for time"
    far, near = (registry.recipe_for("x2face", data, 2, generated=True) for data in ("mini-taichi", "mini-nemo"))
    assert (far.first_reach, near.first_reach) == (0.15, 1.0)
    assert far.augmentation == sprite_augmentation("mini-taichi")
    assert registry.recipe_for("x2face", "mine", 2, generated=False) == replace(registry.RIVALS["x2face"].recipe, seed=2)


def test_half_precision_halves_the_file_and_is_read_in_float32_ready_for_use(known: None, tmp_path: Path) -> None:
    model = a_run().model
    model.save(tmp_path / "whole.safetensors")
    model.save(tmp_path / "half.safetensors", torch.float16)
    loaded = registry.load(tmp_path / "half.safetensors")
    assert not loaded.training
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.paint.weight, model.paint.weight.half().float())
    from safetensors.torch import load_file

    assert {t.dtype for t in load_file(tmp_path / "half.safetensors").values()} == {torch.float16}


def test_a_clip_shorter_than_a_window_is_named() -> None:
    with pytest.raises(UserError, match=r"clip 0: expected at least 6 frames, got 5"):
        WindowSampler(clips(1), 6, replace(HOW, batch_size=1), torch.device("cpu")).batch(0)


def test_a_rival_says_which_tasks_it_can_do() -> None:
    rival = Noise(NoiseConfig(16))
    assert rival.tasks == ()
    with pytest.raises(UserError, match="expected a rival that follows a driving clip"):
        rival.check_can("animate")
    with pytest.raises(UserError, match="expected a rival that makes films of one picture"):
        rival.check_can("predict")
    assert registry.shipped("x2face", "mini-taichi").tasks == ("animate",)
    registry.shipped("x2face", "mini-taichi").check_can("animate")


def test_frames_that_cannot_be_halved_are_refused_with_the_nearest_size() -> None:
    with pytest.raises(UserError, match=r"frame size 50: expected a multiple of 16 .* the nearest that works is 48"):
        NoiseConfig(50)
