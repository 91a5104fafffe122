# %% [markdown]
# # 02 · U-Net and a first training
#
# <!-- header -->
#
# Three of Monkey-Net's networks, the keypoint detector Δ, the motion network M and the generator G, are built from the same
# two blocks: one step **down**, one step **up**. Today you write both, feed them, and train a network for the first time.
#
# **What you will be able to do**
# - draw training pairs from a film, and say why nobody has to label them;
# - say what batch norm does while a network is trained, and what it does afterwards;
# - write the two blocks of a U-Net, and follow shapes and channels through it;
# - train a U-Net to find the parts of a body in less than a minute, and show what its skip connections are for.
#
# **How this lesson goes.** You *predict* what will happen, *run* it, *investigate* why, *modify* it, and in the end *make*
# something of your own. For a prediction, choose an answer and how sure you are, with the buttons or in a cell of your own:
# `ex.answer("pairs-of-ten", "45", sure=70)`. To look without predicting: `ex.skip("pairs-of-ten")`.
# If an exercise holds you up, everything below it still runs: the library's version stands in for yours.

# %% tags=["parameters"]
FAST = False

# %% tags=["imports"]

# %% [markdown]
# ## Where we are
# Monkey-Net as a map. The boxes of this lesson are *U-Net* and *pairs*. They look small, but nearly everything in the
# upper row is made of them.

# %%
ex.map()

# %% [markdown]
# ## 1. Pairs: all the supervision there is
# Monkey-Net learns from films, and from nothing else. Nobody marks joints, nobody draws outlines. One step of training takes
# **two frames of one film**: the *source* x, a picture that is to be moved, and the *driving* frame x′, which shows how.
# The network gets both, moves the source, and is then compared with the driving frame. The film itself is the teacher, because
# it shows what the same figure looks like a little later.
#
# | paper | in words | in the code |
# |---|---|---|
# | x | source frame | `source` |
# | x′ | driving frame | `driving` |
# | (x, x′) | a pair: two frames of one clip | `pairs.two_frames`, `pairs.flip_pair` |
# | Δ, M, G | keypoint detector, motion network, generator: each has a U-Net inside | `layers.Hourglass`, `Encoder`, `Decoder` |
# | – (authors' code: `block_expansion`) | b, channels at full size | `width` |
# | – (`max_features`) | m, most channels at any level (here m = 64, never exceeded) | `max_width` |
# | – (`num_blocks`) | n, how often the picture is halved | `levels` |

# %%
ex.predict(
    "pairs-of-ten",
    "A clip has 10 frames. How many different pairs can be drawn from it, if the earlier frame always comes first and a "
    "frame is never paired with itself?",
    {
        "100": "100: ten choices for the source, ten for the driving frame",
        "90": "90: ten for the source, nine for the driving frame",
        "45": "45: half of that, since each two frames have one order only",
        "9": "9: every frame with the next one",
    },
)

# %% [markdown]
# ### Exercise: two frames of a clip
# The function gets a random generator `rng` of NumPy. All chance has to come from it: then the same seed gives the same
# pairs, and a training that was interrupted goes on as if nothing had happened. `rng.choice(length, …)` draws from
# 0 … length-1.

# %% exercise="two-frames"

# %% [markdown]
# Now draw 2000 pairs from a clip of ten frames, and count the different ones.

# %%
seen = {pairs.two_frames(10, np.random.default_rng([0, n])) for n in range(2000)}
ex.reveal(
    "pairs-of-ten",
    str(len(seen)),
    "**By hand:** 10 choices for the one frame, 9 for the other, and (3, 7) is the same pair as (7, 3) once they are put in "
    "order: 10 · 9 / 2 = 45. The authors' own sampler puts the first frame back before it draws the second, so one pair in "
    "ten would be a frame with itself. Nothing moves in such a pair, and nothing can be learned about motion from it.",
)

# %%
ex.used("two-frames")

# %% [markdown]
# This is what a pair looks like: your character, twice, in one clip.

