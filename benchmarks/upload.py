"""What does a tus upload cost, against a bare ASGI app that writes the body to a file and knows nothing else?

Both under the same uvicorn, over the loopback, and both have the disk hold the file before they answer. The tus lane
does all of it: creation, the bytes, the video and its job. The lanes take turns; the ratios are of lanes that ran side
by side, and then their median. The memory of the web process is looked at all the while.

    python -m benchmarks.upload [rounds [megabytes]]
"""

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.report import conclude, print_rows, target
from benchmarks.site import running

if TYPE_CHECKING:
    from tests.stack import Stack

MEGABYTES = 1024
ROUNDS = 5
CHUNK_MEGABYTES = 16  # as the page sends them
PIECE = 1024 * 1024  # bytes that a sender hands to its socket at once
UPLOADS = "/api/uploads"

Lane = Callable[[], float]  # seconds


async def sink(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The bare app: `SINK` names its folder."""
    path = Path(os.environ["SINK"], "sunk")
    with path.open("wb", buffering=0) as file:
        more = True
        while more:
            message = await receive()
            file.write(message.get("body", b""))
            more = message.get("more_body", False)
        os.fsync(file.fileno())
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    megabytes = int(sys.argv[2]) if len(sys.argv) > 2 else MEGABYTES
    lines = ["web", "valkey"]
    with running(only=lines) as site, tempfile.TemporaryDirectory() as folder, sinking(folder) as port:
        person = Person(site)
        lanes: dict[str, Lane] = {
            "bare sink": lambda: put(port, folder, megabytes),
            "tus, one request": lambda: person.upload(megabytes, megabytes),
            f"tus, requests of {CHUNK_MEGABYTES} MB": lambda: person.upload(megabytes, CHUNK_MEGABYTES),
        }
        person.upload(64, 16)  # warms up what is loaded at the first use
        put(port, folder, 64)
        with Memory(site.pid("web")) as memory:
            times = take_turns(lanes, rounds)
    speeds = {name: megabytes / statistics.median(seconds) for name, seconds in times.items()}
    print(f"{megabytes} MB, {rounds} rounds; the web process grew by {memory.growth:.1f} MB")
    print_rows(["", "MB/s"], [[name, f"{speed:.0f}"] for name, speed in speeds.items()])
    figures = {f"{name}, MB/s": speed for name, speed in speeds.items()} | {"memory, MB more": memory.growth}
    conclude("upload", figures, targets(times, memory.growth))


def targets(times: dict[str, list[float]], growth: float) -> list[dict[str, object]]:
    bare, *ours = times.items()
    ratios = {name: statistics.median(b / t for b, t in zip(bare[1], seconds, strict=True)) for name, seconds in ours}
    return [
        *(target(f"throughput of {name} against the sink", ratio, at_least=0.8) for name, ratio in ratios.items()),
        target("MB by which the web process grew", growth, at_most=32),
    ]


def take_turns(lanes: dict[str, Lane], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in lanes}
    names = list(lanes)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            os.sync()  # so that no lane waits for what another wrote
            times[name].append(lanes[name]())
    return times


@contextlib.contextmanager
def sinking(folder: str) -> Iterator[int]:
    """The bare app under uvicorn, as the Procfile starts ours. Yields its port."""
    from tests.stack import free_port
    from tests.waiting import wait_until

    port = free_port()
    command = ["uvicorn", "benchmarks.upload:sink", "--port", str(port), "--lifespan", "off", "--no-access-log"]
    env = {**os.environ, "SINK": folder, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with subprocess.Popen([*command, "--log-level", "error"], env=env) as process:
        try:
            wait_until(lambda: answers(port))
            yield port
        finally:
            process.terminate()


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def put(port: int, folder: str, megabytes: int) -> float:
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as line:
        status, _ = ask(line, "PUT", "/", {}, megabytes)
    assert status == 204
    took = time.perf_counter() - began
    Path(folder, "sunk").unlink()
    return took


class Person:
    """Somebody's program that speaks tus over one line, and deletes what it has sent."""

    def __init__(self, site: "Stack") -> None:
        from tests.client import Client, new_email

        self.port = site.port
        self.client = Client(site, new_email())
        self.headers = {"Authorization": f"Bearer {self.client.token}", "Tus-Resumable": "1.0.0"}

    def upload(self, megabytes: int, chunk: int) -> float:
        began = time.perf_counter()
        with socket.create_connection(("127.0.0.1", self.port)) as line:
            length = {"Upload-Length": str(megabytes * PIECE)}
            status, location = ask(line, "POST", UPLOADS, {**self.headers, **length})
            assert status == 201
            path = location[location.index(UPLOADS) :]
            for offset in range(0, megabytes, chunk):
                at = {"Upload-Offset": str(offset * PIECE), "Content-Type": "application/offset+octet-stream"}
                status, _ = ask(line, "PATCH", path, {**self.headers, **at}, min(chunk, megabytes - offset))
                assert status == 204
        took = time.perf_counter() - began
        self.client.delete(path, headers=self.headers).raise_for_status()
        return took


def ask(line: socket.socket, method: str, path: str, headers: dict[str, str], megabytes: int = 0) -> tuple[int, str]:
    """Send a request with so much in its body. Returns the status and the Location of the answer."""
    all_headers = {"Host": "127.0.0.1", "Content-Length": str(megabytes * PIECE), **headers}
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in all_headers.items())])
    line.sendall(f"{head}\r\n\r\n".encode())
    for _ in range(megabytes):
        line.sendall(CONTENT)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += line.recv(65536)
    lines = answer.decode("latin-1").split("\r\n")
    locations = [one.partition(": ")[2] for one in lines if one.lower().startswith("location:")]
    return int(lines[0].split()[1]), locations[0] if locations else ""


CONTENT = os.urandom(PIECE)


class Memory:
    """Watches how much of it a process has beyond what it had at first."""

    def __init__(self, pid: int) -> None:
        self.status = Path(f"/proc/{pid}/status")
        self.ended = threading.Event()
        self.watcher = threading.Thread(target=self._watch)

    def __enter__(self) -> "Memory":
        self.first = self.peak = self._now()
        self.watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.watcher.join()

    @property
    def growth(self) -> float:
        """In MB."""
        return self.peak - self.first

    def _watch(self) -> None:
        while not self.ended.wait(0.05):
            self.peak = max(self.peak, self._now())

    def _now(self) -> float:
        (line,) = [line for line in self.status.read_text().splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
