# %% [markdown]
# # 10 · Metrics
#
# <!-- header -->
#
# Your model draws films. Are they good? A reader of your paper will not watch a thousand of them; she wants a number. Today
# you write the numbers of the paper, and then you put each of them under a microscope: you spoil a film in a way that you
# know, and look which numbers notice.
#
# **After this lesson you can**
#
# - write the metrics of the paper: AKD, MKR, AED and the Fréchet distance; AKD and AED also as the authors' code computes them;
# - name for each of them something bad that it does not notice, and something harmless that upsets it;
# - say which figures of two papers may be compared, and which may not;
# - write a table of results in which every number says what it was measured on.
#
# **You need** lesson 03 (keypoints, covariances) and lesson 08 (the film of a still picture). Predictions work as before: the
# buttons, or `ex.answer("name-of-the-question", "your-choice", sure=70)`, or `ex.skip(…)`.

# %% tags=["parameters"]
FAST = False

# %% tags=["imports"]

# %%
ex.map()

# %% [markdown]
# ## 1. Three films, one question
# Here is your character in three movements, drawn exactly: the *real* films. Beside them stand three rivals, each with a fault:
#
# - **copy of the source**: the first frame, again and again. Nothing moves at all.
# - **shifted**: every frame is exactly right, but three pixels too far to the right, as if the camera had been nudged.
# - **recoloured**: every frame is exactly right, but in other clothes.
#
# (`microscope.spoilt` draws them. `Damage` says what is wrong with a film; you will meet it again.)

# %%
from monkeynet_edu.course.microscope import COPY, LATE_ARM, REAL, Damage
from monkeynet_edu.evaluators import evaluators_for, landmark_regression

evaluators = evaluators_for("mini-taichi")  # the external networks; more about them soon
specimen = microscope.prepare(ex.character, evaluators)
rivals = {"copy": Damage(COPY), "shifted": Damage(shift=3), "recoloured": Damage(recolour=100)}
films = {name: microscope.spoilt(specimen, damage) for name, damage in rivals.items()}  # each (3, 24, 64, 64, 3), uint8
figures10.figure_frames(
    {"real": specimen.real[0], **{name: film[0] for name, film in films.items()}},
    (0, 6, 12, 18, 23),
    "Four rows of frames: the real film, in which your character lifts its arms and steps; the copy, which always stands "
    "still; the shifted film, which moves and stands farther to the right; and the recoloured one, which moves in other clothes.",
)

# %% [markdown]
# The simplest number of all is **L1**: the mean absolute difference of all pixels and colours, on a scale from 0 to 1. A small
# L1 is a good one.

# %%
ex.predict(
    "copying",
    "Which of the three has the best L1?",
    {
        "copy": "the copy, although it does not move at all",
        "shifted": "the shifted film: everything in it is right, only three pixels off",
        "recoloured": "the recoloured film: pose and place are exact, only the clothes differ",
    },
)

# %% tags=["nbval-ignore-output"]
told = {name: microscope.readings(specimen, film, "as defined") for name, film in films.items()}
key = min(told, key=lambda name: told[name]["L1"].value)
ex.reveal(
    "copying",
    key,
    "Most pixels belong to the wall and the floor, and there a copy is perfect. L1 asks how many pixels are wrong, not whether "
    "anything moved. *L1 moving* counts only pixels that truly move (the program that drew the films knows which): there "
    "a copy has nowhere to hide.\n\n" + figures10.listed(told, ("L1", "L1 moving")),
)

