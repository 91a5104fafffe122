# %% [markdown]
# # 07 · Training
#
# You have built every part of Monkey-Net, and in lesson 06 you took one step. A training is that step, some thousands of
# times. What can be difficult about a loop? Two things: it runs for hours while nobody looks, and it **fails in silence**.
# A wrong sign in lesson 01 gave a wrong picture at once. A training with a fault gives losses that fall, pictures that
# look plausible, and a model that moves nothing. In this lesson you watch a whole training in a minute, write the loop,
# stop it and go on without losing a bit, and learn to say what is wrong from a handful of numbers.
#
# <!-- header -->
#
# **You will be able to**
# - read the curves of a training, and say why a low L1 is no proof of motion;
# - write a training loop with a learning rate that falls, and run it in the background with a Stop that works;
# - list everything that must be saved to go on as if nothing had happened;
# - tell a sound training from eight broken ones, causes before effects.
#
# **You need** lesson 06 (the losses, and the one step) and, from lessons 03 and 04, what keypoints and masks are.

# %% tags=["parameters"]
FAST = False

# %% tags=["imports"]

# %%
ex.map()

# %% [markdown]
# ## 1. The time machine
#
# Somebody has trained for you: a *nano* Monkey-Net (half as wide as our `mini`, 8 keypoints), on one core, with the clips
# of `mini-taichi`. At 55 of its steps it drew the same three pairs of frames, of people that it was never trained on.
# Drag the slider, or use the arrow keys, or let it play. The steps are spaced like powers: most happens early.

# %% tags=["nbval-ignore-output"]
from monkeynet_edu.course import time_machine

machine = time_machine.load()
widgets.slider(
    machine.picture,
    [f"step {step}" for step in machine.steps],
    title="Time machine: a training from its first step to its last",
    label="step",
    value=machine.nearest(machine.checkpoints["early"]),
)

# %% [markdown]
# Columns: the source and the driving frame with the keypoints that Δ finds; the *deformed* source (the source read through
# the flow, nothing else); the *generated* frame (what G makes of it). Watch for this, in order of appearance:
#
# 1. at step 0 the generated frame is grey, and the keypoints crowd in the middle of the body;
# 2. then G learns to **copy the source**: colours first, edges later. The keypoints spread out. Nothing moves yet;
# 3. only after some hundred steps does the deformed source begin to follow the driving frame, limb by limb.
#
# At step 3,000 it is not finished: an arm is raised half way, another one not at all. This model is very small, and its
# training was short; the shipped models of the other lessons are five times as large.
#
# On the right are three errors, each divided by that of a lazy rival who always answers with **the source itself**. A share
# of 1 means: no better than the lazy rival. Over all pixels our model is *worse* than the rival for some four
# hundred steps, although its flow improves long before that. Over moving pixels the curve starts a little *below* 1, rises to
# it, and then falls: the grey picture of step 0 is never very wrong anywhere, and a copy of the source is, just where things
# moved. So a share near 1 does not mean that a model knows nothing, only that it is no better than the rival.
#
# **By hand.** A frame has 64 · 64 = 4096 pixels, and an arm moves over 400 of them. The lazy rival is wrong by 0.3 at
# those 400, and by 0 elsewhere: its L1 is 400 · 0.3 / 4096 ≈ 0.029. A model that moves the arm perfectly, and blurs
# everything by 0.03, has an L1 of 0.03. **The lazy rival wins.** Over the 400 moving pixels alone it is 0.3 against 0.03.

# %%
ex.predict(
    "low-l1",
    "Two trainings of equal length. In B, Δ is handed the source frame twice and never sees the driving frame: nothing can "
    "move. Compare the L1 of the generated frames (the loss 'frame') at the end.",
    {
        "stays": "in B it does not fall at all: without motion there is nothing to learn",
        "twice": "in B it is at least twice as high as in A",
        "alike": "it falls in both, and B's is within a quarter of A's",
        "lower": "in B it is much lower",
    },
)

# %% [markdown]
# You will see at the end of section 4. First you need a loop to train with.

