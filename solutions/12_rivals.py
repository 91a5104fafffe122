# %% [markdown]
# # 12 · Rivals and fair comparison
#
# <!-- header -->
#
# A paper says "better than the others". Than which others? Trained for how long? Better by which number? Today you meet the
# four models that Monkey-Net was compared with, build the heart of two of them, let them all make films, and then judge
# the comparison itself, at last with your own eyes.
#
# **After this lesson you can**
#
# - say what a KL divergence is, compute it for Gaussians, and say why a latent must not be punished too early;
# - explain X2Face and SV2P by the one function each that makes them what they are;
# - say which "equal" a comparison used, and whom another one would have favoured;
# - put an exact interval around a share of votes, and say what ten votes are worth;
# - name a case in which you disagree with a metric, and what follows from that.
#
# **You need** lesson 01 (warping), lesson 10 (metrics) and lesson 11 (experiments). Predictions work as before: the
# buttons, or `ex.answer("name-of-the-question", "your-choice", sure=70)`, or `ex.skip(…)`.

# %% tags=["parameters"]
FAST = False

# %% tags=["imports"]

# %%
ex.map()

# %% [markdown]
# ## 1. A box first: the KL divergence
#
# > **How far is one distribution from another?** Somebody draws numbers x from p, and you believe that they come from q. At
# > each x, the ratio p(x)/q(x) says how much better the truth explains it than your belief does. The **Kullback–Leibler
# > divergence** is the mean of its logarithm, over the x that really come:
# >
# > $$\mathrm{KL}(p\,\|\,q) = \mathbb{E}_{x\sim p}\,\ln\frac{p(x)}{q(x)}$$
# >
# > It is 0 if p = q, never negative, and it is counted in **nats** (with the logarithm to base 2: bits). Between two Gaussians
# > nothing has to be drawn. Against the standard one, N(0, 1):
# >
# > $$\mathrm{KL}\big(\mathcal N(\mu,\sigma^2)\,\|\,\mathcal N(0,1)\big) = \tfrac12\big(\mu^2+\sigma^2-1-\ln\sigma^2\big)$$
#
# **By hand.** μ = 1, σ = 1: ½ (1 + 1 - 1 - 0) = **½** nat. And μ = 0, σ² = e ≈ 2.718: ½ (2.718 - 1 - 1) = **0.359**. With several
# independent numbers the divergences add up. `sv2p.gaussian_kl` is this formula.

# %%
for mean, log_variance in ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0)):
    print(
        f"mean {mean}, ln variance {log_variance}: {sv2p.gaussian_kl(torch.tensor([mean]), torch.tensor([log_variance])):.3f}"
    )

# %% [markdown]
# Is the formula true? Ask the definition: draw x from N(1, ½²), take the mean of the log ratio. Six times, with more and more
# samples:

# %%
MEAN, DEVIATION = 1.0, 0.5
exact = float(sv2p.gaussian_kl(torch.tensor([MEAN]), torch.tensor([2 * math.log(DEVIATION)])))
random = torch.Generator().manual_seed(0)
estimates = [figures.sampled_kl(MEAN, DEVIATION, 3000, random) for _ in range(6)]
figures.figure_sampled(estimates, exact)

# %% [markdown]
# Where a closed form exists, take it: its gradient has no noise. Note also that single estimates may lie *below* 0, although no
# divergence does.
#
# A divergence is no distance: it asks about the x *of p*. Take a narrow Gaussian, N(0, ¼), and the wide one N(0, 1).

# %%
ex.predict(
    "two-ways",
    "Which is larger?",
    {
        "narrow": "KL(narrow ‖ wide): the truth is narrow, the belief wide",
        "wide": "KL(wide ‖ narrow): the truth is wide, the belief narrow",
        "same": "both are equal: it is the same pair",
    },
)

# %%
narrow = float(sv2p.gaussian_kl(torch.zeros(1), torch.tensor([math.log(1 / 4)])))
wide = float(sv2p.gaussian_kl(torch.zeros(1), torch.tensor([math.log(4.0)])))  # the same pair in units of the narrow one
ex.reveal(
    "two-ways",
    "same" if math.isclose(narrow, wide) else "narrow" if narrow > wide else "wide",
    f"KL(narrow ‖ wide) = {narrow:.3f}, KL(wide ‖ narrow) = {wide:.3f}. Whoever believes in the narrow one is surprised again and "
    "again by numbers that he thought all but impossible. Whoever believes in the wide one only wastes some probability.",
)

