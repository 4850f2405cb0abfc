"""Runs a program that reads what strangers send, with as few rights as this machine can take from it.

    python -I -S confined.py TERMS PROGRAM ARGUMENT…

A program of its own, so that nothing runs between fork and exec in a worker, which has threads. It imports only what
starts quickly. On Linux, where users may make namespaces, the program has no network, sees no other process, and
finds nothing in its file system but the machine's programs and libraries, the files it is to read, and the one folder
it may write. Everywhere it has limits, and on Linux it dies with the worker.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any

# What programs need in order to start.
SYSTEM = ["/usr", "/bin", "/lib", "/lib32", "/lib64", "/nix", "/etc/ld.so.cache", "/etc/alternatives"]
DEVICES = ["/dev/null", "/dev/zero", "/dev/full", "/dev/urandom"]

# From <linux/sched.h>, <linux/mount.h>, <linux/prctl.h>, and the table of system calls.
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 1 << 27, 1 << 28, 1 << 29, 1 << 30
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 0x2, 0x4, 0x1000, 0x4000, 0x40000, 0x2
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, AT_FDCWD, AT_RECURSIVE, SYS_MOUNT_SETATTR = 0x1, 0x2, -100, 0x8000, 442
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38

NOT_STARTED = 127  # the exit status by which a shell says it
NOBODY = 65534
OLD = "/old"  # where the whole file system is, for as long as the view is made

libc: Any = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    terms, command = json.loads(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        die_with(terms["worker"])
    for name, limit in terms["limits"].items():
        lower(getattr(resource, name), limit)
    if terms["confined"]:
        enter_namespaces()
        make_view(command[0], terms["reads"], terms["folder"])
        become_child()
    os.execv(command[0], command)


def die_with(parent: int) -> None:
    """Have the kernel kill us when our parent dies, however it dies. That outlasts exec, but not fork."""
    call(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
    if parent not in (os.getppid(), 0):  # it died before the kernel was told
        os._exit(1)


def lower(limit: int, value: int) -> None:
    """As low as that, or lower if it is already. The hard limit too: beyond it there is no signal to ignore."""
    _, hard = resource.getrlimit(limit)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))


def enter_namespaces() -> None:
    """Become nobody in namespaces of our own. Nobody, since root would keep its rights in them over the exec."""
    user, group = os.getuid(), os.getgid()
    call(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWPID))
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{NOBODY} {user} 1")
    write("/proc/self/gid_map", f"{NOBODY} {group} 1")


def make_view(program: str, reads: list[str], folder: str | None) -> None:
    readable = {path: os.path.realpath(path) for path in [*SYSTEM, program, *reads]}
    writable = {path: os.path.realpath(path) for path in [*DEVICES, *([folder] if folder else [])]}
    call(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
    call(libc.mount(b"tmpfs", b"/tmp", b"tmpfs", MS_NOSUID | MS_NODEV, b"size=1m"))
    os.chdir("/tmp")  # noqa: S108
    os.mkdir(OLD[1:])
    call(libc.pivot_root(b".", OLD[1:].encode()))
    os.chdir("/")
    for path, real in writable.items():
        show(path, OLD + real, MOUNT_ATTR_NOSUID)
    for path, real in readable.items():
        show(path, OLD + real, MOUNT_ATTR_NOSUID | MOUNT_ATTR_RDONLY)
    call(libc.umount2(OLD.encode(), MNT_DETACH))
    os.rmdir(OLD)
    restrict("/", MOUNT_ATTR_RDONLY, recursive=False)
    os.chdir(folder or "/")


def show(path: str, real: str, attributes: int) -> None:
    """Bring a file or a folder into the view, at the same place."""
    if os.path.exists(path) or not os.path.exists(real):  # it lies in a folder that is already shown
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.isdir(real):
        os.mkdir(path)
    else:
        os.close(os.open(path, os.O_CREAT))
    call(libc.mount(os.fsencode(real), os.fsencode(path), None, MS_BIND | MS_REC, None))
    restrict(path, attributes)


def restrict(path: str, attributes: int, *, recursive: bool = True) -> None:
    settings = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)  # struct mount_attr: set, clear, propagation, user namespace
    flags = AT_RECURSIVE if recursive else 0
    size = ctypes.c_size_t(ctypes.sizeof(settings))
    call(libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, os.fsencode(path), flags, ctypes.byref(settings), size))


def become_child() -> None:
    """Go on as the first process of the new process namespace. The old one stays, to end as this one does."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            os.kill(os.getpid(), os.WTERMSIG(status))
        os._exit(os.waitstatus_to_exitcode(status))
    die_with(0)
    call(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def call(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.stderr.write(f"{sys.argv[2]} was not started: {error}\n")
        sys.exit(NOT_STARTED)
