"""What is in an uploaded file, and can it be played? Asked of ffprobe, which must believe nothing the file says."""

import json
import logging
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from videos import ffmpeg
from videos.ffmpeg import MAX_PIXELS

logger = logging.getLogger(__name__)

MAX_HOURS = 12
TRIAL_TIMEOUT = 60  # seconds
MAX_SIDE = 16384  # pixels, where H.264 stops: a picture of few pixels may still be too long

EMPTY = "This file is empty. Upload it again."
NOT_A_VIDEO = "This file is not a video we can read. Export it as MP4 and upload it again."
NO_PICTURE = "This file has no video in it, only sound or other data. Upload the video itself."
UNDECODABLE = "This video is in a format we cannot read. Export it as MP4 (H.264) and upload it again."
TOO_LARGE = "This video is larger than 8K, the most we can convert. Export it smaller and upload it again."
TOO_LONG = f"This video is longer than {MAX_HOURS} hours, the most we can convert. Cut it into parts and upload them."
PROTECTED = "This video is copy-protected, so it cannot be converted. Upload one without protection."
SOUNDLESS = "The sound is in a format we cannot read, so this video plays without it."
PALE = "This video has HDR colours, which could not be converted here, so they look pale."
NO_INDEX = "This file is incomplete, or not a video. Upload the whole file again, or export it as MP4 first."

# What ffprobe says when it gives up, and what we say.
SENTENCES = {
    "moov atom not found": NO_INDEX,  # most cameras write it last; nor is there one in rubbish with a name in .mp4
    "exceeds specified max pixel count": TOO_LARGE,
}

FACTS = ":".join(
    [
        "format=format_name,start_time,duration",
        "stream=index,codec_type,codec_name,codec_tag_string,width,height,sample_aspect_ratio,avg_frame_rate,duration,"
        "field_order,color_transfer",
        "stream_disposition=attached_pic",
        "stream_side_data=rotation",
        "stream_tags=DURATION",
    ]
)

# What an MP4 calls a stream that is encrypted, by ISO/IEC 14496-12 and by Apple.
ENCRYPTED = {"encv", "enca", "drmi", "drms"}
INTERLACED = {"tt", "bb", "tb", "bt"}

# Transfer functions of ITU-R BT.2100, PQ and HLG: brighter than a common screen can be.
HDR = {"smpte2084", "arib-std-b67"}

TONE_MAPPING = ["zscale", "tonemap"]  # filters that some ffmpegs were built without

# Containers whose figures count from zero. Those of the others count from the first frame, wherever that may be.
COUNTED_FROM_ZERO = {"matroska,webm", "asf"}

Facts = dict[str, Any]  # about a stream or the container, in ffprobe's words


class NotPlayable(Exception):
    """The file is at fault, and no retry can mend it. The message is written for the person who uploaded it.

    What ffmpeg said is a note on the exception (`__notes__`), for staff.
    """


@dataclass(frozen=True)
class Media:
    """What transcoding needs to know about a video file."""

    duration: float  # seconds, of the longer of picture and sound; 0 if there is no telling
    width: int  # pixels as displayed: turned upright, and square
    height: int
    frame_rate: float  # frames per second, on average; 0 if there is no telling
    video_stream: int  # index of the stream to show, which cover art is not
    audio_stream: int | None  # index of the stream to play
    container: str = ""  # as ffprobe names its kind, such as "matroska,webm"
    interlaced: bool = False
    transfer: str = ""  # from stored numbers to light, by ffmpeg's name
    turns_right: bool = True  # False: it says to be turned by an angle that no camera is held at, which is not done
    remark: str = ""  # what its owner should know about it

    @property
    def has_audio(self) -> bool:
        return self.audio_stream is not None

    @property
    def is_hdr(self) -> bool:
        return self.transfer in HDR


def examine(path: Path) -> Media:
    """Look into an uploaded file, and try whether its picture and its sound can be decoded.

    Sound that cannot is left out, and the remark says so. Raises as `probe()` does.
    """
    media = probe(path)
    if media.duration > MAX_HOURS * 3600:
        raise NotPlayable(TOO_LONG)
    if not decodes(path, media.video_stream):
        raise NotPlayable(UNDECODABLE)
    if media.audio_stream is not None and not decodes(path, media.audio_stream):
        media = replace(media, audio_stream=None, remark=SOUNDLESS)
    if media.is_hdr and not ffmpeg.has_filters(*TONE_MAPPING):
        media = replace(media, remark=f"{media.remark} {PALE}".strip())
    return media


def decodes(path: Path, stream: int) -> bool:
    """Whether ffmpeg can make anything of the first packets of a stream."""
    trial = ["-map", f"0:{stream}", "-frames", "1", "-f", "null", "-"]
    try:
        ffmpeg.run(["-abort_on", "empty_output", *ffmpeg.untrusted(path), *trial], reads=[path], timeout=TRIAL_TIMEOUT)
    except ffmpeg.Failed as failed:
        if failed.is_ours:
            raise
        logger.info("ffmpeg cannot decode stream %d of %s: %s", stream, path, failed.said)
        return False
    return True


