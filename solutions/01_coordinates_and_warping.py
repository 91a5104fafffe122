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
# # 01 · Coordinates and warping
#
# <!-- header -->
#
# In lesson 00 a still picture moved. Whatever was clever about that, in the end every pixel of the new frame was *read
# somewhere in the old one*. This lesson is about that reading: how to name a place in a picture, how to read between its
# pixels, and how to say "read there" for all pixels at once. It is the only thing in Monkey-Net that moves anything.
#
# **After this lesson you can**
#
# - turn pixels into coordinates and back, and say which of two conventions a piece of code uses;
# - write a bilinear warp by hand, and say why it *reads* instead of *pushing*;
# - look at a picture of optical flow and say what moved where, without falling for its colours;
# - chain two motions, and say why their flows do not add.
#
# You need Python, a little PyTorch (tensors, shapes, broadcasting) and patience with signs.

# %% tags=["parameters"]
FAST = False

# %% tags=["imports"]

# %%
ex.map()

# %% [markdown]
# ## Names for places
#
# A picture of `H` rows and `W` columns could name its places by pixel numbers. Networks shrink and enlarge pictures all the
# time, though, and the left eye should keep its name when they do. So Monkey-Net uses coordinates that do not depend on the
# size: a point is `(x, y)`, both from -1 to 1, `x` to the right and `y` **down**.
#
# One question is left, and it has caused more silent bugs than any other in this field: what exactly lies at -1? The outer
# *edge* of the first pixel, or its *centre*? Here it is the **centre**: column `j` of `W` lies at
#
# $$x_j = \frac{2j}{W-1} - 1, \qquad y_i = \frac{2i}{H-1} - 1.$$
#
# PyTorch calls this convention `align_corners=True`, a switch of its function `grid_sample`, which you will meet below. All
# coordinates of a picture together are its **lattice**.

# %%
ex.predict(
    "step",
    "A picture has 5 columns, the first at x = -1 and the last at x = 1. How far apart are two neighbouring columns?",
    {
        "0.4": "0.4: the whole is 2 wide, and there are 5 columns",
        "0.5": "0.5: the whole is 2 wide, and there are 4 steps",
        "0.2": "0.2: the whole is 1 wide, and there are 5 columns",
    },
)

# %%
points = geometry.lattice(3, 5)
step = points[0, 1, 0] - points[0, 0, 0]
ex.reveal(
    "step",
    f"{step:.1f}",
    f"The middle row of the lattice reads x = {', '.join(f'{x:.1f}' for x in points[1, :, 0])}. By hand, column 3: "
    "2·3/4 - 1 = 0.5. Five fingers have four gaps.",
)

# %% [markdown]
# ### Exercise 1: the lattice
#
# A worked example, to get into the rhythm: the lines are all there. Take them out of their comments, read each, and run the
# cell; the cell below it submits what you have. For any other exercise `ex.hint("lattice")` gives a hint, and then a better
# one, and `ex.solution("lattice")` gives the answer once you have tried.

# %% exercise="lattice"

# %%
tiny = torch.linspace(0.2, 0.9, 15).reshape(1, 3, 5).expand(3, 3, 5)
viz.figure_keypoints(tiny, geometry.lattice(3, 5).reshape(-1, 2), title="the lattice of 3 rows and 5 columns").with_alt(
    "A picture of 3 rows and 5 columns with its 15 lattice points, numbered row by row: each sits in the middle of its "
    "pixel, the corner points at plus and minus 1, so that half a pixel of picture sticks out beyond them."
)

# %%
ex.used("lattice")

# %% [markdown]
# Look at the rim: half a pixel of picture sticks out beyond -1 and 1. That is what "corners are centres" means.
#
# **Modify.** In your cell, replace `-1, 1` by `1, -1` in the line for `y`, and submit again. What does the banner say? Put
# it back and submit once more.
#
# ### Exercise 2: and back to pixels
#
# To draw a point you have to undo the lattice. Solve $x = 2j/(W-1) - 1$ for $j$:
#
# $$j = \frac{x+1}{2}\,(W-1).$$
#
# **By hand:** the point (0.5, 0) in a picture of 3 rows and 5 columns is column (0.5 + 1)/2 · 4 = 3, row
# (0 + 1)/2 · 2 = 1. The lines are right this time; their order is not.

