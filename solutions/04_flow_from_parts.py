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
# # 04 · Flow from parts
#
# <!-- header -->
#
# Lesson 03 ended with a handful of keypoints: a few numbers that say where the hands, the head and the knees are. A
# picture of 64 by 64 pixels has 4096 pixels, and each of them has to be told where to read. So: how do **eleven** arrows
# become **4096**? By a division of labour that is the heart of Monkey-Net. Every keypoint proposes a motion for the whole
# picture, and a mask decides, pixel by pixel, whose proposal counts.
#
# **After this lesson you can**
#
# - turn keypoints of two frames into displacements, with the sign that a backward map needs;
# - say in which frame a part mask lives, and why;
# - build a frame from masked layers, and build the same motion as one flow, and say when the two differ;
# - write the paper's coarse flow and add its residual;
# - show that masks can be learned without anybody drawing one.
#
# You need lesson 01 (reading through a deformation) and lesson 03 (keypoints). Where the keypoints come from does not
# matter today: we take the *true* joints of the sprites, so that whatever goes wrong is the flow's fault.

# %% tags=["parameters"]
FAST = False

# %% tags=["imports"]

# %%
ex.map()

# %% [markdown]
# ## Eleven arrows
#
# Your character again, in two frames of the same film: the **source**, whose colours we have, and the **driving** frame,
# whose pose we want. Eleven joints play the keypoints.

# %%
frames, points = pasting.clip_with_joints(ex.character.clip(motion=3, length=32))
truth = ex.character.clip(motion=3, length=32).truth
SOURCE, DRIVING = 0, 16
image, target = frames[SOURCE : SOURCE + 1], frames[DRIVING : DRIVING + 1]  # (1, 3, 64, 64) each
source, driving = points[SOURCE : SOURCE + 1], points[DRIVING : DRIVING + 1]  # 11 keypoints each
viz.figure_images(
    [viz.draw_keypoints(image[0], source.mean[0], scale=3), viz.draw_keypoints(target[0], driving.mean[0], scale=3)],
    ["source", "driving"],
    "Your character twice, with eleven numbered joints. In the source it stands with its arms down; in the driving "
    "frame it leans to the left of the picture, its left arm, points 5 and 6, stretched up to the right, its right "
    "arm, points 3 and 4, out to the left.",
)

# %% [markdown]
# The left wrist (number 6) went up, by more than a third of the picture. We want, for a pixel of the **driving** frame,
# the place in the **source** where its colour is found. Standing on the wrist of the driving frame, where do you look?
#
# **By hand.** A hand is at $h_\text{source} = (-0.5, 0)$ and later at $h_\text{driving} = (0, 0)$: it went to the right.
# The pixel at (0, 0) of the driving frame shows the hand, and must read it at (-0.5, 0), so the number to *add* to its
# place is
# $(-0.5, 0) - (0, 0) = (-0.5, 0)$: the hand went right, the arrow points **left**. In a picture 64 pixels wide that is
# $-0.5 \cdot 63/2 = -15.75$ pixels.
#
# Call this number the **displacement** $d_k$ of keypoint $k$:
#
# $$d_k = h_{\text{source},k} - h_{\text{driving},k}, \qquad d_0 = (0, 0).$$
#
# Part 0 is the **background**: no keypoint sits on it, and it is assumed to stand still. It comes **first**, here and in
# every tensor of this library; so number $k$ in the pictures, where counting starts with the head at 0, is part $k+1$. With the
# background, the eleven arrows are twelve, and the first of them has the length zero.
#
# ### Exercise 1: displacements

# %% exercise="displacements"

# %%
shifts = motion.displacements(source, driving)  # (1, 12, 2): the background, then 11 joints
for name, (dx, dy) in zip(pasting.PARTS, (shifts[0] * 63 / 2).tolist(), strict=True):
    print(f"{name:12} reads {dx:6.1f} pixels in x, {dy:6.1f} in y")

