"""From encoded chunks to what players take: HLS, one progressive MP4, and the pictures of the seek bar.

Nothing is encoded here: chunks are stitched together as they are. All files of a video lie in one folder and name each
other by relative names, so one signed address serves them all. A rung is one file, of which its playlist names byte
ranges: there are few files to move, and a segment is a range request.

HLS is that of RFC 8216, with fragmented MP4 (CMAF), and sound as a group of its own.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from videos import ffmpeg, storyboard
from videos.planning import Chunk, Plan, Rung
from videos.probing import NotPlayable

MASTER = "master.m3u8"
PROGRESSIVE = "video.mp4"
POSTER = "poster.jpg"
SOUND = "sound.mp4"
FRAMES = "frames"  # the file in which a chunk says how many it has

SEGMENT = 4  # seconds, at least: what a player fetches at once
AAC_LC = "mp4a.40.2"  # by RFC 6381

TRUNCATED = "The file is incomplete: it ends after {end} of {whole}. Upload the whole file again."


class ChunkMissing(Exception):
    """A chunk is gone, or one before the last is too short. It has to be encoded again."""


@dataclass(frozen=True)
class Rendition:
    """A rung, with its playlist."""

    name: str
    width: int
    height: int
    playlist: str


@dataclass(frozen=True)
class Package:
    """What is to be published. The files in the folder have the names above, and name each other."""

    folder: Path
    duration: float  # seconds
    renditions: list[Rendition]  # smallest first


class Segment(NamedTuple):
    seconds: float
    size: int  # bytes


def package(plan: Plan, chunks: list[Path], sound: Path | None, folder: Path) -> Package:
    """Write all files of a video into a new folder.

    chunks: the folder of each chunk of the plan, as `transcoding.encode()` left it. sound: the encoded sound.
    Raises ChunkMissing, and NotPlayable if the file was shorter than it promised.
    """
    folder.mkdir()
    frames = _count_frames(plan, chunks)
    chunks = [chunk for chunk, number in zip(chunks, frames, strict=True) if number]
    _stitch(plan, chunks, [number for number in frames if number], sound, folder)
    picture = plan.seconds(sum(frames))
    duration = max(picture, _seconds(_segments(folder / playlist_of(SOUND))) if sound else 0.0)
    _refuse_truncated(plan.media.duration, duration)
    (folder / MASTER).write_text(_master(plan, sound is not None, folder))
    (chunks[0] / POSTER).rename(folder / POSTER)
    storyboard.make(plan, [still for chunk in chunks for still in sorted(chunk.glob("still-*.jpg"))], picture, folder)
    renditions = [Rendition(rung.name, rung.width, rung.height, playlist_of(rung.file_name)) for rung in plan.rungs]
    return Package(folder, duration, renditions)


def playlist_of(file_name: str) -> str:
    return str(Path(file_name).with_suffix(".m3u8"))


def clock(seconds: float) -> str:
    return "{}:{:02}".format(*divmod(round(seconds), 60))


def _count_frames(plan: Plan, chunks: list[Path]) -> list[int]:
    """Of each chunk. Where the file ends early, chunks may be short or empty, but none that another follows."""
    try:
        frames = [int((chunk / FRAMES).read_text()) for chunk in chunks]
    except FileNotFoundError as error:
        raise ChunkMissing(str(error)) from error
    for chunk, number, following in zip(plan.chunks, frames, frames[1:], strict=False):
        if following and number != _length(chunk):
            raise ChunkMissing(f"{chunk} has {number} frames, and others follow")
    return frames


def _length(chunk: Chunk) -> int:
    assert chunk.end is not None
    return chunk.end - chunk.start


def _stitch(plan: Plan, chunks: list[Path], frames: list[int], sound: Path | None, folder: Path) -> None:
    """One run of ffmpeg that copies: each rung and the sound for HLS, and one of the rungs with sound in one file."""
    inputs, outputs = [], []
    for number, rung in enumerate(plan.rungs):
        inputs += ["-f", "concat", "-safe", "0", "-i", f"file:{_list(plan, rung, chunks, frames, folder)}"]
        outputs += [*("-map", f"{number}:v"), *_hls(rung.file_name, folder)]
    if sound:
        inputs += ["-i", f"file:{sound}"]
        outputs += [*("-map", f"{len(plan.rungs)}:a"), *_hls(SOUND, folder)]
    outputs += ["-map", f"{plan.rungs.index(plan.progressive)}:v", *(["-map", f"{len(plan.rungs)}:a"] if sound else [])]
    outputs += ["-c", "copy", "-map_metadata", "-1", "-movflags", "+faststart", f"file:{folder / PROGRESSIVE}"]
    ffmpeg.run(["-y", *inputs, *outputs], reads=[*chunks, *([sound.parent] if sound else [])], folder=folder)
    for rung in plan.rungs:
        _list_name(rung, folder).unlink()


def _list(plan: Plan, rung: Rung, chunks: list[Path], frames: list[int], folder: Path) -> Path:
    """The chunks of a rung, each with its exact duration, which makes the next one begin where it should."""
    lines = ["ffconcat version 1.0"]
    for chunk, number in zip(chunks, frames, strict=True):
        name = str(chunk / rung.file_name).replace("'", r"'\''")
        lines += [f"file 'file:{name}'", f"duration {plan.seconds(number):.9f}"]
    path = _list_name(rung, folder)
    path.write_text("\n".join(lines))
    return path


def _list_name(rung: Rung, folder: Path) -> Path:
    return folder / f"{rung.name}.ffconcat"


def _hls(file_name: str, folder: Path) -> list[str]:
    """One stream as HLS. Its edit list takes away what a decoder needs first and nobody shall see or hear.

    Without `avoid_negative_ts` sound would be moved against the picture, by the difference of those.
    """
    return [
        *("-c", "copy", "-map_metadata", "-1", "-avoid_negative_ts", "disabled"),
        *("-f", "hls", "-hls_time", str(SEGMENT), "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4"),
        *("-hls_flags", "single_file+independent_segments"),
        *("-hls_segment_options", "movflags=+cmaf:use_editlist=1"),
        *("-hls_segment_filename", f"file:{folder / file_name}", f"file:{folder / playlist_of(file_name)}"),
    ]


def _master(plan: Plan, sound: bool, folder: Path) -> str:
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    together: list[Segment] = []
    if sound:
        together = _segments(folder / playlist_of(SOUND))
        lines.append(
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="Sound",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",'
            f'URI="{playlist_of(SOUND)}"'
        )
    for rung in plan.rungs:
        picture = _segments(folder / playlist_of(rung.file_name))
        codecs = [_avc(folder / rung.file_name), *([AAC_LC] if sound else [])]
        attributes = [
            f"BANDWIDTH={_peak(picture) + _peak(together)}",
            f"AVERAGE-BANDWIDTH={_average(picture) + _average(together)}",
            f'CODECS="{",".join(codecs)}"',
            f"RESOLUTION={rung.width}x{rung.height}",
            f"FRAME-RATE={float(plan.frame_rate):.3f}",
            *(['AUDIO="sound"'] if sound else []),
        ]
        lines += [f"#EXT-X-STREAM-INF:{','.join(attributes)}", playlist_of(rung.file_name)]
    return "\n".join([*lines, ""])


def _segments(playlist: Path) -> list[Segment]:
    found = re.findall(r"#EXTINF:([\d.]+),\s+#EXT-X-BYTERANGE:(\d+)", playlist.read_text())
    return [Segment(float(seconds), int(size)) for seconds, size in found]


def _seconds(segments: list[Segment]) -> float:
    return sum(segment.seconds for segment in segments)


def _peak(segments: list[Segment]) -> int:
    """Bits per second of the largest segment, as RFC 8216 has it: what is much shorter than others does not count."""
    long_enough = [one for one in segments if one.seconds >= SEGMENT / 2] or segments
    return max((round(8 * one.size / one.seconds) for one in long_enough), default=0)


def _average(segments: list[Segment]) -> int:
    return round(8 * sum(one.size for one in segments) / _seconds(segments)) if segments else 0


def _avc(path: Path) -> str:
    """Profile and level, as RFC 6381 has them, out of the decoder's configuration (ISO/IEC 14496-15, avcC)."""
    with path.open("rb") as file:
        beginning = file.read(4096)
    configuration = beginning[beginning.index(b"avcC") + 4 :]
    return f"avc1.{configuration[1:4].hex()}"


def _refuse_truncated(promised: float, duration: float) -> None:
    """ffmpeg is content with whatever a file holds, so half a video is only seen by its length."""
    if promised - duration > max(promised * 0.02, 0.5):
        raise NotPlayable(TRUNCATED.format(end=clock(duration), whole=clock(promised)))
