# %% [markdown]
# # 09 · Image to video
#
# <!-- header -->
#
# In lesson 08 a still picture moved because somebody else had been filmed. Today there is no film at all: one picture goes in,
# and the machine has to make up what happens next. It does not have to make up pixels. It has to say where ten keypoints go;
# G, which you know, draws the rest. So the new part is small: a network with a memory that reads numbers and says numbers.
# You meet it on a plain sine curve first.
#
# **After this lesson you can**
#
# - train a network to say what comes next, and let it run freely on its own words;
# - write one step of an LSTM by hand, gates and all, and run a shipped predictor on it;
# - turn any four numbers into a covariance, and say which recipes fail;
# - say what a loss under teacher forcing tells about a film, and what not;
# - explain what the best single guess of the future looks like, and make several.
#
# Predictions work as before: the buttons, or `ex.answer("name-of-the-question", "your-choice", sure=70)`, or `ex.skip(…)`.

# %% tags=["parameters"]
FAST = False

# %% tags=["imports"]

# %% [markdown]
# ## Where we are
# One new box, *Image to video*; everything above it is at work, too.

# %%
ex.map()

# %% [markdown]
# ## 1. What comes next?
# Here are some sine curves, all of them with the same height and the same period (24 steps), each caught at another moment.
# We want a network that reads such a curve value by value and, after each one, says the next.
#
# For that we need no labels. The curve itself holds the answers: the right answer after step $t$ is simply
# what stands at step $t + 1$.
#
# **By hand.** From the sequence 1, 2, 3, 4 the network reads 1, 2, 3 (the *inputs*), and should say 2, 3, 4 (the
# *targets*). The 4 is never read: nothing comes after it. The 1 is never asked for.
#
# A batch of sequences has the shape (B, T, F): B sequences, T steps in time, F numbers a step. For the curves F = 1; for
# keypoints it will be 20 or more.
#
# ### Exercise 1: shifted targets

# %% exercise="shifted"

# %% [markdown]
# (`lstm.sines(phases, length)` draws one curve for each phase, in radians; each 0.8 high, (B, length, 1).)

# %%
curves = lstm.sines(torch.tensor([0.0, 1.5, 3.0]), length=25)
inputs, targets = prediction.shifted(curves)
print("curves", tuple(curves.shape), " inputs", tuple(inputs.shape), " targets", tuple(targets.shape))
print("reads:", [f"{v:.2f}" for v in inputs[0, :5, 0].tolist()])
print("says: ", [f"{v:.2f}" for v in targets[0, :5, 0].tolist()])

# %%
ex.used("shifted")

# %% [markdown]
# ### One value is not enough
# Suppose that the network sees one value, 0, and nothing else. What comes next? It may be the beginning of a hill, and it may be
# the beginning of a valley: at 0 the curve rises in one half of all cases, and falls in the other. A network without memory
# meets this trouble at *every* step.

# %%
ex.predict(
    "one-value",
    "We train a network on many curves to continue them, and show it the single value 0. It may only give one answer. What "
    "does the curve look like that it draws?",
    {
        "one": "One of the two: a hill or a valley, whichever it met more often.",
        "flat": "Neither: nearly flat, between the hill and the valley.",
        "wild": "It jumps about: the two answers contradict each other.",
    },
)

