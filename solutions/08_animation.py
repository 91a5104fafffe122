# %% [markdown]
# # 08 · Animation
#
# Seven lessons long you have built a machine that redraws a frame of a film from another frame *of the same film*. Now
# comes what it was built for: a still picture of one character takes over the motion of **another** one. You write the
# few lines that carry the motion across. Most of this lesson is about the question when they work, how to know it
# before you look, and when it should not be done at all.
#
# <!-- header -->
#
# **You will be able to**
# - carry a motion over with equation 10 of the paper, and say why it adds *differences* and not poses;
# - correct for a figure of another size, with the right power of its area;
# - measure whether two poses fit, choose the reference frame by it, and repair a broken film;
# - tell whether a model has ever seen such a picture;
# - say what consent means here, and mark what you export.
#
# **You need** lessons 03 (keypoints and their ellipses) and 04 (flow from parts). The weights are those that come with the
# library; to use your own from lesson 07, put the path of your run's folder into `WEIGHTS` below. (Section 6 then needs
# `alignment.Domain.of(model, sprites.training_clips("mini-taichi", clips=200, frames=1))` in place of `Domain.load(…)`.)

# %% tags=["parameters"]
FAST = False

# %% tags=["imports"]

# %%
ex.map()

# %% [markdown]
# ## 1. Two films and a still picture
#
# Your character stands still: one picture is all we have of it. The small figure Pip has been filmed. We want *your*
# character to do what Pip does.
#
# Since all of them are drawn by a program, there is something that nobody has in real life: the **true target**, your
# character really doing Pip's movement. We use it only to measure.

# %%
from monkeynet_edu import paths
from monkeynet_edu.course.character import Character, Colours, Proportions
from monkeynet_edu.course.lessons import figures08 as figures
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.model import MonkeyNet

MOTION, LENGTH = 5, 48
pip = Character(
    "Pip", Proportions(height=0.86, build=0.85, arms=0.9), Colours(jacket="#2a9d8f", trousers="#6d3b8c"),
    hairstyle="bun", legs="long", pattern="plain", background=11,
)
target_clip, film_clip = (who.clip(motion=MOTION, length=LENGTH) for who in (ex.character, pip))
target, film = to_tensor(target_clip.frames[::2]), to_tensor(film_clip.frames[::2])  # (T, 3, 64, 64), T = 24
still = target[0]  # the one picture that we "have"

shown = (0, 5, 10, 16, 21)
figures.figure_films(
    {"still picture": still, "Pip's film": film, "true target": target},
    shown,
    "First row: your character standing, always the same picture. Second row: Pip raises one arm after the other and "
    "leans. Third row: your character does the same, as the program draws it.",
)

# %% [markdown]
# The detector finds ten keypoints in the still picture and in every frame of the film: `Keypoints(mean, cov)`, places
# (T, 10, 2) and covariances (T, 10, 2, 2). Places run from -1 to 1; 64 pixels are 63 steps, so a distance times 63 / 2 is
# one in pixels.

# %%
WEIGHTS = paths.weights_path("mini-taichi")
PIXELS = 63 / 2  # a distance in the picture, times this: in pixels
model = MonkeyNet.load(WEIGHTS).to(ex.device.device)
source = animation.detect_clip(model, still[None], ex.device)  # Keypoints (1, 10)
driving = animation.detect_clip(model, film, ex.device)  # Keypoints (T, 10)
wanted = animation.detect_clip(model, target, ex.device)  # of the true target: for measuring only
print("source:", tuple(source.mean.shape), " driving:", tuple(driving.mean.shape))