# %% [markdown]
# ### What a latent costs
# SV2P makes a film from one frame. What the frame does not tell (where will the arm go?) is put into a latent **z**. In training
# a *posterior* network sees the whole film and says what z was; later nobody has seen the film, and z is drawn from the *prior*
# N(0, 1). Both have to fit together, so the loss is
#
# $$\text{squared error of the film} \;+\; \beta\cdot\mathrm{KL}(\text{posterior}\,\|\,\text{prior})$$
#
# The divergence is the price of what z tells: so many nats about the film. But in the beginning the generator cannot
# read z yet. Then telling costs, and brings nothing. SV2P therefore trains in **three phases**: first without a latent; then
# with the posterior's z and β = 0, telling is free; then β rises, and what is told has to be worth its price.
#
# Here is the smallest model with the same two terms: *one* number x to be remade, a posterior N(a·x, s²), a decoder w·z. All
# means have closed forms, so every wiggle is real. It starts with small a and w: z means almost nothing yet.

# %%
ex.predict(
    "phases",
    "Same steps, same β at the end. Schedule 1 has β from the first step on; schedule 2 has β = 0 at first and raises it later. In which "
    "does z tell more about x at the end?",
    {
        "from-start": "with β from the first step on: it has had more practice in being short",
        "raised": "with β raised later: telling was free while the decoder learned to listen",
        "equal": "in both alike (within a tenth): the end has the same loss",
    },
)

# %%
BETA, STEPS = 1.5, 120
third = STEPS // 3
schedules = {
    "β from the start": [BETA] * STEPS,
    "β raised later": [0.0] * third + [BETA * (n + 1) / third for n in range(third)] + [BETA] * (STEPS - 2 * third),
}
latents = {name: figures.learn_latent(betas) for name, betas in schedules.items()}
start, late = (float(latent.nats[-1]) for latent in latents.values())
ex.reveal(
    "phases",
    "equal" if abs(start - late) < 0.1 * max(start, late) else "from-start" if start > late else "raised",
    [
        f"After {STEPS} steps z tells {start:.3f} nats if β was there from the start, and {late:.3f} if it was raised. The loss has the same "
        "minimum in both; the *way* there differs. While the decoder ignores z (w is small), every nat that the posterior tells "
        "is punished and not rewarded. This is called *posterior collapse*.",
        figures.figure_latents(latents),
    ],
)

# %% [markdown]
# With more steps the first schedule gets there too. (Set `STEPS = 600` and look; and `BETA = 3`? There telling is
# never worth its price, whatever the schedule.)
#
# ## 2. X2Face: nothing is painted
#
# X2Face has two networks, and neither paints a single pixel. The first looks at the source and says where to read it: the result
# is the **embedded face**. The second looks at a driving frame, squeezes it to 128 numbers, and says where to read the
# embedded face. (Faces, because the authors made it for talking heads. Ours does tai-chi.)
#
# $$\text{source} \xrightarrow{\ \text{embedding field}\ } \text{embedded face} \xrightarrow{\ \text{driving field}\ } \text{frame}$$
#
# **By hand, in a row of four pixels** A B C D. The embedding field says "one to the right" at every pixel: the embedded face is
# B C D · (beyond the border there is nothing). The driving field says "one to the right" at the first pixel and "stay" elsewhere:
# the frame begins with C, the *second* pixel of the embedded face, and goes on C D ·.
#
# ### Exercise 1: reading the embedded face
# `source` is (B, C, H, W), the two fields (B, H, W, 2): *offsets* (x, y) to the lattice, in units of [-1, 1]. Beyond the border
# there is nothing (0). From lesson 01 you have `geometry.lattice(H, W, device=source.device)` and `geometry.warp(picture,
# deformation)`.

# %% exercise="embedded-face"

# %% [markdown]
# Your character and somebody else, whose movement it shall make:

# %%
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.model import MonkeyNet
from monkeynet_edu.paths import weights_path

MOTION = 3
truth = to_tensor(ex.character.clip(motion=MOTION).frames[::2])  # (T, 3, 64, 64): how it would really move
driving = to_tensor(figures.driver().clip(motion=MOTION).frames[::2])
source = truth[0]

face_model = baselines.shipped("x2face", "mini-taichi").to(ex.device.device)
with torch.no_grad():
    frame, face = face_model(source[None].to(ex.device.device), driving[8:9].to(ex.device.device))
figures.figure_row(
    {"source": source, "embedded face": face[0].cpu(), "driving frame": driving[8], "X2Face's frame": frame[0].cpu()},
    "Four pictures: your character standing; the embedded face, in which the same pixels are read elsewhere; another character in "
    "mid-movement; and X2Face's frame, in which your character's pixels are pushed towards that pose.",
)

