"""Lesson 06, losses and one step: its exercises."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from monkeynet_edu import losses
from monkeynet_edu.course.exercise import Call, Exercise, Function, Lesson, Mutant, Property, Violation, expect
from monkeynet_edu.discriminator import DiscriminatorConfig
from monkeynet_edu.generator import Generated, GeneratorConfig
from monkeynet_edu.keypoints import DetectorConfig, Keypoints
from monkeynet_edu.losses import LossWeights
from monkeynet_edu.model import Device, MonkeyNet, MonkeyNetConfig
from monkeynet_edu.motion import EmbeddingConfig, Motion, MotionConfig
from monkeynet_edu.training import StepResult, detect_pair

IMPORTS = """\
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from monkeynet_edu import animation, losses, training, viz
from monkeynet_edu.course.lessons import figures06
from monkeynet_edu.course.reference import gan, routes, step
from monkeynet_edu.data import pairs
from monkeynet_edu.losses import full_precision
from monkeynet_edu.model import Device, MonkeyNet
from monkeynet_edu.paths import weights_path
from monkeynet_edu.training import StepResult, detect_pair
"""

CPU = Device(torch.device("cpu"), "float32")


def _normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _must_return(came: Any, kind: type | tuple[type, ...], expected: str, tried: str) -> None:
    """Says so in words where something else comes back than what the function promises."""
    if came is None:
        raise Violation("Your function returned nothing. Is there a `return`?", tried, expected, "None")
    if not isinstance(came, kind):
        raise Violation(f"{expected} should come back", tried, expected, type(came).__name__)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


# ------------------------------------------------------------------------------------------------------ what D minimises


def _judge_extremes(f: Function) -> None:
    ones, zeros = torch.ones(3), torch.zeros(3)
    expect(f(ones, zeros), 0.0, "a D that says 1 to every real and 0 to every generated frame has loss 0", "scores 1 and 0")
    expect(f(zeros, ones), 2.0, "a D that is always wrong has loss 1 + 1", "real scores 0, generated scores 1")


def _judge_by_hand(f: Function) -> None:
    message = "real 0.5 and 2: (0.25 + 1)/2 = 0.625; generated 2 and 1: (4 + 1)/2 = 2.5; together 3.125"
    expect(f(torch.tensor([0.5, 2.0]), torch.tensor([2.0, 1.0])), 3.125, message, "real 0.5 and 2, generated 2 and 1")


def _judge_loops(f: Function) -> None:
    real, fake = _normal(2, 1, 3, 4), _normal(2, 1, 2, 5, seed=2)
    right = _mean([(1 - v) ** 2 for v in real.flatten().tolist()]) + _mean([v**2 for v in fake.flatten().tolist()])
    expect(f(real, fake), right, "mean (1 - D(x'))² + mean D(x̂)²", "random score maps of two sizes")


def _judge_one_number(f: Function) -> None:
    out = f(torch.zeros(2, 1, 3, 3), torch.zeros(2, 1, 3, 3))
    expect(list(out.shape), [], "one number comes out", "score maps (2, 1, 3, 3)")


def _judge_alone(real_score: Tensor, fake_score: Tensor) -> Tensor:
    loss = nn.MSELoss()
    out: Tensor = loss(real_score, torch.ones_like(real_score)) + loss(fake_score, torch.zeros_like(fake_score))
    return out


def _judge_in_double(real_score: Tensor, fake_score: Tensor) -> Tensor:
    real, fake = real_score.double(), fake_score.double()
    return (((real - 1) ** 2).sum() / real.numel() + (fake * fake).sum() / fake.numel()).to(real_score.dtype)


def _judge_by_norms(real_score: Tensor, fake_score: Tensor) -> Tensor:
    real = torch.linalg.vector_norm(real_score - 1).pow(2) / real_score.numel()
    out: Tensor = real + torch.linalg.vector_norm(fake_score).pow(2) / fake_score.numel()
    return out


JUDGE = Exercise(
    id="discriminator-loss",
    title="What the discriminator minimises",
    target="monkeynet_edu.losses:discriminator_adversarial",
    statement=(
        "The discriminator's least-squares loss: the mean of (1 - score)² over real frames, plus the mean of score² over "
        "generated ones."
    ),
    level="stub",
    steps=(
        "both in full precision: full_precision(…) changes nothing in float32",
        "real frames should get 1: the mean squared distance from 1",
        "generated frames should get 0: the mean squared distance from 0",
        "the sum of the two",
    ),
    hints=(
        "D is a judge with scores instead of words: 1 means real, 0 means generated. The loss is how far its scores are "
        "from those two numbers, squared.",
        "Each of the two inputs is a map of scores, possibly of another size than the other. Average each by itself; one "
        "number comes out.",
        "`(1 - real).square().mean() + fake.square().mean()`",
    ),
    calls=lambda: [
        Call("score maps (2, 1, 3, 4)", (_normal(2, 1, 3, 4), _normal(2, 1, 3, 4, seed=2))),
        Call("5 real and 7 generated scores", (_normal(5, seed=3) + 1, _normal(7, seed=4))),
    ],
    properties=(
        Property("extremes", "always right: 0; always wrong: 2", _judge_extremes),
        Property("by hand", "0.625 + 2.5 = 3.125", _judge_by_hand),
        Property("definition", "mean (1 - D(x'))² + mean D(x̂)²", _judge_loops),
        Property("one number", "one number comes out", _judge_one_number),
    ),
    mutants=(
        Mutant(
            "labels-exchanged",
            "D should say 1 to generated frames (that is what G wants).",
            "Your D is rewarded for calling generated frames real. That is the generator's wish. Whose loss is this?",
            (("real, fake = ", "fake, real = "),),
        ),
        Mutant(
            "real-only",
            "It is enough to know the real ones.",
            "Generated frames have no say in your loss. A D that says 1 to everything would be perfect: what would G "
            "learn from it?",
            (("return real_term + fake_term", "return real_term"),),
        ),
        Mutant(
            "halved",
            "The average of the two terms (LSGAN's paper has a ½ in front).",
            "Yours is half of what was asked for. The least-squares paper has a ½ in front of each term; Monkey-Net's "
            "does not.",
            (("return real_term + fake_term", "return (real_term + fake_term) / 2"),),
        ),
        Mutant(
            "absolute",
            "Distance is the absolute difference.",
            "You add up distances; least *squares* squares them first. A score that is far off shall count more than two "
            "that are half as far.",
            (("(1 - real).square()", "(1 - real).abs()"), ("fake.square()", "fake.abs()")),
        ),
        Mutant(
            "summed",
            "All squares are added up.",
            "You add up where a mean is asked for: a larger score map would have a larger loss.",
            (("(1 - real).square().mean()", "(1 - real).square().sum()"), ("fake.square().mean()", "fake.square().sum()")),
        ),
        Mutant(
            "minus-one",
            "Generated frames should get -1.",
            "Your D aims at -1 for generated frames. Some GANs do; here the two labels are 1 and 0.",
            (("fake.square()", "(1 + fake).square()"),),
        ),
        Mutant(
            "through-a-sigmoid",
            "Scores are logits, and probabilities come from a sigmoid.",
            "You squeeze the scores into (0, 1) first. Least squares takes them as they are: a score of 3 is as wrong as "
            "-1, when it should be 1.",
            (
                (
                    "full_precision(real_score), full_precision(fake_score)",
                    "full_precision(real_score).sigmoid(), full_precision(fake_score).sigmoid()",
                ),
            ),
        ),
    ),
    alternatives=(_judge_alone, _judge_in_double, _judge_by_norms),
    differentiable=("real_score", "fake_score"),
    box="losses",
)

# ------------------------------------------------------------------------------------------------------ what G minimises


def _forger_by_hand(f: Function) -> None:
    expect(f(torch.ones(4)), 0.0, "a generator whose frames all get 1 has nothing to improve", "scores 1")
    expect(f(torch.zeros(4)), 1.0, "a generator whose frames all get 0 has loss 1", "scores 0")
    expect(f(torch.tensor([0.0, 3.0])), 2.5, "0 and 3: ((1-0)² + (1-3)²)/2 = 2.5", "scores 0 and 3")


def _forger_loops(f: Function) -> None:
    scores = _normal(2, 1, 3, 4, seed=5)
    expect(f(scores), _mean([(1 - v) ** 2 for v in scores.flatten().tolist()]), "mean (1 - D(x̂))²", "a random score map")


def _forger_direction(f: Function) -> None:
    scores = torch.tensor([0.0, 0.5, 2.0], requires_grad=True)
    loss = f(scores)
    if not loss.requires_grad:
        raise Violation("a gradient reaches the scores", "scores 0, 0.5, 2", "a gradient", "none: cut from the graph")
    (slope,) = torch.autograd.grad(loss, scores)
    message = "descending moves every score towards 1: the slope is 2·(score - 1)/3"
    expect(slope, [-2 / 3, -1 / 3, 2 / 3], message, "the gradient at the scores 0, 0.5 and 2")


def _forger_by_torch(fake_score: Tensor) -> Tensor:
    return nn.functional.mse_loss(fake_score, torch.ones_like(fake_score))


def _forger_expanded(fake_score: Tensor) -> Tensor:
    wide = fake_score.double()
    return (1 - 2 * wide.mean() + (wide * wide).mean()).to(fake_score.dtype)


def _forger_by_norm(fake_score: Tensor) -> Tensor:
    return (fake_score.flatten() - 1).pow(2).sum() / fake_score.numel()


FORGER = Exercise(
    id="generator-loss",
    title="What the generator wants of the judge",
    target="monkeynet_edu.losses:generator_adversarial",
    statement="The generator's least-squares loss: it wants its frames to get the score 1. Mean squared distance from 1.",
    level="stub",
    steps=(
        "the scores in full precision",
        "how far they are from what G wants",
        "squared, then the mean",
    ),
    hints=(
        "The generator is a forger: it has done well when the judge says *real* about its work. Which number does D say "
        "then?",
        "A map of scores comes in, one number goes out: (1 - score)² at each place, then the mean.",
        "`(1 - full_precision(fake_score)).square().mean()`",
    ),
    calls=lambda: [
        Call("a score map (2, 1, 3, 4)", (_normal(2, 1, 3, 4, seed=6),)),
        Call("6 scores", (_normal(6, seed=7) + 0.5,)),
    ],
    properties=(
        Property("by hand", "1: nothing to improve; 0: loss 1; 0 and 3: 2.5", _forger_by_hand),
        Property("definition", "mean (1 - D(x̂))²", _forger_loops),
        Property("direction", "descending moves every score towards 1", _forger_direction),
    ),
    mutants=(
        Mutant(
            "d-should-win",
            "D should win: training is going well when D recognises what is generated.",
            "Your generator is content when its frames get 0, that is when the judge has seen through it. It would learn "
            "to be recognised. Which score would a good forger like to get?",
            (("missing = 1 - fake", "missing = fake"),),
        ),
        Mutant(
            "runs-away",
            "G maximises what D minimises.",
            "Your loss falls without end as the scores grow: 10 would be better than 1. Being taken for real is enough; "
            "aim at 1, not away from 0.",
            (("missing.square().mean()", "-fake.square().mean()"),),
        ),
        Mutant(
            "square-of-the-mean",
            "Squaring and averaging can be exchanged.",
            "Scores of 0 and 2 have loss 0 with you: their mean is 1. But none of the two is. Square first, then take the "
            "mean.",
            (("missing.square().mean()", "missing.mean().square()"),),
        ),
        Mutant(
            "absolute",
            "Distance is the absolute difference.",
            "You average distances; least *squares* squares them first.",
            (("missing.square()", "missing.abs()"),),
        ),
        Mutant(
            "logarithm",
            "The generator minimises -log D, as in the first GAN.",
            "That is the loss of the first GAN, with a logarithm. Monkey-Net uses least squares.",
            (("missing.square().mean()", "torch.nn.functional.softplus(-fake).mean()"),),
        ),
    ),
    alternatives=(_forger_by_torch, _forger_expanded, _forger_by_norm),
    differentiable=("fake_score",),
    box="losses",
)

# ---------------------------------------------------------------------------------------------- a GAN of points: one step


class _Factor(nn.Module):
    """Multiplies by one number."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor([start]))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def _played(f: Function, steps: int = 1, rate: float = 0.1, judge: float = 1.0) -> tuple[float, float, list[list[float]]]:
    """Both factors after some steps from generator ½ and discriminator `judge`, noise 1, real 2; losses of each step."""
    generator, discriminator = _Factor(0.5), _Factor(judge)
    optimizers = [SGD(network.parameters(), lr=rate) for network in (generator, discriminator)]
    said = []
    for _ in range(steps):
        came = f(generator, discriminator, *optimizers, torch.ones(1, 1), torch.full((1, 1), 2.0))
        try:
            said.append([float(torch.as_tensor(came[i]).detach()) for i in range(2)])
        except (TypeError, IndexError, ValueError):
            raise Violation("two losses come back, the generator's first", "one step", "two numbers", repr(came)) from None
    return float(generator.factor.detach()), float(discriminator.factor.detach()), said


