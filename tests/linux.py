"""The processes of this machine, as Linux tells of them."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def alive_in(group: int) -> list[int]:
    """The processes of a group that are not dead yet."""
    return [pid for pid, state, _, pgid in every_process() if pgid == group and state != "Z"]


def children_of(parent: int) -> list[int]:
    return [pid for pid, _, ppid, _ in every_process() if ppid == parent]


def every_process() -> Iterator[tuple[int, str, int, int]]:
    """The id, state, parent and group of each."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = stat.read_text().split(" ", 1)
        except OSError:  # it has just ended
            continue
        state, ppid, pgid = rest.rpartition(") ")[2].split()[:3]
        yield int(pid), state, int(ppid), int(pgid)


def mentioning(text: str) -> list[int]:
    """The processes whose command line contains this."""
    found = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            if text.encode() in cmdline.read_bytes():
                found.append(int(cmdline.parent.name))
    return found


def memory_of(pid: int) -> int:
    """Bytes of memory that a process holds."""
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return resident * os.sysconf("SC_PAGE_SIZE")


def processor_time_of(pid: int) -> float:
    """Seconds of processor time that a process has used, without its children."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
