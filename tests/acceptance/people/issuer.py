"""An identity provider that says whatever a test has it say. A real one, which cannot be had to misbehave, is in `../sign_in`."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
import time
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from joserfc.jwk import OctKey, RSAKey
from joserfc.jwt import encode

CIS2 = {"authentication_assurance_level": "3", "id_assurance_level": "3", "acr": "AAL3"}
LOGIN = {"identity_proofing_level": "P9", "vot": "P9.Cp.Cd", "nhs_number": "9000000009"}


class Issuer:
    """A provider on loopback. `tokens` answers its token endpoint: by default, with the ID token that a code was made for."""

    def __init__(self, convention: dict[str, Any]) -> None:
        self.convention = convention
        self.keys = [self.new_key()]
        self.published: list[RSAKey] | None = None
        self.down = False
        self.fetches: list[str] = []
        self.metadata: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.codes: dict[str, dict[str, Any]] = {}
        self.redeemed: list[dict[str, str]] = []
        self.answer: Any = None
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.fetches.append(self.path)
                self.say(*owner.said(self.path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
                self.say(*owner.redeem(form, self.headers.get("Authorization", "")))

            def say(self, status: int, document: Any) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    @staticmethod
    def new_key() -> RSAKey:
        return RSAKey.generate_key(2048, {"kid": uuid4().hex[:8], "use": "sig"})

    def rotate(self) -> None:
        """A new key in the place of the old one."""
        self.keys = [self.new_key()]

    def said(self, path: str) -> tuple[int, Any]:
        if self.down:
            return 503, {}
        if path == "/jwks":
            return 200, {"keys": [key.as_dict(private=False) for key in (self.published or self.keys)]}
        if path == "/userinfo":
            return 200, self.userinfo
        return 200, {
            "issuer": self.url, "jwks_uri": f"{self.url}/jwks", "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token", "userinfo_endpoint": f"{self.url}/userinfo",
            "code_challenge_methods_supported": ["S256"], "authorization_response_iss_parameter_supported": True,
            **self.metadata,
        }  # fmt: skip

    def redeem(self, form: dict[str, str], authorization: str) -> tuple[int, Any]:
        """The token endpoint."""
        self.redeemed.append({**form, "authorization": authorization})
        if self.answer is not None:
            return 200, self.answer
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None:
            return 400, {"error": "invalid_grant"}
        made = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if made != asked["challenge"]:
            return 400, {"error": "invalid_grant", "error_description": "PKCE"}
        return 200, {"access_token": "theirs", "token_type": "Bearer", "id_token": asked["id_token"]}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims, with changes; `...` leaves one out."""
        now = int(time.time())
        good = {
            "iss": self.url, "sub": "555021935107", "aud": "ward", "iat": now, "exp": now + 300, "sid": "s1", "auth_time": now,
            **self.convention,
        }  # fmt: skip
        return {name: value for name, value in {**good, **changes}.items() if value is not ...}

    def id_token(self, claims: dict[str, Any] | None = None, *, key: RSAKey | OctKey | None = None, **header: Any) -> str:
        """An ID token, signed with its newest key."""
        signer = key or self.keys[0]
        head = {"alg": "RS256", "typ": "JWT", "kid": signer.kid, **header}
        head = {name: value for name, value in head.items() if value is not ...}
        return encode(head, self.claims() if claims is None else claims, signer, algorithms=[head["alg"]], default_type=None)

    def code(self, question: dict[str, str], **claims: Any) -> str:
        """A code for what an authorization request asked."""
        code = uuid4().hex
        said = self.claims(**{"aud": question["client_id"], "nonce": question["nonce"], **claims})
        self.userinfo = {"sub": said["sub"], **self.userinfo_of(said)}
        self.codes[code] = {"challenge": question["code_challenge"], "id_token": self.id_token(said)}
        return code

    def userinfo_of(self, claims: dict[str, Any]) -> dict[str, Any]:
        return {
            "name": "A Clinician",
            "nhsid_useruid": claims["sub"],
            "nhsid_nrbac_roles": [
                {"person_roleid": "093895563513", "org_code": "RXN", "role_name": "Clinical Practitioner"},
                {"person_roleid": "555254242106", "org_code": "A81001", "role_name": "General Practitioner"},
            ],
            "nhsid_user_orgs": [{"org_code": "RXN", "org_name": "Northshire"}, {"org_code": "RBA", "org_name": "Taunton"}],
        }

    def logout_token(self, *, key: RSAKey | OctKey | None = None, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """What it reports when somebody signs out."""
        good = {
            "iss": self.url, "aud": "fiveways", "iat": int(time.time()), "jti": uuid4().hex, "sid": "s1", "sub": "555021935107",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        }  # fmt: skip
        claims = {name: value for name, value in {**good, **changes}.items() if value is not ...}
        return self.id_token(claims, key=key, **(header or {}))