_TOY = "generator ½·noise, discriminator 1·point, noise 1, real point 2, plain gradient descent with rate 0.1"


def _gan_generator(f: Function) -> None:
    message = "the fake ½ gets the score ½; (1 - ½)² has the slope -1 for the generator's factor, so ½ becomes 0.6"
    expect(_played(f)[0], 0.6, message, _TOY)


def _gan_asks(f: Function) -> None:
    message = (
        "G is judged by what D says about its fakes. With D ½·point the fake ½ gets ¼; (1 - ¼)² has the slope "
        "2·(1 - ¼)·(-½) = -0.75 for the generator's factor, so ½ becomes 0.575"
    )
    expect(_played(f, judge=0.5)[0], 0.575, message, _TOY.replace("discriminator 1·point", "discriminator ½·point"))


def _gan_discriminator(f: Function) -> None:
    message = (
        "real 2 gets 2, fake ½ gets ½: (1 - 2)² + ½² has the slope 2·(-1)·(-2) + 2·½·½ = 4.5, so 1 becomes 0.55"
    )
    expect(_played(f)[1], 0.55, message, _TOY)


def _gan_losses(f: Function) -> None:
    message = "the losses before the step: (1 - ½)² = 0.25 for the generator, (1 - 2)² + ½² = 1.25 for the discriminator"
    expect(torch.tensor(_played(f)[2][0]), [0.25, 1.25], message, _TOY)