# %%
ex.used("displacements")

# %% [markdown]
# Check one against the pictures: the left wrist went up, so it must read further *down*, and `y` grows downwards. Is its
# second number positive?
#
# ## One arrow for all pixels
#
# Now take one displacement, and let **all** pixels read with it.

# %%
ex.predict(
    "copy",
    "All 4096 pixels read with the left wrist's displacement. What does the picture look like?",
    {
        "hand": "the left hand has moved, the rest is where it was: it is the hand's displacement, after all",
        "arm": "the left arm has turned about its shoulder",
        "all": "the whole picture has moved, floor and all",
    },
)

# %%
wrist = pasting.PARTS.index("left_wrist")
copy = geometry.warp(image, geometry.lattice(64, 64) + shifts[:, wrist, None, None])
far_from_the_hand = (slice(None), slice(None), slice(40, 64), slice(0, 30))  # legs and floor at the lower left
rest_changed = pasting.error(copy[far_from_the_hand], image[far_from_the_hand]) > 5
hand = geometry.warp(copy, driving.mean[:, None, wrist - 1 : wrist])  # the colour at the driving wrist
hand_arrived = (hand - geometry.warp(image, source.mean[:, None, wrist - 1 : wrist])).abs().max() < 0.1
ex.reveal(
    "copy",
    "all" if rest_changed and hand_arrived else ("hand" if hand_arrived else "arm"),
    [
        "A displacement is two numbers, and adding two numbers to every point of the lattice shifts the picture as a "
        "whole. It knows nothing of hands. In this copy exactly one thing is right: the hand lies where the driving "
        "frame has it.",
        viz.figure_images(
            [image[0], copy[0], target[0]],
            ["source", "copy of the left wrist", "driving"],
            "The copy shows the whole figure shifted up, its head cut off and black below it; its left hand, and "
            "nothing else, lies where the driving frame has it.",
        ),
    ],
)

# %% [markdown]
# So every part gets a **shifted copy** of the whole source: twelve of them, in each of which one thing is right. The warp
# of lesson 01 reads one picture through one deformation, so the twelve copies have to pose as a batch: (B, N, …) becomes
# (B·N, …) and back. `geometry.lattice(H, W, device=…, dtype=…)` is the lattice of lesson 01. (The trap: `repeat` puts a batch behind itself, 0 1 0 1; `expand` and `flatten` give 0 0 1 1.)
#
# ### Exercise 2: shifted copies

# %% exercise="shifted-copies"

# %%
some = [pasting.PARTS.index(name) for name in ("background", "head", "right_wrist", "left_wrist")]
figures04.figure_copies(image, shifts[:, some], [pasting.PARTS[k].replace("_", " ") for k in some])

# %%
ex.used("shifted-copies")

# %% [markdown]
# ## Who counts where: masks
#
# In each copy one part is right. A **mask** $M_k$ says where: 1 where pixel and part belong together, 0 elsewhere, and in
# between where they share. At every pixel the masks sum to 1 (a softmax over the $K+1$ parts, the background among them).
#
# A mask is a picture, so it has coordinates. Which?

# %%
ex.predict(
    "frame",
    "We are about to put the frame together from masked copies. In which frame's coordinates do the masks lie?",
    {
        "source": "in the source's: the part is cut out of the source, and the piece is then moved",
        "driving": "in the driving frame's: at each of its pixels they say which copy to show",
        "either": "it makes no difference: a mask only says which pixels belong to the part",
    },
)

# %% [markdown]
# Ask the sprites. They know which painted part each pixel shows, and how it moves; so for every pixel of a frame we can say
# whose motion it follows. Here are these true masks, once for the driving frame and once for the source:

# %%
masks = pasting.true_masks(truth, DRIVING, SOURCE)  # (1, 12, 64, 64), zeros and ones
masks_in_source = pasting.true_masks(truth, SOURCE, DRIVING)
viz.figure_images(
    [viz.masks_to_rgb(masks_in_source[0]), viz.masks_to_rgb(masks[0])],
    ["true parts in the source", "true parts in the driving frame"],
    "Two figures in patches of eleven colours with numbers 0 to 10 on grey: head, chest, pelvis, and two patches for "
    "each limb. On the left the patches have the outline of the source's pose, on the right that of the driving pose.",
)

# %% [markdown]
# ### Exercise 3: layers
#
# Copies and masks make a picture as spotlights do on one wall: each copy is seen through its mask, and the layers are
# added,
#
# $$\hat x = \sum_{k=0}^{K} M_k \cdot \text{copy}_k.$$
#
# No layer covers another, and their order does not matter: the masks have shared out every pixel already.
#
# **By hand.** At one pixel the background's copy is 0.2 and the hand's 0.8, with masks ¾ and ¼: the pixel becomes
# 0.75 · 0.2 + 0.25 · 0.8 = **0.35**.

# %% exercise="paste-parts"

# %%
_, seen = pasting.true_flow(truth, DRIVING, SOURCE)  # pixels whose material is visible in the source
pasted = pasting.paste_parts(image, masks, shifts)
wrongly_pasted = pasting.paste_parts(image, masks_in_source, shifts)
errors = {"driving": pasting.error(pasted, target, seen), "source": pasting.error(wrongly_pasted, target, seen)}
near = abs(errors["driving"] - errors["source"]) < 0.1 * max(errors.values())
ex.reveal(
    "frame",
    "either" if near else min(errors, key=lambda name: errors[name]),
    [
        f"With the masks of the driving frame the error is {errors['driving']:.1f} grey values, with those of the "
        f"source {errors['source']:.1f} (over the pixels that the source shows at all). The copies are shifted "
        "*already*: whoever then looks through the source's mask looks at the place that the part has left. And the "
        "driving frame has to be asked for every one of its pixels, where the source's mask has holes and overlaps.",
        viz.figure_images(
            [target[0], pasted[0], wrongly_pasted[0]],
            ["driving", "masks in the driving frame", "masks in the source"],
            "With masks in the driving frame, body and limbs stand in the driving pose, though limbs are jagged and "
            "the old head and legs show behind. With masks in the source, little of the figure is left: pieces of "
            "trunk and leg, and a thin line along its old outline.",
        ),
    ],
)

# %%
ex.used("paste-parts")

# %% [markdown]
# The true masks rebuild the frame: out of one picture and eleven arrows the character leans over and raises its arm. Take
# the stack apart, layer by layer:

# %%
body = [k for k, name in enumerate(pasting.PARTS) if name in ("head", "chest", "pelvis")]
arms = [k for k, name in enumerate(pasting.PARTS) if "elbow" in name or "wrist" in name]
legs = [k for k, name in enumerate(pasting.PARTS) if "knee" in name or "ankle" in name]
figures04.figure_layers(
    image,
    masks,
    shifts,
    [
        ("background", [0]),
        ("head, trunk", body),
        ("arms", arms),
        ("legs", legs),
        ("all but background", [*body, *arms, *legs]),
        ("all", range(12)),
    ],
)

# %% [markdown]
# With the switches below you can do it yourself (by mouse, or with Tab and the space bar). **Investigate:** switch the
# background off. What did the background's layer put beside the head and the legs, and why there? Then leave only "left
# wrist" on: what is wrong with the forearm?

# %% tags=["nbval-ignore-output"]
figures04.layer_switches(image, masks, shifts)

# %% [markdown]
# You will have found two faults, and they are the subject of the rest:
#
# 1. The forearm is in shreds. It *turned*, and a copy that is only shifted cannot turn.
# 2. Beside the new head stands the old one, and beside the new legs the old. The background's mask is right there, but its copy,
#    the unmoved source, shows head and legs at those places. What can be done about that is the matter of lesson 05.
#
# ## Motions instead of colours
#
# Monkey-Net does not paste colours. It averages the **motions**, and reads once. Where every pixel belongs to one part
# alone, that is the same. Where masks are soft, and a network's always are, it is not:

# %%
ex.predict(
    "half",
    "A pixel is half background (shift 0) and half hand (reads 8 pixels to the left). We average the *motions* and read "
    "once. What does the pixel show?",
    {
        "both": "a mixture of two colours: its own place, and the place 8 pixels to the left",
        "between": "one colour: that of the place 4 pixels to the left, which is neither of the two",
        "stronger": "one colour: that of the place 8 pixels to the left, since hands come before background",
    },
)

# %%
greys = torch.rand(64, generator=torch.Generator().manual_seed(2))
columns_of_grey = greys.expand(1, 1, 64, 64)  # every column has a grey of its own
two_shifts = torch.tensor([[[0.0, 0.0], [-8 * 2 / 63, 0.0]]])
halves = torch.full((1, 2, 64, 64), 0.5)
flow = motion.coarse_flow(halves, two_shifts)
shown = geometry.warp(columns_of_grey, geometry.lattice(64, 64) + flow)[0, 0, 32, 40]
columns = greys
candidates = {"both": (columns[40] + columns[32]) / 2, "between": columns[36], "stronger": columns[32]}
ex.reveal(
    "half",
    min(candidates, key=lambda name: (candidates[name] - shown).abs().item()),
    f"The pixel in column 40 shows {shown:.3f}. Column 36 has {columns[36]:.3f}; the mixture of columns 32 and 40 would "
    f"be {candidates['both']:.3f}. Pasting gives ghosts, flow gives a place in between: at the seam between two parts "
    "the picture is bent, not blended, as skin is at an elbow. It also keeps the colours: an average of colours is a "
    "new colour, an average of places is a place.",
)

# %% [markdown]
# The paper's coarse flow (its equation 4) is that average,
#
# $$\mathcal F_\text{coarse} = \sum_{k=0}^{K} M_k \cdot d_k,$$
#
# with $M_k$ a picture and $d_k$ two numbers. (The paper writes $M_k \otimes \rho(h_k)$, where $\rho$ repeats two numbers
# over the whole picture, and it gives the background the number $K+1$, last. The authors' weights have it first, and so
# have we.) **By hand:** a pixel with masks ¾ (background) and ¼ (a part whose shift is (-½, ¼)) gets the flow ¼ · (-½, ¼)
# = **(-⅛, 1/16)**.
#
# ### Exercise 4: coarse flow
#
# A blank page: the cell says what goes in and what comes out, and nothing else.

# %% exercise="coarse-flow"

# %%
coarse = motion.coarse_flow(masks, shifts)  # (1, 64, 64, 2)
viz.figure_flow(
    figures04.in_pixels(coarse[0]),
    title="coarse flow from true masks, in pixels",
    alt="The coarse flow: white where the background stands still, and one flat colour for each patch of the body, without any "
    "transition. The arrows start in the outline of the driving figure and point back to where each patch was in the source, straight "
    "down for the raised arm.",
)

# %%
ex.used("coarse-flow")

# %% [markdown]
# Flat patches: within a patch all arrows are equal. Now blur the true masks a little, as a network would, and compare
# pasting with flow:

# %%
blurred = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(masks, (3, 3, 3, 3), mode="replicate"), 7, stride=1)
by_paste = pasting.paste_parts(image, blurred, shifts)
by_flow = pasting.read_by(image, geometry.lattice(64, 64) + motion.coarse_flow(blurred, shifts))
by_hard_flow = pasting.read_by(image, geometry.lattice(64, 64) + coarse)
print(f"hard masks: pasting and flow differ by {pasting.error(pasted, by_hard_flow):.2f}")
print(f"soft masks: pasting and flow differ by {pasting.error(by_paste, by_flow):.2f}")
viz.figure_images(
    [target[0], by_paste[0], by_flow[0]],
    ["driving", "soft masks, pasted", "soft masks, flow"],
    "With blurred masks, pasting shows several transparent figures over each other, with two half heads; the flow "
    "shows one solid figure with its head and hips drawn wide, like rubber.",
)

