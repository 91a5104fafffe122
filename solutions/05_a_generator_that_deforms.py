# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 · A generator that deforms
#
# <!-- header -->
#
# You have a picture, keypoints that say how it should move, and a deformation that says where every pixel should read. Read
# the picture through it, and you are done? In lesson 01 you did that with the *true* flow, and a ghost of the old arm
# stayed hanging on the wall. Something has to draw what the source never showed. That is the generator $G$: a U-Net like
# the one of lesson 02, with one idea added. Its skip connections **move along**.
#
# **After this lesson you can**
#
# - bring a deformation to any size, and say what has to be done to its numbers;
# - deform all levels of a U-Net, and say what happens if you forget some;
# - put together what the decoder reads, and write $G$ down in six lines;
# - say which pixels a generator has to invent, and measure who invents them.
#
# You need lessons 01 (warp), 02 (U-Net), and an idea of what keypoints (03) and flow from parts (04) give us.

# %% tags=["parameters"]
FAST = False

# %% tags=["imports"]

# %%
ex.map()

# %% [markdown]
# ## What the generator is given
#
# We take a model that was trained on little people, `mini-taichi`, and a person whom it has never seen. It finds keypoints
# in the source and in the driving frame, and from them its motion network $M$ makes a deformation.

# %%
model = MonkeyNet.load(paths.weights_path("mini-taichi")).eval().requires_grad_(False)
G = model.generator

clip = sprites.render(sprites.make_scene("mini-taichi", 7, 3, length=32))
frames = to_tensor(clip.frames)  # (32, 3, 64, 64)
source, driving = frames[:1], frames[16:17]
kp_source, kp_driving = model.detect(source), model.detect(driving)
deformation = G.estimate_motion(source, kp_source, kp_driving).deformation

true_flow, seen = (torch.from_numpy(part) for part in clip.truth.flow(driving=16, source=0))
true_deformation = (geometry.lattice(64, 64) + true_flow)[None]
generated = G(source, kp_source, kp_driving).prediction
print("deformation of M:", tuple(deformation.shape), "for a picture of", tuple(source.shape[-2:]))


def error(picture, where):
    return (picture[0] - driving[0]).abs().mean(dim=0)[where].mean()


def parts(*names):
    labels = [clip.truth.part_names.index(name) + 1 for name in names]
    return torch.from_numpy(np.isin(clip.truth.labels[16], labels))


viz.figure_images(
    [source[0], driving[0], geometry.warp(source, true_deformation)[0], generated[0]],
    ["source", "driving", "source read through the true flow", "drawn by G"],
).with_alt(
    "Source: a person with arms down. Driving: the person leans left with one arm raised. Read through the true flow, the "
    "arm is raised but ghosts of arm, head and body remain. Drawn by G the person leans, both arms out, with clear outlines and "
    "no ghost but a faint pale trace beside the hips."
)

# %% [markdown]
# $G$ draws the person without the ghosts. How? Let us take away from it what it has, one thing after the other. First the motion:
# every level of the U-Net, the picture itself included, is read at the lattice, so its skip connections stay where they are.
# The decoder still gets all its heatmaps, which tell it where the keypoints *should* be.

# %%
ex.predict(
    "no-motion",
    "The deformation is switched off; the heatmaps still say where the keypoints go. What does G draw?",
    {
        "driving": "the driving pose: the heatmaps say where everything has to be",
        "source": "the source pose: what the skips bring stays where it was",
        "both": "a mixture: some parts where they were, others where they should be",
    },
)

# %%
def draw(where, heatmaps=1.0):
    levels = generator.deform_levels(G.appearance_encoder(source), where, G.config.resize)
    shown = motion.movement_embedding(source, kp_source, kp_driving, G.config.embedding, "none")
    return G.draw(generator.assemble(levels, heatmaps * shown), levels[0])