# %% [markdown]
# ## 2. A learning rate that falls
#
# Adam moves every weight by about the learning rate at each step. Large steps go fast, and never settle: around a good
# place they jump from one side to the other. So the rate falls. The paper drops it to a tenth once, after two thirds. Our
# small models follow half a cosine: slow to fall at first, fast in the middle, slow again at the end,
# $$\eta(p) = \eta_0\,\bigl(0.02 + 0.98\,\tfrac{1 + \cos \pi p}{2}\bigr),$$
# where $p$ is the share of the training that is done. (The shipped models follow it twice: once while Δ and M learn alone, from
# 2e-3, for the first two fifths of the training, then once more while all learn together.)
#
# **By hand.** After a third, $\cos\frac{\pi}{3} = ½$, the wave is ¾, the rate $0.02 + 0.98 · ¾ = 0.755$ of the first one.
# Half way it is 0.51, at the end 0.02.
#
# ### Exercise: the rate
# Two blanks. Beyond the planned end ($p > 1$) the rate has to stay where it is. `math.cos` takes radians.

# %% exercise="cosine-rate"

# %%
how = training.recipe("mini-plain")  # Adam at 8e-4, batches of 16, half a cosine
shares = [i / 10 for i in range(13)]
rows = [{"share done": p, "learning rate": how.rate(p)} for p in shares]  # Recipe.rate calls cosine_rate
viz.figure_training(rows, step="share done", title="half a cosine")

# %%
ex.used("cosine-rate")

# %% [markdown]
# ## 3. The loop
#
# Here is the step of lesson 06 in working clothes: it sets the rate, takes the step, lets a *monitor* look (section 5),
# and reports the losses to whoever wants them.


# %%
def taker(run, watcher, report=None):
    """Returns take(source, driving, rate): one step of a training, watched and reported."""

    def take(source, driving, rate):
        run.optimizers.set_learning_rate(rate)
        done = training.training_step(run.model, run.optimizers, source, driving, ex.device)
        run.step += 1
        watcher.observe(run.step, source, driving, done.keypoints, done.generated, done.losses, run.model)
        losses = {name: float(value) for name, value in done.losses.items()}
        if report is not None:
            report(run.step, losses)
        return losses

    return take


# %% [markdown]
# What is left is the loop around it. It has one rule, which will save you in section 6: **what a step does depends on its
# number alone**. Its batch is batch number `step`; its rate belongs to the share `step / steps` of the *whole* training.
# Then it does not matter whether step 4 comes after step 3, or after a night's sleep.
#
# **By hand.** `first=3, steps=8`: the steps 3, 4, 5, 6, 7 are taken, five of them, at the shares ⅜, ½, ⅝, ¾, ⅞.
#
# ### Exercise: the training loop
# `batch(step)` returns two frames, source and driving; `rate(share)` a number; `take(source, driving, rate)` the losses.

# %% exercise="training-loop"

# %% [markdown]
# ### Live
#
# A cell that trains blocks the notebook: no button works until it is done. So the training runs in a **thread** beside the
# notebook, and the dashboard shows what it reports: losses, a picture twice a second, and what the monitor says. Press
# *Pause*, *Go on*, *Stop*: a Stop ends the training after the step that it is in, so that no step is cut in half.
#
# We go on from the checkpoint in the middle of the time machine, with the loop that you have written.
# `loop.training_loop` is the library's; once yours has been accepted, it stands in its place.

# %%
from monkeynet_edu.data.datasets import open_dataset
from monkeynet_edu.data.pairs import PairSampler

clips = open_dataset("mini-taichi", "train", size=64, seed=1)[:32]  # drawn now, by a program
sampler = PairSampler(clips, batch_size=8, augmentation=training.sprite_augmentation("mini-taichi"), device=ex.device.device)
source, driving = machine.frames()  # the three pairs of the time machine


def begin(model, rate=1e-3, data="mini-taichi"):
    """A training that starts from a model; Adam's memory is empty."""
    model = model.to(ex.device.device).train()
    return training.Run(model, Optimizers.of(model, rate), training.Recipe(8, rate, "cosine"), data)


# %% tags=["nbval-ignore-output"]
run, watcher = begin(machine.model("middle"), rate=4e-4), monitor.Monitor()
steps = ex.steps(40)


def go(report):
    return loop.training_loop(0, steps, run.recipe.rate, sampler.batch, taker(run, watcher, report))


