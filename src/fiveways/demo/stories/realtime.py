"""A ward and a practice talk in two browsers, and one's line drops; boards show how things are, while they change."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import msgspec

from fiveways.demo.nurse import open_browser
from fiveways.demo.stage import Answer, LeftOut, Stage
from fiveways.ledger.audit import AuditEvent
from fiveways.methods.realtime import transcript
from fiveways.platform.channeldesk import channel_desk
from fiveways.platform.inspect import trace

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

title = "Real time: a conversation whose line drops, and boards that move"

WARD, PRACTICE = "ward-system", "surgery-trial"
NEEDED = ("talk", "beds", "estate", "news")
BOARD: Final = "ward:7:board"
BEDS: Final = {
    "bed-1": {"status": "Occupied", "nurse": "P Patel"}, "bed-2": {"status": "Free"}, "bed-3": {"status": "Cleaning"},
    "bed-4": {"status": "Discharge due", "transport": "14:30"}, "free": 1,
}  # fmt: skip
CHANGE: Final = {"bed-2": {"status": "Occupied", "nurse": "J Osei"}, "free": 0}
SCORE: Final = "/risk/FHIR/R4/RiskAssessment/$score"
TILES: Final = """Object.fromEntries([...document.querySelectorAll(".tile")].map(tile =>
    [tile.querySelector("h2").firstChild.textContent, tile.querySelector(".body").innerText.replace(/\\s+/g, " ").trim()]))"""
LINE: Final = "each => `${each.querySelector('.from').textContent}: ${each.querySelector('.large').textContent}`"
PATIENCE = 20.0
"""Seconds after which a page is not waited for any longer: what is shown then says how it was."""


@dataclass
class Screens:
    """The browser, whom its pages are opened for, and the id that all of it goes under."""

    stage: Stage
    browser: Browser
    live: str
    tokens: Mapping[str, str]
    channel: str
    correlation: str

    async def open(self, path: str, application: str = WARD) -> Page:
        """A page, in a browser that shares nothing with the others."""
        context = await self.browser.new_context(viewport={"width": 1280, "height": 800})
        page = await context.new_page()
        await page.goto(f"{self.live}{path}#token={self.tokens[application]}&correlation={self.correlation}")
        await _until(lambda: _is(page, "body[data-line=live]"))
        return page

    async def call(self, method: str, path: str, said: Any = None, **headers: str) -> Answer:
        """A request of the ward's system over HTTP."""
        fields = {
            "authorization": f"Bearer {self.tokens[WARD]}", "content-type": "application/json",
            "x-correlation-id": self.correlation, **headers,
        }  # fmt: skip
        return await self.stage.call(method, path, fields, None if said is None else msgspec.json.encode(said))

    async def picture(self, page: Page, name: str) -> str:
        """Where a picture of a page is."""
        path = self.stage.folder / f"{name}.png"
        await page.screenshot(path=path)
        return str(path)


async def play(stage: Stage) -> None:
    """Play the story."""
    deployment = stage.platform.deployment
    if set(NEEDED) - set(deployment.channels) or "live" not in deployment.listeners:
        raise LeftOut(f"the deployment in {stage.folder} has no channels: play it in another --folder")
    async with AsyncExitStack() as stack:
        first = await open_browser(stack)
        assert first.context.browser is not None
        stage.chapter(
            title, "What is open stays open: for this the three criteria of the book are on record, or an exception (R4-R7)."
        )
        tokens = {name: (await stage.token(name)).json["access_token"] for name in (WARD, PRACTICE)}
        live = "http" + deployment.listeners["live"].url.removeprefix("ws")
        screens = Screens(stage, first.context.browser, live, tokens, f"talk:bed-4-{uuid4().hex[:6]}", str(uuid4()))
        await _begun(screens)
        ward, practice = [await screens.open(f"/talk/{screens.channel}", each) for each in (WARD, PRACTICE)]
        await _talk(screens, ward, practice)
        await _dropped(screens, ward, practice)
        await _back(screens, ward, practice)
        await _board(screens)
        await _estate(screens)
        await _news(screens)
        await _operator(screens, await _said(ward), await _said(practice))
    change = msgspec.json.encode({"bed-3": {"status": "Free"}, "free": 1}).decode()
    stage.next += [
        f'echo "{live}/boards/estate#token=$TOKEN"    # for your browser; and:',
        f'echo "{live}/boards/{BOARD}#token=$TOKEN"',
        f"curl -i {stage.url}/realtime/channels/{BOARD}/messages -H \"Authorization: Bearer $TOKEN\" -d '{change}'",
        f"{stage.command} channel transcript {screens.channel} {stage.folder}",
    ]


# --- the conversation ---------------------------------------------------------------------------------------------------------


