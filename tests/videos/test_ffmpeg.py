"""What ffmpeg could do if a video took it over: tried with a shell in its place."""

import os
import select
import signal
import socket
import subprocess
from contextlib import closing

import pytest

from tests.waiting import wait_until
from videos import ffmpeg


@pytest.fixture
def sh(tmp_path, settings):
    """Runs a shell script as ffmpeg is run, with the folder `out` to write in, and returns what went wrong."""
    (tmp_path / "out").mkdir()
    (tmp_path / "read").write_text("a video")
    (tmp_path / "theirs").write_text("another person's video")

    def run(script, **terms):
        program = tmp_path / f"program {abs(hash(script))}"
        program.write_text(f"#!/bin/sh\n[ $1 = -version ] && exit\ncd {tmp_path}/out\n{script}\n")
        program.chmod(0o755)
        settings.FFMPEG = str(program)
        try:
            ffmpeg.run([], reads=[tmp_path / "read"], folder=tmp_path / "out", **terms)
        except ffmpeg.Failed as failed:
            return failed
        return None

    return run


@pytest.fixture
def confined():
    if not ffmpeg.is_confined():
        pytest.skip("this machine does not let its users make namespaces")


@pytest.fixture(params=["confined", "not confined"])
def either_way(request, settings):
    if request.param == "confined":
        request.getfixturevalue("confined")
    else:
        settings.FFMPEG_CONFINEMENT = "off"


def test_may_read_its_file_and_write_into_its_folder(sh, tmp_path, either_way):
    assert sh(f"cat {tmp_path}/read >written") is None
    assert (tmp_path / "out" / "written").read_text() == "a video"


@pytest.mark.parametrize("reached", ["../theirs", "/etc/passwd", "/proc/self/status", "/root", "/home", "/var"])
def test_sees_nothing_else(sh, tmp_path, confined, reached):
    assert sh(f"test ! -e {reached}") is None


@pytest.mark.parametrize("file", ["../read", "../new", "/new", "/usr/new", "/tmp/new"])
def test_writes_nowhere_else(sh, tmp_path, confined, file):
    assert sh(f"( echo mine >>{file} ) 2>/dev/null && exit 9; exit 0") is None
    assert (tmp_path / "read").read_text() == "a video"


@pytest.mark.parametrize("confinement", ["required", "off"])
def test_has_no_network(tmp_path, confined, settings, confinement):
    settings.FFMPEG_CONFINEMENT = confinement
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}?timeout=200000"
        with pytest.raises(ffmpeg.Failed):
            ffmpeg.run(["-i", address, "-f", "null", "-"], reads=[])
        reached = select.select([listener], [], [], 0)[0]
    assert bool(reached) == (confinement == "off"), "with confinement off, it shows that the test has teeth"


def test_cannot_kill_other_processes(sh, confined):
    other = subprocess.Popen(["sleep", "60"])
    sh(f"kill -9 {other.pid}; kill -9 -1")
    assert other.poll() is None
    other.kill()
    other.wait()


def test_is_no_root_and_cannot_become_it(sh, confined):
    assert sh("test $(id -u) = 65534 && ! mount -t tmpfs none /usr 2>/dev/null") is None


def test_knows_none_of_our_secrets(sh, either_way, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "hush")
    assert sh('test -z "$SECRET_KEY$DATABASE_URL$REDIS_URL"') is None


def test_takes_no_more_time_than_it_was_given(sh, either_way):
    failed = sh("sleep 60", timeout=0.6)
    assert isinstance(failed, ffmpeg.TimedOut)
    assert failed.is_ours


def test_takes_no_more_processor_time_than_it_was_given(sh, either_way, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 0)
    failed = sh("while true; do :; done", timeout=0.1)
    assert failed.status in (-signal.SIGKILL, -signal.SIGXCPU)


def test_writes_no_more_than_it_may(sh, either_way, monkeypatch, tmp_path):
    monkeypatch.setattr(ffmpeg, "FILE_SIZE", 100_000)
    assert sh("head -c 1000000 /dev/zero >written")
    assert (tmp_path / "out" / "written").stat().st_size == 100_000


def test_takes_no_more_memory_than_it_may(sh, either_way, monkeypatch):
    monkeypatch.setattr(ffmpeg, "MEMORY", 50_000_000)
    assert "memory exhausted" in sh("dd if=/dev/zero of=/dev/null bs=200M count=1").said


def test_nothing_of_it_is_left_when_it_is_killed(sh, either_way, tmp_path):
    class Enough(Exception):
        pass

    def enough(seconds):
        if (tmp_path / "out" / "started").exists():
            raise Enough

    with pytest.raises(Enough):
        sh("sleep 3131 & touch started; sleep 3131", on_progress=enough)
    wait_until(lambda: subprocess.run(["pgrep", "-f", "sleep 3131"]).returncode)


def test_without_namespaces_it_runs_all_the_same_and_says_so(sh, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(ffmpeg, "LAUNCHER", launcher_without_namespaces(tmp_path))
    assert sh("touch written") is None
    assert "runs with limits, but not confined" in caplog.text


def test_where_confinement_is_required_nothing_runs_without(sh, monkeypatch, tmp_path, settings):
    settings.FFMPEG_CONFINEMENT = "required"
    monkeypatch.setattr(ffmpeg, "LAUNCHER", launcher_without_namespaces(tmp_path))
    assert sh("touch written").is_ours
    assert not (tmp_path / "out" / "written").exists()


def launcher_without_namespaces(folder):
    """As on a machine that does not let its users make any."""
    made = folder / "launcher.py"
    with open(ffmpeg.LAUNCHER) as file:
        text = file.read()
    cannot = "raise PermissionError(1, 'Operation not permitted')"
    made.write_text(text.replace("call(libc.unshare(", f"{cannot}\n    call(libc.unshare("))
    assert cannot in made.read_text()
    return str(made)


def test_only_staff_learn_whether_it_is_confined(client, admin_client, settings):
    settings.FFMPEG_CONFINEMENT = "off"
    assert client.get("/health").json() == {"status": "ok"}
    assert admin_client.get("/health").json() == {"status": "ok", "ffmpeg": "not confined"}