live = widgets.dashboard(
    go,
    title="A training, live",
    monitor=lambda rows: [str(finding) for finding in watcher.findings] or ["The monitor has nothing to say."],
    preview=lambda: viz.grid([list(time_machine.draw(run.model, source, driving)[0])]),
)
live

# %% tags=["nbval-ignore-output"]
live.wait()

# %%
ex.used("training-loop")

# %% [markdown]
# The preview shows the three test pairs after each look. In forty steps not much happens: look at the time machine's curve
# once more, the axis is logarithmic. Patience is part of the craft.
#
# Three habits of people who train a lot:
# - **one batch by heart**: before a long run, train on a single batch. If the loss does not go to almost 0, there is a fault;
# - **look at pictures**, at the same ones each time, and at the worst, not at the best;
# - **a number from what matters**: ours is the error over *moving* pixels, and the error of the flow.

# %% [markdown]
# ## 4. Low L1, no motion
#
# Now the experiment of the prediction. A is sound; in B, Δ sees the source twice. Both start from scratch with the same
# weights, and see the same batches.

# %% tags=["nbval-ignore-output"]
nano = machine.model("early").config


def experiment(fault, steps, every=2):
    """A short training from scratch with a planted fault, at a constant rate, and what its monitor saw."""
    recipe = training.Recipe(8, 1e-3, "cosine")
    run, broken = training.sabotage(fault, nano, recipe, clips, "mini-taichi", ex.device)
    draw = PairSampler(broken, 8, device=ex.device.device).batch
    watcher = monitor.Monitor(every=every, patience=3)
    run.model.train()
    rows = loop.training_loop(0, steps, lambda share: run.recipe.learning_rate, draw, taker(run, watcher))
    return run, watcher, [{"step": n + 1} | row for n, row in enumerate(rows)]


sound = monitor.Plant("nothing is broken")
run_a, watcher_a, rows_a = experiment(sound, ex.steps(30))
run_b, watcher_b, rows_b = experiment(monitor.plant("resting"), ex.steps(30))
pairs = [{"step": a["step"], "A, sound": a["frame"], "B, Δ sees the source twice": b["frame"]} for a, b in zip(rows_a, rows_b)]
viz.figure_training(pairs, title="L1 of the generated frames, times its weight of 10")

# %% tags=["nbval-ignore-output"]
late_a, late_b = (sum(row["frame"] for row in rows[-5:]) for rows in (rows_a, rows_b))
fallen = late_b < 0.8 * 5 * rows_b[0]["frame"]
ratio = late_b / late_a
key = "stays" if not fallen else "twice" if ratio >= 2 else "lower" if ratio < 0.75 else "alike"
moved = [watcher.vitals[-1][1].displacement if watcher.vitals else float("nan") for watcher in (watcher_a, watcher_b)]
ex.reveal(
    "low-l1",
    key,
    f"At the end B's L1 is {ratio:.2f} times A's. From the loss of the frame nobody could tell that B is blind: most of "
    "what there is to learn at first is copying the source, and B can do that as well as A. **A low L1 is no proof of "
    f"motion.** The keypoints tell: between source and driving frame they move by {moved[0]:.2f} in A and by {moved[1]:.2f} "
    "in B.",
)

