"""What does a transcode job cost, against ffmpeg run by hand, and against one run of ffmpeg for each size?

The job's time is from its start to its success, as its row has them; its CPU is that of the worker and its children.
The lanes take turns, so that a busy machine slows down all of them alike. The table shows medians.

    python -m benchmarks.transcode [rounds]
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.report import Target, conclude, print_rows, target
from benchmarks.site import running

if TYPE_CHECKING:
    from tests.client import Client
    from tests.stack import Stack
    from videos.planning import Plan, Rung

SECONDS = 20
ROUNDS = 5


class Cost(NamedTuple):
    wall: float  # seconds
    cpu: float  # seconds


Lane = Callable[[Path, Path], Cost]  # (source, folder)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with running() as site, tempfile.TemporaryDirectory() as folder:
        from tests.client import Client

        lanes = {"job": partial(job, site, Client(site)), "bare command": bare, "three commands": separate}
        costs = take_turns(lanes, make_source(Path(folder)), rounds)
    medians = {name: Cost(*map(statistics.median, zip(*runs, strict=True))) for name, runs in costs.items()}
    print(f"{SECONDS} s of 1080p30 to 480p, 720p, 1080p and a poster")
    print_rows(["", "wall s", "CPU s"], [[name, f"{c.wall:.2f}", f"{c.cpu:.2f}"] for name, c in medians.items()])
    figures = {f"{name}, {unit} s": getattr(cost, unit) for name, cost in medians.items() for unit in cost._fields}
    conclude("transcode", figures, compare(costs))


def compare(costs: dict[str, list[Cost]]) -> list[Target]:
    """Ratios within each round, whose lanes ran side by side, and then their median."""
    jobs, bare_commands, three_commands = costs.values()
    overhead = statistics.median(ours.wall / bare.wall for ours, bare in zip(jobs, bare_commands, strict=True))
    saving = statistics.median(three.cpu / ours.cpu for ours, three in zip(jobs, three_commands, strict=True))
    return [
        target("wall time of the job against the bare command", overhead, at_most=1.05),
        target("CPU of three commands against the job", saving, at_least=1.25),
    ]


def make_source(folder: Path, seconds: int = SECONDS) -> Path:
    """1080p30 with sound. The moving test card is too easy to encode by itself: noise makes it like a real film."""
    from django.conf import settings

    source = folder / "source.mp4"
    picture = f"testsrc2=s=1920x1080:r=30:d={seconds},noise=alls=12:allf=t"
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=d={seconds}"]
    encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    subprocess.run([settings.FFMPEG, "-loglevel", "error", *inputs, *encoder, source], check=True)
    return source


def take_turns(lanes: dict[str, Lane], source: Path, rounds: int) -> dict[str, list[Cost]]:
    costs: dict[str, list[Cost]] = {name: [] for name in lanes}
    for round_number in range(rounds):
        for name in rotated(list(lanes), round_number):
            with tempfile.TemporaryDirectory() as folder:
                costs[name].append(lanes[name](source, Path(folder)))
    return costs


def rotated(names: list[str], by: int) -> list[str]:
    """So that no lane is always the first."""
    return names[by % len(names) :] + names[: by % len(names)]


def job(site: "Stack", client: "Client", source: Path, folder: Path, since: str = "started_at") -> Cost:
    """All of it: upload, and a worker that probes, encodes, packages and publishes."""
    before = cpu_of(site)
    done = client.finished(client.upload(source).headers["location"], timeout=3600)
    assert done["state"] == "succeeded", done
    wall = datetime.fromisoformat(done["finished_at"]) - datetime.fromisoformat(done[since])
    return Cost(wall.total_seconds(), cpu_of(site) - before)


def cpu_of(site: "Stack") -> float:
    """CPU seconds of the worker's processes and of all that they have run."""
    ticks = 0
    for pid in [site.pid("worker-media"), *site.children("worker-media")]:
        ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def bare(source: Path, folder: Path) -> Cost:
    """The sizes, the sound and the poster, by one command typed by hand."""
    from videos.planning import plan

    planned = plan(source)
    return measured(lambda: run(typed(planned, planned.rungs, folder)))


def separate(source: Path, folder: Path) -> Cost:
    """One run of ffmpeg for each size, which decodes the source each time."""
    from videos.planning import plan

    planned = plan(source)
    return measured(lambda: [run(typed(planned, [rung], folder)) for rung in planned.rungs])


def typed(planned: "Plan", rungs: "list[Rung]", folder: Path) -> list[str]:
    from videos import ffmpeg, filters

    stills = {"poster": filters.poster(rungs[-1].width, rungs[-1].height)}
    encoder = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23"]
    keyframes = ["-x264-params", f"keyint={planned.keyframe_every}:scenecut=0:open-gop=0"]
    return ffmpeg.command(
        [
            *ffmpeg.untrusted(planned.source),
            *("-filter_complex", filters.graph(planned.media, rungs, timing="null", stills=stills)),
            *(
                argument
                for rung in rungs
                for argument in ["-map", f"[{rung.name}]", *encoder, *keyframes, str(folder / rung.file_name)]
            ),
            *("-map", "0:a", "-c:a", "aac", "-b:a", "128k", "-ac", "2", str(folder / "sound.mp4")),
            *("-map", "[poster]", "-frames:v", "1", "-update", "1", str(folder / "poster.jpg")),
        ]
    )


def run(typed: list[str]) -> None:
    subprocess.run(typed, check=True, stdout=subprocess.DEVNULL)


def measured(work: Callable[[], object]) -> Cost:
    wall, cpu = time.perf_counter(), cpu_of_children()
    work()
    return Cost(time.perf_counter() - wall, cpu_of_children() - cpu)


def cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