# %%
clip = ex.character.clip(motion=3, length=32)
first, second = pairs.two_frames(len(clip.frames), np.random.default_rng(4))
viz.figure_images(
    [clip.frames[first], clip.frames[second]],
    [f"source: frame {first}", f"driving: frame {second}"],
    alt=f"A training pair: {ex.character.name} in frame {first} and, in another pose, in frame {second} of one clip.",
)

# %% [markdown]
# ## 2. Flips
# A data set never has films enough. *Augmentation* makes more of them: a mirrored film is a film that could have been, too.
# So is one that runs backwards. When a network learns to name things, each picture is mirrored or not on its own. Here we
# have pairs.

# %%
ex.predict(
    "one-mirrored",
    "By mistake, only the *source* frame of a pair is mirrored, the driving frame is not. What does the network then "
    "see?",
    {
        "nothing": "Nothing worse: a mirrored picture is as good as the original.",
        "harmless": "The same motion in the other direction.",
        "wrong": "A motion that never happened, and a much larger one.",
    },
)

# %% [markdown]
# The sprites know where their joints are. So we can measure how far a joint moves from source to driving frame: in the
# pair as it was filmed, with both frames mirrored, and with one. (The picture's middle is x = 0: mirroring turns x into -x.)

# %%
mirror = np.array([-1.0, 1.0])
before, after = clip.truth.joints[first], clip.truth.joints[second]  # (13, 2) each, x and y in [-1, 1]
pixel = 2 / 63  # distance of two neighbouring pixels


def joints_move(a, b):
    """Mean distance of corresponding joints, in pixels."""
    return float(np.linalg.norm(a - b, axis=-1).mean() / pixel)


filmed = joints_move(before, after)
both = joints_move(before * mirror, after * mirror)
one = joints_move(before * mirror, after)
source, driving = clip.frames[first], clip.frames[second]
mirrored = source[:, ::-1]
picture = viz.figure_images(
    [source, driving, mirrored, driving[:, ::-1], mirrored, driving],
    [f"as filmed:\n{filmed:.1f} pixels", "", f"both mirrored:\n{both:.1f} pixels", "", f"one mirrored:\n{one:.1f} pixels", ""],
    alt=f"Three pairs. As filmed, joints move {filmed:.1f} pixels; with both frames mirrored just as far; with the source alone "
    f"mirrored {one:.1f} pixels, for left arm and right arm have changed places.",
)
ex.reveal(
    "one-mirrored",
    "wrong" if one > 1.5 * both else "harmless",
    [
        "With both frames mirrored, the motion is the mirror image of the true one, and as long. With one of them mirrored, "
        "every joint has to cross to the other side of the body. A network that believes such pairs learns that left arms turn "
        "into right arms.",
        picture,
    ],
)

# %% [markdown]
# ### Exercise: flipping a pair
# A pair is an array with the axes (frame, row, column, colour). A slice with step -1 walks an axis backwards:
# `np.array([1, 2, 3])[::-1]` is `[3, 2, 1]`.

# %% exercise="flip-pair"

# %% [markdown]
# The library's `PairSampler` draws whole batches and asks your functions for every pair in them. Batch number 0 of your
# character's clip: each column is a pair.

# %%
augmentation = pairs.Augmentation(time_flip=0.5, horizontal_flip=0.5)
sampler = pairs.PairSampler([clip] * 6, batch_size=6, augmentation=augmentation, seed=1)
sources, drivings = sampler.batch(0)
viz.figure_images(
    list(torch.cat([sources, drivings], dim=2)),
    [f"pair {n}" for n in range(6)],
    alt="Six pairs, source above driving frame: where one frame is mirrored, so is the other.",
)

# %%
ex.used("flip-pair")