# %% [markdown]
# ## 5. The monitor, and what it looks at
#
# Nobody looks at pictures for six hours. So a monitor looks every few steps, and takes a handful of numbers, the
# *vitals*, from what the step has computed anyway:
#
# | vitals | what it is | sound |
# |---|---|---|
# | `frames` | mean difference between source and driving frames | 0.02 to 0.1 |
# | `spread` | distance of the keypoints from their common centre (the frame is 2 wide) | 0.3 to 0.7 |
# | `displacement` | distance between a keypoint in the source and in the driving frame | of the size of `frames`, or more |
# | `border` | share of keypoints at the edge, or outside | below 0.4 |
# | `foreground` | the most that a pixel gives to parts other than the background | 0.3 to 1 |
# | `adversarial` | $\mathrm{mean}\,(1 - D(\hat x))^2$, G's loss against D | 0.25; at first 1 or more: a new D guesses around 0 |
# | `discriminator` | $\mathrm{mean}\,(1 - D(x'))^2 + \mathrm{mean}\,D(\hat x)^2$ | 0.5; at first 1 or more: $(1-0)^2 + 0^2$ |
# | `update` | change of the weights by one step, as a share of the size that they begin with | 0.04, later 0.01 |
# | `total` | sum of all losses | finite |
#
# Why 0.25 and 0.5? **By hand**: a D that cannot tell says ½ to everything. G's loss is then $(1-½)^2 = ¼$, D's
# $¼ + ¼ = ½$. Whenever D gives both kinds of frames the same scores, G's loss is the smaller one; if it is *larger* than
# D's, then D tells them apart. D should not win: a D that is never wrong may go by something
# that G cannot change, such as a line at the edge; then no step of G's makes its frames look truer, and G learns nothing.
#
# ### Exercise: what is wrong? (a blank page)
# Write `symptom(vitals)`, which takes the numbers as `vitals.frames`, `vitals.spread` and so on, and returns a name or
# `None`. The eight signs, in the order of the alphabet:
#
# | name | sign |
# |---|---|
# | `"background"` | foreground < 0.05 |
# | `"collapsed"` | spread < 0.05 |
# | `"d-won"` | adversarial > 1.2 · discriminator |
# | `"identical"` | frames < 0.0005 |
# | `"learning-rate"` | update > 0.15 |
# | `"nan"` | total is not a finite number: NaN or infinite |
# | `"outside"` | border > 0.8 |
# | `"resting"` | displacement < 0.1 · frames |
#
# Often several signs show at once, and the order of your questions decides. Name **the cause, not its effects**:
#
# - a NaN or an infinity spoils every other number, and it shows in `total`, so only that need be asked;
# - where all pairs are identical, keypoints cannot move;
# - steps that are far too long throw keypoints anywhere: to the edge, or all into one place;
# - keypoints in one place do not move either; and where no keypoint moves, M has no use for any part but the background;
# - D wins where G has nothing to offer, for whatever reason: ask for it last.
#
# Where this list says nothing about two signs, either order is right: `identical` and `learning-rate` may change places, and
# `outside` may stand on either side of `collapsed`, `resting` and `background`.

# %% exercise="diagnosis"

# %% [markdown]
# ### Three broken trainings
# Somebody has broken three trainings, one fault each. Here is what a monitor saw at its last look.

# %% tags=["nbval-ignore-output"]
import random

faults = ["background", "collapsed", "learning-rate"]
hidden = dict(zip("PQR", random.Random(1).sample(faults, 3)))  # drawn, so that nobody reads it here
patients = {name: experiment(monitor.plant(fault), ex.steps(12)) for name, fault in hidden.items()}
looked = {"A (sound)": watcher_a} | {name: found[1] for name, found in patients.items()}
for name, watched in looked.items():
    for step, seen in watched.vitals[-1:]:
        numbers = ", ".join(f"{key} {value:.2g}" for key, value in vars(seen).items())
        print(f"{name:9}  step {step}: {numbers}\n")

# %%
ex.predict(
    "patient",
    "Which of the numbers above is the one to blame in patient Q?",
    {
        "spread": "spread: its keypoints have collapsed",
        "update": "update: its steps are far too long",
        "foreground": "foreground: its masks are all background",
        "total": "total: its losses are too high",
    },
)

# %% tags=["nbval-ignore-output"]
signs = {"collapsed": "spread", "learning-rate": "update", "background": "foreground"}
named = {name: [finding.name for finding in found[1].findings] for name, found in patients.items()}
key = signs.get(named["Q"][0] if named["Q"] else hidden["Q"], "total")
words = "\n".join(f"- **{name}**: {finding}" for name, found in patients.items() for finding in found[1].findings)
ex.reveal("patient", key, f"A high loss is an effect: of what, the other numbers say. The monitor's words:\n\n{words}")

# %%
ex.used("diagnosis")