async def _begun(screens: Screens) -> None:
    members = {"members": [f"application:{name}" for name in (WARD, PRACTICE)]}
    path = f"/realtime/channels/{screens.channel}/participants"
    screens.stage.step(
        "A ward begins a conversation with a practice, about bed 4",
        sent=f"POST {path}  {msgspec.json.encode(members).decode()}  X-Correlation-ID: {screens.correlation}",
        answer=await screens.call("POST", path, members),
        expect=201,
        because="Who is named here takes part, and nobody else joins. There is a page for it; any client of Centrifugo's does too.",
    )


async def _talk(screens: Screens, ward: Page, practice: Page) -> None:
    await _write(ward, "He could go home today. Can you see him on Thursday?")
    await _until(lambda: _is(practice, "#said .other .text"))
    await _write(practice, "Thursday, 9:40.")
    seen = await _until(lambda: _same(ward, practice, 2))
    read = await _until(lambda: _is(ward, ".own .ticks.read"))
    screens.stage.show(
        "Both have their page open, and talk",
        did=f"Chromium, twice: {screens.live}/talk/{screens.channel}#token=…",
        came=f"both show {len(await _said(ward))} messages; the ward sees: {await ward.locator('.own .ticks').first.inner_text()}",
        because="A message is on disk before it is acknowledged, and its number is the same for all. Who has read it is known.",
        show=await _said(practice),
        ok=seen and read,
    )


async def _dropped(screens: Screens, ward: Page, practice: Page) -> None:
    await practice.context.set_offline(True)
    await _until(lambda: _is(practice, "#banner:not([hidden])"))
    await _write(practice, "I tell the nurse.")
    for text in ("His transport is at 14:30.", "The letter follows."):
        await _write(ward, text)
    going_on = await _until(lambda: _count(ward, "#said .text", 4))
    banner = await practice.locator("#banner").inner_text()
    screens.stage.show(
        "The practice's line drops; the ward goes on, and so does the practice",
        did="(the practice's browser is offline)  the ward writes twice, the practice once",
        came=f"the ward sees {len(await _said(ward))} messages, the practice {len(await _said(practice))}: “{banner}”",
        because="Nobody is shown as up to date who is not; what is written waits in the page, under an id of its own.",
        ok=going_on and len(await _said(practice)) == 2 and "1 message waits" in banner,
    )


async def _back(screens: Screens, ward: Page, practice: Page) -> None:
    began = time.monotonic()
    await practice.context.set_offline(False)
    same = await _until(lambda: _same(ward, practice, 5))
    took = time.monotonic() - began
    away = await practice.locator(".note.back").all_inner_texts()
    screens.stage.show(
        "It is back, and has all of it",
        did="(the practice's browser is online)",
        came=f"after {took:.1f} s both show the same {len(await _said(practice))} messages; the practice: “{', '.join(away)}”",
        because="It said where it was cut off, and was given what came since; its own is said once, whatever was lost.",
        show={"ward": await _said(ward), "practice": await _said(practice)},
        ok=same and away == ["2 messages while you were away"] and await _is(practice, "#banner[hidden]"),
    )


# --- boards -------------------------------------------------------------------------------------------------------------------


async def _board(screens: Screens) -> None:
    path = f"/realtime/channels/{BOARD}/messages"
    await screens.call("POST", path, BEDS)
    page = await screens.open(f"/boards/{BOARD}")
    await _until(lambda: _is(page, ".tile"))
    before = await page.evaluate(TILES)
    began = time.monotonic()
    answer = await screens.call("POST", path, CHANGE)
    moved = await _until(lambda: _is(page, ".tile.changed", "J Osei"), pause=0.005)
    took = (time.monotonic() - began) * 1000
    late = await screens.open(f"/boards/{BOARD}")
    await _until(lambda: _is(late, ".tile"))
    now, whole = await page.evaluate(TILES), await late.evaluate(TILES)
    screens.stage.step(
        "A bed changes, and the ward's board moves; one that is opened later has the whole",
        sent=f"POST {path}  {msgspec.json.encode(CHANGE).decode()}",
        answer=answer,
        expect=201,
        because=f"On the screen {took:.0f} ms after it was sent. Only what changed went there; who comes late, or was too slow for "
        "changes, is given the state that they come to.",
        show={"before": before["Bed 2"], "now": now, "picture": await screens.picture(page, "ward-board")},
        ok=moved and before["Bed 2"] == "Free" and now["Bed 2"] == "Occupied Nurse J Osei" and now == whole,
    )


