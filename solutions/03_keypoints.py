# %% [markdown]
# # 03 · Keypoints
#
# Monkey-Net moves a picture by moving a handful of points on it. Nobody tells it where these points are: no person ever
# clicked on an elbow. In this lesson you build the piece that finds them. It is surprisingly small: a map of numbers
# becomes *votes*, the votes become a **point** and an **ellipse**, and point and ellipse become a map again, which the
# rest of the model reads.
#
# <!-- header -->
#
# **You will be able to**
# - turn a network's output into a distribution over pixels, and say what the temperature does to it;
# - compute the mean and the covariance of such a map, by hand and in code, and say why a *mean* can be learned and a
#   *maximum* cannot;
# - read a covariance: which axis is which, how far the ellipse reaches, how much it leans;
# - recognise two ways in which such points fail: two peaks, and too few bits;
# - check learned points against true ones, and say what "unsupervised" buys and what it costs.
#
# **You need** lessons 01 (the lattice: points $(x, y)$ in $[-1, 1]$, $y$ downwards) and 02 (the U-Net).

# %% tags=["parameters"]
FAST = False

# %% tags=["imports"]

# %%
ex.map()

# %% [markdown]
# ## 1. Somebody else's dots
#
# Here is your character, drawn by a program, so the program knows where every joint is: the *true joints*. Beside them
# are the ten points that a trained Monkey-Net finds in the same picture. It was trained on films of other characters,
# with one task only: redraw a frame of a film from another frame and the points. (The weights come with this
# repository; training your own is lesson 07.)

# %%
from monkeynet_edu import animation, paths, widgets
from monkeynet_edu.course.lessons import figures03 as figures
from monkeynet_edu.data.video import to_tensor
from monkeynet_edu.model import MonkeyNet

clip = ex.character.clip(length=32)
frames = to_tensor(clip.frames)  # (T, 3, 64, 64)
joints = torch.from_numpy(clip.truth.joints)  # (T, 13, 2)
model = MonkeyNet.load(paths.weights_path("mini-taichi"))  # on the CPU, in evaluation mode

with torch.no_grad():
    found = model.detect(frames)  # Keypoints: mean (T, 10, 2), cov (T, 10, 2, 2)

finding = "True joints sit on head, shoulders, arms and legs; learned points sit on head and arms as well, two beside the chin, one on one shin only."
figures.figure_points(frames[0], [joints[0], found.mean[0]], ["true joints", "learned keypoints"], finding)

# %% [markdown]
# Some of the learned points lie near joints, and some are odd. By the end of this lesson you will know what each of them is
# doing. The road from a picture to a point has four steps, and you write them all:
#
# | step | what | shape |
# |---|---|---|
# | U-Net (lesson 02) | picture → K maps of *logits* (any numbers; large: "here") | (B, 3, H₀, W₀) → (B, K, H, W) |
# | **spatial softmax** | logits → shares that sum to 1 | (B, K, H, W) |
# | **mean** | shares → the point $h_k$ | (B, K, 2) |
# | **covariance** | shares → the spread $\Sigma_k$ | (B, K, 2, 2) |
#
# B is the number of pictures in a batch, K the number of keypoints (10 in our models). The maps may be smaller than the
# picture: our models shrink it to half its size first.

# %% [markdown]
# ## 2. From logits to votes
#
# A *logit* is a network's raw number; it can be negative and has no unit. A **softmax** turns a row of logits $z_i$
# into shares
# $$p_i = \frac{e^{z_i}}{\sum_j e^{z_j}},$$
# all positive, with the sum 1. You know it from classifiers, where it runs over classes. Here it runs **over the pixels
# of one map**: the question is not "which keypoint is at this pixel?" but "at which pixel is this keypoint?".
#
# **By hand.** A map of two pixels has the logits $0$ and $\ln 3 \approx 1.10$. Then $e^0 = 1$, $e^{\ln 3} = 3$, the sum
# is 4, and the shares are ¼ and ¾.
#
# **Temperature.** Before the softmax all logits are divided by a number $T$, the temperature (Monkey-Net: 0.1). At
# $T = ½$ the logits become $0$ and $2\ln 3 = \ln 9$, the shares $\frac{1}{10}$ and $\frac{9}{10}$: *cold is sharp*. At
# $T = 2$ they become $0$ and $\ln\sqrt3$, the shares 0.37 and 0.63: *hot is flat*.
#
# ### Exercise 1: spatial softmax
# Fill in two blanks. `logits` is (B, K, H, W). Useful: `x.flatten(2)` makes one axis out of axis 2 and all that follow;
# `x.softmax(dim=…)` works along one axis; `x.view_as(y)` gives `x` the shape of `y` again.

# %% exercise="spatial-softmax"

# %% [markdown]
# Now let it work: the detector's U-Net draws ten maps of logits for the first frame, and the library sends them through
# `spatial_softmax` – through yours, if it has passed. Our small model works at half size, so the maps have 32×32
# pixels.

