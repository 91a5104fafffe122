# %% [markdown]
# # 00 · A still picture moves
#
# You have one photograph of somebody, and a film of somebody else. Monkey-Net makes the photograph do what the film does.
# In this course you build it, piece by piece. Today you only play: you see it work, you pull its strings, you look inside,
# you draw a character of your own, and you hand in one line of code to learn how that goes.
#
# <!-- header -->
#
# **You will be able to**
# - say what goes into Monkey-Net and what comes out;
# - move a picture by its *keypoints*, and name the five things that lie between the points and the picture;
# - tell what evidence says about where the keypoints come from;
# - hand in an exercise: submit, fail, take a hint, pass.
#
# **You need** Python; if you have never seen a PyTorch tensor, read the
# [first tutorial](https://pytorch.org/tutorials/beginner/basics/tensorqs_tutorial.html), ten minutes. Everything else is explained when it comes up. Run the cells from top to bottom with Shift+Enter.

# %% tags=["parameters"]
FAST = False

# %% tags=["imports"]

# %%
ex.map()

# %% [markdown]
# This is the map of what you will build. Every lesson begins and ends with it, and the boxes that you have written are marked as yours.
# You need not understand a word of it yet.
#
# ## 1. One picture, one film
#
# The *source* is a single picture. The *driving* clip is a film of somebody else. The model has seen neither of them before: it was trained
# on films of other figures (drawn by a program, so that this course needs no photographs of real people).

# %%
from monkeynet_edu import animation, paths, viz, widgets
from monkeynet_edu.course.reference import pictures
from monkeynet_edu.data.datasets import ClipFolder
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.model import MonkeyNet

clips = ClipFolder(paths.data_set_path("mini-taichi"), "test", size=64)  # 20 short films
model = MonkeyNet.load(paths.weights_path("mini-taichi"))  # trained weights
source = to_tensor(clips[3].frames)[0]  # one picture: (3, 64, 64), numbers from 0 to 1
driving = to_tensor(clips[11].frames)[:32]  # a film: (32, 3, 64, 64)

made = animation.animate(model, source, driving, ex.device)
still = source.expand_as(driving)
ex.film(
    torch.cat([still, driving, made.prediction], dim=3)[:24:3],
    caption="One picture; a film of somebody else; what the model makes of both.",
    fps=6,
    alt="Three pictures side by side: a figure with red hair that stands still, a figure with a hat that lifts both arms, "
    "and the red-haired figure, which now lifts both arms too, their outlines a little frayed and the one on the right spotted.",
)

# %% [markdown]
# Look at the figure on the right: nobody has ever drawn those frames. Look again, critically: the raised arms have frayed
# outlines, and the one on the right is spotted. The model is small (1.2 million numbers, almost forty times fewer than the authors'), and in section 4 you will see where that comes from.
#
# ## 2. Pull the strings
#
# Monkey-Net describes a pose by ten points, its **keypoints**. Move one, and the picture follows.
#
# A point is a pair $(x, y)$. The left edge of the picture is $x = -1$, the right edge $x = 1$; the top is $y = -1$, the bottom $y = 1$, so **y points down**.
#
# **By hand.** A picture has 64 columns, numbered 0 to 63. Keypoint 7 lies at $x = 0.28$. That is $\frac{0.28 + 1}{2}$ = 0.64 of the way from the first column to the last: column $0.64 \cdot 63 \approx 40$.
#
# Keypoint 7 sits on a knee. Before you touch it, commit yourself:

# %%
ex.predict(
    "knee",
    "You drag keypoint 7, which lies on the knee on the right of the picture, up and to the right. What moves most?",
    {
        "leg": "that leg, because the point lies there",
        "trunk": "the trunk, although the point does not lie on it",
        "arm": "the arm above it",
        "all": "everything alike: the whole figure shifts",
    },
)

# %%
puppet = widgets.puppet(model, source)
puppet

