"""How the site is started, stopped and shipped."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.contrib.auth import get_user_model

from config.processes import Processes, procfile
from tests.linux import alive_in, children_of
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
PROCFILE = procfile(ROOT / "Procfile")


# --- the runner ---


@pytest.fixture
def output():
    return io.StringIO()


@pytest.fixture
def running(output):
    """Start these commands; they are stopped after the test."""
    started = []

    def run(**lines):
        processes = Processes(lines, output=output)
        started.append(processes)
        processes.start()
        wait_until(lambda: all(process.pid for process in processes.values()))
        return processes

    yield run
    for processes in started:
        processes.stop()


def test_output_carries_the_name_of_its_process(running, output):
    running(web="sh -c 'echo hello; exec sleep 60'", clock="sh -c 'echo hello >&2; exec sleep 60'")
    wait_until(lambda: output.getvalue().count("hello") == 2)
    assert sorted(output.getvalue().splitlines()) == ["clock | hello", "web   | hello"]


def test_a_killed_process_is_started_again(running, output):
    web = running(web="sleep 60")["web"]
    first = web.pid
    web.kill(signal.SIGKILL)
    wait_until(lambda: web.pid not in (None, first))
    assert "web | died of SIGKILL; starting again in 0.5 s" in output.getvalue()


def test_what_a_dead_process_left_is_killed_before_it_starts_again(running):
    web = running(web="sh -c 'sleep 60 & exec sleep 60'")["web"]
    group = web.pid
    wait_until(lambda: len(alive_in(group)) == 2)
    os.kill(group, signal.SIGKILL)
    wait_until(lambda: web.pid not in (None, group))
    assert alive_in(group) == []


def test_a_process_that_keeps_dying_is_given_more_and_more_time(running, output):
    running(web="sh -c 'sleep 0.2; exit 1'")
    wait_until(lambda: "web | ended with 1; starting again in 1 s" in output.getvalue())


def test_the_first_stops_first_and_the_last_last(running, output):
    says = "sh -c 'trap \"echo {0} ends; exit\" TERM; echo ready; while :; do sleep 0.1; done'".format
    processes = running(web=says("web"), worker=says("worker"), valkey=says("valkey"))
    wait_until(lambda: output.getvalue().count("ready") == 3)
    processes.stop()
    assert re.findall(r"(\w+) ends", output.getvalue()) == ["web", "worker", "valkey"]


def test_a_process_that_does_not_stop_is_killed(running, output, monkeypatch):
    monkeypatch.setattr("config.processes.GRACE", 0.2)
    web = running(web="sh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.1; done'")
    wait_until(lambda: "ready" in output.getvalue())
    group = web["web"].pid
    web.stop()
    wait_until(lambda: not alive_in(group))  # what is killed may take a moment to be gone


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_runner_leaves_no_process_behind(number):
    script = "from config.processes import *; Processes({'a': 'sleep 60', 'b': 'sleep 60'}).run()"
    runner = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    children = wait_until(lambda: len(found := children_of(runner.pid)) == 2 and found)
    runner.send_signal(number)
    assert runner.wait() == (-number if number == signal.SIGKILL else 0)
    wait_until(lambda: not any(alive_in(child) for child in children))


def test_a_whole_site_goes_on_when_any_of_its_processes_is_killed(make_stack):
    stack = make_stack(only=["web", "worker-quick", "clock", "gateway", "valkey"])  # of its workers, one
    stack.manage("demo_users")
    before = {name: stack.pid(name) for name in stack.processes}
    for name in stack.processes:
        stack.kill(name)
    wait_until(lambda: not set(before.values()) & {stack.pid(name) for name in stack.processes})
    wait_until(stack.ready, timeout=60)
    with stack.inside():
        assert get_user_model().objects.filter(email="demo@example.com").exists()


# --- the commands ---


def test_make_dev_says_when_the_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = manage("dev", PORT=str(port))
    assert f"Port {port} is taken. Choose another: PORT={port + 1} make dev" in said


def test_make_dev_says_when_its_data_is_in_use():
    said = manage("dev", PORT="1")
    assert f"Another Nightshift runs in {os.environ['DATA_DIR']}. Choose another: DATA_DIR=" in said


def test_make_dev_is_not_for_production():
    assert "DEBUG is off" in manage("dev", DEBUG="0", SECRET_KEY="a long random value")


@pytest.mark.parametrize("secret", ["", "development-only-secret"])
def test_production_refuses_to_run_without_a_secret(secret):
    assert "ImproperlyConfigured: Set SECRET_KEY" in manage("check", DEBUG="0", SECRET_KEY=secret)


def test_production_says_when_nobody_takes_the_money():
    assert "there will be no money" in manage("check", "--fail-level", "WARNING", DEBUG="0", SECRET_KEY="of a test")


def test_make_alone_lists_every_command():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z%-]*):", makefile, re.MULTILINE))
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True).stdout
    assert set(re.findall(r"^  make (\S+)", listed, re.MULTILINE)) == targets


# --- shipping ---


def test_every_line_of_the_procfile_is_one_command():
    assert not [command for command in PROCFILE.values() if re.search(r"[;&|]", command)]


def test_compose_runs_what_the_procfile_lists():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    built = {name for name, service in services.items() if service.get("build")}
    assert built == set(PROCFILE) - {"valkey"} | {"migrate"}
    assert all(services[name]["command"] == name for name in built - {"migrate"})


def test_the_image_runs_the_line_of_the_procfile_that_it_is_told(tmp_path):
    (tmp_path / "Procfile").write_text('web: echo "the web" at ${PORT:-8000}\nclock: echo the clock\n')
    entrypoint = re.search(r"^ENTRYPOINT (.+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    done = subprocess.run([*json.loads(entrypoint[1]), "web"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "the web at 8000\n"


def manage(*args, **env):
    """What a management command says that should fail."""
    command = [sys.executable, "manage.py", *args]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True)
    assert done.returncode != 0
    return done.stdout + done.stderr