# %% [markdown]
# You will see it at the end of this section.
#
# ### A memory with gates
# A **recurrent network** takes its own notes along: at each step it gets the input $x_t$ *and* its notes from the step before,
# and hands new notes to the next step. Whoever remembers the last value knows whether the curve rises or falls.
#
# The most popular kind of notes is the **LSTM** (*long short-term memory*). A layer with H units keeps two vectors of H
# numbers:
#
# - the **cell** $c$: the memory itself;
# - the **hidden state** $h$: what it says aloud, to the next layer and to itself.
#
# Input and hidden state are multiplied by weights and added up, which gives four blocks of H numbers: i, f, g and o. Three of
# them become **gates**, by a sigmoid σ, which squeezes any number into 0 … 1. A gate is a tap: something is multiplied by it.
#
# ```
#                    f: how much is kept      i: how much is let in     o: how much is said
#                           │                        │                        │
#   c ────────────────────► × ─────────────────────► + ──────────┬─────────────────────────────► c′
#                                                    ▲           ▼            │
#   x, h ──► weights, bias ──► g ──► tanh ─────────► ×          tanh ───────► × ───────────────► h′
# ```
#
# $$c' = \sigma(f)\cdot c + \sigma(i)\cdot\tanh(g) \qquad\qquad h' = \sigma(o)\cdot\tanh(c')$$
#
# All products are number by number. Watch the name: a **forget gate** of 1 forgets *nothing*. Because the old cell is only
# multiplied by a number near 1 and added to, a memory (and on the way back its gradient) survives many steps.
#
# **By hand.** One unit, with c = 0.8 and h = 0.5, reads x = 1. Its weights for x are (1, 0, 1, 2), for h (-2, 2, 2, 0), its bias
# is (0, 0, -1, 0). The blocks are
#
# - i = 1·1 - 2·0.5 + 0 = 0, f = 0·1 + 2·0.5 + 0 = 1, g = 1·1 + 2·0.5 - 1 = 1, o = 2·1 + 0·0.5 + 0 = 2;
# - gates: σ(0) = 0.5, σ(1) = 0.731, σ(2) = 0.881; candidate: tanh(1) = 0.762;
# - c′ = 0.731 · 0.8 + 0.5 · 0.762 = **0.966**, and h′ = 0.881 · tanh(0.966) = **0.658**.
#
# ### Exercise 2: one step of an LSTM
# With H units the weights have 4H rows: first the H rows of i, then those of f, of g, of o. (torch stores them so. It has two
# biases of which only the sum matters; you get the sum.)

# %% exercise="lstm-step"

# %%
weight_x, weight_hidden = torch.tensor([[1.0], [0.0], [1.0], [2.0]]), torch.tensor([[-2.0], [2.0], [2.0], [0.0]])
state = torch.tensor([[0.5]]), torch.tensor([[0.8]])
hidden, cell = lstm.lstm_step(torch.ones(1, 1), *state, weight_x, weight_hidden, torch.tensor([0.0, 0.0, -1.0, 0.0]))
print(f"by hand: cell {cell.item():.3f}, hidden state {hidden.item():.3f}")

# %% [markdown]
# A `lstm.Forecaster` has one layer of 24 units that runs on this function, and a linear output: it says its last value *plus a
# change*. In training it always reads the true curve, whatever it said itself. That is called **teacher forcing**: the teacher
# corrects each word before the next one is spoken.

# %% tags=["nbval-ignore-output"]
torch.manual_seed(0)
random = torch.Generator().manual_seed(0)
forecaster = lstm.Forecaster(24)
optimizer = torch.optim.Adam(forecaster.parameters(), lr=5e-3)
steps, losses = ex.steps(250), []
with ex.training(forecaster, steps=steps):
    for _ in range(steps):
        curves = lstm.sines(2 * math.pi * torch.rand(32, generator=random), length=25)
        inputs, targets = prediction.shifted(curves)
        guesses, _ = forecaster.forced(inputs, forecaster.start(32))
        loss = (guesses - targets).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
forced_loss = sum(losses[-20:]) / len(losses[-20:])
print(f"loss under teacher forcing: {losses[0]:.3f} at first, {forced_loss:.3f} at the end")

# %% tags=["nbval-ignore-output"]
ex.used("lstm-step")

# %% [markdown]
# ### Running freely
# When it is used, there is no teacher. The network reads a few true values; then each output is its next input, *with* the state
# that belongs to it.
#
# ```
#   first ──► step ──► y₁ ──► step ──► y₂ ──► step ──► y₃ …
#   state ──►      ──► state ──►     ──► state ──►     ──► …
# ```
#
# **By hand.** Let the step be y = 2·x + state, and the state grow by 1 each time. From first = 1 and state = 0:
# y₁ = 2·1 + 0 = 2, y₂ = 2·2 + 1 = 5, y₃ = 2·5 + 2 = 12. The film is **2, 5, 12**. The first one was given; it is not a
# part of what was predicted.
#
# Training will go through these steps, so the gradient has to pass from the outputs back to `first` and to the network: no
# `detach`, no `no_grad`.
#
# ### Exercise 3: running freely (a blank page)

# %% exercise="roll-out"

# %%
film = prediction.roll_out(lambda x, state: (2 * x + state, state + 1), torch.ones(1, 1), torch.zeros(1, 1), 3)
print("by hand:", film.flatten().tolist())