# %% [markdown]
# ### The failure museum
# Nine faults, each with its name. Change `room`, run the cell, and read what the monitor says. On the command line:
# `monkeynet-edu train --data mini-taichi --steps 60 --out runs/museum --plant NAME`. Eight of them are the eight signs; the
# ninth, `few-clips`, is refused before the first step, and so it has no sign.
#
# | room | what is broken there | who has done that before |
# |---|---|---|
# | `nan` | a division by zero | everybody |
# | `identical` | every frame of a clip is its first | a reader that forgets to advance |
# | `few-clips` | fewer clips than a batch has pairs | a folder name with a typing error |
# | `learning-rate` | a rate 100 times too high | a missing `e-3` |
# | `outside` | keypoints in pixels instead of [-1, 1] | lesson 01 |
# | `collapsed` | a softmax so hot that every heatmap is flat | lesson 03 |
# | `resting` | Δ sees the source twice | copy and paste |
# | `background` | a mask that starts with everything | lesson 04 |
# | `d-won` | a white line on each generated frame, by which D knows it | a decoder that leaves a pattern |

# %% tags=["nbval-ignore-output"]
from monkeynet_edu.errors import UserError

room = "outside"
print("planted:", monitor.plant(room).said)
try:
    _, guide, _ = experiment(monitor.plant(room), ex.steps(24 if room in ("nan", "d-won") else 12))
    print(*guide.findings or ["nothing said yet: give it more steps"], sep="\n")
except UserError as refusal:
    print("refused:", refusal)

# %% [markdown]
# ## 6. Stopped and resumed
#
# Trainings are interrupted: by Ctrl-C, by a power cut, by a cluster that wants its machine back. What has to be on the
# disk, so that going on is *exactly* the same as never having stopped?

# %%
ex.predict(
    "resume",
    "We stop after 4 steps, keep the weights (all that `model.state_dict()` holds) and go on with a new Adam to step 5. How far "
    "are the weights then from those of a training that was never stopped?",
    {
        "same": "not at all: the weights are all there is",
        "rounding": "by rounding errors, a thousandth of a step",
        "step": "about as far as a step goes, or further",
        "lost": "it starts from the beginning: everything is lost",
    },
)

# %%
quick = PairSampler(clips, batch_size=2, device=ex.device.device)


def train_to(run, steps):
    """Goes on to step number `steps` of a training of 8 steps."""
    while run.step < steps:
        rate = run.recipe.rate(run.step / 8)
        taker(run, monitor.Monitor(every=1000))(*quick.batch(run.step), rate)


def fresh():
    """The same new training every time: its weights come from the seed."""
    run = training.start(nano, training.Recipe(2, 1e-3, "cosine"), "mini-taichi", ex.device)
    run.model.train()
    return run


def distance(one, other):
    """Distance between the weights of two trainings."""
    pairs = zip(one.model.parameters(), other.model.parameters())
    return float(sum((a - b).detach().double().square().sum() for a, b in pairs).sqrt())


whole, stopped, weights_only = fresh(), fresh(), fresh()
with ex.training(whole.model, stopped.model, steps=2 * 3 * 4):  # two trainings of four steps; G, Δ and D
    train_to(whole, 4)
    train_to(stopped, 4)
weights_only.model.load_state_dict(stopped.model.state_dict())
weights_only.step = 4
before = fresh()
before.model.load_state_dict(whole.model.state_dict())
train_to(whole, 5)
train_to(weights_only, 5)
one_step, apart = distance(whole, before), distance(whole, weights_only)

# %% tags=["nbval-ignore-output"]
key = "same" if apart == 0 else "rounding" if apart < 0.01 * one_step else "step" if apart < 100 * one_step else "lost"
ex.reveal(
    "resume",
    key,
    f"The fifth step of the training without a stop moves the weights by {one_step:.3f}; the two trainings are "
    f"{apart:.3f} apart, {apart / one_step:.1f} times as far. A new Adam has forgotten all gradients. Its first step is the learning rate "
    "times the *sign* of each gradient: every weight moves as far as it is allowed to.",
)

