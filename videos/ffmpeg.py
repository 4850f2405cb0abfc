"""How ffmpeg and ffprobe are run. What they open came from a stranger, and may be made to take them over."""

import json
import logging
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from django.conf import settings

from videos import confined
from videos.confined import NOT_STARTED

logger = logging.getLogger(__name__)

MAX_PIXELS = 8192 * 4320  # 8K: a few hundred bytes can promise a picture that fills all the memory there is

SILENCE = 0.5  # seconds that on_progress may wait to be called
TIMEOUT = 2 * 3600  # seconds
PROBE_TIMEOUT = 120  # seconds: enough to read a few gigabytes from a slow disk
KEPT_OF_ERRORS = 4000  # bytes

# What no video needs. The kernel holds the program to it, and may kill it for it.
MEMORY = 6 * 1024**3  # bytes: 8K in 10 bits takes most of it
FILE_SIZE = 64 * 1024**3  # bytes, of each file written
OPEN_FILES = 256

LAUNCHER = confined.__file__
ENVIRONMENT = {  # nothing of ours, which holds passwords
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    **{name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
}

OnProgress = Callable[[float], None]  # seconds of the output that are written


class Failed(Exception):
    """The program did not do what it was asked. `status` is as subprocess has it, `said` what it complained about."""

    def __init__(self, status: int, said: str = "") -> None:
        self.status = status
        self.said = said
        super().__init__(f"was killed by signal {-status}" if status < 0 else f"exited with {status}")

    @property
    def is_ours(self) -> bool:
        """It was killed, or could not be started: which says nothing about the file."""
        return self.status < 0 or self.status == NOT_STARTED


class TimedOut(Failed):
    """It took longer than it was given, and was killed."""

    def __init__(self) -> None:
        super().__init__(-signal.SIGKILL)


def untrusted(path: Path) -> list[str]:
    """Arguments that open a file of which nothing is known.

    They are obeyed only *before* `-i`. Whatever its name, an upload may be a playlist, and opening it would copy any
    file of this machine into the sender's video. So only containers that hold their own pictures are opened, and only
    from disk. ("matroska" is WebM too.)
    """
    return [
        *("-format_whitelist", "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg"),
        *("-protocol_whitelist", "file"),
        *("-max_pixels", str(MAX_PIXELS)),
        *("-i", f"file:{path}"),
    ]


def run(
    arguments: Sequence[str],
    *,
    reads: Sequence[Path],
    folder: Path | None = None,
    on_progress: OnProgress = lambda seconds: None,
    timeout: float = TIMEOUT,
) -> None:
    """Run ffmpeg to its end. It may read the files in `reads`, and write into `folder`, which it may also read.

    `on_progress` is called at least every half second. What it raises ends ffmpeg at once and comes out of here: that
    is how a cancelled job stops. `timeout` is in seconds. Raises Failed.
    """
    with _started(command(arguments), reads, folder, timeout) as process:
        done = 0.0
        for piece in _output(process, timeout):
            done = max([done, *_reported_seconds(piece)])
            on_progress(done)


def command(arguments: Sequence[str]) -> list[str]:
    """As one would type it."""
    report = ["-hide_banner", "-nostdin", "-loglevel", "error", "-nostats", "-progress", "pipe:1"]
    return [settings.FFMPEG, *report, *arguments]


def ask_ffprobe(question: Sequence[str], path: Path) -> str:
    """What ffprobe answers about a file. Raises Failed."""
    asked = [settings.FFPROBE, "-v", "error", *question, *untrusted(path)]
    with _started(asked, [path], None, PROBE_TIMEOUT) as process:
        return b"".join(_output(process, PROBE_TIMEOUT)).decode(errors="replace")


@cache
def has_filters(*names: str) -> bool:
    """Whether this ffmpeg was built with all of them."""
    with _started([settings.FFMPEG, "-hide_banner", "-filters"], [], None, PROBE_TIMEOUT) as process:
        listed = b"".join(_output(process, PROBE_TIMEOUT)).decode().split()
    return all(name in listed for name in names)


def is_confined() -> bool:
    """Whether what strangers send is kept from this machine's network, files and processes."""
    return _can_be_confined(settings.FFMPEG) and _can_be_confined(settings.FFPROBE)


@contextmanager
def _started(
    command: list[str], reads: Sequence[Path], folder: Path | None, timeout: float
) -> Iterator[subprocess.Popen[bytes]]:
    """A child process that is over when the block is: by itself, or killed if the block raises."""
    process = _start(command, reads, folder, timeout, confined=_can_be_confined(command[0]))
    with process:  # closes the pipes and reaps
        try:
            yield process
        except BaseException:
            if process.returncode is None:  # else it is reaped, and its number may be another's
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()  # waits until nobody has its pipes: confined, ffmpeg is the child of our child
            raise


def _can_be_confined(program: str) -> bool:
    return settings.FFMPEG_CONFINEMENT != "off" and _starts_confined(program)


@cache
def _starts_confined(program: str) -> bool:
    with _start([program, "-version"], [], None, timeout=10, confined=True) as trial:
        _, said = trial.communicate()
    if trial.returncode and settings.FFMPEG_CONFINEMENT == "required":
        raise Failed(NOT_STARTED, said.decode(errors="replace"))
    if trial.returncode:
        logger.warning("%s runs with limits, but not confined. See docs/operating.md. %s", program, said.decode())
    return not trial.returncode


def _start(
    command: list[str], reads: Sequence[Path], folder: Path | None, timeout: float, *, confined: bool
) -> subprocess.Popen[bytes]:
    terms = {
        "worker": os.getpid(),
        "limits": _limits(timeout),
        "confined": confined,
        "reads": [os.path.abspath(path) for path in reads],
        "folder": os.path.abspath(folder) if folder else None,
    }
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", LAUNCHER, json.dumps(terms), *command],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that Ctrl-C in a terminal reaches the worker only, which then decides
        )
    except OSError as error:
        raise Failed(NOT_STARTED) from error


def _limits(timeout: float) -> dict[str, int]:
    return {
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": round(timeout * (os.cpu_count() or 1)) + 1,  # also when the worker is not there to look
        "RLIMIT_DATA": MEMORY,
        "RLIMIT_FSIZE": FILE_SIZE,
        "RLIMIT_NOFILE": OPEN_FILES,
    }


def _output(process: subprocess.Popen[bytes], timeout: float) -> Iterator[bytes]:
    """Yield what the program writes, and nothing every SILENCE seconds when it does not. Raises Failed when it has.

    The last of its complaints is kept: to let that pipe fill up would stop it, and to keep all of them would let a bad
    file fill our memory.
    """
    assert process.stdout and process.stderr
    errors = bytearray()
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as pipes:
        pipes.register(process.stdout, selectors.EVENT_READ)
        pipes.register(process.stderr, selectors.EVENT_READ)
        while pipes.get_map():
            written = b""
            for pipe, _ in pipes.select(SILENCE):
                chunk = os.read(pipe.fd, 65536)
                if not chunk:
                    pipes.unregister(pipe.fileobj)
                elif pipe.fileobj is process.stdout:
                    written = chunk
                else:
                    errors += chunk
                    del errors[:-KEPT_OF_ERRORS]
            yield written
            if time.monotonic() > deadline:
                raise TimedOut
    if status := process.wait():
        raise Failed(status, errors.decode(errors="replace"))


def _reported_seconds(report: bytes) -> list[float]:
    """All the times in a piece of ffmpeg's report. One that the piece cuts short only reads as less."""
    return [int(microseconds) / 1e6 for microseconds in re.findall(rb"out_time_us=(\d+)", report)]
