from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monkeynet_edu.data import datasets
from monkeynet_edu.data.datasets import Clip, ClipFolder, Pair, clip_names, open_dataset, read_pairs, seeded_pairs
from monkeynet_edu.data.video import write_video
from monkeynet_edu.errors import UserError

SHARED_CLIPS = Path(__file__).resolve().parents[1].parent / "shared" / "clips"


def shade(value: int, count: int = 3, side: int = 8) -> np.ndarray:
    frames = np.full((count, side, side, 3), value, dtype=np.uint8)
    frames[:, 0, 0] = 255 - value
    return frames


def flat_set(root: Path, count: int, ending: str = ".png") -> Path:
    for i in range(count):
        write_video(root / f"{i:04d}{ending}", shade(i * 5), 10)
    return root


def refusal(action, *args, **kwargs) -> str:
    with pytest.raises(UserError) as caught:
        action(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_kind_of_clip_in_one_folder_is_found_in_natural_order(tmp_path):
    for name in ("2.gif", "10.png", "1.mp4", "3", "4.webp", "5.jpg"):
        write_video(tmp_path / name, shade(100), 10)
    (tmp_path / "._1.mp4").write_text("hidden, as some systems leave it")
    (tmp_path / "README.md").write_text("no clip")
    (tmp_path / "papers").mkdir()
    clips = ClipFolder(tmp_path)
    assert clips.names == ("1", "2", "3", "4", "5", "10")
    assert [clip.name for clip in clips] == list(clips.names)
    assert all(clip.frames.shape[1:] == (8, 8, 3) for clip in clips)
    assert clips[1].fps == pytest.approx(10)
    assert clips[-1].name == "10"
    with pytest.raises(IndexError):
        clips[6]


@pytest.mark.parametrize("ending", [".png", ".jpg", "", ".gif"])
def test_the_layouts_of_the_published_downloads_are_read(tmp_path, ending):
    flat_set(tmp_path / "train", 3, ending)
    write_video(tmp_path / "test" / f"0009{ending}", shade(200), 10)
    assert ClipFolder(tmp_path, "train").names == ("0000", "0001", "0002")
    assert open_dataset(tmp_path, "test")[0].frames[0, 4, 4, 0] == pytest.approx(200, abs=3)
    assert len(open_dataset(str(tmp_path), "all")) == 4


def test_clips_of_one_name_are_told_apart(tmp_path):
    flat_set(tmp_path / "train", 2)
    flat_set(tmp_path / "test", 1)
    assert ClipFolder(tmp_path, "all").names == ("train/0000.png", "0001", "test/0000.png")


def test_the_seeded_split_is_four_to_one_complete_and_fixed_by_names_alone(tmp_path):
    flat_set(tmp_path, 20)
    train, test = ClipFolder(tmp_path, "train"), ClipFolder(tmp_path, "test")
    assert (len(train), len(test)) == (16, 4)
    assert sorted(train.names + test.names) == list(ClipFolder(tmp_path).names)
    # Worked out once with sha256sum over "0/0000.png" …: the split may never change.
    assert test.names == ("0004", "0008", "0013", "0017")
    assert ClipFolder(tmp_path, "test", seed=1).names != test.names


def test_a_single_clip_cannot_be_split_and_a_missing_split_is_named(tmp_path):
    flat_set(tmp_path / "one", 1)
    assert "at least 2 clips" in refusal(ClipFolder, tmp_path / "one", "train")
    assert len(ClipFolder(tmp_path / "one", "all")) == 1
    flat_set(tmp_path / "half" / "test", 1)
    assert "train/" in refusal(ClipFolder, tmp_path / "half", "train")
    assert "validation" in refusal(ClipFolder, tmp_path / "one", "validation")
    (tmp_path / "bare").mkdir()
    assert "came none" in refusal(ClipFolder, tmp_path / "bare")


def test_a_damaged_clip_is_named_when_it_is_read(tmp_path):
    flat_set(tmp_path, 1)
    (tmp_path / "0001.png").write_text("a letter")
    clips = ClipFolder(tmp_path)
    assert "0001.png" in refusal(lambda: clips[1])


def test_frames_are_fitted_to_the_size_asked_for(tmp_path):
    frames = np.zeros((2, 8, 16, 3), dtype=np.uint8)
    frames[:, :, 4:12] = 200
    write_video(tmp_path / "wide.gif", frames, 10)
    assert (ClipFolder(tmp_path, size=8)[0].frames == 200).all()
    padded = ClipFolder(tmp_path, size=16, fit="pad")[0].frames
    assert (padded[:, 4:12] == frames).all()


def test_the_cache_keeps_to_its_bound_and_spares_reading(tmp_path, monkeypatch):
    flat_set(tmp_path, 4)
    one = shade(0).nbytes
    clips = ClipFolder(tmp_path, cache_bytes=2 * one)
    read, original = [], datasets.read_video
    monkeypatch.setattr(datasets, "read_video", lambda path, **kw: read.append(path.stem) or original(path, **kw))
    for index in (0, 1, 0, 2, 0, 1):
        assert clips[index].frames[0, 4, 4, 0] == index * 5
        assert clips.cached_bytes <= 2 * one
    assert read == ["0000", "0001", "0002", "0001"]
    assert ClipFolder(tmp_path, cache_bytes=one - 1)[0].frames.shape == (3, 8, 8, 3)


def test_a_clip_larger_than_the_cache_drives_nothing_out_of_it(tmp_path):
    write_video(tmp_path / "1.png", shade(1))
    write_video(tmp_path / "2.png", shade(2, count=30))
    clips = ClipFolder(tmp_path, cache_bytes=shade(1).nbytes)
    kept = clips[0]
    assert len(clips[1].frames) == 30
    assert clips[0] is kept


class _Truth:
    """Stands for the sprites' truth: what a clip folder needs of it is where it lies and the shape of its labels."""

    def __init__(self, path: Path) -> None:
        self.name, self.labels = path.name, np.zeros((3, 8, 8), dtype=np.uint8)

    @staticmethod
    def load(path: Path) -> _Truth:
        return _Truth(path)


def test_truth_lies_beside_the_test_folder_and_is_dropped_at_another_size(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "Truth", _Truth)
    flat_set(tmp_path / "mini-bair" / "test", 2, "")
    (tmp_path / "mini-bair" / "truth").mkdir()
    (tmp_path / "mini-bair" / "truth" / "0001.truth.npz").write_bytes(b"")
    monkeypatch.setenv("MONKEYNET_DATA", str(tmp_path))
    clips = open_dataset("mini-bair", "test")
    assert clips[0].truth is None
    assert clips[1].truth.name == "0001.truth.npz"
    assert open_dataset("mini-bair", "test", size=16)[1].truth is None
    write_video(tmp_path / "mini-bair" / "test" / "0001" / "again.gif", shade(1), 10)
    assert "as in its truth" in refusal(lambda: open_dataset("mini-bair", "test")[1])


def test_training_clips_of_a_miniature_come_from_the_seed(monkeypatch):
    asked = []
    monkeypatch.setattr(datasets, "training_clips", lambda name, **kw: asked.append((name, kw)) or [])
    open_dataset("mini-nemo", "train", seed=3)
    open_dataset("mini-mgif", "train", size=64, clips=5)
    assert asked == [("mini-nemo", {"seed": 3}), ("mini-mgif", {"seed": 0, "size": 64, "clips": 5})]
    assert "train or test" in refusal(open_dataset, "mini-nemo", "all")


def test_an_unknown_name_offers_the_nearest_and_a_missing_folder_is_called_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refusal(open_dataset, "mini-tachi", "test")
    assert "did you mean mini-taichi" in message
    assert "folder" in message
    assert "nothing there" in refusal(open_dataset, "data/gone", "test")
    (tmp_path / "clip.gif").write_bytes(b"")
    assert "came a file" in refusal(open_dataset, "clip.gif", "test")


def test_pair_lists_are_read_and_their_faults_name_the_line(tmp_path):
    clips = ClipFolder(flat_set(tmp_path / "clips", 3))
    listing = tmp_path / "pairs.csv"
    listing.write_text("driving,source,note\n0002,0000,x\n0001.png,0002.png,\n")
    assert read_pairs(listing, clips) == [Pair(source=0, driving=2), Pair(source=2, driving=1)]
    listing.write_text("source,driving\n0000,0001\n0000,0007\n")
    message = refusal(read_pairs, listing, clips)
    assert "line 3" in message
    assert "driving" in message
    assert "0007" in message
    listing.write_text("source,driving\n0000\n")
    assert "line 2" in refusal(read_pairs, listing, clips)
    listing.write_text("from,to\n")
    assert "add driving and source" in refusal(read_pairs, listing, clips)
    listing.write_text("source,driving\n")
    assert "at least one pair" in refusal(read_pairs, listing, clips)
    refusal(read_pairs, tmp_path / "gone.csv", clips)


def test_seeded_pairs_are_different_clips_never_twice_and_fixed_by_the_seed():
    clips = [Clip(str(i), shade(i)) for i in range(5)]
    pairs = seeded_pairs(clips, 20, seed=1)
    assert len(set(pairs)) == 20  # all that five clips have
    assert all(pair.source != pair.driving for pair in pairs)
    assert seeded_pairs(clips, 6, seed=1) == seeded_pairs(clips, 6, seed=1)
    assert seeded_pairs(clips, 6, seed=1) != seeded_pairs(clips, 6, seed=2)
    assert "20" in refusal(seeded_pairs, clips, 21)
    assert clip_names(clips) == ("0", "1", "2", "3", "4")


@pytest.mark.skipif(not SHARED_CLIPS.is_dir(), reason="the authors' sample clips are not here")
def test_the_authors_sample_data_opens_as_it_lies():
    train, test = open_dataset(SHARED_CLIPS / "actions", "train"), open_dataset(SHARED_CLIPS / "actions", "test")
    assert (len(train), len(test)) == (8, 2)
    assert train[0].frames.shape == (59, 64, 64, 3)
    shapes = open_dataset(SHARED_CLIPS / "shapes", "test")
    assert len(shapes) == round(0.2 * len(open_dataset(SHARED_CLIPS / "shapes", "all")))
    assert shapes[0].frames.shape == (32, 64, 64, 3)