# %% [markdown]
# ## 2. Poses or movements?
#
# The generator takes a picture, the keypoints in it, and the keypoints that it shall have. Which ones do we ask for?
#
# - **Absolute transfer:** Pip's own keypoints, $h_t = h_{\text{film},t}$.
# - **Relative transfer** (equation 10): your character's keypoints, moved as Pip's have moved since a *reference
#   frame* $r$,
#   $$h_t = h_{\text{source}} + \big(h_{\text{film},t} - h_{\text{film},r}\big).$$
#
# **By hand.** Your character's hand is at $(0.5, -0.5)$. Pip's hand is at $(-0.2, 0)$, then at $(0, 0.1)$, then at
# $(0.1, 0.3)$; the reference is the second frame. In the third one Pip's hand has moved by
# $(0.1, 0.3) - (0, 0.1) = (0.1, 0.2)$ since then. So yours goes to $(0.5, -0.5) + (0.1, 0.2) = (0.6, -0.3)$. Where Pip
# stands never came in.

# %%
ex.predict(
    "whose-body",
    "Pip is small and has short arms. With absolute transfer, what does your character look like?",
    {
        "same": "its own build: a keypoint says where a part is, not how large the body is",
        "shrunk": "pulled towards Pip's build: keypoints carry the body that they were found on",
        "pip": "like Pip, clothes and all",
    },
)

# %% tags=["nbval-ignore-output"]
absolute = animation.animate(model, still, film, ex.device, Transfer("absolute"))


def apart(found, others):
    """Mean distance of keypoints in pixels."""
    return float((found.mean - others.mean).norm(dim=-1).mean()) * PIXELS


redrawn = animation.detect_clip(model, absolute.prediction, ex.device)
gaps = {"same": apart(redrawn, wanted), "shrunk": apart(redrawn, driving)}
key = min(gaps, key=gaps.get)
ex.reveal(
    "whose-body",
    key,
    [
        f"We detect the keypoints again, in the animation: they are {gaps['same']:.1f} pixels from those of the true target "
        f"and **{gaps['shrunk']:.1f}** from Pip's. Places of parts *are* the build. Colours and clothes come from the "
        "picture, so nobody turns into Pip.",
        figures.figure_films(
            {"absolute": absolute.prediction, "true target": target},
            shown,
            "Absolute transfer beside the true target: the head sits lower, where Pip's is, and the arms are shorter.",
        ),
    ],
)

# %% [markdown]
# ### Exercise: relative transfer
# `source` is (1, K, 2), `driving` (T, K, 2), `reference` the number of a frame. `scale` multiplies the movement, and
# nothing else; you will need it in a moment.

# %% exercise="relative-transfer"

# %%
hand = animation.relative_means(torch.tensor([[[0.5, -0.5]]]), torch.tensor([[[-0.2, 0.0]], [[0.0, 0.1]], [[0.1, 0.3]]]), 1)
print("the hand, computed above:", [round(v, 2) for v in hand[2, 0].tolist()])

# %% tags=["nbval-ignore-output"]
def error(made):
    """Mean distance of the keypoints in an animation from those in the true target, in pixels."""
    return apart(animation.detect_clip(model, made.prediction, ex.device), wanted)


relative = animation.animate(model, still, film, ex.device, Transfer("relative", reference=0))
print(f"absolute: {error(absolute):.1f} pixels off; relative: {error(relative):.1f} pixels off")
figures.figure_films(
    {"relative": relative.prediction, "true target": target},
    shown,
    "Relative transfer beside the true target: same place and build, and the arms follow; one that stretches far out is frayed.",
)

# %%
ex.used("relative-transfer")

# %% [markdown]
# ## 3. A figure of another size
#
# Suppose that Pip had been filmed from twice as far. Everything in the film is half as large: the figure, and its
# movements too. The paper's authors compare the sizes of two figures by the **convex hull** of the keypoints: the area
# inside a rubber band stretched round all of them.

# %% tags=["nbval-ignore-output"]
distant = Keypoints(0.5 * driving.mean, 0.25 * driving.cov)  # lengths halve, variances quarter
ratio = hull_area(source.mean[0]) / hull_area(distant.mean[0])
print(f"area of your character's hull / area of the distant figure's: {ratio:.1f}")
ex.predict(
    "how-far",
    f"Your character's hull has {ratio:.1f} times the area of the figure in the distant film. A hand in the film rises by "
    "5 pixels. How far should yours rise?",
    {
        "one": "5 pixels: a movement is a movement",
        "root": f"about {5 * math.sqrt(ratio):.0f} pixels",
        "area": f"about {5 * ratio:.0f} pixels: {ratio:.1f} times as large, {ratio:.1f} times as far",
    },
)