# %% tags=["nbval-ignore-output"]
with torch.no_grad():
    heat = model.detector.heatmap(frames).float()  # (T, 10, 32, 32)
viz.figure_heatmaps(heat[0], title="ten maps of votes for one frame")

# %%
ex.used("spatial-softmax")

# %% [markdown]
# Each panel has its own scale; look at the largest share above it. Some maps are needles: a quarter of all votes on one
# pixel. Others are fog: the largest share is below a tenth, and some have votes at the edges of the frame. Remember their
# numbers.

# %% [markdown]
# ## 3. From votes to a point
#
# The keypoint is the **mean** of the lattice points $g$, each weighted by its share:
# $$h_k = \sum_{g} p_k(g)\, g.$$
# It is also called *soft-argmax*, which is a misleading name, as you will see in a moment.
#
# **By hand.** Take this map of 3×3 pixels. It will be with us for the whole lesson:
#
# | | x = -1 | x = 0 | x = 1 |
# |---|---|---|---|
# | **y = -1** | 0 | 0 | ¼ |
# | **y = 0** | 0 | ¼ | ¼ |
# | **y = 1** | 0 | ¼ | 0 |
#
# The columns have the weights 0, ½, ½, so $h_x = 0·(-1) + ½·0 + ½·1 = ½$. The rows have the weights ¼, ½, ¼, so
# $h_y = ¼·(-1) + ½·0 + ¼·1 = 0$. The keypoint is $(½, 0)$: *between* two pixels. A mean knows fractions of pixels; a
# maximum does not.
#
# ### Exercise 2: the point of a heatmap
# The calculation above, for all maps at once: first the weight of each column, then of each row. Mind which axis is
# which: a tensor is (B, K, **rows**, **columns**), a point is **(x, y)**, and x belongs to the columns.
#
# Take the map as it is and do not divide by its sum. After the softmax the sum is 1, but the detector then adds a floor of
# $10^{-7}$ to every share (section 5 says what for), so that the maps that your function gets in the model sum to a hair
# more.

# %% exercise="heatmap-mean"

# %%
with torch.no_grad():
    points = model.detect(frames).mean  # runs heatmap_mean inside
ex.used("heatmap-mean")

# %%
hand = torch.tensor([[0.0, 0.0, 0.25], [0.0, 0.25, 0.25], [0.0, 0.25, 0.0]])
print("mean of the map computed by hand:", keypoints.heatmap_mean(hand[None, None])[0, 0].tolist())

# %% [markdown]
# ### Two peaks
# A detector is unsure: it sees two places that look alike, say two hands, and gives each half of the votes.

# %%
ex.predict(
    "two-peaks",
    "A map has two equally strong peaks, one at x = -0.7 and one at x = 0.7, and nothing else. Where is the keypoint?",
    {
        "left": "on the left peak: the first maximum wins",
        "between": "in the middle, where there is nothing at all",
        "right": "on the right peak: the last maximum wins",
        "none": "nowhere: the result is NaN",
    },
)

# %%
logits_of_two = torch.full((21, 21), -4.0)
logits_of_two[10, 3] = logits_of_two[10, 17] = 4.0
two = keypoints.spatial_softmax(logits_of_two[None, None], 1.0)
x = float(keypoints.heatmap_mean(two)[0, 0, 0])
one_leads = logits_of_two.clone()
one_leads[10, 3] += 1
one_leads = keypoints.spatial_softmax(one_leads[None, None], 1.0)
key = "none" if x != x else "between" if abs(x) < 0.2 else "left" if x < 0 else "right"
ex.reveal(
    "two-peaks",
    key,
    [
        "All pixels vote, none is chosen: **soft-argmax is not argmax.** The point lands on nothing. Even when one "
        "peak gets 2.7 times the votes of the other, the point "
        "only leans towards it. The large ellipse is the warning: it shows how far the votes are spread (sections 4 and 6), "
        "and a point with widely spread votes cannot be trusted. Training does not always get rid of such maps. Look back at keypoint 4: its "
        "votes are at the top edge and at the bottom edge of the frame, and its point is beside the chin, where hardly anybody has voted.",
        figures.figure_moments(
            [two[0, 0], one_leads[0, 0]],
            ["two equal peaks", "the left one leads"],
            "With two peaks the mean lies between them on nothing, and the ellipse is as wide as their distance.",
        ),
    ],
)

# %% [markdown]
# ### Why not simply take the maximum?
# Because training needs a gradient. Nudge one logit a little: the mean moves a little. The maximum stays where it is,
# or jumps: its derivative is 0 or does not exist, and no loss could ever tell the network "a little more to the left".