# %% [markdown]
# Take your time with it. Which point moves which hand? Which one tips the head? Which ones seem to do nothing? (They are
# not broken. Lesson 03 shows what they look at.) Pull far enough, and the picture tears: that is worth seeing too.
#
# Now we measure: keypoint 7 goes up and to the right, and we ask where the change of the picture lies. (The program that drew the figure
# knows which pixel belongs to which part of the body; the model does not. We count the change on three parts of the *unmoved* figure; the rest, about half,
# lies on the head, on the other limbs and on the wall.)

# %%
move = widgets.swing(10, {7: (0.2, -0.25)}, frames=2)  # there and back in two frames
before, pulled = to_tensor(puppet.film(move))  # (3, 64, 64) each
change = (pulled - before).abs().mean(dim=0)  # (64, 64)

truth = clips[3].truth
parts = {
    "leg": ["left_thigh", "left_shin", "left_shoe"],
    "trunk": ["jacket", "collar", "belt", "hips"],
    "arm": ["left_upper_arm", "left_forearm", "left_hand"],
}
share = {}
for name, members in parts.items():
    labels = torch.tensor([truth.part_names.index(part) + 1 for part in members])
    on_part = torch.isin(torch.from_numpy(truth.labels[0]).long(), labels)
    share[name] = float(change[on_part].sum() / change.sum())
print("share of all change:", {name: f"{100 * value:.0f} %" for name, value in share.items()})

most = max(share, key=share.get)
key = "all" if min(share.values()) > 0.7 * share[most] else most
picture = viz.figure_images(
    [before, pulled, change / change.max()],
    ["before", "keypoint 7 moved", "change (white: most)"],
    "The figure before and after keypoint 7 on the knee was moved: trunk and head have gone up and to the right, "
    "the shoes stand where they stood, and the change is brightest on the trunk.",
)
ex.reveal("knee", key, ["The point on the knee takes the **trunk** along, and the head on it: it stands for them without lying on them. The leg only bends after them.", picture])

# %% [markdown]
# ## 3. Who put the points there?
#
# Systems that find elbows and knees are usually trained on pictures in which people have clicked on elbows and knees, thousands of times. Here?

# %%
ex.predict(
    "who",
    "How does the model know where its ten points belong?",
    {
        "labels": "people marked the points in the training films",
        "corners": "nobody: they sit where the picture has strong corners and edges",
        "motion": "nobody: it found them itself, as handles with which it can redraw one frame of a film from another",
    },
)

# %% [markdown]
# We collect evidence. **First:** somebody who marks people marks *both sides alike*. The program that drew the figure knows its joints. We measure how far
# each of them is from the nearest keypoint, on its right side and on its left (the width of the picture is 2).

# %%
found = animation.detect_clip(model, source[None], ex.device)  # keypoints: mean (1, 10, 2), cov (1, 10, 2, 2)
points = found.mean[0].cpu()
distance = torch.cdist(torch.from_numpy(truth.joints[0]), points).min(dim=1).values  # (13,), one for each joint
nearest = dict(zip(truth.joint_names, distance.tolist()))
sides = {joint: (nearest[f"right_{joint}"], nearest[f"left_{joint}"]) for joint in ("shoulder", "elbow", "wrist", "knee", "ankle")}
print("from the joint to the nearest keypoint:", {joint: f"{right:.1f} and {left:.1f}" for joint, (right, left) in sides.items()})
viz.figure_keypoints(
    source,
    points,
    title="ten keypoints, and none has a name",
    alt="The figure with its ten keypoints: one on the hair, two beside the chin, two on each arm, one at the belt, one on the knee on the right "
    "and one on the shin on the left.",
)

# %% [markdown]
# **Second:** somebody who marks the *right* arm marks it also in a mirror, where it appears on the other side. For this test we need a mirror. You write it.
#
# ### Exercise: a mirror
#
# A picture is a tensor of shape (3, H, W): three colours, H rows, W columns. `flip_x` gets any number of pictures, shape (..., H, W), and returns them mirrored left to right. (`...` stands for any number of
# axes, so count from the end: axis -1 is W, axis -2 is H.)
#
# This is how exercises work, here and in all lessons:
#
# 1. Run both cells below as they are. The verdict says **NOT ATTEMPTED**.
# 2. Replace the last line by `return image`, which is wrong, and run both again: **FAIL**. It says what was tried, what was expected and what came.
# 3. Ask for a hint in a new cell: `ex.hint("flip-x")`. There are three; the third nearly gives it away.
# 4. Write what is right: **PASS**. From then on, *your* function is the one that the lesson uses.