# %%
off = {}
for name, scale in {"one": 1.0, "root": math.sqrt(ratio), "area": ratio}.items():
    moved = source.mean + scale * (distant.mean - distant.mean[0])
    off[name] = float((moved - wanted.mean).norm(dim=-1).mean()) * PIXELS
key = min(off, key=off.get)
ex.reveal(
    "how-far",
    key,
    f"The root of the ratio puts the points nearest to the true ones: {off['root']:.1f} pixels off on average. The "
    f"movement as it is gives {off['one']:.1f}, the movement times the ratio {off['area']:.1f}.",
)

# %% [markdown]
# **By hand.** A figure whose hull is a rectangle of $0.4 × 0.9$ covers 0.36. One of $0.2 × 0.45$ covers 0.09. The areas
# are in the ratio 4. But movements are *lengths*: the large figure's arms are twice as long, so it has to move
# $\sqrt{4} = 2$ times as far.
#
# ### Exercise: hull scale
# Both arguments are (K, 2). `hull_area(points)` gives you an area, as a plain number. Mind the case without an area:
# points on a line (or fewer than three) say nothing about size. (An area below a millionth is rounding: `hull_area`
# says 0 then.)

# %% exercise="hull-scale"

# %% [markdown]
# `transfer_keypoints` computes the keypoints that the picture shall have, with your two functions inside;
# `Transfer(scaling="hull")` asks for the scale. `draw` makes the pictures.

# %% tags=["nbval-ignore-output"]
goals = {
    "not scaled": animation.transfer_keypoints(source, distant, Transfer()),
    "hull scale": animation.transfer_keypoints(source, distant, Transfer(scaling="hull")),
    "ratio of areas": Keypoints(source.mean + ratio * (distant.mean - distant.mean[0]), distant.cov),
}
films = {}
for name, goal in goals.items():
    goal = Keypoints(goal.mean, driving.cov)  # shapes as seen from near: here only movements are compared
    films[name] = torch.cat([d.prediction for d in animation.draw(model, still[None], source, goal, ex.device)]).cpu()
figures.figure_films(
    films,
    shown,
    "Driven by the distant film. Not scaled: small movements. Hull scale: arms rise as in Pip's film. Ratio of areas: "
    "parts fly far beyond, and the figure tears.",
)

# %%
ex.used("hull-scale")

# %% [markdown]
# Between figures of about the same size the hull says little (a raised arm enlarges it too), so the library scales only
# when asked: `Transfer(scaling="hull")`, `monkeynet-edu animate --scaling hull`.

# %% [markdown]
# ## 4. Which frame is the reference?
#
# So far it was frame 0, and all was well: both figures stood at ease. Now we have *another* picture of your character,
# taken in mid-movement.

# %%
MOMENT = 17
picture = target[MOMENT]
raised = wanted[MOMENT : MOMENT + 1]  # its keypoints
ex.predict(
    "arms-up",
    "In the picture one arm is up already. In the film both arms begin at the sides, then rise one after the other. "
    "Relative to frame 0, what happens to the raised arm?",
    {
        "stays": "nothing: it is up already",
        "follows": "it comes down first and then follows Pip's arm",
        "double": "it rises once more, from where it is",
    },
)

