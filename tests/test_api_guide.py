"""docs/api.md is true: what it shows is run, in its order, by a newcomer with a video and a token."""

import os
import re
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from tests.client import Client, new_email
from tests.media import clip

BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.M | re.S)


def test_what_the_guide_to_the_api_shows_works(make_stack, tmp_path):
    site = make_stack(only=["web", "worker-media", "clock", "valkey"])
    blocks = BLOCK.findall((settings.BASE_DIR / "docs/api.md").read_text())
    shell = "\n".join(code for language, code in blocks if language == "sh")
    [python] = [code for language, code in blocks if language == "python"]
    clip(tmp_path, seconds=1, size="320x240").rename(tmp_path / "holiday.mp4")
    with Client(site, new_email()) as newcomer:
        env = {**os.environ, "SITE": site.url, "TOKEN": newcomer.token}

    by_shell = run(["bash", "-euo", "pipefail", "-c", shell], tmp_path, env)
    assert '"state":"succeeded"' in by_shell and '"title":"Holiday"' in by_shell and '"renditions":[{' in by_shell
    assert "'url': '/media/" in run([sys.executable, "-c", python], tmp_path, env)


def run(command: list[str], folder: Path, env: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
