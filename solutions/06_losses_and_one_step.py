# %% [markdown]
# # 06 · Losses and one step
#
# <!-- header -->
#
# The networks are there: Δ finds keypoints, M makes a flow from them, G draws. Who tells them what a good picture is? Partly a
# simple comparison, pixel by pixel. Partly another network, which learns at the same time to tell drawn frames from
# filmed ones: the **discriminator** D. Today you write what each of them minimises, and the step that moves them all.
#
# **After this lesson you can**
#
# - explain what a GAN is, with one that you have trained yourself on points in the plane;
# - write least-squares adversarial losses and feature matching;
# - say for each `detach()` in a training step which gradient it stops, and what happens without it;
# - show by which ways a gradient reaches the keypoint detector.
#
# Predictions work as before: the buttons, or `ex.answer("name-of-the-question", "your-choice", sure=70)`, or `ex.skip(…)`.

# %% tags=["parameters"]
FAST = False

# %% tags=["imports"]

# %% [markdown]
# ## Where we are
# Today's boxes: the discriminator, the losses, the training step, and a first GAN to practise on.

# %%
ex.map()

# %% [markdown]
# ## 1. A game of two
# Here are points near a circle. We want a network that makes such points out of random numbers, and we do **not** want to tell it
# that they lie on a circle. All we have is examples.
#
# A *generative adversarial network*, GAN, is a game of two networks.
#
# - The **generator** G is a forger: noise goes in, points come out.
# - The **discriminator** D is a judge: a point goes in, a score comes out. 1 means *real*, 0 means *generated*.
#
# In the picture, blue dots are real, orange crosses are generated. The shade of grey is the score that D gives to each place.

# %%
random = torch.Generator().manual_seed(0)
data = gan.ring(300, random)
torch.manual_seed(0)
generator, discriminator = gan.small_network(2, 2), gan.small_network(2, 1)
noise = torch.randn(300, 2, generator=random)
figures06.figure_game(
    data,
    [("before the game", generator(noise), figures06.score_map(discriminator))],
    alt="Real points on a ring; the crosses that the untrained generator makes lie in one heap in the middle. "
    "The discriminator gives all places about the same score.",
)

# %% [markdown]
# D sees real points and forged ones, and learns to score them right. G never sees a real point. It only learns what D thinks
# of its own: through D, it feels in which direction its points would look more real.
#
# ### What the judge minimises
# Monkey-Net scores by *least squares* (LSGAN). With D(x′) the score of something real and D(x̂) that of something generated:
#
# $$\text{loss of } D \;=\; \text{mean}\,(1 - D(x'))^2 \;+\; \text{mean}\, D(\hat x)^2$$
#
# **By hand.** Real points get 0.5 and 2, generated ones 2 and 1. The first mean is (0.5² + 1²)/2 = 0.625, the second
# (2² + 1²)/2 = 2.5. The loss is **3.125**: a poor judge. Always right would be 0, always exactly wrong 2.
#
# ### Exercise 1: the discriminator's loss
# `full_precision` turns half-precision numbers into float32, so that long sums stay exact. In float32 it changes nothing.

# %% exercise="discriminator-loss"

# %% [markdown]
# Before anything is computed with it, a question about the whole game:

# %%
ex.predict(
    "the-end-of-the-game",
    "The game goes on until nobody can tell G's points from real ones. Where does *D's* loss go?",
    {
        "zero": "To 0: D should win, its loss has to fall like any other loss.",
        "half": "To 0.5: D can only say ½ to everything.",
        "one": "To 1: half of its answers are wrong.",
        "two": "To 2: D has lost and is always wrong.",
    },
)

# %% [markdown]
# What should a judge say who cannot tell the two apart at all? Let us ask your loss about judges who say the same number to
# everything.

# %%
for said in (0.0, 0.25, 0.5, 0.75, 1.0):
    everything = torch.full((8,), said)
    print(f"says {said:.2f} to everything: loss {losses.discriminator_adversarial(everything, everything).item():.3f}")