still = draw(geometry.lattice(64, 64)[None])
body = parts("jacket", "hips", "face", "hair", "belt")
arms = parts("left_hand", "left_forearm", "left_upper_arm", "right_hand", "right_forearm")
body_came = bool(error(still, body) < 0.5 * error(source, body))
arms_came = bool(error(still, arms) < 0.75 * error(source, arms))
what = "driving" if body_came and arms_came else ("both" if body_came or arms_came else "source")
ex.reveal(
    "no-motion",
    what,
    [
        f"Where the body should be, the difference to the driving frame is {error(still, body):.2f}; for the source "
        f"itself it is {error(source, body):.2f}. Where the arms should be it is {error(still, arms):.2f}, for the source "
        f"{error(source, arms):.2f}. At the places that the heatmaps name something was painted, the outline of an arm but no "
        "arm; body and arms stayed: what is drawn is made of what comes through the skips, and they show it where it was.",
        viz.figure_images([driving[0], generated[0], still[0]], ["driving", "G", "G, deformation switched off"]).with_alt(
            "With the deformation switched off, the person stands upright as in the source, arms down, with pale, hollow outlines "
            "where the driving arms would be; with it, the body leans and the arms are out as they should."
        ),
    ],
)

# %% [markdown]
# A U-Net loves its skip connections: what they bring is sharp, and it is already there. That is their strength where input
# and output lie on top of each other, as in lesson 02, where masks were painted *on* the picture. Here input and output
# show the same person in two poses, and every skip brings details to the **wrong place**. Convolutions of 3×3 reach far only
# at the coarse levels, where a hand is less than a pixel: they cannot carry an arm's details across half a picture. A warp
# can. So: warp the skips.

# %% [markdown]
# ## All levels, one deformation
#
# The encoder turns the picture $\xi_0 = x$ into smaller and smaller *feature maps* $\xi_1, \xi_2, \dots$ Each is a picture
# of the same scene, with fewer pixels and more channels:

# %%
levels = G.appearance_encoder(source)
for i, level in enumerate(levels):
    print(f"level {i}: {level.shape[1]:4} channels of {level.shape[2]:2}×{level.shape[3]:<2}")


def as_pictures(levels):
    means = [level[0].mean(dim=0) for level in levels]
    return [(m - m.min()) / (m.max() - m.min()) for m in means]


viz.figure_images(as_pictures(levels), [f"level {i}" for i in range(len(levels))]).with_alt(
    "The five levels of the encoder, mean of their channels: the person is plainly seen in levels 0 and 1, as a rough "
    "shape in 2, and as a few squares in levels 3 and 4."
)

# %% [markdown]
# There is one deformation, and each level needs it at its own size. So the deformation has to be resized. Think before you
# multiply:

# %%
ex.predict(
    "values",
    "A level has half as many rows and columns as the deformation. We keep every second point of the deformation. What "
    "has to be done to the values of these points?",
    {
        "halved": "they are halved: there are half as many pixels to move by",
        "doubled": "they are doubled: each pixel counts twice as much",
        "unchanged": "nothing",
    },
)

# %%
small_source, small_driving = (F.avg_pool2d(picture, 2) for picture in (source, driving))
every_second = true_deformation[:, ::2, ::2]
differences = {}
for name, factor in (("halved", 0.5), ("doubled", 2.0), ("unchanged", 1.0)):
    read = geometry.warp(small_source, factor * every_second)
    differences[name] = float((read - small_driving).abs().mean())
ex.reveal(
    "values",
    min(differences, key=differences.get),
    "Reading a picture of half the size through it, and comparing with the driving frame of half the size: "
    + ", ".join(f"{name} {value:.3f}" for name, value in differences.items())
    + ". The point (1, 1) is the lower right corner at *any* size; that is why we left pixels behind in lesson 01. (A flow "
    "in pixels would have to be halved: 28 pixels of 64 are 14 of 32.)",
)

# %% [markdown]
# ### Exercise 1: a deformation of another size
#
# Taking every second point is quick, but look at what it does to the lattice. Its last column at 64 is x = 1; of every
# second column the last is number 62, at x = 2·62/63 - 1 = **0.968**. At the coarsest level of this model, 4 by 4, the
# points left are columns 0, 16, 32 and 48, and the last lies at 2·48/63 - 1 = **0.524**, where 1 would be right. An
# identity that is no identity, again!
#
# So we interpolate, with aligned corners: the first and the last points stay, and those between are spread evenly.
#
# **By hand.** Three points in a row, x = -1, 0 and 1 with y = 0.2, 0.4 and 0.8, become five: (-1, 0.2), (-0.5, 0.3), (0,
# 0.4), (0.5, 0.6), (1, 0.8).

# %% exercise="resize-deformation"

