"""Odd videos, and what each becomes: the table of docs/video.md, checked by ffprobe on what is written."""

import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from django.conf import settings

from tests import media
from videos import ffmpeg, probing
from videos.planning import plan
from videos.probing import NotPlayable, examine
from videos.transcoding import transcode


class Made(NamedTuple):
    folder: Path
    video: dict
    audio: dict | None
    duration: float


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    return tmp_path_factory.mktemp("odd")


@pytest.fixture
def convert(tmp_path):
    """Convert a video, check what must be true of all that we make, and return the one file of it."""

    def convert(source):
        package = transcode(plan(source), tmp_path, lambda fraction, note: None)
        rungs = [package.folder / f"{rendition.name}.mp4" for rendition in package.renditions]
        for path in [*rungs, package.folder / "video.mp4"]:
            video, *audio = streams(path)
            assert (video["codec_name"], video["pix_fmt"]) == ("h264", "yuv420p")
            assert video["sample_aspect_ratio"] == "1:1"
            assert video.get("color_range", "tv") == "tv"
            assert video["field_order"] == "progressive"
            assert "side_data_list" not in video
            assert [stream["codec_type"] for stream in audio] in ([], ["audio"])
        assert (package.folder / "poster.jpg").stat().st_size > 100
        assert len({str(times(path)) for path in rungs}) == 1, "the rungs are not aligned"
        video, *audio = streams(package.folder / "video.mp4")
        return Made(package.folder, video, audio[0] if audio else None, package.duration)

    return convert


def card(size="320x180", rate="10", seconds="1", filters="null"):
    return ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds},{filters}"]


X264 = ["-c:v", "libx264", "-preset", "ultrafast"]
FFV1 = ["-c:v", "ffv1"]


# ---- Sizes and shapes


@pytest.mark.parametrize(
    ("size", "becomes"),
    [
        ("1x1", (2, 2)),
        ("2x2", (2, 2)),
        ("3x7", (2, 6)),
        ("17x16", (16, 16)),
        ("2000x1", (2000, 2)),
        ("1x500", (2, 500)),
        ("321x181", (320, 180)),
    ],
)
def test_any_size_becomes_even_and_is_never_scaled_up(samples, convert, size, becomes):
    raw = ["-f", "lavfi", "-i", f"color=s={size}:r=10:d=0.3", "-pix_fmt", "yuv444p", "-c:v", "rawvideo"]
    video = convert(media.odd(samples, f"{size}.avi", *raw)).video
    assert (video["width"], video["height"]) == becomes


@pytest.mark.parametrize(
    ("angle", "becomes"), [(90, (180, 320)), (-90, (180, 320)), (180, (320, 180)), (45, (320, 180)), (1, (320, 180))]
)
def test_a_marked_rotation_is_done_and_a_bogus_one_is_not(samples, convert, angle, becomes):
    top_red = "drawbox=0:0:320:90:red:fill,drawbox=0:90:320:90:blue:fill"
    source = media.clip(samples, seconds=0.3, size="320x180", audio=False, rotation=angle, filters=top_red)
    made = convert(source)
    assert (made.video["width"], made.video["height"]) == becomes
    corner, opposite = colours(made.folder / "poster.jpg", at=[(4, 4), (becomes[0] - 4, becomes[1] - 4)])
    red_first = {90: True, -90: False, 180: False}.get(angle, True)
    if abs(angle) == 90:  # the halves are left and right now
        assert (is_red(corner), is_red(opposite)) in [(True, False), (False, True)]
    else:
        assert (is_red(corner), is_red(opposite)) == (red_first, not red_first)


def test_a_portrait_keeps_its_shape(samples, convert):
    made = convert(media.clip(samples, seconds=0.3, size="180x320", audio=False))
    assert (made.video["width"], made.video["height"]) == (180, 320)


@pytest.mark.parametrize(("ratio", "becomes"), [("16/11", (464, 180)), ("1/2", (160, 180)), ("0", (320, 180))])
def test_pixels_become_square(samples, convert, ratio, becomes):
    made = convert(media.clip(samples, seconds=0.3, size="320x180", audio=False, filters=f"setsar={ratio}"))
    assert (made.video["width"], made.video["height"]) == becomes


