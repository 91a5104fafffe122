# %% [markdown]
# # 11 · Experiments
#
# You have built Monkey-Net, trained it, made films with it and measured them. One question is left, and it is the one that
# decides whether a paper is worth reading: **which piece does the work?** And after it comes a second one that fewer people
# ask: how sure are we?
#
# <!-- header -->
#
# **You will be able to**
# - make an *ablation*: a model that differs from the full one in exactly one thing;
# - say which comparison of two trained models is fair, and which is not;
# - compute a paired interval of a difference, and tell how stable an order is;
# - say what two or three runs allow one to say, about your own numbers and about the paper's.
#
# **You need** lesson 04 (flow from parts), lesson 06 (losses) and lesson 10 (metrics). Predictions work as always: the
# buttons, or `ex.answer("name-of-the-question", "your-choice", sure=70)`, or `ex.skip(…)`.

# %% tags=["parameters"]
FAST = False

# %% tags=["imports"]

# %%
ex.map()

# %% [markdown]
# ## 1. Take one thing away
#
# Doctors learned what a part of the brain does from patients who had lost it. Machine learning does the same on purpose, and
# uses the doctors' word: in an **ablation** one piece is taken out of the model, the rest is trained again from the start,
# and what gets worse is what the piece was good for. Table 2 of the paper has these rows:
#
# | row | in the code | what is missing | built in lesson |
# |---|---|---|---|
# | Full | `full` | nothing | |
# | No $\mathcal{F}$ | `no_flow` | the motion network M: nothing is deformed, G draws everything anew from keypoints | 04, 05 |
# | No $\mathcal{F}_{\text{residual}}$ | `no_residual` | the correction: the flow comes from parts alone | 04 |
# | No $\mathcal{F}_{\text{coarse}}$ | `no_coarse` | the parts: the network draws the flow freely | 04 |
# | No $\Sigma_k$ | `no_covariance` | the ellipses: every keypoint is a disc of one size | 03 |
# | No $x$ | `no_source` | the picture as M's input: M sees keypoints only | 04 |
#
# We have trained each of the six in miniature: the same data, the same number of steps, the same seeds. The steps are **few**
# (section 3 prints how many), far fewer than the shipped models have had, and the preset is `mini-plain`: the
# shipped models (`mini`) were given more to learn from. How that turns out, nobody arranged: everything in this lesson is computed from the records of those runs, whatever they say.
#
# ### Predict the order, before you see a number
# Put the six rows into your order, the best first. (What stands there is the order in which the paper prints them, Full last:
# no order of merit.)

# %%
my_order = ["no_flow", "no_residual", "no_coarse", "no_covariance", "no_source", "full"]
assert sorted(my_order) == sorted(plans.VARIANTS), "each of the six rows once, please"

# %%
ex.predict(
    "worst-row",
    "Which of our six rows has the largest error, trained for the same few steps as all others?",
    {
        "no_flow": "No F: without deforming, everything has to be drawn anew",
        "no_coarse": "No F_coarse: a flow that knows nothing of parts",
        "no_residual": "No F_residual: parts are stiff, and nothing corrects them",
        "no_covariance": "No Σ_k: discs cannot tell a forearm's direction",
        "no_source": "No x: M does not see what it moves",
        "full": "Full: the most pieces, and only a few steps to learn them all",
    },
)

# %% [markdown]
# The answer comes in section 4. First, an ablation of your own.

# %% [markdown]
# ## 2. One ablation
#
# A model is described by its configuration: frozen dataclasses inside each other.
# - `config.generator` holds G's settings; `config.generator.motion` those of M, which lives inside G. `motion=None` means:
#   no M, no flow.
# - `config.losses` holds the weights of the losses. `config.losses.deformed` weighs the loss on the **deformed frame**, the
#   source sampled at the deformation, which our small models have in addition.
#
# Frozen means that nobody changes a setting in place. `dataclasses.replace` makes a changed copy:

# %%
full = experiments.variant_config("full")
losses = replace(full.losses, adversarial=0.5)
print("copy:", losses.adversarial, "  original:", full.losses.adversarial)

