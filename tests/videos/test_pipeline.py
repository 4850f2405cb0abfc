"""A long video is encoded in chunks, and what is published is as if it had been made in one piece."""

import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.test import override_settings

from jobs import workspace
from jobs.errors import LeaseLost
from jobs.models import Job, State
from jobs.registry import registry
from jobs.worker import Endings, run
from tests.media import clip, truncated
from videos import packaging, planning, tasks, transcoding
from videos.models import Video
from videos.packaging import Package
from videos.planning import Plan, plan
from videos.probing import Media

FRAMES = 301
BITS = 24


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def source(clips):
    """Twenty seconds whose keyframes are not where chunks begin.

    Above, each frame shows its number, a bar for each bit. Below are scenes, at whose cuts encoders like keyframes.
    """
    made = clips / "source.mp4"
    number, scene = "40+mod(floor(N/pow(2,X)),2)*160", "mod((X+1)*(floor(N/37)+1)*89,200)+20"
    bars = f"color=s={BITS}x2:r=15000/1001,format=gray,geq=lum='if(Y,{scene},{number})'"
    picture = ["-f", "lavfi", "-i", f"{bars},scale=1280:720:flags=neighbor,setsar=1,format=yuv420p"]
    tone = ["-f", "lavfi", "-i", f"sine=r=44100:d={FRAMES * 1001 / 15000}"]
    encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "77", "-c:a", "aac"]
    command = [configured.FFMPEG, "-loglevel", "error", *picture, *tone, *encoder, "-frames:v", str(FRAMES), made]
    subprocess.run(command, check=True)
    return made


@pytest.fixture(scope="module")
def planned(source):
    with override_settings(CHUNK_SECONDS=4):
        return plan(source)


@pytest.fixture(scope="module")
def package(planned, clips):
    return in_chunks(planned, clips / "chunks")


def in_chunks(planned: Plan, folder: Path) -> Package:
    """As workers do it, here one after the other and the last chunk first."""
    folder.mkdir()
    for chunk in reversed(planned.chunks):
        transcoding.encode(planned, folder / chunk.name, ignore, picture=chunk, sound=False)
    transcoding.encode(planned, folder / "sound", ignore, picture=None)
    chunks = [folder / chunk.name for chunk in planned.chunks]
    return packaging.package(planned, chunks, folder / "sound" / packaging.SOUND, folder / "package")


# --- the plan ---


def test_chunks_are_of_whole_groups_of_pictures_and_the_last_takes_the_rest(planned):
    assert planned.keyframe_every == 30
    assert planned.chunks == [(0, 60), (60, 120), (120, 180), (180, 240), (240, None)]


@pytest.mark.parametrize(
    ("facts", "seconds"),
    [
        ({"duration": 70.0}, [None]),
        ({"duration": 90.0}, [30, 30, None]),
        ({"duration": 90.0, "container": "mpegts"}, [None]),
        ({"duration": 90.0, "width": 3840, "height": 2160, "frame_rate": 60.0}, [4] * 21 + [None]),
        ({"duration": 900.0, "frame_rate": 0.1}, [30] * 29 + [None]),
        ({"duration": 0.0}, [None]),
    ],
    ids=["short", "long", "no index", "4K60", "slides", "nobody knows"],
)
def test_a_video_has_chunks_if_it_is_long_and_they_are_shorter_the_more_there_is_to_do(monkeypatch, facts, seconds):
    usual = {"width": 1920, "height": 1080, "frame_rate": 30.0, "video_stream": 0, "audio_stream": 1}
    media = Media(**{**usual, "container": "matroska,webm", **facts})
    monkeypatch.setattr(planning, "examine", lambda path: media)
    planned = plan(Path("video"))
    lengths = [end and planned.seconds(end - start) for start, end in planned.chunks]
    assert lengths == pytest.approx(seconds) if None not in lengths[:-1] and len(lengths) > 1 else planned.in_one_step


# --- the seams ---


def test_every_frame_is_there_once_and_in_order_in_all_rungs(planned, package):
    for name in ["480p.mp4", "720p.mp4", "video.mp4"]:
        assert numbers_shown(package.folder / name) == list(range(FRAMES)), name


def test_times_go_on_over_the_seams(package):
    for name in ["480p.mp4", "720p.mp4", "video.mp4"]:
        packets = packets_of(package.folder / name)
        assert {later["dts"] - earlier["dts"] for earlier, later in pairwise(packets)} == {1001}
        shown = sorted(packet["pts"] for packet in packets)
        assert shown == list(range(0, FRAMES * 1001, 1001))


