"""Runs the lines of the Procfile side by side, restarts what dies, and leaves nothing behind.

Our own, because the usual runners of Procfiles stop everything when one process dies, and leave orphans when they are
killed themselves. The tests run whole sites with it, and kill parts of them.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).resolve().parent.parent
GRACE = 8.0  # seconds that all have together to end in order
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds between a death and the restart
HEALTHY = 10.0  # seconds of life after which the next pause is the first again
COLOURS = (36, 32, 33, 35, 34)
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here, as little as possible after a fork


def procfile(path: Path) -> dict[str, str]:
    """The commands of a Procfile by name, without those of our own servers that the environment replaces."""
    lines = dict(line.split(": ", 1) for line in path.read_text().splitlines() if line)
    if os.environ.get("REDIS_URL"):
        del lines["valkey"]
    if os.environ.get("STRIPE_API_KEY") or os.environ.get("STRIPE_API_BASE"):
        del lines["gateway"]
    return lines


class Processes(dict[str, "Process"]):
    """Processes by name. The first serves the users and the last serves the others, and so they are stopped."""

    def __init__(self, lines: dict[str, str], env: dict[str, str] | None = None, output: TextIO = sys.stdout) -> None:
        env = {**(os.environ if env is None else env), "PYTHONUNBUFFERED": "1"}
        env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
        width = max(map(len, lines))
        for number, (name, command) in enumerate(lines.items()):
            prefix = f"{name:{width}} | "
            if output.isatty():
                prefix = f"\033[{COLOURS[number % len(COLOURS)]}m{prefix}\033[0m"
            self[name] = Process(command, env, prefix, output)

    def run(self) -> None:
        """Run all of them until a signal asks for the end."""
        handle_endings(signal.default_int_handler)
        try:
            self.start()
            while True:  # a signal that comes right before a wait does not end it
                time.sleep(1)
        except KeyboardInterrupt:
            handle_endings(signal.SIG_IGN)
        finally:
            self.stop()

    def start(self) -> None:
        for process in self.values():
            process.start()

    def stop(self, grace: float = GRACE) -> None:
        deadline = time.monotonic() + grace
        first, *others = self.values()
        for stage in ([first], others[:-1], others[-1:]):
            for process in stage:
                process.ask_to_end()
            for process in stage:
                process.wait(deadline)


class Process:
    """One command, kept running in a process group of its own from `start()` until it is asked to end."""

    def __init__(self, command: str, env: dict[str, str], prefix: str, output: TextIO) -> None:
        self.command = command
        self._env = env
        self._prefix = prefix
        self._output = output
        self._popen: subprocess.Popen[str] | None = None
        self._keeper: threading.Thread | None = None
        self._unwanted = threading.Event()
        self._starting_or_ending = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The main process, or None when there is none."""
        return self._popen.pid if self._popen and self._popen.returncode is None else None

    def start(self) -> None:
        self._unwanted.clear()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the whole group. What dies of it is restarted."""
        if pid := self.pid:
            kill_group(pid, number)

    def ask_to_end(self) -> None:
        """Ask the main process alone: Celery's children would die of the signal before their parent can end them."""
        with self._starting_or_ending:
            self._unwanted.set()
            if self._popen:
                self._popen.terminate()

    def wait(self, deadline: float) -> None:
        """Wait for the end until `deadline`, then bring it about."""
        if self._keeper:
            self._keeper.join(max(0, deadline - time.monotonic()))
            self.kill()
            self._keeper.join()

    def _keep(self) -> None:
        pause = FIRST_PAUSE
        while popen := self._spawn():
            began = time.monotonic()
            self._live(popen)
            if time.monotonic() - began > HEALTHY:
                pause = FIRST_PAUSE
            if not self._unwanted.is_set():
                self._print(f"{obituary(popen.returncode)}; starting again in {pause:g} s")
            self._unwanted.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _spawn(self) -> subprocess.Popen[str] | None:
        with self._starting_or_ending:
            if self._unwanted.is_set():
                return None
            self._popen = subprocess.Popen(
                ["sh", "-c", f"exec {self.command}"],
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
            return self._popen

    def _live(self, popen: subprocess.Popen[str]) -> None:
        """Copy the output until the main process is dead, and then all that it started."""
        printer = threading.Thread(target=self._copy, args=[popen.stdout], daemon=True)
        printer.start()
        popen.wait()
        kill_group(popen.pid, signal.SIGKILL)
        printer.join(timeout=1)  # until the last of the group has closed the pipe

    def _copy(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._print(line.rstrip("\n"))

    def _print(self, line: str) -> None:
        with suppress(OSError, ValueError):  # nobody reads it any more
            self._output.write(f"{self._prefix}{line}\n")
            self._output.flush()


def handle_endings(handler: Callable[..., Any] | signal.Handlers) -> None:
    for number in ENDINGS:
        signal.signal(number, handler)


def kill_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def obituary(returncode: int) -> str:
    return f"died of {signal.Signals(-returncode).name}" if returncode < 0 else f"ended with {returncode}"


def die_with_parent() -> None:
    """Have Linux kill this process when the thread that started it is gone: not even SIGKILL makes us leave orphans."""
    if libc:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