# %%
ex.predict(
    "long-run",
    "The forecaster reads 8 true values and then runs freely for three periods, 72 steps. How far off is it there on average, "
    "compared with its loss under teacher forcing?",
    {
        "same": "About as far: the loss is its error, less than one and a half times.",
        "grows": "Several times as far: it reads its own errors, and they add up.",
        "leaves": "It leaves the picture: errors double with each step, more than 0.8 off (the height of the curve).",
    },
)

# %% tags=["nbval-ignore-output"]
all_phases = lstm.sines(torch.linspace(0, 2 * math.pi, 33)[:-1], length=80)
with torch.no_grad():
    continued = forecaster.continued(all_phases[:, :8], 72)
free_error = (continued - all_phases[:, 8:]).abs().mean().item()
key = "leaves" if free_error > 0.8 else "grows" if free_error > 1.5 * forced_loss else "same"
picture = figures.figure_curves(
    {
        "after 8 true values": {
            "true": (0, all_phases[3, :, 0]),
            "running freely": (8, continued[3, :, 0]),
        }
    },
    f"A sine continued over three periods: the free curve is {free_error:.3f} off on average, its loss under teacher forcing "
    f"is {forced_loss:.3f}.",
)
ex.reveal(
    "long-run",
    key,
    [
        f"{free_error:.3f} against {forced_loss:.3f}: **{free_error / forced_loss:.1f} times** as much. Under teacher forcing "
        "an error lasts one step. In free running it becomes the next input, and what the network then sees is a curve that "
        "was in no training set.",
        picture,
    ],
)

# %% [markdown]
# Now the question of the beginning. So that it is fair, we train a copy on the very task: *one* true value, then 24 free steps,
# all of them compared with the curve.

# %% tags=["nbval-ignore-output"]
import copy

