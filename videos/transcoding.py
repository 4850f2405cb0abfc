"""From an uploaded video to what every browser plays: H.264 in up to three sizes and a poster, by one run of ffmpeg."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from videos import ffmpeg, filters
from videos.probing import UNDECODABLE, Media, NotPlayable, probe

logger = logging.getLogger(__name__)

RUNGS = [480, 720, 1080]  # pixels of the short side
KEYFRAME_EVERY = 2  # seconds: where a player may change to another rung
POSTER = "poster.jpg"

DAMAGED = "This video is damaged: most of it cannot be shown. Export it again and upload the new file."
TRUNCATED = "The file is incomplete: it ends after {end} of {whole}. Upload the whole file again."

TOO_MANY_ERRORS = 69  # ffmpeg's exit status when two thirds of the frames could not be decoded

OnProgress = Callable[[float, str], None]  # fraction done, 0 to 1, and a note for people


class TranscodingFailed(Exception):
    """ffmpeg failed and the file is not to blame: it was killed, the disk is full, it is missing. Worth a retry.

    What ffmpeg said is a note on the exception (`__notes__`), for staff.
    """


class Rung(NamedTuple):
    name: str  # "720p"
    width: int
    height: int

    @property
    def file_name(self) -> str:
        return f"{self.name}.mp4"


@dataclass(frozen=True)
class Rendition:
    """One rung as it was written, by ffprobe's account."""

    name: str
    width: int
    height: int
    path: Path


@dataclass(frozen=True)
class Encoded:
    duration: float  # seconds
    renditions: list[Rendition]  # smallest first
    poster: Path


def encode(source: Path, folder: Path, on_progress: OnProgress) -> Encoded:
    """Write renditions and poster of `source` into `folder`: all of them, or none.

    `on_progress` is called at least every half second. What it raises ends ffmpeg at once and comes out of here: that
    is how a cancelled job stops. Raises NotPlayable where the file is at fault, TranscodingFailed where it is not.
    """
    media = probe(source)
    rungs = ladder(media.width, media.height)
    with _all_or_nothing(folder, rungs):
        _run_ffmpeg(source, media, rungs, folder, on_progress)
        encoded = _read_back(folder, rungs)
        _refuse_truncated(media.duration, encoded.duration)
    return encoded


def ladder(width: int, height: int) -> list[Rung]:
    """The sizes to write, smallest first, told by the short side so that a portrait keeps its detail.

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


def arguments(source: Path, media: Media, rungs: list[Rung], folder: Path) -> list[str]:
    """Of the one run of ffmpeg: it decodes each frame once, for all the rungs and the poster."""
    return [
        *("-y", "-abort_on", "empty_output"),  # overwrite what a killed attempt left; to write nothing is a failure
        *ffmpeg.untrusted(source),
        *("-filter_complex", filters.graph(media, rungs)),
        *(argument for rung in rungs for argument in _rendition(rung, media, folder)),
        *("-map", "[poster]", "-frames:v", "1", "-update", "1", "-q:v", "3", f"file:{folder / POSTER}"),
    ]


def _rendition(rung: Rung, media: Media, folder: Path) -> list[str]:
    """One output. All rungs have their keyframes at the same times, and no frame refers across one."""
    sound = ["-map", f"0:{media.audio_stream}", "-c:a", "aac", "-b:a", "128k", "-ac", "2"] if media.has_audio else []
    return [
        *("-map", f"[{rung.name}]", "-c:v", "libx264", "-preset", "veryfast", "-crf", "23"),
        *("-force_key_frames", f"expr:gte(t,n_forced*{KEYFRAME_EVERY})", "-x264-params", "scenecut=0:open-gop=0"),
        *sound,
        *("-map_metadata", "-1", "-map_chapters", "-1", "-dn", "-sn"),  # a phone writes where it was into its films
        *("-movflags", "+faststart", f"file:{folder / rung.file_name}"),
    ]


@contextmanager
def _all_or_nothing(folder: Path, rungs: list[Rung]) -> Iterator[None]:
    try:
        yield
    except BaseException:  # also what a signal handler raises, such as a time limit's
        for name in [POSTER, *(rung.file_name for rung in rungs)]:
            (folder / name).unlink(missing_ok=True)
        raise


def _run_ffmpeg(source: Path, media: Media, rungs: list[Rung], folder: Path, on_progress: OnProgress) -> None:
    def progress(seconds: float) -> None:
        on_progress(*_progress(seconds, media.duration))

    try:
        ffmpeg.run(arguments(source, media, rungs, folder), reads=[source], folder=folder, on_progress=progress)
    except ffmpeg.Failed as failed:
        failure = _failure(failed, source, media)
        failure.add_note(failed.said)
        logger.warning("ffmpeg %s on %s: %s", failed, source, failed.said)
        raise failure from failed


def _progress(seconds: float, duration: float) -> tuple[float, str]:
    done = min(seconds, duration)
    return (done / duration if duration else 0.0), f"{_clock(done)} of {_clock(duration)}"


def _clock(seconds: float) -> str:
    return "{}:{:02}".format(*divmod(round(seconds), 60))


def _failure(failed: ffmpeg.Failed, source: Path, media: Media) -> Exception:
    """Whose fault was it? The file's only if ffmpeg cannot show one frame of it with nothing else to do."""
    if failed.status == TOO_MANY_ERRORS:
        return NotPlayable(DAMAGED)
    if failed.is_ours or _decodes(source, media):
        return TranscodingFailed(f"ffmpeg {failed}.")
    return NotPlayable(UNDECODABLE)


def _decodes(source: Path, media: Media) -> bool:
    one_frame = ["-map", f"0:{media.video_stream}", "-frames:v", "1", "-f", "null", "-"]
    try:
        ffmpeg.run(["-abort_on", "empty_output", *ffmpeg.untrusted(source), *one_frame], reads=[source], timeout=60)
    except ffmpeg.Failed as failed:
        return failed.is_ours  # then the trial proves nothing
    return True


def _read_back(folder: Path, rungs: list[Rung]) -> Encoded:
    paths = [folder / rung.file_name for rung in rungs]
    written = [probe(path) for path in paths]
    renditions = [
        Rendition(rung.name, media.width, media.height, path)
        for rung, media, path in zip(rungs, written, paths, strict=True)
    ]
    return Encoded(min(media.duration for media in written), renditions, folder / POSTER)


def _refuse_truncated(promised: float, duration: float) -> None:
    """ffmpeg is content with whatever a file holds, so half a video is only seen by its length."""
    if promised - duration > max(promised * 0.02, 0.5):
        raise NotPlayable(TRUNCATED.format(end=_clock(duration), whole=_clock(promised)))