# %% exercise="to-pixels"

# %% [markdown]
# The figures of this course are *sprites*: they are drawn by a program, so the truth about them is known. Where are the
# hands and the head of this one, in pixels?

# %%
clip = sprites.render(sprites.make_scene("mini-taichi", 7, 3, length=32))
frames = torch.from_numpy(clip.frames).permute(0, 3, 1, 2) / 255  # (32, 3, 64, 64) in [0, 1]
truth = clip.truth
source, driving = frames[0], frames[16]

names = ["head", "right_wrist", "left_wrist"]
joints = torch.from_numpy(truth.joints[0])[[truth.joint_names.index(name) for name in names]]
for name, point, pixel in zip(names, joints, geometry.to_pixels(joints, 64, 64), strict=True):
    print(f"{name:12} at ({point[0]:5.2f}, {point[1]:5.2f}): column {pixel[0]:4.1f}, row {pixel[1]:4.1f}")
viz.figure_keypoints(source, joints, title="head (0), right wrist (1), left wrist (2)").with_alt(
    "A figure standing with its arms down; numbered points lie on its head, on its right wrist at the left of the picture "
    "and on its left wrist at the right: what the truth says is where the picture shows it."
)

# %%
ex.used("to-pixels")

# %% [markdown]
# ## Reading a picture somewhere else
#
# A **deformation** is a list of places: for every pixel of the new frame, the point of the old picture where it gets its
# colour. As a tensor it is `(B, H, W, 2)`: one `(x, y)` a pixel. The lattice is the deformation that changes nothing.
#
# Such a map is called a **backward map** (or *backward warp*): it goes from the new frame *back* to the old one. It is easy
# to get used to, and just as easy to get wrong. Commit yourself:

# %%
ex.predict(
    "direction",
    "Every pixel of the new frame reads 0.5 further to the right: deformation = lattice + (0.5, 0). What happens to the "
    "white square in the middle?",
    {
        "right": "it moves to the right: that is where we told it to go",
        "left": "it moves to the left",
        "stretched": "it gets wider, because its right edge is read further out",
        "nothing": "nothing: the square is in the middle, and the middle is still read",
    },
)

# %%
square = torch.zeros(1, 1, 32, 32)
square[..., 12:20, 12:20] = 1
moved = geometry.warp(square, geometry.lattice(32, 32)[None] + torch.tensor([0.5, 0.0]))


def middle_and_width(picture):
    columns = picture[0, 0].amax(dim=0).gt(0.5).nonzero().flatten()
    return columns.float().mean(), len(columns)


(before, width), (after, new_width) = middle_and_width(square), middle_and_width(moved)
if new_width > width + 1:
    what = "stretched"
else:
    what = "nothing" if abs(after - before) < 1 else ("right" if after > before else "left")
ex.reveal(
    "direction",
    what,
    [
        f"Its middle goes from column {before:.1f} to column {after:.1f}. A pixel left of the square looks to its right, "
        "finds white, and becomes white. Whoever reads further right sees what lies further right, and so the picture "
        "moves left. (Push a photograph to the left under a hole in a card: the hole reads further right.)",
        viz.figure_images([square[0], moved[0]], ["before", "after reading 0.5 further right"]).with_alt(
            "Left: a white square in the middle of black. Right: after reading 0.5 further to the right, the same square "
            "stands a quarter of the picture further left."
        ),
    ],
)

# %% [markdown]
# ### Why read, and not push?
#
# The other way round seems more natural: take each pixel of the old frame and *push* it to its new place (a **forward
# map**). Try it with the true motion of the figure above, from frame 0 to frame 16, in which it raises its left arm:

# %%
pushed_by = torch.from_numpy(truth.flow(driving=0, source=16)[0])  # for each pixel of frame 0: where does it go until 16
target = geometry.to_pixels(geometry.lattice(64, 64) + pushed_by, 64, 64).round().long().clamp(0, 63)  # (64, 64, 2)
hits = torch.zeros(64, 64)
pushed = torch.zeros(3, 64, 64)
for i, j in np.ndindex(64, 64):
    column, row = target[i, j].tolist()
    pushed[:, row, column] = source[:, i, j]
    hits[row, column] += 1