# %%
logits = torch.randn(1, 1, 5, 7, generator=torch.Generator().manual_seed(3), requires_grad=True)
votes = keypoints.spatial_softmax(logits, 1.0)
print("a gradient flows through the mean:   ", keypoints.heatmap_mean(votes).requires_grad)
print("a gradient flows through the maximum:", votes.flatten(2).argmax(dim=-1).requires_grad)
pull = torch.autograd.grad(keypoints.heatmap_mean(votes)[0, 0, 0], logits)[0][0, 0]
print("to move the point right, raise the logits on the right and lower those on the left:")
print("mean gradient of each column:", [round(v, 3) for v in pull.mean(dim=0).tolist()])

# %% [markdown]
# ### The temperature
# Take the logits of keypoint 0, which has a sharp peak on the head.

# %%
ex.predict(
    "temperature",
    "We raise the temperature from 0.1 to 10. The strongest pixel stays the strongest. What happens to the keypoint?",
    {
        "same": "nothing: the maximum is where it was",
        "centre": "it drifts towards the middle of the frame",
        "sharper": "it gets sharper and snaps onto the maximum",
        "random": "it jumps to another place",
    },
)

# %%
sharp = 0.1 * heat[0, 0].log()  # from shares back to logits, up to a constant, which cancels
at = {t: keypoints.heatmap_mean(keypoints.spatial_softmax(sharp[None, None], t))[0, 0] for t in (0.1, 10.0)}
drift = float(at[10.0].norm() / at[0.1].norm())  # distance from the middle of the frame
key = "same" if 0.9 < drift < 1.1 else "centre" if drift <= 0.9 else "random"
ex.reveal(
    "temperature",
    key,
    [
        "At a high temperature all pixels have nearly the same say, and the mean of all pixels is the middle of the "
        "frame. No pixel overtook another: the *maximum* never moved. "
        "Too cold has its price as well: one pixel takes all, and the gradient dries up (a winner that has "
        "everything does not feel a nudge). 0.1 is a compromise.",
        figures.figure_temperature(sharp, (0.02, 0.1, 1.0, 10.0)),
    ],
)

# %% [markdown]
# Try it yourself: drag the slider, or use the arrow keys. At which temperature does the point leave the head?

# %% tags=["nbval-ignore-output"]
temperatures = [round(10 ** (step / 8), 3) for step in range(-16, 13)]
widgets.slider(
    lambda index: figures.figure_temperature(sharp, [temperatures[index]]),
    [f"T = {t:g}" for t in temperatures],
    title="Temperature of the votes of keypoint 0",
    label="temperature",
    value=8,
)

# %% [markdown]
# ## 4. How sure is it? The covariance
#
# A point alone does not tell a needle from fog. The **covariance** does: the mean of the squared distances from $h$,
# $$\Sigma_k = \sum_g p_k(g)\,(g - h_k)(g - h_k)^\top = \begin{pmatrix} \sigma_{xx} & \sigma_{xy} \\ \sigma_{xy} & \sigma_{yy} \end{pmatrix}.$$
# $(g-h)(g-h)^\top$ is a column times a row: all products of the two distances $d_x$ and $d_y$. So $\sigma_{xx}$ is the
# mean of $d_x^2$ (the *variance* in x), $\sigma_{yy}$ that of $d_y^2$, and $\sigma_{xy}$ that of $d_x d_y$: positive if
# x and y grow together, which, with $y$ downwards, is the **falling** diagonal \\.
#
# **By hand**, with the map from above and $h = (½, 0)$:
#
# | pixel $(x, y)$ | $p$ | $d_x$ | $d_y$ | $d_x^2$ | $d_y^2$ | $d_x d_y$ |
# |---|---|---|---|---|---|---|
# | (1, -1) | ¼ | ½ | -1 | ¼ | 1 | -½ |
# | (0, 0) | ¼ | -½ | 0 | ¼ | 0 | 0 |
# | (1, 0) | ¼ | ½ | 0 | ¼ | 0 | 0 |
# | (0, 1) | ¼ | -½ | 1 | ¼ | 1 | -½ |
# | weighted sum | 1 | 0 | 0 | **¼** | **½** | **-¼** |
#
# So $\Sigma = \begin{pmatrix} ¼ & -¼ \\ -¼ & ½ \end{pmatrix}$: more spread in y than in x, leaning like /.

# %%
ex.predict(
    "wide-spot",
    "A spot is three times as wide (left to right) as it is tall. Which number of its covariance is the largest?",
    {
        "first": "`cov[0, 0]`",
        "last": "`cov[1, 1]`: in a tensor index 0 is the rows, so the columns come second",
        "slant": "`cov[0, 1]`: width times height",
        "equal": "`cov[0, 0]` and `cov[1, 1]` are equal: the votes sum to 1 either way",
    },
)