# %% tags=["nbval-ignore-output"]
broken = animation.animate(model, picture, film, ex.device, Transfer("relative", reference=0))
arm = int((source.mean - raised.mean)[0, :, 1].argmax())  # the keypoint that is higher than at rest (y points down)
lifted = (raised.mean[0, arm, 1] - broken.moved.mean[:, arm, 1]) * PIXELS  # (T,), above its place in the picture
up, down = float(lifted.max()), float(-lifted.min())
leaves = ", out of the picture," if float(broken.moved.mean[:, arm, 1].min()) < -1 else ""
key = "stays" if max(up, down) < 4 else "double" if up > down else "follows"
ex.reveal(
    "arms-up",
    key,
    [
        "Equation 10 adds Pip's movement *since frame 0*. At frame 0 that is zero, so the arm stays up; as Pip's arm "
        f"rises, yours rises **again**: its keypoint goes up by {up:.0f} pixels more{leaves} and never comes down by more than "
        f"{down:.0f}. The keypoints end up {error(broken):.1f} pixels from the true ones on average "
        f"(with the first picture it was {error(relative):.1f}).",
        figures.figure_films(
            {"Pip's film": film, "from frame 0": broken.prediction},
            shown,
            "Below Pip's film: a picture with a raised arm, animated relative to frame 0: the raised arm does not "
            "come down; it frays and loses its hand, and the body leans out of its place.",
        ),
    ],
)

# %% [markdown]
# The paper says so itself (section 3.5): relative transfer needs a source and a reference **in the same pose**. The
# first frame is only a habit. Any frame of the film can be the reference; which one fits?
#
# ### Comparing poses
# We have points on both bodies, but the bodies differ in place, size and build, and only the *pose* shall count. The
# classic tool is the **Procrustes distance** (after the innkeeper of the Greek myth who made every guest fit his bed):
# 1. **Place** out: subtract the middle of the points.
# 2. **Size** out: divide by the root of the sum of all squared coordinates.
# 3. What is left is the pose: the root of the sum of squared differences.
#
# **By hand.** The points $(0, 0), (2, 0)$ have the middle $(1, 0)$; centred: $(-1, 0), (1, 0)$; the squares sum to 2;
# divided by $\sqrt2$: $(-0.71, 0), (0.71, 0)$. The points $(1, 1), (1, 5)$ give $(0, -2), (0, 2)$, the squares sum to
# 8, and so $(0, -0.71), (0, 0.71)$. The four differences are all ±0.71, their squares sum to 2: the distance is
# $\sqrt2 = 1.41$. A lying and a standing pair have nothing in common. (A pair and the same pair upside down are 2 apart.)
#
# Textbooks also turn one set until it fits best. We do not: the flow of a part is a shift, so a figure that leans *is*
# in another pose.
#
# ### Exercise: the Procrustes distance (blank page)
# Write `procrustes_distance(points, others)`. Both are (..., P, 2), and their leading dimensions broadcast: a film of T
# poses (T, P, 2) against one pose (1, P, 2) gives T distances. Tensor operations only: a network that learns keypoints
# might want its gradient. (At distance 0 a plain root has none: it gives NaN. The library's own version therefore keeps
# at least $10^{-24}$ under its last root; yours need not.)

# %% exercise="procrustes"

# %%
lying, standing = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[1.0, 1.0], [1.0, 5.0]])
print(f"lying and standing: {float(alignment.procrustes_distance(lying, standing)):.3f}")

# %% [markdown]
# The library gives your function a little more than the means: for every keypoint four points **on its ellipse**
# (`alignment.ellipse_points`), so that the direction of a forearm counts as well as its place. The distance of these is
# the **fit score**: 0 is the same pose, 1.4 has nothing in common. In one film nothing comes near 1.4, since a head stays
# above its feet. In practice up to 0.17 is good, and above 0.25 the animation breaks down where the film moves much
# (`alignment.GOOD_FIT`, `alignment.POOR_FIT`, measured with these weights).
#
# Here it is for every frame of Pip's film against your picture, above what nobody has in real life: the true distance of
# the joints.

# %% tags=["nbval-ignore-output"]
scores = alignment.fit_score(raised, driving)  # (T,), runs procrustes_distance inside
ours, pips = (torch.from_numpy(clip.truth.joints[::2]) for clip in (target_clip, film_clip))
ours, pips = ours - ours.mean(dim=1, keepdim=True), pips - pips.mean(dim=1, keepdim=True)
pixels = (pips - ours[MOMENT]).norm(dim=-1).mean(dim=-1) * PIXELS
best = int(scores.argmin())
figures.figure_fit(scores.cpu(), pixels, best)