# %% [markdown]
# Why does the loss on the deformed frame have to go along with the flow? Without a flow, the "deformed" frame is the source
# itself. Its distance from the driving frame is the same number whatever the network does: a constant, with a gradient of 0.
# It would teach nothing, and it would lift this row's loss curve above all others for no reason. Pieces that only make sense
# together leave together; *everything else stays*.
#
# ### Exercise: one ablation
# Write `without_flow(config)`: the configuration without a motion network and without (weight 0) the loss on the deformed
# frame. It has to work for any full configuration, not only for this one.

# %% exercise="without-flow"

# %% [markdown]
# `figures.changed` lists the settings in which two configurations differ. Two lines, and you can defend both. For another
# row, change its name below (`no_residual`, …) and see how the others were made.

# %%
ROW = "no_flow"
for line in figures.changed(full, experiments.variant_config(ROW)):
    print(line)

# %%
ex.used("without-flow")

# %% [markdown]
# **One thing is never only one thing.** Without M, the network is also smaller:

# %%
ablated = plans.without_flow(full)
for name, config in (("full", full), ("no_flow", ablated)):
    print(f"{name:8} {figures.parameters(MonkeyNet(config))} parameters")

# %% [markdown]
# If No F does worse, is it the flow that is missing, or M's parameters? A careful author adds a row for that: a
# larger G without a flow. The paper does not, nor do we. Write such things down; they cost a sentence.

# %% [markdown]
# ## 3. A model without a flow, alive
#
# Here is a model without M that has been trained like its rivals in the table: `ablation-no_flow`, from its own
# training, not the full model with a piece torn out. (Tearing out a piece *after* training tells something else:
# how much the rest had come to rely on it. Think of taking away somebody's glasses, against growing up without.)
#
# G now gets the encoder's features of the source *where they were*, and the heatmaps of the keypoints, where
# things shall be. It has to draw the arm at the new place, and to wipe it off the old one.

# %%
ex.predict(
    "without-a-flow",
    "We rebuild a test film from its first frame. What does the film of the model without a flow look like?",
    {
        "still": "it hardly moves: without a flow the source just stands there",
        "ghosts": "it moves, but badly: limbs are drawn anew, smeared or striped, and traces of the old ones stay",
        "sharp": "as good as a film with flow: a network large enough draws anything",
    },
)

# %%
from monkeynet_edu.data.datasets import open_dataset
from monkeynet_edu.data.pairs import PairSampler
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.paths import weights_path

filmed = to_tensor(open_dataset("mini-taichi", "test")[1].frames)  # (T, 3, 64, 64), an unseen character
SHOWN = figures.SAME_STEPS


def rebuild(model, film):
    """A film redrawn from its first frame."""
    return animation.reconstruct(model.to(ex.device.device).eval(), film.to(ex.device.device), ex.device).prediction.cpu()


without = MonkeyNet.load(weights_path("ablation-no_flow"), ablated)  # refused unless your configuration is the file's
shipped = MonkeyNet.load(weights_path("mini-taichi"))  # full, trained for much longer, with another recipe

# %% tags=["nbval-ignore-output"]
films = {"as filmed": filmed, "no flow": rebuild(without, filmed), "full, shipped": rebuild(shipped, filmed)}
still = figures.error_where_it_moves(filmed[:1].expand_as(filmed), filmed)
left = {name: figures.error_where_it_moves(film, filmed) / still for name, film in films.items()}
key = "still" if left["no flow"] > 0.9 else "sharp" if left["no flow"] < 1.1 * left["full, shipped"] else "ghosts"
ex.reveal(
    "without-a-flow",
    key,
    [
        "Where the film moves, the error of a still picture counts as 100 %. Without a flow "
        f"{100 * left['no flow']:.0f} % of it are left; the shipped model leaves {100 * left['full, shipped']:.0f} %.",
        figures.figure_films(
            films,
            SHOWN,
            "Frames of a test film; below, rebuilt without a flow: the arms are at their new places, striped, with pale "
            "traces where they were; below that, by the shipped full model: whole arms.",
        ),
    ],
)

# %% [markdown]
# Look closely at the arms: at their outline and their colours, and at the places that they have left. A flow *copies* pixels
# from the source, with all their detail. Without one, each sleeve of each new character has to be painted from what the
# network has learned sleeves to look like.
#
# ### Is that fair?
# No. The two models differ in the flow **and** in how long they were trained **and** in the recipe: the shipped one saw brighter
# heatmaps, paid for keypoints that leave moving places uncovered, and its Δ and M learned alone first. Here are the runs of the
# table, and the same film rebuilt by a *full* model of their recipe and as many steps, from the same seed:

# %%
table = figures.table2()
how = table.outcomes[0].records[0]["identity"]
print(f"each run of the table: {how['steps']} steps of {how['recipe']['batch_size']} pairs")
print("seeds:", ", ".join(str(seed) for seed in table.outcomes[0].seeds))

# %% tags=["nbval-ignore-output"]
shown = list(SHOWN)
same_steps = torch.zeros_like(filmed)
same_steps[shown] = figures.full_at_same_steps()
fair = {"as filmed": filmed, "no flow": films["no flow"], "full, as many steps": same_steps}
rest = figures.error_where_it_moves(filmed[:1].expand(len(shown), -1, -1, -1), filmed[shown])
after = {name: figures.error_where_it_moves(film[shown], filmed[shown]) / rest for name, film in fair.items()}
for name in ("no flow", "full, as many steps"):
    print(f"{name}: {100 * after[name]:.0f} % of the still picture's error are left in these frames")
print("ahead after these steps:", min(("no flow", "full, as many steps"), key=after.get))
figures.figure_films(
    fair,
    SHOWN,
    "As filmed, arms rise. Rebuilt without a flow: striped arms at the new places. Rebuilt by a full model of as many steps: "
    "the body stands, the arms are wiped off, and none are raised.",
)

# %% [markdown]
# Look at the films first, then at the numbers. After so few steps the full model takes arms away and draws none at their new
# places; the model without a flow paints arms, in wrong colours. Which film is better? An error in pixels may well prefer
# missing arms to striped ones; AKD and MKR of lesson 10 ask where the arms are. Keep that in mind for the table.
#
# *This* comparison is fair in steps, seed and data. Whatever it shows, it says: **after so many steps**. Pieces that depend on
# each other need time to find together. As long as the keypoints do not follow the limbs, a flow has nothing to carry them
# with; somebody who paints can begin at once. So whoever is ahead early need not be ahead in the end, and the budget is part
# of the claim. (Fair in *seconds* would be another comparison still: a step without M is cheaper.)
#
# ### Train it yourself
# The model without a flow, for some steps more, at a constant rate. Does it learn to paint arms? (Adam starts without
# memory, and the batches are a quarter of those of the table: a look, no result.)

# %%
clips = open_dataset("mini-taichi", "train", size=64, seed=1)[:32]
sampler = PairSampler(clips, batch_size=4, augmentation=training.sprite_augmentation("mini-taichi"), device=ex.device.device)
steps = ex.steps(100)

# %% tags=["nbval-ignore-output"]
learner = MonkeyNet.load(weights_path("ablation-no_flow"), ablated).to(ex.device.device).train()
optimizers = training.Optimizers.of(learner, 1e-4)
with ex.training(learner, steps=3 * steps):  # G, Δ and D
    for step in range(steps):
        training.training_step(learner, optimizers, *sampler.batch(step), ex.device)
longer = {"before": films["no flow"], f"{steps} steps later": rebuild(learner, filmed)}
for name, film in longer.items():
    share = figures.error_where_it_moves(film, filmed) / still
    print(f"{name}: {100 * share:.0f} % of the still picture's error are left")
figures.figure_films(longer, SHOWN, "The film without a flow, before and after some more steps of training.")

# %% [markdown]
# Which comparisons are fair now? Before and after: yes, for the question "do more steps help *this* model". The
# model after your steps against the row *Full* of the table: no, it has had more steps. Against the shipped model: no,
# fewer, and another recipe.

# %% [markdown]
# ## 4. The table
#
# Now your predictions. Each seed of a row is a marker, the line is their mean.

# %%
FIGURE = next(name for (_, name) in table.comparisons)  # AKD where it was measured, else L1 of moving pixels
LABEL = comparison.LABELS[FIGURE]
found = table.comparisons["mini-taichi", FIGURE]
rows = {outcome.method: outcome for outcome in table.outcomes}
ex.reveal(
    "worst-row",
    found.ranking[-1],
    [
        f"By {LABEL}, best first: {', '.join(rows[name].title for name in found.ranking)}. Of the "
        f"{math.comb(len(found.ranking), 2)} pairs, your order has {figures.agreeing(my_order, found.ranking)} as this table "
        "has them. A coin would get half of them. How much of this would be the same another time? That is the rest of the "
        "lesson.",
        figures.figure_table([rows[name] for name in found.ranking], FIGURE),
    ],
)

