"""Monkey-Net, wired: Δ, G (with M inside) and D in one place, presets, saving and loading, choice of device.

The modules receive finished configurations; nothing here computes anything that its parts do not.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from monkeynet_edu.discriminator import Discriminator, DiscriminatorConfig
from monkeynet_edu.errors import UserError, unknown_name
from monkeynet_edu.files import LATER, check_digests, check_file, kind_of, partial_name
from monkeynet_edu.generator import Generated, Generator, GeneratorConfig
from monkeynet_edu.keypoints import DetectorConfig, KeypointDetector, Keypoints, Normalisation
from monkeynet_edu.losses import LossWeights
from monkeynet_edu.motion import EmbeddingConfig, MotionConfig

MODEL_FILE = "model.safetensors"
_ATTEMPTS = 100
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class MonkeyNetConfig:
    """Configuration of a whole model.

    Attributes:
        frame_size: side of the square frames it is meant for.
        detector: Δ.
        generator: G and M.
        discriminator: D.
        losses: weights of the training losses (one feature-matching weight for each block of D, and the frame).
        transfer: how animation moves the source by default: ``relative`` or ``absolute``.
    """

    frame_size: int = 64
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    transfer: Literal["relative", "absolute"] = "relative"

    def __post_init__(self) -> None:
        """Checks what the parts cannot check alone."""
        if len(self.losses.feature_matching) != self.discriminator.blocks + 1:
            raise ValueError(
                f"MonkeyNetConfig.losses.feature_matching: expected {self.discriminator.blocks + 1} weights "
                f"(the frame and each block of D), got {len(self.losses.feature_matching)}"
            )
        g, d = self.generator, self.discriminator
        for part in (self.detector, g.embedding, g.motion, g.motion and g.motion.embedding, d, d.embedding):
            if part is not None and not 0 < part.scale <= 1:
                raise ValueError(f"{type(part).__name__}.scale: expected more than 0 and at most 1, got {part.scale}")
        if self.transfer not in ("relative", "absolute"):
            raise ValueError(f"MonkeyNetConfig.transfer: expected 'relative' or 'absolute', got {self.transfer!r}")

    @property
    def stride(self) -> int:
        """Frame sides must be multiples of this."""
        return max(self.detector.stride, self.generator.stride)

    def check_frame_size(self, size: int) -> None:
        """Refuses a frame side that the networks cannot halve often enough, naming the nearest that they can.

        Raises:
            UserError: ``size`` is no multiple of ``stride``.
        """
        check_side(size, self.stride)

    def to_json(self) -> str:
        """JSON text that :meth:`from_json` reads."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> MonkeyNetConfig:
        """Reads :meth:`to_json`'s text; unknown or missing fields are errors, see :func:`from_plain`."""
        config: MonkeyNetConfig = from_plain(MonkeyNetConfig, parsed(text))
        return config


def check_side(size: int, stride: int) -> None:
    """Refuses a frame side that is no multiple of what networks halve.

    Raises:
        UserError: naming the nearest that they can.
    """
    if size % stride or size < stride:
        near = max(1, round(size / stride)) * stride
        raise UserError(
            f"frame size {size}: expected a multiple of {stride} (what the networks halve), got {size}; "
            f"the nearest that works is {near}"
        )


