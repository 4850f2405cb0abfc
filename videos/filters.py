"""ffmpeg's graph of filters: from the pictures as they are stored to those that every browser shows."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from videos.probing import Media


class Size(Protocol):
    """A rung of the ladder, as far as pictures are concerned."""

    @property
    def name(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


def graph(media: Media, sizes: Sequence[Size], *, timing: str, stills: Mapping[str, str]) -> str:
    """The graph for these sizes, smallest first, and for still pictures. Its outputs have their names.

    timing: filters that choose frames and say when they are shown, before anything is made of them. stills: by name,
    the filters that make them of a frame.

    scale widens pixels that are not square but leaves the mark that says so (hence setsar), and keeps the full range
    of a phone's colours, which browsers show washed out (hence out_range).
    """
    names = [*(size.name for size in sizes), *stills]
    decoded = "".join(f"[decoded {name}]" for name in names)
    return ";".join(
        [
            f"[0:{media.video_stream}]{timing},split={len(names)}{decoded}",
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