# %%
ex.used("embedded-face")

# %% [markdown]
# Every colour of X2Face's frame is a mean of colours of the source (and of the nothing beyond its border). What is hidden in the
# source cannot appear, and the driving field was learned on pairs of frames of *one* person: nothing has kept the looks of the
# driver out of the 128 numbers.
#
# ## 3. SV2P: a picture pushed by kernels
#
# SV2P goes from frame to frame. Its network names ten **kernels** of 5×5 numbers, each with a sum of 1. Each kernel moves (or
# blurs) the *whole* last frame; then masks say, pixel by pixel, which of the moved copies counts. (Among the copies stand the first
# frame and a newly painted one.) It is lesson 04's "shifted copies and masks" once more, without keypoints. The moving by
# kernels is called **CDNA**.
#
# A kernel with all its weight at row offset 0, column offset +2 makes every pixel a copy of the one that stands two columns to
# its right.

# %%
ex.predict(
    "which-way",
    "Which way does the picture move?",
    {
        "right": "to the right: the weight is on the right",
        "left": "to the left",
        "nowhere": "nowhere: it only gets blurred",
    },
)

# %% [markdown]
# ### Exercise 2: SV2P's kernels
# `frame` is (B, C, H, W), `kernels` (B, K, 5, 5); `kernels[:, :, i, j]` weighs the pixel at row offset i - 2 and column offset
# j - 2. Back comes (B, K, C, H, W). Beyond the border, the border goes on (not so in exercise 1).

# %% exercise="cdna"

# %%
kernels = torch.zeros(1, 3, 5, 5)
kernels[0, 0, 2, 4] = 1.0  # row offset 0, column offset +2
kernels[0, 1, 0, 2] = kernels[0, 1, 4, 2] = 0.5  # half from above, half from below
kernels[0, 2] = 1 / 25
pushed = sv2p.cdna(source[None], kernels)[0]
gaps = {
    "left": (pushed[0][..., :-2] - source[..., 2:]).abs().max(),
    "right": (pushed[0][..., 2:] - source[..., :-2]).abs().max(),
    "nowhere": (pushed[0] - source).abs().max(),
}
ex.reveal(
    "which-way",
    min(gaps, key=gaps.get),
    [
        "A kernel says where to *read*, as a flow does. Whoever reads on the right brings what stands there to the left.",
        figures.figure_row(
            {"frame": source, "weight at (0, +2)": pushed[0], "half up, half down": pushed[1], "all of 25": pushed[2]},
            "Your character; moved two pixels to the left; twice at once, half as strong, above and below; and blurred.",
        ),
    ],
)

# %% [markdown]
# SV2P's shipped weights have learned from films of a robot arm that pushes things about. Here is a film that it has never
# seen, and two of the futures that it imagines from the first frame:

# %% tags=["nbval-ignore-output"]
SHOWN = (0, 4, 8, 12, 15)
robot = to_tensor(figures.clips_of("mini-bair")[0].frames[:16])
pusher = baselines.shipped("sv2p", "mini-bair").to(ex.device.device)
futures = pusher.predict(robot[0], len(robot), ex.device, futures=8, seed=0)  # (8, T, 3, 64, 64)
figures.figure_films(
    {"as filmed": robot, "one future": futures[0], "another": futures[1]},
    SHOWN,
    "A robot arm over a table, as filmed; below, two futures that SV2P draws from the first frame.",
)

# %%
ex.used("cdna")

# %% [markdown]
# What has it put into z? The posterior can be asked about real films. And how different are the futures, compared with what is
# to be seen in the film?

# %% tags=["nbval-ignore-output"]
window = pusher.config.frames
films = [to_tensor(clip.frames[:window]) for clip in figures.clips_of("mini-bair") if len(clip.frames) >= window]
with torch.no_grad():
    seen = torch.stack(films).flatten(1, 2).to(ex.device.device)
    mean, log_variance = pusher.posterior(seen).float().clamp(-8, 8).chunk(2, dim=1)  # as in training
told = sv2p.gaussian_kl(mean, log_variance)
print(
    f"the posterior tells {told.mean():.3f} nats about a film ({pusher.config.latent} numbers; β at the end {pusher.config.beta:g})"
)
spread = (futures[1:, 1:] - futures[:1, 1:]).abs().mean()
happened = (robot[1:] - robot[:1]).abs().mean()
print(f"two futures differ by {spread:.4f} a pixel; the real film moves away from its first frame by {happened:.4f}")
print("z is " + ("hardly used: the posterior has collapsed" if told.mean() < 0.1 else "used"))

