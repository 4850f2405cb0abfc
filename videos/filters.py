"""ffmpeg's graph of filters: from the pictures as they are stored to those that every browser shows."""

from collections.abc import Sequence
from typing import Protocol

from videos.probing import Media

MAX_FRAME_RATE = 60


class Size(Protocol):
    """A rung of the ladder, as far as pictures are concerned."""

    @property
    def name(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


def graph(media: Media, sizes: Sequence[Size]) -> str:
    """The graph for these sizes, smallest first. Its outputs have their names, and "poster".

    scale widens pixels that are not square but leaves the mark that says so (hence setsar), and keeps the full range
    of a phone's colours, which browsers show washed out (hence out_range). The poster is chosen from frames of the
    first four seconds, or of whatever there is: seeking to a time would find nothing in a shorter video.
    """
    at_most = f"fps={MAX_FRAME_RATE}," if media.frame_rate > MAX_FRAME_RATE else ""
    decoded = "".join(f"[decoded {name}]" for name in [*(size.name for size in sizes), "poster"])
    every_half_second = "select='isnan(prev_selected_t)+gte(t-prev_selected_t,0.5)'"
    largest = sizes[-1]
    return ";".join(
        [
            f"[0:{media.video_stream}]{at_most}split={len(sizes) + 1}{decoded}",
            *(
                f"[decoded {size.name}]scale={size.width}:{size.height}:out_range=tv,setsar=1,format=yuv420p"
                f"[{size.name}]"
                for size in sizes
            ),
            f"[decoded poster]{every_half_second},scale={largest.width}:{largest.height}:out_range=pc,setsar=1,"
            "format=yuvj420p,thumbnail=8[poster]",
        ]
    )
