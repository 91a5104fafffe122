"""Data sets: folders of clips, the four shipped miniatures, the layouts of the published downloads, pair lists."""

from __future__ import annotations

import csv
import hashlib
import random
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from monkeynet_edu.data.sprites import Clip as Clip
from monkeynet_edu.data.sprites import LazyClips, Truth, training_clips
from monkeynet_edu.data.video import CLIP_SUFFIXES, Fit, folder_entries, frame_files, natural_key, read_video
from monkeynet_edu.errors import UserError, unknown_name
from monkeynet_edu.files import check_digests, check_file, kind_of
from monkeynet_edu.paths import data_set_path, expanded

Split = Literal["train", "test", "all"]

MINIATURES = ("mini-bair", "mini-mgif", "mini-nemo", "mini-taichi")
CACHE_BYTES = 512 * 2**20
TEST_SHARE = 0.2


class ClipFolder(LazyClips):
    """The clips of a folder, read when asked for and kept in memory up to a bound.

    A clip is a film (MP4, MOV, M4V, WebM, MKV, AVI), an animation (GIF, WebP, APNG), a stacked picture (PNG or JPEG) or
    a subfolder of frames; hidden files and everything else are passed over. Truth is taken from
    `truth/<clip name>.truth.npz` beside the folder that holds the clip, unless `size` changes the frames.

    Splits: if there are subfolders `train/` or `test/`, they are the splits. If not, clips are ranked by the SHA-256 of
    "seed/name": the first fifth (rounded, at least one) is the test split, the others train. The rule needs nothing but
    the names, so it is the same on every machine; a split is then listed in natural order of names.

    Args:
        root: the folder.
        split: "train", "test" or "all".
        size: fits every frame to size x size pixels; None leaves the frames as they are.
        fit: "crop" or "pad", see `monkeynet_edu.data.video.fit`.
        seed: of the 80/20 split.
        cache_bytes: bound on the frames kept in memory; the clips least recently used go first.

    Raises:
        UserError: if the folder is missing, holds no clips, has no such split, or has too few clips to be split.
            Reading a clip raises it for a damaged file, see `monkeynet_edu.data.video.read_video`.
    """

    def __init__(
        self,
        root: str | Path,
        split: Split = "all",
        *,
        size: int | None = None,
        fit: Fit = "crop",
        seed: int = 0,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.root = Path(root)
        self.split = split
        self._size, self._fit, self._cache_bytes = size, fit, cache_bytes
        self._paths = _split_paths(self.root, split, seed)
        self.names = _unique_names(self._paths)
        self._cache: OrderedDict[int, Clip] = OrderedDict()

    def __len__(self) -> int:
        return len(self._paths)

    def _clip(self, index: int) -> Clip:
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        clip = self._read(index)
        self._keep(index, clip)
        return clip

    @property
    def cached_bytes(self) -> int:
        """How many bytes of frames are in memory now."""
        return sum(clip.frames.nbytes for clip in self._cache.values())

    def _read(self, index: int) -> Clip:
        path = self._paths[index]
        check_digests(path)
        video = read_video(path, size=self._size, how=self._fit)
        truth = _read_truth(path)
        if truth is not None and truth.labels.shape != video.frames.shape[:3]:
            if self._size is None:
                raise UserError(
                    f"{path}: expected {truth.labels.shape} frames, rows, columns as in its truth, came "
                    f"{video.frames.shape[:3]}; make the data set again"
                )
            truth = None  # masks and flow of another resolution would be wrong
        return Clip(self.names[index], video.frames, video.fps, truth)

    def _keep(self, index: int, clip: Clip) -> None:
        if clip.frames.nbytes > self._cache_bytes:
            return
        self._cache[index] = clip
        while self.cached_bytes > self._cache_bytes:
            self._cache.popitem(last=False)


def open_dataset(
    spec: str | Path,
    split: Split,
    *,
    size: int | None = None,
    seed: int = 0,
    fit: Fit = "crop",
    clips: int | None = None,
) -> Sequence[Clip]:
    """Opens a data set by name or by path.

    A miniature (`mini-nemo`, `mini-taichi`, `mini-bair`, `mini-mgif`): its test split is the shipped clips with their
    truth; its train split is rendered on the fly from the seed. Anything else is a folder, see `ClipFolder`. The
    published downloads are such folders, with predefined `train/` and `test/`:

    - nemo (UvA-NEMO, cropped to 64x64) and shapes: stacked PNG, one picture a clip; shapes is flat in some copies;
    - taichi and actions: stacked JPEG (64x64; some of them are PNG pictures by content, which is what counts);
    - bair: folders of frames or stacked PNG, 30 frames each;
    - moving-gif: GIF of any size, to be fitted to 128x128 (`fit="pad"` keeps whole animals).

    Args:
        spec: name or folder. A folder that is called as a miniature is meant by writing `./mini-nemo`.
        split: "train", "test" or "all" (of a miniature "train" or "test").
        size: fits frames to size x size; None keeps the size that they have.
        seed: of generated clips, or of the 80/20 split where none is predefined.
        fit: "crop" or "pad".
        clips: how many clips a generated train split has; None for the generator's default.

    Raises:
        UserError: if `spec` is neither a known name nor a folder, and for what `ClipFolder` refuses.
    """
    if str(spec) not in MINIATURES:
        if kind_of(expanded(spec)) != "folder":
            raise _unknown_dataset(spec)
        return ClipFolder(expanded(spec), split, size=size, fit=fit, seed=seed)
    name = str(spec)
    if split == "test":
        return ClipFolder(data_set_path(name), "test", size=size, fit=fit)
    if split != "train":
        raise UserError(f"{name}: expected the split train or test, came {split!r}; choose one of them")
    chosen = {"clips": clips, "size": size}
    options: dict[str, Any] = {key: value for key, value in chosen.items() if value is not None}
    return training_clips(name, seed=seed, **options)


def _unknown_dataset(spec: str | Path) -> UserError:
    path = Path(spec)
    if kind_of(path) != "nothing":
        return UserError(f"{path}: expected a folder of clips, came a file; give the folder that holds it")
    if path.name != str(spec):
        return UserError(f"{path}: expected a folder of clips, came nothing there; check the path")
    return UserError(f"{unknown_name('data set', str(spec), MINIATURES)} (the path of a folder of clips works too)")


def _split_paths(root: Path, split: Split, seed: int) -> list[Path]:
    if split not in ("train", "test", "all"):
        raise UserError(f"{root}: expected the split train, test or all, came {split!r}; choose one of them")
    if kind_of(root) != "folder":
        raise UserError(f"{root}: expected a folder of clips, came nothing there; check the path")
    predefined = [root / name for name in ("train", "test") if (root / name).is_dir()]
    if predefined:
        chosen = [folder for folder in predefined if split in ("all", folder.name)]
        if not chosen:
            raise UserError(
                f"{root}: expected a folder {split}/ beside {predefined[0].name}/, came none; "
                f"add it, or ask for another split"
            )
        return [path for folder in chosen for path in _clip_paths(folder)]
    paths = _clip_paths(root)
    return paths if split == "all" else _seeded_split(paths, split, seed)


def _clip_paths(folder: Path) -> list[Path]:
    paths = [
        path
        for path in folder_entries(folder)
        if not path.name.startswith(".")
        and (bool(frame_files(path)) if path.is_dir() else path.suffix.lower() in CLIP_SUFFIXES)
    ]
    if not paths:
        raise UserError(
            f"{folder}: expected clips (films, GIFs, stacked pictures or folders of frames), came none; check the path"
        )
    return sorted(paths, key=natural_key)


def _seeded_split(paths: list[Path], split: Split, seed: int) -> list[Path]:
    if len(paths) < 2:
        raise UserError(
            f"{paths[0].parent}: expected at least 2 clips to split into train and test, came {len(paths)}; "
            f"add clips or make folders train/ and test/"
        )
    ranked = sorted(paths, key=lambda path: hashlib.sha256(f"{seed}/{path.name}".encode()).digest())
    held_out = set(ranked[: max(1, round(TEST_SHARE * len(paths)))])
    return [path for path in paths if (path in held_out) == (split == "test")]


def _unique_names(paths: list[Path]) -> tuple[str, ...]:
    """Stems where they are unique, else `folder/file.ending`."""
    stems = [path.name if path.is_dir() else path.stem for path in paths]
    count = Counter(stems)
    return tuple(
        stem if count[stem] == 1 else f"{path.parent.name}/{path.name}" for stem, path in zip(stems, paths, strict=True)
    )


def _read_truth(path: Path) -> Truth | None:
    stem = path.name if path.is_dir() else path.stem
    file = path.parent.parent / "truth" / f"{stem}.truth.npz"
    if kind_of(file) == "nothing":
        return None
    check_digests(file)
    return Truth.load(file)


# --------------------------------------------------------------------------------------------------------------- pairs


@dataclass(frozen=True)
class Pair:
    """A source clip, whose first frame is animated, and the driving clip; both are indices into the clips."""

    source: int
    driving: int


def clip_names(clips: Sequence[Clip]) -> tuple[str, ...]:
    """Names of all clips, without reading their frames where the data set knows them."""
    known = getattr(clips, "names", None)
    return tuple(known) if known is not None else tuple(clip.name for clip in clips)


def read_pairs(path: str | Path, clips: Sequence[Clip]) -> list[Pair]:
    """Reads a pair list: CSV with the columns `source` and `driving`, names of clips (an ending is ignored).

    Raises:
        UserError: naming the line, if a column is missing, a name is unknown, or there are no pairs.
    """
    path = Path(path)
    index = {name: i for i, name in enumerate(clip_names(clips))}
    pairs = []
    check_file(path, "a pair list (CSV)")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"source", "driving"} - set(reader.fieldnames or ())
            if missing:
                raise UserError(
                    f"{path}, line 1: expected the columns source,driving, came {','.join(reader.fieldnames or ())!r}; "
                    f"add {' and '.join(sorted(missing))}"
                )
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                pairs.append(Pair(*(_find(index, row[column], column, where) for column in ("source", "driving"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: expected a readable CSV file, came an error ({error}); check the path") from error
    if not pairs:
        raise UserError(f"{path}: expected at least one pair below the header, came none; add lines source,driving")
    return pairs


def _find(index: dict[str, int], name: str | None, column: str, where: str) -> int:
    for candidate in (name or "", Path(name or "").stem):
        if candidate in index:
            return index[candidate]
    raise UserError(f"{where}, column {column}: {unknown_name('clip', name or '', index)}")


def seeded_pairs(clips: Sequence[Clip], n: int, seed: int = 0) -> list[Pair]:
    """Draws n different ordered pairs of two different clips; the same seed gives the same pairs on every machine.

    Raises:
        UserError: if there are fewer than n such pairs, or n < 1.
    """
    count = len(clips)
    if not 1 <= n <= count * (count - 1):
        raise UserError(
            f"pairs: expected between 1 and {count * (count - 1)} pairs of {count} clips, came {n}; "
            f"ask for fewer or add clips"
        )
    drawn = random.Random(f"pairs/{seed}").sample(range(count * (count - 1)), n)
    return [Pair(code // (count - 1), (code // (count - 1) + 1 + code % (count - 1)) % count) for code in drawn]