# %%
ex.used("discriminator-loss")

# %% [markdown]
# The best it can do is to say ½, and pay (1-½)² + ½² = **0.5**. Keep that number in mind.
#
# ### What the forger wants
# G has no say about real points. It wants its own to get the score 1:
#
# $$\text{loss of } G \;=\; \text{mean}\,(1 - D(\hat x))^2$$
#
# **By hand.** Scores 0 and 3: ((1-0)² + (1-3)²)/2 = **2.5**. The 3 is not better than 1: *taken for real* is enough.
#
# ### Exercise 2: the generator's loss

# %% exercise="generator-loss"

# %%
scores = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0], requires_grad=True)
slopes = torch.autograd.grad(losses.generator_adversarial(scores), scores)[0]
for score, slope in zip(scores.tolist(), slopes.tolist()):
    way = "stays" if abs(slope) < 1e-6 else "up" if slope < 0 else "down"
    print(f"score {score:4.1f}: descending the loss moves it {way}")

# %%
ex.used("generator-loss")

# %% [markdown]
# ### One step of the game
# First G moves, then D. Both losses run through D, and that is where the difficulty lies.
#
# ```
#  G's turn      noise ──► G ──► fake ──► D ──► (1 - score)²
#                          ◄──────────────◄──────────┘           through D, back to G
#
#  D's turn              fake.detach() ──► D ──► score²
#                        real ───────────► D ──► (1 - score)²
#                                          ◄──────┘              ends in D
# ```
#
# - `x.detach()` has the same numbers as x and no history: the gradient stops there. In D's turn that is right. In G's turn it
#   would be fatal: G would never hear what D thinks.
# - In G's turn the gradient runs *through* D, so D's weights get one as well: that of the forger's wish. It has to be thrown
#   away (`zero_grad`) before D's own turn.
#
# **By hand.** Take the smallest GAN there is: G multiplies the noise by g = ½, D multiplies the point by d = 1. Noise 1, so the
# fake is ½, and its score is ½. G's loss is (1-½)² = 0.25. Its slope for g is 2·(1-½)·(-1) = -1, so with rate 0.1 g becomes
# **0.6**. Then D: real point 2 has the score 2, the fake ½. Loss (1-2)² + ½² = 1.25, slope 2·(1-2)·(-2) + 2·½·½ = 4.5, and
# d becomes **0.55**.
#
# ### Exercise 3: one step of a GAN
# (If you forget `detach`, torch will complain that a graph was used up or weights have changed. A tip that you find everywhere
# is `retain_graph=True`. It silences the message and keeps the mistake.)

# %% exercise="gan-step"

# %% [markdown]
# Now play. While it runs, recall what you have said about the end of the game.

# %% tags=["nbval-ignore-output"]
optimizers = [torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.5, 0.999)) for net in (generator, discriminator)]
steps = ex.steps(800)
rows, moments = [], []
with ex.training(generator, discriminator, steps=2 * steps):  # each step of the game moves both
    for n in range(steps):
        batch = torch.randn(256, 2, generator=random), gan.ring(256, random)
        g_loss, d_loss = gan.gan_step(generator, discriminator, *optimizers, *batch)
        rows.append({"step": n, "generator": float(g_loss), "discriminator": float(d_loss)})
        if n in (20, 100, steps - 1):
            moments.append((f"after {n + 1} steps", generator(noise).detach(), figures06.score_map(discriminator)))
made = moments[-1][1].norm(dim=1)
figures06.figure_game(
    data,
    moments,
    alt=f"The game in {len(moments)} moments. In the end the generated points have the mean distance {made.mean():.2f} from "
    f"the middle, real ones {data.norm(dim=1).mean():.2f}.",
)

