"""The video page in a real browser: nobody reloads it, and it never says what is not so."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import log_in, screenshots
from tests.media import clip
from tests.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

READY = 90_000  # milliseconds that transcoding may take on a busy machine

CHOOSE = re.compile("choose", re.IGNORECASE)

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def site(make_module_stack: Callable[..., Stack]) -> Stack:
    return make_module_stack(database="sqlite", only=["web", "worker-media", "clock", "valkey"], JOB_LEASE_SECONDS="3")


@pytest.fixture
def library(page: Page, site: Stack) -> Page:
    """The empty library of a new user, on a page that remembers what its cards have shown."""
    email = f"person{next(numbers)}@example.com"
    with site.inside():
        from accounts.models import User

        User.objects.create_user(email, "secret")
    log_in(page, site.url, email, "secret")
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    page.on("filechooser", lambda chooser: None)  # has them caught from now on, which takes a moment to begin
    page.evaluate(REMEMBER)
    return page


# Also proves that the page was not reloaded, which would have forgotten it.
REMEMBER = """() => {
    window.shown = { states: [], fractions: [], said: [] };
    const note = (list, value) => { if (value !== undefined && list.at(-1) !== value) list.push(value); };
    new MutationObserver(() => {
        note(shown.states, document.querySelector("[data-job]")?.dataset.state);
        note(shown.fractions, document.querySelector("[data-job] progress[value]")?.value);
        note(shown.said, document.querySelector("[data-announcer]").textContent);
    }).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
}"""


@pytest.fixture(scope="module")
def small_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("clips"), seconds=1, size="320x240")


DROP = """(target) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File(["more than ten bytes"], "huge.mp4"));
    for (const type of ["dragenter", "dragover", "drop"]) {
        target.dispatchEvent(new DragEvent(type, { bubbles: true, dataTransfer }));
    }
}"""


def in_state(page: Page, state: str) -> Locator:
    """The only card, once it shows this state."""
    card = page.get_by_role("article")
    expect(card).to_have_attribute("data-state", state, timeout=READY)
    return card


def upload(page: Page, *paths: Path) -> None:
    page.get_by_label(CHOOSE).set_input_files(paths)


def test_an_upload_becomes_playable_without_a_reload(library: Page, tmp_path: Path) -> None:
    upload(library, clip(tmp_path, seconds=20, size="1280x720").rename(tmp_path / "Harbour_at_four_in_the_morning.mp4"))

    running = in_state(library, "running")
    expect(running.get_by_role("progressbar")).to_have_attribute("value", re.compile(r"0\.[1-9]"), timeout=READY)
    expect(running.get_by_text(" of 0:20")).to_be_visible()
    screenshots(library, "library-running")
    ready = in_state(library, "succeeded")
    screenshots(library, "library-ready")

    shown = library.evaluate("shown")
    assert shown["states"] in (["queued", "running", "succeeded"], ["running", "succeeded"])
    assert shown["fractions"] == sorted(shown["fractions"]) and len(shown["fractions"]) > 2
    title = "“Harbour at four in the morning”"
    assert shown["said"][-2:] == [f"{title} is being converted.", f"{title} is ready to play."]

    ready.get_by_role("button", name="Play").click()
    playing(ready.locator("video"), beyond=1)


def playing(video: Locator, beyond: float) -> None:
    """Wait until it has played on beyond that second."""
    wait_until(lambda: video.evaluate("video => !video.paused && video.readyState >= 2 && video.currentTime") > beyond)
    assert video.evaluate("video => video.currentTime") < beyond + 5


def test_without_a_websocket_the_page_asks(library: Page, site: Stack, small_clip: Path) -> None:
    library.route_web_socket("**/ws/jobs/", lambda socket: socket.close())
    library.reload()
    expect(library.get_by_text("Reconnecting, checking every 10 s")).to_be_visible()

    upload(library, small_clip)

    in_state(library, "succeeded")


def test_a_server_that_was_away_is_found_again(library: Page, site: Stack, small_clip: Path) -> None:
    """Also where the tus client is not installed, so that a file is sent as a form. With it: test_resuming_page.py."""
    library.route("**/tus/*", lambda route: route.abort())
    library.reload()
    expect(library.get_by_text("Live", exact=True)).to_be_visible()

    site.stop("web")
    expect(library.get_by_text("No connection. Trying again")).to_be_visible()
    upload(library, small_clip)
    failed = library.get_by_role("listitem").filter(has_text="The connection broke")
    expect(failed).to_be_visible()
    site.start_again("web")

    expect(library.get_by_text("Live", exact=True)).to_be_visible(timeout=40_000)
    failed.get_by_role("button", name="Try again").click()
    in_state(library, "succeeded")
    expect(failed).to_have_count(0)


def test_a_file_that_is_no_video_says_so_and_what_to_do(library: Page, tmp_path: Path) -> None:
    notes = tmp_path / "holiday.mp4"
    notes.write_text("Not a video")

    upload(library, notes)

    dead = in_state(library, "dead")
    expect(dead.get_by_text("This file is not a video we can read. Export it as MP4")).to_be_visible()
    expect(dead.get_by_role("button", name="Try again")).to_have_count(0)
    assert library.evaluate("shown.said.at(-1)").startswith("“holiday” could not be converted. This file is not")
    with library.expect_file_chooser():
        dead.get_by_role("link", name="Upload another file").click()


def test_a_file_that_is_refused_keeps_its_row(library: Page) -> None:
    library.evaluate("document.querySelector('#upload').dataset.maxBytes = 10")

    library.get_by_text("Nothing here yet").evaluate(DROP)

    row = library.get_by_role("listitem").filter(has_text="This file is too large. Videos may have up to 4.0\xa0GB.")
    row.get_by_role("button", name="Dismiss").click()
    expect(row).to_have_count(0)
    expect(library.get_by_text("Nothing here yet")).to_be_visible()


def test_cancel_try_again_delete(library: Page, site: Stack, small_clip: Path) -> None:
    site.stop("worker-media")
    upload(library, small_clip)
    in_state(library, "queued").get_by_role("button", name="Cancel").click()
    in_state(library, "cancelled").get_by_role("button", name="Try again").click()
    in_state(library, "queued")
    site.start_again("worker-media")

    ready = in_state(library, "succeeded")
    ready.get_by_text("Delete", exact=True).click()
    ready.get_by_role("button", name="Delete this video").click()

    expect(ready).to_have_count(0)
    expect(library.get_by_text("Nothing here yet")).to_be_visible()
    states = library.evaluate("shown.states")
    assert states[:3] == ["queued", "cancelled", "queued"] and states[-1] == "succeeded"


def test_another_tab_shows_it_too(library: Page, site: Stack, small_clip: Path) -> None:
    other = library.context.new_page()
    other.goto(library.url)
    upload(other, small_clip)
    expect(other.get_by_role("article")).to_be_visible()  # it has arrived
    other.close()

    in_state(library, "succeeded")


def test_it_works_without_javascript(browser: Browser, library: Page, small_clip: Path) -> None:
    context = browser.new_context(java_script_enabled=False, storage_state=library.context.storage_state())
    plain = context.new_page()
    plain.goto(library.url)
    upload(plain, small_clip)
    plain.get_by_label("Title").fill("By hand")
    plain.get_by_role("button", name="Upload").click()
    expect(plain.get_by_role("heading", name="By hand")).to_be_visible()

    wait_until(lambda: plain.reload() and plain.locator("video").count(), timeout=60, every=0.5)
    plain.get_by_text("Delete", exact=True).click()
    plain.get_by_role("button", name="Delete this video").click()

    expect(plain.get_by_text("Nothing here yet")).to_be_visible()
    context.close()


def test_all_of_it_with_the_keyboard(library: Page, tmp_path: Path) -> None:
    tab_to(library, library.get_by_label(CHOOSE))
    with library.expect_file_chooser() as chooser:
        library.keyboard.press("Enter")
    chooser.value.set_files(clip(tmp_path, seconds=1, size="1280x720"))
    ready = in_state(library, "succeeded")

    tab_to(library, ready.get_by_role("button", name="Play"))
    library.keyboard.press("Space")
    wait_until(lambda: ready.locator("video").evaluate("video => video.currentTime"))


def tab_to(page: Page, target: Locator) -> None:
    for _ in range(30):
        page.keyboard.press("Tab")
        if target.evaluate("target => target === document.activeElement"):
            return
    raise AssertionError(f"{target} cannot be reached with the keyboard")