# %% [markdown]
# Two lessons of this. First, **always measure a copy of the source**: a model that cannot beat it has learned nothing about
# motion. Second, one number is not enough. L1 is blind to what the picture *means*. The other metrics ask somebody who
# looks at it: a network.
#
# | the question | metric | who looks |
# |---|---|---|
# | Are the limbs where they should be? | AKD, MKR | a detector of joints |
# | Is it still the same person? | AED | a network that tells people apart |
# | Do the frames look real, as a crowd? | FID | a network that describes pictures |
#
# The paper takes networks that others trained on photographs. They are of no use on our little figures, so `evaluators_for`
# loads three small ones that were trained on drawn characters, none of them yours.
#
# ## 2. AKD: are the limbs where they should be?
# The **average keypoint distance** compares joints. A detector (not our Δ: one that was *told* where elbows are) looks at the
# real frame and at the generated one, and says for each joint where it is and how sure it is. We take the joints that it has
# found in **both**, measure how far apart they lie, and average: first inside each frame, then over frames.
#
# How far apart are two points? As defined: the Euclidean distance. The authors' published code computes something else, the
# mean of |Δx| and |Δy|.
#
# **By hand.** Two joints, two frames. In frame 0 the joints are off by (3, 4) and (0, 2). In frame 1 the first joint is
# off by (0, 6), and the second was not found.
#
# | | Euclidean | published |
# |---|---|---|
# | frame 0 | (5 + 2)/2 = 3.5 | (3.5 + 1)/2 = 2.25 |
# | frame 1 | 6 | 3 |
# | AKD | (3.5 + 6)/2 = **4.75** | (2.25 + 3)/2 = **2.625** |
#
# Note what happened in frame 1: the lost joint is not zero pixels off, and not a hundred. It simply does not take part. And a
# frame in which *no* joint was found in both does not take part either.
#
# Now suppose that you measure your model with the Euclidean distance, and compare with a table that was made with the
# published code. Its many errors point in all directions alike. (Answer before you read the exercise.)

# %%
ex.predict(
    "two-forms",
    "How many times as large is your AKD, for the very same films?",
    {
        "one": "1: both are distances in pixels",
        "root": "√2 ≈ 1.41, the diagonal of a square",
        "half-pi": "π/2 ≈ 1.57",
        "two": "2: the published form takes half of |Δx| + |Δy|",
    },
)

# %% [markdown]
# ### Exercise 1: the average keypoint distance
# `real` and `generated` are places in pixels, (T, J, 2). `both` says which joints were found in both frames, (T, J).

# %% exercise="keypoint-distance"

# %%
real = torch.tensor([[[10.0, 10.0], [20.0, 20.0]], [[30.0, 30.0], [40.0, 40.0]]])
generated = torch.tensor([[[13.0, 14.0], [20.0, 22.0]], [[30.0, 36.0], [0.0, 0.0]]])
both = torch.tensor([[True, True], [True, False]])
for norm in ("euclidean", "l1"):
    print(f"{norm}: {distances.average_keypoint_distance(real, generated, both, norm).item():.3f}")

# %% [markdown]
# And the ratio of the two forms? Your function measures an error of one pixel in each of 360 directions.

# %%
angles = torch.linspace(0, 2 * math.pi, 361)[:-1]
error = torch.stack([angles.cos(), angles.sin()], dim=-1)[:, None]  # one joint, off by one pixel, in 360 directions
nothing, seen = torch.zeros_like(error), torch.ones(360, 1, dtype=torch.bool)
defined, published = (distances.average_keypoint_distance(nothing, error, seen, norm).item() for norm in ("euclidean", "l1"))
ratio = defined / published
key = min({"one": 1, "root": 2**0.5, "half-pi": math.pi / 2, "two": 2}.items(), key=lambda pair: abs(pair[1] - ratio))[0]
each = [
    torch.stack([distances.average_keypoint_distance(nothing[i : i + 1], error[i : i + 1], seen[:1], norm) for i in range(0, 360, 5)])
    for norm in ("euclidean", "l1")
]
ex.reveal(
    "two-forms",
    key,
    [
        f"The ratio is {ratio:.3f}. Along an axis the published form says ½ to an error of one pixel, along a diagonal "
        "0.71; over all directions 2/π = 0.64. Whoever compares her AKD with a published one without asking makes her "
        "own model look about one and a half times as bad as it is.",
        figures10.figure_directions(angles[::5], *each),
    ],
)

# %%
ex.used("keypoint-distance")

# %% [markdown]
# The three rivals again, now with the detector:

# %% tags=["nbval-ignore-output"]
print(figures10.table(told, ("L1", "L1 moving", "AKD")))

# %% [markdown]
# AKD does what L1 did not: it finds the copy out, it says about three pixels where three pixels are meant, and it cares little
# about other clothes. (Not at all would be nicer. The detector is a network too, and makes its own mistakes. That is why
# `evaluate` prints `akd_detector`: how far the detector is off on *real* frames. An AKD below that says nothing.)
#
# ## 3. A limb is lost
# Here is a film with a real fault: the right arm moves a whole second (six frames) too late. Everything else is exact.