# %% [markdown]
# Trust these lines more than the architecture. Three phases make it more likely that z is used; they are no guarantee. A latent of
# which the posterior tells next to nothing has collapsed, phases or not, and all futures look alike. What would you try first: a
# smaller β, a longer second phase, or films that leave more open?
#
# ### What does a squared error reward?
# SV2P's loss is the squared error. Take its eight futures and average them, pixel by pixel: if they differ, an arm that is a
# little bit everywhere. No such film exists.

# %%
ex.predict(
    "mean-of-futures",
    "The eight futures have squared errors to the real film, on average some value e. What is the squared error of their mean film?",
    {
        "lower": "lower than e: averaging is rewarded",
        "same": "e: the mean of the films has the mean of the errors",
        "higher": "higher than e: it shows what never happens",
    },
)

# %% tags=["nbval-ignore-output"]
single = sum(figures.squared_error(film, robot) for film in futures) / len(futures)
averaged = figures.squared_error(futures.mean(dim=0), robot)
key = "lower" if averaged < single * (1 - 1e-4) else "higher" if averaged > single * (1 + 1e-4) else "same"
real, one, mean_film = (figures.sharpness(film) for film in (robot, futures[0], futures.mean(dim=0)))
alike = (
    "The futures hardly differ: with a silent z, each of them is already a mean of all that might happen, and its blur is the mean's. "
    if abs(mean_film - one) < 0.1 * (real - one)
    else ""
)
ex.reveal(
    "mean-of-futures",
    key,
    f"Single futures: {single:.6f} on average; their mean: {averaged:.6f}. It can never be higher: what the futures differ by is "
    "taken off (mean of squares = square of the mean + spread). Sharpness, the difference of neighbouring pixels: the real film "
    f"{real:.4f}, a future {one:.4f}, the mean film {mean_film:.4f}. {alike}"
    "A model trained on the squared error is *paid* for blur; one trained by a discriminator is not. Remember that when you "
    "read a table whose figure is L1 or L2.",
)

# %% [markdown]
# ## 4. All of them, side by side
#
# **On your character.** Driven by somebody else's movement: Monkey-Net and X2Face, the pair of the paper's Tables 1 and 4. Since
# your character can be drawn in any pose, the truth stands below.

# %% tags=["nbval-ignore-output"]
ours = MonkeyNet.load(weights_path("mini-taichi")).to(ex.device.device).eval()
hers = {
    "driving": driving,
    "Monkey-Net": animation.animate(ours, source, driving, ex.device).prediction.cpu(),
    "X2Face": face_model.animate(source, driving, ex.device),
    "truth": truth,
}
figures.figure_films(
    hers,
    SHOWN,
    "Five moments of four films: the driving character; your character animated by Monkey-Net, and by X2Face; and as it would "
    "really move.",
)

# %% [markdown]
# Cover the names. Where do you look first: at the pose, at the face, at edges? (And keep a question for later: have both learned
# for equally long?)
#
# **From one frame.** MoCoGAN (a content code for the film, a motion code for each frame, two discriminators that judge frames and
# clips) and CMM-Net (moving landmarks first, then a picture of them) imagine a face of mini-nemo; Monkey-Net has its
# predictor of lesson 09 for that. None of them has seen this face, and none knows what it will do next. (Their shipped weights
# know faces and no tai-chi, so your character has to sit this one out.)

# %% tags=["nbval-ignore-output"]
from monkeynet_edu import prediction

smile = to_tensor(figures.clips_of("mini-nemo")[0].frames[:32])
nemo = MonkeyNet.load(weights_path("mini-nemo")).to(ex.device.device).eval()
predictor = prediction.shipped_predictor("mini-nemo")
imagined = {
    "as filmed": smile,
    "Monkey-Net": prediction.predicted_film(nemo, predictor, smile[0], len(smile), 0, ex.device).prediction.cpu(),
    "MoCoGAN": baselines.shipped("mocogan", "mini-nemo").to(ex.device.device).predict(smile[0], len(smile), ex.device)[0],
    "CMM-Net": baselines.shipped("cmmnet", "mini-nemo").to(ex.device.device).predict(smile[0], len(smile), ex.device)[0],
}
figures.figure_films(
    imagined,
    (0, 8, 16, 24, 31),
    "Five moments of a face: as filmed, and as Monkey-Net, MoCoGAN and CMM-Net imagine it from the first frame.",
)

# %% [markdown]
# ## 5. What is fair?
#
# All methods of Tables 1 and 3 have to be trained with the same effort. The same *what*? (*Ours* in tables and pictures is
# Monkey-Net, as in the paper.)