# %%
print("largest error of an identity at each level, in pixels of that level:")
for level in levels[1:]:
    height, width = level.shape[-2:]
    off = {}
    for mode in ("nearest", "bilinear"):
        resized = geometry.resize_deformation(geometry.lattice(64, 64)[None], height, width, mode)
        off[mode] = (resized - geometry.lattice(height, width)).abs().max() * (width - 1) / 2
    print(f"{height:2}×{width:<2}  nearest {off['nearest']:.2f}   bilinear {off['bilinear']:.2f}")

# %%
ex.used("resize-deformation")

# %% [markdown]
# The authors' published model resizes by `nearest`, and its weights have learned to live with that half pixel and more. A
# library that loads them has to repeat it, and ours can: `GeneratorConfig.resize`. The models that we trained ourselves use
# `bilinear`. They also let $M$ work at half the size, 32 by 32: the deformation is enlarged for the picture (level 0), fits
# level 1 as it is, and is shrunk for levels 2 to 4.
#
# Points may lie *outside* [-1, 1]: what is read there is black. That is a place like any other, so nothing is clamped.
#
# ### Exercise 2: skips that move along
#
# $$\xi_i' = f_w(\xi_i, \mathcal{F}_i) \qquad i = 0, 1, \dots, n$$
#
# Each level $\xi_i$ is read through the deformation brought to its size. A warp does not care what the channels mean:
# colours, edges or something that only the network understands, all are read at the same places.
#
# Only the numbers' type can get in the way. On a graphics card the encoder may work in half precision while the deformation
# does not, and a warp wants one type for both. So bring both to one type, and hand each level back in its own.

# %% exercise="deform-skips"

# %%
moved = generator.deform_levels(levels, deformation, G.config.resize)
viz.figure_images(
    as_pictures(levels[:3]) + as_pictures(moved[:3]),
    [f"level {i}" for i in range(3)] + [f"level {i}, moved" for i in range(3)],
).with_alt(
    "The first three levels of the encoder, then the same read through the deformation: on all of them the body leans to "
    "the left and the arms are stretched out."
)

# %%
ex.used("deform-skips")

# %% [markdown]
# What if one moves only the picture, or only the features? Both are easily forgotten.

# %%
def drawn_with(chosen):
    moved = generator.deform_levels(levels, deformation, G.config.resize)
    mixed = [there if chosen(i) else here for i, (here, there) in enumerate(zip(levels, moved, strict=True))]
    shown = motion.movement_embedding(source, kp_source, kp_driving, G.config.embedding, "none")
    return G.draw(generator.assemble(mixed, shown), mixed[0])


versions = {
    "all levels": drawn_with(lambda i: True),
    "picture only": drawn_with(lambda i: i == 0),
    "features only": drawn_with(lambda i: i > 0),
    "none": drawn_with(lambda i: False),
}
for name, picture in versions.items():
    print(f"{name:13} moved: difference to the driving frame {error(picture, torch.ones(64, 64, dtype=torch.bool)):.3f}")
viz.figure_images([picture[0] for picture in versions.values()], list(versions)).with_alt(
    "All levels moved: a clean person. Picture only: the new pose, with orange and lilac patches on arms and trunk, and a "
    "piece of the old arm. Features only: legs and trunk in the old pose, arms in both, bluish outlines around them. None: "
    "the old pose, with hollow outlines where the arms should be."
)

# %% [markdown]
# ## Telling the decoder where things are
#
# The second thing that $G$ gets are the keypoints themselves, as heatmaps: one small picture a keypoint, bright where it is
# in the driving frame and dark where it was in the source (lesson 03). They are appended to **every** level as further
# channels.
#
# **By hand.** As in lesson 02, the number of channels starts from $b$ and doubles from level to level, up to a largest number:
# level i has min(128, b·2^i). This model has b = 16, so level 2 has min(128, 16·2²) = 64 channels; with 10 heatmaps that makes
# 74. Level 0 is the picture itself: 3 + 10 = 13.
#
# ### Exercise 3: what the decoder reads
#
# A blank page: you get the name and what it takes, nothing else. You have written harder things by now. (Types as in exercise
# 2: each level keeps its own.)

# %% exercise="assemble"

# %%
shown = motion.movement_embedding(source, kp_source, kp_driving, G.config.embedding, "none")
joined = generator.assemble(moved, shown)
print("channels of each level:", [level.shape[1] for level in moved], "->", [level.shape[1] for level in joined])

