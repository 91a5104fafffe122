"""Makes the moving picture of README's first screen from what the demo wrote.

Usage: monkeynet-edu demo --out demo_out && python benchmarks/readme_picture.py demo_out
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from monkeynet_edu.data.video import Frames, read_video, write_video
from monkeynet_edu.paths import data_small

SETS = ("mini-taichi", "mini-nemo", "mini-bair", "mini-mgif")
SIDE, FRAMES, FPS = 216, 24, 10.0


def panel(path: Path) -> Frames:
    """One set's film (FRAMES, SIDE, SIDE, 3); a shorter one starts again."""
    film = read_video(path).frames
    chosen = film[np.arange(FRAMES) % len(film)]
    return np.stack([np.asarray(Image.fromarray(f).resize((SIDE, SIDE), Image.Resampling.LANCZOS)) for f in chosen])


def main() -> None:
    """Writes ``data_small/pictures/readme.gif``."""
    demo = Path(sys.argv[1] if len(sys.argv) > 1 else "demo_out")
    a, b, c, d = (panel(demo / f"{name}.mp4") for name in SETS)
    rows = [np.concatenate(pair, axis=2) for pair in ((a, b), (c, d))]
    out = data_small() / "pictures" / "readme.gif"
    out.parent.mkdir(exist_ok=True)
    write_video(out, np.concatenate(rows, axis=1), FPS)
    print(f"{out}: {out.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