def _gan_by_floats(steps: int, rate: float = 0.1) -> tuple[float, float]:
    g, d = 0.5, 1.0
    for _ in range(steps):
        fake = g
        g = g - rate * 2 * (1 - d * fake) * -d
        d = d - rate * (2 * (1 - 2 * d) * -2 + 2 * d * fake * fake)
    return g, d


def _gan_three_steps(f: Function) -> None:
    g, d, _ = _played(f, 3)
    message = "three steps in a row: gradients of earlier steps must not be left over"
    expect(torch.tensor([g, d]), list(_gan_by_floats(3)), message, f"{_TOY}; three steps")


def _gan_detached(f: Function) -> None:
    generator, discriminator = _Factor(0.5), _Factor(1.0)
    optimizers = [SGD(network.parameters(), lr=0.1) for network in (generator, discriminator)]
    came = f(generator, discriminator, *optimizers, torch.ones(1, 1), torch.full((1, 1), 2.0))
    if any(isinstance(x, Tensor) and x.requires_grad for x in came):
        message = "the losses come back detached: who keeps them would keep the whole graph in memory"
        raise Violation(message, "one step", "two tensors without a graph", "a tensor with its graph")


def _gan_call(seed: int, count: int) -> Call:
    nets = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for inputs, outputs in ((3, 2), (2, 1)):
            nets.append(nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs)))
    optimizers = [SGD(net.parameters(), lr=0.1) for net in nets]
    said = f"two small networks and {count} points"
    return Call(said, (*nets, *optimizers, _normal(count, 3, seed=seed), 2 * _normal(count, 2, seed=seed + 1)))


def _see_gan(f: Function, call: Call) -> list[Tensor]:
    """Losses and all weights after three steps, on copies."""
    generator, discriminator = (copy.deepcopy(net) for net in call.args[:2])
    optimizers = [SGD(net.parameters(), lr=0.1) for net in (generator, discriminator)]
    said = []
    for turn in range(3):
        noise, real = (t.roll(turn, 0) for t in call.args[4:])
        came = f(generator, discriminator, *optimizers, noise, real)
        _must_return(came, (tuple, list), "two losses", call.said)
        said += [torch.as_tensor(x).detach().float().reshape(()) for x in came]
    weights = [torch.cat([p.detach().flatten() for p in net.parameters()]) for net in (generator, discriminator)]
    return [torch.stack(said), *weights]


def _gan_by_grad(
    generator: nn.Module, discriminator: nn.Module, g: Optimizer, d: Optimizer, noise: Tensor, real: Tensor
) -> tuple[Tensor, Tensor]:
    fake = generator(noise)
    forged = losses.generator_adversarial(discriminator(fake))
    weights = list(generator.parameters())
    for p, grad in zip(weights, torch.autograd.grad(forged, weights), strict=True):
        p.grad = grad
    judged = losses.discriminator_adversarial(discriminator(real), discriminator(fake.detach()))
    weights = list(discriminator.parameters())
    for p, grad in zip(weights, torch.autograd.grad(judged, weights), strict=True):
        p.grad = grad
    g.step()
    d.step()
    return forged.detach(), judged.detach()


def _gan_by_hand_written_losses(
    generator: nn.Module, discriminator: nn.Module, g: Optimizer, d: Optimizer, noise: Tensor, real: Tensor
) -> tuple[Tensor, Tensor]:
    g.zero_grad()
    d.zero_grad()
    fake = generator(noise)
    copied = fake.clone().detach()
    forged = ((1 - discriminator(fake)) ** 2).mean()
    forged.backward()
    g.step()
    d.zero_grad()
    judged = ((1 - discriminator(real)) ** 2).mean() + (discriminator(copied) ** 2).mean()
    judged.backward()
    d.step()
    return forged.detach(), judged.detach()


def _gan_in_two_forwards(
    generator: nn.Module, discriminator: nn.Module, g: Optimizer, d: Optimizer, noise: Tensor, real: Tensor
) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        still = generator(noise)
    for p in discriminator.parameters():
        p.requires_grad_(False)
    forged = losses.generator_adversarial(discriminator(generator(noise)))
    g.zero_grad()
    torch.autograd.backward(forged)
    g.step()
    for p in discriminator.parameters():
        p.requires_grad_(True)
    judged = losses.discriminator_adversarial(discriminator(real), discriminator(still))
    d.zero_grad()
    torch.autograd.backward(judged)
    d.step()
    return forged.detach(), judged.detach()


GAN_STEP = Exercise(
    id="gan-step",
    title="One step of a GAN",
    target="monkeynet_edu.course.reference.gan:gan_step",
    statement=(
        "One step of a GAN: the generator first, then the discriminator, on the same fakes. Each is moved by its own loss "
        "alone."
    ),
    level="blanks",
    steps=(
        "the generator makes fakes, D scores them, the generator steps (torch.autograd.backward(x) is x.backward())",
        "for D the fakes are just points: cut them from the generator that made them",
        "D scores real points and fakes, and steps; zero_grad before backward also throws away what the generator's "
        "loss has left on D",
    ),
    blanks=(
        "discriminator(fake)",
        "fake.detach()",
        "discriminator(real), discriminator(still)",
        "discriminator_optimizer.zero_grad()",
    ),
    hints=(
        "Two players, two losses, two turns. In the generator's turn the gradient has to run through D back to the "
        "generator. In D's turn it must stop at the fakes.",
        "`discriminator(…)` turns points (B, 2) into scores (B, 1). `x.detach()` has the same numbers as x and no "
        "history.",
        "In order: `discriminator(fake)`, `fake.detach()`, `discriminator(real), discriminator(still)`, "
        "`discriminator_optimizer.zero_grad()`.",
    ),
    calls=lambda: [_gan_call(1, 6), _gan_call(5, 9)],
    observe=_see_gan,
    properties=(
        Property("generator", "the generator moves by its own loss, through D", _gan_generator),
        Property("asks D", "the generator's loss is made of D's scores, not of the fakes", _gan_asks),
        Property("discriminator", "D moves by its own loss alone", _gan_discriminator),
        Property("losses", "the losses come back, the generator's first", _gan_losses),
        Property("three steps", "no gradient is left over from the step before", _gan_three_steps),
        Property("detached", "the losses come back without their graphs", _gan_detached),
    ),
    mutants=(
        Mutant(
            "detached-for-the-generator",
            "What goes into D is detached, so that D is not disturbed.",
            "Your generator never moves: you cut its fakes off before D scores them, so no gradient comes back to it. In "
            "whose turn is detach needed?",
            (("generator_adversarial(discriminator(fake))", "generator_adversarial(discriminator(fake.detach()))"),),
        ),
        Mutant(
            "d-is-not-asked",
            "The generator's loss is computed from its fakes.",
            "Your generator's loss takes the fakes for scores: it pulls every coordinate towards 1, and D is never asked. "
            "Who turns a point into a score?",
            (("generator_adversarial(discriminator(fake))", "generator_adversarial(fake)"),),
        ),
        Mutant(
            "d-keeps-the-forgers-gradient",
            "zero_grad is needed once a step.",
            "Your D is also moved by the *generator's* loss: that gradient was still lying there when D stepped. Who "
            "clears D's gradients, and when?",
            (("discriminator_optimizer.zero_grad()", "generator_optimizer.zero_grad()"),),
        ),
        Mutant(
            "generator-accumulates",
            "The generator's gradients start from nothing anyway.",
            "The first step is right, the next ones are not: gradients of earlier steps add up in the generator. What has "
            "to happen before each backward?",
            (("generator_optimizer.zero_grad()\n    torch.autograd.backward(generator_loss)",
              "discriminator_optimizer.zero_grad()\n    torch.autograd.backward(generator_loss)"),),
        ),
        Mutant(
            "real-and-fake-exchanged",
            "The order of the two scores does not matter.",
            "Your D learns to say 1 to fakes and 0 to real points. Which of the two comes first in "
            "discriminator_adversarial?",
            (("(discriminator(real), discriminator(still))", "(discriminator(still), discriminator(real))"),),
        ),
        Mutant(
            "fakes-made-again",
            "D should see what the generator makes now.",
            "You let the generator, which has just moved, make new fakes for D. Many GANs do that. Here both turns use "
            "the same fakes: they are made once.",
            (("still = fake.detach()", "still = generator(noise).detach()"),),
        ),
    ),
    alternatives=(_gan_by_grad, _gan_by_hand_written_losses, _gan_in_two_forwards),
    box="gan",
)