# %%
g = geometry.lattice(15, 15)
spot = torch.exp(-((g[..., 0] / 0.6) ** 2) - (g[..., 1] / 0.2) ** 2)[None, None]
spot = spot / spot.sum()
cov = keypoints.heatmap_covariance(spot, keypoints.heatmap_mean(spot))[0, 0]
entries = {"first": float(cov[0, 0]), "last": float(cov[1, 1]), "slant": float(cov[0, 1])}
key = "equal" if torch.allclose(cov[0, 0], cov[1, 1]) else max(entries, key=entries.get)
ex.reveal(
    "wide-spot",
    key,
    [
        f"`cov[0, 0]` = {float(cov[0, 0]):.2f}, `cov[1, 1]` = {float(cov[1, 1]):.2f}. The indices of Σ are those of "
        f"the *point* $(x, y)$, not those of the *map* [row, column].",
        figures.figure_moments([spot[0, 0]], ["a wide spot"], "A spot wider than tall has a lying ellipse."),
    ],
)

# %% [markdown]
# ### Exercise 3: the spread of a heatmap
# Now without blanks. `mean` is given, (B, K, 2): measure the distances from it, and do not compute it anew. Two rules:
# subtract the mean *before* you square (section 5 shows what happens otherwise), and take the heatmap as it is, with its
# floor of $10^{-7}$: do not divide by its sum.
#
# A reminder about broadcasting: `grid[0, :, 0]` has the shape (W,), `mean[..., 0:1]` (B, K, 1); their difference is (B,
# K, W).

# %% exercise="heatmap-covariance"

# %%
with torch.no_grad():
    spread = model.detect(frames).cov  # runs heatmap_covariance inside
ex.used("heatmap-covariance")

# %%
by_hand = keypoints.heatmap_covariance(hand[None, None], torch.tensor([[[0.5, 0.0]]]))[0, 0]
print("covariance of the map computed by hand:", by_hand.tolist())

# %% [markdown]
# ## 5. Too few bits
#
# Statistics books offer a shortcut: variance = "mean of the squares minus square of the mean",
# $\sum p\,gg^\top - hh^\top$. On paper it is equal, and it saves a pass over the data. A computer, however, keeps a
# limited number of digits. GPUs like to compute in *bfloat16*, with 8 bits for the digits: between two and three
# decimal places.
#
# **By hand**, with three significant digits: a needle at $x = 0.900$ with the standard deviation 0.02 has the variance
# 0.0004. The mean square is $0.81 + 0.0004 = 0.8104$, kept as 0.810. The square of the mean is 0.810. The difference is
# **0**, and one unlucky rounding makes it negative. Two large, nearly equal numbers were subtracted and only their
# rounding errors remained: *catastrophic cancellation*.
#
# A covariance has to have a positive determinant $\sigma_{xx}\sigma_{yy} - \sigma_{xy}^2$ (otherwise there is no ellipse to
# draw, as section 6 shows). We compute the covariances of all $32 × 10$ maps of your character with the shortcut, in bfloat16.

# %%
ex.predict(
    "bits",
    "In how many of the maps is the determinant 0 or negative?",
    {
        "none": "in none: the formula is right, and rounding makes it a little less exact",
        "few": "in a few, one or two in a hundred",
        "many": "in many, more than one in ten",
    },
)

# %%
def shortcut(heatmap: Tensor) -> Tensor:
    """Σ p·ggᵀ - hhᵀ in the precision of the heatmap: right on paper."""
    g = geometry.lattice(*heatmap.shape[-2:]).to(heatmap.dtype)
    mean = (heatmap[..., None] * g).sum(dim=(2, 3))
    square = (heatmap[..., None, None] * g[..., :, None] * g[..., None, :]).sum(dim=(2, 3))
    return square - mean[..., :, None] * mean[..., None, :]


def share_of_bad(cov: Tensor) -> float:
    """Share of the covariances whose determinant is 0 or negative."""
    return float((torch.linalg.det(cov.double()) <= 0).double().mean())


rows, bad = [], {}
for temperature in (0.1, 0.05, 0.02):
    maps = keypoints.spatial_softmax(0.1 * heat.log(), temperature) + 1e-7
    centred = keypoints.heatmap_covariance(maps, keypoints.heatmap_mean(maps))
    bad[temperature] = share_of_bad(shortcut(maps.bfloat16()))
    fine = share_of_bad(centred)
    rows.append(
        f"- temperature {temperature}: {bad[temperature]:.0%} with the shortcut in bfloat16, {fine:.0%} centred "
        f"first, in float32"
    )
key = "none" if bad[0.1] == 0 else "few" if bad[0.1] <= 0.05 else "many"
said = ["Maps with a determinant of 0 or less:", "\n".join(rows), "The sharper the maps, the worse: and training sharpens them."]
ex.reveal("bits", key, "\n\n".join(said))

# %% [markdown]
# What does such a covariance do to the model? The next step needs its inverse, that is, a division by the determinant.
# Watch a single keypoint:

