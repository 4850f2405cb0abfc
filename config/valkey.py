"""Becomes the Valkey server of this DATA_DIR, the broker and the channel layer: `python -m config.valkey`.

Without Django, which takes seconds to load: until it is back, nobody hears of anything at once.
"""

import os

from config import parts


def main() -> None:
    """It listens to its owner alone, and keeps nothing on disk: the rows are the truth."""
    program, home = parts.valkey_server(), parts.data_dir()
    os.execv(
        program,
        [
            *(program, "--port", "0"),
            *("--unixsocket", str(parts.valkey_socket(home)), "--unixsocketperm", "700"),
            *("--save", "", "--appendonly", "no", "--dir", str(home)),
            *("--logfile", "", "--loglevel", "warning"),
        ],
    )


if __name__ == "__main__":
    main()