# ----------------------------------------------------------------------------------------------------- feature matching


def _features(*values: float) -> list[Tensor]:
    """A frame, blocks and a score of constant value, each of another size."""
    return [torch.full((1, 1, 2 + i, 2), v) for i, v in enumerate(values)]


def _terms(f: Function, fake: list[Tensor], real: list[Tensor], tried: str) -> Tensor:
    came = f(fake, real)
    _must_return(came, (list, tuple), "a list of numbers", tried)
    if len(came) != len(fake) - 1:
        message = (
            "one number for the frame, one for each block, none for the score: lists of "
            f"{len(fake)} make {len(fake) - 1} numbers"
        )
        raise Violation(message, tried, f"{len(fake) - 1} numbers", f"{len(came)}")
    return torch.stack([torch.as_tensor(t).reshape(()) for t in came])


def _match_by_hand(f: Function) -> None:
    tried = "frame 1 against 0.5, block 2 against 5, score 9 against -9"
    message = "|1 - 0.5| = 0.5 for the frame, |2 - 5| = 3 for the block; the score is left out"
    expect(_terms(f, _features(1.0, 2.0, 9.0), _features(0.5, 5.0, -9.0), tried), [0.5, 3.0], message, tried)


def _match_loops(f: Function) -> None:
    fake = [_normal(2, 3, 4, 5, seed=8), _normal(2, 6, 2, 2, seed=9), _normal(2, 4, 1, 3, seed=10), _normal(2, 1, 1, 1)]
    real = [_normal(*t.shape, seed=20 + i) for i, t in enumerate(fake)]
    right = []
    for a, b in zip(fake[:3], real[:3], strict=True):
        right.append(_mean([abs(p - q) for p, q in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True)]))
    expect(_terms(f, fake, real, "random features"), right, "the mean absolute difference of each", "random features")


def _match_equal(f: Function) -> None:
    same = _features(0.3, -2.0, 0.1)
    expect(_terms(f, same, same, "equal features"), [0.0, 0.0], "equal features cost nothing", "equal features")


