"""Makes the moving picture of README's first screen from what the demo wrote.

Usage: monkeynet-edu demo --out demo_out && python benchmarks/readme_picture.py demo_out
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from monkeynet_edu.data.video import Frames, read_video, written_beside
from monkeynet_edu.paths import data_small

SETS = ("mini-taichi", "mini-nemo", "mini-bair", "mini-mgif")
SIDE, FRAMES, MILLISECONDS = 216, 24, 100
QUALITY = 85  # of a WebP: 0.61 MB; with the 90 of `write_video` it is 0.75 MB


def panel(path: Path) -> Frames:
    """One set's film (FRAMES, SIDE, SIDE, 3); a shorter one starts again."""
    film = read_video(path).frames
    chosen = film[np.arange(FRAMES) % len(film)]
    return np.stack([np.asarray(Image.fromarray(f).resize((SIDE, SIDE), Image.Resampling.LANCZOS)) for f in chosen])


def main() -> None:
    """Writes ``data_small/pictures/readme.webp``, a looping animation."""
    demo = Path(sys.argv[1] if len(sys.argv) > 1 else "demo_out")
    a, b, c, d = (panel(demo / f"{name}.mp4") for name in SETS)
    rows = [np.concatenate(pair, axis=2) for pair in ((a, b), (c, d))]
    out = data_small() / "pictures" / "readme.webp"
    out.parent.mkdir(exist_ok=True)
    first, *rest = [Image.fromarray(frame) for frame in np.concatenate(rows, axis=1)]
    looks = {"duration": MILLISECONDS, "loop": 0, "quality": QUALITY, "method": 6}
    with written_beside(out) as partial:
        first.save(partial, save_all=True, append_images=rest, **looks)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
