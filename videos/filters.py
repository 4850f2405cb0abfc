"""ffmpeg's graph of filters: from the pictures as they are stored to those that every browser shows.

What each kind of odd video becomes is listed in docs/video.md.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from videos import ffmpeg
from videos.probing import TONE_MAPPING, Media


class Size(Protocol):
    """A rung of the ladder, as far as pictures are concerned."""

    @property
    def name(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


def opened(path: Path, media: Media) -> list[str]:
    """Arguments that open the video so that the graph can take it. ffmpeg turns the pictures upright by itself."""
    return [*([] if media.turns_right else ["-noautorotate"]), *ffmpeg.untrusted(path)]


def graph(media: Media, sizes: Sequence[Size], *, timing: str, stills: Mapping[str, str]) -> str:
    """The graph for these sizes, smallest first, and for still pictures. Its outputs have their names.

    timing: filters that choose frames and say when they are shown, before anything is made of them. stills: by name,
    the filters that make them of a frame.

    scale widens pixels that are not square but leaves the mark that says so (hence setsar), and keeps the full range
    of a phone's colours, which browsers show washed out (hence out_range).
    """
    names = [*(size.name for size in sizes), *stills]
    decoded = "".join(f"[decoded {name}]" for name in names)
    once = [*_corrected(media), timing, *_standard_range(media, sizes[-1]), f"split={len(names)}{decoded}"]
    return ";".join(
        [
            f"[0:{media.video_stream}]{','.join(once)}",
            *(
                f"[decoded {size.name}]scale={size.width}:{size.height}:out_range=tv,setsar=1,format=yuv420p"
                f"[{size.name}]"
                for size in sizes
            ),
            *(f"[decoded {name}]{filters}[{name}]" for name, filters in stills.items()),
        ]
    )


def poster(width: int, height: int) -> str:
    """The best of the first four seconds, or of what there is: to seek to a time finds nothing in a shorter video."""
    every_half_second = "select='isnan(prev_selected_t)+gte(t-prev_selected_t,0.5)'"
    return f"{every_half_second},{jpeg(width, height)},thumbnail=8"


def jpeg(width: int, height: int) -> str:
    return f"scale={width}:{height}:out_range=pc,setsar=1,format=yuvj420p"


def _corrected(media: Media) -> list[str]:
    filters = []
    if media.interlaced:
        filters.append("bwdif=mode=send_frame")
    if not media.turns_right:
        filters.append("sidedata=mode=delete:type=DISPLAYMATRIX")  # else what we write says it, too
    return filters


def _standard_range(media: Media, largest: Size) -> list[str]:
    """HDR as a common screen can show it: in linear light, bright parts pressed together rather than cut off.

    Made small first, since it is done in floating-point numbers. What the file does not say, or says wrongly, is taken
    to be as in ITU-R BT.2100, which is where both transfer functions come from.
    """
    if not media.is_hdr or not ffmpeg.has_filters(*TONE_MAPPING):
        return []
    small = f"scale={largest.width}:{largest.height}:flags=bicubic,setsar=1"
    known = f"setparams=color_primaries=bt2020:color_trc={media.transfer}:colorspace=bt2020nc"
    linear = "zscale=transfer=linear:npl=203,format=gbrpf32le,zscale=primaries=bt709"
    return [small, known, linear, "tonemap=hable:desat=0", "zscale=transfer=bt709:matrix=bt709:range=tv,format=yuv420p"]