# %% [markdown]
# ### Clip by clip
# A row of the table is a mean over test clips. Here are two rows, the full model and the one without a flow, before the mean is
# taken (seeds averaged):

# %%
def per_clip(name):
    """One figure of every test clip (n,), averaged over the seeds that all rows share."""
    kept = [rows[name].seeds.index(seed) for seed in found.seeds]
    return rows[name].per_clip[FIGURE][kept].mean(dim=0)


names = [name for name in found.ranking if bool(per_clip(name).isfinite().all())]
figures.figure_clips(per_clip("no_flow"), per_clip("full"), ("No F", "Full"), LABEL)

# %% [markdown]
# Some clips are hard for everybody: large movements, arms before the body. That spread says nothing about the two
# *methods*. What does, is on the right: the difference on each clip.
#
# To see what that means for intervals, an example in which we **know** the truth, because we make it up: thirty clips of
# very different difficulty, and a method B that is a little better than A on each of them. Beside each mean stands an interval:
# where the mean would probably lie with thirty other clips of the kind. (It is made by a *bootstrap*, which you write in a minute;
# here the library's does it.)

# %%
random = torch.Generator().manual_seed(11)
difficulty = 0.02 + 0.08 * torch.rand(30, generator=random)
a = difficulty
b = difficulty - 0.001 - 0.001 * torch.rand(30, generator=random)


def alone(values):
    """The 95 % interval of one mean: a bootstrap of one method by itself."""
    return statistics.paired_bootstrap(values, torch.zeros_like(values), 2000, torch.Generator().manual_seed(0))


for name, values in (("A", a), ("B", b)):
    low, high = alone(values)
    print(f"{name}: mean {float(values.mean()):.4f}, 95 % interval {low:.4f} to {high:.4f}")

# %%
ex.predict(
    "overlap",
    "The two intervals overlap almost wholly. Both methods were measured on the same thirty clips. What can be said of the "
    "difference of their means?",
    {
        "none": "nothing: the intervals overlap, so there is no difference",
        "some": "hardly anything: a difference so much smaller than the intervals needs many more clips",
        "clear": "B is lower, and it is clear: clip by clip the difference is nearly the same",
    },
)

# %%
low, high = statistics.paired_bootstrap(a, b, 2000, torch.Generator().manual_seed(0))
ex.reveal(
    "overlap",
    "clear" if low > 0 or high < 0 else "some",
    f"The mean of A - B is {float((a - b).mean()):.4f}, and its *paired* interval {low:.4f} to {high:.4f}: far from 0. The "
    "difficulty of the clips, which made the two intervals wide, is the same in both and cancels in the difference.",
)

# %% [markdown]
# ### The bootstrap
# How sure is a mean of differences? Which clips happened to lie in the test set is luck. We cannot film others, but we
# can play the luck again with those that we have: **draw** as many clips as there are, *with replacement* (one comes up twice,
# another not at all), take the mean, and do it thousands of times. The middle 95 % of those means is the interval. Bradley
# Efron thought of it in 1979, and called it *bootstrap*, after those who pull themselves out by their own bootstraps.
#
# **By hand.** Two clips, with the differences 1 and 3. There are four draws: (1, 1), (1, 3), (3, 1), (3, 3), with
# the means 1, 2, 2, 3. A quarter of the draws gives 1, a quarter 3: both ends of the interval are taken, it is 1 to 3. Two
# clips say little, and the bootstrap says so.
#
# Eight clips, four with the difference 1 and four with 0: the mean is the share of ones in eight throws of a coin. At most
# one 1 comes up in $\frac{1 + 8}{2^8} = 3.5$ % of the draws, no 1 at all in 0.4 %. So the point below which 2.5 % lie is
# $\frac18$, and the upper one $\frac78$.
#
# ### Exercise: the paired interval
# `a` and `b` are (n,), float32 or float64: figures of two methods on the same clips. Use the generator that you are given;
# how exactly you draw is up to you.

# %% exercise="paired-bootstrap"

# %% [markdown]
# Every row against the full model. Dotted, for comparison, is what somebody gets who draws the clips of each method by
# themselves.