def _match_gradient(f: Function) -> None:
    fake, real = ([t.requires_grad_() for t in _features(*v)] for v in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    total = _terms(f, fake, real, "a gradient is asked for").sum()
    for side, leaves in (("generated", fake), ("real", real)):
        if not total.requires_grad:
            raise Violation("a gradient reaches the features", "after backward", "a gradient", "none")
        grads = torch.autograd.grad(total, leaves[:2], retain_graph=True, allow_unused=True)
        if any(g is None for g in grads):
            message = (
                f"a gradient reaches the features of the {side} frame: D is shown heatmaps beside both frames, and through "
                "them the loss reaches Δ"
            )
            raise Violation(message, f"gradient of the {side} frame's features", "a gradient", "none: cut off")


def _see_match(f: Function, call: Call) -> list[Tensor]:
    """The terms, their number, and the gradient of a weighted sum of them on both sides.

    As many tensors come out as there are features, whatever the number of terms: what a wrong number means is said by the
    properties.
    """
    fake, real = ([t.clone().requires_grad_() for t in side] for side in call.args)
    came = f(fake, real)
    _must_return(came, (list, tuple), "a list of numbers", call.said)
    terms = [torch.as_tensor(t) for t in came]
    for t in terms:
        if t.numel() != 1:
            message = "each block's differences become one number, their mean"
            raise Violation(message, call.said, "tensors without dimensions", f"a tensor {tuple(t.shape)}")
    leaves = [*fake, *real]
    total = sum((i + 1) * t for i, t in enumerate(terms))
    grads: list[Tensor | None] = [None] * len(leaves)
    if isinstance(total, Tensor) and total.requires_grad:
        grads = list(torch.autograd.grad(total, leaves, allow_unused=True))
    filled = [torch.zeros_like(x) if g is None else 10 * g for x, g in zip(leaves, grads, strict=True)]
    room = [t.detach().reshape(()) for t in terms] + [torch.zeros(())] * len(fake)
    return [torch.tensor(float(len(terms))), *room[: len(fake)], *filled]


def _match_call() -> Call:
    sizes = ((2, 3, 6, 5), (2, 4, 3, 2), (2, 5, 2, 2), (2, 1, 2, 2))
    fake, real = ([_normal(*size, seed=30 + 10 * side + i) for i, size in enumerate(sizes)] for side in range(2))
    return Call("a frame, two blocks and a score", (fake, real))


def _match_by_index(fake: list[Tensor], real: list[Tensor]) -> list[Tensor]:
    return [torch.mean(torch.abs(fake[i] - real[i])) for i in range(len(fake) - 1)]


def _match_by_torch(fake: list[Tensor], real: list[Tensor]) -> list[Tensor]:
    terms = [nn.functional.l1_loss(f, r) for f, r in zip(fake, real, strict=True)]
    terms.pop()
    return terms


def _match_in_double(fake: list[Tensor], real: list[Tensor]) -> list[Tensor]:
    out = []
    for f, r in list(zip(fake, real, strict=True))[:-1]:
        gap = (f.double() - r.double()).flatten()
        out.append((torch.maximum(gap, -gap).sum() / gap.numel()).to(f.dtype))
    return out


MATCH = Exercise(
    id="feature-matching",
    title="Feature matching",
    target="monkeynet_edu.losses:feature_matching",
    statement=(
        "For the frame itself and for each block of D: the mean absolute difference between what D saw in the generated "
        "frame and in the real one. D's score, the last of each list, is left out. Return a list of numbers. Nothing is "
        "detached."
    ),
    level="blank page",
    hints=(
        "D has looked at both frames and noted, block by block, what it saw. A forger who can read these notes learns "
        "more from them than from the verdict: compare them, one by one. The verdict itself is not part of this loss.",
        "`fake` and `real` are lists of the same length: [frame, block 1, …, block n, score]. Out comes a list of n + 1 "
        "numbers (tensors without dimensions).",
        "`[(f - r).abs().mean() for f, r in zip(fake[:-1], real[:-1])]` is all it takes.",
    ),
    calls=lambda: [_match_call()],
    observe=_see_match,
    properties=(
        Property("by hand", "0.5 for the frame, 3 for the block, nothing for the score", _match_by_hand),
        Property("definition", "each is a mean absolute difference", _match_loops),
        Property("equal", "equal features cost nothing", _match_equal),
        Property("both sides", "a gradient reaches the features of both frames", _match_gradient),
    ),
    mutants=(
        Mutant(
            "real-detached",
            "The real frame is the target, and targets are detached.",
            "You cut the real frame's features off. They look like a fixed target, but D is shown the keypoints beside "
            "the real frame, too, and Monkey-Net lets that gradient through to Δ.",
            (("full_precision(wanted)", "full_precision(wanted).detach()"),),
        ),
        Mutant(
            "score-for-frame",
            "The features are what D computes: blocks and score.",
            "You leave out the first entry and compare the last. The first is the frame itself, and counts; the last is "
            "the score, which has a loss of its own.",
            (("zip(fake[:-1], real[:-1], strict=True)", "zip(fake[1:], real[1:], strict=True)"),),
        ),
        Mutant(
            "score-included",
            "All that D returns is compared.",
            "You compare the scores as well. The last entry of each list is D's verdict, and it has a loss of its own: "
            "leave it out.",
            (("zip(fake[:-1], real[:-1], strict=True)", "zip(fake, real, strict=True)"),),
        ),
        Mutant(
            "frame-left-out",
            "Features are what the blocks compute.",
            "You leave out the first entry, the frame itself. It counts, too: for i = 0 feature matching is the plain "
            "comparison of pixels.",
            (("zip(fake[:-1], real[:-1], strict=True)", "zip(fake[1:-1], real[1:-1], strict=True)"),),
        ),
        Mutant(
            "squared",
            "Differences are squared, as in the other losses.",
            "You square the differences. Feature matching takes absolute differences: a few large ones, at an edge that "
            "sits one pixel off, shall not drown all others.",
            (("gap.abs().mean()", "gap.square().mean()"),),
        ),
        Mutant(
            "summed",
            "All differences are added up.",
            "You add up where a mean is asked for: a block with many values would outweigh all others. Divide by their "
            "number.",
            (("gap.abs().mean()", "gap.abs().sum()"),),
        ),
        Mutant(
            "signs-cancel",
            "The mean difference says how far apart they are.",
            "Differences of +1 and -1 cancel in your mean. Take the absolute value before the mean.",
            (("gap.abs().mean()", "gap.mean().abs()"),),
        ),
    ),
    alternatives=(_match_by_index, _match_by_torch, _match_in_double),
    box="losses",
)

# ------------------------------------------------------------------------------------------------ the step in two phases


class _ToyNet(nn.Module):
    """Two numbers to learn."""

    def __init__(self, *start: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(start, dtype=torch.float64))


class _ToyDiscriminator(_ToyNet):
    """Features [frame, v·frame + k²·frame] and the score w·frame + v·k, k being the keypoint's x."""

    def forward(self, frame: Tensor, source: Keypoints, driving: Keypoints) -> list[Tensor]:
        v, w = self.weight
        k = driving.mean[:, :, :1, None]  # (B, 1, 1, 1)
        return [frame, v * frame + k * k * frame, w * frame + v * k]


class _Toy(nn.Module):
    """A Monkey-Net that fits on a napkin: each network has two numbers, frames have one pixel.

    Δ: k = a·frame + b. G: prediction = g·source + h·(k' - k), deformed = source + g·(k' - k). D: see above.
    """

    weights = LossWeights((2.0, 3.0), deformed=5.0, adversarial=1.5, discriminator=0.5)

    def __init__(self) -> None:
        super().__init__()
        self.detector, self.generator = _ToyNet(0.7, 0.2), _ToyNet(1.3, 0.4)
        self.discriminator = _ToyDiscriminator(0.6, -0.3)
        self.config = SimpleNamespace(losses=self.weights)

    def detect(self, frames: Tensor) -> Keypoints:
        a, b = self.detector.weight
        k = (a * frames[:, 0, 0] + b)[..., None].expand(-1, -1, 2)  # (B, 1, 2)
        return Keypoints(k, torch.eye(2, dtype=torch.float64).expand(*k.shape, 2))

    def forward(self, image: Tensor, source: Keypoints, driving: Keypoints) -> Generated:
        g, h = self.generator.weight
        moved = (driving.mean - source.mean)[:, :, :1, None]
        grid = torch.zeros(len(image), 1, 1, 2, dtype=image.dtype)
        return Generated(g * image + h * moved, image + g * moved, Motion(grid, None, None, None))


_TOY_SOURCE, _TOY_DRIVING = (0.2, 0.5), (0.9, 0.1)
_NAPKIN = "a Monkey-Net with two weights in each network and frames of one pixel"


def _toy_losses(weights: Mapping[str, list[float]]) -> tuple[dict[str, float], float]:
    """The terms of G and Δ by name, and D's loss, in plain numbers."""
    (a, b), (g, h), (v, w) = weights["detector"], weights["generator"], weights["discriminator"]
    names: dict[str, list[float]] = {n: [] for n in ("deformed", "frame", "feature_1", "adversarial", "real", "fake")}
    for source, driving in zip(_TOY_SOURCE, _TOY_DRIVING, strict=True):
        k, moved = a * driving + b, a * (driving - source)
        made, deformed = g * source + h * moved, source + g * moved
        names["deformed"].append(5.0 * abs(deformed - driving))
        names["frame"].append(2.0 * abs(made - driving))
        names["feature_1"].append(3.0 * abs((v + k * k) * made - (v + k * k) * driving))
        names["adversarial"].append(1.5 * (1 - (w * made + v * k)) ** 2)
        names["real"].append(0.5 * (1 - (w * driving + v * k)) ** 2)
        names["fake"].append(0.5 * (w * made + v * k) ** 2)
    means = {name: _mean(values) for name, values in names.items()}
    judge = means.pop("real") + means.pop("fake")
    return means, judge


def _slope(network: str, index: int, loss: Callable[[Mapping[str, list[float]]], float]) -> float:
    """Derivative of a loss of plain numbers, by moving one weight a little both ways."""
    ends = []
    for move in (1e-6, -1e-6):
        weights = {name: list(net.weight.tolist()) for name, net in _toy_networks(_Toy())}
        weights[network][index] += move
        ends.append(loss(weights))
    return (ends[0] - ends[1]) / 2e-6


def _toy_networks(toy: _Toy) -> list[tuple[str, _ToyNet]]:
    return [("detector", toy.detector), ("generator", toy.generator), ("discriminator", toy.discriminator)]


def _toy_step(f: Function, left_over: float | None = None) -> tuple[_Toy, Any]:
    """The toy after one call of an answer."""
    toy = _Toy()
    if left_over is not None:
        for _, network in _toy_networks(toy):
            network.weight.grad = torch.full((2,), left_over, dtype=torch.float64)
    source, driving = (torch.tensor(v, dtype=torch.float64)[:, None, None, None] for v in (_TOY_SOURCE, _TOY_DRIVING))
    return toy, _stepped(f, toy, source, driving)


def _stepped(f: Function, model: nn.Module, source: Tensor, driving: Tensor) -> Any:
    """What an answer returns; where torch complains of a graph that is used up, the complaint says what to look for."""
    try:
        return f(model, source, driving, CPU)
    except RuntimeError as error:
        if "second time" not in str(error):
            raise
        said = (
            "backward runs a second time over the first phase. What in D's loss still hangs on it: the frame? the "
            "keypoints? an old score? (retain_graph=True only hides it.)"
        )
        raise RuntimeError(said).with_traceback(error.__traceback__) from None


def _expect_slopes(f: Function, name: str, message: str, left_over: float | None = None) -> None:
    toy, _ = _toy_step(f, left_over)
    network = dict(_toy_networks(toy))[name]

    def loss(weights: Mapping[str, list[float]]) -> float:
        terms, judge = _toy_losses(weights)
        return judge if name == "discriminator" else sum(terms.values())

    right = [_slope(name, i, loss) for i in range(2)]
    if network.weight.grad is None:
        raise Violation(f"{message}: but it has none at all", _NAPKIN, f"{right[0]:.4g}, {right[1]:.4g}", "no gradient")
    expect(network.weight.grad, right, message, _NAPKIN, 1e-5)


def _step_generator(f: Function) -> None:
    _expect_slopes(f, "generator", "G's gradient is that of the loss of G and Δ, also through D")


def _step_detector(f: Function) -> None:
    _expect_slopes(f, "detector", "Δ's gradient is that of the loss of G and Δ, also through D on both frames")


def _step_discriminator(f: Function) -> None:
    _expect_slopes(f, "discriminator", "D's gradient is that of its own loss alone, times its weight")


def _step_fresh(f: Function) -> None:
    for name, said in (("generator", "G"), ("detector", "Δ"), ("discriminator", "D")):
        _expect_slopes(f, name, f"what was left from an earlier step does not add to {said}'s gradient", 10.0)


def _step_terms(f: Function) -> None:
    _, result = _toy_step(f)
    _must_return(result, StepResult, "a StepResult(terms, generated, (kp_source, kp_driving))", _NAPKIN)
    terms, judge = _toy_losses({name: net.weight.tolist() for name, net in _toy_networks(_Toy())})
    right = terms | {"discriminator": judge}
    if set(result.losses) != set(right):
        raise Violation("all terms come back by name", _NAPKIN, ", ".join(right), ", ".join(result.losses))
    for name, value in right.items():
        expect(float(torch.as_tensor(result.losses[name]).detach()), value, f"the value of the term {name}", _NAPKIN)
    if any(torch.as_tensor(term).requires_grad for term in result.losses.values()):
        raise Violation("the terms come back detached", _NAPKIN, "tensors without a graph", "a tensor with its graph")


def _step_made(f: Function) -> None:
    toy, result = _toy_step(f)
    expected = "all that the model returned: .prediction, .deformed and the motion"
    if not isinstance(result.generated, Generated):
        message = "the second entry of StepResult is `generated` as a whole, not the frame alone"
        raise Violation(message, _NAPKIN, expected, type(result.generated).__name__)
    g, h = toy.generator.weight.tolist()
    a = toy.detector.weight.tolist()[0]
    right = [g * s + h * a * (d - s) for s, d in zip(_TOY_SOURCE, _TOY_DRIVING, strict=True)]
    message = "what comes back as generated is made from the source frame and both keypoints"
    expect(result.generated.prediction.flatten(), right, message, _NAPKIN)


def _step_keypoints(f: Function) -> None:
    toy, result = _toy_step(f)
    pair = result.keypoints
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(k, Keypoints) for k in pair):
        message = "the third entry of StepResult is the pair (kp_source, kp_driving)"
        raise Violation(message, _NAPKIN, "two Keypoints", type(pair).__name__)
    a, b = toy.detector.weight.tolist()
    for kp, frames, name in zip(pair, (_TOY_SOURCE, _TOY_DRIVING), ("source", "driving"), strict=True):
        expect(kp.mean[:, 0, 0], [a * x + b for x in frames], f"the keypoints of the {name} frames come back", _NAPKIN)
        if kp.mean.requires_grad or kp.cov.requires_grad:
            message = "the keypoints come back detached: who keeps them would keep the whole graph in memory"
            raise Violation(message, _NAPKIN, "keypoints without a graph", f"those of the {name} frames with their graph")