# %%
ex.predict(
    "equal-steps",
    '"All methods were trained for 1000 steps." How many times as long does that take the slowest of our five methods as the fastest?',
    {
        "alike": "less than 1.5 times: a step is a step",
        "twice": "1.5 to 3 times",
        "more": "more than 3 times",
    },
)

# %% [markdown]
# Measure it: some steps of each, on this computer, as they are trained for the tables but with half a batch, to spare memory. (On
# one batch again and again, so that only learning is timed; without a graphics card the processor's own seconds are counted.)

# %% tags=["nbval-ignore-output"]
costs = figures.step_costs(ex.device, steps=1 if ex.fast else 2)
ratio = max(c.seconds for c in costs) / min(c.seconds for c in costs)
slow, quick = max(costs, key=lambda c: c.seconds), min(costs, key=lambda c: c.seconds)
ex.reveal(
    "equal-steps",
    "alike" if ratio < 1.5 else "twice" if ratio < 3 else "more",
    [
        f"A step of {slow.title} takes {slow.seconds:.2f} seconds here, one of {quick.title} {quick.seconds:.2f}: {ratio:.1f} times as long. "
        f'"Equal steps" would give {slow.title} {ratio:.1f} times as many minutes. And a step does not even show them the same: '
        "some see pairs of frames in it, others whole clips.",
        figures.figure_costs(costs),
    ],
)

# %% [markdown]
# So each kind of "equal" has its own favourite:

# %% tags=["nbval-ignore-output"]
for what, order in figures.orders(costs).items():
    print(f"{what}: {', '.join(order)}")

# %% [markdown]
# **Equal steps are not fair. Nor are equal minutes, nor equal parameters.** Equal steps reward whoever does much in a step. Equal
# minutes reward whoever is quick, or whose code somebody has tuned. Equal parameters punish whoever spends them where they cost
# nothing. There is no neutral choice; there is a *stated* one. Ours: **equal minutes**, the numbers of steps printed beside. In
# the time of one step of ours the others take so many, measured once for all tables (*preset mini* is Monkey-Net as well, taught
# as the shipped models were: section 6):

# %%
for title, steps in figures.equal_minutes().items():
    print(f"{title:18} {steps:.1f}")

# %% [markdown]
# Do your own bars give the same ratios? Another processor, another batch: other ratios. That is why the tables count *steps*:
# a budget by the clock would give another table on every computer.
#
# And each "equal" rewards whoever's settings were chosen with more care. So learning rates were tried for each method, each for
# the same minutes, on clips that no table is measured on:

# %%
print("\n".join(figures.tried_rates()))

# %% [markdown]
# A rate that wins at the edge of what was tried says: try further. Who would, for a rival?
#
# ## 6. The tables, read critically
#
# Table 1 compares X2Face with Monkey-Net at rebuilding films. Table 3 compares what is imagined from one frame. You know by now
# what to ask of a table: *what was the budget, what does each figure reward, and how many seeds?*

# %%
ex.predict(
    "one-winner",
    "Take our records of Tables 1 and 3. On each data set, who has the best figure: always the same method, whatever the figure?",
    {
        "always": "yes: on every data set one method wins by every figure",
        "mostly": "on some data sets yes, on others the figures disagree",
        "never": "no: on every data set the figures disagree",
    },
)

# %% tags=["nbval-ignore-output"]
tables = {name: figures.table(name) for name in ("table1", "table3")}  # None while there are no records
found = {f"{name}, {data}": best for name, t in tables.items() if t for data, best in figures.winners(t).items()}
several = {place: best for place, best in found.items() if len(best) > 1}
united = [place for place, best in several.items() if len(set(best.values())) == 1]
if several:
    key = "always" if len(united) == len(several) else "never" if not united else "mostly"
    said = (
        f"On {len(united)} of {len(several)} data sets (both tables' counted) one method has the best of all figures. "
        'A figure is a question. Whoever writes "we win" has chosen which one to ask.'
    )
    lines = [f"- {place}: {', '.join(f'{label} {title}' for label, title in best.items())}" for place, best in found.items()]
    shown = ex.reveal("one-winner", key, said + "\n\n" + "\n".join(lines))
else:
    shown = "There are no records of these tables yet: `monkeynet-edu reproduce table1 --budget short` makes some."
shown

# %% [markdown]
# Here they are: means over the seeds, below them what the paper printed (on real films: its *order* compares, its values do not),
# and last what a film gets that only repeats its first frame.

# %% tags=["nbval-ignore-output"]
for name, t in tables.items():
    print(t.title if t else f"{name}: no records yet")
    print("\n".join(figures.table_lines(t)) if t else "")

# %% [markdown]
# The budget of every run, from its own record:

# %% tags=["nbval-ignore-output"]
for name, t in tables.items():
    print(name)
    for line in figures.budgets(t) if t else ["no records yet"]:
        print("  " + line)

# %% [markdown]
# Equal minutes, and yet the clock's minutes differ where the computer had other things to do as well. What was given is the
# number of steps; what a step costs was measured when it had nothing else to do.
#
# And what can be said of the paper's orders? *Holds*, *reversed* and *not decided* mean what they meant in lesson 11: draws of
# the clips, with the same trained models. Only figures that a single clip has can be drawn so; mini-FID belongs to the crowd.

# %% tags=["nbval-ignore-output"]
for name, t in tables.items():
    print(t.title if t else f"{name}: no records yet")
    for line in t.orders if t else []:
        print("  " + line)

# %% [markdown]
# Read it with these questions:
# - **L1** counts pixels, most of which never move, and rewards blur. Is anybody worse than the still picture? *L1 of moving pixels*
#   leaves the background out.
# - **AKD** looks at the joints that a detector finds in both films, **MKR** counts those that it misses. Whoever loses an arm
#   altogether pays in MKR alone: read the two together. CMM-Net is even trained on landmarks of the very detector that measures both: is
#   that cheating, or just what they ask for?
# - **AED** asks who is to be seen. The still picture always shows the right person. What does *it* get? So how much of an AED is
#   identity, and how much only another pose?
# - **mini-FID** looks at the crowd of frames. Whether frame 2 follows on frame 1 it does not ask at all.
# - **Which future?** L1 and AKD of Table 3 compare with the one that happened. Is a film wrong that imagines another? (The paper has
#   only FID, AED and MKR there.) And where does the still picture stand?
# - **The recipe.** *Ours* learns with the paper's own losses, which take long to find an arm. X2Face learns with an L1 at four sizes,
#   our addition, since a limb that moves by more than its thickness gives it no gradient at one. *Ours, preset mini* has what
#   taught our small models to move limbs. (It appears where it has records.) Which two rows would you compare?
# - A reversed order is no refutation, and one that holds is no proof: small models, cartoons, minutes instead of days.
#
# ## 7. Ask people
#
# None of the figures asks what the paper's Table 4 asks: *which film corresponds better to the animation in the reference?* There
# are 50 pairs of films, one by Monkey-Net and one by X2Face, and ten people chose on each. A share of votes comes out. How sure
# is it?
#
# Suppose that people prefer ours with an unknown probability p, and that each vote falls like a coin with that p. Ten votes,
# all for ours. Could p be ½? Then ten of ten would happen once in 1024 times: hardly. Could p be 0.8? Then it happens in
# 0.8¹⁰, more than one case in ten: easily. Where does "hardly" begin? Let us say, at 2.5 %:
#
# **By hand.** p¹⁰ = 0.025 gives p = 0.025^(1/10) = **0.69**. So ten of ten votes are compatible with every p from 0.69 to 1.
#
# That is the **exact interval** (Clopper and Pearson, 1934), and with other counts it is the same with the whole tail. If p were its
# lower end, *as many wins or more* would come in 2.5 % of all studies; if p were its upper end, *as many or fewer*. The tail is a
# sum of binomial terms; SciPy inverts it: `betaincinv(k, n - k + 1, t)` is the p at which k or more of n votes have the
# probability t.

# %%
ex.predict(
    "eight-of-ten",
    "Eight of ten votes are for ours. Does the 95 % interval lie wholly above ½?",
    {
        "yes": "yes: four of five is a clear majority",
        "just": "yes, but only just (the lower end is between 0.50 and 0.55)",
        "no": "no: a fair coin is inside",
    },
)

# %% [markdown]
# ### Exercise 3: the exact interval of a share (blank page)
# Write `clopper_pearson(wins, votes, level=0.95)`; it returns the lower and the upper end. Mind the cases in which a tail is the
# whole: no wins, and only wins. Write the whole function into the cell.

# %% exercise="clopper-pearson"

# %%
low, high = statistics.clopper_pearson(8, 10)
counts = ((8, 10), (10, 10), (80, 100), (425, 500))
shares = {f"{wins} of {votes}": (wins / votes, *statistics.clopper_pearson(wins, votes)) for wins, votes in counts}
ex.reveal(
    "eight-of-ten",
    "no" if low <= 0.5 else "just" if low < 0.55 else "yes",
    [
        f"Eight of ten: {100 * low:.1f} % to {100 * high:.1f} %. A hundred votes with the same share tell a lot more. The last row is "
        "what the paper's Table 4 would be if its 85.0 % on Tai-Chi were 500 independent votes. (They are ten on each of fifty "
        "pairs: votes on one pair, and of one person, resemble each other, so the true interval is wider.)",
        figures.figure_interval(shares),
    ],
)