def probe(path: Path) -> Media:
    """Look into a video file, without decoding it.

    Raises NotPlayable where the file is at fault. Any other exception (OSError, ffmpeg.Failed) is the machine's
    fault and worth a retry.
    """
    _refuse_empty(path)
    report = json.loads(_ask_ffprobe(path, "-of", "json", "-show_entries", FACTS))
    video, audio = _video(report["streams"]), _audio(report["streams"])
    width, height = _displayed_size(video)
    return Media(
        duration=_duration(path, report["format"], [video, audio] if audio else [video]),
        width=width,
        height=height,
        frame_rate=_ratio(video.get("avg_frame_rate")) or 0.0,
        video_stream=video["index"],
        audio_stream=audio["index"] if audio else None,
        container=report["format"]["format_name"],
        interlaced=video.get("field_order") in INTERLACED,
        transfer=video.get("color_transfer", ""),
        turns_right=_rotation(video) % 90 == 0,
        remark="" if audio or not _has_sound(report["streams"]) else SOUNDLESS,
    )


def _refuse_empty(path: Path) -> None:
    with path.open("rb") as file:  # a file that cannot be opened is an OSError here, before ffprobe could blame it
        if not file.read(1):
            raise NotPlayable(EMPTY)


def _ask_ffprobe(path: Path, *question: str) -> str:
    try:
        return ffmpeg.ask_ffprobe(question, path)
    except ffmpeg.Failed as failed:
        if failed.is_ours:
            raise
        logger.info("ffprobe refused %s: %s", path, failed.said)
        raise _refusal(failed.said) from failed


def _refusal(stderr: str) -> NotPlayable:
    refusal = NotPlayable(next((sentence for words, sentence in SENTENCES.items() if words in stderr), NOT_A_VIDEO))
    refusal.add_note(stderr)
    return refusal


def _video(streams: list[Facts]) -> Facts:
    pictures = [stream for stream in streams if stream["codec_type"] == "video"]
    videos = [stream for stream in pictures if not stream["disposition"]["attached_pic"]]
    if not videos:
        raise NotPlayable(NO_PICTURE)
    if all(video.get("codec_tag_string") in ENCRYPTED for video in videos):
        raise NotPlayable(PROTECTED)
    decodable = [video for video in videos if "codec_name" in video and video.get("width")]
    if not decodable:
        raise NotPlayable(UNDECODABLE)
    return decodable[0]


def _audio(streams: list[Facts]) -> Facts | None:
    """The first sound with a known codec: phones add tracks of their own that nobody else can play."""
    return next((stream for stream in streams if stream["codec_type"] == "audio" and "codec_name" in stream), None)


def _has_sound(streams: list[Facts]) -> bool:
    return any(stream["codec_type"] == "audio" for stream in streams)


def _displayed_size(video: Facts) -> tuple[int, int]:
    """Width and height as people see them: the file may store pixels that are not square, lying on their side."""
    width = round(video["width"] * (_ratio(video.get("sample_aspect_ratio")) or 1))
    height = video["height"]
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise NotPlayable(TOO_LARGE)
    return (height, width) if _rotation(video) % 180 == 90 else (width, height)


def _rotation(video: Facts) -> int:
    """Degrees by which the picture is to be turned."""
    rotations = [data["rotation"] for data in video.get("side_data_list", []) if "rotation" in data]
    return round(rotations[0]) if rotations else 0


def _ratio(text: str | None) -> float | None:
    """3:2 or 30000/1001 as a number; None for 0:1 and 0/0, by which ffprobe says that it does not know."""
    numerator, denominator = (int(number) for number in re.split("[:/]", text or "0/0"))
    return numerator / denominator if numerator > 0 and denominator > 0 else None


def _duration(path: Path, container: Facts, streams: list[Facts]) -> float:
    start = _seconds(container.get("start_time")) or 0.0
    promised = _promised_duration(container, streams)
    if promised is None:  # as in what a browser records live
        return max(0.0, _last_time(path, streams[0]) - start)
    return max(0.0, promised - start) if container["format_name"] in COUNTED_FROM_ZERO else promised


def _promised_duration(container: Facts, streams: list[Facts]) -> float | None:
    """Seconds by the file's own account. The container's figure comes last, for it counts subtitles too."""
    durations = [_seconds(stream.get("duration") or stream.get("tags", {}).get("DURATION")) for stream in streams]
    return max(filter(None, durations), default=None) or _seconds(container.get("duration"))


def _seconds(text: str | None) -> float | None:
    """7.5, or 00:00:07.500 as Matroska writes it, as a number."""
    if text is None or not re.fullmatch(r"(\d+:\d+:)?\d+(\.\d+)?", text):
        return None
    return sum(float(part) * 60.0**power for power, part in enumerate(reversed(text.split(":"))))


def _last_time(path: Path, video: Facts) -> float:
    """Seconds at which the last frame is shown, found by reading the whole file."""
    question = ["-select_streams", str(video["index"]), "-of", "csv=p=0", "-show_entries", "packet=pts_time"]
    times = _ask_ffprobe(path, *question).replace(",", " ").split()
    return max(filter(None, map(_seconds, times)), default=0.0)
