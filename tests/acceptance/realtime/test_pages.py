"""The pages of real time in Chromium: a board, a list and a conversation; what they do without a line, and that text is text."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect, sync_playwright
from tests.acceptance.conftest import Serve
from tests.acceptance.realtime.conftest import Estate, estate_of, short_lived
from tests.acceptance.realtime.events import reading

from fiveways.demo.nurse import ALONE
from fiveways.demo.signing_in import find_browser
from fiveways.methods.realtime import pages

WARD, SECOND = "application:ward", "application:second"
HOSTILE = "<script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>"
PATIENCE = 15_000
"""Milliseconds that a page may take to show something."""

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    path = find_browser()
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=[ALONE])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module", autouse=True)
def _spoken(platform: Estate) -> None:
    """What was said before a test looks: of each of these three messages are kept, once they have been tidied up."""
    for channel, count in (("brief:52", 2), ("brief:59", 9)):
        for number in range(count - 1):
            platform.publish(channel, f"number {number}")
        platform.publish(channel, {"text": f"number {count - 1}", "by": HOSTILE})


Open = Callable[..., Page]


@pytest.fixture
def at(browser: Browser) -> Iterator[Open]:
    """Opens a page in a browser that has been nowhere yet; what goes wrong in its scripts fails the test."""
    contexts, errors = [], []

    def opened(estate: Estate, path: str, token: str | None = None, *, more: str = "", **options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(estate.events + path + (f"#token={token or estate.served.token('ward')}{more}" if token != "" else ""))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def tiles(page: Page) -> dict[str, str]:
    """What a board shows, by tile."""
    shown: dict[str, str] = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('.tile')].map(tile => "
        "[tile.querySelector('h2').firstChild.textContent, tile.querySelector('.body').innerText.replace(/\\s+/g, ' ').trim()]))"
    )
    return shown


def said(page: Page) -> list[str]:
    """What a conversation shows, in order, without what waits."""
    return page.locator("#said .text").all_inner_texts()


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def write(page: Page, text: str) -> None:
    """Write a message, and send it."""
    page.locator("#words").fill(text)
    page.locator("#words").press("Enter")


# --- how they are served ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/boards/ward:1:board", "/talk/talk:1", "/talk/a%2Fb", "/boards/assets/board.js"])
def test_pages_allow_nothing_from_elsewhere_and_nothing_inline(platform: Estate, path: str) -> None:
    answer = httpx.get(platform.events + path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy
    fields = {name: answer.headers[name] for name in ("x-content-type-options", "referrer-policy", "cache-control")}
    assert fields == {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-cache"}
    again = httpx.get(platform.events + path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = httpx.head(platform.events + path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(answer.content)))


def test_what_is_no_page_is_refused(platform: Estate) -> None:
    def status(path: str, method: str = "GET") -> int:
        return httpx.request(method, platform.events + path).status_code

    assert status("/boards/x", "POST") == 405
    found = {
        path: status(path) for path in ("/", "/boards/", "/boards/a/b", "/boards/assets/none.js", "/boards/assets/..%2Fpages.py")
    }
    assert found == dict.fromkeys(found, 404)


def test_the_files_of_pages_name_nothing_elsewhere_and_take_no_text_for_html() -> None:
    for name, file in pages.files().items():
        text = file.body.decode()
        assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://www.w3.org"}, name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|localStorage|sessionStorage", text), (
            name
        )
        assert not re.search(r"<script>|<style|\son\w+=|style=", text) or name.endswith(".js"), name


def test_a_page_is_told_that_the_line_is_there_where_it_asks_to_be(serve: Serve) -> None:
    context, live = estate_of(serve, realtime="ping: 1s, pong: 500ms")
    with context as served, reading(Estate(served, live), "news", here="true") as events:
        assert [events.next().name, events.next().name] == ["here", "here"]


# --- the token -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/boards/ward:40:board", "/talk/talk:40"])
def test_a_page_asks_for_a_token_where_it_has_none_or_none_that_is_good(platform: Estate, at: Open, path: str) -> None:
    platform.begin("talk:40", WARD, SECOND)
    page = at(platform, path, "")
    expect(page.locator("#asks-why")).to_have_text("This page needs an access token.")
    page.get_by_label("Access token", exact=True).fill("nobody's")
    page.get_by_role("button", name="Open").click()
    expect(page.locator("#asks-why")).to_have_text("This page needs an access token that is good.")
    page.get_by_label("Access token", exact=True).fill(platform.served.token("ward"))
    page.get_by_role("button", name="Open").click()
    expect(page.locator("body")).to_have_attribute("data-line", "live")
    expect(page.locator("#asks")).to_be_hidden()
    assert page.get_by_label("Access token", exact=True).input_value() == ""


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/boards/nowhere:1:x", "There is no such channel: its name fits no pattern of the deployment"),
        ("/boards/ward:40:board", "This channel is not open to you"),
        ("/talk/talk:41", "This channel is not open to you"),
    ],
)
def test_a_channel_that_is_not_open_says_so(platform: Estate, at: Open, path: str, why: str) -> None:
    platform.begin("talk:41", WARD)
    page = at(platform, path, platform.served.token("second"))
    expect(page.locator("#asks-why")).to_have_text(why)
    expect(page.locator("#line")).to_have_text("Not connected")


def test_somebody_else_may_go_on_with_a_page_that_was_not_open_to_one(platform: Estate, at: Open) -> None:
    platform.begin("talk:39", WARD)
    page = at(platform, "/talk/talk:39", platform.served.token("second"))
    expect(page.locator("#asks-why")).to_have_text("This channel is not open to you")
    page.get_by_label("Access token", exact=True).fill(platform.served.token("ward"))
    page.get_by_role("button", name="Open").click()
    expect(page.locator("body")).to_have_attribute("data-line", "live")
    write(page, "I am one of them")
    until(lambda: said(page) == ["I am one of them"])
    page.evaluate("token => { location.hash = `token=${token}` }", platform.served.token("second"))
    expect(page.locator("#asks-why")).to_have_text("This channel is not open to you")


def test_the_token_leaves_the_address_and_is_kept_nowhere(platform: Estate, at: Open) -> None:
    token = platform.served.token("ward")
    page = at(platform, "/boards/ward:42:board", "")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("about:blank")
    page.goto(f"{platform.events}/boards/ward:42:board#token={token}")
    expect(page.locator("body")).to_have_attribute("data-line", "live")
    assert token not in page.url
    assert {url.partition("?")[0] for url in asked if token in url} == {f"{platform.events}/channels/ward%3A42%3Aboard/events"}
    assert page.evaluate("Object.keys(localStorage).length + Object.keys(sessionStorage).length + document.cookie.length") == 0
    assert "access_token" not in platform.served.log
    assert token not in platform.served.log


def test_a_board_whose_token_ends_says_so_and_goes_on_with_another_in_the_address(platform: Estate, at: Open) -> None:
    platform.publish("ward:43:board", {"bed-1": "free"})
    page = at(platform, "/boards/ward:43:board", short_lived(platform.served, 3))
    until(lambda: tiles(page) == {"Bed 1": "free"})
    expect(page.locator("#asks-why")).to_have_text("Access has ended: the board needs another access token.")
    expect(page.locator("#banner")).to_contain_text("What is shown may be out of date")
    platform.publish("ward:43:board", {"bed-1": "taken"})
    page.evaluate("token => { location.hash = `token=${token}` }", platform.served.token("ward"))
    until(lambda: tiles(page) == {"Bed 1": "taken"})
    expect(page.locator("#banner")).to_be_hidden()
    assert "#" not in page.url


# --- boards ----------------------------------------------------------------------------------------------------------------------


def test_a_board_shows_the_whole_and_marks_what_changes(platform: Estate, at: Open) -> None:
    platform.publish("ward:44:board", {"bed-10": "free", "bed-2": {"status": "taken", "nurse": "P Patel"}, "waiting": 3, "gone": 1})
    page = at(platform, "/boards/ward:44:board")
    until(lambda: len(tiles(page)) == 4)
    assert tiles(page) == {"Bed 2": "taken Nurse P Patel", "Bed 10": "free", "Gone": "1", "Waiting": "3"}
    assert list(tiles(page)) == ["Bed 2", "Bed 10", "Gone", "Waiting"]
    assert page.title() == "Ward 44 board"
    assert page.locator(".changed").count() == 0
    platform.publish("ward:44:board", {"bed-10": "taken", "gone": None, "bed-1": "free"})
    until(lambda: tiles(page) == {"Bed 1": "free", "Bed 2": "taken Nurse P Patel", "Bed 10": "taken", "Waiting": "3"})
    assert page.locator(".changed h2").evaluate_all("all => all.map(each => each.firstChild.textContent)") == ["Bed 1", "Bed 10"]
    expect(page.locator("#told")).to_contain_text("Bed 10: taken")
    for number in (4, 6, 5):
        platform.publish("ward:44:board", {"waiting": number})
    expect(page.locator(".tile", has_text="Waiting").locator("svg.course")).to_have_count(1)


def test_nested_objects_are_tables(platform: Estate, at: Open) -> None:
    figures = {"patients": {"requests": 20, "errors": 0}, "updates": {"requests": 7, "errors": 2}}
    platform.publish("ward:45:board", {"apis": figures, "realtime": {"connections": 3, "published": 1_234}, "list": ["a", "b"]})
    page = at(platform, "/boards/ward:45:board")
    until(lambda: "APIs" in tiles(page))
    rows = page.locator(".grid tr").all_inner_texts()
    assert [row.split() for row in rows] == [["Requests", "Errors"], ["patients", "20", "0"], ["updates", "7", "2"]]
    assert page.locator(".alarm").all_inner_texts() == ["2"]
    assert tiles(page)["Real time"] == "Connections 3 Published 1,234"
    assert tiles(page)["List"] == "a, b"


def test_what_others_write_on_a_board_is_text(platform: Estate, at: Open) -> None:
    platform.publish("ward:46:board", {HOSTILE: HOSTILE, "__proto__": {"status": HOSTILE}, "of": {HOSTILE: {HOSTILE: HOSTILE}}})
    page = at(platform, "/boards/ward:46:board")
    until(lambda: HOSTILE in tiles(page))
    assert tiles(page)[HOSTILE] == HOSTILE
    assert page.locator(".grid tbody tr").inner_text().split("\t") == [HOSTILE, HOSTILE]
    assert page.locator("#board script, #board img").count() == 0
    assert page.evaluate("window.hurt") is None


def test_a_board_whose_line_drops_says_so_and_is_right_again_when_it_is_back(platform: Estate, at: Open) -> None:
    platform.publish("ward:47:board", {"bed-1": "free", "bed-2": "free"})
    page = at(platform, "/boards/ward:47:board")
    until(lambda: len(tiles(page)) == 2)
    page.context.set_offline(True)
    expect(page.locator("#banner")).to_contain_text("No connection since")
    expect(page.locator("body")).to_have_attribute("data-line", "trying")
    platform.publish("ward:47:board", {"bed-1": "taken", "bed-2": None})
    assert tiles(page) == {"Bed 1": "free", "Bed 2": "free"}
    page.context.set_offline(False)
    expect(page.locator("body")).to_have_attribute("data-line", "live")
    until(lambda: tiles(page) == {"Bed 1": "taken"})
    expect(page.locator("#banner")).to_be_hidden()


def test_a_server_that_dies_and_comes_back_is_waited_for(serve: Serve, at: Open) -> None:
    context, live = estate_of(serve)
    with context as served:
        estate = Estate(served, live)
        estate.publish("ward:1:board", {"bed-1": "free"})
        estate.begin("talk:1", WARD, SECOND)
        board, talk = at(estate, "/boards/ward:1:board"), at(estate, "/talk/talk:1")
        until(lambda: tiles(board) == {"Bed 1": "free"})
        expect(talk.locator("body")).to_have_attribute("data-line", "live")
        served.stop(signal.SIGKILL)
        expect(board.locator("#banner")).to_contain_text("No connection since")
        expect(talk.locator("#banner")).to_contain_text("No connection since")
        write(talk, "said while it was dead")
        expect(talk.locator("#waiting")).to_contain_text("Waits to be sent")
        served.start()
        estate.publish("ward:1:board", {"bed-2": "free"})
        until(lambda: tiles(board) == {"Bed 1": "free", "Bed 2": "free"})
        until(lambda: said(talk) == ["said while it was dead"])
        expect(talk.locator("#waiting li")).to_have_count(0)


def test_a_line_that_is_silent_for_too_long_is_taken_for_dead(platform: Estate, at: Open, browser: Browser) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.clock.install()
        page.goto(f"{platform.events}/boards/ward:48:board#token={platform.served.token('ward')}")
        expect(page.locator("body")).to_have_attribute("data-line", "live")
        context.route("**/events*", lambda route: route.abort())  # nobody answers any more
        page.clock.fast_forward(41_000)
        expect(page.locator("#banner")).to_contain_text("No connection since")
        context.unroute("**/events*")
        page.clock.fast_forward(4_000)
        expect(page.locator("body")).to_have_attribute("data-line", "live")


@pytest.mark.parametrize("count", [2, 9])
def test_a_channel_that_is_no_board_shows_its_newest_messages(platform: Estate, at: Open, count: int) -> None:
    """As many as are kept; what was said before the page was opened is not marked."""
    channel, kept = f"brief:5{count}", min(3, count)
    until(lambda: len(history(platform, channel)) == kept, 90)
    page = at(platform, f"/boards/{channel}")
    expect(page.locator("#messages li")).to_have_count(kept)
    first = page.locator("#messages li").first
    expect(first.locator(".large")).to_have_text(f"number {count - 1}")
    expect(first.locator("td")).to_have_text(HOSTILE)
    expect(page.locator(".changed")).to_have_count(0)
    platform.publish(channel, "and one more")
    expect(page.locator("#messages .changed .large")).to_have_text("and one more")
    assert page.evaluate("window.hurt") is None


def history(estate: Estate, channel: str) -> list[Any]:
    """What is kept of a channel; what is older than that goes when the platform looks."""
    answer = estate.served.call("GET", f"/realtime/channels/{channel}/messages?limit=1000", headers=estate.served.bearer())
    return list(answer.json()["messages"])


def test_an_ephemeral_channel_shows_what_comes(platform: Estate, at: Open) -> None:
    page = at(platform, "/boards/news")
    expect(page.locator("#empty")).to_have_text("Nothing has come yet.")
    platform.publish("news", {"what": "job", "of": "risk", "state": "completed", "status": 201})
    expect(page.locator("#messages .from")).to_contain_text("Job of risk")
    expect(page.locator("#messages .large")).to_have_text("completed")


# --- conversations ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(platform: Estate, at: Open, request: pytest.FixtureRequest) -> tuple[Page, Page, str]:
    """Two who talk, and where."""
    channel = f"talk:{abs(hash(request.node.name))}"
    platform.begin(channel, WARD, SECOND)
    ward, second = (at(platform, f"/talk/{quote(channel)}", platform.served.token(who)) for who in ("ward", "second"))
    for page in (ward, second):
        expect(page.locator("body")).to_have_attribute("data-line", "live")
    return ward, second, channel


def test_two_talk_and_see_what_was_delivered_and_read_and_who_writes(two: tuple[Page, Page, str]) -> None:
    ward, second, _ = two
    expect(ward.locator("#here .there")).to_have_text("Second")
    write(ward, "Can he go home?")
    expect(second.locator("#said .other .text")).to_have_text("Can he go home?")
    expect(ward.locator(".ticks")).to_have_text("✓✓ Read")
    second.locator("#words").press_sequentially("Yes")
    expect(ward.locator("#typing")).to_have_text("Second is writing …")
    second.locator("#words").press("Enter")
    until(lambda: said(ward) == said(second) == ["Can he go home?", "Yes"])
    expect(ward.locator("#typing")).to_have_text("")


def test_a_message_is_delivered_to_a_page_that_nobody_looks_at_and_read_when_somebody_does(two: tuple[Page, Page, str]) -> None:
    ward, second, _ = two
    second.evaluate("document.hasFocus = () => false")
    write(ward, "Anybody there?")
    expect(ward.locator(".ticks")).to_have_text("✓✓ Delivered")
    second.evaluate("document.hasFocus = () => true; window.dispatchEvent(new Event('focus'))")
    expect(ward.locator(".ticks")).to_have_text("✓✓ Read")


def test_what_stands_there_stays_while_other_things_come(two: tuple[Page, Page, str]) -> None:
    """Or all of it would be read out again, and whoever has opened something would lose their place."""
    ward, second, _ = two
    write(ward, "one")
    expect(ward.locator(".ticks")).to_have_text("✓✓ Read")
    ward.locator(".bubble").evaluate("bubble => { window.first = bubble; bubble.querySelector('button').focus(); }")
    write(second, "two")
    until(lambda: said(ward) == ["one", "two"])
    assert ward.evaluate("document.querySelector('.bubble') === window.first && window.first.contains(document.activeElement)")


def test_corrections_and_retractions_are_shown_as_such(two: tuple[Page, Page, str]) -> None:
    ward, second, _ = two
    write(ward, "5 mg")
    expect(ward.locator(".ticks")).to_have_text("✓✓ Read")
    ward.locator(".own").hover()
    ward.get_by_role("button", name="Correct", exact=True).click()
    expect(ward.locator("#about")).to_contain_text("Correcting: 5 mg")
    write(ward, "3 mg")
    expect(second.locator(".corrected .text")).to_have_text("3 mg")
    second.locator(".corrected summary").click()
    expect(second.locator(".corrected del")).to_have_text("5 mg")
    expect(second.get_by_role("button", name="Take back")).to_have_count(0)
    ward.get_by_role("button", name="Take back").click()
    write(ward, "another patient's")
    expect(second.locator(".retracted .gone")).to_contain_text("another patient's")
    assert said(ward) == said(second) == []


def test_what_others_say_is_text(two: tuple[Page, Page, str], platform: Estate) -> None:
    ward, second, channel = two
    write(ward, HOSTILE)
    platform.publish(channel, {"html": HOSTILE}, "second")
    until(lambda: said(second) == [HOSTILE, json.dumps({"html": HOSTILE}, separators=(",", ":"))])
    assert second.locator("#said script, #said img").count() == 0
    assert (ward.evaluate("window.hurt"), second.evaluate("window.hurt")) == (None, None)


def test_one_drops_out_what_was_said_goes_on_and_both_have_the_same_in_the_end(
    two: tuple[Page, Page, str], platform: Estate
) -> None:
    ward, second, channel = two
    write(ward, "one")
    until(lambda: said(second) == ["one"])
    second.context.set_offline(True)
    expect(second.locator("#banner")).to_contain_text("No connection since")
    for text in ("mine", "and mine"):
        write(second, text)
    expect(second.locator("#banner")).to_contain_text("2 messages wait")
    for text in ("two", "three", "four"):
        write(ward, text)
    until(lambda: said(ward) == ["one", "two", "three", "four"])
    expect(ward.locator("#here .away")).to_have_text("Second (away)", timeout=60_000)
    assert said(second) == ["one"]
    second.context.set_offline(False)
    until(lambda: said(second) == ["one", "two", "three", "four", "mine", "and mine"])
    until(lambda: said(ward) == said(second))
    expect(second.locator(".back")).to_have_text("3 messages while you were away")
    expect(second.locator("#banner")).to_be_hidden()
    expect(second.locator("#waiting li")).to_have_count(0)
    entries = platform.served.call("GET", f"/realtime/channels/{channel}/transcript", headers=platform.served.bearer()).json()
    assert [entry["data"]["text"] for entry in entries["entries"] if "state" in entry] == said(ward)


def test_a_message_whose_answer_was_lost_is_said_once(platform: Estate, at: Open, browser: Browser) -> None:
    """The connection is cut when the server has the message, and before the page knows."""
    platform.begin("talk:61", WARD, SECOND)
    sent: list[str] = []
    cut: list[str] = []
    with browser.new_context() as context:

        def between(socket: WebSocketRoute) -> None:
            server = socket.connect_to_server()

            def from_page(said: str | bytes) -> None:
                if "message.send" in str(said):
                    sent.append(str(said))
                server.send(said)

            def from_server(said: str | bytes) -> None:
                if sent and not cut:
                    cut.append(str(said))
                    socket.close(code=4000)
                    server.close()
                else:
                    socket.send(said)

            socket.on_message(from_page)
            server.on_message(from_server)

        context.route_web_socket("**/connection/websocket", between)
        page = context.new_page()
        page.goto(f"{platform.events}/talk/talk:61#token={platform.served.token('ward')}&correlation=c-61")
        expect(page.locator("body")).to_have_attribute("data-line", "live")
        write(page, "only once")
        until(lambda: len(sent) == 2 or said(page) == ["only once"])
        until(lambda: said(page) == ["only once"])
        expect(page.locator("#waiting li")).to_have_count(0)
    found = [each for each in history(platform, "talk:61") if each["tags"]["happening"] == "say"]
    assert [(each["data"], each["tags"]["correlation"]) for each in found] == [({"text": "only once"}, "c-61")]
    assert len({json.loads(each)["rpc"]["data"]["id"] for each in sent}) == 1


def test_what_is_refused_is_not_lost(two: tuple[Page, Page, str]) -> None:
    ward, second, _ = two
    write(ward, "x" * 70_000)
    expect(ward.locator("#waiting .refused")).to_contain_text("Not sent: A message in this channel has up to 65536 bytes")
    write(ward, "shorter")
    until(lambda: said(second) == ["shorter"])
    ward.get_by_role("button", name="Discard").click()
    expect(ward.locator("#waiting li")).to_have_count(0)


def test_who_comes_late_reads_what_was_said_page_by_page(platform: Estate, at: Open) -> None:
    platform.begin("talk:62", WARD, SECOND)
    messages = [{"channel": "talk:62", "data": {"text": f"number {number}"}} for number in range(400)]
    answer = platform.served.call("POST", "/realtime/messages", json={"messages": messages}, headers=platform.served.bearer())
    assert answer.status_code == 200
    page = at(platform, "/talk/talk:62", platform.served.token("second"))
    until(lambda: said(page)[-1:] == ["number 399"], 30)
    assert len(said(page)) < 400
    page.get_by_role("button", name="Show what was said earlier").click()
    until(lambda: said(page) == [f"number {number}" for number in range(400)])
    expect(page.locator("#earlier")).to_be_hidden()


def test_a_conversation_whose_token_ends_keeps_what_is_written_and_goes_on_with_another(platform: Estate, at: Open) -> None:
    platform.begin("talk:63", WARD, SECOND)
    page = at(platform, "/talk/talk:63", short_lived(platform.served, 5))
    expect(page.locator("body")).to_have_attribute("data-line", "live")
    expect(page.locator("#asks-why")).to_have_text("Access has ended: the conversation needs another access token.", timeout=40_000)
    write(page, "written without access")
    expect(page.locator("#waiting")).to_contain_text("written without access")
    page.get_by_label("Access token", exact=True).fill(platform.served.token("ward"))
    page.get_by_role("button", name="Open").click()
    until(lambda: said(page) == ["written without access"])


def test_a_conversation_that_is_closed_takes_nothing_more(two: tuple[Page, Page, str], platform: Estate) -> None:
    ward, second, channel = two
    write(ward, "bye")
    until(lambda: said(second) == ["bye"])
    second.evaluate(CLOSE, [platform.served.token("second"), channel])
    expect(ward.locator("#said .note").last).to_contain_text("Second closed the conversation")
    expect(ward.locator("#words")).to_be_disabled()


CLOSE = """([token, channel]) => {
  const socket = new WebSocket(new URL("/connection/websocket", location.href.replace("http", "ws")));
  socket.onopen = () => {
    socket.send(JSON.stringify({id: 1, connect: {token}}));
    socket.send(JSON.stringify({id: 2, rpc: {method: "conversation.close", data: {channel}}}));
  };
}"""


# --- how they look ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1920])
def test_nothing_is_wider_than_the_screen(platform: Estate, at: Open, scheme: str, width: int) -> None:
    platform.begin("talk:64", WARD, SECOND)
    long = "Donaudampfschifffahrtsgesellschaftskapitänswitwenversicherungspolice" * 2
    platform.publish("talk:64", {"text": long})
    figures = {f"exchange.callbacks.{number}": {"requests": 1_000_000, "errors": 12_345} for number in range(3)}
    platform.publish("ward:64:board", {"bed-1": long, "queues": figures, "bed-2": {"status": "taken", "name": long}})
    for path, shown in (("/boards/ward:64:board", ".tile"), ("/talk/talk:64", ".bubble")):
        page = at(platform, path, viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.wait_for_selector(shown)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ground, ink = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
        assert (_light(ground) > _light(ink)) == (scheme == "light")


def _light(colour: str) -> int:
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3])


def test_a_board_on_a_wall_is_as_large_as_the_wall_allows(platform: Estate, at: Open) -> None:
    def size(count: int) -> float:
        channel = f"ward:65-{count}:board"
        platform.publish(channel, {f"bed-{number}": "taken" for number in range(count)})
        page = at(platform, f"/boards/{channel}", viewport={"width": 1920, "height": 1080})
        page.wait_for_selector(".tile")
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
        return float(page.evaluate("parseFloat(getComputedStyle(document.querySelector('.large')).fontSize)"))

    few, many = size(4), size(48)
    assert few > many >= 24


def test_pages_are_made_of_landmarks_and_headings_and_controls_have_names(
    two: tuple[Page, Page, str], platform: Estate, at: Open
) -> None:
    talk, _, _ = two
    platform.publish("ward:66:board", {"bed-1": "free"})
    board = at(platform, "/boards/ward:66:board")
    board.wait_for_selector(".tile")
    for page in (talk, board):
        assert (
            page.get_by_role("main").count()
            == page.get_by_role("banner").count()
            == page.get_by_role("heading", level=1).count()
            == 1
        )
        assert page.locator("html").get_attribute("lang") == "en-GB"
    expect(talk.get_by_role("textbox", name="Message")).to_be_visible()
    expect(talk.get_by_role("log")).to_have_attribute("aria-live", "polite")
    expect(board.get_by_role("heading", level=2, name="Bed 1")).to_be_visible()