# %% tags=["nbval-ignore-output"]
late, cut = Damage(LATE_ARM), Damage(LATE_ARM, limb="right arm")
films |= {"late arm": microscope.spoilt(specimen, late), "no arm": microscope.spoilt(specimen, cut)}
told["late arm"] = microscope.readings(specimen, films["late arm"], "as defined")
print(figures10.table({"late arm": told["late arm"]}, ("AKD",)))
figures10.figure_frames(
    {"real": specimen.real[0], "late arm": films["late arm"][0]},
    (4, 8, 12, 16, 20),
    "The real film and the one with the late arm: the right arm (on the left of the picture) is still where it was a "
    "second ago.",
)

# %%
ex.predict(
    "lost-arm",
    "Somebody cuts the late arm out of every frame: now there is *no* right arm at all. What happens to AKD?",
    {
        "up": "It gets worse: a whole arm is missing.",
        "same": "It stays about the same: the arm was wrong before, and it is wrong now.",
        "down": "It gets better.",
    },
)

# %% tags=["nbval-ignore-output"]
told["no arm"] = microscope.readings(specimen, films["no arm"], "as defined")
before, after = told["late arm"]["AKD"].value, told["no arm"]["AKD"].value
key = "down" if after < 0.9 * before else "up" if after > 1.1 * before else "same"
lost = told["late arm"]["AKD"].points - told["no arm"]["AKD"].points
ex.reveal(
    "lost-arm",
    key,
    [
        f"AKD goes from {before:.2f} to **{after:.2f}** pixels. The detector finds {lost} joints less, and what is not found does "
        "not count: the wrong joints have left the average. *A lost limb can improve AKD.* A model could learn to hide "
        "what it cannot draw.",
        figures10.figure_frames(
            {"late arm": films["late arm"][0], "no arm": films["no arm"][0]},
            (4, 8, 12, 16, 20),
            "The film with the late arm, and the same without a right arm: where the arm was, trunk and wall are seen.",
        ),
    ],
)

# %% [markdown]
# So AKD must never stand alone. Beside it belongs the **missing keypoint rate**, MKR: of the joints found in the real frame,
# which share is not found in the generated one?
#
# **By hand.** In frame 0 of the real film four joints are found; one of them is not found in the generated frame: 1/4.
# In frame 1 two joints are found (an arm is behind the back) and one of them is lost: 1/2. The detector also believes that it
# sees two others in the generated frame 1; they were not there to be lost, and do not count. MKR is (0.25 + 0.5)/2 =
# **0.375**.
#
# ### Exercise 2: the missing keypoint rate

# %% exercise="missing-rate"

# %%
real_found = torch.tensor([[True, True, True, True], [True, True, False, False]])
generated_found = torch.tensor([[True, True, True, False], [True, False, True, True]])
print(f"by hand: {distances.missing_keypoint_rate(real_found, generated_found).item():.3f}")

# %% tags=["nbval-ignore-output"]
told = {name: microscope.readings(specimen, film, "as defined") for name, film in films.items()}
print(figures10.table(told, ("AKD", "MKR")))
for name, row in told.items():
    print(f"{name}: AKD over {row['AKD'].points} joints in {row['AKD'].frames} frames")

# %%
ex.used("missing-rate")

# %% [markdown]
# MKR tells on the film without an arm. (The authors' code also counts the first frame, the source itself, where hardly anything
# can be missing; `evaluate` prints that as `mkr_published`, and `l1_published` likewise.) And the number of joints tells too: a figure without its count invites you to compare two
# frames with two thousand.
#
# ## 4. AED: is it still the same person?
# Another network turns each frame into a vector that says *who* is to be seen, whatever the pose: frames of one person get
# vectors that lie close together. The **average Euclidean distance** compares the vectors of the real and of the generated
# frame. That is what the name says. The published code takes the mean of the *squared* distance.
#
# **By hand.** Two frames; the vectors differ by (0.6, 0.8) and by (0, 3). Their lengths are 1 and 3.
# AED is (1 + 3)/2 = **2**. The published form is (1 + 9)/2 = **5**.
#
# ### Exercise 3: the average Euclidean distance (a blank page)
# Write `average_euclidean_distance(real, generated, form="euclidean")`. You have all you need.

