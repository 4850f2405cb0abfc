import functools
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests import media
from videos import ffmpeg, planning, probing, transcoding
from videos.planning import ladder, plan
from videos.probing import NotPlayable, probe
from videos.transcoding import TranscodingFailed, encode


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    return tmp_path_factory.mktemp("samples")


@pytest.fixture(scope="module")
def source(samples):
    return media.clip(samples, seconds=5, size="1920x1080", rate=6)


@pytest.fixture(scope="module")
def long_source(source):
    """More than any test waits for."""
    return media.longer(source, times=60)


@pytest.fixture(scope="module")
def encoded(source, tmp_path_factory):
    return transcode(source, tmp_path_factory.mktemp("encoded"), ignore)


# ---- The ladder


@pytest.mark.parametrize(
    ("size", "rungs"),
    [
        ((1920, 1080), [("480p", 854, 480), ("720p", 1280, 720), ("1080p", 1920, 1080)]),
        ((3840, 2160), [("480p", 854, 480), ("720p", 1280, 720), ("1080p", 1920, 1080)]),
        ((1080, 1920), [("480p", 480, 854), ("720p", 720, 1280), ("1080p", 1080, 1920)]),
        ((1600, 900), [("480p", 854, 480), ("720p", 1280, 720)]),
        ((853, 480), [("480p", 852, 480)]),
        ((361, 271), [("270p", 360, 270)]),
        ((1, 1), [("2p", 2, 2)]),
    ],
)
def test_ladder_goes_by_the_short_side_and_never_above_the_source(size, rungs):
    assert ladder(*size) == rungs


# ---- What is written


def test_writes_every_rung_as_h264_and_the_sound_once_as_stereo_aac(encoded):
    assert [rendition.name for rendition in encoded.renditions] == ["480p", "720p", "1080p"]
    for rendition in encoded.renditions:
        (video,) = streams(file_of(encoded, rendition))
        assert (video["codec_name"], video["pix_fmt"]) == ("h264", "yuv420p")
        assert (video["width"], video["height"]) == (rendition.width, rendition.height)
        assert video["sample_aspect_ratio"] == "1:1"
    (audio,) = streams(encoded.folder / "sound.mp4")
    assert (audio["codec_name"], audio["channels"]) == ("aac", 2)


def test_loses_no_frame_and_no_time(source, encoded):
    assert encoded.duration == pytest.approx(probe(source).duration, abs=0.1)
    for rendition in encoded.renditions:
        assert len(frames(file_of(encoded, rendition))) == len(frames(source)) == 30


def test_all_rungs_have_their_keyframes_at_the_same_times(encoded):
    for rendition in encoded.renditions:
        assert [float(time) for time, flags in frames(file_of(encoded, rendition)) if "K" in flags] == [0, 2, 4]


