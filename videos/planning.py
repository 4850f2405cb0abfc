"""What is to be made of a video: its sizes, its frame rate, and the chunks in which it is encoded.

All is counted in frames of a constant rate, so a chunk is the same to the frame whoever encodes it, and all rungs have
their keyframes at the same times. A plan follows from the file and the settings alone: whoever needs one makes it anew.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from videos.probing import Media, examine, probe

RUNGS = [480, 720, 1080]  # pixels of the short side
MAX_FRAME_RATE = 60
MIN_FRAME_RATE = 1  # else there may be no picture where a player is to begin
USUAL_FRAME_RATE = 30  # for a file that does not tell
KEYFRAME_EVERY = 2  # seconds, at least: where a player may begin, and a chunk
PROGRESSIVE = 720  # pixels of the short side
FEWEST_CHUNKS = 3  # of a video that is not made in one step
CHUNK_PIXELS = 1920 * 1080 * 30  # in a second: with more, chunks are shorter than CHUNK_SECONDS

# Containers in which a time is found by an index. In others it is guessed, and frames may be missed.
SEEKABLE = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}


class Rung(NamedTuple):
    """A size in which the video is made."""

    name: str  # "720p"
    width: int
    height: int

    @property
    def file_name(self) -> str:
        return f"{self.name}.mp4"


class Chunk(NamedTuple):
    """A piece of the picture, from one keyframe to before another, in frames. The last one goes on to the end."""

    start: int
    end: int | None

    @property
    def name(self) -> str:
        return f"picture-{self.start:07}"


WHOLE = Chunk(0, None)


@dataclass(frozen=True)
class Plan:
    source: Path
    media: Media
    rungs: list[Rung]  # smallest first
    frame_rate: Fraction  # frames per second
    keyframe_every: int  # frames
    chunks: list[Chunk]

    @property
    def in_one_step(self) -> bool:
        return self.chunks == [WHOLE]

    @property
    def progressive(self) -> Rung:
        """The rung for players that take only one file: the best that comes through most lines."""
        return [rung for rung in self.rungs if min(rung.width, rung.height) <= PROGRESSIVE or rung == self.rungs[0]][-1]

    def seconds(self, frames: int) -> float:
        return float(frames / self.frame_rate)

    def promised_seconds(self, chunk: Chunk) -> float:
        """How long the chunk is, if the file is as long as it says."""
        start = self.seconds(chunk.start)
        return (self.media.duration if chunk.end is None else self.seconds(chunk.end)) - start


def plan(source: Path, *, examined: bool = False) -> Plan:
    """Raises NotPlayable where the file is at fault. examined: it was, so that a look at its header will do."""
    media = probe(source) if examined else examine(source)
    frame_rate = _frame_rate(media)
    keyframe_every = ceil(KEYFRAME_EVERY * frame_rate)
    return Plan(
        source=source,
        media=media,
        rungs=ladder(media.width, media.height),
        frame_rate=frame_rate,
        keyframe_every=keyframe_every,
        chunks=_chunks(media, frame_rate, keyframe_every),
    )


def ladder(width: int, height: int) -> list[Rung]:
    """The sizes to make, smallest first, told by the short side so that a portrait keeps its detail.

    Never larger than the source: one below the lowest rung has only its own size.
    """
    short = min(width, height)
    return [_rung(width, height, rung / short) for rung in RUNGS if rung <= short] or [_rung(width, height, 1)]


def _rung(width: int, height: int, scale: float) -> Rung:
    width, height = _even(width, scale), _even(height, scale)
    return Rung(f"{min(width, height)}p", width, height)


def _even(side: int, scale: float) -> int:
    """The nearest even number, since yuv420p halves both sides, but none above the source's."""
    return max(2, min(round(side * scale / 2) * 2, side // 2 * 2))


def _frame_rate(media: Media) -> Fraction:
    """1001 is what the rates of television are divided by."""
    told = Fraction(media.frame_rate).limit_denominator(1001) or Fraction(USUAL_FRAME_RATE)
    return max(Fraction(MIN_FRAME_RATE), min(told, Fraction(MAX_FRAME_RATE)))


def _chunks(media: Media, frame_rate: Fraction, keyframe_every: int) -> list[Chunk]:
    """Of equal length but for the last, which is from half as long to half as long again."""
    length = keyframe_every * max(1, round(_chunk_seconds(media) * frame_rate / keyframe_every))
    number = round(media.duration * frame_rate / length)
    if number < FEWEST_CHUNKS or media.container not in SEEKABLE:
        return [WHOLE]
    starts = [length * index for index in range(number)]
    return [Chunk(start, end) for start, end in zip(starts, [*starts[1:], None], strict=True)]


def _chunk_seconds(media: Media) -> float:
    """Large pictures and quick ones take longer, and a chunk is what a crash repeats."""
    pixels = media.width * media.height * min(media.frame_rate or USUAL_FRAME_RATE, MAX_FRAME_RATE)
    return settings.CHUNK_SECONDS * min(1.0, CHUNK_PIXELS / pixels)