# %% exercise="embedding-distance"

# %% [markdown]
# Does it matter which form one takes, as long as it is the same for everybody? Two films of four frames each:
#
# - film A: every frame is 0.8 away from the right person;
# - film B: three frames are perfect, and in the fourth somebody else stands there, 1.8 away.

# %%
ex.predict(
    "squared",
    "Which film has the better AED?",
    {
        "a": "A, in both forms",
        "b": "B, in both forms",
        "depends": "one as defined, the other as published",
    },
)

# %%
person = torch.zeros(4, 2)
a, b = person.clone(), person.clone()
a[:, 0] = 0.8
b[3, 0] = 1.8
better = {}
for form in ("euclidean", "squared"):
    values = {name: distances.average_euclidean_distance(person, film, form).item() for name, film in (("A", a), ("B", b))}
    better[form] = min(values, key=values.get)
    print(f"{form}: A {values['A']:.2f}, B {values['B']:.2f}, so {better[form]} is better")
key = {("A", "A"): "a", ("B", "B"): "b"}.get(tuple(better.values()), "depends")
ex.reveal(
    "squared",
    key,
    "A square punishes one bad frame more than many small faults. That can be a reason to prefer it. But the two forms are two "
    "metrics: even the *order* of two models can depend on which one was taken.",
)

# %%
ex.used("embedding-distance")

# %% tags=["nbval-ignore-output"]
clothes = {
    f"{percent} % recoloured": microscope.readings(
        specimen, microscope.spoilt(specimen, Damage(recolour=percent)), "as defined"
    )
    for percent in (0, 50, 100)
}
print(figures10.table(clothes, ("AKD", "AED")))
print(f"another person in the same movement: AED {specimen.full['as defined']['AED']:.3f}")

# %% [markdown]
# ## 5. FID: a crowd of frames
# The last metric does not compare frame with frame. It takes all real frames as one crowd and all generated frames as
# another, and asks whether the two crowds look alike. A network describes each frame by a vector of D *features*; so a film
# becomes a cloud of points in D dimensions. To each cloud a Gaussian is fitted: its mean μ and its covariance Σ (lesson 03,
# with D instead of two dimensions). The **Fréchet distance** says how far apart two Gaussians are:
#
# $$\big|\mu_1-\mu_2\big|^2 \;+\; \mathrm{tr}\Big(\Sigma_1+\Sigma_2-2\,\big(\Sigma_1^{1/2}\,\Sigma_2\,\Sigma_1^{1/2}\big)^{1/2}\Big)$$
#
# It has a meaning: it is the least mean squared distance that the points of the one Gaussian have to travel to become the other.
#
# **By hand, one dimension.** Mean 1 and variance 4 (σ = 2) against mean 4 and variance 1 (σ = 1):
# (1 - 4)² + (4 + 1 - 2·√(2·1·2)) = 9 + (5 - 4) = **10**. (Under the root stand √Σ₁, Σ₂, √Σ₁, here 2, 1, 2.) The second part is just (2 - 1)², the squared difference of the σ.
#
# **By hand, two dimensions.** One cloud lies, Σ₁ with 9 and 1 on its diagonal; the other stands, Σ₂ with 1 and 9. Same
# mean. Along x the σ are 3 and 1, along y 1 and 3: (3 - 1)² + (1 - 3)² = **8**. The middles agree, the crowds do not.
#
# For slanted clouds one needs the root of a matrix: R with R @ R = Σ. `matrix_root` is given: it turns the axes until Σ is
# diagonal, takes the roots there, and turns back (`torch.linalg.eigh`). That works for *symmetric* matrices only. Σ₁Σ₂ is not
# symmetric, even if both factors are; Σ₁^½ Σ₂ Σ₁^½ is.