# %% [markdown]
# ## 3. Batch norm
# A network turns a picture into *feature maps*: pictures again, but of what a convolution looks for. A 3×3 convolution lays
# a small pattern over every place and adds up products. From 3 colours to 8 maps it has 8 · 3 · 3 · 3 weights and 8 biases:
# 216 + 8 = **224** numbers, for pictures of any size.
#
# While they are trained, these weights change all the time, and with them the range of the values in each map. The next
# layer then has to follow a moving target. **Batch norm** steps in between: it brings each map (each *channel*) to mean 0 and
# variance 1, and then lets the network choose a range of its own, with one learned factor and one learned summand.
#
# Mean and variance of *what*? While training: of this channel's values in **all pictures of the batch**, at all places.
#
# **By hand.** A batch of two pictures, one pixel each, one channel: 1 and 3. The mean is (1 + 3)/2 = 2, the variance
# ((1-2)² + (3-2)²)/2 = 1. Out come (1-2)/√1 = **-1** and (3-2)/√1 = **1**.
#
# When the network is used later, there may be one picture only, without a batch to take a mean of. So batch norm keeps *running
# averages* while training: after every batch, kept ← 0.9 · kept + 0.1 · this batch's. Afterwards it uses what it kept.
# `network.train()` and `network.eval()` switch between the two.

# %%
norm = nn.BatchNorm2d(1)  # begins with a kept mean of 0 and a kept variance of 1
norm(torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1))
print(f"kept mean      0.9·0 + 0.1·2 = {norm.running_mean.item():.1f}")
print(f"kept variance  0.9·1 + 0.1·2 = {norm.running_var.item():.1f}   (here torch divides by n - 1: ((1-2)² + (3-2)²)/1 = 2)")

# %% [markdown]
# Before you write it:

# %%
ex.predict(
    "alone-or-not",
    "One picture goes through batch norm twice: once alone, once in a batch with seven others. Does the same come out "
    "for it?",
    {
        "always": "Yes, in training and afterwards: the weights are the same.",
        "never": "No, neither in training nor afterwards: the others of the batch always have a say.",
        "training": "Afterwards yes; in training no.",
        "eval": "In training yes; afterwards no.",
    },
)

# %% [markdown]
# ### Exercise: batch norm
# Your function only *uses* the kept averages, `running_mean` and `running_var`; the module around it updates them.
#
# `x.mean(dim=…)` can average over several axes at once. A number for each channel has shape `(C,)`;
# `[:, None, None]` makes it `(C, 1, 1)`, which lines up with `(B, C, H, W)`.

# %% exercise="batch-norm"

# %% [markdown]
# Now the prediction: eight pictures, and the first of them alone, through *your* batch norm.

# %%
images, labels = parts.labelled_frames(sprites.training_clips("mini-taichi", clips=8, frames=1))
torch.manual_seed(0)
maps = nn.Conv2d(3, 4, 3, padding=1)(images).detach()  # (8, 4, 64, 64)
kept = maps.mean(dim=(0, 2, 3)), maps.var(dim=(0, 2, 3))
learned = torch.ones(4), torch.zeros(4)
gap = {}
for training in (True, False):
    alone = normalisation.batch_norm(maps[:1], *kept, *learned, training)
    together = normalisation.batch_norm(maps, *kept, *learned, training)[:1]
    gap[training] = float((alone - together).abs().mean())
    print(f"training={training}: alone and together differ by {gap[training]:.2f} on average")
same = {training: value < 1e-4 for training, value in gap.items()}
keys = {(True, True): "always", (False, False): "never", (False, True): "training", (True, False): "eval"}
ex.reveal(
    "alone-or-not",
    keys[same[True], same[False]],
    "While training, mean and variance come from the batch, so the neighbours have a say. That is no harm: it even works "
    "against learning single pictures by heart. Afterwards the kept numbers are used. **Who forgets `network.eval()`** gets "
    "results that change with the batch. How badly that can end, you will see below.",
)

# %%
ex.used("batch-norm")