# %% [markdown]
# ### Your own study
# Ten pairs: your character, driven by somebody else, by Monkey-Net and by X2Face; and one attention check. Which is which, and
# which stands on the left, is shuffled. Choose with the mouse or with ← and →. Every vote is kept at once, in the folder that
# is printed: after a reload or a restart you go on where you were. No name is kept; read the page of consent first.

# %% tags=["nbval-ignore-output"]
held = figures.ballot(ex.character, ex.progress.path.parent, ex.device)
checks = sum(trial.is_check for trial in held.study.trials)
print(f"{len(held.truths)} pairs and {checks} check in the folder {held.study.folder.name}, beside your progress file")
study.take_part(held.study.folder)

# %% [markdown]
# Vote now, then go on. (In the solved notebook nobody has voted.) Your study compares the *shipped* weights. Their cards say what
# they were given:

# %%
for name in ("mini-taichi", "x2face-mini-taichi"):
    print(figures.given(name))

# %% [markdown]
# By the ratio of section 5, who has had more minutes? A vote for one of these films is a vote for *these* weights, not for a method.

# %% tags=["nbval-ignore-output"]
mine = figures.read_mine(held.study)
print(study.report(mine).markdown())

# %% [markdown]
# So that you see what a report looks like, here is one of votes that **a coin** has made. They are marked as synthetic, the report
# says so, and they are never written to a file. (The attention check the coin was told.)

# %%
coin = figures.synthetic_votes(held.study)
print(study.report(coin).markdown())

# %%
ex.used("clopper-pearson")

# %% [markdown]
# Coins have no opinion, so ½ should lie inside the interval, and two coins agree about half the time. Alpha, which sets chance
# at 0, says so.
#
# ## 8. Your vote against the metric
#
# For each pair we know how your character would *really* have moved, so we can measure: AKD to the truth. The film with the lower AKD
# is the metric's favourite. Was it yours?

# %%
ex.predict(
    "against-akd",
    "In how many of the ten pairs did you choose the other film than AKD?",
    {
        "none": "in none: AKD sees what I see",
        "few": "in one to three",
        "many": "in four or more",
    },
)

# %% tags=["nbval-ignore-output"]
from monkeynet_edu.evaluators import evaluators_for

real = [vote for vote in mine.votes if not vote.synthetic and not vote.is_check]
votes = real or coin.votes
votes = [vote for vote in votes if vote.rater == votes[0].rater]  # one rater's: yours
WHOSE = "your votes" if real else "SYNTHETIC votes, made by a coin: an example, no result"
judged = figures.judged(votes, held, evaluators_for("mini-taichi").detector)
struck = [one for one in judged if one.against]
ex.reveal(
    "against-akd",
    "none" if not struck else "few" if len(struck) < 4 else "many",
    f"**{WHOSE}.** In {len(struck)} of {len(judged)} pairs the vote went against AKD.",
)

# %% tags=["nbval-ignore-output"]
print(WHOSE)
names = figures.METHOD_NAMES
print(
    f"{'pair':6}" + "".join(f"{'AKD ' + name:>16}{'L1 ' + name:>16}" for name in names) + f"{'AKD prefers':>14}{'vote':>12}"
)
for one in judged:
    numbers = "".join(f"{one.akd[name]:16.2f}{one.l1[name]:16.4f}" for name in names)
    print(f"{one.pair:6}{numbers}{one.favourite:>14}{one.chosen:>12}{'   against' if one.against else ''}")
print(f"L1 and AKD have the same favourite in {sum(one.agreed for one in judged)} of {len(judged)} pairs")

# %% [markdown]
# Look at the last line first: how often do two *metrics* agree, before anybody has voted?
#
# **The strike.** Of the pairs in which the vote went against AKD, here is the one about which AKD was surest:

# %% tags=["nbval-ignore-output"]
if struck:
    worst = max(struck, key=lambda one: one.margin)
    print(WHOSE)
    print(f"{worst.pair}: AKD prefers {worst.favourite} by {worst.margin:.2f} pixels; the vote was for {worst.chosen}")
    rows = {
        "truth": to_tensor(held.truths[worst.pair]),
        **{name: worst.films[name] for name in (worst.favourite, worst.chosen)},
    }
    shown = figures.figure_films(
        rows,
        SHOWN,
        f"Five moments: the true film; that of {worst.favourite}, which AKD prefers; that of {worst.chosen}, which the vote went to.",
    )