print(f"pixels that nobody was pushed to: {int((hits == 0).sum())}")
print(f"pixels that two or more were pushed to: {int((hits > 1).sum())}, up to {int(hits.max())} on one")
viz.figure_images([source, pushed, hits / hits.max()], ["frame 0", "pushed", "how many arrived (black: none)"]).with_alt(
    "Pushing pixels leaves holes: between the figure's old and new places and along its stretched arm there are black "
    "pixels that none was pushed to, and elsewhere several arrive at one place."
)

# %% [markdown]
# Holes where nobody arrives, quarrels where several do, and a rounding to whole pixels that has no gradient. Reading has
# none of these troubles: every pixel of the new frame asks exactly one question and gets exactly one answer. So Monkey-Net
# reads.
#
# ### Between the pixels
#
# The places to read at are rarely the centres of pixels. In between we mix the four pixels around the place, the nearer the
# heavier: **bilinear interpolation**. With $a$ the distance to the left neighbour and $b$ the distance to the upper one,
# both from 0 to 1,
#
# $$\text{colour} = (1-a)(1-b)\,p_{00} + a(1-b)\,p_{01} + (1-a)\,b\,p_{10} + a\,b\,p_{11}.$$
#
# **By hand.** A picture of two by two pixels, 10 and 30 in the first row, 50 and 90 in the second. Read at (-0.5, -1). In
# pixels that is column (-0.5 + 1)/2 · 1 = 0.25, row 0, so $a = 0.25$, $b = 0$: the colour is 0.75 · 10 + 0.25 · 30 =
# **15**. In the very middle all four count a quarter: (10 + 30 + 50 + 90)/4 = **45**.
#
# The colour depends smoothly on $a$ and $b$, and that is the whole secret of how Monkey-Net can *learn* to move: a gradient
# tells the deformation where it should rather have read.
#
# ### Exercise 3: a warp by hand
#
# The library leaves this to one call of PyTorch's `grid_sample`. You write it out. Four pieces are missing. When it passes,
# your version takes the place of `geometry.warp`, in this notebook and in the model. If it fails, look at what it does all
# the same, in a cell of your own: what is indented below `ex.run_mine` runs on your last version, right or wrong.
# ```python
# with ex.run_mine("bilinear-warp"):
#     mine = geometry.warp(source[None], geometry.lattice(64, 64)[None])  # the lattice: it should change nothing
# viz.figure_images([source, mine[0].detach()], ["as it is", "read by my warp"])
# ```

# %% exercise="bilinear-warp"

# %%
by_hand = torch.tensor([[10.0, 30.0], [50.0, 90.0]])[None, None]
read_at = torch.tensor([[[[-0.5, -1.0], [0.0, 0.0], [2.0, 0.0]]]])
print(geometry.warp(by_hand, read_at).flatten().tolist())

# %% [markdown]
# 15 and 45, as by hand. The third place lies half a step beyond the *centre* of the last column, on the very edge of the
# picture: $x = 2$ is column (2 + 1)/2 · 1 = 1.5, row 0.5. The two right pixels weigh 0.5 · 0.5 = 0.25 each, and what would
# lie beyond them is black: (30 + 90) · 0.25 = **30**.
#
# Now something less tidy. This deformation turns the middle of the picture, and turns it less the further out:

# %%
def swirl(turn, size=64):
    grid = geometry.lattice(size, size)
    x, y = grid.unbind(dim=-1)
    angle = turn * (1 - grid.square().sum(dim=-1)).clamp(min=0)
    return torch.stack([angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y], dim=-1)[None]


turns = [0.0, 0.7, 1.4, -1.4]
pictures = [geometry.warp(source[None], swirl(turn))[0] for turn in turns]
viz.figure_images(pictures, [f"turn {turn}" for turn in turns]).with_alt(
    "The standing figure read through four swirls: unchanged at turn 0, its middle turned more and more at 0.7 and 1.4, "
    "and the other way at -1.4, while the rim stays where it is."
)

# %%
ex.used("bilinear-warp")

