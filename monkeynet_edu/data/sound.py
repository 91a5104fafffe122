"""The sound of a film on its way into another film: copied packet by packet, or encoded anew as AAC.

Times are in seconds since the first picture of the film that the sound comes from, so that both stay together whatever the
container's clock begins with. Only a few packets are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av

from monkeynet_edu.data.video import READING_OPTIONS, is_film

# What common players (browsers among them) play in these containers; anything else is encoded anew.
_MP4_CODECS = frozenset({"aac", "alac", "mp3", "ac3", "eac3", "opus", "flac"})
_MOV_CODECS = frozenset({"aac", "alac", "mp3", "ac3", "eac3", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"})
CARRIED = {".mp4": _MP4_CODECS, ".m4v": _MP4_CODECS, ".mov": _MOV_CODECS}
"""Endings of films that take sound, each with the codecs that are copied as they are."""

_AAC_SAMPLES = 1024
_AAC_RATE = 48_000
_GAP = Fraction(1, 20)  # seconds that sound may come late before there is a gap: hardly to be heard


def open_film(path: Path) -> Any:
    """Opens a film for reading with PyAV, whose text may be damaged; no addresses in the network."""
    return av.open(str(path.absolute()), metadata_errors="replace", options=READING_OPTIONS)


def has_sound(path: Path) -> bool:
    """Says whether a clip is a film with sound that can be decoded.

    Raises:
        UserError: no such file, or no readable one.
    """
    if not is_film(path):
        return False
    try:
        with open_film(path) as film:
            return _first_sound(film) is not None
    except (av.error.FFmpegError, OSError, ValueError):
        return False


def _first_sound(film: Any) -> Any:
    """The first audio stream of an open film that says what it is, or None."""
    usable = (s for s in film.streams.audio if s.codec_context is not None and s.codec_context.rate)
    return next(usable, None)


class Soundtrack:
    """Hands the sound of a film over to another one that is being written.

    Sound that is damaged ends where the damage begins; pictures are worth more than an error about their sound.

    Args:
        path: film that has sound (:func:`has_sound`).
        container: PyAV's container being written, before anything has been muxed into it.
        ending: of the file being written, one of :data:`CARRIED`.
        start: time stamp of the film's first picture, in seconds.
    """

    def __init__(self, path: Path, container: Any, ending: str, start: Fraction) -> None:
        self._film = open_film(path)
        self._container, self._start = container, start
        self._from = _first_sound(self._film)
        name = self._from.codec_context.codec.canonical_name
        self.copied = name in CARRIED[ending] and name in container.supported_codecs
        self._to = container.add_stream_from_template(self._from) if self.copied else self._encoder()
        self._packets = self._copies() if self.copied else self._encoded()
        self._next: tuple[Fraction, Any] | None = None

    def write(self, until: Fraction) -> None:
        """Muxes all sound that begins before a time, in seconds, and has not been muxed yet."""
        while True:
            self._next = self._next or next(self._packets, None)
            if self._next is None or self._next[0] >= until:
                return
            self._container.mux(self._next[1])
            self._next = None

    def close(self) -> None:
        """Closes the film that the sound comes from."""
        self._film.close()

    def _encoder(self) -> Any:
        source = self._from.codec_context
        rates = av.Codec("aac", "w").audio_rates or []
        stream = self._container.add_stream("aac", rate=source.rate if source.rate in rates else _AAC_RATE)
        stream.layout = "mono" if source.layout.nb_channels == 1 else "stereo"
        return stream

    def _copies(self) -> Iterator[tuple[Fraction, Any]]:
        """The packets with their times; those that lie before the first picture, or go back in time, are left out."""
        last = None
        for packet in self._demuxed():
            if packet.dts is None:
                continue
            shift = round(self._start / packet.time_base)
            packet.pts, packet.dts = (packet.dts if packet.pts is None else packet.pts) - shift, packet.dts - shift
            if packet.pts + (packet.duration or 0) < 0 or (last is not None and packet.dts <= last):
                continue
            last = packet.dts
            packet.stream = self._to
            yield packet.pts * packet.time_base, packet

    def _encoded(self) -> Iterator[tuple[Fraction, Any]]:
        """Packets of AAC with their times."""
        for part in chain(self._resampled(), [None]):
            for packet in self._to.encode(part):
                yield packet.pts * packet.time_base, packet

    def _resampled(self) -> Iterator[Any]:
        """Decoded sound as the encoder wants it. Samples are counted, since containers round time stamps; gaps stay."""
        rate, layout = self._to.codec_context.sample_rate, self._to.codec_context.layout
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate, frame_size=_AAC_SAMPLES)
        position, heard = 0, Fraction(0)  # in samples: of the next part that comes out, and of the next frame to go in
        for frame in chain(self._decoded(), [None]):
            if frame is not None:
                begins = round(frame.pts * frame.time_base * rate)
                if heard == 0 or begins - heard > _GAP * rate:
                    position, heard = position + begins - int(heard), Fraction(begins)
                heard += Fraction(frame.samples * rate, frame.sample_rate)
                frame.pts = None
            for part in resampler.resample(frame):
                part.pts, part.time_base = position, Fraction(1, rate)
                position += part.samples
                yield part

    def _decoded(self) -> Iterator[Any]:
        """Decoded sound from the first picture on; what cannot be decoded is passed over."""
        for packet in self._demuxed():
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError):
                continue
            for frame in frames:
                if frame.pts is None:
                    continue
                frame.pts -= round(self._start / frame.time_base)
                if frame.pts * frame.time_base + Fraction(frame.samples, frame.sample_rate) > 0:
                    yield frame

    def _demuxed(self) -> Iterator[Any]:
        try:
            yield from self._film.demux(self._from)
        except (av.error.FFmpegError, ValueError):
            return