# %% [markdown]
# Monkey-Net has another rule here: source and driving frames go through Δ **in one batch**, so that both are normalised by
# the same numbers. Otherwise the same arm could look different in the two frames.
#
# ## 4. One step down
# The block that all encoders are made of: **convolution → batch norm → ReLU → average pooling**.
#
# - *ReLU* sets what is negative to zero. Convolution, pooling and (after training) norm are all straight lines: a factor for
#   each input, and a constant. Without a bend between them, ten blocks could do no more than one.
# - *Average pooling* replaces every 2×2 block by its mean. The picture has half the side afterwards, and the next
#   3×3 convolution sees twice as far.
#
# **By hand.** A 2×2 map [[1, 2], [3, 4]], a convolution that doubles, a norm that subtracts 5: 2, 4, 6, 8 → -3, -1, 1, 3
# → ReLU: 0, 0, 1, 3 → mean: **1**. In another order: mean first gives (-3-1+1+3)/4 = 0, and ReLU leaves **0**.
#
# ### Exercise: one step down
# `conv` and `norm` are modules that you can call like functions. ReLU and pooling are in `torch.nn.functional`, which is
# imported as `F`.

# %% exercise="down"

# %% [markdown]
# What does a step down see? We set the weights of a convolution by hand: the one map gets brightness on the left minus
# brightness on the right, the other brightness above minus below.

# %%
conv, norm = nn.Conv2d(3, 2, 3, padding=1), nn.BatchNorm2d(2)
with torch.no_grad():
    conv.weight.zero_()
    conv.weight[0, :, 1, 0], conv.weight[0, :, 1, 2] = 1.0, -1.0
    conv.weight[1, :, 0, 1], conv.weight[1, :, 2, 1] = 1.0, -1.0
    frame = torch.from_numpy(clip.frames[second]).permute(2, 0, 1)[None].float() / 255
    edges = layers.down(frame, conv, norm)[0]
size = f"{edges.shape[1]}×{edges.shape[2]}"
viz.figure_images(
    [frame[0], edges[0] / edges[0].max(), edges[1] / edges[1].max()],
    ["64×64, 3 channels", f"{size}: brighter on the left", f"{size}: brighter above"],
    alt=f"{ex.character.name}, and two feature maps of half the size: the one lights up along upright outlines, the other "
    "along level ones.",
)

# %% [markdown]
# (The bright rim on the right and at the bottom is no outline: beyond the picture's edge the convolution reads zeros.)

# %%
ex.used("down")

# %% [markdown]
# ## 5. Up again, with skips
# Three steps down, and a 64×64 picture is 8×8. How much does each of these 64 places see? After one step 4×4 pixels: a mean
# of 2×2, each from a 3×3 convolution. Every later step widens that by 3 pixels of the picture that it gets, which are 2 and
# then 4 of the first one's: 4 + 3 · 2 = 10, 10 + 3 · 4 = **22**. So it sees 22×22 pixels, half the height of the figure, and can
# tell an arm from a leg. But *where exactly* the arm ends is gone. For masks, keypoints and pictures we need the full size
# again.
#
# The way **up** repeats: *nearest ×2* (every value becomes a 2×2 block) → convolution → batch norm → ReLU. Enlarging alone
# brings no detail back. So each step gets what the way down knew at this size: the **skip connection**, put behind its own
# channels. Drawn, it is a U:
#
# ```
#   64×64    3 ─────────────────────────────────────────── skip ───► 8 + 3 = 11 ─► conv ─► 5
#               ╲ down                                          up ╱
#   32×32         16 ──────────────────────── skip ───► 16 + 16 = 32
#                    ╲ down                            up ╱
#   16×16              32 ─────── skip ───► 32 + 32 = 64
#                         ╲ down            up ╱
#    8×8                    64 ───────────────
# ```
#
# **By hand.** Width b = 8, so after i = 1, 2, 3 steps down there are min(m, 8 · 2^i) channels: 16, 32, 64. The first step up
# makes 32 of the 64 and gets 32 more from the skip: 64. The next makes 16 of those and gets 16: 32. The last makes 8 and gets
# the picture itself, 3: **11**. A last convolution turns 11 channels into what is wanted, here 5.
#
# ### Exercise: one step up, with a skip
# `F.interpolate` enlarges, `torch.cat` puts tensors behind one another. Nothing is added up: the next convolution shall see
# both and decide itself.