def parsed(text: str) -> Any:
    """JSON text as Python values; a ValueError where it is none, or nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error


MOST = 65_536
"""Whole numbers of a configuration are widths, depths and counts: a larger one is damage, and would fill the memory."""
MOST_DEPTH = 64
_DEPTHS = ("levels", "blocks", "layers", "refinement_blocks", "group_blocks")


def from_plain(kind: Any, value: Any, name: str = "configuration") -> Any:
    """Builds (nested, optional) frozen dataclasses from JSON values, each field checked; lists become tuples.

    Fields that files of earlier versions lack (``files.LATER``) take their defaults where they are missing.

    Args:
        kind: a dataclass, or the type of a field.
        value: what JSON gave.
        name: dotted name of the field, for the message.

    Raises:
        ValueError: naming the first field that is missing, unknown or of another type.
    """
    if is_dataclass(kind) and isinstance(kind, type):
        known = [f.name for f in fields(kind)]
        old = {f.name for f in fields(kind) if LATER not in f.metadata}
        if not isinstance(value, dict) or not old <= set(value) <= set(known):
            raise ValueError(f"{name} ({kind.__name__}): expected the fields {known}, got {str(value)[:200]}")
        hints = get_type_hints(kind)
        return kind(**{item: from_plain(hints[item], value[item], f"{name}.{item}") for item in known if item in value})
    if not _is_a(kind, value) or (name.rpartition(".")[2] in _DEPTHS and value > MOST_DEPTH):
        raise ValueError(f"{name}: expected {getattr(kind, '__name__', kind)}, got {str(value)[:80]!r}")
    options = getattr(kind, "__args__", ())
    nested = next((option for option in options if is_dataclass(option)), None)
    if nested is not None and value is not None:
        return from_plain(nested, value, name)
    return tuple(value) if isinstance(value, list) else value


def later_defaults(*kinds: type) -> dict[str, Any]:
    """Fields that files of earlier versions lack, by name, with the values that these versions had in effect."""
    found = [f for kind in kinds if is_dataclass(kind) for f in fields(kind) if LATER in f.metadata]
    return {f.name: f.default for f in found}


def _is_a(kind: Any, value: Any) -> bool:
    """Whether a JSON value suits the type of a field: numbers finite, whole ones from 0 to ``MOST``."""
    options = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return any(_is_a(option, value) for option in options)
    if get_origin(kind) is Literal:
        return any(value == option and type(value) is type(option) for option in options)
    if get_origin(kind) is tuple:
        each = options[:1] * len(value) if isinstance(value, list) and Ellipsis in options else options
        return isinstance(value, list) and len(value) == len(each) and all(map(_is_a, each, value))
    if is_dataclass(kind):
        return isinstance(value, dict)
    if kind is int:
        return type(value) is int and 0 <= value <= MOST
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return value is None if kind is type(None) else isinstance(value, kind)


def first_difference(ours: object, theirs: object, name: str = "") -> str | None:
    """Dotted name and both values of the first field in which two configurations differ, or None."""
    if is_dataclass(ours) and is_dataclass(theirs) and type(ours) is type(theirs):
        for f in fields(ours):
            found = first_difference(getattr(ours, f.name), getattr(theirs, f.name), f"{name}.{f.name}".lstrip("."))
            if found:
                return found
        return None
    return None if ours == theirs else f"{name}: {ours} here, {theirs} there"


def published_config(
    width: int = 32,
    max_width: int = 512,
    keypoints: int = 10,
    normalisation: Normalisation = 100.0,
    least_covariance: float | None = 0.001,
    group_blocks: int = 2,
    deformed: float = 0.0,
) -> MonkeyNetConfig:
    """The authors' 64×64 configuration with the settings in which their data sets differ (SPEC: one table row)."""
    motion = MotionConfig(
        width,
        max_width,
        embedding=EmbeddingConfig(("heatmap", "deformed_source"), normalisation=normalisation),
        group_blocks=group_blocks,
    )
    return MonkeyNetConfig(
        detector=DetectorConfig(keypoints, width, max_width, least_covariance=least_covariance),
        generator=GeneratorConfig(width, max_width, embedding=EmbeddingConfig(normalisation=normalisation), motion=motion),
        discriminator=DiscriminatorConfig(embedding=EmbeddingConfig(heatmap="gaussian", normalisation=normalisation)),
        losses=LossWeights(deformed=deformed),
    )


def _mgif() -> MonkeyNetConfig:
    """The authors' 128×128 configuration for cartoon animals: Δ, M and the embedding of G at half size."""
    features = EmbeddingConfig(("heatmap", "displacement", "deformed_source"))
    return MonkeyNetConfig(
        frame_size=128,
        detector=DetectorConfig(10, 32, 1024, least_covariance=0.001, scale=0.5),
        generator=GeneratorConfig(
            32, 1024, 6, embedding=EmbeddingConfig(scale=0.5), motion=MotionConfig(32, 1024, embedding=features, scale=0.5)
        ),
        transfer="absolute",
    )