# ---- Time


@pytest.mark.parametrize(
    ("rate", "frames", "becomes"),
    [
        ("1/1000", 2, 1),
        ("1/10", 2, 1),
        ("1000", 100, 60),
        ("90000", 900, 60),
        ("1000000", 50, 60),
        ("24000/1001", 6, 24),
    ],
)
def test_a_frame_rate_is_from_1_to_60(samples, convert, rate, frames, becomes):
    name = f"rate {rate.replace('/', '-')}.mp4"
    source = media.odd(samples, name, "-f", "lavfi", "-i", f"color=s=64x64:r={rate}", "-frames:v", frames, *X264)
    made = convert(source)
    assert number(made.video["avg_frame_rate"]) <= becomes + 1
    assert int(made.video["nb_frames"]) >= min(frames, made.duration * becomes * 0.9)
    assert made.duration == pytest.approx(examine(source).duration, abs=0.1)


def test_a_varying_frame_rate_becomes_a_constant_one_with_the_same_times(samples, convert):
    """The picture turns from black to white after two seconds, whatever came before."""
    turning = "drawbox=color=black:thickness=fill:enable='lt(t,2)',drawbox=color=white:thickness=fill:enable='gte(t,2)'"
    uneven = "select='lt(n,10)+not(mod(n,5))'"
    drawn = card(rate="20", seconds="3", filters=f"{turning},{uneven}")
    made = convert(media.odd(samples, "uneven.mkv", *drawn, "-fps_mode", "vfr", *X264))
    rate = number(made.video["avg_frame_rate"])
    assert made.duration == pytest.approx(3, abs=0.3)
    steps = [after - before for before, after in pairwise(times(made.folder / "video.mp4"))]
    assert steps == pytest.approx([1 / rate] * len(steps), abs=0.002)
    assert luma(made.folder / "video.mp4", at=1.8) < 30
    assert luma(made.folder / "video.mp4", at=2.2) > 220


def test_one_frame_is_a_video(samples, convert):
    source = media.odd(samples, "one.mp4", *card(), "-frames:v", "1", *X264)
    assert convert(source).video["nb_frames"] == "1"


@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_what_an_edit_list_cuts_away_stays_away(samples, convert, container):
    whole = media.odd(samples, "whole.mp4", *card(seconds="2"), *X264, "-g", "50")
    cut = media.odd(samples, f"cut.{container}", "-ss", "0.7", "-i", whole, "-c", "copy")
    made = convert(cut)
    assert made.duration == pytest.approx(1.3, abs=0.11)
    assert int(made.video["nb_frames"]) in (13, 14)


def test_a_clock_that_starts_late_starts_at_zero(samples, convert):
    whole = media.odd(samples, "av.mp4", *card(), "-f", "lavfi", "-i", "sine=d=1", *X264)
    late = media.odd(samples, "late.ts", "-i", whole, "-c", "copy", "-output_ts_offset", "5000")
    made = convert(late)
    assert float(made.video["start_time"]) == pytest.approx(0, abs=0.1)
    assert made.duration == pytest.approx(1, abs=0.15)


# ---- Colours


def test_full_range_is_narrowed(samples, convert):
    white = "drawbox=color=white:thickness=fill,scale=out_range=pc,format=yuvj420p"
    made = convert(media.odd(samples, "full.mp4", *card(filters=white), *X264))
    assert luma(made.folder / "video.mp4") == 235