def test_a_player_that_takes_only_one_file_has_picture_and_sound_up_to_720p_and_can_begin_before_it_has_all(encoded):
    video, audio = streams(encoded.folder / "video.mp4")
    assert (video["width"], video["height"], audio["codec_name"]) == (1280, 720, "aac")
    assert float(video["start_time"]) == float(audio["start_time"]) == 0
    content = (encoded.folder / "video.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_poster_is_a_jpeg_of_the_largest_size(encoded):
    (poster,) = streams(encoded.folder / "poster.jpg")
    assert (poster["codec_name"], poster["width"], poster["height"]) == ("mjpeg", 1920, 1080)


def test_writes_nothing_else(encoded):
    files = ["1080p", "480p", "720p", "sound"]
    written = [f"{name}.{kind}" for name in files for kind in ("m3u8", "mp4")]
    written += ["master.m3u8", "poster.jpg", "storyboard-1.jpg", "storyboard.vtt", "video.mp4"]
    assert names(encoded.folder) == sorted(written)


def test_turns_a_phones_video_upright(samples, tmp_path):
    source = media.clip(samples, seconds=1, size="1280x720", rotation=90)
    package = transcode(source, tmp_path, ignore)
    small, large = package.renditions
    assert (small.width, small.height, large.width, large.height) == (480, 854, 720, 1280)
    (video,) = streams(file_of(package, large))
    assert (video["width"], video["height"]) == (720, 1280)
    assert "side_data_list" not in video


def test_a_small_video_with_odd_sides_keeps_its_size(samples, tmp_path):
    source = media.clip(samples, seconds=1, size="361x271", filters="format=yuv444p")
    only, _ = single(transcode(source, tmp_path, ignore))
    assert (only.name, only.width, only.height) == ("270p", 360, 270)


def test_makes_pixels_square(samples, tmp_path):
    source = media.clip(samples, seconds=1, size="720x576", filters="setsar=16/11")
    only, path = single(transcode(source, tmp_path, ignore))
    assert (only.width, only.height) == (872, 480)
    assert streams(path)[0]["sample_aspect_ratio"] == "1:1"


def test_narrows_full_range_colours(samples, tmp_path):
    white = "drawbox=color=white:thickness=fill,scale=out_range=pc,format=yuvj420p"
    source = media.clip(samples, seconds=1, size="640x360", audio=False, filters=white)
    _, path = single(transcode(source, tmp_path, ignore))
    assert brightest(source) == 255
    assert brightest(path) == 235


def test_shows_at_most_60_frames_a_second(samples, tmp_path):
    _, path = single(transcode(media.clip(samples, seconds=1, size="640x360", rate=120), tmp_path, ignore))
    assert len(frames(path)) == 60


def test_a_silent_film_stays_silent(samples, tmp_path):
    package = transcode(media.clip(samples, seconds=1, size="640x360", audio=False), tmp_path, ignore)
    assert [stream["codec_type"] for stream in streams(package.folder / "video.mp4")] == ["video"]
    assert "AUDIO" not in (package.folder / "master.m3u8").read_text()
    assert "sound.mp4" not in names(package.folder)


def test_a_single_frame_has_a_poster(samples, tmp_path):
    encoded = transcode(media.clip(samples, seconds=0.1, size="640x360", audio=False), tmp_path, ignore)
    assert encoded.duration == pytest.approx(0.1)
    assert (encoded.folder / "poster.jpg").stat().st_size > 1000


def test_forgets_where_the_video_was_taken(samples, tmp_path):
    taken = samples / "taken.mov"
    copy = [settings.FFMPEG, "-y", "-loglevel", "error", "-i", media.clip(samples, size="640x360"), "-c", "copy"]
    subprocess.run([*copy, "-metadata", "location=+52.5200+013.4050/", taken], check=True)
    assert b"+52.52" in taken.read_bytes()
    _, path = single(transcode(taken, tmp_path, ignore))
    assert b"+52.52" not in path.read_bytes()


def test_what_a_browser_recorded_can_be_encoded(samples, tmp_path):
    assert transcode(media.browser_recording(samples), tmp_path, ignore).duration == pytest.approx(2, abs=0.1)


# ---- Progress


def test_progress_rises_to_the_end(source, tmp_path):
    heard = []
    transcode(source, tmp_path, lambda fraction, note: heard.append((fraction, note)))
    fractions = [fraction for fraction, note in heard]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1, abs=0.05)
    assert heard[-1][1] == "0:05 of 0:05"


def test_on_progress_is_called_while_ffmpeg_is_silent(source, tmp_path, settings):
    planned = plan(source)
    settings.FFMPEG = program(tmp_path, "exec sleep 60")
    with pytest.raises(Cancelled):
        encode(planned, tmp_path / "encoded", cancel_at_call(3))


# ---- Cancelled, killed, failed


