"""The pictures of the seek bar: taken while a chunk is encoded, and put on sheets when all chunks are there.

Sheets are named by a WebVTT file, as most players read it: of each span of time the sheet, and the place on it in the
syntax of Media Fragments (`#xywh=`).
"""

from math import ceil
from pathlib import Path

from videos import ffmpeg, filters
from videos.planning import Chunk, Plan

INDEX = "storyboard.vtt"
SHEET = "storyboard-{}.jpg"
STILL = "still-%05d.jpg"  # numbered over all chunks

LONG_SIDE = 160  # pixels of a picture
ACROSS = 5  # pictures in a row of a sheet, and rows on it
ENOUGH = 150  # pictures: with more, they are further apart
FURTHEST = 5  # keyframes from picture to picture


def every(plan: Plan) -> int:
    """Frames from picture to picture. Pictures are of keyframes, which is where seeking leads."""
    keyframes = plan.media.duration * plan.frame_rate / plan.keyframe_every
    return plan.keyframe_every * max(1, min(FURTHEST, ceil(keyframes / ENOUGH)))


def still(plan: Plan, chunk: Chunk) -> str:
    """Filters that make the pictures of a chunk."""
    return f"select='not(mod(n+{chunk.start},{every(plan)}))',{filters.jpeg(*size(plan))}"


def output(plan: Plan, chunk: Chunk, folder: Path) -> list[str]:
    first = ceil(chunk.start / every(plan))
    return ["-fps_mode", "passthrough", "-q:v", "4", "-start_number", str(first), f"file:{folder / STILL}"]


def size(plan: Plan) -> tuple[int, int]:
    """Width and height of one picture."""
    _, width, height = plan.rungs[-1]
    scale = min(1.0, LONG_SIDE / max(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def make(plan: Plan, stills: list[Path], duration: float, folder: Path) -> None:
    """Write sheets and index. `stills` are in order, `duration` is where the last one's span ends, in seconds."""
    spans = [plan.seconds(number * every(plan)) for number in range(len(stills))]
    sheets = [stills[first : first + ACROSS**2] for first in range(0, len(stills), ACROSS**2)]
    for number, on_sheet in enumerate(sheets, 1):
        _draw(on_sheet, folder / SHEET.format(number))
    cues = zip(spans, [*spans[1:], duration], range(len(stills)), strict=True)
    text = "\n".join(f"{_time(start)} --> {_time(end)}\n{_place(number, *size(plan))}\n" for start, end, number in cues)
    (folder / INDEX).write_text(f"WEBVTT\n\n{text}")


def _draw(stills: list[Path], sheet: Path) -> None:
    film = sheet.with_suffix(".mjpeg")
    film.write_bytes(b"".join(still.read_bytes() for still in stills))
    tiled = ["-vf", f"tile={ACROSS}x{ceil(len(stills) / ACROSS)}", "-frames:v", "1", "-update", "1", "-q:v", "5"]
    ffmpeg.run(["-y", "-f", "mjpeg", "-i", f"file:{film}", *tiled, f"file:{sheet}"], reads=[film], folder=sheet.parent)
    film.unlink()


def _place(number: int, width: int, height: int) -> str:
    sheet, place = divmod(number, ACROSS**2)
    down, across = divmod(place, ACROSS)
    return f"{SHEET.format(sheet + 1)}#xywh={across * width},{down * height},{width},{height}"


def _time(seconds: float) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:02}:{minutes:02}:{seconds:06.3f}"
