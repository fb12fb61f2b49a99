"""The ward's board, a web application in combined access: Fiveways signs people in for it, at their identity provider.

It needs requests-oauth2client, starlette and uvicorn, and nothing of Fiveways. Tokens stay here: browsers have a cookie only.
"""

from __future__ import annotations

import html
import json
import os
import secrets
import threading
import uuid
from dataclasses import dataclass, field

import requests
import uvicorn
from requests_oauth2client import AuthorizationRequest, OAuth2AccessTokenAuth, OAuth2Client, OAuth2Error
from requests_oauth2client.exceptions import AuthorizationResponseError, InvalidAuthResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

FIVEWAYS = "http://127.0.0.1:8088"
HERE = "http://127.0.0.1:8097"
SECRET = os.environ.get("CLIENT_SECRET", "ward-board-demo-secret")


@dataclass
class Person:
    """Somebody who has signed in: how requests are made for them, and their roles."""

    tokens: OAuth2AccessTokenAuth
    roles: list[str]
    lock: threading.Lock = field(default_factory=threading.Lock)
    """A refresh token is good once: two threads must not renew at the same time."""


class Board:
    """The pages. Each runs in a thread of its own."""

    def __init__(self) -> None:
        self.client = OAuth2Client.from_discovery_endpoint(
            f"{FIVEWAYS}/oauth2/.well-known/oauth-authorization-server",
            client_id="ward-board",
            client_secret=SECRET,
            redirect_uri=f"{HERE}/signed-in",
            testing=True,  # which lets it talk http, to this machine
        )
        self.asked: dict[str, AuthorizationRequest] = {}
        self.people: dict[str, Person] = {}
        pages = {"/": self.board, "/sign-in": self.sign_in, "/signed-in": self.signed_in}
        routes = [Route(path, page) for path, page in pages.items()]
        self.app = Starlette(routes=[*routes, Route("/sign-out", self.sign_out, methods=["POST"])])

    def board(self, request: Request) -> Response:
        """The ward, in one of the person's roles."""
        person = self.people.get(request.cookies.get("board", ""))
        if person is None:
            return _page('<a href="/sign-in">Sign in</a>')
        role = request.query_params.get("role", next(iter(person.roles), ""))
        headers = {"NHSD-Session-URID": role, "X-Request-ID": str(uuid.uuid4())}
        try:
            with person.lock:  # an access token that is about to expire is renewed first
                said = requests.get(f"{FIVEWAYS}/ward/patients", headers=headers, auth=person.tokens, timeout=10)
        except OAuth2Error:  # and here it was not: the session has ended
            said = None
        if said is None or said.status_code == 401:
            return _page('Your session has ended. <a href="/sign-in">Sign in</a>')
        roles = " ".join(f'<a href="/?role={html.escape(each)}">{html.escape(each)}</a>' for each in person.roles)
        text = html.escape(f"{said.status_code}\n{json.dumps(said.json(), indent=2)}")
        return _page(f'{roles}<pre>{text}</pre><form method="post" action="/sign-out"><button>Sign out</button></form>')

    def sign_in(self, _: Request) -> Response:
        """Off to Fiveways, with a state and a challenge (PKCE) for this browser alone."""
        cookie = secrets.token_urlsafe()
        self.asked[cookie] = self.client.authorization_request(scope="nhs-cis2")
        return _to(self.asked[cookie].uri, cookie)

    def signed_in(self, request: Request) -> Response:
        """Back from Fiveways: where state and issuer are right, the code becomes tokens."""
        asked = self.asked.pop(request.cookies.get("board", ""), None)
        if asked is None:
            return _page('Nobody was sent out from this browser. <a href="/sign-in">Sign in</a>', 400)
        try:
            token = self.client.authorization_code(asked.validate_callback(str(request.url)))
            roles = [role["person_roleid"] for role in self.client.userinfo(token)["nhsid_nrbac_roles"]]
        except (OAuth2Error, AuthorizationResponseError, InvalidAuthResponse) as error:
            return _page(html.escape(f"Nobody was signed in: {error}"), 400)
        cookie = secrets.token_urlsafe()  # another than before, which somebody else may have planted
        self.people[cookie] = Person(OAuth2AccessTokenAuth(self.client, token), roles)
        return _to("/", cookie)

    def sign_out(self, request: Request) -> Response:
        """Fiveways takes all tokens back."""
        person = self.people.pop(request.cookies.get("board", ""), None)
        if person is not None and person.tokens.token is not None:
            self.client.revoke_refresh_token(person.tokens.token)
        return RedirectResponse("/", 303)


def _page(body: str, status: int = 200) -> Response:
    return HTMLResponse(f"<!doctype html><title>The ward</title>{body}", status, {"Cache-Control": "no-store"})


def _to(url: str, cookie: str) -> Response:
    response = RedirectResponse(url, 302, {"Cache-Control": "no-store"})
    response.set_cookie("board", cookie, httponly=True, samesite="lax")  # and secure=True, behind https
    return response


if __name__ == "__main__":
    uvicorn.run(Board().app, host="127.0.0.1", port=int(HERE.rpartition(":")[2]), access_log=False)