# %% [markdown]
# **By hand.** Adam keeps, for each tensor of weights, a mean of its gradients $m$ and of their squares $v$, and counts its
# steps $t$:
# $$m \leftarrow \beta_1 m + (1-\beta_1)\,g, \qquad v \leftarrow \beta_2 v + (1-\beta_2)\,g^2, \qquad
# w \leftarrow w - \eta\,\frac{m / (1-\beta_1^t)}{\sqrt{v / (1-\beta_2^t)}}.$$
# (Left out is a tiny ε of $10^{-8}$ below the line, against a division by 0.) At $t = 1$, with $m = v = 0$ before:
# $m = (1-\beta_1)\,g$ and $v = (1-\beta_2)\,g^2$, so the fraction is $g / |g| = ±1$,
# **however small g is** (as long as ε is
# smaller still). A weight whose gradients were tiny and contradictory for a thousand steps is suddenly pushed by a
# full step. So for each tensor of weights three more must be saved: $m$ (`exp_avg`), $v$ (`exp_avg_sq`), $t$
# (`step`).
#
# And one more thing that no gradient reaches: the running mean and variance of batch norm. They are *buffers*: in
# `state_dict()`, and not in `parameters()`. And the number of the step, for batch and rate; and the seed, from which
# batch n is drawn. These two are no tensors; `Run.save` writes them beside.
#
# ### Exercise: what a checkpoint holds
# Return one dict: full name → tensor. `optimizers.items()` gives pairs of a name and an Adam. The step and the seed do not
# belong into it.
#
# **By hand.** A model has a layer `encoder`, with a `weight` and a `bias`, and one optimizer, `generator`. The weight is number
# 0 of the optimizer's, the bias number 1. Its names are `model.encoder.weight` and `model.encoder.bias`, then
# `optimizer.generator.0.exp_avg`, `optimizer.generator.0.exp_avg_sq`, `optimizer.generator.0.step`, and the same three with a
# 1 for the bias: eight tensors.

# %% exercise="checkpoint"

# %%
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    stopped.save(Path(folder))  # runs checkpoint_tensors; written beside its place, then renamed
    megabytes = {path.name: path.stat().st_size / 1e6 for path in sorted(Path(folder).iterdir())}
    resumed = fresh()
    resumed.restore(Path(folder))
train_to(resumed, 5)
print("distance between resumed and uninterrupted:", distance(resumed, whole))
print({name: f"{size:.1f} MB" for name, size in megabytes.items()})

# %%
ex.used("checkpoint")

# %% [markdown]
# Zero, to the last bit. The checkpoint is three times as large as the model: weight, $m$ and $v$ (the count $t$ is one
# number for each tensor).
#
# A crash may come *while* the checkpoint is written. So the file is written beside its place, flushed to the disk, and
# renamed at the end: a rename happens whole or not at all, and at each moment one good checkpoint exists.

# %% [markdown]
# ## 7. Branches of time
#
# The time machine has three doors: checkpoints `early`, `middle` and `end`. They hold weights only, in half precision
# (Adam's memory would make them three times as large): now you know what that costs in the first steps. Branch: choose a
# door and a rate, train on, and compare.

# %%
ex.predict(
    "branch",
    "We go on from the last checkpoint for some twenty steps, with the rate of its first steps (1e-3, not the 2e-5 at its end) and a "
    "new Adam. What happens to the error over moving pixels on the three pairs?",
    {
        "better": "it falls by a tenth or more: more training is better",
        "same": "it stays within a tenth of what it was",
        "worse": "it rises by a tenth or more: what had settled is shaken up",
    },
)

# %% tags=["nbval-ignore-output"]
door, rate = "end", 1e-3
branch = begin(machine.model(door), rate)
longer = ex.steps(24)
with ex.training(branch.model, steps=3 * longer):  # G, Δ and D
    loop.training_loop(0, longer, lambda share: rate, sampler.batch, taker(branch, monitor.Monitor()))

moving = ((source - driving).abs().amax(dim=1) > 0.1)[:, None].expand_as(source)  # pixels where the two frames differ
drawn = {door: time_machine.draw(machine.model(door), source, driving)[0]}
drawn[f"{door}, {branch.step} steps on"] = time_machine.draw(branch.model, source, driving)[0]
errors = {name: float((made - driving).abs()[moving].mean()) for name, made in drawn.items()}
said = "; ".join(f"{name}: {error:.3f}" for name, error in errors.items())
figure = time_machine.compare(source, driving, drawn, f"Three pairs before and after the branch. Error over moving pixels, {said}.")
first_error, last_error = errors.values()
key = "better" if last_error < 0.9 * first_error else "worse" if last_error > 1.1 * first_error else "same"
ex.reveal(
    "branch",
    key,
    [
        f"Error over moving pixels: {said}. The steps of a rate of 1e-3 are fifty times as long as the last ones of the stored "
        "training, and a new Adam takes its first ones at full length. That is why a rate has to fall, why it must not start "
        "afresh when a training is resumed, and why people *warm up* a new Adam with a small rate.",
        figure,
    ],
)