def plain_mini_config(transfer: Literal["relative", "absolute"] = "relative") -> MonkeyNetConfig:
    """The paper's model and losses, made small for two CPU cores and 64×64 frames: what ``reproduce`` compares.

    Narrower (16 channels; at most 64 in Δ and M, 128 in G and D); 4 levels instead of 5; Δ, M and the embedding of G work
    at half resolution; the deformation is enlarged bilinearly instead of by nearest, or its half resolution would show in
    every picture; 2 refinement blocks instead of 4; 3 discriminator blocks instead of 4 (at 64×64 the fourth one's
    instance norm sees a 2×2 map and says nothing); the deformed frame has a loss of its own (weight 10, as for BAIR), since
    it is what teaches the keypoints to move within minutes. Its training (see ``training``) uses Adam at 8e-4 with a cosine
    decay, batches of 16, and no ×0.1 milestone.
    """
    seen = EmbeddingConfig(("heatmap", "deformed_source"))
    return MonkeyNetConfig(
        detector=DetectorConfig(10, 16, 64, 4, least_covariance=0.001, scale=0.5),
        generator=GeneratorConfig(
            16,
            128,
            4,
            refinement_blocks=2,
            embedding=EmbeddingConfig(scale=0.5),
            motion=MotionConfig(16, 64, 4, embedding=seen, scale=0.5),
            resize="bilinear",
        ),
        discriminator=DiscriminatorConfig(16, 128, 3),
        losses=LossWeights(feature_matching=(10.0, 10.0, 10.0, 1.0), deformed=10.0),
        transfer=transfer,
    )


def mini_config(transfer: Literal["relative", "absolute"] = "relative") -> MonkeyNetConfig:
    """Our small model for minutes on a laptop: :func:`plain_mini_config`, and the deviations that taught it to move limbs.

    Each was measured alone (``benchmarks/training.md``):

    - Heatmaps enter M, G and D with a peak of 1 (α = 1) instead of 1/100: beside colours of about 0.5 the networks
      overlooked them, and no part ever followed its keypoint.
    - A loss of coverage (weight 2, :func:`losses.coverage`): keypoints have to lie where frames differ, so they find arms.
    - The deformed frame is compared at four sizes, 64 to 8 pixels.
    - G draws what has to change in the deformed frame, not the whole of it (``GeneratorConfig.draws``): what stands still
      stays as it was, and arms keep their colours.

    Its training: Δ and M learn alone in the first half (``Recipe.motion_first``), at a rate of 2e-3, and rest in the
    second, in which G and D learn (``Recipe.learns``).
    """
    plain = plain_mini_config(transfer)

    def bright(embedding: EmbeddingConfig | None) -> EmbeddingConfig:
        assert embedding is not None
        return replace(embedding, normalisation=1.0)

    drawn, judged = plain.generator, plain.discriminator
    assert drawn.motion is not None
    motion = replace(drawn.motion, embedding=bright(drawn.motion.embedding))
    return replace(
        plain,
        generator=replace(drawn, embedding=bright(drawn.embedding), motion=motion, draws="change"),
        discriminator=replace(judged, embedding=bright(judged.embedding)),
        losses=replace(plain.losses, deformed_scales=4, coverage=2.0),
    )


PRESETS: dict[str, MonkeyNetConfig] = {
    "shapes": published_config(16, 128, 4, 10.0, None, group_blocks=0),
    "actions": published_config(least_covariance=None),
    "nemo": published_config(),
    "taichi": published_config(max_width=1024),
    "bair": published_config(normalisation="sum", deformed=10.0),
    "mgif": _mgif(),
    "mini": mini_config(),
    "mini-absolute": mini_config("absolute"),
    "mini-plain": plain_mini_config(),
    "mini-plain-absolute": plain_mini_config("absolute"),
}


def small_preset(data: str) -> str:
    """Name of the small preset for a data set: mini-mgif transfers keypoints absolutely, as the authors do for MGif."""
    return "mini-absolute" if data == "mini-mgif" else "mini"


