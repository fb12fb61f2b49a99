"""Channels in a browser: a conversation of two pages with centrifuge-js as it is shipped for browsers, and EventSource.

The browser is a real Chromium; npm fetches the library once. Where either is out of reach these tests are skipped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from tests.acceptance.conftest import Serve
from tests.acceptance.realtime.clients import BROWSER, JAVASCRIPT, shows
from tests.acceptance.realtime.conftest import Estate, estate_of, short_lived
from tests.acceptance.realtime.javascript_client import SOURCES, wait
from tests.acceptance.realtime.line import Line
from tests.acceptance.sign_in.conftest import ALONE

from fiveways.demo.signing_in import find_browser

PAGE = "page.html"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(javascript_packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of the pages."""
    folder = tmp_path_factory.mktemp("site")
    copy(SOURCES / PAGE, folder)
    copy(javascript_packages / "node_modules" / "centrifuge" / "dist" / "centrifuge.js", folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def estate(serve: Serve, site: str) -> Iterator[Estate]:
    """The platform, which lets pages of this origin connect."""
    context, live = estate_of(serve, realtime=f"origins: ['{site}']")
    with context as served:
        yield Estate(served, live)


@pytest.fixture(scope="module")
def browser(estate: Estate) -> Iterator[Browser]:
    """Chromium."""
    path = find_browser()
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ALONE)
        yield chromium
        chromium.close()


Opens = Callable[[], Page]


@pytest.fixture
def opened(browser: Browser, site: str) -> Iterator[Opens]:
    """Opens the page, each time in a context of its own."""
    with ExitStack() as stack:

        def new() -> Page:
            page = stack.enter_context(browser.new_context()).new_page()
            page.goto(f"{site}/{PAGE}")
            return page

        yield new


def heard(page: Page) -> dict[str, Any]:
    """What a page has heard."""
    found: dict[str, Any] = page.evaluate("heard")
    return found


def converse(page: Page, estate: Estate, application: str, channel: str) -> None:
    """Have a page join a conversation."""
    page.evaluate("given => converse(...given)", [estate.websocket, estate.served.token(application), channel])


def say(page: Page, data: Any) -> None:
    """Have a page say something, and wait until it is written."""
    page.evaluate("data => subscription.publish(data)", data)


def watch(page: Page, address: str, estate: Estate, channel: str, token: str = "") -> None:
    """Have a page follow a channel with EventSource."""
    told = token or estate.served.token("ward")
    page.evaluate("url => watch(url)", f"{address}/channels/{channel}/events?access_token={told}")
    wait(lambda: heard(page)["opened"] == 1)


@shows(JAVASCRIPT, "page", "recovery")
def test_two_pages_agree_on_every_message_though_one_was_away(estate: Estate, opened: Opens) -> None:
    estate.begin("talk:61", "application:ward", "application:second")
    ward, second = opened(), opened()
    converse(ward, estate, "ward", "talk:61")
    converse(second, estate, "second", "talk:61")
    for number in range(5):
        say(ward, {"id": f"w-{number}", "text": f"ward {number}"})
        say(second, {"id": f"s-{number}", "text": f"second {number} “Zoë”"})
    wait(lambda: len(heard(second)["said"]) == 10)
    second.context.set_offline(True)
    wait(lambda: second.evaluate("client.state") == "connecting", what="it does not notice that the line is cut")
    for number in range(5, 45):
        say(ward, {"id": f"w-{number}", "text": f"ward {number}"})
    assert len(heard(second)["said"]) == 10
    second.context.set_offline(False)
    wait(lambda: len(heard(second)["said"]) == 50, 20)
    say(second, {"id": "s-5", "text": "back again"})
    say(second, {"id": "s-5", "text": "back again"})  # as it does that does not know whether the first was heard
    wait(lambda: len(heard(ward)["said"]) == len(heard(second)["said"]) == 51)
    assert heard(ward)["said"] == heard(second)["said"]
    assert ["subscribed", True, True] in heard(second)["told"]
    assert [each for each in heard(second)["told"] if each[0] == "disconnected"] == []
    transcript = estate.served.call("GET", "/realtime/channels/talk:61/transcript", headers=estate.served.bearer()).json()
    written = [[each["offset"], each["data"]] for each in transcript["entries"] if "state" in each]
    assert written == [[offset, data] for offset, _, data in heard(ward)["said"]]


def test_a_line_that_is_cut_while_both_speak_loses_nothing(estate: Estate, opened: Opens) -> None:
    estate.begin("talk:62", "application:ward", "application:second")
    line = Line(estate.live)
    try:
        ward, second = opened(), opened()
        converse(ward, estate, "ward", "talk:62")
        address = f"ws://127.0.0.1:{line.port}/connection/websocket"
        second.evaluate("given => converse(...given)", [address, estate.served.token("second"), "talk:62"])
        for number in range(4):
            say(ward, {"id": f"w-{number}"})
            line.cut()
            say(ward, {"id": f"v-{number}"})
            line.mend()
            wait(lambda count=2 * number + 2: len(heard(second)["said"]) == count)  # type: ignore[misc]
        assert heard(ward)["said"] == heard(second)["said"]
        assert len([each for each in heard(second)["told"] if each[0] == "connected"]) == 5
    finally:
        line.close()


