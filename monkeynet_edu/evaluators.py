"""The external networks that AKD, MKR, AED and FID need, and the regression that asks what keypoints mean.

The paper measures with networks that others trained on real pictures (SPEC: section 4.1 of the paper): landmarks of faces
and bodies for AKD and MKR, a re-identification network for AED, Inception for FID. On the miniatures three small networks
take their place, trained on the sprites' truth: :class:`PoseEstimator` for each set, one :class:`IdentityEmbedder` and one
:class:`MiniFeatures`. Their figures compare to nothing outside the miniatures.

On own data any detector fits in five lines, since :class:`PointDetector` is a call and nothing more::

    def corners(frames):  # (T, 3, H, W) in [0, 1]
        marked = frames.mean(dim=1).flatten(1).argmax(dim=1)  # here: the brightest pixel of each frame
        place = torch.stack([marked % frames.shape[3], marked // frames.shape[3]], dim=-1)
        return Points(place[:, None].float(), torch.ones(len(frames), 1))
    mine = Evaluators(detector=corners, joint_names=("brightest",))

:class:`DlibFaces` is such a detector, of faces in real films (an optional extra).
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monkeynet_edu.data.datasets import MINIATURES
from monkeynet_edu.errors import UserError
from monkeynet_edu.model import (
    built,
    from_plain,
    in_float32,
    load_tensors,
    load_weights,
    parsed,
    pick_device,
    save_tensors,
)
from monkeynet_edu.paths import weights_path

SIDE = 64
"""Side of the frames that the shipped networks see; others are resized first."""

_STRIDE = 2
_CHUNK = 64
_FORMAT = "monkeynet_edu evaluator"
_WINDOW = 2

Widths = tuple[int, int, int, int]


# ------------------------------------------------------------------------------------------------------------ interface


@dataclass(frozen=True)
class Points:
    """What a detector finds in T frames.

    Attributes:
        position: (T, J, 2) pixels (x, y); (0, 0) is the centre of the top left pixel.
        confidence: (T, J) in [0, 1] that the joint is to be seen there.
    """

    position: Tensor
    confidence: Tensor

    def found(self, threshold: float = 0.5) -> Tensor:
        """(T, J) bool: confidence of at least ``threshold``."""
        return self.confidence >= threshold


class PointDetector(Protocol):
    """Finds the same J joints in every frame; the network of AKD and MKR."""

    def __call__(self, frames: Tensor) -> Points:
        """Points of frames (T, 3, H, W) in [0, 1]."""
        ...


class Embedder(Protocol):
    """Says who is to be seen; the network of AED."""

    def __call__(self, frames: Tensor) -> Tensor:
        """Vectors (T, D) of frames (T, 3, H, W) in [0, 1]."""
        ...


class FeatureNetwork(Protocol):
    """Describes a picture by features whose distribution FID compares.

    A FID is stated with ``name``: figures of two networks do not compare.
    """

    name: str
    dimension: int

    def __call__(self, frames: Tensor) -> Tensor:
        """Features (T, ``dimension``) of frames (T, 3, H, W) in [0, 1]."""
        ...


@dataclass(frozen=True)
class Evaluators:
    """The external networks of an evaluation; what is None is not measured.

    Attributes:
        detector: for AKD and MKR.
        embedder: for AED.
        features: for FID.
        joint_names: of the detector's joints, in their order.
    """

    detector: PointDetector | None = None
    embedder: Embedder | None = None
    features: FeatureNetwork | None = None
    joint_names: tuple[str, ...] = ()


# ------------------------------------------------------------------------------------------------------------- networks


def _block(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution → batch norm → ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class Trunk(nn.Module):
    """Four levels of features at 1/2, 1/4, 1/8 and 1/16 of the frame, two convolutions each.

    Args:
        widths: channels of the levels.
    """

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        inputs = (3, *widths[:-1])
        self.levels = nn.ModuleList(
            nn.Sequential(_block(a, b, 2, 5 if a == 3 else 3), _block(b, b)) for a, b in zip(inputs, widths, strict=True)
        )

    def forward(self, frames: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] → [(B, C_i, H/2^i, W/2^i)], the finest first."""
        x, found = 2 * frames - 1, []
        for level in self.levels:
            x = level(x)
            found.append(x)
        return found


@dataclass(frozen=True)
class PoseConfig:
    """Configuration of a pose estimator.

    Attributes:
        data: the miniature that it was trained on.
        joint_names: of the joints, in their order.
        widths: channels of the four levels.
    """

    data: str
    joint_names: tuple[str, ...]
    widths: Widths = (24, 32, 48, 56)