class _Counting(_Toy):
    """A toy that notes how many frames Δ is given at once."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def detect(self, frames: Tensor) -> Keypoints:
        self.seen.append(len(frames))
        return super().detect(frames)


def _step_together(f: Function) -> None:
    toy = _Counting()
    source, driving = (torch.tensor(v, dtype=torch.float64)[:, None, None, None] for v in (_TOY_SOURCE, _TOY_DRIVING))
    _stepped(f, toy, source, driving)
    if set(toy.seen) != {4}:
        message = (
            "source and driving frames go through Δ in one batch, detect_pair(model, source, driving): in training, batch "
            "norm takes its averages from the batch, and both frames shall be treated alike"
        )
        raise Violation(message, "two pairs", "4 frames at once", f"batches of {', '.join(map(str, toy.seen)) or 'none'}")


def _step_still(f: Function) -> None:
    toy, _ = _toy_step(f)
    for (name, after), (_, before) in zip(_toy_networks(toy), _toy_networks(_Toy()), strict=True):
        expect(after.weight, before.weight, f"the weights stay as they are ({name}): the optimizers step later", _NAPKIN)


TINY = MonkeyNetConfig(
    frame_size=16,
    detector=DetectorConfig(2, 4, 8, 2, least_covariance=0.001),
    generator=GeneratorConfig(
        4, 8, 2, refinement_blocks=1, motion=MotionConfig(4, 8, 2, EmbeddingConfig(("heatmap", "deformed_source")))
    ),
    discriminator=DiscriminatorConfig(4, 8, 1, EmbeddingConfig(heatmap="gaussian", normalisation=1.0)),
    losses=LossWeights((10.0, 10.0), deformed=10.0, discriminator=2.0),
)


_TERMS = ("deformed", "frame", "feature_1", "adversarial", "discriminator")


@cache
def _tiny() -> MonkeyNet:
    """A small model in float64 whose M moves."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = MonkeyNet(TINY).double()
        assert model.generator.dense_motion_module is not None
        last = model.generator.dense_motion_module.hourglass.decoder.conv
        assert last is not None
        nn.init.normal_(last.weight, std=0.1)
    return model.train()