# %%
random = torch.Generator().manual_seed(0)
points = torch.randn(150, 2, generator=random, dtype=torch.float64)
lying, standing = points * torch.tensor([3.0, 1.0]), points.flip(0) * torch.tensor([1.0, 3.0])
pairs = {
    "moved by (4, 0)": (lying, lying + torch.tensor([4.0, 0.0])),
    "lying and standing": (lying, standing),
    "the same, twice as wide": (lying, 2 * lying),
}
figures10.figure_clouds(
    pairs,
    "Three pairs of clouds, dots and crosses: a lying cloud and the same moved to the right; a lying and a standing one with the "
    "same middle; a lying one and the same twice as large.",
)

# %% [markdown]
# ### Exercise 4: the Fréchet distance (a blank page)
# Write `frechet_distance(mean1, cov1, mean2, cov2)`: (D,), (D, D), (D,), (D, D) → one number. `matrix_root` may be used.

# %% exercise="frechet-distance"

# %%
for name, (one, other) in pairs.items():
    print(f"{name}: {frechet.frechet_distance(*gaussian(one), *gaussian(other)).item():.2f}")

# %% [markdown]
# (`gaussian(points)` is given: the mean, and the covariance divided by N - 1. Moved by 4: 4² = 16. Lying and standing: about 8, since
# these are samples. Twice as wide: σ grows from 3 to 6 and from 1 to 2, so about 3² + 1² = 10.) The figure that papers print is this number
# for the features of *Inception*, a network for photographs: the **FID**. Our miniatures have a small network of their own,
# so we call it mini-FID. `evaluate` leaves the sum to the library torchmetrics; does it agree with yours?

# %% tags=["nbval-ignore-output"]
blur, tint = Damage(blur=2), Damage(recolour=25)
films |= {"blurred": microscope.spoilt(specimen, blur), "tinted": microscope.spoilt(specimen, tint)}


def frames_of(film):
    """All frames but the sources, (N, 3, H, W) in [0, 1]."""
    return torch.from_numpy(film[:, 1:]).flatten(0, 1).permute(0, 3, 1, 2).float() / 255


meter = metrics.FrechetMeter(evaluators.features)
meter.add(frames_of(specimen.real), frames_of(films["blurred"]))
theirs = meter.figure().value
mine = figures10.fid(evaluators.features(frames_of(specimen.real)), evaluators.features(frames_of(films["blurred"])))
print(f"torchmetrics {theirs:.3f}, yours {mine:.3f}; agree: {abs(mine - theirs) < 1e-3 * max(1, theirs)}")

# %%
ex.used("frechet-distance")

# %% [markdown]
# ### May two FIDs be compared?
# Two laboratories measure the same two films: one is **blurred**, in the other the clothes have a slight **tint**. Laboratory 1
# uses our small network. Laboratory 2 has its own idea of features: the mean colours of 4 × 4 patches of the frame.

# %%
ex.predict(
    "fid-anywhere",
    "Laboratory 1 finds that one of the two films has the lower FID. What does laboratory 2 find?",
    {
        "same": "the same numbers: same films, same formula",
        "order": "other numbers, but the same film wins",
        "reversed": "the other film wins",
    },
)

# %% tags=["nbval-ignore-output"]
coarse = figures10.CoarseColours()
found = {}
for lab, network in (("lab 1", evaluators.features), ("lab 2", coarse)):
    features = {name: network(frames_of(film)) for name, film in (("real", specimen.real), *films.items())}
    found[lab] = {name: figures10.fid(features["real"], features[name]) for name in ("blurred", "tinted")}
winners = [min(row, key=row.get) for row in found.values()]
close = all(abs(found["lab 1"][n] - found["lab 2"][n]) < 0.05 * found["lab 1"][n] for n in ("blurred", "tinted"))
key = "same" if close else "order" if winners[0] == winners[1] else "reversed"
said = "; ".join(
    f"{lab} ({name}): blurred {row['blurred']:.3g}, tinted {row['tinted']:.3g}"
    for (lab, row), name in zip(found.items(), (evaluators.features.name, coarse.name))
)
ex.reveal(
    "fid-anywhere",
    key,
    f"{said}. A FID is made of *features*: what the network does not describe, it cannot miss. Mean colours of patches hardly "
    "change when a picture is blurred. **A FID compares to no FID of other features**, and that includes the same network "
    "after another way of resizing.",
)