# %% [markdown]
# With hard masks the two are the same (0.00). With soft ones: ghosts on the one side, rubber on the other. Neither is right, and
# both give the masks a gradient; but a ghost is wrong until the masks are hard, whereas rubber is what skin and cloth do at a
# joint, and every colour in it is one that the source has.
#
# ## What is left: the residual
#
# A forearm that turns needs another arrow at the hand than at the elbow. For all that eleven arrows cannot say, the
# network adds a free correction, two numbers at every pixel: the **residual** flow. The whole flow, and where to read:
#
# $$\mathcal F = \mathcal F_\text{coarse} + \mathcal F_\text{residual}, \qquad \text{deformation} = \text{lattice} + \mathcal F.$$
#
# A residual could do everything by itself, and then nobody would need keypoints. But it would have to be found for every
# pixel anew; the coarse flow is right at once for whole limbs and leaves little to correct.
#
# **By hand.** The pixel at (½, 0) has coarse flow (-½, ¼) and residual (⅛, -½): it reads at
# (½ - ½ + ⅛, 0 + ¼ - ½) = **(⅛, -¼)**.
#
# ### Exercise 5: the deformation
#
# Another blank page. The residual comes out of a convolution, so its two channels stand *in front of* rows and columns.

# %% exercise="deformation"

# %%
true, seen = pasting.true_flow(truth, DRIVING, SOURCE)
residual = (true - coarse).permute(0, 3, 1, 2)  # (1, 2, 64, 64), as a convolution would give it
nothing = torch.zeros_like(residual)
still = pasting.read_by(image, motion.assemble_deformation(torch.zeros_like(coarse), nothing))
only_coarse = pasting.read_by(image, motion.assemble_deformation(coarse, nothing))
both = pasting.read_by(image, motion.assemble_deformation(coarse, residual))
for name, picture in (("no motion", still), ("coarse", only_coarse), ("coarse + residual", both)):
    everywhere, where_seen = pasting.error(picture, target), pasting.error(picture, target, seen)
    print(f"{name:18} error {everywhere:5.1f}; where the source shows the material {where_seen:5.1f}")
longest = [float(each.norm(dim=-1).max()) * 63 / 2 for each in (coarse, true - coarse)]
print(f"longest coarse arrow {longest[0]:.1f} pixels, longest residual {longest[1]:.1f}")
viz.figure_images(
    [target[0], still[0], only_coarse[0], both[0]],
    ["driving", "no motion", "coarse", "coarse + residual"],
    "Read without motion: the source. With the coarse flow: the driving pose in patches, limbs in shreds. With the "
    "true residual added: limbs whole and turned. In both, the old head and legs still show behind the figure.",
)

# %%
ex.used("deformation")

# %% [markdown]
# The residual mends the limbs. What error is left even with the true flow?

# %%
ex.predict(
    "left",
    "Masks, shifts and residual are the truth. Where does most of the remaining error lie?",
    {
        "turned": "on the figure, where limbs turned: bilinear reading blurs them",
        "uncovered": "where the source shows something else: ground that the figure has uncovered, arms that came from "
        "behind",
        "background": "spread over the background: nothing is ever read exactly",
    },
)

