"""An identity provider for the bench: it publishes a key, and vouches for one health worker."""

from __future__ import annotations

import http.server
import json
import threading
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode
from urllib.request import urlopen

from joserfc import jwt
from joserfc.jwk import RSAKey

ROLE = "093895563513"


class Issuer:
    """On loopback, in a thread; `stop` ends it."""

    def __init__(self) -> None:
        self._key = RSAKey.generate_key(2048, {"kid": "bench", "use": "sig"})
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(issuer._published(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Publish nothing any more."""
        self._server.shutdown()
        self._server.server_close()

    def token(self, url: str, application: str, form: bytes) -> str:
        """An access token of the platform at `url`, on behalf of the health worker; `form`: with which the application asks for one
        of its own."""
        now = int(time.time())
        claims = {
            "iss": self.url, "sub": "555021935107", "aud": application, "iat": now, "exp": now + 300,
            "authentication_assurance_level": "3", "nhsid_nrbac_roles": [{"person_roleid": ROLE, "org_code": "RXN"}],
        }  # fmt: skip
        asked = {
            **dict(parse_qsl(form.decode())),
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "subject_token": jwt.encode({"alg": "RS512", "typ": "JWT", "kid": "bench"}, claims, self._key, algorithms=["RS512"]),
        }
        with urlopen(f"{url}/oauth2/token", urlencode(asked).encode(), timeout=10) as answer:
            token: str = json.load(answer)["access_token"]
        return token

    def _published(self, path: str) -> dict[str, Any]:
        if path == "/jwks":
            return {"keys": [self._key.as_dict(private=False)]}
        return {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}
