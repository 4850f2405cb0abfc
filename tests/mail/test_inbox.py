"""The inbox of a development site reads what Django's file backend writes."""

import os
import subprocess
import sys

import pytest
from django.core import mail

from config.processes import ROOT
from mail import inbox, sending


@pytest.fixture
def to_files(settings, tmp_path) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path)
    settings.EMAIL = {"EMAIL_FILE_PATH": str(tmp_path)}


def test_no_mail_is_no_error(settings, tmp_path) -> None:
    settings.EMAIL = {"EMAIL_FILE_PATH": str(tmp_path / "not yet")}
    assert inbox.newest() == []


def test_a_mail_is_read_as_it_was_composed(to_files) -> None:
    message = sending.compose("accounts/messages/welcome", "ann@example.com", {"email": "Änn"}, message_id="job-1")
    sending.send(message, on_accepted=lambda: None)
    [read] = inbox.newest()
    assert read.message["subject"] == "Welcome to Nightshift"
    assert read.text.strip() == message.body.strip()
    assert "Änn" in read.html
    assert ("Message-ID", "<job-1@localhost>") in [(name, value) for name, value in read.headers]
    assert inbox.find(read.name).text == read.text


def test_the_newest_comes_first_also_of_mails_in_one_file(to_files) -> None:
    for batch in (["first", "second"], ["third"]):
        mails = [mail.EmailMessage(subject, f"-- \n{'-' * 79} in the text", to=["a@b.example"]) for subject in batch]
        mail.get_connection().send_messages(mails)
    assert [one.message["subject"] for one in inbox.newest()] == ["third", "second", "first"]
    assert len({one.name for one in inbox.newest()}) == 3


def test_a_mail_that_is_still_being_written_is_not_shown(to_files, tmp_path) -> None:
    (tmp_path / "20260101-000000-1.log").write_bytes(b"Subject: half a m")
    assert inbox.newest() == []


def test_nobody_finds_a_mail_that_is_none(to_files) -> None:
    assert inbox.find("../../etc/passwd") is None


def test_in_production_there_is_no_inbox() -> None:
    ask = "from django.urls import resolve; resolve('/inbox/')"
    for debug, found in (("1", True), ("0", False)):
        env = {**os.environ, "DEBUG": debug, "SECRET_KEY": "of a test"}
        asked = subprocess.run(
            [sys.executable, "manage.py", "shell", "-c", ask], env=env, cwd=ROOT, capture_output=True
        )
        assert (b"Resolver404" not in asked.stderr) == found, asked.stderr.decode()
