"""Finds the small data sets and the trained weights, from any working folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from monkeynet_edu.errors import UserError

_HOW_TO_GET = (
    "clone the repository and `pip install -e .`, set MONKEYNET_DATA to its data_small folder, or make it: "
    "`monkeynet-edu data make` for the data, `monkeynet-edu train` for weights"
)


def expanded(path: str | Path) -> Path:
    """A path with a leading ``~`` or ``~name`` put in full; a name that nobody has is taken as it stands."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def data_small() -> Path:
    """Returns the folder that holds the shipped data sets and weights.

    Looked for in this order: the environment variable `MONKEYNET_DATA`; `data_small` beside the package (a clone, or an
    editable installation of one); the user's data folder (`platformdirs`), where `monkeynet-edu data make` writes if
    there is no clone.

    Raises:
        UserError: if `MONKEYNET_DATA` names no folder.
    """
    chosen = os.environ.get("MONKEYNET_DATA")
    if chosen:
        folder = expanded(chosen)
        if not folder.is_dir():
            raise UserError(
                f"MONKEYNET_DATA={chosen}: expected an existing folder, came none; correct or unset the variable"
            )
        return folder
    in_clone = Path(__file__).resolve().parent.parent / "data_small"
    if in_clone.is_dir():
        return in_clone
    return Path(platformdirs.user_data_dir("monkeynet-edu", appauthor=False)) / "data_small"


def data_set_path(name: str) -> Path:
    """Returns the folder of the shipped data set `name` (for instance `mini-taichi`).

    Raises:
        UserError: if it is not there; the message says how to make or get it.
    """
    path = data_small() / name
    if not path.is_dir():
        raise UserError(f"{path}: expected the data set {name}, came nothing; {_HOW_TO_GET}")
    return path


def weights_path(name: str) -> Path:
    """Returns the file of the shipped weights `name` (for instance `mini-taichi`).

    Raises:
        UserError: if it is not there; the message says how to make or get it.
    """
    path = data_small() / "weights" / f"{name}.safetensors"
    if not path.is_file():
        raise UserError(f"{path}: expected the weights of {name}, came no file; {_HOW_TO_GET}")
    return path