def test_a_page_of_another_origin_is_not_let_in(serve: Serve, opened: Opens) -> None:
    context, live = estate_of(serve, realtime="origins: ['https://board.northshire.test']")
    with context as served:
        other, page = Estate(served, live), opened()
        page.evaluate("given => void converse(...given)", [other.websocket, served.token("ward"), "news"])
        said = page.evaluate(
            "url => new Promise(done => { const own = new WebSocket(url); own.onopen = () => done('open'); "
            "own.onclose = ({code}) => done(code); })",
            other.websocket,
        )
        assert said == 1006
        assert ["connected", 0] not in heard(page)["told"]
        page.evaluate("url => watch(url)", f"{other.events}/channels/news/events?access_token={served.token('ward')}")
        wait(lambda: page.evaluate("source.readyState") == 2)
        assert heard(page)["opened"] == 0


@shows(BROWSER, "token", "read", "recovery", "page")
def test_event_source_goes_on_with_where_it_was(estate: Estate, opened: Opens) -> None:
    line = Line(estate.live)
    try:
        page = opened()
        watch(page, f"http://127.0.0.1:{line.port}", estate, "brief:63")
        estate.publish("brief:63", {"text": "one"})
        wait(lambda: len(heard(page)["events"]) == 2)
        line.cut()
        estate.publish("brief:63", {"text": "two\nlines"})
        estate.publish("brief:63", 3)
        line.mend()
        wait(lambda: len(heard(page)["events"]) >= 5, 20)
        estate.publish("brief:63", 4)
        wait(lambda: len(heard(page)["events"]) >= 6)
    finally:
        line.close()
    found = heard(page)
    assert [each[:2] for each in found["events"]] == [
        ["joined", None], ["message", {"text": "one"}], ["joined", None], ["message", {"text": "two\nlines"}], ["message", 3],
        ["message", 4],
    ]  # fmt: skip
    assert [int(each[2].partition(":")[2]) for each in found["events"]] == [0, 1, 1, 2, 3, 4]
    assert (found["opened"], found["failed"] > 0) == (2, True)


@shows(BROWSER, "lost")
def test_event_source_is_told_when_what_it_missed_is_gone(estate: Estate, opened: Opens) -> None:
    """Its line is cut, and meanwhile the channel is another one."""
    line = Line(estate.live)
    try:
        page = opened()
        estate.publish("brief:64", 1)
        page.evaluate("url => watch(url)", f"http://127.0.0.1:{line.port}/channels/brief:64/events?since=0123456789ab:7"
                      f"&access_token={estate.served.token('ward')}")  # fmt: skip
        wait(lambda: len(heard(page)["events"]) == 2)
        assert [each[0] for each in heard(page)["events"]] == ["joined", "reset"]
        line.cut()
        line.mend()
        estate.publish("brief:64", 2)
        wait(lambda: len(heard(page)["events"]) >= 4, 20)
        assert [each[:2] for each in heard(page)["events"][2:]] == [["joined", None], ["message", 2]], "it has an id of its own now"
    finally:
        line.close()


@shows(BROWSER, "board")
def test_event_source_shows_a_board(estate: Estate, opened: Opens) -> None:
    estate.publish("ward:65:board", {"bed-1": "free", "bed-2": "taken"})
    page = opened()
    watch(page, estate.events, estate, "ward:65:board")
    estate.publish("ward:65:board", {"bed-1": None})
    wait(lambda: len(heard(page)["events"]) == 3)
    assert [each[:2] for each in heard(page)["events"]] == [
        ["joined", None], ["snapshot", {"bed-1": "free", "bed-2": "taken"}], ["message", {"bed-1": None}],
    ]  # fmt: skip


@shows(BROWSER, "come")
def test_event_source_is_told_who_comes_and_goes(estate: Estate, opened: Opens) -> None:
    page, other = opened(), opened()
    watch(page, estate.events, estate, "brief:66")
    converse(other, estate, "second", "brief:66")
    wait(lambda: len(heard(page)["events"]) == 2)
    other.evaluate("client.disconnect()")
    wait(lambda: len(heard(page)["events"]) == 3)
    assert [each[0] for each in heard(page)["events"]] == ["joined", "join", "leave"]


@shows(BROWSER, "restart")
def test_event_source_comes_back_when_the_server_was_stopped(serve: Serve, site: str, opened: Opens) -> None:
    context, live = estate_of(serve, realtime=f"origins: ['{site}']")
    with context as served:
        own, page = Estate(served, live), opened()
        watch(page, own.events, own, "brief:1")
        own.publish("brief:1", 1)
        wait(lambda: len(heard(page)["events"]) == 2)
        assert served.stop() == 0
        served.start()
        own.publish("brief:1", 2)
        wait(lambda: len(heard(page)["events"]) >= 4, 30)
        assert [each[:2] for each in heard(page)["events"]] == [["joined", None], ["message", 1], ["joined", None], ["message", 2]]


def test_event_source_stops_for_good_when_its_token_has_expired(estate: Estate, opened: Opens) -> None:
    page = opened()
    watch(page, estate.events, estate, "news", short_lived(estate.served, 2))
    wait(lambda: page.evaluate("source.readyState") == 2, 15)
    assert heard(page)["opened"] == 1