# %% tags=["nbval-ignore-output"]
maps = keypoints.spatial_softmax(0.1 * heat.log(), 0.02) + 1e-7
wrong = shortcut(maps.bfloat16()).float()
t, k = [int(i) for i in (torch.linalg.det(wrong.double()) < 0).nonzero()[0]]
right = keypoints.heatmap_covariance(maps, keypoints.heatmap_mean(maps))
place = keypoints.heatmap_mean(maps)[t, k][None]
drawn = [keypoints.gaussian_heatmap(Keypoints(place, c[t, k][None]), 32, 32)[0] for c in (right, wrong)]
determinants = [float(torch.linalg.det(c[t, k])) for c in (right, wrong)]
print(f"keypoint {k}, frame {t}: determinant {determinants[0]:.1e} centred, {determinants[1]:.1e} with the shortcut")
print(f"largest value of its heatmap (at most 1): {drawn[0].max():.3g} centred, {drawn[1].max():.3g} with the shortcut")

# %% [markdown]
# A heatmap whose largest value is astronomical, or infinite, is multiplied, added, and in the next step every weight of
# the network is *NaN* ("not a number"). A training with the shortcut died this way after about a hundred steps. Two
# rules follow, and you have just kept the first:
# 1. **Centre first**, then square.
# 2. Moments and inverses are computed in **float32**, whatever the network around them uses.
#
# A third line of defence is the $10^{-7}$ that the detector adds to every share: even a perfect needle keeps a little
# spread, so Σ can always be inverted. And the mini models clip Σ from below, so that a keypoint cannot become smaller
# than a pixel.

# %% [markdown]
# ## 6. Drawing Σ: an ellipse
#
# All points at "distance one" from $h$, counted in standard deviations, form an ellipse. Its axes are what linear
# algebra calls the *eigenvectors* of Σ: the directions in which the spread is extreme. The **eigenvalue** $\lambda$ of
# an axis is the variance along it. For a 2×2 matrix there is a formula:
# $$\lambda_{1,2} = \frac{\sigma_{xx}+\sigma_{yy}}{2} \pm \sqrt{\Big(\frac{\sigma_{xx}-\sigma_{yy}}{2}\Big)^2 + \sigma_{xy}^2},\qquad
# \theta = \tfrac12\,\mathrm{atan2}\Big(\sigma_{xy},\ \frac{\sigma_{xx}-\sigma_{yy}}{2}\Big).$$
# $\theta$ is the angle of the long axis, from the x axis towards the y axis. (`atan2(v, u)` is the angle of the vector
# $(u, v)$, the second coordinate first; it knows all four quadrants.) The product $\lambda_1\lambda_2$ is the determinant
# of section 5.
#
# **By hand**, for Σ = (¼, -¼; -¼, ½): half the sum is ⅜, half the difference -⅛, the root
# $\sqrt{\frac1{64}+\frac1{16}} = 0.280$. So $\lambda_1 = 0.655$ and $\lambda_2 = 0.095$, and the angle is
# $½·\mathrm{atan2}(-0.25, -0.125) = ½·(-116.6°) = -58.3°$: up and to the right, as it should be.

# %%
ex.predict(
    "half-axis",
    "Σ has 0.04 and 0.01 on its diagonal and zeros beside it. How far does the ellipse of one standard deviation "
    "reach from its centre to the right?",
    {
        "eigenvalue": "0.04: the eigenvalue",
        "root": "0.2",
        "double": "0.4: from tip to tip",
        "half": "0.02: half of the eigenvalue",
    },
)

# %%
half, angle = geometry.ellipse_axes(torch.tensor([[0.04, 0.0], [0.0, 0.01]]))
reach = float(half[0])
offered = {"eigenvalue": 0.04, "root": 0.2, "double": 0.4, "half": 0.02}
key = min(offered, key=lambda name: abs(offered[name] - reach))
ex.reveal(
    "half-axis",
    key,
    f"It reaches {reach:.1f}. An eigenvalue of Σ is a *variance*: a squared length. The half axis is its **square "
    f"root**, a standard deviation, in the unit of the points. "
    "In our 64-pixel frames (63 steps for a width of 2) that is the difference between about 1.3 pixels and 6.3.",
)

# %% [markdown]
# ### Exercise 4: the axes of an ellipse
# The formulas above in code, for any number of covariances at once. Return two things: the half axes (..., 2), the long
# one first, and the angle (...). `torch.hypot(a, b)` is $\sqrt{a^2+b^2}$. Rounding can make the small eigenvalue a hair
# negative: `.clamp_min(0)` before the root.

# %% exercise="ellipse-axes"

# %% [markdown]
# From now on every ellipse in every picture of this course is drawn by this function. (Ellipses reach **two** half
# axes: with a Gaussian spread, 86 % of the votes lie inside.)

# %% tags=["nbval-ignore-output"]
finding = "Small ellipses sit on the head and on the arms, where they lie along them; the other points have ellipses as large as the figure or larger."
two_frames = (0, 16)
places, spreads = [found.mean[t] for t in two_frames], [found.cov[t] for t in two_frames]
figures.figure_points(frames[0], places, [f"frame {t}" for t in two_frames], finding, spreads)

# %%
ex.used("ellipse-axes")