# %% [markdown]
# **Modify.** Change `door` to `"early"` or `"middle"`, the rate to 1e-4, the number of steps to 200. Where does a branch gain most? Then
# **make**: train your own from scratch, on the command line, and look at `runs/mine/preview.png` while it runs:
#
# ```
# monkeynet-edu train --data mini-taichi --minutes 30 --out runs/mine
# ```
#
# For the first two fifths of it Δ and M learn alone: look at the deformed frames then, for G has not begun. Press Ctrl-C, and go on with
# the same command and `--resume`: it is the loop, the checkpoint and the monitor of this lesson.

# %% [markdown]
# ## 8. Your character, at three ages of the model
#
# The keypoints of your character's film move its first frame: with the weights after a hundred steps, in the middle, and at
# the end.

# %% tags=["nbval-ignore-output"]
from monkeynet_edu.data.video import to_tensor

film = to_tensor(ex.character.clip(length=16).frames)[::2]
still = film[:1].expand_as(film)
ages = [time_machine.draw(machine.model(name), still, film)[0] for name in machine.checkpoints]
ages_told = ", ".join(f"step {step}" for step in machine.checkpoints.values())
ex.film(
    torch.cat([film, *ages], dim=-1),
    fps=6,
    caption=f"{ex.character.name}: the original, and one still frame moved by the model at {ages_told}.",
    alt="Four films side by side. The original moves through a slow movement; the early model shows a blurred figure that hardly "
    "moves; the middle and the last one are sharper and follow more of the movement.",
)

# %% [markdown]
# ## In the paper, in the code
#
# | paper, Adam | code | meaning |
# |---|---|---|
# | $\eta$ | `Recipe.rate`, `training.cosine_rate` | learning rate; paper: 2e-4, a tenth after two thirds |
# | $m, v, t$ | `exp_avg`, `exp_avg_sq`, `step` | what Adam remembers of each weight |
# | $\beta_1, \beta_2$ | `betas=(0.5, 0.999)` | how long it remembers; GANs take a small $\beta_1$ |
# | $D(\hat x), D(x')$ | `vitals.adversarial`, `vitals.discriminator` | D's scores in the two losses |
# | $h_k$ | `vitals.spread`, `vitals.displacement` | where keypoints are, and how far they move |
# | $M_0$ | `1 - vitals.foreground` | the background's mask, where it is smallest |
# | (one epoch) | `PairSampler.epoch` | each clip once, one pair each |
#
# ## Recap
#
# - A training fails in silence. Compare with a lazy rival, and measure what matters: moving pixels, and the flow.
# - What a step does depends on its number alone; then stopping costs nothing.
# - A checkpoint holds weights, running statistics, Adam's three tensors for each tensor of weights, and the number of the step.
# - The rate falls along half a cosine; it does not start afresh.
# - Several signs show at once. Ask for the cause first: NaN, data, step length, keypoints, masks, D.
#
# ## To discuss
#
# 1. Your loss has been flat for an hour. Which three numbers do you ask for, and which pictures?
# 2. A colleague resumes with weights only and reports that "it makes no difference". In which training may she be right?
# 3. The monitor's thresholds were found by looking at sound and broken trainings of small models. Which of them would you
#    trust for films of 256×256 pixels, and which not?
# 4. Is a D that always loses any better than a D that always wins?
#
# ## Further reading
#
# - Karpathy, *A Recipe for Training Neural Networks*, 2019: [karpathy.github.io](https://karpathy.github.io/2019/04/25/recipe/).
# - Kingma and Ba, *Adam: A Method for Stochastic Optimization*, ICLR 2015: [arXiv:1412.6980](https://arxiv.org/abs/1412.6980).
# - Loshchilov and Hutter, *SGDR: Stochastic Gradient Descent with Warm Restarts*, ICLR 2017 (the cosine):
#   [arXiv:1608.03983](https://arxiv.org/abs/1608.03983).
# - Mao et al., *Least Squares Generative Adversarial Networks*, ICCV 2017: [arXiv:1611.04076](https://arxiv.org/abs/1611.04076).

# %%
ex.ledger()

# %%
ex.map()
