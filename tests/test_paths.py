from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from monkeynet_edu import paths
from monkeynet_edu.errors import UserError


@pytest.fixture(autouse=True)
def _no_choice(monkeypatch):
    monkeypatch.delenv("MONKEYNET_DATA", raising=False)


def test_the_environment_variable_wins(tmp_path, monkeypatch):
    monkeypatch.setenv("MONKEYNET_DATA", str(tmp_path))
    assert paths.data_small() == tmp_path


def test_a_variable_that_names_no_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("MONKEYNET_DATA", str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"MONKEYNET_DATA=.*gone"):
        paths.data_small()


def test_a_clone_is_found_from_any_working_folder(tmp_path, monkeypatch):
    (tmp_path / "clone" / "data_small").mkdir(parents=True)
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "clone" / "monkeynet_edu" / "paths.py"))
    for folder in (tmp_path, Path("/")):
        monkeypatch.chdir(folder)
        assert paths.data_small() == tmp_path / "clone" / "data_small"


def test_a_copy_without_a_clone_uses_the_users_folder_and_says_how_to_get_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "site-packages" / "monkeynet_edu" / "paths.py"))
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda *_, **__: str(tmp_path / "user"))
    assert paths.data_small() == tmp_path / "user" / "data_small"
    for find, name in ((paths.weights_path, "mini-nemo.safetensors"), (paths.data_set_path, "mini-nemo")):
        with pytest.raises(UserError) as caught:
            find("mini-nemo")
        message = str(caught.value)
        assert "\n" not in message
        for part in (name, "MONKEYNET_DATA", "monkeynet-edu data make", "monkeynet-edu train", "pip install -e ."):
            assert part in message


def test_weights_and_data_sets_that_are_there_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("MONKEYNET_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mini-bair.safetensors").write_bytes(b"x")
    (tmp_path / "mini-bair").mkdir()
    assert paths.weights_path("mini-bair") == tmp_path / "weights" / "mini-bair.safetensors"
    assert paths.data_set_path("mini-bair") == tmp_path / "mini-bair"