# %% tags=["nbval-ignore-output"]
last = np.mean([row["discriminator"] for row in rows[-100:]])
key = {0.0: "zero", 0.5: "half", 1.0: "one", 2.0: "two"}[min((0.0, 0.5, 1.0, 2.0), key=lambda value: abs(value - last))]
ex.reveal(
    "the-end-of-the-game",
    key,
    [
        f"D's loss in the last 100 steps: {last:.2f}. A GAN's losses do not tell how good the pictures are: both sides get better, "
        "and the numbers stand still. A loss of D near **0** would be bad news: D sees through everything.",
        viz.figure_training(rows, title="losses of both"),
    ],
)

# %% tags=["nbval-ignore-output"]
ex.used("gan-step")

# %% [markdown]
# ### Should D win?
# What G gets from D is a *slope*: in which direction would this point look more real? Take a new generator, leave it
# alone, and train D against its points longer and longer. How strongly does D pull on them?

# %%
ex.predict(
    "best-teacher",
    "When is the pull on G's points strongest?",
    {
        "start": "At the start, when D knows nothing and G can only gain.",
        "middle": "In between, when D is already right but not yet perfect.",
        "perfect": "At the end: the better the judge, the more the forger learns.",
        "same": "It does not depend on how good D is.",
    },
)