# %% [markdown]
# **Modify.** Which way does a positive turn turn the figure, clockwise or against the clock? The formula turns the *points
# to read at*. Say it before you look at the pictures again.
#
# <details><summary>The answer</summary>
#
# Against the clock. Since $y$ points down, the points to read at turn clockwise on the screen; whoever reads further along
# the clock sees what lies there, and so the figure comes back the other way.
#
# </details>
#
# ### An identity that eats the picture
#
# You know the lattice's convention: -1 and 1 are *centres* of pixels. PyTorch's `grid_sample` can read both conventions,
# and by default it uses **the other one** (`align_corners=False`: -1 and 1 are outer *edges*). Suppose a colleague writes a
# warp that changes nothing, forgets that switch, and applies it thirty times.

# %%
ex.predict(
    "eaten",
    "Thirty identity warps in a row, with our lattice and the switch forgotten. What is left of the picture?",
    {
        "unchanged": "everything: an identity is an identity",
        "blurred": "it is blurred, but everything is where it was",
        "drifted": "it has moved to one side, by half a pixel each time",
        "shrunk": "it has shrunk towards the middle, and darkness has come in from the rim",
    },
)

# %%
identity = geometry.lattice(64, 64)[None]
wrong = [source[None]]
right = [source[None]]
for _ in range(30):
    wrong.append(torch.nn.functional.grid_sample(wrong[-1], identity, align_corners=False))
    right.append(geometry.warp(right[-1], identity))

marks = torch.zeros(1, 1, 64, 64)
marks[..., 32, [12, 51]] = 1  # two white dots at the same distance from the middle
for _ in range(30):
    marks = torch.nn.functional.grid_sample(marks, identity, align_corners=False)
columns = torch.arange(64.0)
profile = marks[0, 0].sum(dim=0)
at_left = (profile[:32] * columns[:32]).sum() / profile[:32].sum()
at_right = (profile[32:] * columns[32:]).sum() / profile[32:].sum()
if at_right - at_left < 0.9 * (51 - 12):
    what = "shrunk"
elif abs(at_left + at_right - 63) > 2:
    what = "drifted"
else:
    what = "unchanged" if (wrong[-1] - source).abs().max() < 0.01 else "blurred"
ex.reveal(
    "eaten",
    what,
    [
        f"Two dots at columns 12 and 51 end up at {at_left:.1f} and {at_right:.1f}, and the mean brightness falls from "
        f"{source.mean():.2f} to {wrong[-1].mean():.2f}. Each time, the picture shrinks to 63/64 of its size: (63/64)^30 = "
        f"{(63 / 64) ** 30:.2f}. It blurs, too, because it is read between pixels, and at the rim it is mixed with the "
        "black outside.",
        viz.figure_images(
            [wrong[1][0], wrong[5][0], wrong[30][0], right[30][0]],
            ["switch forgotten, once", "5 times", "30 times", "the right way, 30 times"],
        ).with_alt(
            "With the wrong convention one identity warp changes little but the rim, which gets a thin dark line; after 5 "
            "the figure is blurred, after 30 it is blurred and shrunk to about two thirds in the middle of black; the "
            "right convention keeps it as it was."
        ),
    ],
)

# %% [markdown]
# Once, you would hardly have noticed: a thin dark line at the rim. That is what makes this bug so durable; the published
# code of Monkey-Net relied on an old default of PyTorch, and since the default changed, it runs, and is a little wrong. A
# network would even learn to make up for it. The only defence is a test, and you have just seen the best one there is: *an
# identity has to be an identity*.

# %% [markdown]
# ## Flow, and its colours
#
# A deformation holds places. Most of it is dull: pixel (3, 5) reads near (3, 5). What is interesting is the difference, the
# **flow**:
#
# $$\text{deformation} = \text{lattice} + \mathcal{F}.$$
#
# With sprites we know the true flow from the picture that we want (the **driving** frame $x'$, here frame 16) back to the
# one we have (the **source** frame $x$, here frame 0): for every pixel of the driving frame, how far away in the source is
# the same piece of jacket, skin or ground?
#
# Flow fields are drawn in colours: the hue is the direction, the strength of the colour is the length, white does not move.
# The wheel is the key. First look at the two frames:

# %%
viz.figure_images([source, driving], ["source, frame 0", "driving, frame 16"]).with_alt(
    "Source: the figure stands with both arms down. Driving: it leans to the left of the picture and its left arm, at the "
    "right of the picture, points steeply up."
)