def _step_call() -> Call:
    frames = torch.rand(2, 2, 3, 16, 16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return Call("a small Monkey-Net, two pairs 16×16", (_tiny(), frames[0], frames[1], CPU))


def _see_step(f: Function, call: Call) -> list[Tensor]:
    """Terms by name, and each network's gradient, with gradients left over from before."""
    model = copy.deepcopy(call.args[0])
    for p in model.parameters():
        p.grad = torch.full_like(p, 0.01)
    result = _stepped(f, model, *call.args[1:3])
    _must_return(result, StepResult, "a StepResult(terms, generated, (kp_source, kp_driving))", call.said)
    if set(result.losses) != set(_TERMS):
        raise Violation("all terms come back by name", call.said, ", ".join(_TERMS), ", ".join(result.losses))
    grads = []
    for network in (model.generator, model.detector, model.discriminator):
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in network.parameters()]
        grads.append(30 * torch.cat([g.flatten() for g in parts]))  # small ones count, too
    return [torch.stack([result.losses[name].detach() for name in sorted(result.losses)]), *grads]


def _step_by_lists(model: MonkeyNet, source: Tensor, driving: Tensor, device: Device) -> StepResult:
    kp = detect_pair(model, source, driving)
    made = model(source, *kp)
    fake, real = model.discriminator(made.prediction, *kp), model.discriminator(driving, *kp)
    terms = losses.generator_losses(fake, real, made.deformed, model.config.losses)
    judge = model.config.losses.discriminator * losses.discriminator_adversarial(real[-1], fake[-1])
    own, others = list(model.discriminator.parameters()), [*model.generator.parameters(), *model.detector.parameters()]
    first = torch.autograd.grad(torch.stack([*terms.values()]).sum(), others, retain_graph=True)
    for p, g in zip([*others, *own], [*first, *torch.autograd.grad(judge, own)], strict=True):
        p.grad = g
    named = {name: term.detach() for name, term in terms.items()} | {"discriminator": judge.detach()}
    return StepResult(named, made, (kp[0].detach(), kp[1].detach()))


def _step_with_a_copy(model: MonkeyNet, source: Tensor, driving: Tensor, device: Device) -> StepResult:
    critic = copy.deepcopy(model.discriminator)  # its gradients are thrown away with it
    model.zero_grad()
    kp = detect_pair(model, source, driving)
    made = model(source, *kp)
    terms = losses.generator_losses(
        critic(made.prediction, *kp), critic(driving, *kp), made.deformed, model.config.losses
    )
    torch.autograd.backward(list(terms.values()))
    still = kp[0].detach(), kp[1].detach()
    scores = [model.discriminator(frame, *still)[-1] for frame in (driving, made.prediction.detach())]
    judge = losses.discriminator_adversarial(*scores) * model.config.losses.discriminator
    torch.autograd.backward(judge)
    return StepResult({n: t.detach() for n, t in {**terms, "discriminator": judge}.items()}, made, still)


def _step_judge_first(model: MonkeyNet, source: Tensor, driving: Tensor, device: Device) -> StepResult:
    for p in model.parameters():
        p.grad = None
    kp = detect_pair(model, source, driving)
    made = model(source, *kp)
    still = kp[0].detach(), kp[1].detach()
    real, fake = (model.discriminator(x, *still)[-1] for x in (driving, made.prediction.detach()))
    judge = model.config.losses.discriminator * ((1 - real).square().mean() + fake.square().mean())
    torch.autograd.backward(judge)
    model.discriminator.requires_grad_(False)
    terms = losses.generator_losses(
        model.discriminator(made.prediction, *kp), model.discriminator(driving, *kp), made.deformed, model.config.losses
    )
    torch.autograd.backward(torch.stack([*terms.values()]).sum())
    model.discriminator.requires_grad_(True)
    return StepResult({n: t.detach() for n, t in {**terms, "discriminator": judge}.items()}, made, still)


_BACKWARD = "torch.stack(list(terms.values())).sum())"
_KEEPING = "torch.stack(list(terms.values())).sum(), retain_graph=True)"
_SECOND_LOOK = """\
    fake = model.discriminator(generated.prediction.detach(), kp_source, kp_driving)
    real = model.discriminator(driving, kp_source, kp_driving)
    judge ="""

