"""Encoding a video, or a chunk of one: H.264 in all sizes, AAC, and still pictures, by one run of ffmpeg."""

import logging
from collections.abc import Callable
from math import ceil
from pathlib import Path

from videos import ffmpeg, filters, storyboard
from videos.packaging import FRAMES, POSTER, SOUND, Package, clock, package
from videos.planning import WHOLE, Chunk, Plan, Rung
from videos.probing import UNDECODABLE, NotPlayable, decodes

logger = logging.getLogger(__name__)

DAMAGED = "This video is damaged: most of it cannot be shown. Export it again and upload the new file."

MARGIN = 1  # seconds before a chunk from which on frames are decoded, since times in files are not always exact
OVERTIME = 10  # seconds by which a video may be longer than it promised
TOO_MANY_ERRORS = 69  # ffmpeg's exit status when two thirds of the frames could not be decoded
ANONYMOUS = ["-map_metadata", "-1", "-map_chapters", "-1"]  # a phone writes where it was into its films

OnProgress = Callable[[float, str], None]  # fraction done, 0 to 1, and a note for people


class TranscodingFailed(Exception):
    """ffmpeg failed and the file is not to blame: it was killed, the disk is full, it is missing. Worth a retry.

    What ffmpeg said is a note on the exception (`__notes__`), for staff.
    """


def transcode(plan: Plan, folder: Path, on_progress: OnProgress) -> Package:
    """All of it in one step: what is to be published, in a folder in `folder`. Raises as `encode()` does."""
    encode(plan, folder / "encoded", on_progress)
    sound = folder / "encoded" / SOUND if plan.media.has_audio else None
    return package(plan, [folder / "encoded"], sound, folder / "package")


def encode(
    plan: Plan, folder: Path, on_progress: OnProgress, *, picture: Chunk | None = WHOLE, sound: bool = True
) -> None:
    """Encode the picture in all rungs, or a chunk of it, and the sound, into a new folder.

    `on_progress` is called at least every half second. What it raises ends ffmpeg at once and comes out of here: that
    is how a cancelled job stops. Raises NotPlayable where the file is at fault, TranscodingFailed where it is not.
    """
    folder.mkdir()
    duration = plan.promised_seconds(picture or WHOLE)

    def progress(seconds: float) -> None:
        on_progress(*_progress(seconds, duration))

    try:
        told = arguments(plan, folder, picture=picture, sound=sound)
        ffmpeg.run(told, reads=[plan.source], folder=folder, on_progress=progress)
    except ffmpeg.Failed as failed:
        failure = _failure(failed, plan)
        failure.add_note(failed.said)
        logger.warning("ffmpeg %s on %s: %s", failed, plan.source, failed.said)
        raise failure from failed
    if picture:
        (folder / FRAMES).write_text(str(_frames(plan, folder)))


def arguments(plan: Plan, folder: Path, *, picture: Chunk | None = WHOLE, sound: bool = True) -> list[str]:
    """Of the one run of ffmpeg: it decodes each frame once, for all the rungs and the still pictures."""
    return [
        "-y",
        *(["-abort_on", "empty_output"] if picture and not picture.start else []),  # to write nothing is a failure
        *(_seek(plan, picture) if picture and picture != WHOLE else []),
        *filters.opened(plan.source, plan.media),
        *(_picture(plan, picture, folder) if picture else []),
        *(_sound(plan, folder) if sound and plan.media.has_audio else []),
    ]


def _seek(plan: Plan, chunk: Chunk) -> list[str]:
    """Have frames keep their times, and begin at the keyframe before the chunk: what is too early is cut off later."""
    before = max(0.0, plan.seconds(chunk.start) - MARGIN)
    return ["-copyts", "-start_at_zero", *(["-noaccurate_seek", "-ss", f"{before:.6f}"] if before else [])]


def _picture(plan: Plan, chunk: Chunk, folder: Path) -> list[str]:
    stills = {"stills": storyboard.still(plan, chunk)}
    outputs = ["-map", "[stills]", *storyboard.output(plan, chunk, folder)]
    if not chunk.start:
        _, width, height = plan.rungs[-1]
        stills["poster"] = filters.poster(width, height)
        outputs += ["-map", "[poster]", "-frames:v", "1", "-update", "1", "-q:v", "3", f"file:{folder / POSTER}"]
    return [
        *("-filter_complex", filters.graph(plan.media, plan.rungs, timing=_timing(plan, chunk), stills=stills)),
        *(argument for rung in plan.rungs for argument in _rendition(plan, rung, folder)),
        *outputs,
    ]


def _timing(plan: Plan, chunk: Chunk) -> str:
    """fps numbers the frames, at a constant rate from the beginning of the file; trim cuts by these numbers.

    Also where the file should have ended: a frame that says it is shown for days would be repeated until all memory
    is full.
    """
    numbered = f"fps={plan.frame_rate}:eof_action=pass" + ("" if chunk.start else ":start_time=0")
    end = ceil((plan.media.duration + OVERTIME) * plan.frame_rate) if chunk.end is None else chunk.end
    return f"{numbered},trim=start_pts={chunk.start}:end_pts={end},setpts=PTS-{chunk.start}"


def _rendition(plan: Plan, rung: Rung, folder: Path) -> list[str]:
    """One rung. All have their keyframes at the same frames, and no frame refers across one."""
    return [
        *("-map", f"[{rung.name}]", "-c:v", "libx264", "-preset", "veryfast", "-crf", "23"),
        *("-x264-params", f"keyint={plan.keyframe_every}:scenecut=0:open-gop=0"),
        # Ticks of which a frame is a whole number, so that times do not drift from chunk to chunk.
        *("-fps_mode", "passthrough", "-enc_time_base", f"1/{plan.frame_rate.numerator}"),
        *("-video_track_timescale", str(plan.frame_rate.numerator)),
        *(*ANONYMOUS, f"file:{folder / rung.file_name}"),
    ]


def _sound(plan: Plan, folder: Path) -> list[str]:
    """Stereo that begins with the picture and has no gaps, whatever the file has."""
    return [
        *("-map", f"0:{plan.media.audio_stream}", "-af", "aresample=async=1:first_pts=0"),
        *("-c:a", "aac", "-b:a", "128k", "-ac", "2", *ANONYMOUS, f"file:{folder / SOUND}"),
    ]


def _progress(seconds: float, duration: float) -> tuple[float, str]:
    done = min(seconds, duration)
    return (done / duration if duration else 0.0), f"{clock(done)} of {clock(duration)}"


def _failure(failed: ffmpeg.Failed, plan: Plan) -> Exception:
    """Whose fault was it? The file's only if ffmpeg cannot show one frame of it with nothing else to do."""
    if failed.status == TOO_MANY_ERRORS:
        return NotPlayable(DAMAGED)
    if failed.is_ours or decodes(plan.source, plan.media.video_stream):
        return TranscodingFailed(f"ffmpeg {failed}.")
    return NotPlayable(UNDECODABLE)


def _frames(plan: Plan, folder: Path) -> int:
    """How many frames were written, which must be the same in all rungs. None in a chunk beyond the end."""
    counts = {_count(folder / rung.file_name) for rung in plan.rungs}
    if len(counts) > 1:
        raise TranscodingFailed(f"The rungs have different numbers of frames: {counts}.")
    return counts.pop()


def _count(path: Path) -> int:
    question = ["-select_streams", "v", "-show_entries", "stream=nb_frames", "-of", "csv=p=0"]
    return int(ffmpeg.ask_ffprobe(question, path).strip() or 0)
