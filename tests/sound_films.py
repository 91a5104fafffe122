"""Films with a flash and a click at every full second, and what can be seen and heard in a film."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

RATE = 48_000
TICKS = Fraction(1, 90_000)


def even(count: int, fps: int = 25) -> list[float]:
    """Times of frames that follow each other evenly, in seconds."""
    return [t / fps for t in range(count)]


def flash_film(
    path: Path,
    times: Sequence[float],
    sound: str | None = "aac",
    delay: float = 0.0,
    side: int = 64,
    codec: str = "libx264",
) -> Path:
    """Writes a film of dark frames at some times; the first one of every second is bright, and a click sounds with it.

    Args:
        path: where to.
        times: when the frames are shown, in seconds, from 0.
        sound: its codec; None for a silent film.
        delay: what the clocks of both begin with.
        side: of the frames, in pixels.
        codec: of the pictures.
    """
    with av.open(str(path), "w") as container:
        pictures: Any = container.add_stream(codec, rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = side, side, "yuv420p"
        pictures.codec_context.time_base = TICKS if codec == "libx264" else Fraction(1, 25)
        voice: Any = None if sound is None else container.add_stream(sound, rate=RATE, layout="mono")
        for t, time in enumerate(times):
            bright = t == 0 or int(time) != int(times[t - 1])
            frame = av.VideoFrame.from_ndarray(np.full((side, side, 3), 240 if bright else 16, np.uint8), format="rgb24")
            frame.time_base, frame.pts = TICKS, round((time + delay) / TICKS)
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        for part in [] if voice is None else clicks(times[-1] + 0.2, voice):
            part.pts += round(delay * RATE)
            container.mux(voice.encode(part))
        if voice is not None:
            container.mux(voice.encode(None))
    return path


def clicks(seconds: float, voice: Any) -> list[Any]:
    """20 ms of 1 kHz at every full second."""
    t = np.arange(int(seconds * RATE)) / RATE
    wave = np.where(t % 1 < 0.02, 0.8 * np.sin(2 * np.pi * 1000 * t), 0).astype(np.float32)
    whole = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
    whole.sample_rate, whole.pts, whole.time_base = RATE, 0, Fraction(1, RATE)
    context = voice.codec_context
    resampler = av.AudioResampler(format=context.format, layout="mono", rate=RATE, frame_size=context.frame_size or 1024)
    return [*resampler.resample(whole), *resampler.resample(None)]


class Perceived(NamedTuple):
    """What a film shows and plays; times in seconds."""

    times: list[float]
    flashes: list[float]
    codec: str | None
    clicks: list[float]
    sound_ends: float


def perceive(path: Path) -> Perceived:
    """Decodes a film: times of its frames and of the bright ones, its sound's codec, when it clicks, and when it ends."""
    with av.open(str(path)) as container:
        shown = [(frame.time, frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]
    times, flashes = [time for time, _ in shown], [time for time, grey in shown if grey > 120]
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return Perceived(times, flashes, None, [], 0.0)
        voice = container.streams.audio[0]
        heard = []
        for frame in container.decode(voice):
            wave = frame.to_ndarray().astype(np.float64).reshape(-1, frame.samples if frame.format.is_planar else 1)
            loud = np.abs(wave[0] if frame.format.is_planar else wave[:: frame.layout.nb_channels, 0])
            level = loud / (32768 if frame.format.name.startswith("s16") else 1)
            heard.append(np.stack([frame.time + np.arange(len(level)) / frame.sample_rate, level]))
        clock, level = np.concatenate(heard, axis=1)
        on = clock[level > 0.3]
        begins = on[np.r_[True, np.diff(on) > 0.5]] if len(on) else on
        return Perceived(times, flashes, voice.codec.canonical_name, begins.tolist(), float(clock[-1]))


def sound_packets(path: Path) -> list[bytes]:
    """The encoded sound of a film, packet by packet."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]