# %%
ex.used("procrustes")

# %% [markdown]
# The score was computed without joints, without labels, without anybody having told the model what an arm is.
#
# ## 5. Another reference
# Same picture, same film.

# %%
ex.predict(
    "repair",
    "We animate the picture again, now relative to the frame with the lowest score. How does its error compare with that "
    "from frame 0?",
    {
        "little": "about the same: a reference only shifts the whole film",
        "half": "a little better: between a half and all of it",
        "most": "most of the error is gone: less than half is left",
        "any": "worse: any other frame than the first is a guess",
    },
)

# %% tags=["nbval-ignore-output"]
repaired = animation.animate(model, picture, film, ex.device, Transfer("relative", reference=best))
left = error(repaired) / error(broken)
key = "most" if left < 0.5 else "half" if left < 0.9 else "little" if left < 1.1 else "any"
ex.reveal(
    "repair",
    key,
    [
        f"{error(broken):.1f} pixels from frame 0, **{error(repaired):.1f}** from frame {best}. At the beginning of the "
        f"film Pip's arm is lower than in frame {best}, so your character's arm comes *down* first. (It is smeared there: "
        "no keypoint has a longer way to go.)",
        figures.figure_films(
            {"from frame 0": broken.prediction, f"from frame {best}": repaired.prediction, "true target": target},
            shown,
            "The same picture animated from two references. From frame 0 the arm stays up and the body leans; from the "
            "frame that fits best all is close to the true target, but for the arm that comes down, which is smeared.",
        ),
    ],
)

# %% [markdown]
# ### Any reference works?
# Try some. The table has the score of a reference, known *before* anything is drawn, beside the error of the film,
# known only afterwards and only here.

# %% tags=["nbval-ignore-output"]
some = (0, best) if ex.fast else (0, 6, 12, 14, best, 23)
print("reference   fit score   error of the film")
for reference in sorted(set(some)):
    made = animation.animate(model, picture, film, ex.device, Transfer("relative", reference))
    print(f"{reference:9}   {float(scores[reference]):9.2f}   {error(made):6.1f} px")

# %% [markdown]
# `animation.animate` chooses by itself when you give it no transfer, and `monkeynet-edu animate` prints the score. This
# is what both ask:

# %% tags=["nbval-ignore-output"]
found = alignment.align(raised, driving)
print(found.describe())
stubborn = alignment.align(raised, driving[:12])  # only the first half of the film, with the other arm
print(stubborn.describe())
print(stubborn.advice() or "(no advice needed)")

# %% [markdown]
# In the second case no reference can help: the film never comes near the pose. Then take another picture, another film,
# or absolute transfer and its price. To *know* this beforehand is worth more than a better network.

# %% [markdown]
# ## 6. Another kind of picture
#
# The model knows cartoon people on cartoon grounds, and nothing else.
#
# ### Your photo
# Put the path of a picture of your own between the quotes: your face, your cat. (It stays on your computer.) Without
# one, a portrait drawn by a few formulas stands in.

# %%
PHOTO = ""

# %% tags=["nbval-ignore-output"]
stranger = figures.photo(PHOTO)
name = "your photo" if PHOTO else "a stand-in for your photo"
viz.figure_images([stranger], [name], alt="The picture of the experiment: a portrait, unless you chose another one.")

# %%
ex.predict(
    "stranger",
    "We animate this picture with Pip's film. What will the model do?",
    {
        "refuses": "raise an error, or draw nothing: there is no figure that it knows",
        "learned": "find eyes, mouth and hands by itself: keypoints are learned without labels",
        "smears": "draw something, without a word, that is no movement of what is in the picture",
    },
)