# %%
ex.used("assemble")

# %% [markdown]
# Now take the heatmaps away (zeros in their place) and leave the motion on. The skips are at their right places; what is
# left for the heatmaps to do?

# %%
ex.predict(
    "no-heatmaps",
    f"On the arms, the difference was {error(still, arms):.2f} with heatmaps and no motion, and {error(source, arms):.2f} for "
    "the source, left as it is. What is it with the motion and no heatmaps?",
    {
        "best": "smaller than both: most of the motion is in the deformation",
        "between": "between the two: either of them does a part of the work",
        "worst": "larger than both: worse than the source, left as it is",
    },
)

# %%
blind = draw(deformation, heatmaps=0.0)
regions = {"arms": arms, "body": body, "background": ~seen}
worse = {name: float(error(blind, where) - error(generated, where)) for name, where in regions.items()}
on_arms = float(error(blind, arms))
what = "best" if on_arms < error(still, arms) else ("between" if on_arms < error(source, arms) else "worst")
read_only = geometry.warp(source, geometry.resize_deformation(deformation, 64, 64, G.config.resize))
ex.reveal(
    "no-heatmaps",
    what,
    [
        f"The difference on the arms is {on_arms:.2f}. Compared with all that G has, the error grows by "
        + ", ".join(f"{value:.3f} ({name})" for name, value in worse.items())
        + ". Look at what the deformation alone reads: the body arrives, and **so do the arms**. This model carries "
        "its parts by warping. But without heatmaps G pales the forearms: a dark stroke on the wall may as well be left over "
        "from the old pose, like the rim along the trunk, and G has learned to take such things away. The heatmaps tell it "
        "which is which. Nobody told it to; that is how its two networks have shared the work.",
        viz.figure_images(
            [driving[0], read_only[0], blind[0], generated[0]],
            ["driving", "source read through M's deformation", "G without heatmaps", "G"],
        ).with_alt(
            "Read through M's deformation, the person leans and holds the arms as in the driving frame, their rims "
            "frayed and a dark rim left of the old arm along the trunk. Without heatmaps G pales both forearms, the raised one "
            "most. "
            "With heatmaps the arms are whole, with clear outlines."
        ),
    ],
)

# %% [markdown]
# ## G in six lines
#
# That was all of it. Here is the generator, written down:

# %%
d = G.estimate_motion(source, kp_source, kp_driving).deformation  # M, lesson 04
levels = G.appearance_encoder(source)  # the U-Net's encoder, lesson 02
moved = generator.deform_levels(levels, d, G.config.resize)  # yours
features = G.video_decoder(generator.assemble(moved, shown))  # yours, and the U-Net's decoder
change = G.last(G.refinement_module(features))  # a few residual blocks, and a 1×1 convolution: three numbers a pixel
by_hand = torch.sigmoid(torch.logit(moved[0], eps=1 / 512) + change)  # three colours between 0 and 1
print("equal to the model's own drawing, but for rounding:", bool((by_hand - generated).abs().max() < 1e-5))

# %% [markdown]
# The last line is where our small models differ from the paper's. The paper's $G$ makes its colours of the last layer alone,
# `torch.sigmoid(change)`: every pixel, the wall included, has to come through the decoder. Ours gets the deformed picture for
# nothing. `torch.logit` undoes the sigmoid (`eps` keeps black and white from becoming infinite), and the last layer's
# numbers are added to it. Where they are 0, the deformed picture stays as it is; all that this $G$ has to draw is **what is
# wrong with it**. With minutes of training instead of days, that pays (`benchmarks/training.md`). And it can be looked at:

# %%
difference = by_hand[0] - moved[0][0]
viz.figure_images(
    [moved[0][0], (0.5 + 2 * difference).clamp(0, 1), by_hand[0]],
    ["source read through M's deformation", "what G changes (grey: nothing)", "drawn by G"],
).with_alt(
    "On grey, thin dark and light lines follow the outlines of arms, head and legs, and a white strip lies along the trunk, "
    "where the deformed frame shows what is left of the old arm; all the rest is grey."
)

# %% [markdown]
# ## Pixels that must be invented
#
# Back to the ghost of lesson 01. The wall behind the old arm was never seen; the truth about sprites tells us exactly which
# pixels those are. Let us compare on *these pixels alone*, over several frames of several people: the source read through
# the true flow, the source read through $M$'s deformation, and what $G$ draws.

