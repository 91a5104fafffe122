"""Peak memory and time of `monkeynet-edu animate` for a long film with sound; the bound is 1.5 GB for 10,000 frames.

Usage: python benchmarks/long_clip.py [--frames 10000] [--size 64x64] [--out FILE] [--threads 2] [--bound 1500] [-- OPTIONS]

Makes an MP4 of the shipped clips of mini-taichi, one after the other, enlarged to the size asked for, with a tone as sound;
animates a picture with it by the shipped weights in a process of its own, with whatever stands after ``--`` (for instance
``--side-by-side``), and prints frames, seconds and the peak of the process's resident memory. Making the film is not timed.
Exits 1 above the bound, or where frames or sound are missing.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from monkeynet_edu.data.datasets import ClipFolder
from monkeynet_edu.paths import data_set_path

DATA, FPS, SOUND_RATE = "mini-taichi", 25, 48_000


def make_film(path: Path, frames: int, width: int, height: int) -> None:
    """Writes the driving film: the test clips again and again, and a tone."""
    clips = ClipFolder(data_set_path(DATA), "test")
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        pictures.width, pictures.height, pictures.pix_fmt = width, height, "yuv420p"
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        number = heard = 0
        while number < frames:
            for frame in clips[number // 32 % len(clips)].frames[: frames - number]:
                enlarged = np.asarray(Image.fromarray(frame).resize((width, height)))
                container.mux(pictures.encode(av.VideoFrame.from_ndarray(enlarged, format="rgb24")))
                number += 1
            while heard < number * SOUND_RATE // FPS:
                container.mux(sound.encode(tone(heard)))
                heard += 1024
        for stream in (pictures, sound):
            container.mux(stream.encode(None))


def tone(start: int) -> av.AudioFrame:
    """1024 samples of 440 Hz."""
    wave = 0.2 * np.sin(2 * np.pi * 440 * (start + np.arange(1024)) / SOUND_RATE)
    part = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="fltp", layout="mono")
    part.sample_rate, part.pts, part.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
    return part


def animate(driving: Path, out: Path, threads: int, options: list[str]) -> tuple[float, float]:
    """Animates the first picture of the last clip; seconds, and the peak of resident memory in MB (10^6 bytes)."""
    source = sorted((data_set_path(DATA) / "test").iterdir())[-1]
    command = [sys.executable, "-m", "monkeynet_edu", "animate", "--source", source, "--driving", driving, "--out", out]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    began = time.perf_counter()
    subprocess.run([*map(str, command), "--model", DATA, *options], env=environment, check=True)
    seconds = time.perf_counter() - began
    # Of the largest child; it counts from what this process held when it started it, which is far less.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return seconds, peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def written(path: Path) -> tuple[int, float]:
    """Frames of a film, counted by decoding it, and seconds of its sound."""
    with av.open(str(path)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    with av.open(str(path)) as container:
        sound = container.streams.audio
        return frames, float(sound[0].duration * sound[0].time_base) if sound else 0.0


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Animates a long film and measures memory.")
    parser.add_argument("--frames", type=int, default=10_000, help="frames of the driving film (10000)")
    parser.add_argument("--size", default="64x64", help="of its frames, WIDTHxHEIGHT, even (64x64)")
    parser.add_argument("--out", type=Path, default=None, help="where to keep the animation (nowhere)")
    parser.add_argument("--threads", type=int, default=2, help="processor threads (2)")
    parser.add_argument("--bound", type=float, default=1500.0, help="MB that count as a pass (1500)")
    parser.add_argument("options", nargs="*", help="of the command, after --")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    with tempfile.TemporaryDirectory() as scratch:
        driving, out = Path(scratch) / "driving.mp4", args.out or Path(scratch) / "out.mp4"
        make_film(driving, args.frames, width, height)
        seconds, peak = animate(driving, out, args.threads, args.options)
        frames, sound = written(out)
    print(
        f"{frames} of {args.frames} frames of {args.size} in {seconds:.0f} s ({frames / seconds:.0f} a second), "
        f"{sound:.1f} of {args.frames / FPS:.1f} s of sound, peak {peak:.0f} MB; {args.threads} threads, "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    return int(peak > args.bound or frames != args.frames or abs(sound - frames / FPS) > 0.1)


if __name__ == "__main__":
    sys.exit(main())