# %%
def unpaired(one, other, draws=4000):
    """The interval of someone who forgets that the clips are the same."""
    random = torch.Generator().manual_seed(0)
    means = [v[torch.randint(len(v), (draws, len(v)), generator=random)].mean(dim=1) for v in (one, other)]
    gap = means[0] - means[1]
    return float(gap.quantile(0.025)), float(gap.quantile(0.975))


base = per_clip("full")
intervals = {}
for name in (n for n in names if n != "full"):
    mine = per_clip(name)
    paired = statistics.paired_bootstrap(mine, base, statistics.DRAWS, torch.Generator().manual_seed(0))
    intervals[rows[name].title] = (float((mine - base).mean()), paired, unpaired(mine, base))
figures.figure_intervals(intervals, f"{LABEL}: row minus Full")

# %%
for name, (mean, (low, high), _) in intervals.items():
    side = "worse than Full" if low > 0 else "better than Full" if high < 0 else "not told apart from Full"
    print(f"{name:14} {mean:+.4f}  ({low:+.4f} to {high:+.4f})  {side}")

# %%
ex.used("paired-bootstrap")

# %% [markdown]
# "Not told apart" is not "equal". It says: with these clips, a difference of either sign would look like this. The
# width of the interval says how large a difference may still be hiding.

# %% [markdown]
# ## 5. How stable is the order?
#
# A table is read as an order. So ask the order: in how many draws is this row below that one?
#
# **By hand.** On two clips method A has 2 and 4, B has 3 and 3. The four draws: the first clip twice, and A is lower (2 against
# 3); the second twice, and B is lower; one of each, two times, and they are equal. So A is lower in a quarter and equal in a
# half: with ties counted half, its share is $\frac14 + \frac12 · \frac12 = \frac12$. Now let A have 2 and 3.5. In the draws with
# one of each it has 2.75 and is lower; its share is ¾. Half a unit on one of two clips is worth that much.
#
# We shall say that an order **holds** from 95 % of the draws on, that it is **reversed** up to 5 %, and in between that it is
# **not decided**.
#
# ### Exercise: how stable is an order? (blank page)
# Write `order_stability(values, draws, generator)`. `values` is (M, n): M methods on the same n clips, lower is
# better. It returns a tensor (M, M) whose entry [i, j] is the share of draws in which method i has the lower mean; equal means
# count half, so [i, j] and [j, i] sum to 1 and ½ stands on the diagonal. Write the whole function into the cell;
# the line below it submits it by its name.

# %% exercise="order-stability"

# %%
values = torch.stack([per_clip(name) for name in names])
shares = statistics.order_stability(values, statistics.DRAWS, torch.Generator().manual_seed(0))
titles = [rows[name].title for name in names]
figures.figure_shares(shares, titles)

# %%
ex.used("order-stability")

# %% [markdown]
# Read beside the diagonal: neighbours in the table. Now the paper's orders, pair by pair. The paper's table says which of
# two rows is better; our runs say whether that holds here.

# %%
kinds = {"holds": 0, "not decided": 0, "reversed": 0}
for better, worse in comparison.paper_orders(table.what, "mini-taichi", FIGURE, names):
    share = float(shares[names.index(better), names.index(worse)])
    said = statistics.decided(share)
    kinds[said] += 1
    print(f"{rows[better].title:13} below {rows[worse].title:13} in {100 * share:3.0f} % of the draws: {said}")
print("the paper's orders in our miniature:", ", ".join(f"{count} {kind}" for kind, count in kinds.items()))

# %% [markdown]
# A reversed order is no refutation. Ours is a much smaller model, with cartoons instead of people, and a small part of the
# training. It is a fact about *these* runs, and the honest next question is which of the three makes the difference. How
# would you find out, one thing at a time?
#
# ### The paper's figures beside ours
# This is the picture that `monkeynet-edu reproduce table2` draws: differences from Full in per cent, with paired
# intervals, the paper's as hollow diamonds.

# %%
table.picture()

# %%
orders = {comparison.LABELS[name]: came.ranking for (_, name), came in table.comparisons.items()}
for label, ranking in orders.items():
    print(f"{label}: {', '.join(rows[name].title for name in ranking)}")
*_, last = orders.values()
print(f"pairs in the same order: {figures.agreeing(found.ranking, last)} of {math.comb(len(last), 2)}")

