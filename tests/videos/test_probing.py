import subprocess
from contextlib import contextmanager

import pytest
from django.conf import settings

from tests import media
from videos import ffmpeg, probing
from videos.probing import NotPlayable, probe


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    return tmp_path_factory.mktemp("samples")


def test_tells_what_a_video_is(samples):
    found = probe(media.clip(samples, seconds=2, size="640x360", rate=10))
    assert (found.width, found.height) == (640, 360)
    assert found.duration == pytest.approx(2, abs=0.05)
    assert found.frame_rate == pytest.approx(10)
    assert found.has_audio


def test_a_silent_film_has_no_audio(samples):
    assert not probe(media.clip(samples, size="640x360", audio=False)).has_audio


@pytest.mark.parametrize(("rotation", "size"), [(90, (360, 640)), (-90, (360, 640)), (180, (640, 360))])
def test_size_is_of_the_picture_turned_upright(samples, rotation, size):
    found = probe(media.clip(samples, size="640x360", rotation=rotation))
    assert (found.width, found.height) == size


def test_size_is_of_square_pixels(samples):
    found = probe(media.clip(samples, size="720x576", filters="setsar=16/11"))
    assert (found.width, found.height) == (1047, 576)


@pytest.mark.parametrize("container", ["mov", "mkv", "avi", "ts", "mpg", "flv", "wmv"])
def test_reads_the_containers_people_have(samples, container):
    found = probe(media.clip(samples, size="640x360", rate=25, audio=False, container=container))
    assert found.duration == pytest.approx(2, abs=0.15)


def test_a_recording_made_by_a_browser_is_measured_because_it_promises_no_duration(samples):
    assert probe(media.browser_recording(samples)).duration == pytest.approx(2, abs=0.15)


def test_a_long_subtitle_does_not_make_a_video_longer(samples):
    late = samples / "late.srt"
    late.write_text("1\n00:00:00,000 --> 00:00:30,000\nThe end\n")
    made = samples / "subtitled.mkv"
    command = [settings.FFMPEG, "-y", "-loglevel", "error", "-i", media.clip(samples, size="640x360"), "-i", late]
    subprocess.run([*command, "-map", "0", "-map", "1", "-c", "copy", "-c:s", "srt", made], check=True)
    assert probe(made).duration == pytest.approx(2, abs=0.1)


def test_a_clock_that_does_not_start_at_zero_does_not_make_a_video_longer(samples):
    made = samples / "late.mkv"
    whole = media.clip(samples, size="640x360")
    command = [settings.FFMPEG, "-y", "-loglevel", "error", "-i", whole, "-c", "copy", "-output_ts_offset", "30", made]
    subprocess.run(command, check=True)
    assert probe(made).duration == pytest.approx(2, abs=0.1)


def test_refuses_an_empty_file(tmp_path):
    with refusal(probing.EMPTY):
        probe(upload(tmp_path, b""))


@pytest.mark.parametrize("content", [b"\x8f" * 5000, b"Dear Sir or Madam,\n", b"\x89PNG\r\n\x1a\n"])
def test_refuses_what_is_not_a_video(tmp_path, content):
    with refusal(probing.NOT_A_VIDEO):
        probe(upload(tmp_path, content, name="upload"))


def test_refuses_rubbish_that_is_named_like_a_video(tmp_path):
    with refusal(probing.NO_INDEX):
        probe(upload(tmp_path, b"\x8f" * 5000, name="upload.mp4"))


@pytest.mark.parametrize("cover", [False, True])
def test_refuses_sound_alone_even_with_a_picture_on_its_cover(samples, cover):
    with refusal(probing.NO_PICTURE):
        probe(media.sound(samples, cover=cover))


def test_refuses_a_codec_nobody_knows(samples, tmp_path):
    whole = media.clip(samples, size="640x360").read_bytes()
    with refusal(probing.UNDECODABLE):
        probe(upload(tmp_path, whole.replace(b"avc1", b"zzzz")))


def test_refuses_an_upload_that_broke_off_before_the_index(samples):
    unfinished = media.clip(samples, size="640x360", container="mov", filters="hue=s=0")
    index_last = unfinished.with_stem("index last")
    command = [settings.FFMPEG, "-y", "-loglevel", "error", "-i", unfinished, "-c", "copy", index_last]
    subprocess.run(command, check=True)
    with refusal(probing.NO_INDEX):
        probe(media.truncated(index_last))


def test_refuses_a_picture_that_would_fill_the_memory(samples):
    with refusal(probing.TOO_LARGE):
        probe(media.clip(samples, seconds=0.1, size="8194x4322", audio=False))


def test_refuses_pixels_so_wide_that_the_picture_would_fill_the_memory(samples):
    with refusal(probing.TOO_LARGE):
        probe(media.clip(samples, size="640x360", filters="setsar=1000"))


def test_never_shows_the_uploader_what_ffprobe_said_and_keeps_it_for_staff(tmp_path):
    path = upload(tmp_path, b"\x8f" * 5000)
    with pytest.raises(NotPlayable) as refused:
        probe(path)
    assert str(tmp_path) not in str(refused.value)
    assert "Invalid data found" in "".join(refused.value.__notes__)


def test_a_file_that_is_gone_is_not_the_uploaders_fault(tmp_path):
    with pytest.raises(FileNotFoundError):
        probe(tmp_path / "gone.mp4")


def test_a_killed_ffprobe_is_not_the_uploaders_fault(samples, tmp_path, settings):
    settings.FFMPEG_CONFINEMENT = "off"  # confined, the first process of its world cannot kill itself
    settings.FFPROBE = str(program(tmp_path, "kill -KILL $$"))
    with pytest.raises(ffmpeg.Failed):
        probe(media.clip(samples, size="640x360"))


@contextmanager
def refusal(message):
    with pytest.raises(NotPlayable) as refused:
        yield
    assert str(refused.value) == message


def upload(folder, content, name="upload.mp4"):
    path = folder / name
    path.write_bytes(content)
    return path


def program(folder, script):
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n[ $1 = -version ] && exit\n{script}\n")
    path.chmod(0o755)
    return path
