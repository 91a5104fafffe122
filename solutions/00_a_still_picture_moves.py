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
    "and the red-haired figure, which now lifts both arms too, her hands a little blurred.",
)

# %% [markdown]
# Look at the figure on the right: nobody has ever drawn those frames. Look again, critically: the hands are blurred, and the arms
# are a little thin. The model is small (1.2 million numbers, almost forty times fewer than the authors'), and in section 4 you will see where the blur comes from.
#
# ## 2. Pull the strings
#
# Monkey-Net describes a pose by ten points, its **keypoints**. Move one, and the picture follows.
#
# A point is a pair $(x, y)$. The left edge of the picture is $x = -1$, the right edge $x = 1$; the top is $y = -1$, the bottom $y = 1$, so **y points down**.
#
# **By hand.** A picture has 64 columns, numbered 0 to 63. Keypoint 0 lies at $x = 0.15$. That is $\frac{0.15 + 1}{2}$ = 0.575 of the way from the first column to the last: column $0.575 \cdot 63 \approx 36$.
#
# Keypoint 0 sits on the belt. Before you touch it, commit yourself:

# %%
ex.predict(
    "leg",
    "You drag keypoint 0, which lies on the belt, up and to the right. What moves most?",
    {
        "belt": "the belt and the hips, because the point lies there",
        "leg": "a leg, although no point lies on it",
        "arm": "the arm next to it",
        "all": "everything alike: the whole figure shifts",
    },
)

# %%
puppet = widgets.puppet(model, source)
puppet

# %% [markdown]
# Take your time with it. Which point moves which hand? Which one tips the head? Which ones seem to do nothing? (Those that lie in the air
# beside and above the figure are not broken. You will find out.) Pull far enough, and the picture tears: that is worth seeing too.
#
# Now we measure: keypoint 0 goes up and to the right, and we ask where the change of the picture lies. (The program that drew the figure
# knows which pixel belongs to which part of the body; the model does not. We count the change on three parts of the *unmoved* figure; the rest, more than half,
# lies on the other parts and, most of it, on the wall, over which the leg and the arm go.)

# %%
move = widgets.swing(10, {0: (0.2, -0.25)}, frames=2)  # there and back in two frames
before, pulled = to_tensor(puppet.film(move))  # (3, 64, 64) each
change = (pulled - before).abs().mean(dim=0)  # (64, 64)

truth = clips[3].truth
parts = {
    "belt": ["belt", "hips"],
    "leg": ["left_thigh", "left_shin", "left_shoe"],
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
    ["before", "keypoint 0 moved", "change (white: most)"],
    "The figure before and after keypoint 0 on the belt was moved: the leg on the right is lifted, "
    "and the change is brightest along that leg.",
)
ex.reveal("leg", key, ["The point on the belt lifts a **leg**: it stands for a leg without lying on one. The hand beside it stirs a little, the belt hardly.", picture])

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
# We collect evidence. **First:** somebody who marks people marks *something on people*. We measure how far each keypoint is from the nearest
# joint of the figure (the width of the picture is 2).

# %%
found = animation.detect_clip(model, source[None], ex.device)  # keypoints: mean (1, 10, 2), cov (1, 10, 2, 2)
points = found.mean[0].cpu()
distance = torch.cdist(points, torch.from_numpy(truth.joints[0])).min(dim=1).values
print("distance to the nearest joint:", [round(float(d), 1) for d in distance])
viz.figure_keypoints(
    source,
    points,
    title="ten keypoints, and none has a name",
    alt="The figure with its ten keypoints: four crowd on the head, one on each forearm, one at the belt, one at the waist, one above the "
    "head and one in the air beside the figure.",
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
# Now hold the mirror up, and look for keypoint 1, which is on the forearm on the left side of the picture.

# %%
mirrored = pictures.flip_x(source)
in_mirror = animation.detect_clip(model, mirrored[None], ex.device).mean[0].cpu()
both = viz.figure_images(
    [viz.draw_keypoints(source, points, scale=3), viz.draw_keypoints(mirrored, in_mirror, scale=3)],
    ["the picture", "in the mirror"],
    "The figure and its mirror image, each with ten keypoints: keypoint 1 is on the forearm on the left in both, "
    "although in the mirror that is the other arm.",
)
widgets.Still.of(both, dpi=70)

# %%
ex.used("flip-x")

# %%
same_place = float((in_mirror[1] - points[1]).norm())  # it stayed on the left of the picture
same_arm = float((in_mirror[1] - points[1] * torch.tensor([-1.0, 1.0])).norm())  # it went with the arm
far = float(distance.max())
print(f"keypoint 1 in the mirror: {same_place:.1f} from where it was, {same_arm:.1f} from the same arm")

key = "labels" if far < 0.3 or same_arm < same_place else "motion"
ex.reveal(
    "who",
    key,
    f"One point is {far:.1f} away from every joint, a third of the picture: nobody who marks people marks air. And in the mirror, "
    "keypoint 1 does not follow the arm; it takes whatever arm is on the left. (Somebody who marks \"the arm on the left of the picture\" would pass "
    "this second test, but not the first.) Corners are out as well: in the air beside the figure there is none. "
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
    "the part masks, grey background around a coloured body; the flow, strongest at both arms; the deformed source, whose arms have only got thinner; "
    "and the generated frame, with outstretched, blurred arms.",
)
widgets.Still.of(inside, dpi=70)

# %% [markdown]
# From left to right:
#
# 1. **Keypoints** (lesson 03): ten points for each frame. What counts is how they *move*: the driving points' movement is added to the source's points.
# 2. The source's points, moved.
# 3. **Part masks** (lesson 04): each pixel says which keypoint it goes with. Grey is background.
# 4. **Flow** (lessons 01, 04): each pixel says from where in the source it takes its colour. White is "from right here"; a colour is a direction.
# 5. **Deformed source** (lesson 01): the colours fetched. Nothing is painted yet. Look at the arms: they have thinned out, but they did not arrive.
# 6. **Generated frame** (lessons 02, 05): a network redraws the whole, and invents what is missing. Here it painted both arms almost from nothing,
#    out of what the keypoints told it, and that is why they are blurred. Where fetching works, the picture stays sharp: look at the face.
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
# to your character, whose keypoints the model finds anew. If you recorded nothing, three points move for you: the one on the belt and two on the head.

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
    "the raised hands are blurred.",
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
# 1. The keypoint in the air hardly moves the figure. What could it be good for, if the model was only rewarded for redrawing?
# 2. You pulled the puppet until it tore. What did the model do where it had nothing to show?
# 3. Films of people who never moved like that: who could be harmed by one, and what would you want a tool like this to do about it? (Every film here says *synthetic*. Lesson 08 comes back to it.)
#
# ## Further reading
#
# - Siarohin and others, *Animating Arbitrary Objects via Deep Motion Transfer*, CVPR 2019: [arXiv:1812.08861](https://arxiv.org/abs/1812.08861). Look at Figure 2 and find the five things.
# - The authors' page of results: [github.com/AliaksandrSiarohin/monkey-net](https://github.com/AliaksandrSiarohin/monkey-net).

# %%
ex.map()