# %% exercise="flip-x"

# %% [markdown]
# Now hold the mirror up, and look for keypoint 8, which is at the wrist on the left side of the picture.

# %%
mirrored = pictures.flip_x(source)
in_mirror = animation.detect_clip(model, mirrored[None], ex.device).mean[0].cpu()
both = viz.figure_images(
    [viz.draw_keypoints(source, points, scale=3), viz.draw_keypoints(mirrored, in_mirror, scale=3)],
    ["the picture", "in the mirror"],
    "The figure and its mirror image, each with ten keypoints: keypoint 8 is at the wrist on the left in both, "
    "although in the mirror that is the other arm.",
)
widgets.Still.of(both, dpi=70)

# %%
ex.used("flip-x")

# %%
same_place = float((in_mirror[8] - points[8]).norm())  # it stayed on the left of the picture
same_arm = float((in_mirror[8] - points[8] * torch.tensor([-1.0, 1.0])).norm())  # it went with the arm
uneven = max(sides, key=lambda joint: abs(sides[joint][0] - sides[joint][1]))
near, far = sorted(sides[uneven])
print(f"keypoint 8 in the mirror: {same_place:.1f} from where it was, {same_arm:.1f} from the same arm")

key = "labels" if far - near < 0.15 or same_arm < same_place else "motion"
ex.reveal(
    "who",
    key,
    f"One {uneven} has a point {near:.1f} away; from the other it is {far:.1f} to the nearest: nobody who marks people forgets one of two {uneven}s. And in the mirror, "
    "keypoint 8 does not follow the arm; it takes whatever arm is on the left. (Somebody who marks \"the arm on the left of the picture\" would pass "
    "this second test, but not the first.) Corners are out as well: the strongest edges are those of the white sash, and no point lies on it. "
    "The model was given two frames of a film and one task, *redraw the second from the first, with ten points for help*, and it chose the points that help.",
)

# %% [markdown]
# That is the idea of the paper in one sentence: **learn to redraw, and the keypoints come by themselves.** Nothing in it is about people, so it works for
# robots and animals too.
#
# ## 4. What is inside
#
# Between two pictures and the result lie five things, and you will build them all. We take one frame of the driving film and stop at each.

# %%
t = 12
height = made.deformation.shape[1]
flow = (made.deformation[t] - made.deformation[0]) * (height - 1) / 2  # in pixels of the flow, against the first frame
inside = viz.figure_images(
    [
        viz.draw_keypoints(driving[t], made.driving.mean[t].cpu(), scale=3),
        viz.draw_keypoints(source, made.moved.mean[t].cpu(), scale=3),
        viz.masks_to_rgb(made.masks[t]),
        viz.flow_to_rgb(flow),
        made.deformed[t],
        made.prediction[t],
    ],
    ["1 driving frame", "2 source, points moved", "3 part masks", "4 flow", "5 deformed source", "6 generated frame"],
    "Six pictures from left to right: a driving frame with outstretched arms and its keypoints; the source with its own keypoints moved the same way; "
    "the part masks, a grey background with patches of colour at head, trunk and arms; the flow, strongest at both arms and where they hung before; "
    "the deformed source, whose arms are outstretched, with ragged outlines, and have left thin strips beside the hips; and the generated frame, "
    "with clear dark outlines and hardly anything left of the strips.",
)
widgets.Still.of(inside, dpi=70)

