"""The shipped test clips: rendered from fixed numbers, written in the format that each namesake comes in, with the truth.

mini-nemo: stacked PNG; mini-taichi: stacked JPEG and a few MP4; mini-bair: folders of frames; mini-mgif: GIF. Beside
``test/`` lies ``truth/`` with one ``NAME.truth.npz`` a clip, and ``checksums.sha256`` names every file.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from monkeynet_edu.data.sprites import SETS, Clip, held_out_clips
from monkeynet_edu.data.video import write_video
from monkeynet_edu.errors import UserError, unknown_name
from monkeynet_edu.files import damaged_files as damaged_files
from monkeynet_edu.files import write_checksums

CLIPS = 20
_ENDINGS = {"mini-nemo": ".png", "mini-taichi": ".jpg", "mini-bair": "", "mini-mgif": ".gif"}
_FILMS_OF_TAICHI = 4


def file_name(data: str, number: int, count: int) -> str:
    """Name of a clip's file (or folder); the last few of mini-taichi are films."""
    film = data == "mini-taichi" and number >= count - min(_FILMS_OF_TAICHI, count // 4)
    return f"{number:04d}{'.mp4' if film else _ENDINGS[data]}"


def make(folder: Path, names: Sequence[str] = tuple(SETS), clips: int | None = None, seed: int = 0) -> list[Path]:
    """Renders the test clips of miniatures; a set appears whole or not at all.

    Args:
        folder: gets one folder a set (``data_small`` of the repository).
        names: of the miniatures.
        clips: how many of each; None for 20.
        seed: another seed, other characters.

    Returns:
        The folders written.

    Raises:
        UserError: unknown set, one that is there already, or a folder that cannot be written to.
    """
    for name in names:
        if name not in SETS:
            raise unknown_name("data set", name, SETS)
        if (folder / name).exists():
            raise UserError(f"{folder / name}: expected no such folder, got one; move it away or choose another --out")
    if clips is not None and clips < 1:
        raise UserError(f"--clips: expected at least 1, got {clips}")
    return [_make_set(folder, name, clips or CLIPS, seed) for name in names]


def _make_set(folder: Path, name: str, count: int, seed: int) -> Path:
    """Writes one set beside its place, then renames it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as scratch:
            part = Path(scratch) / name
            for sub in ("test", "truth"):
                (part / sub).mkdir(parents=True)
            drawn = held_out_clips(name, seed, count)
            for number, clip in enumerate(tqdm(drawn, desc=f"drawing {name}", unit="clip", total=count)):
                _write_clip(part, file_name(name, number, count), clip)
            write_checksums(part)
            shutil.move(part, folder / name)
    except OSError as error:
        raise UserError(
            f"{folder}: expected a folder that can be written to, got {error.strerror}; choose another --out"
        ) from error
    return folder / name


def _write_clip(part: Path, name: str, clip: Clip) -> None:
    """One clip and its truth."""
    assert clip.truth is not None
    write_video(part / "test" / name, clip.frames, clip.fps)
    clip.truth.save(part / "truth" / f"{Path(name).stem}.truth.npz")
