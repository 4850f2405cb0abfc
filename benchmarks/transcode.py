"""What does the pipeline cost, against ffmpeg run by hand, and against one run of ffmpeg for each size?

    python benchmarks/transcode.py [rounds]

A lane is a function that encodes the source into a folder. The lanes take turns, so that a busy machine slows down
all of them alike. The table shows medians; the last line is JSON. Exits with 0 when it has measured, whatever it saw.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402

from videos.probing import probe  # noqa: E402
from videos.transcoding import command, encode, ladder  # noqa: E402

SECONDS = 20
ROUNDS = 5
OVERHEAD = 1.05  # at most: our wall time, in bare single runs
SAVING = 1.25  # at least: CPU of separate runs, in ours


class Cost(NamedTuple):
    wall: float  # seconds
    cpu: float  # seconds, of child processes


Lane = Callable[[Path, Path], Cost]  # (source, folder)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        source = make_source(Path(folder))
        costs = take_turns(LANES, source, rounds)
    medians = {name: Cost(*map(statistics.median, zip(*runs, strict=True))) for name, runs in costs.items()}
    print_table(medians, rounds)
    print(json.dumps(report(costs, medians)))


def make_source(folder: Path) -> Path:
    """1080p30 with sound. The moving test card is too easy to encode by itself: noise makes it like a real film."""
    source = folder / "source.mp4"
    picture = f"testsrc2=s=1920x1080:r=30:d={SECONDS},noise=alls=12:allf=t"
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=d={SECONDS}"]
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


def pipeline(source: Path, folder: Path) -> Cost:
    """What a worker does: probe, encode, read back."""
    return measured(lambda: encode(source, folder, lambda fraction, note: None))


def bare_single(source: Path, folder: Path) -> Cost:
    """The same command, typed by hand."""
    media = probe(source)
    arguments = command(source, media, ladder(media.width, media.height), folder)
    return measured(lambda: run(arguments))


def separate(source: Path, folder: Path) -> Cost:
    """One run of ffmpeg for each size, which decodes the source each time."""
    media = probe(source)
    each = [command(source, media, [rung], folder) for rung in ladder(media.width, media.height)]
    return measured(lambda: [run(arguments) for arguments in each])


LANES: dict[str, Lane] = {"pipeline": pipeline, "bare_single": bare_single, "separate": separate}


def run(arguments: list[str]) -> None:
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)


def measured(work: Callable[[], object]) -> Cost:
    wall, cpu = time.perf_counter(), cpu_of_children()
    work()
    return Cost(time.perf_counter() - wall, cpu_of_children() - cpu)


def cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def print_table(medians: dict[str, Cost], rounds: int) -> None:
    print(f"{SECONDS} s of 1080p30 to 480p, 720p, 1080p and a poster; medians of {rounds} rounds\n")
    print(f"{'lane':<14}{'wall s':>10}{'CPU s':>10}")
    for name, cost in medians.items():
        print(f"{name:<14}{cost.wall:>10.2f}{cost.cpu:>10.2f}")
    print()


def report(costs: dict[str, list[Cost]], medians: dict[str, Cost]) -> dict[str, object]:
    """Ratios are taken within each round, whose lanes ran side by side, and then their median."""
    overhead = median_ratio([ours.wall / bare.wall for ours, bare in paired(costs, "pipeline", "bare_single")])
    saving = median_ratio([three.cpu / ours.cpu for ours, three in paired(costs, "pipeline", "separate")])
    figures = {
        f"{name}_{unit}_seconds": round(getattr(cost, unit), 2)
        for name, cost in medians.items()
        for unit in cost._fields
    }
    return {
        "bench": "transcode",
        "figures": figures,
        "targets": [
            {
                "name": "wall time against the bare command",
                "value": overhead,
                "bound": f"<= {OVERHEAD}",
                "met": overhead <= OVERHEAD,
            },
            {
                "name": "CPU of separate runs against ours",
                "value": saving,
                "bound": f">= {SAVING}",
                "met": saving >= SAVING,
            },
        ],
    }


def median_ratio(ratios: list[float]) -> float:
    return round(statistics.median(ratios), 3)


def paired(costs: dict[str, list[Cost]], one: str, other: str) -> zip:
    return zip(costs[one], costs[other], strict=True)


if __name__ == "__main__":
    main()
