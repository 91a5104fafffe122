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
from monkeynet_edu.baselines.x2face import X2Face, X2FaceConfig
from monkeynet_edu.data.pairs import NO_AUGMENTATION, Augmentation, PairSampler
from monkeynet_edu.data.sprites import Clip
from monkeynet_edu.errors import UserError
from monkeynet_edu.evaluators import Evaluators
from monkeynet_edu.model import Device, load_tensors
from monkeynet_edu.monitor import Finding, Monitor, Vitals
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
    assert not torch.equal(drawn(1, 2), drawn(2, 1))


def test_a_step_is_told_how_far_the_training_is_and_draws_of_seed_and_step(known: None, tmp_path: Path) -> None:
    run, told = a_run(replace(HOW, seed=5)), []
    plain = run.model.gradients

    def noting(batch: tuple[Tensor, ...], state: Practice, device: Device) -> RivalStep:
        told.append((state.progress, state.noise.initial_seed()))
        return plain(batch, state, device)

    run.model.gradients = noting  # type: ignore[method-assign]
    train(run, clips(), Budget(4), tmp_path, CPU)
    assert told == [(step / 4, Practice.at(5, step, 0.0).noise.initial_seed()) for step in range(4)]


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
    with pytest.raises(UserError, match="step 1: expected finite losses, got frame nan"):
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


def test_vitals_of_a_step_are_its_losses_and_pictures() -> None:
    source, driving, made = torch.full((2, 3, 4, 4), 0.2), torch.full((2, 3, 4, 4), 0.5), torch.full((2, 3, 4, 4), 0.7)
    terms = {"frame": torch.tensor(1.5), "kl": torch.tensor(0.25), "adversarial": torch.tensor(2.0)}
    seen = vitals((source, driving), RivalStep(terms, {}, made), torch.tensor(0.02))
    assert (seen.frames, seen.generated, seen.reconstruction, seen.total) == pytest.approx((0.3, 0.7, 1.5, 3.75))
    assert seen.update == pytest.approx(0.02)
    assert (seen.discriminator, seen.spread) == (Vitals().discriminator, Vitals().spread), "sound where nothing is known"


def test_the_monitor_follows_every_part_that_has_weights() -> None:
    shown: list[object] = []

    class Watch(Monitor):
        def watch(self, step: int, networks: object, look: object) -> list[Finding]:
            shown.extend([step, networks, look(torch.tensor(0.25))])  # type: ignore[operator]
            return []

    run = a_run()
    run.model.add_module("bend", nn.ReLU())
    run.model.add_module("last", nn.Linear(2, 2))
    run.step, frames = 7, torch.rand(2, 3, 3, 16, 16)
    run.observe(Watch(), (frames,), RivalStep({"frame": torch.tensor(3.0)}, {}, frames))
    step, parts, seen = shown
    assert (step, parts) == (7, [run.model.paint, run.model.last])
    assert (seen.update, seen.reconstruction) == (0.25, 3.0)  # type: ignore[attr-defined]


def test_a_preview_has_a_row_an_example_and_a_column_a_picture() -> None:
    def plain(*colours: tuple[float, float, float]) -> Tensor:
        return torch.tensor(colours)[:, :, None, None].expand(-1, -1, 16, 16)

    pictures = {"left": plain((1, 0, 0), (0, 1, 0), (0, 0, 1)), "right": plain((1, 1, 0), (0, 1, 1))}
    sheet = a_run().preview((), RivalStep({}, pictures, pictures["left"]))
    shown = {"red": (255, 0, 0), "green": (0, 255, 0), "yellow": (255, 255, 0), "cyan": (0, 255, 255)}
    place = {name: np.argwhere((sheet == colour).all(axis=-1)) for name, colour in shown.items()}
    assert {len(found) for found in place.values()} == {32 * 32}, "at twice the size"
    (red, green, yellow, cyan) = (found.mean(axis=0) for found in place.values())
    assert red[0] == yellow[0] < green[0] == cyan[0]
    assert red[1] == green[1] < yellow[1] == cyan[1]
    assert not (sheet == (0, 0, 255)).all(axis=-1).any(), "the third example has no right picture"


# ------------------------------------------------------------------------------------------------------------- batches


def numbered(count: int = 3, length: int = 9) -> list[Clip]:
    """Clips of 4 rows and 6 columns: red counts all frames, green is 255 less the row, blue the column."""
    t, y, x = np.mgrid[: count * length, :4, :6]
    frames = np.stack([t, 255 - y, x], axis=-1).astype(np.uint8)
    return [Clip(f"{i}", frames[i * length : (i + 1) * length]) for i in range(count)]


def windows(step: int, flips: Augmentation = NO_AUGMENTATION, count: int = 3, seed: int = 0, frames: int = 4) -> Tensor:
    """Batch of windows (B, T, 3, 4, 6) as numbers from 0 to 255."""
    how = replace(HOW, batch_size=min(2, count), augmentation=flips, seed=seed)
    (drawn,) = WindowSampler(numbered(count), frames, how, torch.device("cpu")).batch(step)
    assert drawn.shape == (min(2, count), frames, 3, 4, 6)
    return drawn * 255