# %%
ex.predict(
    "uncovered",
    "Which of the three is the WORST on pixels that the source does not show?",
    {
        "true flow": "the source read through the true flow",
        "M's flow": "the source read through M's deformation: M only guesses the flow",
        "G": "G's drawing: it invents, so it is wrong; reading at least shows real pixels",
    },
)

# %%
rows = []
for identity, movement in ((7, 3), (11, 8), (21, 5)):
    film = sprites.render(sprites.make_scene("mini-taichi", identity, movement, length=32), [0, 8, 16, 24])
    pictures = to_tensor(film.frames)
    points = model.detect(pictures)
    for t in (1, 2, 3):
        flow, visible = (torch.from_numpy(part) for part in film.truth.flow(driving=t, source=0))
        drawn = G(pictures[:1], points[:1], points[t : t + 1])
        candidates = (
            geometry.warp(pictures[:1], (geometry.lattice(64, 64) + flow)[None]),
            drawn.deformed,
            drawn.prediction,
        )
        away = [(candidate[0] - pictures[t]).abs().mean(dim=0) for candidate in candidates]
        rows.append([float(a[where].mean()) for where in (~visible, visible) for a in away])
table = np.mean(rows, axis=0).reshape(2, 3)
names = ["true flow", "M's flow", "G"]
ex.reveal(
    "uncovered",
    names[int(table[0].argmax())],
    "Mean difference to the driving frame, on pixels that the source "
    f"does not show: {', '.join(f'{n} {v:.3f}' for n, v in zip(names, table[0], strict=True))}; on pixels that it shows: "
    f"{', '.join(f'{n} {v:.3f}' for n, v in zip(names, table[1], strict=True))}. The *true* flow is the best where there "
    "is something to read, and the worst where there is not: truth does not know what was hidden. M was never shown a "
    "true flow. It was trained to help G draw, and it has learned to read *other pieces of wall* for the wall that is "
    "missing. That leaves G little to repair.",
)

# %%
hidden = (~seen).float()[None]
candidates = (geometry.warp(source, true_deformation), read_only, generated)
viz.figure_images(
    [driving[0], ~seen * 1.0, *(viz.error_map(p[0] * hidden, driving[0] * hidden) for p in candidates)],
    ["driving", "white: not in the source", "error there: true flow", "error there: M's flow", "error there: G"],
).with_alt(
    "Errors on the uncovered pixels alone: bright all over the ghost for the true flow; for M's flow dark but for thin lines "
    "along the trunk and under the raised arm; for what G draws darker still."
)

# %% [markdown]
# **Investigate: who is to blame?** With sprites we can put the truth in the place of any part of the model and see what
# becomes better. Give $G$ the true flow instead of $M$'s:

# %%
with_truth = draw(true_deformation)
for name, picture in (("M's flow", generated), ("true flow", with_truth)):
    print(f"G with {name:9}: {error(picture, seen):.3f} where the source shows it, {error(picture, ~seen):.3f} elsewhere")
viz.figure_images([driving[0], generated[0], with_truth[0]], ["driving", "G, M's flow", "G, the true flow"]).with_alt(
    "With the true flow, G draws the raised arm crisply but also the ghosts of the old arm and head, which it does not get "
    "with M's flow."
)

# %% [markdown]
# A little better where there is something to read, and full of ghosts elsewhere: *this* $G$ hardly ever had to remove ghosts,
# because its $M$ left it next to none. A part of a network can only be judged together with those it grew up with.

# %% [markdown]
# ## Train one yourself
#
# How much do moving skips help a generator that starts from nothing? We train two small ones (32 by 32 pixels), with the
# true keypoints. One reads its skips where they are, the other through the true flow. Everything else is the same, the
# random numbers too.

# %%
def pairs_of(clips, count):
    chosen, rng = [], np.random.default_rng(0)
    for film in clips:
        for _ in range(count):
            s, d = rng.choice(len(film.frames), 2, replace=False)
            flow, visible = film.truth.flow(driving=d, source=s)
            moving = film.truth.displaced(flow, visible, d)
            joints = film.truth.joints
            chosen.append((film.frames[s], film.frames[d], flow, visible, moving, joints[s], joints[d]))
    columns = [torch.from_numpy(np.stack(column)) for column in zip(*chosen, strict=True)]
    return [column.permute(0, 3, 1, 2) / 255 for column in columns[:2]] + columns[2:]


