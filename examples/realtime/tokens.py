"""Key pairs of the three applications, and access tokens for them by signed JWT, as any consumer gets them.

python tokens.py keys             a key pair for each; the deployment registers the public halves
python tokens.py ward-system      a token, for a curl of your own
"""

# ruff: noqa: T201 (a program that prints)

from __future__ import annotations

import json
import sys
import time
import uuid
from pathlib import Path

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey

URL = "http://127.0.0.1:8076"
KEYS = Path("keys")
APPLICATIONS = ("ward-system", "surgery-system", "bed-management")
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def keys() -> None:
    """Make the key pairs that are not there."""
    KEYS.mkdir(mode=0o700, exist_ok=True)
    for application in APPLICATIONS:
        private = KEYS / f"{application}.pem"
        if not private.exists():
            key = RSAKey.generate_key(3072, {"kid": f"{application}-1", "use": "sig", "alg": "RS512"})
            private.touch(mode=0o600)
            private.write_bytes(key.as_pem(private=True))
            (KEYS / f"{application}.jwks.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))


async def token(application: str) -> str:
    """An access token; it lasts ten minutes."""
    url = f"{URL}/oauth2/token"
    claims = {"iss": application, "sub": application, "aud": url, "jti": str(uuid.uuid4()), "exp": int(time.time()) + 60}
    key = RSAKey.import_key((KEYS / f"{application}.pem").read_bytes())
    assertion = jwt.encode({"alg": "RS512", "kid": f"{application}-1", "typ": "JWT"}, claims, key, algorithms=["RS512"])
    form = {"grant_type": "client_credentials", "client_assertion_type": JWT_BEARER, "client_assertion": assertion}
    async with httpx.AsyncClient(timeout=10) as client:
        answer = (await client.post(url, data=form)).raise_for_status()
    return str(answer.json()["access_token"])


if __name__ == "__main__":
    import asyncio

    match sys.argv[1:]:
        case ["keys"]:
            keys()
        case [application] if application in APPLICATIONS:
            print(asyncio.run(token(application)))
        case _:
            sys.exit(__doc__)