@dataclass(frozen=True)
class EmbedderConfig:
    """Configuration of an identity embedder or of a feature network.

    Attributes:
        dimension: of the vectors.
        widths: channels of the four levels.
    """

    dimension: int = 64
    widths: Widths = (16, 24, 40, 64)


def local_mean(logits: Tensor, radius: int = _WINDOW) -> Tensor:
    """Place of the highest peak of heatmaps, finer than their cells: (B, J, h, w) → (B, J, 2) in cells (x, y).

    The mean over the peak's (2·radius+1)² neighbours, weighted by the softmax. Over the whole map it would lie between
    two peaks where the network hesitates between a left and a right limb.
    """
    height, width = logits.shape[-2:]
    peak = logits.flatten(2).argmax(dim=-1)  # (B, J)
    row, column = (peak // width)[..., None], (peak % width)[..., None]
    y, x = torch.arange(height, device=logits.device), torch.arange(width, device=logits.device)
    near = ((y - row).abs() <= radius)[..., :, None] & ((x - column).abs() <= radius)[..., None, :]
    weights = logits.masked_fill(~near, -torch.inf).flatten(2).softmax(dim=-1).view_as(logits)
    return torch.stack([(weights.sum(dim=-2) * x).sum(dim=-1), (weights.sum(dim=-1) * y).sum(dim=-1)], dim=-1)


class PoseEstimator(nn.Module):
    """Joints of a miniature's figures and how sure it is of each: a :class:`PointDetector`.

    A heatmap for each joint tells where it is; a second map, averaged with the first as weights, tells whether what is
    there looks like the joint. So the confidence depends on the place that was found and not on the frame as a whole.
    """

    def __init__(self, config: PoseConfig) -> None:
        super().__init__()
        self.config = config
        w = config.widths
        self.trunk = Trunk(w)
        self.laterals = nn.ModuleList(nn.Conv2d(w[i + 1], w[i], 1) for i in range(3))
        self.merges = nn.ModuleList(_block(w[i], w[i]) for i in range(3))
        self.head = nn.Conv2d(w[0], 2 * len(config.joint_names), 1)

    def maps(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """What is trained.

        Args:
            frames: (B, 3, 64, 64) in [0, 1].

        Returns:
            Logits of the heatmaps (B, J, 32, 32) over their positions, and of the confidences (B, J), float32.
        """
        levels = self.trunk(frames)
        x = levels[3]
        for i in (2, 1, 0):
            x = self.merges[i](F.interpolate(self.laterals[i](x), scale_factor=2.0) + levels[i])
        with torch.autocast(x.device.type, enabled=False):  # a bf16 logit is too coarse for a fraction of a cell
            place, seen = self.head(x.float()).chunk(2, dim=1)
        weights = place.flatten(2).softmax(dim=-1)
        return place, (weights * seen.flatten(2)).sum(dim=-1)

    @torch.no_grad()
    def forward(self, frames: Tensor) -> Points:
        """Points of frames (T, 3, H, W) in [0, 1], on their device; frames of another size are resized first."""
        joints = len(self.config.joint_names)
        positions, confidences = [torch.empty(0, joints, 2)], [torch.empty(0, joints)]
        height, width = frames.shape[-2:]
        scale = torch.tensor([width, height]) / SIDE
        for part in fitted(frames, self):
            with pick_device(part.device.type).autocast():
                place, seen = self.maps(part)
            # Cell 0 covers pixels 0 and 1; sizes change about the frame's border, half a pixel off the first centre.
            positions.append((local_mean(place.cpu()) + 0.5) * _STRIDE * scale - 0.5)
            confidences.append(seen.cpu().sigmoid())
        return Points(torch.cat(positions).to(frames.device), torch.cat(confidences).to(frames.device))

    def save(self, path: str | Path) -> None:
        """Writes one float16 safetensors file; beside its place, then renamed."""
        _save(self, "pose", self.config, path)

    @staticmethod
    def load(path: str | Path) -> PoseEstimator:
        """Reads what :meth:`save` wrote.

        Raises:
            UserError: no such file, a damaged or foreign one, or tensors of other shapes.
        """
        tensors, config = _read(path, "pose", PoseConfig)
        return _filled(lambda: PoseEstimator(config), tensors, path)


class IdentityEmbedder(nn.Module):
    """Who is to be seen, whatever the pose and place: an :class:`Embedder` of unit vectors."""

    def __init__(self, config: EmbedderConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(config.widths)
        self.head = nn.Linear(2 * config.widths[3] + config.widths[2], config.dimension)

    def embed(self, frames: Tensor) -> Tensor:
        """What is trained: unit vectors (B, D) of frames (B, 3, 64, 64)."""
        levels = self.trunk(frames)
        pooled = [levels[3].mean(dim=(2, 3)), levels[3].amax(dim=(2, 3)), levels[2].amax(dim=(2, 3))]
        return F.normalize(self.head(torch.cat(pooled, dim=1)).float(), dim=1)

    @torch.no_grad()
    def forward(self, frames: Tensor) -> Tensor:
        """Unit vectors (T, D) of frames (T, 3, H, W) in [0, 1]; frames of another size are resized first."""
        return _vectors(self, self.embed, frames, self.config.dimension)

    def save(self, path: str | Path) -> None:
        """Writes one float16 safetensors file; beside its place, then renamed."""
        _save(self, "identity", self.config, path)

    @staticmethod
    def load(path: str | Path) -> IdentityEmbedder:
        """Reads what :meth:`save` wrote; raises UserError as :meth:`PoseEstimator.load` does."""
        tensors, config = _read(path, "identity", EmbedderConfig)
        return _filled(lambda: IdentityEmbedder(config), tensors, path)


class MiniFeatures(nn.Module):
    """The feature network of the mini-FID, for all four miniatures: a :class:`FeatureNetwork`.

    It was trained to tell how a frame was spoilt (blur, lost limbs, wrong colours, noise) and to repeat the frame's
    coarse colours, so its features move with each of these. They are whitened: over training frames, spoilt ones among
    them, their mean is 0 and their covariance the identity, so that no kind of damage outweighs the others.
    """

    name = "mini-features-64"

    def __init__(self, config: EmbedderConfig) -> None:
        super().__init__()
        self.config = config
        self.dimension = config.dimension
        self.trunk = Trunk(config.widths)
        self.head = nn.Linear(config.widths[3] * 16 + config.widths[1] + config.widths[0], config.dimension)
        self.norm = nn.BatchNorm1d(config.dimension, affine=False)

    def describe(self, frames: Tensor) -> Tensor:
        """What is trained: features (B, D) of frames (B, 3, 64, 64)."""
        levels = self.trunk(frames)
        pooled = [levels[3].flatten(1), levels[1].mean(dim=(2, 3)), levels[0].mean(dim=(2, 3))]
        features: Tensor = self.norm(self.head(torch.cat(pooled, dim=1)).float())
        return features

    @torch.no_grad()
    def forward(self, frames: Tensor) -> Tensor:
        """Features (T, D) of frames (T, 3, H, W) in [0, 1]; frames of another size are resized first."""
        return _vectors(self, self.describe, frames, self.dimension)

    def save(self, path: str | Path) -> None:
        """Writes one float16 safetensors file; beside its place, then renamed."""
        _save(self, "features", self.config, path)

    @staticmethod
    def load(path: str | Path) -> MiniFeatures:
        """Reads what :meth:`save` wrote; raises UserError as :meth:`PoseEstimator.load` does."""
        tensors, config = _read(path, "features", EmbedderConfig)
        return _filled(lambda: MiniFeatures(config), tensors, path)


def _vectors(network: nn.Module, compute: Callable[[Tensor], Tensor], frames: Tensor, dimension: int) -> Tensor:
    """What a network computes of frames (T, 3, H, W), batch by batch: (T, dimension) float32 on the frames' device."""
    found = [torch.empty(0, dimension)]
    for part in fitted(frames, network):
        with pick_device(part.device.type).autocast():
            found.append(compute(part).cpu())
    return torch.cat(found).to(frames.device)


def fitted(frames: Tensor, network: nn.Module) -> list[Tensor]:
    """Batches of up to 64 frames, 64×64, float32, on the network's device.

    Raises:
        UserError: frames are not (T, 3, H, W).
    """
    if frames.ndim != 4 or frames.shape[1] != 3:
        raise UserError(f"frames: expected (T, 3, H, W) with values in [0, 1], got {tuple(frames.shape)}; permute them")
    device = next(network.parameters()).device
    parts = [part.to(device, torch.float32) for part in torch.split(frames, _CHUNK)] if len(frames) else []
    if frames.shape[-2:] == (SIDE, SIDE):
        return parts
    return [F.interpolate(part, (SIDE, SIDE), mode="bilinear", antialias=True) for part in parts]


# ---------------------------------------------------------------------------------------------------------------- files

Config = TypeVar("Config", PoseConfig, EmbedderConfig)
Network = TypeVar("Network", bound=nn.Module)


def _save(network: nn.Module, kind: str, config: PoseConfig | EmbedderConfig, path: str | Path) -> None:
    """Writes weights in float16 with kind and configuration in the header."""
    tensors = {n: t.to(torch.float16) if t.is_floating_point() else t for n, t in network.state_dict().items()}
    save_tensors(Path(path), tensors, {"format": _FORMAT, "kind": kind, "config": json.dumps(asdict(config))})


def _read(path: str | Path, kind: str, config: type[Config]) -> tuple[dict[str, Tensor], Config]:
    """Tensors and configuration of a file, which has to be of this kind."""
    tensors, header = load_tensors(Path(path))
    if header.get("format") != _FORMAT or header.get("kind") != kind:
        came = f"{header.get('format', 'a foreign file')} {header.get('kind', '')}".strip()
        raise UserError(
            f"{path}: expected an evaluator of kind {kind!r}, got {came}; "
            "make the shipped ones with: python benchmarks/train_evaluators.py"
        )
    try:
        made: Config = from_plain(config, parsed(header["config"]))
        return tensors, made
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: expected an evaluator's configuration in the header, got a damaged one ({error}); "
            "make it again with: python benchmarks/train_evaluators.py"
        ) from error


def _filled(make: Callable[[], Network], tensors: Mapping[str, Tensor], path: str | Path) -> Network:
    """The network with the file's weights, in float32 and eval mode."""
    network = built(make, tensors, str(path))
    load_weights(network, in_float32(tensors), str(path))
    return network.eval()


def shipped_pose(data: str) -> Path:
    """The file of a miniature's pose estimator."""
    return weights_path(f"evaluators-pose-{data}")


def shipped_identity() -> Path:
    """The file of the identity embedder."""
    return weights_path("evaluators-identity")


def shipped_features() -> Path:
    """The file of the mini-FID's feature network."""
    return weights_path("evaluators-features")


def evaluators_for(data: str) -> Evaluators:
    """The shipped networks of a miniature.

    Args:
        data: the data set's name; for any other than the four miniatures there are none, and all are None.

    Raises:
        UserError: the files are missing or damaged.
    """
    if data not in MINIATURES:
        return Evaluators()
    detector = PoseEstimator.load(shipped_pose(data))
    embedder, features = IdentityEmbedder.load(shipped_identity()), MiniFeatures.load(shipped_features())
    return Evaluators(detector, embedder, features, detector.config.joint_names)


# ------------------------------------------------------------------------------------------------------- real pictures

_FACE_SIDE = 512
_FACE_MODEL = "models/shape_predictor_68_face_landmarks.dat"
_FACE_GROUPS = (("jaw", 17), ("brow", 10), ("nose", 9), ("eye", 12), ("mouth", 20))


class DlibFaces:
    """68 landmarks of the most certain face of each frame, by dlib: a :class:`PointDetector` for real films of faces.

    Needs ``pip install "monkeynet-edu[faces]"``: dlib (Boost licence) and the package ``face-recognition-models``, which
    holds the trained landmarks, so nothing is downloaded at run time. They were learned on iBUG 300-W, whose licence
    excludes commercial use. Frames are enlarged to 512 pixels first; the detector finds faces of 80 pixels and more there.

    dlib says how certain it is of a face, not of a landmark: all 68 have the face's confidence (the sigmoid of its score,
    above 0.5), and 0 where no face is found. So MKR counts lost faces.

    Raises:
        UserError: the packages are not installed.
    """

    joint_names: tuple[str, ...] = tuple(f"{name}_{i}" for name, count in _FACE_GROUPS for i in range(count))

    def __init__(self) -> None:
        models = importlib.util.find_spec("face_recognition_models")
        try:
            dlib = importlib.import_module("dlib")
        except ImportError:
            dlib = None
        if dlib is None or models is None or not models.submodule_search_locations:
            missing = "dlib" if dlib is None else "face_recognition_models"
            raise UserError(
                f"DlibFaces: expected the packages dlib and face_recognition_models, found no {missing}; "
                'install them with: pip install "monkeynet-edu[faces]"'
            )
        self._faces: Any = dlib.get_frontal_face_detector()
        self._landmarks: Any = dlib.shape_predictor(str(Path(models.submodule_search_locations[0]) / _FACE_MODEL))

    def __call__(self, frames: Tensor) -> Points:
        """Points of frames (T, 3, H, W) in [0, 1]; frames without a face have confidence 0."""
        height, width = frames.shape[-2:]
        factor = max(1.0, _FACE_SIDE / min(height, width))
        size = round(height * factor), round(width * factor)
        position, confidence = torch.zeros(len(frames), 68, 2), torch.zeros(len(frames), 68)
        for t, frame in enumerate(frames):
            larger = F.interpolate(frame[None].float().cpu(), size, mode="bilinear", antialias=True)[0]
            pixels = (larger.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
            found, scores, _ = self._faces.run(pixels, 0, 0.0)
            if len(found):  # the most certain comes first
                shape = self._landmarks(pixels, found[0])
                position[t] = torch.tensor([[shape.part(i).x, shape.part(i).y] for i in range(68)])
                confidence[t] = 1 / (1 + math.exp(-scores[0]))
        position = (position + 0.5) * torch.tensor([width / size[1], height / size[0]]) - 0.5
        return Points(position.to(frames.device), confidence.to(frames.device))


# ------------------------------------------------------------------------------------------- what do the keypoints mean?


def landmark_regression(keypoints_train: Tensor, joints_train: Tensor, keypoints_test: Tensor, ridge: float) -> Tensor:
    """Joints told from keypoints by a linear map, learned on other frames.

    Minimises ‖Y - XW - 1bᵀ‖² + ridge·‖W‖² over W and b in closed form: with X and Y centred,
    W = (XᵀX + ridge·I)⁻¹XᵀY; the constant b is not shrunk.

    Args:
        keypoints_train: (N, K, 2).
        joints_train: (N, J, 2), true joints of the same frames.
        keypoints_test: (M, K, 2), of frames of which nothing else is known.
        ridge: at least 0, in squared units of the keypoints.

    Returns:
        (M, J, 2) joints in the units of ``joints_train``.
    """
    x, y = keypoints_train.flatten(1), joints_train.flatten(1)  # (N, 2K), (N, 2J)
    centre, middle = x.mean(dim=0), y.mean(dim=0)
    x, y = x - centre, y - middle
    gram = x.T @ x + ridge * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    weights = torch.linalg.solve(gram, x.T @ y)  # (2K, 2J)
    joints = (keypoints_test.flatten(1) - centre) @ weights + middle  # (M, 2J)
    return torch.unflatten(joints, 1, (-1, 2))


def regressed_joints(
    keypoints_train: Sequence[Tensor],
    joints_train: Sequence[Tensor],
    keypoints_test: Sequence[Tensor],
    ridge: float = 0.01,
) -> list[Tensor]:
    """:func:`landmark_regression` for clips, in float64: the standard test of unsupervised landmarks.

    The protocol is that of Thewlis et al. (ICCV 2017) and Jakab et al. (NeurIPS 2018): freeze the detector, learn a linear
    map to true landmarks on training frames, measure its error on test frames of unseen identities.

    Args:
        keypoints_train: (T_i, K, 2) of each training clip.
        joints_train: (T_i, J, 2) of each training clip.
        keypoints_test: (S_i, K, 2) of each test clip.
        ridge: see :func:`landmark_regression`.

    Returns:
        (S_i, J, 2) float64 of each test clip, in the units of the joints.

    Raises:
        UserError: no training frame, frames or keypoints that do not agree in number, or a negative ridge.
    """
    frames = sum(len(k) for k in keypoints_train)
    if not frames or frames != sum(len(j) for j in joints_train):
        raise UserError(
            f"landmark regression: expected keypoints and joints of the same training frames, got {frames} and "
            f"{sum(len(j) for j in joints_train)} frames; give both of the same clips"
        )
    shapes = {tuple(k.shape[1:]) for k in (*keypoints_train, *keypoints_test)}
    if len(shapes) != 1 or ridge < 0:
        raise UserError(
            f"landmark regression: expected one number of keypoints and a ridge of at least 0, got {sorted(shapes)} and "
            f"{ridge:g}; extract all keypoints with one model"
        )
    if not keypoints_test:
        return []
    x, y, z = (torch.cat(list(part)).double() for part in (keypoints_train, joints_train, keypoints_test))
    joints = landmark_regression(x, y, z, ridge)
    return list(torch.split(joints, [len(k) for k in keypoints_test]))