# %% tags=["nbval-ignore-output"]
domain = alignment.Domain.load(alignment.domain_path(WEIGHTS), model)
strange = animation.animate(model, stranger, film, ex.device)
score = float(domain.scores(model, stranger[None]))
drawn = bool(strange.prediction.isfinite().all())
key = "refuses" if not drawn else "smears" if score > 1 else "learned"
ex.reveal(
    "stranger",
    key,
    [
        f"A film came out, without a word. What it would be worth could have been known beforehand: the picture's *domain "
        f"score*, explained below, is **{score:.1f}**, and only up to 1 is known ground.",
        figures.figure_films(
            {"animation": strange.prediction},
            shown,
            "A picture unlike those of training, animated: patches of it are pushed about where Pip's arms move.",
        ),
    ],
)

# %% [markdown]
# ### Has it ever seen such a thing?
# A network does not say "I don't know": it draws something, always. So we ask it in another way. The encoder of the
# detector turns a picture into channels; we take the mean and the spread of each channel over the picture, for 200
# pictures of the training kind, and describe those numbers by one large Gaussian, an ellipse as in lesson 03 but with
# hundreds of axes. The **domain score** is the distance of a new picture from its middle, counted in standard deviations
# and divided by that of the strangest known picture. Up to 1: as in training. Above: unlike anything it has seen.

# %% tags=["nbval-ignore-output"]
from monkeynet_edu.data.sprites import make_scene, render

kinds = {"your character": target[::3], "Pip": film[::3]}
for name in ("mini-nemo", "mini-bair", "mini-mgif"):
    kinds[name] = to_tensor(render(make_scene(name, 7, 1), [0, 5, 10, 15]).frames)
kinds["the photo"] = stranger[None]
figures.figure_domain({name: domain.scores(model, pictures) for name, pictures in kinds.items()})

# %% [markdown]
# The other miniatures are refused as well: this model has never seen faces, robots or animals. A score above 1 is no
# verdict on the picture but on the *training*: with films of your cat it would know your cat.

# %% [markdown]
# ## 7. May I?
#
# What you built moves a person who never moved that way. With a larger model and a portrait from the web, the same lines
# make somebody say, do or nod to things that never happened. That is what **deepfake** means, and you now know how short
# the code is.
#
# - **Consent comes before code.** The person in the picture and the one in the film both have to agree, to *this* use:
#   a "yes" to a photo is none to a film of it. Children, colleagues and strangers from the web are no material. For
#   the dead, ask those who are left.
# - **Being able to tell is part of consent.** Viewers agree to be shown fiction, not to be misled. In the European Union
#   whoever publishes a deepfake has to disclose it (AI Act, article 50); elsewhere other laws protect a person's image.
# - **A joke travels.** Without its caption, cut out of its context, your film is evidence of something.
# - **Detectors do not save us.** They lag behind generators. Marks at the source, signed metadata (C2PA) and a habit of
#   asking where a picture comes from do more.
#
# Your character is safe ground: you invented it, and it agreed to everything. Train on people only with their consent.
#
# **Mark what you export.** Everything `monkeynet-edu animate` writes says *synthetic* in its corner, in the pixels,
# since metadata is lost at the first upload. In code it is one call:

# %%
marked = animation.mark_synthetic((255 * repaired.prediction.permute(0, 2, 3, 1)).byte().numpy())
alt = "A generated frame of your character; the upper left corner reads synthetic."
viz.figure_images([marked[best]], ["an export, marked"], alt=alt)

# %% [markdown]
# A mark can be cut off. It protects honest people from honest mistakes; it does not stop a liar. What would?

# %% [markdown]
# ## 8. Modify and make
#
# Change one thing, predict, run:
# 1. **Your mistake.** Submit `hull_scale` without its root, look at what it draws (then submit the right one again):
#    ```python
#    with ex.run_mine("hull-scale"):
#        goal = animation.transfer_keypoints(source, distant, Transfer(scaling="hull"))
#    ```
# 2. **Another moment.** Set `MOMENT = 10` in section 4 and run on. Which frame is chosen?
# 3. **The shape of parts.** `Transfer(covariance="adapted")` carries changes of the ellipses over to the source's own
#    shapes, instead of using Pip's. Where can you see it?
# 4. **Make** your own film below: another movement, another picture. Read the advice *before* you look.

