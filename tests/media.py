"""Sample media, made by ffmpeg when a test first asks for them."""

import subprocess
from pathlib import Path

from django.conf import settings


def clip(
    folder: Path,
    seconds: float = 2,
    size: str = "1920x1080",
    *,
    rate: int = 10,
    audio: bool = True,
    rotation: int = 0,
    filters: str = "null",
    container: str = "mp4",
) -> Path:
    """A test card with a tone, H.264 and AAC. `rotation` is written as a phone does: as a mark on pictures that lie."""
    made = folder / f"clip {seconds} {size} {rate} {audio} {rotation} {filters.replace('/', '.')}.{container}"
    if not made.exists():
        tone = ["-f", "lavfi", "-i", f"sine=d={seconds}"] if audio else []
        _ffmpeg(
            *("-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds},{filters}", *tone),
            *("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-movflags", "+faststart", made),
        )
        if rotation:
            _mark_rotated(made, rotation)
    return made


def odd(folder: Path, name: str, *arguments: object) -> Path:
    """Whatever these arguments of ffmpeg make. They may name another clip by its path."""
    made = folder / name
    if not made.exists():
        _ffmpeg(*arguments, made)
    return made


def longer(whole: Path, times: int) -> Path:
    """The same clip over and over, without the cost of encoding it."""
    made = whole.with_stem(f"{whole.stem} x{times}")
    if not made.exists():
        _ffmpeg("-stream_loop", times - 1, "-i", whole, "-c", "copy", "-movflags", "+faststart", made)
    return made


def truncated(whole: Path, kept: float = 0.5) -> Path:
    """The first part of a file, as an upload that broke off leaves it."""
    made = whole.with_stem(f"{whole.stem} truncated")
    made.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * kept)])
    return made


def browser_recording(folder: Path) -> Path:
    """WebM as MediaRecorder writes it: live, so with no duration in its header."""
    made = folder / "recording.webm"
    source = ["-f", "lavfi", "-i", "testsrc2=s=320x240:r=10:d=2"]
    made.write_bytes(_ffmpeg(*source, "-c:v", "libvpx", "-deadline", "realtime", "-f", "webm", "-"))
    return made


def sound(folder: Path, *, cover: bool = False) -> Path:
    made = folder / f"sound {cover}.m4a"
    tone = ["-f", "lavfi", "-i", "sine=d=1"]
    if cover:
        picture = ["-f", "lavfi", "-i", "testsrc2=s=64x64:d=1"]
        attached = ["-frames:v", "1", "-c:v", "png", "-disposition:v:0", "attached_pic"]
        _ffmpeg(*tone, *picture, "-map", "0", "-map", "1", *attached, made)
    else:
        _ffmpeg(*tone, made)
    return made


def _mark_rotated(made: Path, rotation: int) -> None:
    lying = made.rename(made.with_stem("lying"))
    _ffmpeg("-display_rotation", rotation, "-i", lying, "-c", "copy", "-movflags", "+faststart", made)


def _ffmpeg(*arguments: object) -> bytes:
    command = [settings.FFMPEG, "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