def test_windows_are_consecutive_frames_and_depend_on_seed_and_step_alone() -> None:
    drawn = windows(5)
    red, green, blue = drawn.unbind(dim=2)
    assert torch.allclose(red.diff(dim=1), torch.ones(()), atol=1e-3)
    assert torch.allclose(green, 255.0 - torch.arange(4)[:, None].expand(4, 6), atol=1e-3)
    assert torch.allclose(blue, torch.arange(6.0).expand(4, 6), atol=1e-3)
    again = WindowSampler(numbered(), 4, replace(HOW, augmentation=NO_AUGMENTATION), torch.device("cpu"))
    again.batch(4)
    assert torch.equal(again.batch(5)[0] * 255, drawn)


def test_windows_begin_anywhere_and_each_clip_comes_once_an_epoch() -> None:
    begun = [[round(float(windows(step, count=1, seed=seed)[0, 0, 0, 0, 0])) for step in range(60)] for seed in (0, 1)]
    assert set(begun[0]) == set(begun[1]) == {0, 1, 2, 3, 4, 5}
    assert begun[0] != begun[1]
    drawn = [round(float(red)) // 9 for step in range(3) for red in windows(step)[:, 0, 0, 0, 0]]
    assert sorted(drawn[:3]) == sorted(drawn[3:]) == [0, 1, 2]
    whole = windows(0, count=1, frames=9)[0, :, 0, 0, 0]
    assert torch.equal(whole.round(), torch.arange(9.0)), "a clip as long as a window"


def test_windows_are_turned_round_in_time_or_mirrored_left_to_right() -> None:
    red, green, blue = windows(5, Augmentation(1.0, 0.0)).unbind(dim=2)
    assert torch.allclose(red.diff(dim=1), -torch.ones(()), atol=1e-3)
    assert torch.allclose(blue, torch.arange(6.0).expand(4, 6), atol=1e-3)
    red, green, blue = windows(5, Augmentation(0.0, 1.0)).unbind(dim=2)
    assert torch.allclose(red.diff(dim=1), torch.ones(()), atol=1e-3)
    assert torch.allclose(green, 255.0 - torch.arange(4)[:, None].expand(4, 6), atol=1e-3)
    assert torch.allclose(blue, torch.arange(6.0).flip(0).expand(4, 6), atol=1e-3)


def test_a_rival_of_pairs_gets_the_pairs_of_its_recipe() -> None:
    class Pairs(Noise):
        draws = "pairs"

    how = replace(HOW, seed=7, augmentation=Augmentation(0.0, 1.0))
    run = RivalRun(Pairs(NoiseConfig(16)), RivalAdams({}), how, "noise")
    drawn = run.sampler(clips(), torch.device("cpu")).batch(3, 0.25)
    plain = PairSampler(clips(), how.batch_size, NO_AUGMENTATION, 7).batch(3, 0.25)
    assert all(torch.equal(mine, other.flip(-1)) for mine, other in zip(drawn, plain, strict=True))


def test_windows_are_turned_as_often_as_asked_and_never_both_ways_at_once() -> None:
    how = replace(HOW, batch_size=4, augmentation=Augmentation(0.25, 0.5))
    sampler = WindowSampler(numbered(4, 5), 3, how, torch.device("cpu"))
    starts, backwards, mirrored = set(), 0, 0
    for step in range(100):
        red, green, blue = (255 * sampler.batch(step)[0]).round().int().unbind(dim=2)  # (4, 3, 4, 6) each
        assert sorted((red[:, 0, 0, 0] // 5).tolist()) == [0, 1, 2, 3], "every clip once an epoch"
        assert (green == 255 - torch.arange(4)[:, None]).all(), "never upside down"
        for times, columns in zip(red[:, :, 0, 0] % 5, blue[:, 0, 0], strict=True):
            assert times.diff().tolist() in ([1, 1], [-1, -1])
            assert columns.tolist() in (list(range(6)), list(range(5, -1, -1)))
            starts.add(int(times.min()))
            turned, flipped = bool(times[0] > times[1]), bool(columns[0] > columns[1])
            backwards, mirrored = backwards + turned, mirrored + flipped
            assert not (turned and flipped)
    assert starts == {0, 1, 2}
    assert backwards / 400 == pytest.approx(0.25, abs=0.08)
    assert mirrored / (400 - backwards) == pytest.approx(0.5, abs=0.08)


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


# ------------------------------------------------------------------------------------------------------------ registry


def test_weights_may_be_stored_in_half_and_are_read_in_float32_ready_to_be_used(tmp_path: Path) -> None:
    model = X2Face(X2FaceConfig(32, width=4, max_width=8, levels=2, code=4)).train()
    model(torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32))  # batch norm counts
    model.save(tmp_path / "half.safetensors", torch.float16)
    stored, _ = load_tensors(tmp_path / "half.safetensors")
    own = model.state_dict()
    assert {t.dtype for n, t in stored.items() if own[n].is_floating_point()} == {torch.float16}
    assert {t.dtype for n, t in stored.items() if not own[n].is_floating_point()} == {torch.int64}
    loaded = registry.load(tmp_path / "half.safetensors")
    assert not loaded.training
    for name, value in loaded.state_dict().items():
        halved = own[name].half().float() if own[name].is_floating_point() else own[name]
        assert value.dtype == own[name].dtype
        assert torch.equal(value, halved)


def test_a_new_training_has_the_weights_of_its_seed_and_the_configuration_given() -> None:
    config = X2FaceConfig(32, width=4, max_width=8, levels=2)
    runs = []
    for seed in (4, 4, 5):
        torch.rand(3)  # whatever else the process has drawn
        runs.append(registry.start("x2face", Recipe(2, 3e-3, seed=seed), "films", CPU, config))
    first, same, other = (run.model.driving.squeeze.weight for run in runs)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert (runs[0].config, runs[0].data, runs[0].recipe.seed, runs[0].step) == (config, "films", 4, 0)
    assert [group["lr"] for _, adam in runs[0].optimizers.items() for group in adam.param_groups] == [3e-3]


def test_the_rate_of_the_recipe_reaches_every_group_times_its_scale() -> None:
    groups = [{"params": [nn.Parameter(torch.zeros(1))]}, {"params": [nn.Parameter(torch.zeros(1))], "scale": 1.5}]
    adams = RivalAdams({name: torch.optim.Adam([group], lr=1.0) for name, group in zip("ab", groups, strict=True)})
    adams.set_learning_rate(2e-3)
    assert [group["lr"] for _, adam in adams.items() for group in adam.param_groups] == pytest.approx([2e-3, 3e-3])


@pytest.mark.parametrize(
    ("name", "data", "time_flip", "reach"),
    [
        ("x2face", "mini-taichi", 0.5, 0.15),
        ("x2face", "mini-nemo", 0.5, 1.0),
        ("x2face", "mini-bair", 0.0, 0.15),
        ("mocogan", "mini-nemo", 0.0, 1.0),
        ("cmmnet", "mini-nemo", 0.0, 1.0),
        ("sv2p", "mini-bair", 0.0, 1.0),
    ],
)
def test_generated_clips_are_turned_round_for_pairs_alone(name: str, data: str, time_flip: float, reach: float) -> None:
    how = registry.recipe_for(name, data, 3, generated=True)
    assert (how.seed, how.first_reach, how.augmentation) == (3, reach, Augmentation(time_flip, 0.0))
    assert how.augmentation == replace(sprite_augmentation(data), time_flip=time_flip)
    assert registry.recipe_for(name, "films", 3, generated=False) == replace(registry.RIVALS[name].recipe, seed=3)


class Able(Noise):
    """Adds the source to every driving frame; its future is its seed, in tenths, on top of the picture."""

    def animate(self, source: Tensor, driving: Tensor, device: Device) -> Tensor:
        assert not self.training
        return source + driving

    def predict(self, first: Tensor, length: int, device: Device, futures: int = 1, seed: int = 0) -> Tensor:
        assert not self.training
        added = torch.arange(seed, seed + futures)[:, None].expand(-1, length) / 10
        return first + added[:, :, None, None, None]


def mean_colour(frames: Tensor) -> Tensor:
    return frames.mean(dim=(2, 3))


def test_a_film_follows_the_clip_or_begins_with_its_first_frame() -> None:
    model, video = Able(NoiseConfig(16)).eval(), torch.rand(4, 3, 16, 16)
    assert torch.equal(registry.film(model, video, "reconstruction", CPU), video + video[0])
    assert torch.equal(registry.film(model, video, "prediction", CPU, seed=3), (video[0] + 0.3).expand(4, -1, -1, -1))


def test_a_rival_is_measured_at_its_task_with_its_seed_and_the_networks() -> None:
    frames = np.full((40, 16, 16, 3), 51, np.uint8)  # 0.2, and nothing moves
    given = [Clip("still", frames)], CPU
    networks = Evaluators(embedder=mean_colour)
    rebuilt = registry.measure(Able(NoiseConfig(16)), *given, "reconstruction", networks)
    assert rebuilt.frames == 39
    assert rebuilt.figures["l1"].value == pytest.approx(0.2)
    assert rebuilt.figures["aed"].value == pytest.approx(0.2 * 3**0.5, rel=1e-5)
    foreseen = registry.measure(Able(NoiseConfig(16)), *given, "prediction", networks, seed=3)
    assert foreseen.frames == 31
    assert foreseen.figures["l1"].value == pytest.approx(0.3, rel=1e-5)
    with pytest.raises(UserError, match="expected a rival that makes films of one picture"):
        registry.measure(Noise(NoiseConfig(16)), *given, "prediction")


def test_weights_that_are_not_shipped_are_refused_with_the_way_to_make_them() -> None:
    with pytest.raises(UserError, match=r"shipped weights \(mini-bair\), got mini-nemo; .* --preset sv2p --data mini-nemo"):
        registry.shipped("sv2p", "mini-nemo")