# %%
on_figure = torch.from_numpy(truth.labels[DRIVING] > 0)[None]  # (1, 64, 64)
regions = {"turned": on_figure & seen, "uncovered": ~seen, "background": ~on_figure & seen}
gap = (both - target).abs().mean(dim=1)
shares = {name: float(gap[region].sum() / gap.sum()) for name, region in regions.items()}
ex.reveal(
    "left",
    max(shares, key=lambda name: shares[name]),
    [
        "Shares of the error: "
        + ", ".join(
            f"{name} {100 * share:.0f} % (on {100 * regions[name].float().mean():.0f} % of the pixels)"
            for name, share in shares.items()
        )
        + ". No flow helps where there is nothing to read. That is why Monkey-Net has a generator, which may invent.",
        viz.figure_images(
            [both[0], viz.error_map(both[0], target[0]), (~seen).float()],
            ["true flow", "error", "not visible in the source"],
            "Left: the figure in the driving pose with remains of the old head and legs behind it. Middle: the error, "
            "bright just there. Right: the pixels whose material the source does not show; they cover the same places.",
        ),
    ],
)

# %% [markdown]
# ## Masks that nobody drew
#
# The true masks came from the sprites. Real videos have none, and nobody labels them. The network M, which gives masks
# and residual, sees pictures of the movement (heatmaps and the shifted copies) and is told only one thing: *the picture
# read through your flow should look like the driving frame*. Your functions are in the loop: `coarse_flow` turns its
# masks into a flow, the gradient goes back through it.
#
# Below, a small M without residual is trained for about half a minute on other characters, from zero. Then it is shown
# your character.

# %%
ex.predict(
    "learned",
    "Which masks will rebuild poses of your character with the smaller error?",
    {
        "true": "the true ones: nothing can be better than the truth",
        "learned": "the learned ones: they are made for the error, not for anatomy",
        "same": "about the same: the learned ones will become the true ones",
    },
)

# %% tags=["nbval-ignore-output"]
clips, clip_joints = pasting.training_frames()  # (40, 8, 3, 64, 64) and 11 joints each
torch.manual_seed(0)
features = motion.EmbeddingConfig(("heatmap", "deformed_source"), normalisation=1.0)
small = motion.MotionConfig(width=16, max_width=64, levels=3, embedding=features, flow=("coarse",), scale=0.5)
network = motion.MotionNetwork(small, keypoints=11)
optimiser = torch.optim.Adam(network.parameters(), lr=4e-3)
steps = ex.steps(200)
with ex.training(network, steps=steps):
    for step in range(steps):
        which = torch.randint(len(clips), (8,))
        first, second = torch.randint(clips.shape[1], (2, 8))
        found = network(clips[which, first], clip_joints[which, first], clip_joints[which, second])
        read = geometry.warp(geometry.downscale(clips[which, first], 0.5), found.deformation)
        loss = (read - geometry.downscale(clips[which, second], 0.5)).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if (step + 1) % 40 == 0:
            print(f"step {step + 1}: error {255 * loss.item():.1f} grey values")

# %% tags=["nbval-ignore-output"]
network.eval()


def read_pose(t, masks_and_flow):
    """The source read into pose t: by true masks and joints, or by the small M."""
    if masks_and_flow == "true":
        deformation = geometry.lattice(64, 64) + motion.coarse_flow(
            pasting.true_masks(truth, t, SOURCE), motion.displacements(source, points[t : t + 1])
        )
    else:
        with torch.no_grad():
            deformation = network(image, source, points[t : t + 1]).deformation
        deformation = geometry.resize_deformation(deformation, 64, 64, "bilinear")
    return pasting.read_by(image, deformation)


poses = range(8, 32, 4)
errors = {
    name: sum(pasting.error(read_pose(t, name), frames[t : t + 1]) for t in poses) / len(poses)
    for name in ("true", "learned")
}
alike = abs(errors["true"] - errors["learned"]) < 0.02 * errors["true"]
with torch.no_grad():
    found_masks = network(image, source, driving).masks
