"""From an uploaded video to what every browser plays: H.264 in up to three sizes and a poster, by one run of ffmpeg."""

import ctypes
import functools
import logging
import os
import re
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from videos.probing import UNDECODABLE, UNTRUSTED, Media, NotPlayable, probe

logger = logging.getLogger(__name__)

RUNGS = [480, 720, 1080]  # pixels of the short side
MAX_FRAME_RATE = 60
KEYFRAME_EVERY = 2  # seconds: where a player may change to another rung
POSTER = "poster.jpg"

DAMAGED = "This video is damaged: most of it cannot be shown. Export it again and upload the new file."
TRUNCATED = "The file is incomplete: it ends after {end} of {whole}. Upload the whole file again."

SILENCE = 0.5  # seconds that on_progress may wait to be called
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


def command(source: Path, media: Media, rungs: list[Rung], folder: Path) -> list[str]:
    """The one run of ffmpeg: it decodes each frame once, for all the rungs and the poster."""
    return [
        *(settings.FFMPEG, "-hide_banner", "-nostdin", "-loglevel", "error", "-nostats", "-progress", "pipe:1"),
        *("-y", "-abort_on", "empty_output"),  # overwrite what a killed attempt left; to write nothing is a failure
        *(*UNTRUSTED, "-i", f"file:{source}"),
        *("-filter_complex", _filters(media, rungs)),
        *(argument for rung in rungs for argument in _rendition(rung, media, folder)),
        *("-map", "[poster]", "-frames:v", "1", "-update", "1", "-q:v", "3", f"file:{folder / POSTER}"),
    ]


def _filters(media: Media, rungs: list[Rung]) -> str:
    """The graph of filters, whose outputs are named for the rungs, and "poster".

    scale widens pixels that are not square but leaves the mark that says so (hence setsar), and keeps the full range
    of a phone's colours, which browsers show washed out (hence out_range). The poster is chosen from frames of the
    first four seconds, or of whatever there is: seeking to a time would find nothing in a shorter video.
    """
    at_most = f"fps={MAX_FRAME_RATE}," if media.frame_rate > MAX_FRAME_RATE else ""
    decoded = "".join(f"[decoded {name}]" for name in [*(rung.name for rung in rungs), "poster"])
    every_half_second = "select='isnan(prev_selected_t)+gte(t-prev_selected_t,0.5)'"
    largest = rungs[-1]
    return ";".join(
        [
            f"[0:{media.video_stream}]{at_most}split={len(rungs) + 1}{decoded}",
            *(
                f"[decoded {name}]scale={width}:{height}:out_range=tv,setsar=1,format=yuv420p[{name}]"
                for name, width, height in rungs
            ),
            f"[decoded poster]{every_half_second},scale={largest.width}:{largest.height}:out_range=pc,setsar=1,"
            "format=yuvj420p,thumbnail=8[poster]",
        ]
    )


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
    errors = bytearray()
    with _started(command(source, media, rungs, folder)) as ffmpeg:
        for seconds in _seconds_done(ffmpeg, errors):
            on_progress(*_progress(seconds, media.duration))
    if ffmpeg.returncode:
        failure = _failure(ffmpeg.returncode, source, media)
        failure.add_note(errors.decode(errors="replace"))
        logger.warning("ffmpeg ended with %s on %s: %s", ffmpeg.returncode, source, failure.__notes__[0])
        raise failure


@contextmanager
def _started(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A child process that is over when the block is: by itself, or killed if the block raises."""
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that Ctrl-C in a terminal reaches the worker only, which then decides
            preexec_fn=functools.partial(_die_with, os.getpid()) if sys.platform == "linux" else None,
        )
    except OSError as error:
        raise TranscodingFailed("ffmpeg could not be started.") from error
    with process:  # closes the pipes and reaps
        try:
            yield process
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def _die_with(worker: int) -> None:
    """Run in the child, before it becomes ffmpeg: have the kernel kill it when the worker dies, however it dies.

    The kernel watches the thread that forked. Ours waits for ffmpeg, so it cannot end too soon.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != worker:  # it died before the kernel was told
        os._exit(1)


if sys.platform == "linux":
    PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>
    prctl = ctypes.CDLL(None).prctl  # looked up here, since a fork of a process with threads can do little safely


def _seconds_done(ffmpeg: subprocess.Popen[bytes], errors: bytearray) -> Iterator[float]:
    """Yield how much of the video is written: whenever ffmpeg reports it, and every SILENCE seconds when it does not.

    Ends when ffmpeg has closed its pipes. `errors` receives the last of what it complained about: to let that pipe
    fill up would stop it, and to keep all of it would let a bad file fill our memory.
    """
    assert ffmpeg.stdout and ffmpeg.stderr
    seconds = 0.0
    with selectors.DefaultSelector() as pipes:
        pipes.register(ffmpeg.stdout, selectors.EVENT_READ)
        pipes.register(ffmpeg.stderr, selectors.EVENT_READ)
        while pipes.get_map():
            for pipe, _ in pipes.select(SILENCE):
                chunk = os.read(pipe.fd, 65536)
                if not chunk:
                    pipes.unregister(pipe.fileobj)
                elif pipe.fileobj is ffmpeg.stderr:
                    errors += chunk
                    del errors[:-4000]
                else:
                    seconds = max([seconds, *_reported_seconds(chunk)])
            yield seconds


def _reported_seconds(report: bytes) -> list[float]:
    """All the times in a piece of ffmpeg's report. One that the piece cuts short only reads as less."""
    return [int(microseconds) / 1e6 for microseconds in re.findall(rb"out_time_us=(\d+)", report)]


def _progress(seconds: float, duration: float) -> tuple[float, str]:
    done = min(seconds, duration)
    return (done / duration if duration else 0.0), f"{_clock(done)} of {_clock(duration)}"


def _clock(seconds: float) -> str:
    return "{}:{:02}".format(*divmod(round(seconds), 60))


def _failure(status: int, source: Path, media: Media) -> Exception:
    """Whose fault was it? The file's only if ffmpeg cannot show one frame of it with nothing else to do."""
    if status < 0:
        return TranscodingFailed(f"ffmpeg was killed by signal {-status}.")
    if status == TOO_MANY_ERRORS:
        return NotPlayable(DAMAGED)
    if not _decodes(source, media):
        return NotPlayable(UNDECODABLE)
    return TranscodingFailed(f"ffmpeg exited with {status}.")


def _decodes(source: Path, media: Media) -> bool:
    trial = [
        *(settings.FFMPEG, "-nostdin", "-loglevel", "quiet", "-abort_on", "empty_output"),
        *(*UNTRUSTED, "-i", f"file:{source}"),
        *("-map", f"0:{media.video_stream}", "-frames:v", "1", "-f", "null", "-"),
    ]
    return subprocess.run(trial, timeout=60).returncode <= 0  # that the trial itself was killed proves nothing


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