@pytest.mark.parametrize(
    "pixels",
    ["yuv420p10le", "yuv422p", "yuv422p10le", "yuv444p12le", "gray", "gbrp", "yuva420p", "rgb48le", "monob", "pal8"],
)
def test_any_kind_of_pixels_becomes_8_bit_4_2_0(samples, convert, pixels):
    codec = {"rgb48le": "png", "monob": "png", "pal8": "png", "yuv444p12le": "ffv1"}.get(pixels, "ffv1")
    convert(media.odd(samples, f"{pixels}.mkv", *card(seconds="0.3"), "-pix_fmt", pixels, "-c:v", codec))


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
@pytest.mark.parametrize("primaries", ["bt2020", "film"], ids=["as it should be", "and wrong about the rest"])
def test_hdr_becomes_sdr_that_is_neither_pale_nor_dark(samples, convert, transfer, primaries):
    if not ffmpeg.has_filters("zscale", "tonemap"):
        pytest.skip("this ffmpeg was built without zscale")
    source = media.odd(samples, f"{transfer} {primaries}.mkv", *hdr(white=203, transfer=transfer, primaries=primaries))
    assert streams(source)[0]["color_transfer"] == transfer
    made = convert(source)
    assert made.video["color_transfer"] == made.video["color_primaries"] == made.video["color_space"] == "bt709"
    assert 140 < luma(made.folder / "video.mp4") <= 235


def test_where_ffmpeg_cannot_tone_map_hdr_is_converted_all_the_same(samples, convert, monkeypatch):
    monkeypatch.setattr(ffmpeg, "has_filters", lambda *names: False)
    source = media.odd(samples, "plain hdr.mkv", *hdr(white=203, transfer="smpte2084", primaries="bt2020"))
    assert convert(source).video
    assert examine(source).remark == probing.PALE


def hdr(*, white, transfer, primaries):
    """A white as bright as paper is in BT.2408, between darker bars, in 10 bits."""
    signal = {"smpte2084": 0.58, "arib-std-b67": 0.75}[transfer]
    level = round(64 + signal * (940 - 64))
    marks = f"setparams=color_primaries={primaries}:color_trc={transfer}:colorspace=bt2020nc:range=tv"
    drawn = f"format=yuv420p10le,geq=lum={level}:cb=512:cr=512,{marks}"
    return [*card(seconds="0.3", filters=drawn), *X264]


@pytest.mark.parametrize("order", ["tff", "bff"])
def test_interlaced_pictures_are_made_whole(samples, convert, order):
    moving = f"interlace=scan={order}"
    field = f"setfield=mode={order}"
    coded = [*X264, "-flags", "+ilme+ildct"]
    source = media.odd(samples, f"{order}.mp4", *card(rate="50", filters=f"{moving},{field}"), *coded)
    made = convert(source)
    assert number(made.video["avg_frame_rate"]) == 25
    assert combing(made.folder / "video.mp4") < 0.5 * combing(source)


# ---- Sound and what else there is


def test_sound_nobody_can_decode_is_left_out_and_its_owner_learns_it(samples, convert):
    source = media.odd(samples, "noise.mkv", *card(), "-f", "lavfi", "-i", "sine=d=1", *X264, "-c:a", "flac")
    broken = samples / "broken.mkv"
    broken.write_bytes(source.read_bytes().replace(b"A_FLAC", b"A_NONE"))
    assert convert(broken).audio is None
    assert examine(broken).remark == probing.SOUNDLESS


def test_sound_that_is_noise_is_left_out_too(samples, convert):
    source = media.odd(samples, "vorbis.mkv", *card(), "-f", "lavfi", "-i", "sine=d=1", *X264, "-c:a", "ac3")
    broken = samples / "ac3 that is none.mkv"
    broken.write_bytes(source.read_bytes().replace(b"\x0b\x77", b"\xff\xff"))
    assert convert(broken).audio is None


@pytest.mark.parametrize("channels", ["mono", "5.1", "7.1"])
def test_any_number_of_channels_becomes_two(samples, convert, channels):
    tone = ["-f", "lavfi", "-i", f"anullsrc=cl={channels}:d=0.5"]
    made = convert(media.odd(samples, f"{channels}.mkv", *card(seconds="0.5"), *tone, *X264, "-c:a", "flac"))
    assert made.audio["channels"] == 2


def test_without_sound_it_stays_silent(samples, convert):
    assert convert(media.odd(samples, "silent.mp4", *card(), *X264)).audio is None