def preset(name: str) -> MonkeyNetConfig:
    """Looks a preset up: the authors' six and our small ones.

    Raises:
        UserError: unknown name; the nearest ones are offered.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]


class MonkeyNet(nn.Module):
    """The three networks of the paper's Figure 2."""

    def __init__(self, config: MonkeyNetConfig) -> None:
        super().__init__()
        self.config = config
        k, channels = config.detector.keypoints, config.detector.channels
        self.detector = KeypointDetector(config.detector)
        self.generator = Generator(config.generator, k, channels)
        self.discriminator = Discriminator(config.discriminator, k, channels)

    def detect(self, frames: Tensor) -> Keypoints:
        """Keypoints (B, K) of frames (B, 3, H, W); source and driving frames in one batch share their statistics."""
        found: Keypoints = self.detector(frames)
        return found

    def forward(self, image: Tensor, source: Keypoints, driving: Keypoints) -> Generated:
        """Draws the source image (B, 3, H, W) in the pose of the driving keypoints."""
        drawn: Generated = self.generator(image, source, driving)
        return drawn

    @staticmethod
    def from_preset(name: str) -> MonkeyNet:
        """A new model with random weights."""
        return MonkeyNet(preset(name))

    @staticmethod
    def from_official(path: str | Path, config: str | MonkeyNetConfig | Mapping[str, Any]) -> MonkeyNet:
        """Loads a checkpoint file of the authors (``*.pth.tar``).

        Args:
            path: the file.
            config: a preset's name, a configuration, or the authors' YAML configuration as a dict.

        Raises:
            UserError: not such a file, it tries to execute code, or it does not fit the configuration.
        """
        from monkeynet_edu import official  # it builds on this module

        return official.load(path, config)

    def save(self, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Writes one safetensors file with the configuration (JSON) in its header; beside its place, then renamed.

        Args:
            path: where to; ends in ``.safetensors``.
            dtype: of the stored weights (float16 halves the file).
        """
        tensors = {n: t.to(dtype) if t.is_floating_point() else t for n, t in self.state_dict().items()}
        save_tensors(Path(path), tensors, {"format": "monkeynet_edu", "config": self.config.to_json()})

    @staticmethod
    def load(path: str | Path, config: MonkeyNetConfig | None = None) -> MonkeyNet:
        """Reads what :meth:`save` wrote: a safetensors file, or a run folder that holds ``model.safetensors``.

        Args:
            path: file or folder.
            config: what the model has to be, or None for whatever the file says.

        Raises:
            UserError: no such file, another format, or another configuration (the first differing field is named).
        """
        file = model_file(path)
        tensors, header = load_tensors(file)
        try:
            stored = MonkeyNetConfig.from_json(header["config"])
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"{file}: expected weights that monkeynet_edu saved, got a foreign file ({error})") from error
        if config is not None and (difference := first_difference(config, stored)):
            raise UserError(f"{file}: a checkpoint of another configuration; first difference {difference}")
        model = built(lambda: MonkeyNet(stored), tensors, str(file))
        load_weights(model, in_float32(tensors), str(file))
        return model.eval()


def model_file(path: str | Path) -> Path:
    """The file of weights that a path means: itself, or the model in a run folder."""
    return Path(path) / MODEL_FILE if kind_of(Path(path)) == "folder" else Path(path)


Module = TypeVar("Module", bound=nn.Module)


def built(make: Callable[[], Module], tensors: Mapping[str, Tensor], name: str) -> Module:
    """Builds a network that a file describes, once the file's tensors have turned out to fit it.

    A damaged or malicious configuration may describe a network of any size: it is first built without memory.

    Args:
        make: builds the network.
        tensors: of the file, by name.
        name: of the file, for the message.

    Raises:
        UserError: no such network can be built, or see :func:`load_weights`.
    """
    try:
        with torch.device("meta"):
            empty = make()
    except (ValueError, TypeError, RuntimeError, ArithmeticError, IndexError, AssertionError) as error:
        raise UserError(f"{name}: expected a configuration that can be built, got a damaged one ({error})") from error
    _check_tensors(empty, tensors, name)
    return make()


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Fills a model from named tensors; every name, shape and kind of number must agree, and every number be finite.

    Raises:
        UserError: naming the first tensor that is missing, unknown, of another shape or kind, or not finite.
    """
    _check_tensors(model, tensors, name)
    for key, tensor in sorted(tensors.items()):
        if not tensor.isfinite().all():
            raise UserError(
                f"{name}: expected finite weights, got NaN or infinity in {key}; take the checkpoint from before, "
                "or train again"
            )
    model.load_state_dict(dict(tensors))


def in_float32(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, those of floating-point numbers in float32."""
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}


def _check_tensors(model: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    own = model.state_dict()
    for key in sorted(set(own) | set(tensors)):
        said = [_describe(own.get(key)), _describe(tensors.get(key))]
        if said[0] != said[1]:
            raise UserError(
                f"{name}: a checkpoint of another configuration; {key} is {said[1]} in the file where the "
                f"configuration has {said[0]}; give the configuration that it was trained with"
            )


def _describe(tensor: Any) -> str:
    """Shape and, where they are no floating-point numbers, kind of a plain tensor."""
    if tensor is None:
        return "nothing"
    if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_quantized:
        return "no plain tensor"
    kind = "" if tensor.is_floating_point() else f" of {'whole numbers' if _is_whole(tensor.dtype) else tensor.dtype}"
    return f"{tuple(tensor.shape)}{kind}"


def _is_whole(dtype: torch.dtype) -> bool:
    return not dtype.is_complex and dtype is not torch.bool


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: dict[str, str]) -> None:
    """Writes a safetensors file beside its place, flushes it to the disk, then renames it.

    Raises:
        UserError: the folder is not writable or the disk is full; a file already there stays as it was.
    """
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = partial_name(path)
        data = safetensors.torch.save({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, header)
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        flush_folder(path.parent)
    except OSError as error:
        if part is not None:
            part.unlink(missing_ok=True)
        raise UserError(
            f"{path}: could not be written ({error.strerror}); what was there before is untouched; "
            "free some space or choose a folder that you may write to"
        ) from error


def flush_folder(folder: Path) -> None:
    """Makes a renaming in a folder outlive a power cut; where a system cannot do that (Windows), nothing happens."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of named tensors: equal for equal weights, in whatever order they are named."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads a safetensors file: tensors and header. Nothing in it can be executed.

    Raises:
        UserError: no such file, not a safetensors file, or another than ``checksums.sha256`` beside it names.
    """
    check_file(path, "trained weights (.safetensors) or a run folder that holds them")
    check_digests(path)
    for _ in range(_ATTEMPTS):
        before = _version(path)
        try:
            with safetensors.safe_open(str(path), framework="pt") as file:
                # Copies: the tensors are windows into the file, and kill the process when it is overwritten in place.
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
                header = dict(file.metadata() or {})
        except (safetensors.SafetensorError, OSError, ValueError, TypeError, LookupError, RuntimeError) as error:
            if _version(path) == before:
                raise UserError(
                    f"{path}: expected a safetensors file, got something else ({str(error)[:80]}); "
                    "for a checkpoint of the authors (.pth.tar) give --preset too"
                ) from error
        else:
            # The file is opened twice, for its header and for its tensors: they must be of one file.
            if _version(path) == before:
                return tensors, header
    raise UserError(f"{path}: another program writes this file all the time; stop it, and try again")


def _version(path: Path) -> tuple[int, ...]:
    """What differs when another file has taken this one's place."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


@dataclass(frozen=True)
class Device:
    """Where to compute, and how exactly.

    Attributes:
        device: torch device.
        precision: of convolutions; moments, flow and losses stay in float32.
    """

    device: torch.device
    precision: Precision

    def autocast(self) -> torch.autocast:
        """Context in which the networks run."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")


def _bfloat16_is_fast(kind: str) -> bool:
    """Whether the processor has instructions for bf16 (without them it is emulated, and slower than float32)."""
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if kind == "cpu":
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, check, lambda: False)() for check in checks)
    return False


def pick_device(wanted: str = "auto", precision: Precision | Literal["auto"] = "auto") -> Device:
    """Picks where to compute: cuda → mps → cpu, and bf16 only where the processor has it.

    Args:
        wanted: ``auto`` or a torch device.
        precision: ``auto`` or a choice.

    Raises:
        UserError: a device that this machine lacks.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(wanted)
        if device.type == "meta":
            raise RuntimeError("it computes shapes, no numbers")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device {wanted!r}: not available here ({str(error).splitlines()[0][:80]}); try cpu") from error
    if precision == "auto":
        precision = "bfloat16" if _bfloat16_is_fast(device.type) else "float32"
    return Device(device, precision)
