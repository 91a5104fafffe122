"""The shipped clips: made whole or not at all, in the formats of their namesakes, undamaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monkeynet_edu.data import miniatures
from monkeynet_edu.data.datasets import open_dataset
from monkeynet_edu.data.sprites import SETS, held_out_clips
from monkeynet_edu.errors import UserError
from monkeynet_edu.paths import data_small


@pytest.mark.parametrize("name", SETS)
def test_the_shipped_files_are_undamaged(name: str) -> None:
    assert miniatures.damaged_files(data_small() / name) == []


@pytest.mark.parametrize("name", SETS)
def test_the_shipped_clips_are_what_the_renderer_draws_today(name: str) -> None:
    shipped, drawn = open_dataset(name, "test"), held_out_clips(name, 0, miniatures.CLIPS)
    assert len(shipped) == miniatures.CLIPS
    for index in (0, miniatures.CLIPS - 1):
        ours, theirs = shipped[index], drawn[index]
        assert ours.truth is not None
        assert theirs.truth is not None
        np.testing.assert_array_equal(ours.truth.labels, theirs.truth.labels)
        error = np.abs(ours.frames.astype(int) - theirs.frames).mean()
        assert error < (5 if name == "mini-taichi" else 1), "JPEG and H.264 lose a little, the others next to nothing"


def test_each_set_comes_in_the_format_of_its_namesake() -> None:
    endings = {name: {p.suffix for p in (data_small() / name / "test").iterdir()} for name in SETS}
    assert endings == {"mini-nemo": {".png"}, "mini-taichi": {".jpg", ".mp4"}, "mini-bair": {""}, "mini-mgif": {".gif"}}


def test_a_set_is_made_with_truth_and_checksums(tmp_path: Path) -> None:
    (made,) = miniatures.make(tmp_path, ["mini-mgif"], clips=1, seed=9)
    assert sorted(p.relative_to(made).as_posix() for p in made.rglob("*") if p.is_file()) == [
        "checksums.sha256",
        "test/0000.gif",
        "truth/0000.truth.npz",
    ]
    (made / "test" / "0000.gif").write_bytes(b"GIF89a")
    assert miniatures.damaged_files(made) == ["test/0000.gif"]


def test_an_existing_set_is_never_overwritten_and_nothing_else_is_written(tmp_path: Path) -> None:
    (tmp_path / "mini-mgif").mkdir()
    with pytest.raises(UserError, match="move it away"):
        miniatures.make(tmp_path, ["mini-nemo", "mini-mgif"], clips=1)
    assert [p.name for p in tmp_path.iterdir()] == ["mini-mgif"]


def test_a_crash_while_drawing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(miniatures, "write_checksums", fail)
    with pytest.raises(UserError, match="No space left on device"):
        miniatures.make(tmp_path, ["mini-mgif"], clips=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("names", "clips", "said"), [(["mini-nemoo"], 1, "mini-nemo"), (["mini-nemo"], 0, "--clips")])
def test_bad_requests_are_refused(tmp_path: Path, names: list[str], clips: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        miniatures.make(tmp_path, names, clips=clips)