# %%
ex.predict(
    "colours",
    "The arm at the right of the picture has gone UP. In the picture of the flow, which direction's colour has its hand?",
    {
        "up": "up: colours of a flow show the motion",
        "down": "down: the opposite of the motion",
        "white": "white: in the driving frame the hand is held still",
    },
)

# %%
flow, seen = (torch.from_numpy(part) for part in truth.flow(driving=16, source=0))
hand = torch.from_numpy(truth.labels[16] == truth.part_names.index("left_hand") + 1)
in_pixels = flow * 63 / 2  # one pixel is 2/63 wide
across, down = in_pixels[hand].mean(dim=0)
what = "white" if max(abs(across), abs(down)) < 1 else ("down" if down > 0 else "up")
ex.reveal(
    "colours",
    what,
    [
        f"On the hand the flow is ({across:.1f}, {down:.1f}) pixels: it points {abs(down):.0f} pixels **{what}**, to "
        "where the hand *was*. The flow of a backward map answers \"where do I read?\", so its colours show the opposite "
        "of the motion.",
        viz.figure_flow(in_pixels, driving, title="true flow from the driving frame back to the source").with_alt(
            "True backward flow: the raised arm is yellow-green, the colour of down, and its arrows point down to where "
            "the arm was; the body that leaned left has arrows to the right; the background is white."
        ),
    ],
)

# %% [markdown]
# Believe the arrows, or better: believe the warp. If the flow is right, reading the source through it must give the driving
# frame.

# %%
deformation = geometry.lattice(64, 64) + flow
rebuilt = geometry.warp(source[None], deformation[None])[0]
wrong_sign = geometry.warp(source[None], (geometry.lattice(64, 64) - flow)[None])[0]
error = (rebuilt - driving).abs().mean(dim=0)
for name, picture in (("source itself", source), ("read through the flow", rebuilt), ("sign turned round", wrong_sign)):
    print(f"{name:21} differs from the driving frame by {(picture - driving).abs().mean():.3f}")
hidden = int((~seen).sum())
print(f"where the source shows it: by {error[seen].mean():.3f}; on {hidden} pixels it does not: {error[~seen].mean():.3f}")
viz.figure_images(
    [driving, rebuilt, wrong_sign, viz.error_map(rebuilt, driving), ~seen * 1.0],
    ["driving", "read through the true flow", "sign turned round", "error of the first", "white: not seen in the source"],
).with_alt(
    "Read through the true flow, the source becomes the driving frame, but a second, ghostly arm stays where the arm hung "
    "before. With the sign turned round the arms are torn off and black patches stand where hands should be. The error is "
    "large only where the source does not show what is needed."
)

# %% [markdown]
# The raised arm is in its place, and yet the old one hangs there still, like a ghost. The flow is *true*: the wall behind
# the old arm did not move, so it is read where it was, and there the source shows an arm. No flow can read what the source
# does not show. Remember those pixels; in lesson 05 a network will have to invent them.

# %% [markdown]
# ## Two motions in a row
#
# The figure turns a little, and then a little more. You have a deformation for each of the two steps and want one for both.
# Flows are differences, and differences add, do they not?

# %%
ex.predict(
    "sum",
    "A turn by 60 degrees is done twice, and somebody adds the two flows. How does the picture come out?",
    {
        "120, same size": "turned by 120 degrees: flows add",
        "120, other size": "turned by 120 degrees, and a little smaller or larger",
        "90, other size": "turned by 90 degrees, and much smaller or larger",
        "60, same size": "turned by 60 degrees, as by each of them",
    },
)

# %%
def turned(degrees, size=64):
    angle = torch.deg2rad(torch.tensor(float(degrees)))
    rotation = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    return (geometry.lattice(size, size) @ rotation.T)[None]


