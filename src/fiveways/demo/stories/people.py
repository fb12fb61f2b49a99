"""A nurse signs in where health workers do, in a browser, and applications act on her behalf: in her roles, and until it ends."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit
from uuid import uuid4

import msgspec

from fiveways.demo.nurse import ANOTHERS, NURSE, SURGERY, WARD, applications, identity_provider, open_browser
from fiveways.demo.signing_in import IdentityProvider
from fiveways.demo.stage import Answer, LeftOut, Stage
from fiveways.platform.inspect import trace
from fiveways.platform.listeners import Listener
from fiveways.platform.sessions import session_desk

if TYPE_CHECKING:
    from playwright.async_api import Page

title = "People: a nurse signs in, and acts in her roles and in no others"

PROVIDER, TABLET, SYSTEM = "cis2", "ward-tablet", "ward-system"
GREETING = "/hello-world/hello/user"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 (a name)
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
PATIENCE = 3.0
"""Seconds after which nobody waits any longer for a token to be refused; it takes one."""


async def play(stage: Stage) -> None:
    """Play the story."""
    deployment = stage.platform.deployment
    if PROVIDER not in deployment.identity.providers or "bedside" not in deployment.apis or TABLET not in deployment.applications:
        raise LeftOut(f"{stage.platform.file} has nobody who vouches for people: play it in another --folder")
    async with AsyncExitStack() as stack:
        page = await open_browser(stack)
        provider = await identity_provider(stage, stack, PROVIDER)
        await stage.serve(Listener(http=urlsplit(_way_back(stage)).netloc), applications())
        stage.chapter(
            title,
            "Where she signs in is a real OpenID Connect provider, which behaves as NHS CIS2 does; the browser is a real one too. "
            "Applications never see her credentials, and back ends never see a token.",
        )
        told = {"x-correlation-id": str(uuid4())}
        path = f"/bedside/FHIR/R4/Patient/{next(iter(stage.backend.patients))}"
        await _without(stage, path, told)
        code, verifier = await _signed_in(stage, page, provider)
        tokens = await _redeemed(stage, code, verifier)
        await _in_her_roles(stage, path, told | {"authorization": f"Bearer {tokens['access_token']}"})
        tokens = await _renewed(stage, tokens["refresh_token"])
        headers = told | {"authorization": f"Bearer {tokens['access_token']}"}
        await _stolen(stage, path, headers, code, verifier)
        headers = await _exchanged(stage, page, provider, told)
    await _ended(stage, headers)
    await _audit(stage, told["x-correlation-id"])


def _way_back(stage: Stage) -> str:
    """Where the tablet wants people to be sent back to."""
    return stage.platform.deployment.applications[TABLET].redirect_uris[0]


def _challenge(verifier: str) -> dict[str, str]:
    """What is asked for with a code, so that only whoever has `verifier` can redeem it (RFC 7636)."""
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return {"code_challenge": made, "code_challenge_method": "S256"}


# --- combined access: Fiveways signs her in -----------------------------------------------------------------------------------


async def _without(stage: Stage, path: str, told: dict[str, str]) -> None:
    system = (await stage.token(SYSTEM)).json["access_token"]
    answer = await stage.call("GET", path, told)
    alone = await stage.call("GET", path, told | {"authorization": f"Bearer {system}"})
    stage.step(
        "Nobody has signed in",
        sent=f"GET {path}",
        answer=answer,
        expect=401,
        because=f"This API is for people: 401 without a token, {alone.status} for an application that comes by itself (S35, S36).",
        show=answer.json,
        ok=alone.status in (401, 403),
    )


async def _signed_in(stage: Stage, page: Page, provider: IdentityProvider) -> tuple[str, str]:
    """A code, and the verifier that it takes to redeem it."""
    verifier, state = secrets.token_urlsafe(32), secrets.token_urlsafe(16)
    asked = {"client_id": TABLET, "redirect_uri": _way_back(stage), "response_type": "code", "state": state, **_challenge(verifier)}
    await page.goto(f"{stage.url}/oauth2/authorize?{urlencode(asked)}")
    heading = await page.locator("h1").inner_text()
    stage.show(
        "The tablet sends her here, and Fiveways sends her on",
        did=f"Chromium: {stage.url}/oauth2/authorize?client_id={TABLET}&redirect_uri=…&response_type=code&state=…&code_challenge=…",
        came=f"{page.url.partition('?')[0]}  “{heading}”",
        because="She is asked who she is where she always is, at her identity provider, and nowhere else. What Fiveways must know "
        "when she comes back is in a sealed cookie.",
        ok=page.url.startswith(f"{provider.issuer}/interaction/"),
    )
    await page.locator("input[name=login]").fill("nurse")
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{_way_back(stage)}?**")
    said = dict(parse_qsl(urlsplit(page.url).query))
    stage.show(
        "She signs in",
        did="Chromium: Login name [nurse]  (Sign in)",
        came=f"{page.url.partition('?')[0]}?code={said.get('code', '')[:12]}…&state=…&iss={said.get('iss')}",
        because="Fiveways has redeemed the provider's code, checked her ID token and asked for her roles. The tablet gets a code "
        "of Fiveways' own, which is good once, for five minutes.",
        ok=(said.get("state"), said.get("iss")) == (state, f"{stage.url}/oauth2") and bool(said.get("code")),
    )
    return said.get("code", ""), verifier


async def _redeemed(stage: Stage, code: str, verifier: str) -> dict[str, str]:
    answer = await _redeem(stage, code, verifier)
    return _tokens(
        stage,
        "The tablet redeems it",
        f"grant_type=authorization_code, code={code[:12]}…, code_verifier=…, client_assertion=…",
        answer,
        because="Ten minutes of access, and a refresh token that lasts as long as she may stay signed in: twelve hours.",
        count="0",
    )


async def _redeem(stage: Stage, code: str, verifier: str) -> Answer:
    return await stage.token(
        TABLET, grant_type="authorization_code", code=code, code_verifier=verifier, redirect_uri=_way_back(stage)
    )


async def _in_her_roles(stage: Stage, path: str, headers: dict[str, str]) -> None:
    answer = await stage.call("GET", path, headers | {"nhsd-session-urid": WARD})
    seen = stage.backend.seen[-1][2]
    told = {name: seen.get(name.lower()) for name in ("NHSD-Identity-UUID", "NHSD-Session-URID", "NHSD-End-User-Organisation-ODS")}
    stage.step(
        "She reads a patient, as a nurse of the ward",
        sent=f"GET {path}  Authorization: Bearer …  NHSD-Session-URID: {WARD}",
        answer=answer,
        expect=200,
        because="Who she is, in which of her roles, and for which organisation: her provider vouches for all three. This is what "
        "the back end was told, and it saw no token (S35).",
        show=told,
        ok=list(told.values()) == [NURSE["sub"], WARD, "RXN"] and "authorization" not in seen,
    )
    answer = await stage.call("GET", path, headers | {"nhsd-session-urid": ANOTHERS})
    stage.step(
        "In a role that is not hers",
        sent=f"GET {path}  NHSD-Session-URID: {ANOTHERS}",
        answer=answer,
        expect=400,
        because="An application may choose among her roles, and cannot give her one.",
        show=answer.json,
    )


async def _renewed(stage: Stage, refresh_token: str) -> dict[str, str]:
    answer = await stage.token(TABLET, grant_type="refresh_token", refresh_token=refresh_token)
    return _tokens(
        stage,
        "It renews them",
        f"grant_type=refresh_token, refresh_token=…{refresh_token[-12:]}, client_assertion=…",
        answer,
        because="Each refresh token is good once, and refresh_count counts. She does not have to sign in again.",
        count="1",
    )


def _tokens(stage: Stage, heading: str, sent: str, answer: Answer, *, because: str, count: str) -> dict[str, str]:
    body: dict[str, str] = answer.json if isinstance(answer.json, dict) else {}
    shown = {name: f"…{value[-12:]}" if name in ("access_token", "refresh_token") else value for name, value in body.items()}
    ok = body.get("refresh_count") == count
    stage.step(heading, sent=f"POST /oauth2/token  {sent}", answer=answer, expect=200, because=because, show=shown, ok=ok)
    return body


async def _stolen(stage: Stage, path: str, headers: dict[str, str], code: str, verifier: str) -> None:
    before = await stage.call("GET", path, headers | {"nhsd-session-urid": SURGERY})
    again = await _redeem(stage, code, verifier)
    after = await stage.call("GET", path, headers | {"nhsd-session-urid": SURGERY})
    stage.step(
        "The code comes a second time",
        sent=f"POST /oauth2/token  code={code[:12]}…, and then GET {path} with the token that was good before",
        answer=after,
        expect=401,
        because=f"One of the two who have it stole it, so the code gets {again.status} and all that it gave is taken back.",
        show={"before": before.status, "the code": again.json, "after": after.status},
        ok=(before.status, again.status) == (200, 400),
    )


# --- separate access: an application has signed her in itself -----------------------------------------------------------------


async def _exchanged(stage: Stage, page: Page, provider: IdentityProvider, told: dict[str, str]) -> dict[str, str]:
    id_token = await _id_token(stage, page, provider)
    answer = await stage.token(SYSTEM, grant_type=EXCHANGE, subject_token=id_token, subject_token_type=ID_TOKEN)
    tokens = _tokens(
        stage,
        "Another application has signed her in itself",
        f"grant_type=token-exchange, subject_token={id_token[:12]}… (her ID token), client_assertion=…",
        answer,
        because="Separate access: her provider knows her by now, and did not ask. The ID token must be from there, and made for "
        "this application (RFC 8693).",
        count="0",
    )
    headers = told | {"authorization": f"Bearer {tokens.get('access_token')}"}
    answer = await stage.call("GET", GREETING, headers)
    stage.step(
        "Its token does what the other did",
        sent=f"GET {GREETING}  Authorization: Bearer …",
        answer=answer,
        expect=200,
        because="The NHS platform's own greeting, for somebody who has signed in at aal3. It asks for no role.",
        show=answer.json,
    )
    return headers


async def _id_token(stage: Stage, page: Page, provider: IdentityProvider) -> str:
    """What the application gets from the provider with nothing of Fiveways between: it is known there under its own name."""
    way_back, secret, verifier = urljoin(_way_back(stage), SYSTEM), secrets.token_urlsafe(18), secrets.token_urlsafe(32)
    client = {"client_id": SYSTEM, "client_secret": secret, "redirect_uris": [way_back]}
    await asyncio.to_thread(provider.add_client, client)
    asked = {"client_id": SYSTEM, "redirect_uri": way_back, "response_type": "code", "scope": "openid", **_challenge(verifier)}
    await page.goto(f"{provider.issuer}/auth?{urlencode(asked)}")
    code = dict(parse_qsl(urlsplit(page.url).query))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": way_back, "code_verifier": verifier}
    response = await stage.client.post(f"{provider.issuer}/token").basic_auth(SYSTEM, secret).form(form).build().send()
    return str(msgspec.json.decode(bytes(await response.bytes()))["id_token"])


# --- and the operator ---------------------------------------------------------------------------------------------------------


async def _ended(stage: Stage, headers: dict[str, str]) -> None:
    async with session_desk(stage.platform.file, stage.folder / "data") as desk:
        sessions = await desk.list(provider=PROVIDER, subject=NURSE["sub"])
        stage.show(
            "The operator looks who is signed in",
            did=f"fiveways session list --subject {NURSE['sub']}",
            came=f"{len(sessions)} session",
            because="What the provider calls her, and no more: her name and roles are sealed.",
            show=[{"id": s.id, "application": s.application, "assurance": s.assurance, "access": s.access} for s in sessions],
            ok=[session.application for session in sessions] == [SYSTEM],
        )
        for session in sessions:
            await desk.end(session.id, "the tablet was lost")
    answer, took = await _until_refused(stage, GREETING, headers)
    stage.step(
        "And ends it",
        sent=f'fiveways session end {sessions[-1].id if sessions else "ID"} --reason "the tablet was lost"; GET {GREETING}',
        answer=answer,
        expect=401,
        because=f"Refused after {took:.1f} s here; in every process, on every node, it takes a second at most. The audit keeps who "
        "ended it, and why.",
    )


async def _until_refused(stage: Stage, path: str, headers: dict[str, str]) -> tuple[Answer, float]:
    """The first answer that is no success, or the last within PATIENCE, and how many seconds it took to come."""
    began = time.monotonic()
    unseen = {"authorization": headers["authorization"]}  # looking is no part of the conversation
    for _ in range(int(PATIENCE / 0.05)):
        if (await stage.call("GET", path, unseen)).status != 200:
            break
        await asyncio.sleep(0.05)
    took = time.monotonic() - began
    return await stage.call("GET", path, headers), took


async def _audit(stage: Stage, correlation: str) -> None:
    await stage.settle()
    events = await trace(stage.platform.file, stage.folder / "data", correlation)
    said = [(event, event.details or {}) for event in events]
    stage.show(
        "All of it is in the audit",
        did=f"fiveways trace {correlation}",
        came=f"{len(events)} events",
        because="Who it was, in which role, and how sure the provider was of her: no name, and nothing of a token.",
        show=[
            f"{event.application:12} {event.subject or '-':13} {details.get('role', '-'):13} {details.get('assurance', '-'):5} "
            f"{event.name:16} {event.status}"
            for event, details in said
        ],
        ok=(NURSE["sub"], WARD, "aal3", 200) in {(e.subject, d.get("role"), d.get("assurance"), e.status) for e, d in said},
    )
    stage.next.append(f"{stage.command} trace {correlation} {stage.folder}        # the story of the nurse")