def test_what_on_progress_raises_ends_ffmpeg(long_source, tmp_path):
    seen = []

    def cancel(fraction, note):
        if fraction > 0:
            seen.extend(map(os.pidfd_open, ffmpegs_writing_to(tmp_path)))
            raise Cancelled

    with pytest.raises(Cancelled):
        transcode(long_source, tmp_path, cancel)
    assert len(seen) == 1
    assert select.select(seen, [], [], 10)[0], "ffmpeg outlived its cancelling"


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel to kill it, as only Linux can")
def test_ffmpeg_dies_with_a_killed_worker(long_source, tmp_path):
    script = (
        "import sys, django; django.setup()\n"
        "from pathlib import Path; from videos.planning import plan; from videos.transcoding import transcode\n"
        "transcode(plan(Path(sys.argv[1])), Path(sys.argv[2]), lambda *_: print('working', flush=True))"
    )
    worker = subprocess.Popen([sys.executable, "-c", script, long_source, tmp_path], stdout=subprocess.PIPE)
    assert worker.stdout.readline() == b"working\n"
    (process,) = ffmpegs_writing_to(tmp_path)
    alive = os.pidfd_open(process)
    worker.kill()
    worker.communicate()
    assert select.select([alive], [], [], 10)[0], "ffmpeg outlived its worker"


def test_a_killed_ffmpeg_is_worth_a_retry(long_source, tmp_path):
    def kill(fraction, note):
        for process in ffmpegs_writing_to(tmp_path):
            os.kill(process, signal.SIGKILL)

    with pytest.raises(TranscodingFailed, match="signal 9"):
        transcode(long_source, tmp_path, kill)


def test_a_full_disk_is_worth_a_retry(source, tmp_path, monkeypatch):
    (tmp_path / "720p.mp4").symlink_to("/dev/full")
    monkeypatch.setattr(Path, "mkdir", lambda *_: None)  # it is there
    with pytest.raises(TranscodingFailed, match="No space left on device"):
        encode(plan(source), tmp_path, ignore)


def test_a_missing_ffmpeg_is_worth_a_retry(source, tmp_path, settings):
    settings.FFMPEG = "/nowhere/ffmpeg"
    with pytest.raises(ffmpeg.Failed):
        transcode(source, tmp_path, ignore)


def test_a_talkative_ffmpeg_is_heard_out(source, tmp_path, settings):
    planned = plan(source)
    settings.FFMPEG_CONFINEMENT = "off"  # confined, the first process of its world cannot kill itself
    settings.FFMPEG = program(tmp_path, "yes complaint | head -c 1000000 >&2; echo the reason >&2; kill -TERM $$")
    with pytest.raises(TranscodingFailed):
        encode(planned, tmp_path / "encoded", ignore)


# ---- Not playable