def test_subtitles_data_and_covers_are_left_out(samples, convert):
    subtitles = samples / "said.srt"
    subtitles.write_text("1\n00:00:00,000 --> 00:00:30,000\nHello\n")
    cover = media.odd(samples, "cover.png", *card(size="64x64"), "-frames:v", "1")
    film = media.odd(samples, "film.mp4", *card(), *X264)
    parts = ["-i", cover, "-i", film, "-i", subtitles, "-map", "0", "-map", "1:v", "-map", "2", "-c", "copy"]
    marks = ["-disposition:v:0", "attached_pic", "-c:s", "mov_text", "-timecode", "01:00:00:00"]
    made = convert(media.odd(samples, "all.mp4", *parts, *marks))
    assert made.video["width"] == 320
    assert made.duration == pytest.approx(1, abs=0.05)


# ---- What cannot be converted


def test_sound_alone_is_refused(samples):
    assert refusal(media.sound(samples)) == probing.NO_PICTURE
    assert refusal(media.sound(samples, cover=True)) == probing.NO_PICTURE


def test_what_is_encrypted_is_refused(samples):
    film = media.odd(samples, "open.mp4", *card(), *X264).read_bytes()
    assert refusal(written(samples, "encrypted.mp4", film.replace(b"avc1", b"encv"))) == probing.PROTECTED


@pytest.mark.parametrize("codec", [b"jxsm", b"vvc1", b"zzzz"])
def test_what_has_no_decoder_is_refused(samples, codec):
    film = media.odd(samples, "open.mp4", *card(), *X264).read_bytes()
    assert refusal(written(samples, f"{codec.decode()}.mp4", film.replace(b"avc1", codec))) == probing.UNDECODABLE


def test_what_is_longer_than_we_convert_is_refused_before_it_is_tried(samples):
    rate = ["-f", "lavfi", "-i", "color=s=64x64:r=1/10000", "-frames:v", "6", *X264]
    assert refusal(media.odd(samples, "days.mp4", *rate)) == probing.TOO_LONG


def test_a_truncated_file_is_refused(samples, tmp_path):
    whole = media.odd(samples, "cut short.mp4", *card(seconds="4"), *X264, "-movflags", "+faststart")
    with pytest.raises(NotPlayable, match="The file is incomplete"):
        transcode(plan(media.truncated(whole)), tmp_path, lambda fraction, note: None)


# ---- What the tests ask


def refusal(path):
    with pytest.raises(NotPlayable) as refused:
        examine(path)
    return str(refused.value)


def written(folder, name, content):
    path = Path(folder) / name
    path.write_bytes(content)
    return path


def streams(path):
    question = ["-v", "error", "-of", "json", "-show_streams", path]
    return json.loads(subprocess.run([settings.FFPROBE, *question], capture_output=True, check=True).stdout)["streams"]


def times(path):
    question = ["-v", "error", "-select_streams", "v", "-of", "csv=p=0", "-show_entries", "packet=pts_time", path]
    said = subprocess.run([settings.FFPROBE, *question], capture_output=True, check=True, text=True).stdout
    return sorted(float(time.strip(",")) for time in said.split())


def number(ratio):
    above, below = ratio.split("/")
    return int(above) / int(below)


def pixels(path, *filters, form="gray"):
    arguments = ["-v", "error", "-i", path, *filters, "-frames:v", "1", "-pix_fmt", form, "-f", "rawvideo", "-"]
    return subprocess.run([settings.FFMPEG, *arguments], capture_output=True, check=True).stdout


def luma(path, at=0.0):
    """In the middle of the picture at this second, as it is stored."""
    values = pixels(path, "-ss", str(at), "-vf", "extractplanes=y")
    return values[len(values) // 2]


def colours(path, at):
    width = streams(path)[0]["width"]
    values = pixels(path, form="rgb24")
    return [values[(y * width + x) * 3 :][:3] for x, y in at]


def is_red(colour):
    return colour[0] > colour[2]


def combing(path):
    """How much each line differs from its neighbours, which are like each other: the teeth of a moving edge."""
    width = streams(path)[0]["width"]
    values = pixels(path, "-ss", "0.4")
    lines = [values[start : start + width] for start in range(0, len(values), width)]
    return sum(
        max(0, abs(a - b) + abs(b - c) - 2 * abs(a - c) - 20)
        for above, line, below in zip(lines, lines[1:], lines[2:], strict=False)
        for a, b, c in zip(above, line, below, strict=True)
    )