# %% exercise="up-and-concatenate"

# %% [markdown]
# Follow a picture through the U: the shapes should be those of the drawing.

# %%
torch.manual_seed(0)
network = layers.Hourglass(3, 5, width=8, max_width=64, levels=3)
levels = network.encoder(frame)
print("down:", " → ".join(f"{x.shape[1]} × {x.shape[2]}²" for x in levels))
out = levels[-1]
for block, skip in zip(network.decoder.up_blocks, reversed(levels[:-1])):
    out = block(out, skip)
    print(f"up:   {out.shape[1]} channels, {out.shape[2]}²")
print("last:", tuple(network.decoder.conv(out).shape))

# %%
ex.used("up-and-concatenate")

# %% [markdown]
# ## 6. A first training
# Later, M will have to learn masks of moving parts without being told. Today the sprites tell: they know for each pixel which
# part of the body it shows. We make five classes of them, and train the U-Net to name the class of every pixel. The
# characters are those of the training set. Yours is **not** among them: it is kept for the test.

# %%
count = 4 if ex.fast else 60
images, labels = parts.labelled_frames(sprites.training_clips("mini-taichi", clips=60, frames=4)[:count])
test_images, test_labels = parts.labelled_frames([clip])
viz.figure_images(
    [images[0], parts.paint(labels)[0], images[5], parts.paint(labels)[5]],
    ["frame", "its true classes", "frame", "its true classes"],
    alt="Two training frames beside their true classes: background grey, head, trunk, arms and legs in a colour each.",
)

# %% [markdown]
# **The loss.** For each pixel the network gives five numbers; softmax turns them into probabilities, and *cross-entropy* is
# -ln of the probability of the right class, averaged over pixels. **By hand:** who has no idea and gives each of the five
# classes 1/5, pays -ln(1/5) = **1.61**. Who gives the right one 0.9 pays 0.11. The first number below should be near 1.6.
#
# **The loop**, lines that you will see again and again: draw a batch, compute, loss, gradients, step. In its second half the
# steps get smaller and smaller, so that the network comes to rest.