found_masks = torch.nn.functional.interpolate(found_masks, (64, 64), mode="bilinear", align_corners=True)
beyond = (found_masks.argmax(dim=1) > 0) & ~on_figure
ex.reveal(
    "learned",
    "same" if alike else min(errors, key=lambda name: errors[name]),
    [
        f"Over {len(poses)} poses of the film: error {errors['true']:.1f} with true masks, {errors['learned']:.1f} with "
        f"learned ones. In the pose above, {int(beyond.sum())} pixels of wall and floor move with a part: the learned "
        "parts reach beyond the figure's outline. Where the figure has left, the truth says *background*, and reads "
        "the old figure; the learned masks drag a piece of clean wall along instead. It is the error that is learned "
        "from, and only as far as the error asks for limbs do the masks find limbs.",
        viz.figure_images(
            [
                target[0],
                viz.masks_to_rgb(masks[0]),
                only_coarse[0],
                viz.masks_to_rgb(found_masks[0]),
                read_pose(DRIVING, "learned")[0],
            ],
            ["driving", "true masks", "read by the true", "learned masks", "read by the learned"],
            "True masks with sharp outlines, and the jagged figure with its old head behind it; learned masks, fewer, "
            "smooth, and wider than the figure, and a figure without the old head, its raised arm largely missing.",
        ),
    ],
)

# %% [markdown]
# **Modify.** Let the small M have a residual: `flow=("coarse", "residual")`, and train again. Does the printed error
# fall? Then take the coarse flow away, `flow=("residual",)`, and watch the training alone: how far does a network get
# that has to find each arrow by itself?
#
# ## The trained M
#
# The weights that come with this course were trained for half an hour, Δ and M first, and with keypoints that nobody
# labelled either (lesson 03). Same pair, its own ten keypoints:

# %%
net = model.MonkeyNet.load(paths.weights_path("mini-taichi")).eval()
with torch.no_grad():
    own_source, own_driving = net.detect(image), net.detect(target)
    generated = net(image, own_source, own_driving)
found = generated.motion
longest = [float(each.norm(dim=-1).max()) * 63 / 2 for each in (found.coarse, found.residual)]
print(f"masks {tuple(found.masks.shape)}, at half size to save time; background {100 * found.masks[:, 0].mean():.0f} %")
print(f"longest coarse arrow {longest[0]:.1f} pixels, longest residual {longest[1]:.1f}")
print(f"error of what is read {pasting.error(generated.deformed, target):.1f}")
print(f"error of what the generator makes of it {pasting.error(generated.prediction, target):.1f}")
viz.figure_images(
    [target[0], viz.masks_to_rgb(found.masks[0]), generated.deformed[0], generated.prediction[0]],
    ["driving", "its masks", "read by its flow", "drawn by G from it"],
    "The trained model: soft masks over head and trunk, faint ones over the legs, and small clear ones on both hands and "
    "the right forearm; the picture read by its flow leans and holds its arms as the driving frame does, but the wall "
    "shows through the raised sleeve; the generator draws the same with the sleeve partly filled.",
)

# %% [markdown]
# Legs, trunk and arms are read: the hands have keypoints and masks of their own. Only the sleeve of the raised arm, which moved
# farthest and turned, comes out full of holes, and the generator paints some of them over. Its picture
# has the larger error all the same: on the arms it wins a little, but it draws the whole frame anew, wall and floor too, and loses
# more there than it has won, since most of it had been read just as it is. Whether that is a good division of labour you can judge in lesson 05.
#
# **Investigate.** If one of your attempts was wrong, let it drive: with the sign of the displacements reversed, for
# example,
#
# ```python
# with ex.run_mine("displacements"), torch.no_grad():
#     wrong = net(image, own_source, own_driving)
# viz.figure_images([wrong.deformed[0], wrong.prediction[0]], ["read", "drawn"])
# ```
#
# ## Make: your film
#
# All frames of the film, three times: the original; the source frame put into each pose by true parts (your
# displacements, your coarse flow, your deformation, no residual); and the trained model. **Make it yours:** replace
# `points` by a motion of your own, for example the source's joints with one wrist on a circle, and let the trained M
# (with `own_source` and its moved `mean`) follow it.

