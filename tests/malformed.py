"""Small files of every kind that the library reads, and hypothesis strategies that damage them."""

from __future__ import annotations

import atexit
import csv
import hashlib
import io
import json
import struct
import tempfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import av
import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image
from small_model import SIDE, TINY
from study_example import small_study

from monkeynet_edu import evaluators, training
from monkeynet_edu.alignment import Domain, fingerprint
from monkeynet_edu.data.sprites import Truth
from monkeynet_edu.data.video import write_video
from monkeynet_edu.model import Device, MonkeyNet
from monkeynet_edu.prediction import Predictor, PredictorConfig

CPU = Device(torch.device("cpu"), "float32")
HUGE = 20_000


def clip(count: int = 4, side: int = SIDE, seed: int = 0) -> np.ndarray:
    """A bright square that moves over noise: (count, side, side, 3) uint8."""
    rng = np.random.default_rng(seed)
    frames = np.repeat(rng.integers(0, 100, (1, side, side, 3), dtype=np.uint8), count, axis=0)
    for t in range(count):
        frames[t, side // 4 : side // 2, side // 8 + t : side // 2 + t] = 250
    return frames


def _saved(save: Callable[[Path], object], name: str) -> bytes:
    """What a function writes into a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        save(path)
        return path.read_bytes()


# ------------------------------------------------------------------------------------------------------- sound files


def _picture(kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(clip(1)[0]).save(out, kind, **options)
    return out.getvalue()


def _photograph() -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "somebody", (72, 1)
    return _picture("JPEG", exif=exif)


def _animated(kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    first, *rest = [Image.fromarray(frame) for frame in clip()]
    first.save(out, kind, save_all=True, append_images=rest, duration=80, **options)
    return out.getvalue()


def _film(ending: str, codec: str, pixels: str = "yuv420p") -> bytes:
    def save(path: Path) -> None:
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=12)
            stream.width = stream.height = 32
            stream.pix_fmt = pixels
            for frame in clip(4, 32):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))

    return _saved(save, f"film{ending}")


@cache
def tiny_model() -> MonkeyNet:
    """An untrained model of three keypoints for frames of 16x16."""
    torch.manual_seed(0)
    return MonkeyNet(TINY).eval()


def _domain() -> bytes:
    net = tiny_model()
    known = torch.Generator().manual_seed(0)
    frames = torch.rand(30, 3, SIDE, SIDE, generator=known)
    from monkeynet_edu.alignment import appearance

    seen = appearance(net, frames)
    _, values, directions = torch.linalg.svd(seen - seen.mean(dim=0), full_matrices=False)
    spread = seen.std(dim=0).clamp_min(0.01)
    found = Domain(seen.mean(dim=0), spread, directions[:4], values[:4], 0.1, 1.0, fingerprint(net))
    return _saved(found.save, "domain.safetensors")


def _checkpoint() -> bytes:
    run = training.start(TINY, training.recipe_for("mini", "clips", 0, False), "clips", CPU)

    def save(path: Path) -> None:
        run.save(path.parent)
        (path.parent / training.CHECKPOINT_FILE).rename(path)

    return _saved(save, "kept.safetensors")


def authors_checkpoint(new_format: bool) -> bytes:
    """A file as the authors' code writes it, of the tiny model."""
    out = io.BytesIO()
    state = tiny_model().state_dict()
    names = {"generator": "generator", "discriminator": "discriminator", "kp_detector": "detector"}
    networks = {
        theirs: {n.removeprefix(f"{ours}."): t for n, t in state.items() if n.startswith(f"{ours}.")}
        for theirs, ours in names.items()
    }
    torch.save(networks, out, _use_new_zipfile_serialization=new_format)
    return out.getvalue()


def truth(frames: int = 4, side: int = SIDE) -> Truth:
    """A truth of two joints and three parts."""
    rng = np.random.default_rng(0)
    return Truth(
        joints=rng.uniform(-1, 1, (frames, 2, 2)),
        visible=np.ones((frames, 2), dtype=bool),
        labels=rng.integers(0, 3, (frames, side, side)).astype(np.uint8),
        pose=rng.uniform(-1, 1, (frames, 2, 7)),
        identity=1,
        joint_names=("hand", "foot"),
        part_names=("arm", "leg"),
    )


def _csv(rows: list[dict[str, object]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _progress() -> bytes:
    exercise = {"lesson": "01", "tries": 2, "last": "PASS", "hints": 1, "passed": "x", "installed": "x"}
    prediction = {"lesson": "01", "id": "first", "option": 0, "skipped": False}
    whole = {"format": "monkeynet-edu progress", "version": 1, "exercises": {"lattice": exercise}}
    return json.dumps(whole | {"predictions": [prediction], "character": None}).encode()


def _notebook() -> bytes:
    cell = {"cell_type": "code", "source": ["def lattice(height, width):\n", "    return None\n"], "outputs": []}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


@cache
def study_folder() -> Path:
    """A study with its films; it is removed with the interpreter."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return small_study(Path(folder.name) / "study").folder


SOUND: dict[str, Callable[[], bytes]] = {
    "still.png": lambda: _picture("PNG"),
    "stacked.png": lambda: _saved(lambda path: write_video(path, clip()), "stacked.png"),
    "photograph.jpg": _photograph,
    "progressive.jpg": lambda: _picture("JPEG", progressive=True),
    "stacked.jpg": lambda: _saved(lambda path: write_video(path, clip()), "stacked.jpg"),
    "film.gif": lambda: _saved(lambda path: write_video(path, clip()), "film.gif"),
    "film.webp": lambda: _saved(lambda path: write_video(path, clip()), "film.webp"),
    "still.webp": lambda: _picture("WEBP", lossless=True),
    "film.apng": lambda: _animated("PNG"),
    "still.tif": lambda: _picture("TIFF", compression="tiff_lzw"),
    "still.bmp": lambda: _picture("BMP"),
    "film.mp4": lambda: _saved(lambda path: write_video(path, clip()), "film.mp4"),
    "film.mov": lambda: _saved(lambda path: write_video(path, clip()), "film.mov"),
    "film.mkv": lambda: _film(".mkv", "libx264"),
    "film.avi": lambda: _film(".avi", "mjpeg", "yuvj420p"),
    "model.safetensors": lambda: _saved(tiny_model().save, "model.safetensors"),
    "checkpoint.safetensors": _checkpoint,
    "predictor.safetensors": lambda: _saved(Predictor(PredictorConfig(3, 4)).save, "predictor.safetensors"),
    "domain.safetensors": _domain,
    "pose.safetensors": lambda: _saved(
        evaluators.PoseEstimator(evaluators.PoseConfig("mini-nemo", ("hand", "foot"), (4, 4, 4, 4))).save,
        "pose.safetensors",
    ),
    "features.safetensors": lambda: _saved(
        evaluators.MiniFeatures(evaluators.EmbedderConfig(4, (4, 4, 4, 4))).save, "features.safetensors"
    ),
    "zip.pth.tar": lambda: authors_checkpoint(True),
    "legacy.pth.tar": lambda: authors_checkpoint(False),
    "0.truth.npz": lambda: _saved(truth().save, "0.truth.npz"),
    "pairs.csv": lambda: _csv([{"source": "0", "driving": "1"}, {"source": "1", "driving": "0"}]),
    "metrics.csv": lambda: _csv([{"step": s, "loss": 0.5, "feature matching": 1.25} for s in (1, 20, 40)]),
    "checksums.sha256": lambda: f"{hashlib.sha256(b'x').hexdigest()}  test/0.png\n".encode() * 3,
    "record.json": lambda: json.dumps({"identity": {"seed": 0}, "figures": {"l1": 0.5}, "clips": 1}).encode(),
    "progress.json": _progress,
    "answer.ipynb": _notebook,
    "films.csv": lambda: b"first,second,appearance,video\na/mtm-0.gif,a/x2face-0.gif,a/0.png,a/1.gif\n",
    "study.json": lambda: (study_folder() / "study.json").read_bytes(),
}
PICTURES = tuple(name for name in SOUND if name.endswith((".png", ".jpg", ".gif", ".webp", ".apng", ".tif", ".bmp")))
FILMS = tuple(name for name in SOUND if name.endswith((".mp4", ".mov", ".mkv", ".avi")))
CLIPS = PICTURES + FILMS


@cache
def sound(name: str) -> bytes:
    """A sound file of this name, as bytes."""
    return SOUND[name]()


# ----------------------------------------------------------------------------------------------------------- damage


@st.composite
def truncated(draw: st.DrawFn, name: str) -> bytes:
    """A file that was cut off somewhere before its end."""
    data = sound(name)
    return data[: draw(st.one_of(st.integers(0, min(64, len(data) - 1)), st.integers(0, len(data) - 1)))]


@st.composite
def flipped(draw: st.DrawFn, name: str) -> bytes:
    """A file with one to eight bytes changed, more often at the beginning, where headers lie."""
    data = bytearray(sound(name))
    places = st.one_of(st.integers(0, min(400, len(data) - 1)), st.integers(0, len(data) - 1))
    for place, value in draw(st.lists(st.tuples(places, st.integers(1, 255)), min_size=1, max_size=8)):
        data[place] ^= value
    return bytes(data)


@st.composite
def patched(draw: st.DrawFn, name: str) -> bytes:
    """A file with a run of bytes overwritten, left out, or put in twice."""
    data = sound(name)
    start = draw(st.integers(0, len(data) - 1))
    length = draw(st.integers(1, 64))
    middle = data[start : start + length]
    put = draw(st.sampled_from([b"\0" * length, b"\xff" * length, b"", middle * 2, b"9" * length]))
    return data[:start] + put + data[start + length :]


@st.composite
def foreign(draw: st.DrawFn, name: str) -> bytes:
    """Another kind of file under this name, nothing, or noise, perhaps after the right first bytes."""
    other = draw(st.sampled_from([kind for kind in SOUND if kind.split(".")[-1] != name.split(".")[-1]]))
    noise = draw(st.binary(max_size=200))
    return draw(st.sampled_from([sound(other), b"", noise, sound(name)[:16] + noise, b"\0" * 4096]))


def damaged(name: str) -> st.SearchStrategy[bytes]:
    """Every way in which a file of this name may be broken; some breakages (a pixel changed) leave it readable."""
    return st.one_of(truncated(name), flipped(name), patched(name), foreign(name))


# ------------------------------------------------------------------------------------------------------ huge headers


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge_header(kind: str, width: int = HUGE, height: int = HUGE) -> bytes:
    """A picture or a film of a few hundred bytes that says to be of this size.

    Args:
        kind: ``png``, ``gif``, ``webp``, ``jpg``, ``bmp``, ``tif``, ``mp4`` or ``avi``.
        width: stated.
        height: stated.
    """
    if kind == "png":
        head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + head + _chunk(b"IDAT", zlib.compress(bytes(1000))) + _chunk(b"IEND", b"")
    if kind == "gif":
        data = bytearray(sound("film.gif"))
        data[6:10] = struct.pack("<HH", width, height)
        return bytes(data)
    if kind == "webp":  # the extended header, then the sound picture's own
        body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (width - 1).to_bytes(3, "little")
        body += (height - 1).to_bytes(3, "little") + sound("still.webp")[12:]
        return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
    if kind == "jpg":
        data = bytearray(sound("photograph.jpg"))
        place = data.index(b"\xff\xc0")
        data[place + 5 : place + 9] = struct.pack(">HH", height, width)
        return bytes(data)
    if kind == "bmp":
        data = bytearray(sound("still.bmp"))
        data[18:26] = struct.pack("<ii", width, height)
        return bytes(data)
    if kind == "tif":
        data = bytearray(sound("still.tif"))
        for tag, value in ((256, width), (257, height)):
            place = data.index(struct.pack("<HH", tag, 3) + b"\x01\0\0\0")
            data[place + 8 : place + 10] = struct.pack("<H", value)
        return bytes(data)
    return _huge_film(kind, width, height)


def _huge_film(kind: str, width: int, height: int) -> bytes:
    """Patches the sizes that a container states; in AVI also the size in the first frame (MJPEG)."""
    if kind == "mp4":
        data = bytearray(sound("film.mp4"))
        place = data.index(b"avc1", data.index(b"stsd"))
        data[place + 28 : place + 32] = struct.pack(">HH", width, height)
        return bytes(data)
    data = bytearray(sound("film.avi"))
    place = -1
    while (place := data.find(b"\xff\xc0", place + 1)) >= 0:
        data[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(data)


HUGE_KINDS = ("png", "gif", "webp", "jpg", "bmp", "tif", "avi", "mp4")


# ------------------------------------------------------------------------------------------------------------- names

NAMES = (
    "two words",
    'it\'s "quoted"',
    "line\nbreak",
    "кошка",
    "قطة تمشي",
    "猫",
    "cat🐈‍⬛",
    "-dash",
    "--help",
    "~nobody-of-this-name",
    "~",
    "%05d",
    "concat:a|b",
    "http:nowhere",
    "[red]rich",
    "esc\x1b[31mape",
    "a" * 240,
    "trailing.",
    "e\u0301",
    b"latin-\xe9".decode("utf-8", "surrogateescape"),
)