# %% tags=["nbval-ignore-output"]
MY_MOTION, MY_MOMENT = 8, 0

my_picture = to_tensor(ex.character.clip(motion=MY_MOTION, length=LENGTH).frames[::2])[MY_MOMENT]
my_film = to_tensor(pip.clip(motion=MY_MOTION, length=LENGTH).frames[::2])
mine = animation.animate(model, my_picture, my_film, ex.device)
fits = alignment.align(mine.source, mine.driving)
print(fits.describe())
print(fits.advice() or "Go ahead.")

# %% [markdown]
# ## 9. The film
# Pip, and your character, one still picture of it, doing what Pip does.

# %% tags=["nbval-ignore-output"]
pair = torch.cat([my_film, mine.prediction], dim=3)[::2]
frames = animation.mark_synthetic(figures.beside(pair))
ex.film(
    frames,
    caption=f"Left: {pip.name}, filmed. Right: one picture of {ex.character.name}, moved by relative transfer",
    fps=6,
    alt="Two films side by side, marked as synthetic: on the left Pip moves slowly; on the right your character, made from "
    "one still picture, makes the same movements.",
)

# %% [markdown]
# ## Symbols
#
# | paper | here | code |
# |---|---|---|
# | $h_{\text{source}}$ | the source's keypoints | `Animation.source` |
# | $h_t$ of the driving video | the film's keypoints | `Animation.driving` |
# | $h_1$ | keypoints of the reference frame $r$ (frame 1 in the paper) | `Transfer.reference` |
# | $h' = h_{\text{source}} + (h_t - h_1)$, equation 10 | relative transfer | `animation.relative_means` |
# | $\Sigma$ of the driving video | shapes of parts | `Transfer.covariance` |
# | (in the authors' code) | hull scale | `animation.hull_scale` |
# | (not in the paper) | fit score | `alignment.fit_score`, `alignment.align` |
# | (not in the paper) | domain score | `alignment.Domain` |
#
# ## What you have built
#
# - Relative transfer adds the film's *movement* to the source's own pose, so place and build stay those of the source.
#   Absolute transfer takes over the other's body as well.
# - Movements are lengths: between figures of different sizes they scale with the root of the area.
# - It works from a reference in the source's pose, and from no other. The Procrustes distance of the keypoints finds it,
#   and says when there is none.
# - A network never says that it does not know. A domain score can say it instead.
# - Consent first, and a mark on everything that leaves your computer.
#
# ## To discuss
#
# 1. The film never passes the pose of your picture, and you cannot get another one. What could you do with *two* films?
# 2. Why is the fit score computed from keypoints and not from pixels? When would the keypoints mislead it?
# 3. A model trained on people of one build, one skin colour, one kind of clothes: whom does the domain score refuse, and
#    who decides what follows from that?
# 4. A museum wants to make a portrait of 1890 smile. Whom would you ask, and what would you write beside it?
#
# ## Further reading
#
# - Siarohin and others, *Animating Arbitrary Objects via Deep Motion Transfer*, CVPR 2019, section 3.5:
#   [arXiv:1812.08861](https://arxiv.org/abs/1812.08861).
# - Gower, *Generalized Procrustes Analysis*, Psychometrika 40, 1975: the distance, with turning.
# - Lee and others, *A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks*,
#   NeurIPS 2018, a relative of our domain score: [arXiv:1807.03888](https://arxiv.org/abs/1807.03888).
# - Chesney, Citron, *Deep Fakes: A Looming Challenge for Privacy, Democracy, and National Security*, California Law
#   Review 107, 2019.
# - Regulation (EU) 2024/1689 (AI Act), article 50: duties of transparency.

# %%
ex.map()