def test_a_truncated_file_is_refused_with_where_it_ends(source, tmp_path):
    with pytest.raises(NotPlayable) as refused:
        transcode(media.truncated(source), tmp_path, ignore)
    sentence = r"The file is incomplete: it ends after 0:0[23] of 0:05\. Upload the whole file again\."
    assert re.fullmatch(sentence, str(refused.value))


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_file_whose_frames_are_noise_is_refused(samples, tmp_path, container):
    whole = media.clip(samples, size="640x360", audio=False, container=container).read_bytes()
    header = whole[: len(whole) // 20]
    (tmp_path / "noise").write_bytes(header + b"\x5a" * (len(whole) - len(header)))
    with pytest.raises(NotPlayable):
        transcode(tmp_path / "noise", tmp_path, ignore)


def test_sound_alone_is_refused(samples, tmp_path):
    with pytest.raises(NotPlayable, match=probing.NO_PICTURE):
        transcode(media.sound(samples), tmp_path, ignore)


FFCONCAT = "ffconcat version 1.0\nfile '{}'\n"
HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"


@pytest.fixture
def theirs(samples):
    """Another person's video, which the file system says was not read since 1970."""
    clip = media.clip(samples, seconds=1, size="640x360", audio=False, container="ts")
    path = Path(shutil.copy(clip, samples / "theirs.ts"))
    os.utime(path, (0, 0))
    return path


@pytest.mark.parametrize(
    ("name", "playlist"),
    [("upload.mp4", FFCONCAT), ("upload.mp4", HLS), ("upload.m3u8", HLS)],
    ids=["ffconcat", "HLS", "HLS by name"],
)
def test_a_playlist_cannot_read_another_persons_video(theirs, tmp_path, name, playlist):
    with pytest.raises(NotPlayable):
        transcode(upload_beside(theirs, name, playlist), tmp_path, ignore)
    assert names(tmp_path) == []
    assert theirs.stat().st_atime == 0


@pytest.mark.parametrize(
    ("name", "playlist"), [("upload.mp4", FFCONCAT), ("upload.m3u8", HLS)], ids=["ffconcat", "HLS"]
)
def test_ffmpeg_would_not_read_it_even_if_ffprobe_were_fooled(theirs, tmp_path, monkeypatch, name, playlist):
    upload = upload_beside(theirs, name, playlist)
    fooled = probing.Media(1, 640, 360, frame_rate=10, video_stream=0, audio_stream=None)
    monkeypatch.setattr(planning, "examine", lambda path: fooled)
    arguments = functools.partial(transcoding.arguments, plan(upload), tmp_path)
    with pytest.raises(ffmpeg.Failed):
        ffmpeg.run(arguments(), reads=[upload], folder=tmp_path)
    assert theirs.stat().st_atime == 0
    monkeypatch.setattr(ffmpeg, "untrusted", lambda path: ["-i", f"file:{path}"])
    ffmpeg.run(arguments(), reads=[upload, theirs], folder=tmp_path)  # else this is a toothless test


# ---- What the tests ask and do


class Cancelled(Exception):
    pass


def transcode(source, folder, on_progress):
    return transcoding.transcode(plan(source), folder, on_progress)


def ignore(fraction, note):
    pass


def cancel_at_call(number):
    calls = []

    def on_progress(fraction, note):
        calls.append(note)
        if len(calls) == number:
            raise Cancelled

    return on_progress


def single(package):
    """The only rendition, and its file."""
    (only,) = package.renditions
    return only, file_of(package, only)


def file_of(package, rendition):
    return (package.folder / rendition.playlist).with_suffix(".mp4")


def streams(path):
    report = ffprobe("-show_streams", "-of", "json", path)
    return json.loads(report)["streams"]


def frames(path):
    """Time and flags of each, in the order they are shown."""
    report = ffprobe("-select_streams", "v", "-show_entries", "packet=pts_time,flags", "-of", "csv=p=0", path)
    return sorted((line.split(",")[:2] for line in report.split()), key=lambda frame: float(frame[0]))


def ffprobe(*question):
    command = [settings.FFPROBE, "-v", "error", *question]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def brightest(path):
    luma = [settings.FFMPEG, "-loglevel", "error", "-i", path, "-vf", "extractplanes=y", "-frames:v", "1"]
    return max(subprocess.run([*luma, "-f", "rawvideo", "-"], check=True, capture_output=True).stdout)


def upload_beside(theirs, name, playlist):
    """Beside it, where a relative name is found and an absolute one would not be needed."""
    path = theirs.with_name(name)
    path.write_text(playlist.format(theirs.name))
    return path


def names(folder):
    return sorted(os.listdir(folder))


def ffmpegs_writing_to(folder):
    listing = subprocess.run(["ps", "-eo", "pid=,args=", "ww"], check=True, capture_output=True, text=True).stdout
    lines = [line for line in listing.splitlines() if "-progress" in line and str(folder) in line]
    lines = [line for line in lines if "confined.py" not in line]  # which started it, and waits for it
    return [int(line.split()[0]) for line in lines]


def program(folder, script):
    path = Path(folder) / "program"
    path.write_text(f"#!/bin/sh\n[ $1 = -version ] && exit\n{script}\n")
    path.chmod(0o755)
    return str(path)