# %% tags=["nbval-ignore-output"]
torch.manual_seed(1)
points, judge = gan.small_network(2, 2)(noise).detach(), gan.small_network(2, 1)
optimizer = torch.optim.Adam(judge.parameters(), lr=1e-3, betas=(0.5, 0.999))
steps, pulls, shown = ex.steps(3000), {}, []
with ex.training(judge, steps=steps + 1):
    for n in range(steps + 1):
        if n in (0, steps // 30, steps):
            pulls[n] = float(gan.pull_on(points, judge).norm(dim=1).mean())
            shown.append((f"D after {n} steps:\npull {pulls[n]:.2f}", points, figures06.score_map(judge)))
        optimizer.zero_grad()
        losses.discriminator_adversarial(judge(gan.ring(256, random)), judge(points)).backward()
        optimizer.step()
start, middle, perfect = (list(pulls.values()) + [0.0, 0.0])[:3]
key = {start: "start", middle: "middle", perfect: "perfect"}[max(start, middle, perfect)]
picture = figures06.figure_game(
    data,
    shown,
    alt="One heap of generated points, and a judge trained longer and longer against it: its pull on the points is "
    + ", then ".join(f"{pull:.2f} after {n} steps" for n, pull in pulls.items())
    + ".",
    discriminator=judge,
)
ex.reveal(
    "best-teacher",
    key,
    [
        "A judge who knows nothing has no opinion: no slope. A judge who is sure has a flat opinion: *no* to everything around the "
        "forger's points, with nothing to climb. In between there is most to learn. **D should not win.** It should stay just "
        "ahead, which is why both take turns, one step each.",
        picture,
    ],
)

# %% [markdown]
# ## 2. Monkey-Net's game
# Now with frames. Here G has a task with an answer: it gets a source frame x and two sets of keypoints, and shall draw the
# driving frame x′, which we have. Why then a GAN at all? Because a pixel-by-pixel comparison is content with blur: where a network
# is unsure whether the arm ends here or one pixel further, the average costs least. D has never seen a blurred
# arm in a film, and says so.
#
# D gets more than the frame. The driving keypoints are drawn as heatmaps and laid behind the colours, as more channels. The
# question is not only *is this a real frame?* but *is this a real frame **with these keypoints**?* A perfect picture of the wrong
# pose is a forgery, too. And D answers patch by patch: its score is a small map, not one number.
#
# Nobody tells Δ where keypoints belong. It learns only by what its keypoints *do*. Suppose we cut the keypoints off where M and
# G read them, so that Δ no longer hears whether the picture has become better. Only D still sees the heatmaps. (We shall
# measure it when the training step is written.)

# %%
ex.predict(
    "ways-to-delta",
    "Cut off from M and G: does the loss of G and Δ still reach Δ?",
    {
        "no": "No: the keypoints work through the picture only.",
        "fake": "Yes, through D when it looks at the generated frame. The real frame cannot teach: nothing in it is "
        "generated.",
        "both": "Yes, through D on the generated frame and also through D on the real frame.",
    },
)

# %% [markdown]
# | paper | in words | in the code |
# |---|---|---|
# | x′ | real driving frame | `driving` |
# | x̂ | generated frame | `generated.prediction` |
# | H′ | heatmaps of the driving keypoints, shown to D | made inside `model.discriminator(frame, kp_source, kp_driving)` |
# | D(x̂ ⊕ H′) | score map of the generated frame (⊕: laid behind, as channels) | `fake[-1]` |
# | D_i | what D's block i sees; D_0 is the frame itself | `fake[i]`, `real[i]` |
# | loss of D | Eq. 7 | `losses.discriminator_adversarial` |
# | adversarial loss of G | Eq. 8 | `losses.generator_adversarial` |
# | L_rec, feature matching | Eq. 9 | `losses.feature_matching` |
# | λ | weights of the terms | `model.config.losses` |
#
# ### Feature matching
# D looks at both frames and computes features, block by block. The **feature matching** loss compares these notes: for the frame
# itself (i = 0) and each block i, the mean absolute difference
#
# $$\text{mean}\,\big|D_i(\hat x) - D_i(x')\big|$$
#
# For i = 0 that is the plain comparison of pixels. For the blocks it compares edges, textures, pairs of eyes, whatever D has
# found worth looking at. The verdict itself, the last entry, is left out: it has its own loss.
#
# **By hand.** D returned [frame 1, block 2, score 9] for the generated frame and [frame 0.5, block 5, score -9] for the real
# one, all constant. The terms are |1 - 0.5| = **0.5** and |2 - 5| = **3**. The scores, far apart, do not count here.
#
# ### Exercise 4: feature matching (a blank page)
# You know all you need. The cell says what goes in and what comes out; the function is yours.

# %% exercise="feature-matching"

# %% [markdown]
# A trained Monkey-Net (our small one, for tai-chi figures), and a batch of pairs of your character, whom it has never seen.

# %%
model = MonkeyNet.load(weights_path("mini-taichi")).train().to(ex.device.device)
model.config = replace(model.config, losses=replace(model.config.losses, coverage=0.0))  # the paper has no such term
clip = ex.character.clip(motion=3, length=32)
sampler = pairs.PairSampler([clip] * 4, batch_size=4, seed=0, device=ex.device.device)
source, driving = sampler.batch(0)
with torch.no_grad():
    kp_source, kp_driving = detect_pair(model, source, driving)
    generated = model(source, kp_source, kp_driving)
    fake = model.discriminator(generated.prediction, kp_source, kp_driving)
    real = model.discriminator(driving, kp_source, kp_driving)
print("what D returns:", ", ".join(str(tuple(x.shape)) for x in real))
terms = losses.feature_matching(fake, real)
print("compared:      ", len(terms), "of them, without the score")
viz.figure_images(
    [source[0], driving[0], generated.prediction[0], fake[-1][0], real[-1][0]],
    ["source x", "driving x′", "generated x̂", "D's scores of x̂", "D's scores of x′"],
    alt="Source, driving and generated frame of one pair, and D's two small score maps, lighter where D takes a patch for real.",
)

# %%
ex.used("feature-matching")

# %% [markdown]
# All terms, each with its weight: the frame and the blocks of D with 10, 10, 10, 1, the deformed source with 10 (our small model
# needs that one; in the paper only the robots have it), the adversarial term with 1. Our small model was trained with two things
# more that no published one has: its deformed source is compared at four sizes, from 64 down to 8 pixels, because at small sizes
# a limb that has to move far is still near; and `losses.coverage`, with weight 2, says how much of what differs between the two
# frames lies away from every keypoint. Coverage we have switched off above: today's step is the paper's.

# %% tags=["nbval-ignore-output"]
weighted = losses.generator_losses(fake, real, generated.deformed, model.config.losses)
figures06.figure_terms(weighted)

# %% [markdown]
# ## 3. One step in two phases
# Three networks, two losses:
#
# | | loss of G and Δ | loss of D |
# |---|---|---|
# | may change G (with M) | yes | no |
# | may change Δ | yes | no |
# | may change D | no | yes |
# | runs through | Δ → M, G → frame → D, *and* Δ → heatmaps → D | frame → D, heatmaps → D |
# | so, detach | nothing | the generated frame, and both sets of keypoints |
# | and then | throw away what is left on D | |
#
# The keypoints are easily forgotten. D is shown heatmaps, heatmaps are made of keypoints, and keypoints come from Δ. That is
# a second way back, beside the picture.
#
# ### Exercise 5: one step in two phases
# The same two turns as for the points, with real networks. Your function fills gradients; stepping comes later
# (`optimizers.step()`), so D's weights are the same in both phases.
#
# Lesson 05 found the keypoints with `model.detect(source), model.detect(driving)`. In training we take
# `detect_pair(model, source, driving)`: batch norm (lesson 02) then takes its averages from the batch at hand, and both frames
# should be treated alike. So they go through Δ as *one* batch.
#
# The library computes the same in a thriftier way: D looks at each frame once, and the two gradients are then taken apart. A
# test proves that both give the same numbers, where `coverage` has no weight: the library's adds that term where it has one. When
# yours passes, the library's training uses *yours* from then on.

# %% exercise="two-phase-step"

# %%
first = training.compute_gradients(model, source, driving, ex.device)
print("terms:", ", ".join(first.losses))
lengths = {
    name: float(torch.cat([p.grad.flatten() for p in network.parameters()]).norm())
    for name, network in (("G", model.generator), ("Δ", model.detector), ("D", model.discriminator))
}
print("every network has a gradient:", all(length > 0 for length in lengths.values()))

# %%
ex.used("two-phase-step")

# %% [markdown]
# ### Which way does Δ learn?
# Back to the question of section 2: with the keypoints cut off where M and G read them, what still reaches Δ?

# %% tags=["nbval-ignore-output"]
found = routes.gradient_routes(model, source, driving)
ways = {name for name, length in (("fake", found.fake), ("real", found.real)) if length > 1e-6}
key = "both" if len(ways) == 2 else "fake" if ways else "no"
ex.reveal(
    "ways-to-delta",
    key,
    [
        "Each use of the keypoints got a copy of its own, so that we can see which way the gradient came. D looks at *frame and "
        "heatmaps together*, so its features change when a keypoint moves, on the real frame as well. The numbers are "
        "lengths of gradients of Δ's weights: the ways through D are no trickle. Where the picture alone would not tell Δ "
        "what to look for, D's features do. And now the rules make sense: one `detach` too many closes one of these ways; one "
        "too few, in D's turn, lets *D's* loss run back on them.",
        figures06.figure_routes(found),
    ],
)

# %% [markdown]
# ## 4. Some steps
# Everything together: pairs (lesson 02), keypoints (03), flow (04), generator (05), losses and the step. We start from the trained
# model and give it a few steps with your character.

# %% tags=["nbval-ignore-output"]
optimizers = training.Optimizers.of(model, 2e-4)
rows, steps = [], ex.steps(16)
with ex.training(model, steps=3 * steps):  # G, Δ and D
    for n in range(steps):
        result = training.training_step(model, optimizers, *sampler.batch(n), ex.device)
        rows.append({"step": n, **{name: float(value) for name, value in result.losses.items()}})
viz.figure_training(rows, ["frame", "adversarial", "discriminator"], title="a few steps with one character")

# %% tags=["nbval-ignore-output"]
model.eval()
with torch.no_grad():
    kp = detect_pair(model, source, driving)
    after = model(source, *kp).prediction
gaps = [float((x - driving).abs().mean()) for x in (generated.prediction, after)]
viz.figure_images(
    [driving[1], generated.prediction[1], after[1]],
    ["driving frame", f"before: {gaps[0]:.3f} off", f"after {len(rows)} steps: {gaps[1]:.3f} off"],
    alt=f"The driving frame, and what the model draws before and after {len(rows)} steps: the mean absolute error of the batch "
    f"goes from {gaps[0]:.3f} to {gaps[1]:.3f}.",
)

# %% [markdown]
# (Part of that is the switch from training to use: batch norm's kept averages, lesson 02.) The adversarial terms hardly move,
# and should not: D keeps pace.
#
# ## 5. Modify and make
# Predict before you run.
# - Submit a wrong step on purpose, with `generated.prediction.detach()` in the first phase. It fails, but it can still drive
#   the training: `with ex.run_mine("two-phase-step"): training.training_step(…)`. Which terms still fall?
# - Let the GAN of points use another rate for D: `lr=1e-2`, or five turns of D for each of G. Who wins, and what does it cost
#   G?
# - Replace `gan.ring` by two separate heaps of points. Does G find both? (If it only finds one, you have met *mode
#   collapse*.)
#
# **Make:** a GAN of your own points: a letter, a heart, a spiral. All you need is a function that returns points `(count, 2)`.

# %%
# your experiment

# %% [markdown]
# ## The film
# Your character, rebuilt by the model from its first frame and the keypoints of all others, after these steps. On the
# left what was filmed.

# %% tags=["nbval-ignore-output"]
video = torch.from_numpy(clip.frames).permute(0, 3, 1, 2).float() / 255
rebuilt = animation.reconstruct(model, video, ex.device).prediction
ex.film(
    torch.cat([video, rebuilt], dim=3)[::2],  # every second frame: a smaller file
    fps=6,
    caption=f"{ex.character.name}: filmed, and rebuilt from one frame.",
    alt=f"Film: {ex.character.name} as filmed on the left; on the right the same movement drawn from one frame.",
)

# %% [markdown]
# ## Recap
# - A **GAN** is a game: D learns to tell generated from real, G learns to get D's *real*. Least squares: 1 for real, 0 for
#   generated.
# - D's loss ends near 0.5, not at 0. D should stay just ahead; a judge without doubts has no slope to learn from.
# - **Feature matching** compares what D sees in both frames, block by block, the frame itself included. Nothing is detached.
# - **Two phases**: the loss of G and Δ passes through D and leaves a gradient there that has to be thrown away; D's loss must not
#   leave D: detach the generated frame *and* the keypoints.
# - Through D's heatmaps a gradient reaches Δ, on the generated and on the real frame.
#
# ## To discuss
# 1. D is not needed once training is over. What else could one do with it?
# 2. Without any adversarial term (weight 0), would Monkey-Net still learn to move things? What would its pictures look
#    like?
# 3. Δ gets a gradient through D on the real frame. Could Δ cheat, by placing keypoints such that D finds every frame
#    alike?
# 4. The published code steps G and Δ before D computes its loss. Does it matter for D's gradient in which order the two step?
#
# ## Further reading
# - I. Goodfellow et al., *Generative Adversarial Networks*, 2014 ([arXiv:1406.2661](https://arxiv.org/abs/1406.2661)): the game.
# - X. Mao et al., *Least Squares Generative Adversarial Networks*, 2016
#   ([arXiv:1611.04076](https://arxiv.org/abs/1611.04076)): why squares.
# - T. Salimans et al., *Improved Techniques for Training GANs*, 2016
#   ([arXiv:1606.03498](https://arxiv.org/abs/1606.03498)): where feature matching comes from.
# - A. Siarohin et al., *Animating Arbitrary Objects via Deep Motion Transfer*, 2019
#   ([arXiv:1812.08861](https://arxiv.org/abs/1812.08861)), section 3.4: this lesson's losses.

# %%
ex.map()