# %%
half, angle = geometry.ellipse_axes(torch.tensor([[0.25, -0.25], [-0.25, 0.5]]))
degrees = float(torch.rad2deg(angle))
print("half axes of the map computed by hand:", [round(v, 3) for v in half.tolist()], "angle:", round(degrees, 1), "degrees")
finding = "The ellipse leans from lower left to upper right, like the four pixels."
figures.figure_moments([hand], ["the map computed by hand"], finding)

# %% [markdown]
# Look at the arms: the small ellipses lie *along* them. The covariance has learned the direction of a limb, although
# nobody asked for it. The paper uses it for exactly this: Σ describes how a part is turned and how large it is, where a
# point can only say where it is.

# %% [markdown]
# ## 7. Back to a map: the Gaussian
#
# The next networks, M and G, are made of convolutions. They cannot read a list of numbers, but they can read maps. So
# each keypoint is drawn again, as a **Gaussian**:
# $$H_k(g) = \exp\!\Big(-\tfrac12\,(g-h_k)^\top\,\Sigma_k^{-1}\,(g-h_k)\Big).$$
# Read it from the inside: $d = g - h_k$ is the distance of a pixel. $d^\top\Sigma^{-1}d$ is the squared distance
# *counted in standard deviations*: 1 on the ellipse, whatever the direction. $\exp(-½\,·)$ turns it into 1 at the
# keypoint, falling smoothly to 0.
#
# **By hand.** The inverse of a 2×2 matrix swaps the diagonal, changes the sign beside it, and divides by the
# determinant. For Σ = (¼, -¼; -¼, ½) the determinant is ⅛ - 1/16 = 1/16, so
# $\Sigma^{-1} = 16·(½, ¼; ¼, ¼) = (8, 4; 4, 4)$. For the pixel (1, -1), $d = (½, -1)$:
# $$d^\top\Sigma^{-1}d = 8·d_x^2 + 2·4·d_x d_y + 4·d_y^2 = 8·¼ - 8·½ + 4·1 = 2,\qquad H = e^{-1} = 0.37.$$
# (The mixed product counts twice: once for (0, 1), once for (1, 0).) For (0, 0), $d = (-½, 0)$: $8·¼ = 2$ again,
# $e^{-1}$ again. All four pixels that had votes get the same value; the pixel (1, 1), with $d = (½, 1)$, gets
# $e^{-(2+4+4)/2} = e^{-5} = 0.007$. The map has forgotten the four separate votes and kept where they were and how they
# were spread.
#
# ### Exercise 5: an ellipse becomes a heatmap (blank page)
# Write the whole function `gaussian_heatmap(keypoints, height, width)`. From now on you sometimes get nothing but the
# task. The next cell is empty but for a reminder: write your function into it, below the comment. The cell after it submits
# the function by its name, as text, because until you have written it there is nothing that could be handed over.
#
# - `keypoints` is a `Keypoints`: `keypoints.mean` (..., K, 2) and `keypoints.cov` (..., K, 2, 2). The dots stand for
#   any number of leading dimensions: a batch, a batch of films, or none.
# - Return (..., K, height, width): the value of $H_k$ at every pixel's point, row by row. The peak is 1; nothing is
#   divided by a sum.
# - Given: `geometry.lattice(height, width)`, (height, width, 2), and `inverse_covariance(cov)`, (..., 2, 2).
# - It has to be differentiable in mean and covariance: tensor operations only.
#
# There are two roads. One computes $8 d_x^2 + 2·4\,d_xd_y + 4 d_y^2$ term by term, with broadcasting. The other holds
# $d$ as (..., K, H, W, 2) and lets `torch.einsum` do the double product.

# %% exercise="gaussian"

# %%
point = Keypoints(torch.tensor([[0.5, 0.0]]), torch.tensor([[[0.25, -0.25], [-0.25, 0.5]]]))
drawn = keypoints.gaussian_heatmap(point, 3, 3)[0]
print("drawn from the point and the covariance computed by hand:")
for row in drawn.tolist():
    print("  ".join(f"{value:.3f}" for value in row))

# %%
ex.used("gaussian")

# %% [markdown]
# Now the keypoints of your character: the votes of three of them, each beside what is left of it after the detour
# through 5 numbers each (two for $h$, three for Σ).

# %% tags=["nbval-ignore-output"]
gaussians = keypoints.gaussian_heatmap(found[0], 32, 32)
peak = heat[0].amax(dim=(1, 2), keepdim=True)
chosen = (0, 1, 3)
shown = [image for k in chosen for image in ((heat[0] / peak)[k], gaussians[k])]
names = [name for k in chosen for name in (f"votes of {k}", f"Gaussian of {k}")]
alt = (
    "Votes of keypoints 0, 1 and 3, each beside its Gaussian: a needle stays a needle; a spot with a few votes in a far corner "
    "becomes a long blob that leans that way; votes at the top and at the bottom edge become one tall blob."
)
viz.figure_images(shown, names, alt=alt)