# %% [markdown]
# Each figure has an order of its own, with narrow intervals of its own. "Better" is short for "better by this figure": choose
# it before you look, and print the others too.

# %% [markdown]
# ### How many keypoints?
# The paper's Figure 7 asks about a number instead of a part: how many keypoints? The models have drawn none of them by hand, and nobody
# told them that a person has two arms. Ours were trained with 1, 2, 4, 10 and 20, everything else alike.

# %%
ex.predict(
    "keypoints",
    f"The same steps, pairs and seeds. With how many keypoints is {LABEL} lowest?",
    {
        "few": "1 or 2: less to learn in so few steps",
        "middle": "4 or 10: about as many as the figure has parts that move by themselves",
        "many": "20: the more, the better",
    },
)

# %%
curve = figures.figure7()
by_count = {int(outcome.method[1:]): outcome for outcome in curve.outcomes}
best = min(by_count, key=lambda count: by_count[count].mean(FIGURE))
ex.reveal(
    "keypoints",
    "few" if best <= 2 else "middle" if best <= 10 else "many",
    [
        f"{LABEL}: " + ", ".join(f"{o.mean(FIGURE):.2f} with {count}" for count, o in by_count.items()) + ". With one keypoint everything "
        "that moves is carried along one way. What a keypoint more brings depends on where it comes to lie; look at how far the two "
        "seeds of one number are apart before you believe in a step from one number to the next.",
        curve.picture(),
    ],
)

# %% [markdown]
# Is *that* fair? Each keypoint adds channels to Δ, $M$, $G$ and $D$, so a model with more of them is larger, and every step of it takes
# longer. Equal steps are not equal minutes, again:

# %%
for count, outcome in by_count.items():
    weights = sum(p.numel() for p in MonkeyNet(plans.variant_config(outcome.method)).parameters())
    print(f"K = {count:2}: {weights / 1e6:.2f} million weights")

# %% [markdown]
# ## 6. One seed is no seed
#
# All this was about other *clips*. But the models came from a training, and a training starts from random numbers: first
# weights, the order of the pairs. Another seed gives another model.

# %%
ex.predict(
    "seeds",
    "Train the same row again with another seed. How far apart are its best and its worst seed, on average over the rows, compared with the mean "
    "distance from one row of the table to the next?",
    {
        "little": "a tenth of it, or less: one seed is enough",
        "part": "more than a tenth of it, but less than the whole distance",
        "more": "as far as from one row to the next, or farther",
    },
)

# %%
means = [rows[name].mean(FIGURE) for name in found.ranking]
step = (means[-1] - means[0]) / (len(means) - 1)
gaps = [max(o.figures[FIGURE]) - min(o.figures[FIGURE]) for o in table.outcomes if len(o.seeds) > 1]
ratio = sum(gaps) / len(gaps) / step if gaps else math.nan
said = f"From one row to the next it is {step:.3g} on average; from one seed of a row to another {ratio * step:.3g}."
if gaps:
    shown = ex.reveal("seeds", "little" if ratio <= 0.1 else "part" if ratio < 1 else "more", said)
else:
    shown = "These records hold one seed a row: nobody can tell how far another would fall. That is the point."
shown

# %% [markdown]
# The bootstrap of the clips knows nothing of this. It speaks of *these trained models* on other clips. A paper that says "our
# method" means the training, with any seed; so the runs are the sample, and their number is the n that counts.
#
# ### What three runs allow
# Suppose two configurations are equally good, and you train each of them three times. Only luck decides which of the six
# runs comes out best, second, … (Think of six cards in a row.)

# %%
ex.predict(
    "three-runs",
    "Two configurations that are equally good, three runs of each. How often are all three runs of the first below all three "
    "of the second, by luck alone?",
    {
        "half": "in half of all cases: either the first or the second is better",
        "eighth": "in 1 of 8: three coins that all show heads",
        "twentieth": "in 1 of 20",
        "never": "practically never: three out of three is proof",
    },
)


# %%
def by_luck(runs):
    """In how many of all equally likely orders of 2 × runs results the first configuration has all the best ones."""
    return math.comb(2 * runs, runs)


