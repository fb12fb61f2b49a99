"""A service that hands wards over, in separate access: it signs people in at NHS CIS2 itself, and Fiveways takes their ID tokens.

It needs requests-oauth2client, and nothing of Fiveways. It proves who it is with a private key, to CIS2 and to Fiveways alike.
"""

from __future__ import annotations

import json
import secrets
import uuid
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import requests
from jwskate import Jwk
from requests_oauth2client import AuthorizationRequest, AuthorizationResponse, OAuth2Client, OAuth2Error, PrivateKeyJwt
from requests_oauth2client.exceptions import AuthorizationResponseError, InvalidAuthResponse
from requests_oauth2client.tokens import InvalidIdToken

FIVEWAYS = "http://127.0.0.1:8088"
CIS2 = "http://127.0.0.1:8096/openid"
HERE = "http://127.0.0.1:8098"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 (a name)
GOING_WRONG = (OAuth2Error, AuthorizationResponseError, InvalidAuthResponse, InvalidIdToken)


class Handover(BaseHTTPRequestHandler):
    """Hands over the ward, for whoever signs in."""

    at_fiveways: OAuth2Client
    at_cis2: OAuth2Client
    asked: ClassVar[dict[str, AuthorizationRequest]] = {}

    def do_GET(self) -> None:
        """Send the browser to CIS2; and when it comes back, say what the API said."""
        if self.path == "/":
            cookie = secrets.token_urlsafe()
            asked = self.at_cis2.authorization_request(scope="openid nationalrbacaccess", acr_values="AAL3_ANY")
            self.asked[cookie] = asked
            return self.answer(302, {}, Location=asked.uri, **{"Set-Cookie": f"handover={cookie}; HttpOnly; SameSite=Lax"})
        if not self.path.startswith("/signed-in?"):
            return self.answer(404, {"error": "there is no such page"})
        cookies = SimpleCookie(self.headers.get("Cookie", ""))
        known = self.asked.pop(cookies["handover"].value, None) if "handover" in cookies else None
        if known is None:
            return self.answer(400, {"error": "nobody was sent out from this browser"})
        try:
            said = self.handed_over(known.validate_callback(self.path))
        except GOING_WRONG as error:
            return self.answer(400, {"error": str(error)})
        return self.answer(said.status_code, said.json())

    def handed_over(self, came: AuthorizationResponse) -> requests.Response:
        """The ward's list, asked for on behalf of whoever has signed in."""
        signed_in = self.at_cis2.authorization_code(came)  # checks the ID token: signature, issuer, audience, nonce, acr
        role = self.at_cis2.userinfo(signed_in)["nhsid_nrbac_roles"][0]["person_roleid"]
        token = self.at_fiveways.token_exchange(subject_token=str(signed_in.id_token), subject_token_type=ID_TOKEN)
        headers = {"NHSD-Session-URID": role, "X-Request-ID": str(uuid.uuid4())}
        try:
            return requests.get(f"{FIVEWAYS}/handover/patients", headers=headers, auth=token, timeout=10)
        finally:
            self.at_fiveways.revoke_refresh_token(token)  # done: nobody needs the session any more

    def answer(self, status: int, body: Any, **headers: str) -> None:
        """Send JSON."""
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Cache-Control": "no-store", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(body, indent=2).encode() + b"\n")


def main() -> None:
    """Serve until Ctrl-C."""
    proof = PrivateKeyJwt("handover", Jwk.from_pem(Path("keys/handover.pem").read_bytes(), kid="handover-1", alg="RS512"))
    metadata = f"{FIVEWAYS}/oauth2/.well-known/oauth-authorization-server"
    # testing lets it talk http, to this machine
    Handover.at_fiveways = OAuth2Client.from_discovery_endpoint(metadata, auth=proof, testing=True)
    Handover.at_cis2 = OAuth2Client.from_discovery_endpoint(issuer=CIS2, auth=proof, redirect_uri=f"{HERE}/signed-in", testing=True)
    ThreadingHTTPServer(("127.0.0.1", int(HERE.rpartition(":")[2])), Handover).serve_forever()


if __name__ == "__main__":
    main()