def round_keypoints(mean):
    return Keypoints(mean, (0.01 * torch.eye(2, device=mean.device)).expand(*mean.shape, 2))


def draw_small(network, batch, moves):
    picture, _, flow, _, _, joints_source, joints_driving = batch
    where = geometry.lattice(32, 32, device=flow.device) + (flow if moves else torch.zeros_like(flow))
    moved = generator.deform_levels(network.appearance_encoder(picture), where, "bilinear")
    # Makes the heatmaps of the two sets of keypoints and appends them with assemble, yours:
    levels = network.append_keypoints(moved, picture, round_keypoints(joints_source), round_keypoints(joints_driving))
    return network.draw(levels, moved[0])


many, few = (8, 2) if ex.fast else (60, 8)
train = [t.to(ex.device.device) for t in pairs_of(sprites.training_clips("mini-taichi", clips=many, size=32, frames=4), 5)]
test = [t.to(ex.device.device) for t in pairs_of(sprites.held_out_clips("mini-taichi", clips=few, size=32), 3)]

# %%
ex.predict(
    "trained",
    "After 200 steps: on which pixels is the generator with moving skips ahead most clearly (error divided by the "
    "other's)?",
    {
        "moved": "on parts that moved and that the source shows",
        "uncovered": "on pixels that the source does not show",
        "rest": "on all the rest, mostly background that stands still",
    },
)

# %% tags=["nbval-ignore-output"]
def train_one(moves, steps):
    torch.manual_seed(0)
    config = GeneratorConfig(width=8, max_width=32, levels=3, refinement_blocks=1, motion=None, resize="bilinear")
    network = Generator(config, keypoints=train[5].shape[1]).to(ex.device.device)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    order = torch.Generator().manual_seed(1)
    with ex.training(network, steps=steps):
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 2e-3 * min(1.0, 3 * (1 - step / steps))
            chosen = torch.randint(len(train[0]), (8,), generator=order).to(ex.device.device)
            batch = [t[chosen] for t in train]
            loss = (draw_small(network, batch, moves) - batch[1]).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


results = {name: train_one(name == "moving", ex.steps(200)) for name in ("staying", "moving")}

# %% tags=["nbval-ignore-output"]
with torch.no_grad():
    pictures = {name: draw_small(network, test, name == "moving") for name, network in results.items()}
_, wanted, _, visible, moving, _, _ = test
where = {"moved": moving, "uncovered": ~visible, "rest": visible & ~moving}
errors = {
    name: {region: float((p - wanted).abs().mean(dim=1)[mask].mean()) for region, mask in where.items()}
    for name, p in pictures.items()
}
ratio = {region: errors["moving"][region] / errors["staying"][region] for region in where}


def four_of(batch):
    a, b, c, d = (batch[k % len(batch)].cpu() for k in (1, 4, 9, 13))
    return torch.cat([torch.cat([a, b], dim=2), torch.cat([c, d], dim=2)], dim=1)


ex.reveal(
    "trained",
    min(ratio, key=ratio.get),
    [
        "Error with moving skips divided by that with staying ones: "
        + ", ".join(f"{region} {value:.2f}" for region, value in ratio.items())
        + ". A warp carries stripes, faces and outlines to their new places as they are; without it they have to be "
        "squeezed through the coarse levels, and come out blurred. What the source does not show, no warp can bring: "
        "there both have to invent, and the one that reads ghosts has to paint over them first.",
        viz.figure_images(
            [four_of(batch) for batch in (test[0], wanted, pictures["staying"], pictures["moving"])],
            ["sources", "driving", "skips stay", "skips move"],
        ).with_alt(
            "Four people drawn by two small generators after a short training: with staying skips bodies are blurred and "
            "mixed from both poses; with moving skips parts are sharper, with faint ghosts of the old pose."
        ),
    ],
)

# %% [markdown]
# **Modify.** Give the second generator the *coarse* truth: `flow` rounded to whole pixels (`(flow * 31 / 2).round() * 2 /
# 31`). Or half of it. How much error in the flow does it take until staying skips are better?
#
# **On a graphics card** `ex.steps(200)` may well be 5000: the ghosts go away, because the generator learns where to expect
# them.
#
# ## Make: a sticker, and a film
#
# Stick something on the source picture that no training picture has ever shown. Will it move along? Which of the two, warp
# or paint, carries it?