# %% [markdown]
# The network is not the only trap. Suppose a *perfect* model: its frames are real ones. We take two handfuls of the real frames, no
# frame in both, and measure the FID between them, with small and with larger handfuls; and the same for the tinted film.

# %% tags=["nbval-ignore-output"]
real_features, tinted_features = (evaluators.features(frames_of(film)) for film in (specimen.real, films["tinted"]))
counts = (4, 8, 16, len(real_features) // 2)
curves = {
    "real against real": figures10.fid_by_count(real_features, real_features, counts),
    "real against tinted": figures10.fid_by_count(real_features, tinted_features, counts),
}
perfect, tinted = curves["real against real"][counts[0]], curves["real against tinted"][counts[-1]]
print(f"a perfect model, measured on {counts[0]} frames: {perfect:.2f}; a tinted film on {counts[-1]}: {tinted:.2f}")
figures10.figure_counts(curves)

# %% [markdown]
# Two samples of one crowd are never quite the same, and a covariance of 64 features wants far more than a handful of frames. So
# FID depends on **how many** frames were taken: with few it comes out too high, even for a perfect model. (Published ones use
# thousands.)
#
# And one more question to the formula: where in it does the *order* of the frames stand?

# %% tags=["nbval-ignore-output"]
order = torch.randperm(specimen.real.shape[1] - 1, generator=random).numpy() + 1
shuffled = specimen.real.copy()
shuffled[:, 1:] = shuffled[:, order]
told["shuffled"] = microscope.readings(specimen, shuffled, "as defined")
print(figures10.table({name: told[name] for name in ("copy", "shuffled")}, ("AKD", "FID")))

# %% [markdown]
# Nowhere. A film whose frames are shuffled has FID 0, while AKD finds hardly a joint in its place. (There are metrics for the order as well, which
# look at whole films: FVD, with features of a video network.)
#
# ## 6. And the keypoints?
# All metrics so far look at pictures. For Δ there is a question of its own: **do the discovered keypoints mean anything?** Nobody
# told it what an elbow is. If its ten points carry the pose, then it must be possible to *compute* the elbow from
# them, by the simplest map there is: a linear one, the same for everybody. One learns it on some characters, with true joints, and
# measures on others. It is the standard test for landmarks that were found without labels.
#
# The map is found by **ridge regression**: least squares, plus a price on large weights, so that few frames do not make it
# wild. **By hand**, one number x and one number y, both with mean 0: the weight is w = Σxy / (Σx² + ridge). With
# x = -1, 0, 1 and y = -2, 0, 2: Σxy = 4, Σx² = 2. Without a ridge w = 2; with ridge 2, w = 4/4 = **1**.

# %%
x = torch.tensor([-1.0, 0.0, 1.0])
keypoints, joints = (torch.stack([v, torch.zeros(3)], dim=-1)[:, None] for v in (x, 2 * x))  # one point, only x varies
for ridge in (1e-9, 2.0):
    w = landmark_regression(keypoints, joints, torch.tensor([[[1.0, 0.0]]]), ridge)[0, 0, 0]
    print(f"ridge {ridge:g}: a keypoint at 1 tells a joint at {w.item():.2f}")

# %% [markdown]
# ## 7. A whole report
# Now everything at once, for a trained model and your character: `metrics.evaluate` rebuilds her films from their first frames
# and says what it finds. `akd_repeat_source` is the copy; `landmark_error` is the test of the keypoints, in pixels, and
# `landmark_error_constant` the same for somebody who always says the mean pose.

# %% tags=["nbval-ignore-output"]
from monkeynet_edu.data import sprites
from monkeynet_edu.model import MonkeyNet
from monkeynet_edu.paths import weights_path

model = MonkeyNet.load(weights_path("mini-taichi"))
clips = microscope.film_exactly(ex.character)
training = sprites.training_clips("mini-taichi", clips=8 if ex.fast else 40, frames=6)  # for the keypoints' test alone
report = metrics.evaluate(model, clips, ex.device, evaluators=evaluators, training=training)
for name in (
    "l1", "l1_repeat_source", "l1_moving", "l1_moving_repeat_source", "akd", "akd_repeat_source", "akd_detector", "akd_l1",
    "mkr", "mkr_published", "aed", "aed_squared", "fid", "landmark_error", "landmark_error_constant",
):
    print(f"{name:24} {report[name]:8.3f}   {report.get(name + '_frames', report['frames']):4} frames")
print(f"\n{report['clips']} clips")
for line in report.get("notes", []):
    print(line)

# %% [markdown]
# Read it like a reviewer:
# - Is the model better than the copy, in L1 *and* in AKD?
# - How far is its AKD above `akd_detector`, the floor?
# - Is MKR small? If not, AKD is flattering.
# - `akd_l1` and `aed_squared` are there to be compared with published tables, and for nothing else.
# - FID: hardly more frames than its features have numbers. It can be computed, and should not be believed (section 5).
#
# ## 8. The metric microscope
# Your own functions are inside. Spoil the film, alone or in combination, and watch the bars. **A full bar** means: as bad as
# copying the source (L1, AKD, FID); all joints lost (MKR); another person (AED). Circles are joints that were found,
# crosses are joints that were lost. First, commit yourself:

# %%
ex.predict(
    "one-pixel",
    "Every frame is exact, only one pixel too far to the right. Which bar becomes the longest?",
    {
        "l1": "L1: nearly every pixel now has its neighbour's colour",
        "akd": "AKD: every joint is in the wrong place",
        "aed": "AED: the network has never seen this frame",
        "fid": "FID: the whole crowd has moved",
    },
)

# %% tags=["nbval-ignore-output"]
scope = microscope.look_through(specimen)
scope

# %% [markdown]
# Try, and say first what you expect:
# - write as MP4, *good*, then *poor*: which metric cares about a file format?
# - other clothes: which one notices least? Is that good or bad?
# - the late arm, then drop it; then a late arm with a blur;
# - any small fault, and then the switch at the bottom, *published code*: what does squaring do to small faults?
#
# (Where no buttons work, `scope.set(shift=1, mp4="poor")` does the same; run `scope.picture()` to see it.)
#
# Here is all of it side by side, each damage alone, in per cent of a full bar:

# %% tags=["nbval-ignore-output"]
damages = [
    Damage(shift=1), Damage(blur=2), Damage(mp4="good"), Damage(mp4="poor"), Damage(recolour=100),
    Damage(limb="right arm"), late, cut, Damage(COPY),
]
seen = microscope.survey(specimen, damages if not ex.fast else [damages[0], damages[8]])
pixel = seen[Damage(shift=1).describe()]
key = max(("L1", "AKD", "AED", "FID"), key=lambda name: pixel[name]).lower()
ex.reveal(
    "one-pixel",
    key,
    [
        f"One pixel, which nobody would see in a film: L1 {pixel['L1']:.0%} of copying the source, AKD {pixel['AKD']:.0%}, AED "
        f"{pixel['AED']:.0%} of another person, FID {pixel['FID']:.0%}. Now read the other rows: in nearly each of them some "
        "metric sleeps. No metric is right or wrong; each has a question, and answers no other one.",
        microscope.figure_survey(seen),
    ],
)

# %% [markdown]
# ### What belongs into a table of results
# 1. Beside AKD always MKR, and beside both the copy of the source and the detector's own error.
# 2. Which form: Euclidean or published? Squared or not? Is the first frame counted?
# 3. For FID the network, the size of the pictures, the number of frames.
# 4. For every figure, on how many frames, clips and points.
# 5. The file format: measure frames *before* they are written as MP4, or say so.
#
# ## 9. Modify and make
# Predict before you run.
# - Submit a wrong `missing_keypoint_rate` on purpose (`real_found ^ generated_found`), and let it drive the microscope:
#   `with ex.run_mine("missing-rate"): scope.set(shift=2)`. Do you notice?
# - **Cheat.** Find settings of the microscope with which AKD *and* MKR are nearly 0 and the film is still bad. Which metric
#   gives you away?
# - Cheat FID: is there a damage that FID loves and everybody else hates? (You have met one that is not on the sliders.)
#
# **Make** a metric of your own: a function of the real and the spoilt films, (3, 24, 64, 64, 3), uint8, that tells a late arm from
# no arm, and gives 0 to `specimen.real`. Try it on all of `films`.

# %%
def my_metric(real, made):
    """Replace this: how much more or less the film moves from frame to frame than the real one."""
    moves = [abs(film[:, 1:].astype(float) - film[:, :-1]).mean() for film in (real, made)]
    return abs(moves[1] - moves[0]) / moves[0]


for name, film in films.items():
    print(f"{name:12} {my_metric(specimen.real, film):.2f}")

# %% [markdown]
# ## The film
# Your character as filmed; with the late arm; and without it. Which one would you send to a reviewer who only looks at AKD?

# %% tags=["nbval-ignore-output"]
row = [specimen.real[0], films["late arm"][0], films["no arm"][0]]
ex.film(
    torch.cat([torch.from_numpy(film).permute(0, 3, 1, 2).float() / 255 for film in row], dim=3)[::3],
    fps=3,
    caption=f"{ex.character.name}: as filmed; right arm too late; right arm gone.",
    alt=f"Three films of {ex.character.name} side by side: as filmed, with a right arm that moves too late, and without a right arm.",
)

# %% [markdown]
# ## Symbols
#
# | paper | in words | in the code |
# |---|---|---|
# | $\mathcal{L}_1$ | mean absolute difference of pixels | `l1`; over all frames, as published: `l1_published` |
# | AKD | distance of joints found in both frames | `distances.average_keypoint_distance`; `akd`, published `akd_l1` |
# | MKR | share of joints lost | `distances.missing_keypoint_rate`; `mkr`, `mkr_published` |
# | AED | distance of identity vectors | `distances.average_euclidean_distance`; `aed`, published `aed_squared` |
# | FID | Fréchet distance of features | `frechet.frechet_distance`; `fid`, `metrics.FrechetMeter` |
# | μ, Σ | mean and covariance of features | `gaussian(features)` |
# | (not in the paper) | do keypoints mean anything? | `landmark_regression`; `landmark_error` |
#
# ## Recap
# - **L1** loves a copy of the source wherever little moves. Measure the copy, always, and moving pixels apart.
# - **AKD** asks where limbs are, among those that were found. A lost limb *improves* it; **MKR** tells.
# - **AED** asks who it is; **FID** whether the crowd of frames looks real, and not in which order they come.
# - The published code computes other forms of AKD and AED than the words say. Their ratio depends on the errors,
#   and even an order may change.
# - **A FID compares to nothing** but FIDs with the same network, the same sizes and as many frames.
#
# ## To discuss
# 1. A model is trained with a loss that contains the very detector that AKD uses. What is its AKD worth?
# 2. The detector was trained on real frames. How can it be wrong on generated ones in a way that helps the model?
# 3. The paper's user study asked people which of two videos fits better. What can people see that none of these metrics sees, and
#    what do they overlook?
# 4. Your reviewer wants one number. Which one, and what will you write beside it?
#
# ## Further reading
# - A. Siarohin et al., *Animating Arbitrary Objects via Deep Motion Transfer*, 2019
#   ([arXiv:1812.08861](https://arxiv.org/abs/1812.08861)), section 4.1: these metrics.
# - M. Heusel et al., *GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium*, 2017
#   ([arXiv:1706.08500](https://arxiv.org/abs/1706.08500)): FID.
# - G. Parmar, R. Zhang, J.-Y. Zhu, *On Aliased Resizing and Surprising Subtleties in GAN Evaluation*, 2021
#   ([arXiv:2104.11222](https://arxiv.org/abs/2104.11222)): how a way of resizing, or JPEG, changes FID.
# - M. J. Chong, D. Forsyth, *Effectively Unbiased FID and Inception Score and where to find them*, 2019
#   ([arXiv:1911.07023](https://arxiv.org/abs/1911.07023)): FID and the number of frames.
# - T. Unterthiner et al., *Towards Accurate Generative Models of Video: A New Metric & Challenges*, 2018
#   ([arXiv:1812.01717](https://arxiv.org/abs/1812.01717)): FVD, for whole films.
# - T. Jakab et al., *Unsupervised Learning of Object Landmarks through Conditional Image Generation*, 2018
#   ([arXiv:1806.07823](https://arxiv.org/abs/1806.07823)): the regression from keypoints to joints.

# %%
ex.map()