# %% [markdown]
# That loss is the point. **A bottleneck:** 1024 votes become 5 numbers. If the detector could hand its maps over as
# they are, it would smuggle the whole picture through them, and the model would never learn what *moves*. Because only
# a place and a spread get through, the detector has to put them where they help most: on what moves.

# %% [markdown]
# ## 8. Whom do the points follow?
#
# Here the true joints help: they are our *oracle*. For each learned keypoint and each true joint we look at the
# difference of the two over the whole film. If a keypoint rides on a joint, the difference stays the same (it may sit a
# little beside it): its standard deviation, the *slip*, is small.

# %%
ex.predict(
    "followers",
    "Nobody showed the model a joint. How many of its ten keypoints move by at least two pixels and ride on one "
    "joint (slip less than half of their own motion)?",
    {
        "none": "none or one: without labels there is no reason to find a joint",
        "some": "some: two to eight",
        "all": "nine or ten: each keypoint has found its own joint",
    },
)

# %% tags=["nbval-ignore-output"]
pixels = 63 / 2  # pixels for one unit of x or y
slip = (found.mean[:, :, None] - joints[:, None]).std(dim=0).norm(dim=-1) * pixels  # (10, 13)
moves = found.mean.std(dim=0).norm(dim=-1) * pixels  # (10,)
best, whom = slip.min(dim=1)
follows = (moves >= 2) & (best < moves / 2)
count = int(follows.sum())
key = "none" if count < 2 else "some" if count <= 8 else "all"
table = "\n".join(
    f"- keypoint {k}: moves {moves[k]:.1f} px, slips {best[k]:.1f} px on "
    f"{clip.truth.joint_names[whom[k]].replace('_', ' ')}"
    + (" **(follows)**" if follows[k] else "")
    for k in range(10)
)
ex.reveal(
    "followers",
    key,
    [
        f"{count} of 10 follow a joint:\n\n{table}",
        "Several share one joint, others have huge ellipses. Those are not useless: with Σ as large as the frame they tell the "
        "networks where the *whole figure* or the background is. Keypoint 7 hardly moves, and in lesson 00 it took the whole trunk along.",
        figures.figure_tracks(
            frames[0],
            [joints, found.mean],
            ["paths of the true joints", "paths of the learned keypoints"],
            "True joints: long paths of both hands, short paths elsewhere. Learned: paths of both hands, much like the true "
            "ones, of one elbow and of the head, and short paths elsewhere.",
        ),
    ],
)

# %% [markdown]
# No keypoint is *called* "left hand". Which one follows the hand, and whether two share the chin, is decided by the
# random start of a training. That is what "unsupervised" costs: the points have no names. What it buys: the same code
# finds points on faces, robots and cartoon animals, where nobody has labels.

# %% [markdown]
# ## 9. Make: the same detector, with labels
#
# For comparison we train a small detector *with* labels: a U-Net, your softmax, your mean, and the squared distance
# from the true joints as the loss. The gradient comes back through your functions. It sees six films of your character,
# and is then asked about the film above, which it has not seen. (As in lesson 02 the batch norm has two modes: a new
# network is in training mode, and `eval()` before the test makes it use what it has gathered.)

# %% tags=["nbval-ignore-output"]
torch.manual_seed(0)
films = [ex.character.clip(motion=100 + number, length=16) for number in range(2 if ex.fast else 6)]
device = ex.device.device
images = torch.cat([to_tensor(film.frames) for film in films]).to(device)
labels = torch.cat([torch.from_numpy(film.truth.joints) for film in films]).clamp(-1, 1).to(device)