chances = {"half": 1 / 2, "eighth": 1 / 8, "twentieth": 1 / 20, "never": 1 / 1000}
chance = 1 / by_luck(3)
ex.reveal(
    "three-runs",
    min(chances, key=lambda name: abs(math.log(chances[name] / chance))),
    f"Three of six places can be chosen in {by_luck(3)} ways, and one of them is 'the first three': 1 in {by_luck(3)}, "
    f"that is {100 * chance:.0f} %. With two runs each it is 1 in {by_luck(2)}: **two runs can never be convincing by their "
    f"order alone**. Three just reach the usual 5 %, and only if you said beforehand which one would win: that *either* has all the "
    f"best runs comes twice as often, 1 in {by_luck(3) // 2}. With one run each it is 1 in {by_luck(1)}.",
)

# %% [markdown]
# And if you count on a normal distribution? With $n$ runs each and a standard deviation $s$ from seed to seed, a difference of
# two means has the standard error $s\sqrt{2/n}$. To be seen at 95 %, it has to be about $t$ times as large, where $t$
# depends on how well we know $s$: 2.78 for three runs each.
#
# **By hand.** $n = 3$, and $s$ is 1 % of the mean: $2.78 · 1\,\% · \sqrt{2/3} = 2.3$ %. Smaller differences drown.
#
# ### The paper's 0.050 against 0.051
# Table 2 prints the L1 of the full model as 0.050, of No $\mathcal{F}_{\text{residual}}$ and of No $x$ as 0.051; one
# training each. Three decimals look like certainty. What do they hold? First the rounding.

# %%
ex.predict(
    "equal-rank",
    "In the paper's table No F_residual and No x have the same L1, 0.051; Full has 0.050. What does the table say of the true "
    "values, before rounding?",
    {
        "equal": "the two 0.051 are equal, and Full is better by 0.001",
        "close": "the two 0.051 may differ a little, but less than either differs from Full",
        "apart": "the two 0.051 may be as far apart as 0.001, and Full may be as good as either of them",
    },
)

# %%
half = figures.ROUNDED_TO / 2
same_print = (0.051 + half) - (0.051 - half)  # how far apart two values printed alike may be
least = (0.051 - half) - (0.050 + half)  # the least difference behind 0.050 and 0.051
key = "equal" if same_print == 0 else "apart" if same_print > least + 1e-9 else "close"
ex.reveal(
    "equal-rank",
    key,
    f"Printed alike, two values may be up to {same_print:.3f} apart. Printed as 0.050 and 0.051, they differ by "
    f"{abs(least):.3f} to {0.051 + half - 0.050 + half:.3f}. Equal rank is not equal, and another rank may be hardly a "
    "difference. (By AKD, which the paper prints more finely, No F_residual has 2.81 and No x 2.71.)",
)

# %% [markdown]
# What the printed figures can stand for: 0.050 means anything from 0.0495 to 0.0505.

# %%
paper = {name: comparison.PAPER["table2", name, "mini-taichi"]["l1"] for name in plans.VARIANTS}
figures.figure_printed({plans.VARIANTS[name].title: paper[name] for name in sorted(paper, key=paper.get)})

# %% [markdown]
# Then the seeds. The paper has one run a row, so nobody knows its $s$. Suppose that the paper's trainings scatter, in per
# cent, as ours do: an assumption, and a small-sample one. What would three runs each have been able to see?

# %%
s = figures.seed_spread(table.outcomes, "l1")
visible = 2.78 * s * math.sqrt(2 / 3)
print(f"our runs scatter by {100 * s:.1f} % from seed to seed (L1), so three runs each see {100 * visible:.1f} % and more")
for name in plans.VARIANTS:
    gap = paper[name] / paper["full"] - 1
    if name != "full":
        verdict = "more than that" if gap > visible else "less than that" if math.isfinite(s) else "nobody can tell"
        print(f"  {plans.VARIANTS[name].title:14} the paper's {100 * gap:+3.0f} %: {verdict}")

# %% [markdown]
# So what *can* be said? That with one run each, a difference in the last printed digit says nothing. That a gap wider than
# seeds would make it is worth believing, the more so where several figures agree; the others need more runs before
# anybody explains them. And that whoever has three runs should print all three, not a mean with a third decimal.

