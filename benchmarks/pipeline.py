"""What does it cost to encode a long video in chunks, against ffmpeg run by hand over all of it?

The job makes more than the command: playlists, one MP4, the pictures of the seek bar. Its time is from its upload to
its success. The two take turns; the table shows medians.

    python -m benchmarks.pipeline [rounds] [seconds of video]
"""

import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.report import conclude, print_rows, target
from benchmarks.site import running
from benchmarks.transcode import Cost, bare, job, make_source, take_turns

ROUNDS, SECONDS = 3, 120


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    with running() as site, tempfile.TemporaryDirectory() as folder:
        from tests.client import Client

        lanes = {"in chunks": partial(job, site, Client(site), since="created_at"), "bare command": bare}
        costs = take_turns(lanes, make_source(Path(folder), seconds), rounds)
    medians = {name: Cost(*map(statistics.median, zip(*runs, strict=True))) for name, runs in costs.items()}
    print(f"{seconds} s of 1080p30 to 480p, 720p, 1080p")
    print_rows(["", "wall s", "CPU s"], [[name, f"{c.wall:.2f}", f"{c.cpu:.2f}"] for name, c in medians.items()])
    figures = {f"{name}, {unit} s": getattr(cost, unit) for name, cost in medians.items() for unit in cost._fields}
    pairs = list(zip(costs["in chunks"], costs["bare command"], strict=True))
    ratios = {unit: statistics.median(getattr(a, unit) / getattr(b, unit) for a, b in pairs) for unit in Cost._fields}
    conclude(
        "pipeline",
        figures,
        [
            target("CPU of the chunks against the bare command", ratios["cpu"], at_most=1.1),
            target("wall time of the chunks against the bare command", ratios["wall"], at_most=1.15),
        ],
    )


if __name__ == "__main__":
    main()
