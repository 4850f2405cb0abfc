"""Uploads on the library page that are interrupted in every way, in a real browser."""

import hashlib
import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL

import pytest
from playwright.sync_api import Locator, Page, Request, expect

from tests.browser import ROOT, log_in, screenshots
from tests.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

LONG = os.environ.get("CHAOS") == "long"
MB = 1_000_000
SIZE, CHUNK, SPEED = (1024 * MB, 16 * MB, 40 * MB) if LONG else (12 * MB, MB, 3 * MB)  # speed: bytes a second
MINUTES = 300_000 if LONG else 60_000  # milliseconds that sending may take

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def site(make_module_stack: Callable[..., Stack]) -> Stack:
    return make_module_stack(only=["web", "valkey"])


@pytest.fixture
def library(page: Page, site: Stack) -> Page:
    """The empty library of a new user, on a line that is not too fast to be watched."""
    email = f"sender{next(numbers)}@example.com"
    with site.inside():
        from accounts.models import User

        User.objects.create_user(email, "secret")
    page.on("dialog", lambda dialog: dialog.accept())
    log_in(page, site.url, email, "secret")
    slow_down(page)
    return page


def slow_down(page: Page) -> None:
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": SPEED}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", conditions)
    page.evaluate("bytes => { document.querySelector('#upload').dataset.chunkBytes = bytes }", CHUNK)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whose bytes are all different, so that none can be exchanged for another."""
    film = tmp_path_factory.mktemp("films") / "Harbour_at_four.mp4"
    with film.open("wb") as file:
        for _ in range(SIZE // MB):
            file.write(os.urandom(MB))
    return film


def choose(page: Page, *paths: Path) -> None:
    page.get_by_label(re.compile("choose", re.I)).set_input_files(paths)


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("listitem").filter(has_text=name)


def beyond(page: Page, name: str, fraction: float) -> None:
    """Wait until so much has been sent."""
    bar = row(page, name).get_by_role("progressbar")
    wait_until(lambda: float(bar.get_attribute("value") or 0) > fraction, timeout=MINUTES / 1000)


def test_an_upload_survives_restarts_and_a_reload_and_sends_no_byte_twice(library, site, film):
    offsets: list[int] = []

    def listen(request: Request) -> None:
        if request.method == "PATCH":
            offsets.append(int(request.headers["upload-offset"]))

    library.on("request", listen)
    choose(library, film)
    beyond(library, film.name, 0.15)
    site.restart("web")
    beyond(library, film.name, 0.4)
    site.kill("web", SIGKILL)
    beyond(library, film.name, 0.7)
    library.reload()

    left = row(library, film.name)
    expect(left).to_contain_text("are here. Choose the same file to go on")
    slow_down(library)
    with library.expect_file_chooser() as chooser:
        left.get_by_role("button", name="Resume").click()
    chooser.value.set_files(film)

    expect(left).to_have_count(0, timeout=MINUTES)
    card = library.get_by_role("article")
    expect(card).to_have_attribute("data-state", "queued")
    expect(card.get_by_role("heading", name="Harbour at four")).to_be_visible()
    (original,) = (site.folder / "media" / "videos").glob("*/original")
    assert digest(original) == digest(film)
    twice = sum(min(CHUNK, SIZE - offset) for offset in offsets) - SIZE
    print(
        f"{SIZE / MB:.0f} MB in {len(offsets)} requests, 3 interruptions: {twice / MB:.1f} MB announced twice at most"
    )
    assert twice <= 3 * CHUNK
    assert min(later - earlier for earlier, later in itertools.pairwise(offsets)) >= 0, "it never went back"


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_pause_resume_and_cancel_one_of_several(library, site, film, tmp_path):
    other = tmp_path / "Other.mp4"
    other.write_bytes(os.urandom(3 * MB))
    choose(library, film, other)
    expect(row(library, "Other")).to_contain_text("Waits for its turn")
    beyond(library, film.name, 0.05)
    expect(row(library, film.name)).to_contain_text(re.compile(r"MB of .*, .*/s"))

    row(library, film.name).get_by_role("button", name="Pause").click()

    expect(row(library, film.name)).to_contain_text("Paused at")
    expect(row(library, film.name).get_by_role("button", name="Resume")).to_be_focused()
    expect(library.get_by_role("article").filter(has_text="Other")).to_be_visible()
    row(library, film.name).get_by_role("button", name="Resume").click()
    beyond(library, film.name, 0.1)
    row(library, film.name).get_by_role("button", name="Cancel").click()
    expect(row(library, film.name)).to_have_count(0)
    wait_until(lambda: not list((site.folder / "uploads" / "resumable").iterdir()))
    library.reload()
    expect(row(library, film.name)).to_have_count(0)


def test_another_file_is_not_taken_for_the_rest(library, film, tmp_path):
    choose(library, film)
    beyond(library, film.name, 0.05)
    library.reload()
    other = tmp_path / "other" / film.name
    other.parent.mkdir()
    other.write_bytes(b"not the same")
    left = row(library, film.name)
    with library.expect_file_chooser() as chooser:
        left.get_by_role("button", name="Resume").click()
    chooser.value.set_files(other)
    expect(left).to_contain_text("is another file")
    left.get_by_role("button", name="Cancel").click()
    expect(left).to_have_count(0)


def test_how_uploads_look(library, site, film, tmp_path):
    files = [film, *(film.with_name(name) for name in ("Night_market.mp4", "First_snow.mov", "Lighthouse.mp4"))]
    for path in files[1:]:
        os.link(film, path)
    choose(library, files[0])
    beyond(library, files[0].name, 0.2)
    library.reload()
    slow_down(library)
    choose(library, files[1])
    beyond(library, files[1].name, 0.1)
    row(library, files[1].name).get_by_role("button", name="Pause").click()
    detail = (
        '{"detail": "There is no room for this file: you have 0 bytes left. Delete videos that you no longer need."}'
    )
    library.route("**/api/uploads", lambda route: route.fulfill(status=413, body=detail))
    choose(library, files[2])
    expect(row(library, files[2].name)).to_contain_text("There is no room for this file")
    library.unroute("**/api/uploads")
    choose(library, files[3])
    beyond(library, files[3].name, 0.1)
    screenshots(library, "library-uploads")
    for path in files:
        row(library, path.name).get_by_role("button", name=re.compile("Cancel|Dismiss")).click()


# The jasmine of npm, as its own page would start it, and the client's own tests, told where our server is.
RUN = """async ([jasmineSource, specs]) => {
    (0, eval)(jasmineSource);
    const jasmine = jasmineRequire.core(jasmineRequire), env = jasmine.getEnv();
    Object.assign(window, jasmineRequire.interface(jasmine, env));
    const results = [];
    env.configure({ random: false, specFilter: (spec) => spec.getFullName().includes("end-to-end") });
    env.addReporter({ specDone: ({ status, fullName, failedExpectations }) => {
        if (status !== "excluded") results.push([fullName, status, failedExpectations.map((one) => one.message)]);
    } });
    (0, eval)(specs);
    await env.execute();
    return results;
}"""


def test_the_end_to_end_tests_of_tus_js_client_pass(browser, library, site):
    modules = ROOT / "node_modules"
    jasmine = (modules / "jasmine-core" / "lib" / "jasmine-core" / "jasmine.js").read_text()
    specs = (modules / "tus-js-client" / "dist" / "browser-test-bundle.js").read_text()
    theirs = "https://tusd.tusdemo.net/files/"
    for escape in (str, lambda url: url.replace("/", r"\/").replace(".", r"\.")):
        assert escape(theirs) in specs
        specs = specs.replace(escape(theirs), escape(f"{site.url}/api/uploads/"))

    context = browser.new_context(storage_state=library.context.storage_state(), bypass_csp=True)
    page = context.new_page()
    page.goto(library.url)
    results = page.evaluate(RUN, [jasmine, specs])
    context.close()

    assert len(results) == 2
    assert all(status == "passed" for _, status, _ in results), results