config = keypoints.DetectorConfig(keypoints=13, width=8, max_width=32, levels=3, scale=0.5)
student = keypoints.KeypointDetector(config).to(device)
optimizer = torch.optim.Adam(student.parameters(), lr=2e-3)
steps = ex.steps(300)
with ex.training(student, steps=steps):
    for _ in range(steps):
        batch = torch.randint(len(images), (16,))
        loss = (student(images[batch]).mean - labels[batch]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

student.eval()
with torch.no_grad():
    guess = student(frames.to(device)).mean.cpu()
error = (guess - joints).norm(dim=-1).mean() * pixels
print(f"after {steps} steps: {error:.1f} pixels from the true joints on a film it has not seen")
finding = f"After {steps} steps the student's points are {error:.1f} pixels from the true joints on average."
figures.figure_points(frames[10], [joints[10], guess[10]], ["true joints, frame 10", "student, frame 10"], finding)

# %% [markdown]
# A few seconds, and each point has a name. But it needed a drawn character: for real films somebody would have to click
# 13 joints in every frame.
#
# ## 10. Modify
#
# Change one thing, predict, run:
# 1. **Temperature.** In the cell above, add `temperature=10.0` to `DetectorConfig`. What do the first steps look like,
#    and why does it still learn? (The network can make its logits larger. How much larger?)
# 2. **Ablate Σ.** The paper's variant "No Σ_k" gives every keypoint the same small circle (0.01 on the diagonal). Draw
#    the Gaussians of your character with it: the next cell. What does the model no longer see at the arms?
# 3. **Your mistake.** Submit a version of `heatmap_mean` that returns (y, x), and look at what the model would see with
#    it (then submit the right one again):
#    ```python
#    with ex.run_mine("heatmap-mean"):
#        mine = model.detect(frames[:1])
#    figures.figure_points(frames[0], [mine.mean[0].detach()], ["with my mistake"], "Points at mirrored places.")
#    ```

# %% tags=["nbval-ignore-output"]
choices = {"full Σ": "full", "circle, same variance": "isotropic", "constant 0.01": 0.01}
variants = [keypoints.heatmap_to_keypoints(heat[:1], choice) for choice in choices.values()]
few = variants[0].mean[0].clone()
few[[0, 1, 2, 4, 5, 6, 7]] = float("nan")  # not drawn
finding = "The same votes described in three ways: ellipses, circles of the same mean variance, equal small circles."
figures.figure_points(frames[0], [few] * 3, list(choices), finding, [variant.cov[0] for variant in variants])

# %% [markdown]
# ## 11. The film
#
# Left: your character. Middle: everything the generator will be told about each frame, the ten Gaussians of its
# keypoints. Right: the first frame, moved by Monkey-Net with nothing but these maps.
# How maps become motion is lesson 04.

# %% tags=["nbval-ignore-output"]
with torch.no_grad():
    told = keypoints.gaussian_heatmap(found, 64, 64)  # (T, 10, 64, 64)
told[:, found.cov.diagonal(dim1=-2, dim2=-1).mean(dim=(0, 2)) > 0.05] *= 0.15  # the fog, dimmed
redrawn = animation.reconstruct(model.to(ex.device.device), frames, ex.device).prediction.cpu()
model.cpu()
middle = told.amax(dim=1, keepdim=True).expand(-1, 3, -1, -1)
film = torch.cat([frames, middle, redrawn], dim=3)[::3]
ex.film(
    film,
    caption=f"{ex.character.name}, its keypoints as maps, and its first frame moved by them",
    fps=5,
    alt="Three films side by side: the drawn character in slow motion; bright spots that follow head and arms, and a long one across "
    "the chest; the first frame redrawn so that it follows the same motion, the raised arm ragged.",
)

# %% [markdown]
# ## Symbols
#
# | paper | here | code |
# |---|---|---|
# | $\Delta$ | keypoint detector | `keypoints.KeypointDetector` |
# | $K$ | number of keypoints | `DetectorConfig.keypoints` |
# | $\mathcal U$ | the lattice, all points $g$ | `geometry.lattice` |
# | $H_k$, output of the softmax | votes $p_k$ | `keypoints.spatial_softmax`, `KeypointDetector.heatmap` |
# | 0.1 | temperature $T$ | `DetectorConfig.temperature` |
# | $h_k$ | keypoint, mean | `keypoints.heatmap_mean`, `Keypoints.mean` |
# | $\Sigma_k$ | covariance | `keypoints.heatmap_covariance`, `Keypoints.cov` |
# | $H_k$, the Gaussian | heatmap for M and G | `keypoints.gaussian_heatmap` |
#
# ## What you have built
#
# - A softmax over the pixels of each map makes votes; the temperature decides how sharp they are.
# - The mean of the votes is the keypoint. It is not the maximum: it knows fractions of pixels and passes a gradient on,
#   but two peaks put it on nothing.
# - The covariance is the spread: index 0 is x. Centre first, then square, in float32.
# - Eigenvalues are variances, half axes their square roots.
# - Point and covariance, 5 numbers, are drawn again as a Gaussian: a bottleneck that forces the points onto what moves.
#
# ## To discuss
#
# 1. Two hands look alike. What in the *training task* punishes a map with a peak on each hand?
# 2. The detector has no idea of time: each frame is treated alone. Which of the paths above show it?
# 3. Points without names were learned from films of people. Where would it matter what, or whom, such a model has never
#    seen?
# 4. Would a few numbers more, say the third moments, make the model better? What could go wrong with a wider
#    bottleneck?
#
# ## Further reading
#
# - Siarohin and others, *Animating Arbitrary Objects via Deep Motion Transfer*, CVPR 2019, section 3.1:
#   [arXiv:1812.08861](https://arxiv.org/abs/1812.08861).
# - Jakab and others, *Unsupervised Learning of Object Landmarks through Conditional Image Generation*, NeurIPS 2018,
#   the idea of the bottleneck: [arXiv:1806.07823](https://arxiv.org/abs/1806.07823).
# - Nibali and others, *Numerical Coordinate Regression with Convolutional Neural Networks*, 2018, on the mean of a
#   heatmap as a layer: [arXiv:1801.07372](https://arxiv.org/abs/1801.07372).
# - Chan, Golub, LeVeque, *Algorithms for Computing the Sample Variance*, The American Statistician 37, 1983, on the
#   shortcut that cancels.

# %%
ex.map()