async def _estate(screens: Screens) -> None:
    page = await screens.open("/boards/estate")
    shown = await _until(lambda: _is(page, ".figures", "Published"))
    tiles = await page.evaluate(TILES)
    board = int((re.findall(r"Published ([\d,]+)", tiles.get("Real time", "")) or ["0"])[0].replace(",", ""))
    metrics = (await screens.stage.call("GET", "/metrics")).body.decode()
    counted = float((re.findall(r"^fiveways_realtime_published_total (\S+)", metrics, re.MULTILINE) or ["0"])[0])
    screens.stage.show(
        "Another board shows the platform itself, every second",
        did=f"Chromium: {screens.live}/boards/estate#token=…",
        came=f"{', '.join(tiles)}; published {board:,} messages by then, and {counted:,.0f} in /metrics a moment later",
        because="`follow: [{metrics: 1s}]`: the figures that Prometheus reads, in a channel like any other.",
        show={"Real time": tiles.get("Real time"), "picture": await screens.picture(page, "estate-board")},
        ok=shown and 0 < board <= counted and set(tiles) == {"APIs", "Inboxes", "Queues", "Real time"},
    )


async def _news(screens: Screens) -> None:
    page = await screens.open("/boards/news")
    before = await page.locator("#messages li").count()
    question = {"resourceType": "Parameters"}
    answer = await screens.call("POST", SCORE, question, **{"x-request-id": str(uuid4()), "content-type": "application/fhir+json"})
    status = answer.headers.get("content-location", "").removeprefix(screens.stage.url)
    ended = await screens.call("DELETE", status)
    told = await _until(lambda: _is(page, "#messages li.changed", "Job of risk"))
    lines = await page.locator("#messages li").evaluate_all(f"all => all.slice(0, 5).map({LINE})")
    screens.stage.show(
        "What is done by the other ways of exchanging is news here",
        did=f"POST {SCORE}, and DELETE {status}: an exchange, withdrawn (Chromium: {screens.live}/boards/news#token=…)",
        came=f"{ended.status}; {lines[0] if lines else 'nothing'}; {before} were there before, from other stories",
        because="`follow:` names a mailbox, an exchange and a feed. Each is published once, from the method's own records.",
        show=lines,
        ok=told and answer.status == 202 and "cancelled" in lines[0],
    )


# --- and the operator ---------------------------------------------------------------------------------------------------------


async def _operator(screens: Screens, ward: list[str], practice: list[str]) -> None:
    stage = screens.stage
    async with channel_desk(stage.platform.file, stage.folder / "data") as desk:
        _, messages, _ = await desk.transcript(screens.channel)
    written = [msgspec.json.decode(entry["data"])["text"] for entry in transcript.entries(messages) if "state" in entry]
    await stage.settle()
    events = await trace(stage.platform.file, stage.folder / "data", screens.correlation)
    kinds = [event.kind for event in events]
    stage.show(
        "The operator has the same conversation, and the audit all of it under one id",
        did=f"fiveways channel transcript {screens.channel}; fiveways trace {screens.correlation}",
        came=f"{len(written)} messages, as both saw them; {len(events)} events",
        because="What was said is in the channel; the audit says by whom, and who has read it, and has no word of it.",
        show={"transcript": transcript.text(messages).splitlines(), "trace": [_line(event) for event in events]},
        ok=written == ward == practice
        and kinds.count("realtime.message.say") == len(written)
        and "realtime.message.read" in kinds
        and not any(text in repr(events) for text in written),
    )


def _line(event: AuditEvent) -> str:
    who = event.subject or event.application
    return f"{who:28}{event.kind:26}{event.name} {event.status or ''}".rstrip()


# --- what a page shows --------------------------------------------------------------------------------------------------------


async def _write(page: Page, text: str) -> None:
    await page.locator("#words").fill(text)
    await page.locator("#words").press("Enter")


async def _said(page: Page) -> list[str]:
    return await page.locator("#said .text").all_inner_texts()


async def _is(page: Page, selector: str, text: str = "") -> bool:
    return await page.locator(selector, has_text=text or None).count() > 0


async def _count(page: Page, selector: str, count: int) -> bool:
    return await page.locator(selector).count() == count


async def _same(one: Page, other: Page, count: int) -> bool:
    """Whether both show the same messages in the same order: so many, and none that waits."""
    waiting = await one.locator("#waiting li").count() + await other.locator("#waiting li").count()
    said = await _said(one)
    return not waiting and len(said) == count and said == await _said(other)


async def _until(condition: Callable[[], Awaitable[bool]], *, pause: float = 0.05) -> bool:
    """Whether something came to be within PATIENCE."""
    until = time.monotonic() + PATIENCE
    while not (held := await condition()) and time.monotonic() < until:  # noqa: ASYNC110 (pages tell nobody)
        await asyncio.sleep(pause)
    return held