# %%
sticker = source.clone()
sticker[..., 33:37, 29:34] = torch.tensor([1.0, 0.1, 0.8])[:, None, None]
kp_sticker = model.detect(sticker)
with_sticker = G(sticker, kp_sticker, kp_driving).prediction
viz.figure_images([sticker[0], with_sticker[0]], ["source with a sticker", "drawn by G"]).with_alt(
    "A pink sticker on the belly of the source; in the picture drawn by G it sits on the belly of the leaning person: the "
    "warp carried it along."
)

# %% [markdown]
# And now your character, rebuilt from its first frame and the keypoints of the others. On the left the source read through
# the true flow, in the middle through $M$'s, on the right what $G$ draws.

# %%
own = ex.character.clip(motion=3, length=32)
video = to_tensor(own.frames)[::2]
made = animation.reconstruct(model, video, ex.device)
flows = [torch.from_numpy(own.truth.flow(driving=t, source=0)[0]) for t in range(0, 32, 2)]
through_truth = geometry.warp(video[:1].expand(16, -1, -1, -1), geometry.lattice(64, 64) + torch.stack(flows))
ex.film(
    torch.cat([through_truth, made.deformed, made.prediction], dim=3),
    f"{ex.character.name} from one picture: read through the true flow, read through M's flow, drawn by G.",
    fps=8,
    alt=f"Three films of {ex.character.name} side by side: with the true flow ghosts stay behind; with M's flow body and "
    "arms move and there are no ghosts, but the wall shows through the raised sleeve; drawn by G, the sleeve is partly "
    "filled, and the wall behind is whole.",
)

# %% [markdown]
# ## Recap
#
# - A skip connection brings details to where they **were**. Deformed skips bring them to where they **are**.
# - One deformation serves all levels, resized. Its values are places in [-1, 1] and **stay as they are**.
# - Resizing by `nearest` shifts the lattice; bilinear with aligned corners keeps it.
# - The decoder also reads heatmaps at every level; ours learns from them which strokes are arms and which are left over.
# - The paper's $G$ draws the whole frame, our small one what has to change in the deformed frame.
# - What the source does not show must be invented. A true flow cannot; $M$ and $G$ learn to, together.
#
# ### Symbols
#
# | paper | here | shape | meaning |
# |---|---|---|---|
# | $\xi_i$ | `levels[i]` | `(B, C_i, H/2^i, W/2^i)` | features of the source at level i; $\xi_0$ is the picture |
# | $\mathcal{F}$ | `deformation - lattice` | `(B, H, W, 2)` | optical flow from $M$ |
# | $f_w(\xi_i, \mathcal{F})$ | `geometry.warp`, `generator.deform_levels` | as $\xi_i$ | the level, read through the deformation |
# | $\dot H$ | `shown` | `(B, K, H, W)` | heatmaps, driving minus source |
# | $G$ | `Generator` | – | encoder, moving skips, decoder |
# | $\hat x'$ | `generated` | `(B, 3, H, W)` | the drawn frame |
#
# ## To discuss
#
# 1. Our $M$ carries the arms, and $G$ touches them up. Another $M$ might drop them from the picture that it reads, and leave
#    it to $G$ to paint them anew. When would that be good, and what would it do to a tattoo on a forearm?
# 2. The generator gets the source, the deformation and the heatmaps. Could it *see* that a pixel is uncovered? What would
#    you add to tell it? (Later models, such as the First Order Motion Model, predict an occlusion map.)
# 3. Could one warp only the deepest level and let the decoder work out the rest?
# 4. An identity that is off by half a pixel at the coarse levels was published, trained and works. Is it a bug?
#
# ## Further reading
#
# - Siarohin et al., *Animating Arbitrary Objects via Deep Motion Transfer*, CVPR 2019, section 3.3 and the ablation "No F".
# - Siarohin et al., *Deformable GANs for Pose-based Human Image Generation*, CVPR 2018: skips moved part by part.
# - Siarohin et al., *First Order Motion Model for Image Animation*, NeurIPS 2019: occlusion maps say what to invent.
# - Ronneberger et al., *U-Net*, MICCAI 2015: where skip connections lie on top of each other.

# %%
ex.map()