# %%
with torch.no_grad():
    by_parts, by_model = [], []
    for t in range(0, len(frames), 3):
        pose_shifts = motion.displacements(source, points[t : t + 1])
        pose_flow = motion.coarse_flow(pasting.true_masks(truth, t, SOURCE), pose_shifts)
        by_parts.append(pasting.read_by(image, motion.assemble_deformation(pose_flow, torch.zeros(1, 2, 64, 64))))
        by_model.append(net(image, own_source, net.detect(frames[t : t + 1])).prediction)
film = figures04.beside(frames[::3], torch.cat(by_parts), torch.cat(by_model))
ex.film(
    film,
    fps=4,
    caption=f"{ex.character.name}: the original, one frame moved by true parts, and one frame moved by the trained model.",
    alt="Three films side by side. The original moves through a slow movement; in the middle the same still is moved patch by patch, "
    "with its first outline left standing behind it; on the right the trained model draws the whole movement, arms and "
    "all, the raised sleeve a little patchy.",
)

# %% [markdown]
# ## In the paper, in the code
#
# | paper | code | shape | meaning |
# |---|---|---|---|
# | $h_k$ | `Keypoints.mean[:, k]` | (B, K, 2) | keypoint $k$ |
# | $\rho(h_k)$, our $d_k$ | `motion.displacements`, row $k$ | (B, K+1, 2) | $h_\text{source} - h_\text{driving}$; row 0 is the background |
# | $M_k$ (background: $M_{K+1}$) | `Motion.masks[:, k]` (background: 0) | (B, K+1, H, W) | weight of part $k$ at each driving pixel |
# | $\mathcal F_\text{coarse}$ | `motion.coarse_flow`, `Motion.coarse` | (B, H, W, 2) | $\sum_k M_k d_k$ |
# | $\mathcal F_\text{residual}$ | `Motion.residual` | (B, H, W, 2) | what the parts cannot say |
# | $\mathcal F$ | (not stored) | (B, H, W, 2) | coarse + residual |
# | – | `Motion.deformation` | (B, H, W, 2) | lattice + $\mathcal F$: where to read |
# | $M$ | `motion.MotionNetwork` | | the network that gives masks and residual |
#
# ## Recap
#
# - A displacement is source minus driving: it starts at the driving pixel and points to where its colour came from.
# - One displacement shifts the whole picture; a mask says where that copy is right. Masks lie in the driving frame.
# - Pasting averages colours, a coarse flow averages motions: ghosts here, rubber there; with hard masks they agree.
# - Shifts cannot turn; the residual can. What the source does not show, no flow can read.
# - Masks need no labels: the error of the picture teaches them, and they serve the error, not anatomy.
#
# ## To discuss
#
# 1. The camera pans slowly. What do background and masks do with that, and which part of the flow could mend it?
# 2. Two keypoints with the same displacement: can M tell their masks apart, and does it matter?
# 3. Later work (the First Order Motion Model) gives each keypoint a 2×2 matrix besides its displacement. Which of the two faults above
#    does that mend, and which not?
# 4. Why is the last layer of M started with a bias for the background? What would a first step without it look like?
#
# ## Further reading
#
# - Siarohin et al., *Animating Arbitrary Objects via Deep Motion Transfer*, CVPR 2019, section 3.2:
#   [arXiv:1812.08861](https://arxiv.org/abs/1812.08861).
# - Siarohin et al., *First Order Motion Model for Image Animation*, NeurIPS 2019: [arXiv:2003.00196](https://arxiv.org/abs/2003.00196).
# - Wang and Adelson, *Representing Moving Images with Layers*, IEEE Transactions on Image Processing, 1994: masks and motions, long before
#   networks.

# %%
ex.ledger()

# %%
ex.map()
