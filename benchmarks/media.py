"""What does it cost to send a video, and what is saved where nginx does it?

The site sends a file by itself, and nginx sends the same file once the site has said that it may (X-Accel-Redirect),
over the loopback, to one reader and to several. The lanes take turns. Counted is what the web process spends, too:
that is what it has not for everybody else.

    python -m benchmarks.media [rounds [megabytes]]
"""

import os
import socket
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchmarks.report import conclude, print_rows, target
from benchmarks.site import running

if TYPE_CHECKING:
    from tests.stack import Stack

ROUNDS = 5
MEGABYTES = 256
READERS = (1, 8)
TICKS = os.sysconf("SC_CLK_TCK")


class Lane:
    """Fetches a file, and counts what that cost the web process."""

    def __init__(self, site: "Stack", url: str, megabytes: int) -> None:
        self.web = site.pid("web")
        self.port = urlsplit(url).port
        self.path = film(site, megabytes)
        self.bytes = megabytes * 1024 * 1024

    def fetch(self, readers: int) -> tuple[float, float]:
        """Seconds, and seconds of the web process's processor time, until all have the whole file."""
        spent, began = processor_time(self.web), time.perf_counter()
        with ThreadPoolExecutor(readers) as threads:
            assert all(got >= self.bytes for got in threads.map(lambda _: self._read(), range(readers)))
        return time.perf_counter() - began, processor_time(self.web) - spent

    def _read(self) -> int:
        buffer, got = bytearray(1024 * 1024), 0
        with socket.create_connection(("127.0.0.1", self.port)) as line:
            line.sendall(f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            while count := line.recv_into(buffer):
                got += count
        return got


def film(site: "Stack", megabytes: int) -> str:
    """The path of the address of such a file."""
    from accounts.models import User
    from files import serving
    from tests.client import new_email
    from videos.models import Rendition, Video

    video = Video.objects.create(owner=User.objects.create_user(new_email()), title="Long")
    name = f"{video.folder}/attempt/720p.mp4"
    path = site.folder / "media" / name
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1024 * 1024))
    return serving.address(Rendition(video=video, file=name).file, video.owner_id)


def processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    megabytes = int(sys.argv[2]) if len(sys.argv) > 2 else MEGABYTES
    with running(only=["web"]) as site:
        itself = Lane(site, site.url, megabytes)
        from tests.nginx import LOCATION, nginx
        from tests.stack import free_port

        with (
            running(only=["web"], X_ACCEL_LOCATION=LOCATION) as behind,
            tempfile.TemporaryDirectory() as folder,
            nginx(Path(folder), free_port(), behind.port, behind.folder / "media") as url,
        ):
            lanes = {"the site": itself, "nginx": Lane(behind, url, megabytes)}
            costs = take_turns(lanes, rounds)
    report(costs, megabytes, rounds)


def take_turns(lanes: dict[str, Lane], rounds: int) -> dict[tuple[str, int], list[tuple[float, float]]]:
    costs: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for readers in READERS:
        for lane in lanes.values():
            lane.fetch(readers)  # warms up
        for number in range(rounds):
            for name in list(lanes)[:: 1 if number % 2 else -1]:
                costs.setdefault((name, readers), []).append(lanes[name].fetch(readers))
    return costs


def report(costs: dict[tuple[str, int], list[tuple[float, float]]], megabytes: int, rounds: int) -> None:
    rows, figures = [], {}
    for (name, readers), measured in costs.items():
        sent = megabytes * readers
        speed = sent / statistics.median(took for took, _ in measured)
        spent = 1000 * statistics.median(spent for _, spent in measured) / (sent / 1024)
        what = f"{name}, to {readers}"
        rows.append([what, f"{speed:.0f}", f"{spent:.0f}"])
        figures |= {f"{what}, MB/s": speed, f"{what}, ms of the web process per GB": spent}
    print(f"{megabytes} MB, {rounds} rounds")
    print_rows(["sent by", "MB/s", "web, ms/GB"], rows)
    conclude("media", figures, [target("ms of the web process per GB, behind nginx", max(behind(figures)), at_most=20)])


def behind(figures: dict[str, float]) -> list[float]:
    return [figures[f"nginx, to {readers}, ms of the web process per GB"] for readers in READERS]


if __name__ == "__main__":
    main()