lattice_64 = geometry.lattice(64, 64)
once = turned(60)
added = lattice_64 + 2 * (once - lattice_64)
x, y = added[0, 32, 63] - added[0, 32, 0]  # where the middle row goes, from its left end to its right one
degrees, length = torch.rad2deg(torch.atan2(y, x)).round(), torch.hypot(x, y) / 2
what = f"{degrees:.0f}, {'same size' if abs(length - 1) < 0.05 else 'other size'}"
ex.reveal(
    "sum",
    what,
    [
        f"The sum reads the middle row along a line turned by {degrees:.0f} degrees and {length:.2f} times as long, so the "
        f"picture comes out {length:.2f} times smaller. By hand, for the point (1, 0): a turn by 60 degrees brings it to "
        "(0.5, 0.87), so its flow is (-0.5, 0.87). Twice that, added to (1, 0), is (0, 1.73). Two turns would have to end "
        "at (-0.5, 0.87).",
        viz.figure_images(
            [source, geometry.warp(source[None], added)[0], geometry.warp(source[None], turned(120))[0]],
            ["source", "two flows of 60° added", "turned by 120°"],
        ).with_alt(
            "Adding the flows of two turns by 60 degrees turns the figure by 90 degrees and shrinks it; the turn by 120 "
            "degrees that was wanted keeps its size."
        ),
    ],
)

# %% [markdown]
# The second flow is not wrong, it is read **at the wrong place**. Go through it slowly, for one pixel $p$ of the final
# frame:
#
# 1. `first` says where $p$ reads in the *middle* frame: at $q = \text{first}(p)$.
# 2. `second` says where that place reads in the *source*: at $\text{second}(q)$, not at $\text{second}(p)$.
#
# So the composition is $p \mapsto \text{second}(\text{first}(p))$. And since $q$ lies between the pixels of `second`, it
# has to be interpolated. You have a function that reads a picture with any number of channels at any places: a deformation
# is a picture with two channels.
#
# ### Exercise 4: compose
#
# What is left: places of `first` outside the frame. `warp` would answer 0 there, and as a point that is the *middle* of the
# source. So bring them to the border first, with `clamp(-1, 1)`.

# %%
from monkeynet_edu.geometry import warp  # fetched again: once your own warp has passed, this is yours

# %% exercise="compose"

# %%
twice = geometry.compose(once, once)
x, y = geometry.compose(turned(60, 65), turned(60, 65))[0, 32, 64]  # with 65 pixels, (1, 0) is one of them
print(f"the point (1, 0) reads at ({x:.2f}, {y:.2f})")
inside = (lattice_64.square().sum(dim=-1) < 0.9)[None]
print(f"largest difference to a turn by 120°, inside the circle: {(twice - turned(120))[inside].abs().max():.4f}")
viz.figure_images(
    [geometry.warp(source[None], d)[0] for d in (once, twice, geometry.compose(once, twice))], ["60°", "120°", "180°"]
).with_alt("The figure turned by 60, 120 and 180 degrees by composing turns of 60 degrees: its size stays the same.")

# %%
ex.used("compose")

# %% [markdown]
# **Investigate.** A film is many small motions. Take the true flow from frame 16 back to frame 8, and from 8 back to 0. How
# far are their sum and their composition from the true flow from 16 to 0, in pixels?

# %%
late, early = (torch.from_numpy(truth.flow(driving=d, source=s)[0]) for d, s in ((16, 8), (8, 0)))
composed = geometry.compose((lattice_64 + late)[None], (lattice_64 + early)[None])[0]
body = torch.from_numpy(truth.labels[16] > 0) & seen
for name, found in (("sum", lattice_64 + late + early), ("composition", composed)):
    off = (found - deformation).norm(dim=-1)[body] * 63 / 2
    print(f"{name:11} off by {off.mean():.1f} pixels on average, a tenth of the body by more than {off.quantile(0.9):.1f}")

# %% [markdown]
# Composition is far better, and not perfect: where two parts touch, a place between their pixels mixes the flow of an arm
# with that of the wall. Interpolation is blind to what belongs together. (Why, then, does Monkey-Net not chain flows frame
# by frame? Discuss it below.)

# %% [markdown]
# ## Make: your character moves
#
# All together now. One picture of your character, the true flow of one of its films, and your warp: every frame on the
# right is read from the *first frame alone*.

# %%
film = ex.character.clip(motion=3, length=32)
still = torch.from_numpy(film.frames[0]).permute(2, 0, 1)[None] / 255
both = []
for t in range(0, 32, 2):
    true_flow = torch.from_numpy(film.truth.flow(driving=t, source=0)[0])
    read = geometry.warp(still, (geometry.lattice(64, 64) + true_flow)[None])[0]
    both.append(torch.cat([torch.from_numpy(film.frames[t]).permute(2, 0, 1) / 255, read], dim=2))