# %% [markdown]
# ## 7. Modify and make
#
# Change one thing, predict, run:
# 1. **Your mistake.** Submit `paired_bootstrap` with clips drawn for each method by themselves, then draw the figure of
#    section 4 inside `with ex.run_mine("paired-bootstrap"):`. Are the new intervals the dotted ones? (Then submit the right
#    one again.)
# 2. **Another figure.** Set `FIGURE = "l1"` in section 4 and run on. Is it the same order? Lesson 10 tells why it need not be.
# 3. **Few draws.** Replace `statistics.DRAWS` by 50 and try several seeds of the generator. Which digit of the ends would you
#    print?
# 4. **Make** an ablation that the paper does not have. Write down *before* you train: the question; the one thing that
#    changes; what stays; steps and seeds; the figure that decides; and what you will say if the interval holds 0.

# %%
def my_ablation(config):
    """No discriminator's opinion: the generator is not rewarded for looking real."""
    return replace(config, losses=replace(config.losses, adversarial=0.0))


print("\n".join(figures.changed(full, my_ablation(full))))

# %% [markdown]
# `monkeynet-edu reproduce table2 --methods full,no_source --seeds 3 --budget short --out my_results` trains rows of the table on
# your computer, resumes when it was stopped, and writes table, picture and verdicts.

# %% [markdown]
# ## 8. The film
# Your character, rebuilt from one frame: without a flow, after your steps; and by the shipped model. (Look, but do not
# compare: you know why.)

# %% tags=["nbval-ignore-output"]
mine = to_tensor(ex.character.clip(motion=5, length=32).frames)[::4]
ex.film(
    figures.beside(rebuild(learner, mine), rebuild(shipped, mine)),
    fps=3,
    caption=f"{ex.character.name}: rebuilt without a flow; rebuilt by the shipped model, which had far more steps and another recipe.",
    alt=f"Two films side by side: {ex.character.name} rebuilt by the model without a flow, and by the shipped full model.",
)

# %% [markdown]
# ## Symbols
#
# | paper | here | code |
# |---|---|---|
# | No $\mathcal{F}$ | no motion network | `plans.without_flow`, `VARIANTS["no_flow"]` |
# | No $\mathcal{F}_{\text{residual}}$, No $\mathcal{F}_{\text{coarse}}$ | one term of the flow | `MotionConfig.flow` |
# | No $\Sigma_k$ | covariances fixed at 0.01 | `DetectorConfig.covariance` |
# | No $x$ | M does not see the picture | `EmbeddingConfig.features` |
# | (not in the paper) | paired interval | `statistics.paired_bootstrap` |
# | (not in the paper) | stability of an order | `statistics.order_stability`, `statistics.decided` |
#
# ## What you have built
#
# - An ablation changes one thing, keeps the rest, and trains again. What has to go along with it goes too, and is written down.
# - Fair is: the same data, steps and seeds. The budget is part of the claim.
# - Pairs cancel what two methods have in common. Overlapping intervals of two means say nothing about a paired difference.
# - An order is a claim of its own, and it can be tested: holds, reversed, not decided.
# - Clips and seeds are two kinds of luck. The bootstrap of clips knows only one of them.
# - Two runs never convince by their order, three just may; decimals are no certainty.
#
# ## To discuss
#
# 1. You tried twenty ablations, and one beats the full model with an interval that excludes 0. What do you write?
# 2. The full model was tuned for weeks, the ablations ran with its settings. Who has the advantage?
# 3. A reviewer wants five seeds; you can pay for two. Which would you rather have: more seeds, more clips, or longer training?
# 4. Our unit is the clip. If ten clips show the same person, are they ten?
#
# ## Further reading
#
# - A. Siarohin and others, *Animating Arbitrary Objects via Deep Motion Transfer*, CVPR 2019, section 4, Table 2:
#   [arXiv:1812.08861](https://arxiv.org/abs/1812.08861).
# - B. Efron, *Bootstrap Methods: Another Look at the Jackknife*, Annals of Statistics 7, 1979.
# - X. Bouthillier and others, *Accounting for Variance in Machine Learning Benchmarks*, MLSys 2021:
#   [arXiv:2103.03098](https://arxiv.org/abs/2103.03098).
# - Z. Lipton, J. Steinhardt, *Troubling Trends in Machine Learning Scholarship*, 2018:
#   [arXiv:1807.03341](https://arxiv.org/abs/1807.03341): which piece did the work?

# %%
ex.map()
