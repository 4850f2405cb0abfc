"""The page of a video in a real browser: its player, who else may see it, another file for it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.browser import DESKTOP, log_in, screenshots
from tests.client import Client
from tests.media import clip, longer
from tests.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

SECONDS, LONG = 30, 90
ENOUGH_TO_START = 8  # requests for pieces of a video
EMAIL = "viewer@example.com"


@pytest.fixture(scope="module")
def site(make_module_stack: Callable[..., Stack]) -> Stack:
    return make_module_stack(only=["web", "worker-media", "clock", "valkey"])


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def video(site: Stack, clips: Path) -> str:
    """The path of the page of a video in two sizes, whose owner can log in."""
    return published(site, clip(clips, seconds=SECONDS, size="1280x720", rate=5))


@pytest.fixture(scope="module")
def long_video(site: Stack, clips: Path) -> str:
    """One with many pieces."""
    return published(site, longer(clip(clips, seconds=30, size="320x240", rate=5), LONG // 30))


def published(site: Stack, film: Path) -> str:
    with Client(site, EMAIL) as client:
        job = client.finished(client.upload(film, title="Harbour at four").headers["location"], timeout=120)
        with site.inside():
            client.user.set_password("secret")
            client.user.save()
    assert job["state"] == "succeeded"
    return job["links"]["page"]


@pytest.fixture
def watching(page: Page, site: Stack, video: str) -> Page:
    """The page of the video, on which it plays."""
    log_in(page, site.url, EMAIL, "secret")
    page.goto(site.url + video)
    start(page)
    return page


def start(page: Page) -> None:
    page.get_by_role("button", name="Play “Harbour at four”").click()
    wait_until(lambda: at(page) > 0.2, timeout=20)


class Pieces:
    """Of a video. A page gets those that it needs to start. Until `answer` is set the others let it wait."""

    answer: Callable[[Route], None] | None = None

    def __init__(self, page: Page) -> None:
        self.fetched = 0
        page.route("**/media/**/*.mp4", self.ask)

    def ask(self, route: Route) -> None:
        self.fetched += 1
        answer = Route.continue_ if self.fetched <= ENOUGH_TO_START else self.answer
        if answer:
            answer(route)


def refuse(route: Route) -> None:
    route.fulfill(status=404)


def at(page: Page) -> float:
    return page.locator("video").evaluate("video => video.currentTime")


def near(page: Page, seconds: float, played: float = 4) -> None:
    """Wait until it is at that second, or a little beyond, as it plays on."""
    wait_until(lambda: seconds - 0.5 <= at(page) <= seconds + played, timeout=20)


def quality(page: Page) -> Locator:
    return page.get_by_label("Quality")


def test_it_plays_hls_in_the_quality_that_people_choose(watching: Page) -> None:
    assert watching.locator("video").evaluate("video => video.src").startswith("blob:")
    expect(quality(watching).get_by_role("option")).to_have_text([re.compile("Auto"), "720p", "480p"])
    asked: list[str] = []
    watching.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    for name, height in (("480p", 480), ("720p", 720)):
        quality(watching).select_option(name)
        watching.keyboard.press("Escape")
        wait_until(
            lambda height=height: watching.locator("video").evaluate("video => video.videoHeight") == height, timeout=30
        )
        assert f"{name}.mp4" in asked or name == "720p"
    quality(watching).select_option("-1")
    expect(quality(watching).get_by_role("option").first).to_have_text(re.compile(r"Auto \(\d+p\)"))
    before = at(watching)
    wait_until(lambda: at(watching) > before + 0.5)


def test_seeking_shows_the_pictures_of_the_storyboard(watching: Page) -> None:
    bar = watching.get_by_label("Seek")
    box = bar.bounding_box()
    assert box
    bar.hover(position={"x": box["width"] / 2, "y": box["height"] / 2})
    preview = watching.locator("[data-part=preview]")
    expect(preview).to_be_visible()
    expect(preview).to_contain_text(re.compile("0:1[45]"))
    middle = wait_until(lambda: picture(preview))
    assert "storyboard-1.jpg" in middle
    bar.hover(position={"x": 5, "y": box["height"] / 2})
    wait_until(lambda: picture(preview) != middle)
    bar.hover(position={"x": box["width"] * 0.75, "y": box["height"] / 2})
    screenshots(watching, "player-playing")

    bar.click(position={"x": box["width"] * 0.75, "y": box["height"] / 2})

    near(watching, SECONDS * 0.75)
    watching.mouse.move(0, 0)
    expect(preview).to_be_hidden()


def picture(preview: Locator) -> str:
    """Which sheet is shown, and which place on it."""
    still = preview.locator("[data-part=picture]")
    return still.evaluate("({ style }) => style.backgroundImage && style.backgroundImage + style.backgroundPosition")


def test_keys_move_it_while_the_focus_is_in_it_and_in_no_field(watching: Page) -> None:
    press, video = watching.keyboard.press, watching.locator("video")
    assert watching.evaluate("document.activeElement.localName") == "video-player"
    press("k")
    wait_until(lambda: video.evaluate("video => video.paused"))
    press("Home")
    near(watching, 0, played=0.5)
    for key, seconds in (
        ("ArrowRight", 5),
        ("Shift+ArrowRight", 15),
        ("l", 25),
        ("j", 15),
        ("ArrowLeft", 10),
        ("Shift+ArrowLeft", 0),
    ):
        press(key)
        near(watching, seconds, played=0.5)
    expect(watching.locator("[data-part=preview]")).to_be_visible()
    press("Space")
    wait_until(lambda: not video.evaluate("video => video.paused"))
    press("m")
    assert video.evaluate("video => video.muted")
    expect(watching.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")
    press("f")
    wait_until(lambda: watching.evaluate("document.fullscreenElement?.localName") == "video-player")
    press("f")
    wait_until(lambda: not watching.evaluate("document.fullscreenElement"))
    press("End")
    near(watching, SECONDS)

    press("Home")
    press("k")
    quality(watching).focus()
    press("m")
    assert video.evaluate("video => video.muted"), "a field keeps its keys"
    watching.get_by_role("link", name="← Library").focus()
    press("m")
    assert video.evaluate("video => video.muted"), "so does the rest of the page"
    watching.get_by_role("button", name="Mute").focus()
    press("Space")
    wait_until(lambda: not video.evaluate("video => video.muted"))


def test_an_address_that_ran_out_is_renewed_and_it_goes_on_where_it_was(
    page: Page, site: Stack, long_video: str
) -> None:
    """As on a page that was left open over night."""
    pieces = Pieces(page)
    log_in(page, site.url, EMAIL, "secret")
    page.goto(site.url + long_video)
    start(page)
    bar = page.get_by_label("Seek")
    box = bar.bounding_box()
    assert box

    pieces.answer = refuse
    with page.expect_request(page.url):
        bar.click(position={"x": box["width"] * 0.9, "y": box["height"] / 2})
    pieces.answer = Route.continue_

    wait_until(lambda: at(page) > LONG * 0.9 + 1, timeout=20)
    assert page.locator("video").evaluate("video => video.src").startswith("blob:"), "HLS still"
    assert at(page) < LONG


def test_where_hls_does_not_play_the_mp4_does(page: Page, site: Stack, video: str) -> None:
    page.route("**/*.m3u8", refuse)
    log_in(page, site.url, EMAIL, "secret")
    page.goto(site.url + video)
    start(page)
    assert page.locator("video").evaluate("video => video.src").endswith("video.mp4")
    expect(quality(page)).to_be_hidden()


def test_without_hls_js_and_without_javascript_it_plays_too(
    browser: Browser, page: Page, site: Stack, video: str
) -> None:
    page.route("**/hls/*", lambda route: route.abort())
    log_in(page, site.url, EMAIL, "secret")
    page.goto(site.url + video)
    start(page)
    assert not page.locator("video").evaluate("video => video.src").startswith("blob:")

    context = browser.new_context(java_script_enabled=False, storage_state=page.context.storage_state())
    plain = context.new_page()
    plain.goto(site.url + video)
    assert (
        plain.locator("video")
        .evaluate("video => video.controls && video.children[0].getAttribute('src')")
        .endswith("video.mp4")
    )
    context.close()


def test_of_two_one_plays_and_a_card_has_all_controls(page: Page, site: Stack, video: str) -> None:
    log_in(page, site.url, EMAIL, "secret")
    page.get_by_role("article").last.get_by_role("button", name="Play").click()
    page.get_by_role("article").last.scroll_into_view_if_needed()
    wait_until(lambda: page.locator("video").last.evaluate("video => video.currentTime > 0"), timeout=20)
    screenshots(page, "player-card")
    expect(page.get_by_role("group", name="Controls")).to_be_visible()


# --- what its owner does there ---


@pytest.fixture
def own(page: Page, site: Stack, video: str) -> Page:
    """The page of the video, as its owner sees it."""
    log_in(page, site.url, EMAIL, "secret")
    page.goto(site.url + video)
    return page


def test_its_owner_shares_it_and_others_watch_without_a_login(own: Page, browser: Browser) -> None:
    title = own.get_by_role("heading", level=1).inner_text()
    own.get_by_label("Whoever has the link").check()
    own.get_by_role("button", name="Save").click()
    link = own.locator(".secret code").inner_text()
    screenshots(own, "video-shared")

    context = browser.new_context(viewport=DESKTOP, reduced_motion="reduce")
    viewer = context.new_page()
    viewer.goto(link)
    expect(viewer.get_by_role("heading", name=title)).to_be_visible()
    start(viewer)
    assert viewer.locator("video").evaluate("video => video.src").startswith("blob:")
    viewer.get_by_label("Seek").hover()
    wait_until(lambda: picture(viewer.locator("[data-part=preview]")))
    viewer.mouse.move(0, 0)
    screenshots(viewer, "video-as-others-see-it")

    own.get_by_role("button", name="Make a new link").click()
    expect(own.locator(".secret code")).not_to_have_text(link)
    assert viewer.goto(link).status == 404
    own.get_by_label("Everybody").check()
    own.get_by_role("button", name="Save").click()
    viewer.goto(f"{own.url.rpartition('/')[0]}/public")
    screenshots(viewer, "public")
    viewer.get_by_role("link", name=title).click()
    start(viewer)

    own.get_by_label("Only you").check()
    own.get_by_role("button", name="Save").click()
    expect(own.locator(".secret")).to_have_count(0)
    assert viewer.reload().status == 404
    context.close()


def test_another_file_takes_its_place_while_the_page_is_open(own: Page, clips: Path, tmp_path: Path) -> None:
    card = own.get_by_role("article")
    notes = tmp_path / "notes.mp4"
    notes.write_text("Not a video")
    own.get_by_label(re.compile("choose", re.I)).set_input_files(notes)
    expect(card.get_by_text("This file is not a video we can read")).to_be_visible(timeout=60_000)
    expect(card).to_contain_text("which is as it was")
    screenshots(own, "video-not-replaced")
    start(own)
    card.get_by_role("button", name="Keep it as it is").click()
    expect(card).to_have_attribute("data-state", "succeeded")

    own.get_by_label(re.compile("choose", re.I)).set_input_files(clip(clips, seconds=61, size="320x240"))
    expect(card).to_contain_text("which stays until it is ready", timeout=60_000)
    expect(card.locator("video")).to_be_visible()
    expect(card).to_have_attribute("data-state", "succeeded", timeout=90_000)
    expect(card.locator(".duration")).to_have_text("1:01")
    own.get_by_role("button", name="Play").click()
    wait_until(lambda: at(own) > 0.2, timeout=20)
    expect(quality(own).get_by_role("option")).to_have_text([re.compile("Auto"), "240p"])


def test_who_watches_while_it_is_replaced_goes_on_with_the_new_file(
    page: Page, site: Stack, long_video: str, clips: Path
) -> None:
    with Client(site, EMAIL) as client:
        video = client.patch(f"/api{long_video}", json={"visibility": "unlisted"}).raise_for_status().json()
        pieces = Pieces(page)
        page.goto(video["share_url"])
        start(page)
        page.keyboard.press("k")
        with clip(clips, seconds=61, size="320x240").open("rb") as file:
            job = client.post(f"/api{long_video}/replacement", files={"file": file})
        assert client.finished(job.headers["location"], timeout=120)["state"] == "succeeded"

    pieces.answer = Route.continue_
    for _ in range(int(LONG * 0.9 / 10)):
        page.keyboard.press("l")

    wait_until(lambda: page.locator("video").evaluate("({ duration }) => 60 < duration && duration < 62"), timeout=30)


def test_the_library_is_searched(page: Page, site: Stack, video: str, long_video: str) -> None:
    log_in(page, site.url, EMAIL, "secret")
    page.get_by_label("Search by title").fill("harbour")
    page.get_by_label("Which").select_option("Ready")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("article")).to_have_count(2)
    screenshots(page, "library-searched")
    page.get_by_label("Search by title").fill("market")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("No video is like this.")).to_be_visible()
    page.get_by_role("link", name="Show all and upload").click()
    expect(page.get_by_role("article")).to_have_count(2)
    screenshots(page, "library-with-search")