short_sighted = copy.deepcopy(forecaster)
optimizer = torch.optim.Adam(short_sighted.parameters(), lr=5e-3)
steps = ex.steps(100)
with ex.training(short_sighted, steps=steps):
    for _ in range(steps):
        curves = lstm.sines(2 * math.pi * torch.rand(32, generator=random), length=25)
        loss = (short_sighted.continued(curves[:, :1], 24) - curves[:, 1:]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# %% tags=["nbval-ignore-output"]
rising, falling = lstm.sines(torch.tensor([0.0, math.pi]), length=25)[..., 0]
with torch.no_grad():
    from_one = short_sighted.continued(torch.zeros(1, 1, 1), 24)[0, :, 0]
    from_eight = forecaster.continued(all_phases[:1, :8], 24)[0, :, 0]
height = from_one.abs().max().item()
near = min((from_one - rising[1:]).abs().mean().item(), (from_one - falling[1:]).abs().mean().item())
key = "one" if near < 0.2 else "flat" if height < 0.45 else "wild"
picture = figures.figure_curves(
    {
        "from the value 0": {
            "a hill first": (0, rising),
            "a valley first": (0, falling),
            "its one answer": (1, from_one),
        },
        "from eight values": {"true": (0, all_phases[0, :32, 0]), "running freely": (8, from_eight)},
    },
    f"From the single value 0, the one answer stays within {height:.2f} of 0, between hill and valley of height 0.8; from eight "
    f"values the curve goes down to {from_eight.min().item():.2f} where the true one has -0.80.",
)
ex.reveal(
    "one-value",
    key,
    [
        f"Its curve stays within {height:.2f} of 0, where real ones reach 0.8. A hill would be quite right in one half of all "
        "cases and quite wrong in the other; what lies between is never right and never quite wrong. **One answer to a question "
        "with two is the middle**, and the middle of two motions is no motion. Keep this picture in mind: a photo is one value.",
        picture,
    ],
)

# %%
ex.used("roll-out")

# %% [markdown]
# ## 2. Keypoints instead of a sine
# Now the numbers of a step are the keypoints of a frame, as Δ finds them (lesson 03): K means and K covariances.
#
# | paper | in words | in the code |
# |---|---|---|
# | $h^k_t$ | mean of keypoint k in frame t | `keypoints.mean[t, k]` |
# | $\Sigma^k_t$ | its covariance | `keypoints.cov[t, k]` |
# | – | all of a frame in one row | `prediction.keypoint_vector`: F = 2K, or 6K with covariances |
# | LSTM | reads a row, says the next one | `predictor.lstm`, `predictor.output` |
# | T = 32 | length of the film | `prediction.FRAMES` |
# | $\hat h^k_t$ | predicted keypoints | `predictor.predict(first, frames)`, the first frame included |
#
# (The paper says LSTM. Its published code has a GRU, a cousin with two gates, of 1024 units, and feeds it zeros after the first
# frame. Ours is much smaller and reads its own outputs.)
#
# A network's output can be any number. A mean has to lie in [-1, 1]: a tanh sees to that. A covariance is harder. It has to be
# symmetric, and **positive semi-definite**: in no direction may the variance be negative, $v^\top\Sigma v \ge 0$ for every v.
# Otherwise the ellipse of lesson 03 is none, and the heatmap $\exp(-\tfrac12 d^\top\Sigma^{-1}d)$ grows where it should fall.
#
# The network says four numbers for each keypoint. Write them as a matrix A = [[r1, r2], [r3, r4]].

# %%
ex.predict(
    "which-covariance",
    "Which recipe makes a covariance of *any* four numbers?",
    {
        "square": "A·A: a square is never negative.",
        "symmetric": "(A + Aᵀ)/2: a symmetric matrix is a covariance.",
        "positive": "|A|, with all entries made positive: variances are positive.",
        "product": "AᵀA.",
    },
)

# %%
random = torch.Generator().manual_seed(3)
A = torch.randn(1000, 2, 2, generator=random)
recipes = {"square": A @ A, "symmetric": (A + A.mT) / 2, "positive": A.abs(), "product": A.mT @ A}
shares = {name: sum(map(figures.is_covariance, made)) / len(A) for name, made in recipes.items()}
key = max(shares, key=shares.get)
names = {"square": "A·A", "symmetric": "(A + Aᵀ)/2", "positive": "|A|", "product": "AᵀA"}
ex.reveal(
    "which-covariance",
    key,
    [
        "Of 1000 random A: "
        + ", ".join(f"{names[name]} makes a covariance {share:.0%} of the time" for name, share in shares.items())
        + ". Four numbers of a network are as good as random at first. The picture shows the heatmaps of six of them: where "
        "it *grows outwards*, the keypoint is everywhere but at its own place.",
        figures.figure_bumps({names[name]: 0.1 * made[:6] for name, made in recipes.items() if name != "positive"}),
    ],
)

# %% [markdown]
# **By hand.** A = [[0, 1], [-1, 0]] is a quarter turn. A·A is a half turn, [[-1, 0], [0, -1]]: a "variance" of -1 in every
# direction. But AᵀA = [[0, -1], [1, 0]]·[[0, 1], [-1, 0]] = [[1, 0], [0, 1]], a round bump. And always so, because
#
# $$v^\top (A^\top A)\, v = (Av)^\top (Av) = |Av|^2 \ge 0.$$
#
# Another one: A = [[1, 2], [3, 4]] gives AᵀA = [[1·1 + 3·3, 1·2 + 3·4], [·, 2·2 + 4·4]] = [[10, 14], [14, 20]].
#
# ### Exercise 4: covariances out of any numbers

# %% exercise="covariance-from-factor"

# %%
made = prediction.covariance_from_factor(A.flatten(1))
print("covariances:", sum(map(figures.is_covariance, made)), "of", len(made))

# %%
ex.used("covariance-from-factor")

# %% [markdown]
# ### Your character's films
# The program can draw your character doing anything. We let it do 16 different movements and look at what Δ finds. In real life
# we would have one picture of it; the films are there to compare with.

# %% tags=["nbval-ignore-output"]
model = MonkeyNet.load(weights_path("mini-taichi")).to(ex.device.device)
single = prediction.shipped_predictor("mini-taichi", form="single")  # the paper's form: one future for each picture
PIXELS = 63 / 2  # a distance in the picture, times this: in pixels

clips = [ex.character.clip(motion=motion, length=32) for motion in range(1, 4 if ex.fast else 17)]
found = prediction.extract(model, clips, ex.device)  # 16 times Keypoints (32, K)
real = Keypoints(torch.stack([f.mean for f in found]), torch.stack([f.cov for f in found]))
first = Keypoints(real.mean[:, 0], real.cov[:, 0])  # what the predictor is shown
print("means of all films:", tuple(real.mean.shape), " of their first frames:", tuple(first.mean.shape))

# %% [markdown]
# The shipped predictor keeps its weights in torch's own `nn.LSTM`. `lstm.SteppedLSTM` takes the same weights and runs on
# `lstm_step`, yours once it has passed. So this replaces the memory of a trained network by a hand-written one:

# %% tags=["nbval-ignore-output"]
by_torch = single.predict(first, 32)
single.lstm = lstm.SteppedLSTM(single.lstm)
by_hand = single.predict(first, 32)
gap = (by_torch.mean - by_hand.mean).abs().max().item() * PIXELS
print(f"largest difference between torch's layer and the hand-written one: {gap:.5f} pixels")
print("covariances:", single.config.covariance, "(factor: predicted as AᵀA; first: those of the first frame are kept)")
print("hidden units:", single.config.hidden)

# %%
ex.used("lstm-step")

# %% [markdown]
# ## 3. What a loss tells
# ### Clips of different length
# Films are not all equally long. In a batch (B, T, F) the short ones are filled up, and a **mask** (B, T) says where there is
# a frame. What was filled in must not count: neither in the sum of the errors, nor in the number by which it is divided.
#
# **By hand.** Two clips, the second one frame short. The errors are 1 and 3 in the first clip, 5 in the second. The mean over
# frames that are there is (1 + 3 + 5)/3 = **3**. (With F numbers a frame: over all numbers of those frames.) Dividing by all four places gives 2.25, too good. The mean of the clips' means,
# (2 + 5)/2 = 3.5, lets the frame of the short clip count twice. And multiplying the errors by the mask is no way out: what was
# filled in may be NaN, and NaN · 0 is NaN.
#
# ### Exercise 5: a loss for clips of different length (a blank page)

# %% exercise="masked-l1"

# %%
sequences = [torch.ones(length, 2) for length in (32, 20, 9)]
windows, mask = prediction.random_windows(sequences, 32, 6, torch.Generator().manual_seed(1))
print(figures.masked_rows(mask))
inputs, targets = prediction.shifted(windows)
print(f"nothing predicted, ones wanted: loss {prediction.masked_l1(0 * targets, targets, mask[:, 1:]).item():.3f}")

# %%
ex.used("masked-l1")

# %% [markdown]
# ### Whose film is better?
# Now two predictors for your character's films. One is the shipped one. The other one is a joke: it *repeats* the frame that it
# has read. First their losses under teacher forcing (they read each true frame and say the next one), in pixels:

# %% tags=["nbval-ignore-output"]
vectors = prediction.keypoint_vector(real, single.config.covariance)  # (16, 32, F)
everywhere = torch.ones(vectors.shape[:2], dtype=torch.bool)
K = real.mean.shape[2]


def off(guess, wanted):
    """Mean error of the means in rows (B, T, F), per coordinate, in pixels."""
    there = everywhere[:, : wanted.shape[1]]
    return prediction.masked_l1(guess[..., : 2 * K], wanted[..., : 2 * K], there).item() * PIXELS


@torch.no_grad()
def forced_error(predictor):
    """Under teacher forcing."""
    inputs, targets = prediction.shifted(vectors)
    return off(predictor.forced(inputs, predictor.start(len(inputs)))[0], targets)


@torch.no_grad()
def film_error(predictor):
    """Running freely from the first frame."""
    return off(predictor.run_freely(vectors[:, 0], 31), vectors[:, 1:])


inputs, targets = prediction.shifted(vectors)
print(f"repeat the frame:  {off(inputs, targets):.3f}")
print(f"shipped predictor: {forced_error(single):.3f}")

# %%
ex.predict(
    "whose-film",
    "Then both run freely from the first frame, 31 frames. Whose film is nearer to the truth?",
    {
        "lower": "That of the lower loss, by about the same margin: the loss tells how good a film is.",
        "predictor": "The predictor's, and clearly, whatever the two losses say: a film is another task.",
        "repeat": "Repeating's: nothing that is made up is as near as what was seen.",
        "tie": "Neither: the two losses are so close (within 5 %) that the films are equally good.",
    },
)

# %% tags=["nbval-ignore-output"]
repeated = off(vectors[:, :1].expand_as(targets), targets)
losses = {"repeat": off(inputs, targets), "predictor": forced_error(single)}
films = {"repeat": repeated, "predictor": film_error(single)}
by_loss, by_film = losses["predictor"] / losses["repeat"], films["predictor"] / films["repeat"]
if 0.95 < by_film < 1.05:
    key = "tie"
elif by_film > 1:
    key = "repeat"
else:
    key = "lower" if abs(by_loss - by_film) < 0.05 else "predictor"
ex.reveal(
    "whose-film",
    key,
    f"Off by {films['repeat']:.2f} pixels when the first frame is repeated, by **{films['predictor']:.2f}** with the predictor: "
    f"{by_film:.2f} times as much. Their losses under teacher forcing had the ratio {by_loss:.2f}. From one frame to the next "
    "hardly anything happens, so *repeat* is hard to beat there; over 31 frames it is a photo.",
)

# %% [markdown]
# The shipped predictor was trained **freely**: in training, too, it read its own outputs. What happens when we go on training it
# with teacher forcing, on films of other characters? Its loss under teacher forcing has to fall. And its film?

# %% tags=["nbval-ignore-output"]
others = sprites.training_clips("mini-taichi", seed=9, clips=2 if ex.fast else 12, frames=None)
learned = [prediction.keypoint_vector(k, single.config.covariance) for k in prediction.extract(model, others, ex.device)]
taught = prediction.shipped_predictor("mini-taichi", form="single").train()
recipe = prediction.PredictorRecipe(feeding="teacher")
optimizer = torch.optim.Adam(taught.parameters(), lr=1e-3)
random = torch.Generator().manual_seed(0)
steps = ex.steps(60)
with ex.training(taught, steps=steps):
    for _ in range(steps):
        windows, mask = prediction.random_windows(learned, 32, 32, random)
        loss = prediction.sequence_loss(taught, windows, mask, recipe, random)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


print(f"{'off by (pixels)':26} {'forced':>8} {'film':>8}")
print(f"{'repeat':26} {losses['repeat']:8.3f} {films['repeat']:8.2f}")
for name, predictor in (("trained freely (shipped)", single), (f"and {steps} steps forced", taught.eval())):
    print(f"{name:26} {forced_error(predictor):8.3f} {film_error(predictor):8.2f}")

# %% [markdown]
# Compare the two columns. **The loss under teacher forcing is not the quality of the film.** It asks another question: *what
# comes next, given a true past?* Who wants to know how good a film is has to make one.

# %% [markdown]
# ## 4. The mean future
# A small error is one thing that one would like of a film. Another one is that something happens in it. We measure that by the
# **motion amplitude**: the mean distance of the keypoints from their own place in the first frame. By hand: a keypoint at
# (0, 0), then at (0.1, 0), then at (0, 0.2) has gone 0.1 and 0.2, on average 0.15; times 31.5: 4.7 pixels.
#
# All of your character's films begin near the same stance, and then 16 different things happen. The predictor is shown nothing
# but the stance.

# %%
def amplitude(means):
    """Mean distance of the keypoints from where they were in the first frame, in pixels."""
    return prediction.motion_amplitude(means).mean().item() * PIXELS


print(f"by hand: {amplitude(torch.tensor([[[[0.0, 0.0]], [[0.1, 0.0]], [[0.0, 0.2]]]])):.1f}")

# %%
ex.predict(
    "mean-future",
    "Take the keypoints of all 16 *real* films and average them, frame by frame. How far do they go in this averaged film, "
    "compared with the real ones?",
    {
        "as-far": "About as far (more than nine tenths): all of them move, so does their mean.",
        "less": "Clearly less (between a third and nine tenths): what differs from film to film cancels.",
        "still": "It stands still (less than a third): opposite movements cancel altogether.",
    },
)

# %% tags=["nbval-ignore-output"]
mean_film = real.mean.mean(dim=0, keepdim=True)
predicted = single.predict(first, 32)
goes = {"real": amplitude(real.mean), "mean of all": amplitude(mean_film), "predicted": amplitude(predicted.mean)}
share = goes["mean of all"] / goes["real"]
key = "as-far" if share > 0.9 else "less" if share > 1 / 3 else "still"
which = int(prediction.motion_amplitude(real.mean).argmax())
still_picture = to_tensor(clips[which].frames)[0]
ex.reveal(
    "mean-future",
    key,
    [
        f"Real films: {goes['real']:.1f} pixels. Their mean: **{goes['mean of all']:.1f}**, a share of {share:.0%}, and no network was "
        f"involved. The predictor: {goes['predicted']:.1f}, a share of {goes['predicted'] / goes['real']:.0%}. It does what its loss asks "
        "for: the answer that is least wrong on average. The sine from one value was the same story.",
        figures.figure_trails(
            still_picture,
            {
                f"the liveliest of 16: {amplitude(real.mean[which][None]):.1f} px": real.mean[which],
                f"mean of 16: {goes['mean of all']:.1f} px": mean_film[0],
                f"predicted: {amplitude(predicted.mean[which][None]):.1f} px": predicted.mean[which],
            },
            f"Trails of the keypoints over the still picture. They go {amplitude(real.mean[which][None]):.1f} pixels in the liveliest real film, "
            f"{goes['mean of all']:.1f} in the mean of all films, {amplitude(predicted.mean[which][None]):.1f} in the predicted one.",
        ),
    ],
)

# %% [markdown]
# And now the film that belongs to it. `predicted_film` detects the keypoints of the picture, predicts, and lets G draw. The bar
# beside each film is its motion amplitude.

# %% tags=["nbval-ignore-output"]
shown = (0, 8, 16, 24, 31)
frozen = prediction.predicted_film(model, single, still_picture, 32, 0, ex.device)
motion = {"real": amplitude(real.mean[which][None]), "mean future": amplitude(frozen.moved.mean[None].cpu())}
figures.figure_motion(
    {
        "real film": (to_tensor(clips[which].frames), motion["real"]),
        "predicted:\nmean future": (frozen.prediction.cpu(), motion["mean future"]),
    },
    shown,
    f"The real film and the predicted one from the same picture: the real figure's keypoints go {motion['real']:.1f} pixels, the "
    f"predicted one's {motion['mean future']:.1f}.",
)

# %% [markdown]
# The figure does a little of everything and nothing resolutely. (Look at its hands, too: where keypoints come to lie in ways that
# no real film has, G draws patches.) A larger network or longer training would not change that: nothing in the picture tells
# whether the left arm will rise or the right one.
#
# ### Several futures
# So we must not ask for *one* answer. In the form with several futures the state of the LSTM does not start at zero, but from
# a few numbers drawn at random: the *seed* of a future. In training, five futures are drawn for each picture, and (nearly) only
# **the best one is corrected**. A future that went left when the truth went right is left in peace: perhaps the next clip goes
# left.

# %%
ex.predict(
    "hedge",
    "Take one future, any of the five, and measure its mean error against what really happened. Compared with that of the "
    "mean future:",
    {
        "lower": "It is lower: it moves as real films do, so it is nearer to them.",
        "same": "About the same, within 2 %.",
        "higher": "It is higher: it commits itself, and mostly to something else than what happened.",
    },
)

# %% tags=["nbval-ignore-output"]
several = prediction.shipped_predictor("mini-taichi")
futures = [several.predict(first, 32, seed=seed).mean for seed in range(5)]  # 5 times (16, 32, K, 2)
gaps = torch.stack([(f - real.mean)[:, 1:].abs().mean(dim=(1, 2, 3)) for f in futures]) * PIXELS  # (5, 16)
mean_gap = ((predicted.mean - real.mean)[:, 1:].abs().mean() * PIXELS).item()
any_gap, best_gap = gaps.mean().item(), gaps.min(dim=0).values.mean().item()
key = "same" if abs(any_gap / mean_gap - 1) < 0.02 else "lower" if any_gap < mean_gap else "higher"
ex.reveal(
    "hedge",
    key,
    [
        f"Mean future: {mean_gap:.2f} pixels off. One of the five: {any_gap:.2f} on average. The best of five: **{best_gap:.2f}**. "
        f"They go {', '.join(f'{amplitude(f):.1f}' for f in futures)} pixels; real films go {goes['real']:.1f}, the mean future "
        f"{goes['predicted']:.1f}. Who is judged by the mean error alone had better move less. (And mind the *best of five*: it is "
        "chosen by somebody who knows the truth. It says that the truth is *among* the futures, not that we could pick it.)",
        figures.figure_trails(
            still_picture,
            {f"seed {seed}: {amplitude(f[which][None]):.1f} px": f[which] for seed, f in enumerate(futures)},
            "Five futures of one picture, as trails of keypoints over it. They go "
            f"{', '.join(f'{amplitude(f[which][None]):.1f}' for f in futures)} pixels, each its own way.",
        ),
    ],
)

# %% [markdown]
# ## 5. Modify and make
# Predict before you run.
# - A film of 96 frames: `single.predict(first, 96)` and `several.predict(first, 96)`. Training ended at 32. Where do the keypoints
#   go? (Plot the amplitude of each frame.)
# - Submit a wrong covariance on purpose, A·A, and let it drive a film: `with ex.run_mine("covariance-from-factor"): …`. (The
#   predictor has to be one that predicts covariances: `config.covariance` says so.)
# - The published code feeds zeros. `prediction.PredictorConfig(feedback="zeros")`: what would the network have to keep in its
#   cell that it can now read?
# - `single.config.covariance`, `several.config.covariance`: does a predictor say covariances (`factor`), or keep those of the first
#   frame (`first`)? Watch the forearms in its films as they turn.
# - Another picture to start from: frame 16 of a clip, in mid-movement. Are five futures still as far apart?
#
# **Make:** a predictor of your own. `monkeynet-edu train-predictor --help` says how; or `prediction.train_predictor` on films of
# one character only, yours. Then ask it about somebody else.

# %%
# your experiment

# %% [markdown]
# ## The film
# One picture of your character, and what might happen next: the mean future, and those two of the five that differ most. None
# of this was ever drawn by anybody.

# %% tags=["nbval-ignore-output"]
five = torch.stack([f[which] for f in futures])  # (5, 32, K, 2)
differ = (five[:, None] - five[None]).norm(dim=-1).mean(dim=(2, 3))  # (5, 5)
one, other = divmod(int(differ.argmax()), len(five))
made = [prediction.predicted_film(model, several, still_picture, 32, seed, ex.device) for seed in (one, other)]
mosaic = figures.small_film(*(film.prediction[::2] for film in (frozen, *made)))  # every second frame: a smaller file
ex.film(
    mosaic,
    fps=6,
    caption=f"{ex.character.name}, out of one picture: the mean future, and the futures with seeds {one} and {other}.",
    alt=f"Three films of {ex.character.name} that start from the same picture. Keypoints go {motion['mean future']:.1f} pixels in "
    f"the first one, the mean future, and {amplitude(five[one][None]):.1f} and {amplitude(five[other][None]):.1f} in the others.",
)

# %%
ex.map()

# %% [markdown]
# ## Recap
# - A sequence teaches itself: **shifted targets**, to each frame its next one. With **teacher forcing** the network always reads
#   the truth; when it **runs freely**, it reads itself, and errors add up.
# - An **LSTM** keeps a cell behind three gates: what is kept, what is let in, what is said.
# - **AᵀA** is symmetric and positive semi-definite, because $v^\top A^\top Av = |Av|^2$. A·A need be neither.
# - A **masked loss** counts what is there, in the sum and in the divisor.
# - A loss under teacher forcing does not tell how good a film is.
# - One picture has many futures. **The best single answer is their middle, and the middle moves less than they do.** Several
#   futures, of which only the best is corrected, may commit themselves; on average they are further from the truth, and look like it.
#
# ## To discuss
# 1. A weather forecast says *30 % rain*. Which of our two forms is more like it?
# 2. Best of five gets better the more futures are drawn. How would you compare a method with five to one with fifty?
# 3. The predictor never sees the picture, only its keypoints. What might the picture tell about the future that they do not?
# 4. Would a discriminator (lesson 06) that looks at whole trails of keypoints help against the mean future? How?
# 5. What did lesson 08 say about films of people that never happened? Is anything different when the motion, too, is made up?
#
# ## Further reading
# - S. Hochreiter and J. Schmidhuber, *Long Short-Term Memory*, Neural Computation 9(8), 1997
#   ([doi:10.1162/neco.1997.9.8.1735](https://doi.org/10.1162/neco.1997.9.8.1735)): cell and gates (the forget gate came later).
# - C. Olah, *Understanding LSTM Networks*, 2015
#   ([colah.github.io](https://colah.github.io/posts/2015-08-Understanding-LSTMs/)): the same with beautiful drawings.
# - S. Bengio et al., *Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks*, 2015
#   ([arXiv:1506.03099](https://arxiv.org/abs/1506.03099)): between teacher forcing and running freely.
# - A. Guzmán-Rivera et al., *Multiple Choice Learning*, 2012: where *only the best is corrected* comes from.
# - A. Siarohin et al., *Animating Arbitrary Objects via Deep Motion Transfer*, 2019
#   ([arXiv:1812.08861](https://arxiv.org/abs/1812.08861)), section 3.5: image to video.