# %% tags=["nbval-ignore-output"]
def train(network, steps):
    """Trains a U-Net on the frames and their classes; returns the losses."""
    optimizer = torch.optim.Adam(network.parameters())
    generator = torch.Generator().manual_seed(0)
    network.train()
    losses = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 5e-3 * min(1, 2 - 2 * step / steps)
        chosen = torch.randint(len(images), (16,), generator=generator)
        loss = F.cross_entropy(network(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append({"step": step, "cross-entropy": float(loss.detach())})
    return losses


with ex.training(network, steps=ex.steps(150)):
    losses = train(network, ex.steps(150))
viz.figure_training(losses, title="learning true parts")

# %% tags=["nbval-ignore-output"]
network.eval()
with torch.no_grad():
    found = network(test_images).argmax(dim=1)  # (32, 64, 64)
everywhere = torch.ones_like(test_labels, dtype=torch.bool)
right = parts.share_right(found, test_labels, everywhere)
viz.figure_images(
    [test_images[16], parts.paint(found)[16], parts.paint(test_labels)[16]],
    [ex.character.name, f"found: {right:.1%} right", "true"],
    alt=f"{ex.character.name}, whom the network never saw: {right:.1%} of all pixels get the right class.",
)

# %% [markdown]
# Less than a minute on a laptop, and it finds arms and legs of somebody it has never seen.
#
# ### Investigate: without `eval()`
# The same network, the same picture, but somebody forgot `eval()`. And the other seven pictures of the batch happen to be
# black, as at the beginning of a film.

# %% tags=["nbval-ignore-output"]
careless = copy.deepcopy(network).train()  # a copy: in training mode even looking moves the kept averages
with torch.no_grad():
    batch = torch.cat([test_images[16:17], torch.zeros(7, 3, 64, 64)])
    ruined = careless(batch)[0].argmax(dim=0)
forgotten = float((ruined == test_labels[16]).float().mean())
viz.figure_images(
    [parts.paint(found)[16], parts.paint(ruined)],
    ["with eval()", "eval() forgotten,\namong black pictures"],
    alt=f"The same picture through the same network: with eval() its parts are found; without it, in a batch with seven black "
    f"pictures, only {forgotten:.0%} of its pixels get the right class.",
)

# %% [markdown]
# Nothing in the weights has changed. The black pictures alone have moved mean and variance of every channel, and so the meaning
# of every number after it.
#
# ### Investigate: skips off
# Now a second U-Net, trained the same way, but all its skip connections carry zeros. It has the same number of weights, and
# the deepest level knows as much as before.

# %%
ex.predict(
    "skips-off",
    "What does the network without skips do worse?",
    {
        "everything": "Everything: without skips a U-Net cannot learn.",
        "nothing": "Nothing: the deepest level holds all that is needed.",
        "inside": "It confuses arms and legs, but outlines stay sharp.",
        "edges": "It knows what is where, but outlines go wrong.",
    },
)

# %% tags=["nbval-ignore-output"]
torch.manual_seed(0)
blind = layers.Hourglass(3, 5, width=8, max_width=64, levels=3)
with parts.without_skips():
    with ex.training(blind, steps=ex.steps(150)):
        train(blind, ex.steps(150))
    blind.eval()
    with torch.no_grad():
        found_blind = blind(test_images).argmax(dim=1)

border = parts.near_borders(test_labels)  # pixels with another class beside them: every sixth
wrong = {
    (name, place): int((guess != test_labels)[where].sum()) / len(test_labels)
    for name, guess in (("skips", found), ("none", found_blind))
    for place, where in (("outlines", border), ("elsewhere", ~border))
}
for place in ("outlines", "elsewhere"):
    print(f"wrong pixels a picture, {place:9}: {wrong['skips', place]:5.1f} with skips, {wrong['none', place]:5.1f} without")

# %% tags=["nbval-ignore-output"]
more = {place: wrong["none", place] - wrong["skips", place] for place in ("outlines", "elsewhere")}
if sum(wrong["none", place] for place in more) > 2000:  # of 4096
    key = "everything"
elif sum(more.values()) < 10:
    key = "nothing"
else:
    key = "edges" if more["outlines"] > more["elsewhere"] else "inside"
is_wrong = [(guess != test_labels)[16].float() for guess in (found, found_blind)]
picture = viz.figure_images(
    [parts.paint(found)[16], 1 - is_wrong[0], parts.paint(found_blind)[16], 1 - is_wrong[1], parts.paint(test_labels)[16]],
    [
        "with skips",
        f"black: wrong\n({wrong['skips', 'outlines']:.0f} a picture\nat outlines)",
        "without skips",
        f"black: wrong\n({wrong['none', 'outlines']:.0f} a picture\nat outlines)",
        "true",
    ],
    alt=f"Parts found with and without skips, and which pixels are wrong. Without skips the parts lie at about the right places, "
    f"but {wrong['none', 'outlines']:.0f} pixels along the outlines are wrong, with skips {wrong['skips', 'outlines']:.0f}.",
)
ex.reveal(
    "skips-off",
    key,
    [
        "What is where survives the way down to 8×8; where it ends does not. One place of the deepest level stands for 8×8 pixels "
        "of the picture, and an arm is five pixels wide. The skips carry the outlines around the bottleneck.",
        picture,
    ],
)

# %% [markdown]
# Keep this picture in mind for lesson 05. There the skips of the generator bring a problem with them: they carry the
# outlines of the *source* pose into a picture that is to have the *driving* pose. What would you do about that?
#
# ## 7. Modify and make
# Small changes, each a minute. Predict before you run.
# - `width=4`, or `levels=1`: what gets worse, edges or parts? (With one level a place sees 4×4 pixels.) A cell for it is below.
# - A batch of 2 in place of 16: what becomes of batch norm?
# - Submit a wrong `down` on purpose, with `F.max_pool2d`. It fails, but you can still let it drive a network:
#   `with ex.run_mine("down"): train(layers.Hourglass(3, 5, width=8, max_width=64, levels=3), 150)`. Does it learn? (Wrong for
#   Monkey-Net need not mean useless.)
#
# **Make:** another character set! `sprites.training_clips("mini-mgif", …)` has animals with parts of their own names
# (`clip.truth.part_names`). Decide on classes, and train your U-Net to find tails.

# %% tags=["nbval-ignore-output"]
WIDTH, LEVELS = 8, 1

torch.manual_seed(0)
smaller = layers.Hourglass(3, 5, width=WIDTH, max_width=64, levels=LEVELS)
with ex.training(smaller, steps=ex.steps(150)):
    train(smaller, ex.steps(150))
smaller.eval()
with torch.no_grad():
    guess = smaller(test_images).argmax(dim=1)
share = parts.share_right(guess, test_labels, everywhere)
viz.figure_images(
    [parts.paint(guess)[16], parts.paint(found)[16], parts.paint(test_labels)[16]],
    [f"width {WIDTH}, levels {LEVELS}:\n{share:.1%} right", f"width 8, levels 3:\n{right:.1%} right", "true"],
    alt=f"Parts that a U-Net of width {WIDTH} with {LEVELS} levels finds, {share:.1%} of the pixels right, beside those of the "
    f"larger one, {right:.1%}, and the true ones.",
)

# %% [markdown]
# ## The film
# Your character in motion, and beside it what the network makes of every frame. No frame of this film was in the training.

# %% tags=["nbval-ignore-output"]
beside = np.concatenate([clip.frames, parts.paint(found)], axis=2)
ex.film(
    beside,
    caption=f"{ex.character.name}, and its parts as the U-Net finds them.",
    alt=f"Film: {ex.character.name} moves; beside it the parts that the network finds move with it.",
)

# %% [markdown]
# ## Recap
# - A **pair** is two different frames of one clip, the earlier one the source. Whatever is done to one frame is done to both.
# - **Batch norm**: mean and variance of the batch while training, kept averages afterwards. `eval()` before you use a network.
# - **Down**: convolution → norm → ReLU → mean of 2×2. **Up**: nearest ×2 → convolution → norm → ReLU, then the skip
#   behind it.
# - The deep levels know *what*, the skips know *where*. Without skips the outlines go wrong.
# - Training is five lines: batch, compute, loss, gradients, step.
#
# ## To discuss
# 1. A pair flipped in time has the later frame as its source. The authors do that for tai-chi films, but not for robots that
#    push things around. Why?
# 2. The two frames of a pair could lie one frame apart or fifty. What would a network learn from near pairs only? From far
#    pairs only?
# 3. Batch norm makes the result for one picture depend on others in training. Name a task in which that would be cheating.
# 4. Our network was told the true classes. Monkey-Net will have to find parts by itself. What could tell it that an arm is *one*
#    thing?
#
# ## Further reading
# - O. Ronneberger, P. Fischer, T. Brox, *U-Net: Convolutional Networks for Biomedical Image Segmentation*, 2015
#   ([arXiv:1505.04597](https://arxiv.org/abs/1505.04597)): the drawing of the U is on its first pages.
# - S. Ioffe, C. Szegedy, *Batch Normalization*, 2015 ([arXiv:1502.03167](https://arxiv.org/abs/1502.03167)).
# - A. Odena, V. Dumoulin, C. Olah, *Deconvolution and Checkerboard Artifacts*, 2016
#   ([Distill](https://distill.pub/2016/deconv-checkerboard/)): why enlarging by nearest and then convolving is a good idea.
# - A. Siarohin et al., *Animating Arbitrary Objects via Deep Motion Transfer*, 2019
#   ([arXiv:1812.08861](https://arxiv.org/abs/1812.08861)): Monkey-Net. Its networks are U-Nets throughout.

# %%
ex.map()