# %% [markdown]
# From left to right:
#
# 1. **Keypoints** (lesson 03): ten points for each frame. What counts is how they *move*: the driving points' movement is added to the source's points.
# 2. The source's points, moved.
# 3. **Part masks** (lesson 04): each pixel says which keypoint it goes with. Grey is background.
# 4. **Flow** (lessons 01, 04): each pixel says from where in the source it takes its colour. White is "from right here"; a colour is a direction.
# 5. **Deformed source** (lesson 01): the colours fetched. Nothing is painted yet. Look at the arms: they have arrived, in rags; and beside the hips
#    thin strips of them have stayed behind.
# 6. **Generated frame** (lessons 02, 05): a network mends what was fetched: it draws outlines, fills arms and takes the strips away. What the fetching has torn it has to
#    invent, and that is why the arm on the right is spotted. Where fetching works, the picture stays sharp: look at the face.
#
# How such a network is *trained* is the matter of lessons 06 and 07, and lesson 08 makes films.
#
# ## 5. A character of your own
#
# From now on somebody accompanies you: a character that you draw, by numbers. It appears at the end of every lesson, in whatever you have built by then. No training film shows it, so it is always a fair test.

# %%
from monkeynet_edu.course.character import designer

designer(ex.progress)

# %% [markdown]
# Press **Keep this character** when you like it (you can come back at any time). The same in code: `ex.keep_character(Character(name="Ada", hairstyle="bun"))`,
# with `from monkeynet_edu.course.character import Character`.

# %%
ex.character.picture()

# %% [markdown]
# ## 6. Make: your motion, your character
#
# Go back to the puppet, press **Record**, move a point or two for a few seconds, press **Stop recording**. The cell below takes your recorded motion and gives it
# to your character, whose keypoints the model finds anew. If you recorded nothing, three points move for you: one on the head, one on a shin and one at an elbow.

# %%
portrait = to_tensor(ex.character.clip(length=1).frames)[0]
lift = widgets.swing(10, {0: (0.15, -0.3), 3: (-0.12, 0.0), 9: (-0.12, 0.0)})
motion = lift if puppet.motion is None else puppet.motion  # (T, 10, 2): how far each point goes
whose = "a motion made for you" if puppet.motion is None else "your recorded motion"
ex.film(
    puppet.film(motion, portrait)[::2],
    caption=f"{ex.character.name} in {whose}.",
    fps=8,
    alt=f"Film of the drawn character {ex.character.name}, moved by {whose}.",
)

# %% [markdown]
# ## 7. The film
#
# And this is what the whole course is about: one picture of your character, and somebody else's dance.

# %%
dance = animation.animate(model, portrait, driving, ex.device)
ex.film(
    torch.cat([driving, dance.prediction], dim=3)[:24:3],
    caption=f"{ex.character.name} learns a movement from a stranger.",
    fps=6,
    alt=f"Two films side by side: a figure with a hat lifts both arms, and {ex.character.name}, drawn from one picture, does the same; "
    "the sleeve on the right is spotted and its outline frayed.",
)

# %% [markdown]
# ## Symbols
#
# | paper | here | code |
# |---|---|---|
# | $x$ | source picture | `source` |
# | $x'$ | driving frame | `driving[t]` |
# | $h_k$ | keypoint number k, a point $(x, y)$ | `found.mean` |
# | $M_k$ | part mask | `made.masks` |
# | $\mathcal{F}$ | flow | `made.deformation` (where each pixel reads) |
# | $\hat{x}'$ | generated frame | `made.prediction` |
#
# ## What you have seen
#
# - One picture and one film go in; a film of the picture comes out.
# - The pose is ten points. Nobody marked them: they came out of the task of redrawing.
# - A point need not lie on what it moves.
# - Points → masks → flow → deformed source → generated frame.
# - Exercises: submit, fail, hint, pass; then your code is inside.
#
# ## To discuss
#
# 1. Keypoints 2 and 4 hardly move the figure. What could they be good for, if the model was only rewarded for redrawing?
# 2. You pulled the puppet until it tore. What did the model do where it had nothing to show?
# 3. Films of people who never moved like that: who could be harmed by one, and what would you want a tool like this to do about it? (Every film here says *synthetic*. Lesson 08 comes back to it.)
#
# ## Further reading
#
# - Siarohin and others, *Animating Arbitrary Objects via Deep Motion Transfer*, CVPR 2019: [arXiv:1812.08861](https://arxiv.org/abs/1812.08861). Look at Figure 2 and find the five things.
# - The authors' page of results: [github.com/AliaksandrSiarohin/monkey-net](https://github.com/AliaksandrSiarohin/monkey-net).

# %%
ex.map()