TWO_PHASES = Exercise(
    id="two-phase-step",
    title="One step in two phases",
    target="monkeynet_edu.course.reference.step:two_phase_gradients",
    statement=(
        "Fill the gradients of all three networks for one batch. First phase: the loss of G and Δ, nothing detached. "
        "Second phase: D's own loss, with keypoints and generated frame detached. Nothing is stepped here. Return "
        "StepResult(terms, generated, (kp_source, kp_driving)), terms and keypoints detached."
    ),
    level="stub",
    steps=(
        "clear all gradients; detect_pair(model, source, driving) gives both keypoints; model(source, kp_source, "
        "kp_driving) generates: .prediction is the frame, .deformed the source through the warp",
        "D sees the generated frame, then the real one, each with both keypoints: model.discriminator(frame, kp_source, "
        "kp_driving)",
        "losses.generator_losses(fake, real, generated.deformed, model.config.losses) gives terms by name; backward from "
        "their sum",
        "that has left a gradient on D: clear D's alone",
        "detach keypoints and generated frame; D sees both frames again; its loss is model.config.losses.discriminator "
        "times losses.discriminator_adversarial of the two scores (the last of each list); backward",
        'D\'s loss joins the terms as "discriminator"; detach them all; return StepResult(terms, generated, (kp_source, '
        "kp_driving)), with the detached keypoints as one pair",
    ),
    hints=(
        "Follow the two arrows. In the first phase the gradient runs from the loss through D into the frame and the "
        "keypoints. In the second it must end in D. Where is the first place at which the two have to be separated, and "
        "what did the first phase leave lying on D?",
        "D returns [frame, block 1 …, score (B, 1, h, w)]: generator_losses takes the whole lists, "
        "discriminator_adversarial the last entries, the real one first. Keypoints have a .detach() of their own. The "
        "terms are numbers in a dictionary.",
        "Second phase: `model.discriminator.zero_grad()`, `kp_source, kp_driving = kp_source.detach(), "
        "kp_driving.detach()`, `fake = model.discriminator(generated.prediction.detach(), kp_source, kp_driving)`, the "
        "same for `driving`, then `torch.autograd.backward(model.config.losses.discriminator * "
        "losses.discriminator_adversarial(real[-1], fake[-1]))`. At the end, with D's loss among the "
        "terms: `StepResult({name: term.detach() for name, term in terms.items()}, generated, (kp_source, kp_driving))`.",
    ),
    calls=lambda: [_step_call()],
    observe=_see_step,
    sites=("monkeynet_edu.training:compute_gradients",),
    properties=(
        Property("G", "G's gradient is that of the loss of G and Δ", _step_generator),
        Property("Δ", "Δ's gradient is that of the loss of G and Δ, also through D on both frames", _step_detector),
        Property("D", "D's gradient is that of its own loss alone", _step_discriminator),
        Property("fresh", "nothing is left over from the step before", _step_fresh),
        Property("terms", "all terms come back by name, detached", _step_terms),
        Property("still", "no weight changes", _step_still),
        Property("generated", "what was generated comes back as a whole", _step_made),
        Property("keypoints", "both keypoints come back, detached", _step_keypoints),
        Property("one batch", "source and driving frames go through Δ in one batch", _step_together),
    ),
    mutants=(
        Mutant(
            "detached-for-the-generator",
            "What goes into D is detached.",
            "In the first phase you cut the generated frame off before D sees it: neither D's verdict nor the features can "
            "teach G anything. In which phase does detach belong?",
            (("generated.prediction, kp_source", "generated.prediction.detach(), kp_source"),),
        ),
        Mutant(
            "frame-not-detached",
            "D's loss may reach G: retain_graph makes the error go away.",
            "In the second phase D's loss runs on into the generated frame, and teaches G to be *recognised*. torch "
            "warned you that the graph was used up; keeping it hides that. What has to be cut?",
            (("generated.prediction.detach()", "generated.prediction"), (_BACKWARD, _KEEPING)),
        ),
        Mutant(
            "keypoints-not-detached",
            "Detaching the picture is enough.",
            "In the second phase D's loss still reaches Δ, through the keypoints that D is shown beside the frames. Δ "
            "would help D to win. The picture is not the only way back.",
            (("= kp_source.detach(), kp_driving.detach()", "= kp_source, kp_driving"), (_BACKWARD, _KEEPING)),
        ),
        Mutant(
            "d-keeps-the-forgers-gradient",
            "The first backward only concerns G and Δ.",
            "D's gradient holds two losses: the first phase ran *through* D and left its own on D's weights, too. D would "
            "learn to be fooled.",
            (("model.discriminator.zero_grad()", "model.discriminator.train()"),),
        ),
        Mutant(
            "all-cleared",
            "Between the phases everything is cleared.",
            "After your function G and Δ have no gradient: you cleared them together with D's. Whose alone has to go?",
            (("model.discriminator.zero_grad()", "model.zero_grad()"),),
        ),
        Mutant(
            "accumulates",
            "Gradients start from nothing.",
            "Gradients from the step before are still in yours: torch adds to what is there. What has to happen "
            "first?",
            (("    model.zero_grad()\n", "    model.train()\n"),),
        ),
        Mutant(
            "labels-exchanged",
            "discriminator_adversarial takes the generated score first.",
            "Your D learns to say 1 to generated frames. Which of the two scores comes first?",
            (("(real[-1], fake[-1])", "(fake[-1], real[-1])"),),
        ),
        Mutant(
            "real-detached",
            "The real frame is only a target in the first phase.",
            "Δ's gradient is not whole. In the first phase D also sees the real frame *with heatmaps of the keypoints*; "
            "the loss reaches Δ by this way, too. Nothing is detached there.",
            (
                (
                    "real = model.discriminator(driving, kp_source, kp_driving)\n    terms",
                    "real = [x.detach() for x in model.discriminator(driving, kp_source, kp_driving)]\n    terms",
                ),
            ),
        ),
        Mutant(
            "scores-of-the-first-phase",
            "D has seen both frames already: its scores can be used again.",
            "You use the scores of the first phase for D's loss. They hang on the frame and the keypoints, so D's loss "
            "runs back into G and Δ, and retain_graph lets it. D has to look again, at what has been cut off.",
            (
                (_SECOND_LOOK, "    judge ="),
                (_BACKWARD, _KEEPING),
            ),
        ),
        Mutant(
            "keypoints-cut-at-once",
            "Keypoints are detached as soon as they are found.",
            "Δ gets no gradient at all: you cut the keypoints off before the first phase. There nothing is detached; Δ "
            "learns from what its keypoints do.",
            (
                (
                    "kp_driving = detect_pair(model, source, driving)",
                    "kp_driving = (k.detach() for k in detect_pair(model, source, driving))",
                ),
            ),
        ),
        Mutant(
            "keypoints-cut-for-d",
            "What D is shown is always detached.",
            "In the first phase you cut the keypoints off before D sees them. The picture still teaches Δ, D's heatmaps no "
            "longer do. In which phase does detach belong?",
            (
                (
                    "(generated.prediction, kp_source, kp_driving)",
                    "(generated.prediction, kp_source.detach(), kp_driving.detach())",
                ),
                (
                    "real = model.discriminator(driving, kp_source, kp_driving)\n    terms",
                    "real = model.discriminator(driving, kp_source.detach(), kp_driving.detach())\n    terms",
                ),
            ),
        ),
        Mutant(
            "cut-for-the-generated-frame-only",
            "The real frame has nothing to do with Δ.",
            "In the second phase D's loss still reaches Δ by one way: D looks at the *real* frame with keypoints that are "
            "not detached.",
            (
                (
                    "real = model.discriminator(driving, kp_source, kp_driving)\n    judge",
                    "real = model.discriminator(driving, *detect_pair(model, source, driving))\n    judge",
                ),
            ),
        ),
        Mutant(
            "cut-for-the-real-frame-only",
            "With the generated frame detached, nothing of it hangs on Δ.",
            "In the second phase D's loss still reaches Δ by one way: D looks at the *generated* frame with keypoints that "
            "are not detached.",
            (
                (
                    "(generated.prediction.detach(), kp_source, kp_driving)",
                    "(generated.prediction.detach(), *detect_pair(model, source, driving))",
                ),
            ),
        ),
        Mutant(
            "weight-forgotten",
            "D's loss has no weight.",
            "The direction of D's gradient is right, its size is not. Each term has a weight in model.config.losses, D's "
            "loss as well.",
            (("model.config.losses.discriminator * ", ""),),
        ),
        Mutant(
            "detected-apart",
            "Each frame can be given to Δ by itself.",
            "You give Δ the two frames one after the other. In training, batch norm takes its averages from the batch: two "
            "batches, two averages. detect_pair sends both through in one.",
            (("detect_pair(model, source, driving)", "model.detect(source), model.detect(driving)"),),
        ),
    ),
    alternatives=(_step_by_lists, _step_with_a_copy, _step_judge_first),
    box="step",
)

LESSON = Lesson(
    number="06",
    slug="losses_and_one_step",
    title="Losses and one step",
    minutes=150,
    imports=IMPORTS,
    exercises=(JUDGE, FORGER, GAN_STEP, MATCH, TWO_PHASES),
)
