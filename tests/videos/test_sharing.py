"""Who sees a video besides its owner: by the API, by the pages, by the addresses of its files."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.client import Client, Visitor, new_email
from tests.contract import checked_client, refused
from tests.stack import Stack
from videos.models import Video

FILES = {"master.m3u8": b"#EXTM3U\n", "video.mp4": b"moving", "poster.jpg": b"a picture", "storyboard.vtt": b"WEBVTT\n"}


@pytest.fixture(scope="module")
def site(make_module_stack) -> Stack:
    return make_module_stack(only=["web", "valkey"])


@pytest.fixture
def owner(site: Stack) -> Iterator[Client]:
    with checked_client(site) as client:
        yield client


@pytest.fixture
def video(site: Stack, owner: Client) -> Video:
    return published(site, owner, "Harbour at four")


def published(site: Stack, owner: Client, title: str) -> Video:
    with site.inside():
        video = Video(owner=owner.user, title=title, duration=61)
        folder = f"{video.folder}/attempt"
        video.playlist, video.mp4, video.poster, video.storyboard = (f"{folder}/{name}" for name in FILES)
        video.original = video.original_name
        (site.folder / "media" / folder).mkdir(parents=True)
        for name, content in FILES.items():
            (site.folder / "media" / folder / name).write_bytes(content)
        (site.folder / "media" / video.original_name).write_bytes(b"as uploaded")
        video.save()
    return video


def shared(owner: Client, video: Video, visibility: str) -> str | None:
    """Where others see it now, below the address of the site."""
    answer = owner.patch(f"/api/videos/{video.pk}", json={"visibility": visibility}).raise_for_status().json()
    assert answer["visibility"] == visibility
    return answer["share_url"]


def media_on(page: httpx.Response) -> set[str]:
    return set(re.findall(r'"(/media/[^"]+)"', page.text))


def test_whoever_has_the_link_sees_the_video_and_nothing_else(site, owner, video):
    other = published(site, owner, "Not for you")
    address = shared(owner, video, "unlisted")
    page = site.http.get(address)
    assert "Harbour at four" in page.text and page.headers["x-robots-tag"] == "noindex"
    assert owner.user.email not in page.text
    files = media_on(page)
    assert {one.rpartition("/")[2] for one in files} == FILES.keys()
    for file in files:
        answer = site.http.get(file)
        assert answer.content == FILES[file.rpartition("/")[2]]
        assert "no-cache" in answer.headers["cache-control"], "as it may end at any moment"
    there = files.pop().rpartition("/")[0]
    for path in (f"{there}/../original", f"{there}/original", f"/videos/{video.pk}", f"/videos/{video.pk}/card"):
        assert site.http.get(path).status_code in (302, 404), path
    assert site.http.get(f"/api/videos/{video.pk}").status_code == 401
    assert str(other.pk) not in page.text and "Not for you" not in site.http.get("/videos/public").text
    assert "Harbour at four" not in site.http.get("/videos/public").text, "unlisted"


def test_made_private_again_everything_ends_at_once(site, owner, video):
    address = shared(owner, video, "public")
    files = media_on(site.http.get(address))
    assert files and all(site.http.get(file).is_success for file in files)
    assert shared(owner, video, "private") is None
    assert {site.http.get(path).status_code for path in (address, *files)} == {404}
    assert "Harbour at four" not in site.http.get("/videos/public").text
    again = shared(owner, video, "unlisted")
    assert again != address, "an old link stays ended"
    assert {site.http.get(path).status_code for path in (address, *files)} == {404}


def test_a_new_link_ends_the_old_one(site, owner, video):
    before = shared(owner, video, "unlisted")
    files = media_on(site.http.get(before))
    after = owner.post(f"/api/videos/{video.pk}/link").json()["share_url"]
    assert site.http.get(after).is_success
    assert {site.http.get(path).status_code for path in (before, *files)} == {404}
    assert shared(owner, video, "public") == after, "another audience, the same link"
    shared(owner, video, "private")
    assert "is private, so it has no link" in refused(owner.post(f"/api/videos/{video.pk}/link"), 409)


def test_public_videos_are_listed_for_everybody(site, owner, video):
    address = shared(owner, video, "public")
    page = site.http.get("/videos/public")
    assert "Harbour at four" in page.text and httpx.URL(address).path in page.text
    assert all(site.http.get(file).is_success for file in media_on(page))
    assert "x-robots-tag" not in site.http.get(address).headers
    with site.inside():
        Video.objects.filter(pk=video.pk).update(mp4="")
    assert "Harbour at four" not in site.http.get("/videos/public").text
    assert "not ready yet" in site.http.get(address).text


def test_only_its_owner_shares_it(site, owner, video):
    with Client(site, new_email()) as stranger:
        refused(stranger.patch(f"/api/videos/{video.pk}", json={"visibility": "public"}), 404)
        refused(stranger.post(f"/api/videos/{video.pk}/link"), 404)
        visitor = Visitor(site, stranger)
        for act in ("share", "link", "replace", "keep"):
            answer = visitor.post(f"/videos/{video.pk}/{act}", data={"visibility": "public"}, headers=visitor.csrf)
            assert answer.status_code == 404, act
        visitor.close()
    refused(owner.patch(f"/api/videos/{video.pk}", json={"visibility": "friends"}), 422)
    assert owner.get(f"/api/videos/{video.pk}").json()["visibility"] == "private"
    for link in ("None", "", "x" * 5000, video.pk):
        assert site.http.get(f"/v/{link}").status_code == 404


# --- finding ---


def test_videos_are_found_by_words_of_their_title_and_how_they_stand(site, owner, video):
    for number in range(30):
        published(site, owner, f"Market {number}")
    with site.inside():
        Video.objects.create(owner=owner.user, title="Market unready")

    def found(**query: object) -> list[str]:
        return [one["title"] for one in owner.get("/api/videos", params=query).raise_for_status().json()]

    assert found(q="four HARBOUR") == ["Harbour at four"]
    assert found(q="nowhere") == []
    assert len(found(q="market")) == 31 and len(found(q="market", standing="ready")) == 30
    assert found(standing="dead") == []
    refused(owner.get("/api/videos", params={"standing": "lost"}), 422)

    visitor = Visitor(site, owner)
    first = visitor.get("/videos/", params={"q": "market", "standing": "ready"})
    assert first.text.count("<article") == 24 and 'value="market"' in first.text
    older = re.search(r'rel="next" href="([^"]+)"', first.text)[1].replace("&amp;", "&")
    second = visitor.get(f"/videos/{older}")
    assert second.text.count("<article") == 6 and "Harbour" not in second.text
    assert "No video is like this." in visitor.get("/videos/?q=nowhere").text
    visitor.close()
