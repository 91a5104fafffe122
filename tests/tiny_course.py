"""A made-up course of one short lesson, in a folder of its own, to plant faults in."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from monkeynet_edu.course.exercise import Lesson
from monkeynet_edu.course.sources import Folders

NUMBER, STEM = "90", "90_tiny"

FLIP = '''\
"""Flips a picture."""

from torch import Tensor


def flip(image: Tensor) -> Tensor:
    """Mirrors pictures (B, C, H, W) left to right.

    Args:
        image: (B, C, H, W).

    Returns:
        (B, C, H, W): column j holds what was in column W-1-j.
    """
    columns = image.shape[-1] - 1  # the secret comment
    order = [columns - j for j in range(columns + 1)]
    return image[..., order]
'''

LESSON = '''\
"""Lesson 90."""

import torch

from monkeynet_edu.course.exercise import Call, Exercise, Lesson, Property, expect


def _last_first(f):
    expect(f(torch.arange(6.0).view(1, 1, 2, 3))[0, 0, 0], [2.0, 1.0, 0.0], "the last column comes first")


LESSON = Lesson(
    number="90",
    slug="tiny",
    title="Tiny",
    minutes=5,
    imports="""\
import course_90.register
import torch
from torch import Tensor
""",
    exercises=(
        Exercise(
            id="tiny-flip",
            title="Flip",
            target="course_90.flip:flip",
            statement="Write `flip`: mirror a picture left to right.",
            level="stub",
            steps=("count the columns", "list them backwards", "read them in this order"),
            hints=("mirror", "same shape", "flip(-1)"),
            calls=lambda: [Call("a picture", (torch.arange(30.0).view(1, 2, 3, 5),))],
            properties=(Property("last-first", "the last column comes first", _last_first),),
            mutants=(),
            alternatives=(),
            box="warp",
        ),
    ),
)
'''

# In the kernel, importing this makes the lesson known.
REGISTRY = """\
from pathlib import Path

from monkeynet_edu.course import lessons

folder = str(Path(__file__).parent / "lessons")
if folder not in lessons.__path__:
    lessons.__path__.append(folder)
"""

SOURCE = """\
# %% [markdown]
# # A tiny lesson
#
# <!-- header -->

# %% tags=["parameters"]
FAST = False

# %% tags=["imports"]

# %% [markdown]
# ## Flip
#
# See [the same lesson](../notebooks/90_tiny.ipynb#Flip).

# %% exercise="tiny-flip"

# %% [markdown]
# ### What it does

# %%
from course_90 import flip as library

print(library.flip(torch.arange(6.0).view(1, 1, 2, 3)).sum(2).tolist())

# %% tags=["nbval-ignore-output"]
print("steps:", ex.steps(40))

# %%
from monkeynet_edu import viz

viz.figure_images([torch.eye(3)[None].repeat(3, 1, 1)], ["eye"], "A white diagonal on black.")
"""


@dataclass(frozen=True)
class TinyCourse:
    """A checkout of the tiny course; the package itself is not part of it."""

    root: Path

    @property
    def folders(self) -> Folders:
        return Folders.of(self.root)

    @property
    def source(self) -> Path:
        return self.folders.source(STEM)

    @property
    def solved(self) -> Path:
        return self.folders.notebook(STEM, "solved")

    @property
    def learner(self) -> Path:
        return self.folders.notebook(STEM, "learner")

    def edit(self, old: str, new: str) -> None:
        """Replaces text of the source, which has to be there."""
        text = self.source.read_text("utf-8")
        assert text.count(old) == 1, old
        self.source.write_text(text.replace(old, new), "utf-8")

    def load(self, number: str) -> Lesson:
        """The lesson, without making it known to the whole process."""
        spec = importlib.util.spec_from_file_location(
            "lesson90", self.root / "course_90" / "lessons" / f"lesson{number}.py"
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        lesson: Lesson = module.LESSON
        return lesson


def make(root: Path) -> TinyCourse:
    """Writes the course, unbuilt; its root has to be importable."""
    package = root / "course_90"
    for folder in (root / "solutions", root / "notebooks", package / "lessons"):
        folder.mkdir(parents=True)
    (package / "__init__.py").write_text("", "utf-8")
    (package / "register.py").write_text(REGISTRY, "utf-8")
    (package / "flip.py").write_text(FLIP, "utf-8")
    (package / "lessons" / "lesson90.py").write_text(LESSON, "utf-8")
    importlib.invalidate_caches()
    course = TinyCourse(root)
    course.source.write_text(SOURCE, "utf-8")
    return course
