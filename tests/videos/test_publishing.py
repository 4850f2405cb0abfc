"""An attempt that fails while it publishes takes its files away again."""

import signal

import pytest
from django.core.files.storage import FileSystemStorage, default_storage

from jobs import interrupt
from jobs.errors import LeaseLost
from videos.models import Video
from videos.packaging import Package, Rendition
from videos.publishing import stored


class Interrupted(FileSystemStorage):
    """Each file is hardly there when the worker is told that the job was cancelled."""

    def _save(self, name, content):
        saved = super()._save(name, content)
        interrupt.interrupt(LeaseLost("cancelled"))
        return saved


@pytest.fixture
def package(tmp_path) -> Package:
    folder = tmp_path / "package"
    folder.mkdir()
    for name in ("master.m3u8", "240p.m3u8", "240p.mp4", "poster.jpg"):
        (folder / name).write_bytes(b"encoded")
    return Package(folder, 1.0, [Rendition("240p", 320, 240, "240p.m3u8")])


@pytest.fixture
def as_in_a_worker():
    before = signal.signal(interrupt.SIGNAL, interrupt._on_signal)
    yield
    signal.signal(interrupt.SIGNAL, before)


def test_an_attempt_interrupted_at_any_moment_leaves_no_files(package, settings, tmp_path, as_in_a_worker):
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": f"{__name__}.Interrupted"}}
    settings.MEDIA_ROOT = tmp_path / "media"

    with pytest.raises(LeaseLost), interrupt.interruptible(), stored(package, Video(), attempt="a") as folder:
        assert default_storage.exists(f"{folder}/master.m3u8")
        interrupt.interrupt(LeaseLost("cancelled"))

    assert not [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()]