def test_all_rungs_can_be_switched_at_the_same_times(package):
    keyframes = {}
    for name in ("480p", "720p"):
        packets = packets_of(package.folder / f"{name}.mp4")
        keyframes[name] = [packet["pts"] // 1001 for packet in packets if "K" in packet["flags"]]
    assert keyframes["480p"] == keyframes["720p"] == list(range(0, FRAMES, 30))
    assert (
        durations(package, "480p")
        == durations(package, "720p")
        == pytest.approx([4.004] * 5 + [1001 / 15000], abs=1e-5)
    )


def test_what_is_made_of_chunks_differs_from_what_is_made_at_once_in_nothing_that_a_player_notices(
    source, package, tmp_path
):
    whole = transcoding.transcode(plan(source), tmp_path, ignore)
    assert plan(source).in_one_step
    for name in ["480p.mp4", "720p.mp4", "video.mp4"]:
        times = [
            [(packet["pts"], "K" in packet["flags"]) for packet in sorted(packets_of(folder / name), key=pts)]
            for folder in (package.folder, whole.folder)
        ]
        assert times[0] == times[1]
    assert durations(package, "sound") == durations(whole, "sound")
    assert (package.folder / "sound.mp4").read_bytes() == (whole.folder / "sound.mp4").read_bytes()
    assert (package.folder / "storyboard.vtt").read_text() == (whole.folder / "storyboard.vtt").read_text()


def test_sound_begins_with_the_picture_and_ends_with_it(package):
    for name, kind in [("sound.mp4", "audio"), ("480p.mp4", "video"), ("video.mp4", "audio"), ("video.mp4", "video")]:
        stream = stream_of(package.folder / name, kind)
        assert float(stream["start_time"]) == pytest.approx(0, abs=0.022), "a frame of AAC"
        assert float(stream["duration"]) == pytest.approx(FRAMES * 1001 / 15000, abs=0.05)


# --- what players read ---


def test_the_master_playlist_says_what_was_measured(package):
    text = (package.folder / "master.m3u8").read_text()
    assert '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound"' in text and 'URI="sound.m3u8"' in text
    sound = segments(package, "sound")
    variants = re.findall(r"#EXT-X-STREAM-INF:(.*)\n(.*)", text)
    assert [uri for _, uri in variants] == ["480p.m3u8", "720p.m3u8"]
    for attributes, uri in variants:
        told = dict(re.findall(r'([A-Z-]+)=("[^"]*"|[^,]*)', attributes))
        name = uri.removesuffix(".m3u8")
        stream = stream_of(package.folder / f"{name}.mp4", "video")
        assert told["RESOLUTION"] == f"{stream['width']}x{stream['height']}"
        assert told["FRAME-RATE"] == "14.985"
        assert told["CODECS"] == f'"avc1.6400{stream["level"]:02x},mp4a.40.2"'  # 64: the High profile
        picture = segments(package, name)
        bits = 8 * (sum(size for _, size in picture) / seconds(picture) + sum(s for _, s in sound) / seconds(sound))
        assert int(told["AVERAGE-BANDWIDTH"]) == pytest.approx(bits, rel=0.01)
        assert int(told["BANDWIDTH"]) >= max(8 * size / length for length, size in picture if length > 2)


def test_a_playlist_names_all_bytes_of_its_file_one_after_the_other(package):
    for name in ("480p", "720p", "sound"):
        text = (package.folder / f"{name}.m3u8").read_text()
        ranges = [(int(begin), int(size)) for size, begin in re.findall(r"BYTERANGE[:=]\"?(\d+)@(\d+)", text)]
        assert all(begin + size == following for (begin, size), (following, _) in pairwise(ranges))
        assert sum(ranges[-1]) <= (package.folder / f"{name}.mp4").stat().st_size
        assert f'URI="{name}.mp4"' in text, "found beside it"


def test_the_storyboard_shows_what_is_there_at_that_time(planned, package):
    text = (package.folder / "storyboard.vtt").read_text()
    cues = re.findall(r"([\d:.]+) --> ([\d:.]+)\n(.*)#xywh=(\d+),(\d+),(\d+),(\d+)", text)
    assert len(cues) == 11
    assert all(earlier[1] == later[0] for earlier, later in pairwise(cues))
    assert (cues[0][0], cues[3][0], cues[-1][1]) == ("00:00:00.000", "00:00:06.006", "00:00:20.087")
    for index, (_, _, sheet, *place) in enumerate(cues):
        x, y, width, height = map(int, place)
        assert numbers_shown(package.folder / sheet, f"crop={width}:{height}:{x}:{y},") == [30 * index]


# --- where the file ends early ---


def test_chunks_beyond_the_end_of_a_broken_file_are_empty_and_it_is_refused(source, tmp_path):
    with override_settings(CHUNK_SECONDS=4):
        halved = plan(cut_off(source, tmp_path / "broken.mp4"))
    with pytest.raises(transcoding.NotPlayable, match=r"it ends after 0:\d\d of 0:20\."):
        in_chunks(halved, tmp_path / "chunks")


def cut_off(source: Path, broken: Path) -> Path:
    """With its index before its data, so that half of it still says how long it was."""
    copy = [configured.FFMPEG, "-y", "-loglevel", "error", "-i", source, "-c", "copy", "-movflags", "+faststart"]
    subprocess.run([*copy, broken], check=True)
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    return broken


def test_a_gap_is_never_published(planned, tmp_path):
    for chunk in planned.chunks:
        (tmp_path / chunk.name).mkdir()
        (tmp_path / chunk.name / packaging.FRAMES).write_text("60" if chunk.start != 120 else "59")
    with pytest.raises(packaging.ChunkMissing):
        packaging.package(planned, [tmp_path / chunk.name for chunk in planned.chunks], None, tmp_path / "package")


# --- as jobs ---


@pytest.fixture
def video(settings, tmp_path, clips, django_user_model, db):
    """A video of six chunks, and a site of its own for its files."""
    settings.MEDIA_ROOT, settings.WORK_DIR = tmp_path / "media", tmp_path / "work"
    settings.CHUNK_SECONDS = 2
    owner = django_user_model.objects.create_user("owner@example.com")
    video = Video(owner=owner, title="Harbour")
    video.original = f"{video.folder}/original"
    (tmp_path / "media" / video.folder).mkdir(parents=True)
    shutil.copy(clip(clips, seconds=12, size="320x240"), tmp_path / "media" / video.original.name)
    video.job = tasks.transcode_video.enqueue(video_id=str(video.pk), owner=owner)
    video.save()
    return video


def work(*which: str) -> list[str]:
    """Let a worker take what waits, and return what it has done. `which`: tasks, all if none is named."""
    done = []
    while waiting := [job for job in Job.objects.waiting().order_by("run_at") if not which or job.task in which]:
        for job in Job.objects.filter(pk=waiting[0].pk).start("a worker"):
            run(registry[job.task], job, Endings())
            done.append(job.task.removeprefix("videos."))
    return done


def state_of(video: Video) -> str:
    video.job.refresh_from_db()
    return video.job.state


def left_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_long_video_is_made_of_parts_and_leaves_none_of_them(video, settings):
    assert work() == ["transcode_video", "encode_sound", *["encode_chunk"] * 6, "transcode_video"]
    assert state_of(video) == State.SUCCEEDED
    assert video.job.attempt == 1
    video.refresh_from_db()
    assert video.duration == pytest.approx(12, abs=0.1)
    assert len(packets_of(Path(video.mp4.path))) == 120
    assert not left_in(settings.WORK_DIR)


def test_a_short_video_is_made_in_one_step(video, settings):
    settings.CHUNK_SECONDS = 30
    assert work() == ["transcode_video"]
    assert state_of(video) == State.SUCCEEDED


def test_parts_that_are_there_are_not_made_again(video, settings):
    work("videos.transcode_video")
    for job in Job.objects.filter(task="videos.encode_chunk").start("a worker that is killed as its job succeeds"):
        run(registry[job.task], job, Endings())
        Job.objects.filter(pk=job.pk).update(state=State.QUEUED)
    before = {path: path.stat().st_mtime_ns for path in left_in(settings.WORK_DIR)}
    work("videos.encode_chunk")
    assert {path: path.stat().st_mtime_ns for path in left_in(settings.WORK_DIR)} == before
    work()
    assert state_of(video) == State.SUCCEEDED


def test_parts_that_are_gone_are_made_anew(video, settings):
    work("videos.transcode_video")
    work("videos.encode_chunk", "videos.encode_sound")
    shutil.rmtree(settings.WORK_DIR / "parts")
    Job.objects.filter(pk=video.job.pk).update(run_at="2000-01-01T00:00Z")
    done = work()
    assert done.count("encode_chunk") == 6
    assert state_of(video) == State.SUCCEEDED


def test_a_file_that_cannot_be_played_leaves_nothing(video, settings, clips):
    Path(video.original.path).write_bytes(truncated(clip(clips, seconds=12, size="320x240")).read_bytes())
    work()
    assert state_of(video) == State.DEAD
    assert "The file is incomplete: it ends after" in video.job.error["message"]
    video.refresh_from_db()
    assert not video.original
    assert not left_in(settings.WORK_DIR) and not left_in(settings.MEDIA_ROOT)


def test_a_cancelled_video_leaves_nothing_when_its_worker_has_heard_of_it(video, settings, monkeypatch):
    work("videos.transcode_video")

    def cancelled(*_, **__):
        Job.objects.filter(pk=video.job.pk).cancel()
        raise LeaseLost

    work("videos.encode_sound")
    assert left_in(settings.WORK_DIR)
    monkeypatch.setattr(transcoding, "encode", cancelled)
    work()
    assert state_of(video) == State.CANCELLED
    assert {child.state for child in video.job.children.all()} == {State.SUCCEEDED, State.CANCELLED}
    assert not left_in(settings.WORK_DIR)


def test_what_nobody_waits_for_is_cleaned_away_each_hour_and_what_may_go_on_is_kept(video, settings):
    work("videos.transcode_video")
    work("videos.encode_sound")
    assert workspace.clean() == 0
    Job.objects.filter(pk=video.job.pk).cancel()
    assert workspace.clean() == 1
    assert not left_in(settings.WORK_DIR)


def test_tried_again_after_an_error_of_ours_only_what_had_failed_is_made(video, settings):
    work("videos.transcode_video")
    work("videos.encode_sound")
    first = Job.objects.filter(task="videos.encode_chunk").order_by("run_at").first()
    Job.objects.filter(pk=first.pk).bury()
    work()  # whose parts died is dead
    Job.objects.filter(state=State.SUSPENDED).bury()
    assert state_of(video) == State.DEAD
    assert workspace.clean() == 0
    Job.objects.filter(pk=video.job.pk).requeue()
    assert "encode_sound" not in work()
    assert state_of(video) == State.SUCCEEDED


def test_a_deleted_video_takes_its_parts_along(video, settings, django_capture_on_commit_callbacks):
    work("videos.transcode_video")
    work("videos.encode_sound")
    with django_capture_on_commit_callbacks(execute=True):
        video.remove()
    assert not left_in(settings.WORK_DIR) and not left_in(settings.MEDIA_ROOT)
    assert work() == []


# --- what the tests ask ---


def ignore(fraction, note):
    pass


def pts(packet):
    return packet["pts"]


def packets_of(path: Path) -> list[dict]:
    question = ["-select_streams", "v", "-show_entries", "packet=pts,dts,flags"]
    return ffprobe(path, *question)["packets"]


def stream_of(path: Path, kind: str) -> dict:
    (stream,) = [one for one in ffprobe(path, "-show_streams")["streams"] if one["codec_type"] == kind]
    return stream


def ffprobe(path: Path, *question: str) -> dict:
    command = [configured.FFPROBE, "-v", "error", "-of", "json", *question, path]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def segments(package: Package, name: str) -> list[tuple[float, int]]:
    """Seconds and bytes of each."""
    text = (package.folder / f"{name}.m3u8").read_text()
    return [(float(length), int(size)) for length, size in re.findall(r"INF:([\d.]+),\s*#.*RANGE:(\d+)@", text)]


def durations(package: Package, name: str) -> list[float]:
    return [length for length, _ in segments(package, name)]


def seconds(found: list[tuple[float, int]]) -> float:
    return sum(length for length, _ in found)


def numbers_shown(path: Path, cut: str = "") -> list[int]:
    """Which frames of the source these are, by the bars they show."""
    small = f"{cut}scale={BITS * 2}:2:flags=area,format=gray"
    command = [configured.FFMPEG, "-loglevel", "error", "-i", path, "-an", "-vf", small, "-f", "rawvideo"]
    shown = subprocess.run([*command, "-fps_mode", "passthrough", "-"], check=True, capture_output=True).stdout
    frames = [shown[begin : begin + BITS * 2] for begin in range(0, len(shown), BITS * 4)]
    return [sum((frame[2 * bit] + frame[2 * bit + 1] > 240) << bit for bit in range(BITS)) for frame in frames]