ex.film(
    torch.stack(both),
    f"Left: the film of {ex.character.name}. Right: its first frame alone, read through the true flow.",
    fps=8,
    alt=f"Two films side by side of {ex.character.name}, moving arms and legs slowly. On the right, made from the first "
    "frame alone, the motion is the same, but copies of arms and legs stay behind where the first frame hid the "
    "background.",
)

# %% [markdown]
# **Make your own.** Change `swirl` into a hall of mirrors: waves (`x + 0.1 * (6 * y).sin()`), a lens (`grid * (0.5 + 0.5 *
# r)` with the distance from the middle, `r = grid.norm(dim=-1, keepdim=True)`), your name for it. Compose two of them, in
# both orders. Then read your character through it, frame by frame.

# %%
x, y = geometry.lattice(64, 64).unbind(dim=-1)
waves = torch.stack([x + 0.1 * (6 * y).sin(), y], dim=-1)[None]
mirrors = {
    "waves": waves,
    "swirl, then waves": geometry.compose(waves, swirl(1.0)),
    "waves, then swirl": geometry.compose(swirl(1.0), waves),
}
viz.figure_images([geometry.warp(still, m)[0] for m in mirrors.values()], list(mirrors)).with_alt(
    "Your character in three mirrors: wavy from top to bottom; swirled and then wavy; wavy and then swirled. The last two "
    "differ: the order of deformations matters."
)

# %% [markdown]
# ## Recap
#
# - A point is `(x, y)` in [-1, 1], `y` down; -1 and 1 are **centres** of pixels: $x_j = 2j/(W-1) - 1$.
# - A deformation is a **backward map**: for each pixel of the new frame, the place to read in the old one. Reading further
#   right moves the picture left.
# - Between pixels, read **bilinearly**; outside is black. It has a gradient, so the places can be learned.
# - An identity that is not one eats the picture: **test identities**.
# - Flow is deformation minus lattice. Its colours point to where things **were**.
# - Deformations **compose**, flows do not add. What the source does not show, no flow can fetch.
#
# ### Symbols
#
# | paper | here | shape | meaning |
# |---|---|---|---|
# | $x$ | `source` | `(B, 3, H, W)` | the picture to move |
# | $x'$ | `driving` | `(B, 3, H, W)` | the frame that shows the pose wanted |
# | $U$ | `geometry.lattice(H, W)` | `(H, W, 2)` | the H × W lattice: all places |
# | $\mathcal{F}$ | `flow` | `(B, H, W, 2)` | optical flow, from driving back to source |
# | – | `deformation` | `(B, H, W, 2)` | lattice + flow: where to read |
# | $f_w(x, \mathcal{F})$ | `geometry.warp(x, deformation)` | `(B, C, H, W)` | bilinear warp of a picture or of feature maps |
#
# ## To discuss
#
# 1. Why does Monkey-Net estimate one flow from the driving frame straight to the source, for every frame anew, and not a
#    chain of small flows from frame to frame? Name something that is lost and something that is won.
# 2. A colleague stores flow in pixels, and then halves the size of the picture. What has to happen to her numbers? And to
#    ours?
# 3. With `align_corners=False`, which operations become simpler? (Think of halving a picture.) Why would anybody choose it?
# 4. Where the flow of two neighbouring pixels points far apart, bilinear reading still works. What can the *gradient* know
#    about a place to read at that is ten pixels away from the right one?
#
# ## Further reading
#
# - Siarohin et al., *Animating Arbitrary Objects via Deep Motion Transfer*, CVPR 2019, section 3: where the warp sits in
#   Monkey-Net.
# - Jaderberg et al., *Spatial Transformer Networks*, NeurIPS 2015: the bilinear warp as a layer that learns.
# - Baker et al., *A Database and Evaluation Methodology for Optical Flow*, IJCV 2011: the colour wheel, and how flow is
#   measured.
# - PyTorch's documentation of `torch.nn.functional.grid_sample`: read what it says about `align_corners` again, now.

# %%
ex.map()