else:
    shown = "Your votes and AKD agree on all pairs."
shown

# %% [markdown]
# Look at both, and put into words what you saw and AKD did not: a torn edge? A face? Jitter? (Or was it the other way
# round, and AKD saw a wrong arm that you had missed?) With a coin's votes there is nothing to find: that is what a baseline for
# raters looks like.
#
# A metric is not refuted by one vote, and a rater not by one metric. But if raters disagree with a metric *systematically*, the
# metric is asking another question than they are.
#
# ## 9. Modify and make
#
# Change one thing, predict, run:
# 1. **Your mistake.** Submit `read_embedded_face` with the fields added, then run this, and below it the line with the four pictures
#    once more. Does one see it? Where, and why there? (Then submit the right one again.)
#    ```python
#    with ex.run_mine("embedded-face"), torch.no_grad():
#        frame, face = face_model(source[None].to(ex.device.device), driving[8:9].to(ex.device.device))
#    ```
# 2. **Another metric.** In section 8, count the pairs in which *L1* is against the votes: `min(one.l1, key=one.l1.get)` is its
#    favourite. Which of the two metrics would you rather have as a stand-in for raters?
# 3. **A second rater.** Ask somebody to vote on your study (begin anew on the first page): `study.report` then prints alpha.
# 4. **Another "equal".** X2Face takes its steps faster than we do. Write down *before* you train how you would compare at equal
#    steps, and whom that favours. `monkeynet-edu train --data mini-taichi --preset x2face --minutes 5 --out my_x2face` trains one.
# 5. **Make** a comparison that *you* would believe: method, rivals, budget, tuning, seeds, figures, raters; one line each. What
#    would have to come out for you to say "no difference"?
#
# ## 10. The film
# Your character, driven by somebody else: by Monkey-Net, and by X2Face with your reading of the embedded face.

# %% tags=["nbval-ignore-output"]
ex.film(
    figures.beside(hers["Monkey-Net"], hers["X2Face"]),
    fps=6,
    caption=f"{ex.character.name}, driven by {figures.driver().name}: by Monkey-Net, and by X2Face.",
    alt=f"Two films side by side: {ex.character.name} animated by Monkey-Net on the left, and by X2Face on the right.",
)

# %% [markdown]
# ## Symbols
#
# | paper | here | code |
# |---|---|---|
# | $\mathrm{KL}(p\,\|\,q)$ | divergence, in nats | `sv2p.gaussian_kl` |
# | $\beta$ | price of a nat | `SV2PConfig.beta`, `.phases` |
# | embedded face | the source, read once | `x2face.read_embedded_face` |
# | CDNA | a frame, moved by kernels | `sv2p.cdna` |
# | user study, Table 4 | share of votes and its exact interval | `study.report`, `statistics.clopper_pearson` |
#
# ## What you have built
#
# - KL is a mean log ratio, over the x that really come. Between Gaussians it has a closed form; it is not symmetric.
# - A latent that is punished before anybody can read it stays silent: hence β = 0 first.
# - X2Face reads twice and paints nothing; SV2P moves whole frames by kernels and mixes them. The squared error pays for blur.
# - Equal steps, equal minutes and equal parameters favour different methods. A fair comparison *states* its budget.
# - Ten votes are few: eight of ten leave a coin inside the exact interval.
# - A metric asks one question. Your eye asks others.
#
# ## To discuss
#
# 1. The authors of a method tune it for months and run the rivals with default settings. Which "equal" would repair that?
# 2. You may give each method the minutes that *it* needs to converge. What is fair about that, and who pays?
# 3. Raters saw 64×64 films on a loop. What would change at full size, once only, on a telephone?
# 4. A rival's code does not exist, so you write it yourself (as we did). Whose result is it then?
#
# ## Further reading
#
# - O. Wiles, A. Koepke, A. Zisserman, *X2Face*, ECCV 2018: [arXiv:1807.10550](https://arxiv.org/abs/1807.10550).
# - M. Babaeizadeh and others, *Stochastic Variational Video Prediction*, ICLR 2018:
#   [arXiv:1710.11252](https://arxiv.org/abs/1710.11252).
# - S. Tulyakov and others, *MoCoGAN*, CVPR 2018: [arXiv:1707.04993](https://arxiv.org/abs/1707.04993).
# - W. Wang and others, *Every Smile is Unique*, CVPR 2018: [arXiv:1802.01873](https://arxiv.org/abs/1802.01873).
# - C. Clopper, E. Pearson, *The use of confidence or fiducial limits illustrated in the case of the binomial*, Biometrika 26, 1934.

# %%
ex.map()
