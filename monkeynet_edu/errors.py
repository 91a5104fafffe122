"""Errors that a user can mend: one clear line that says what was expected, what came, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Bad input. The message names the thing, what was expected, what came, and what to do next."""


class ToldElsewhereError(UserError):
    """Something failed in another process of the same training, which says what: this one ends without a word."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Builds the error for a mistyped name, offering the nearest known ones.

    Args:
        kind: what is named, for the message ("data set", "preset").
        name: what came.
        known: every name that would have been accepted.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else "choose one of them."
    return UserError(f"unknown {kind} {name!r}: expected one of {', '.join(names)}; {hint}")
