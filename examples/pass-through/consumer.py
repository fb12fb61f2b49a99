"""A consumer application in a page: makes its key pair, gets a token by signed JWT, and reads a patient through the gateway.

python consumer.py keys ward-system                            a private key, and the public half to register
python consumer.py token --key keys/ward-system.pem            an access token, for a curl of your own
python consumer.py read 9990000018 --key keys/ward-system.pem  a token, then GET …/Patient/9990000018

It needs httpx and joserfc, and nothing of Fiveways: any OAuth client that does private_key_jwt (RFC 7523) does the same.
"""

# ruff: noqa: T201 (a program that prints)

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from pathlib import Path

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def make_keys(application: str, folder: Path) -> None:
    """Write `folder/APPLICATION.pem`, which stays here, and `folder/APPLICATION.jwks.json`, which the platform is given."""
    key = RSAKey.generate_key(3072, {"kid": f"{application}-1", "use": "sig", "alg": "RS512"})
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    private = folder / f"{application}.pem"
    private.touch(mode=0o600)
    private.write_bytes(key.as_pem(private=True))
    (folder / f"{application}.jwks.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    print(f"{private} (keep it)  {application}.jwks.json (register it)")


def token(client: httpx.Client, client_id: str, key: Path) -> str:
    """An access token, for an assertion that lives a minute and is used once."""
    url = str(client.base_url.join("/oauth2/token"))
    claims = {"iss": client_id, "sub": client_id, "aud": url, "jti": str(uuid.uuid4()), "exp": int(time.time()) + 60}
    header = {"alg": "RS512", "kid": f"{client_id}-1", "typ": "JWT"}
    assertion = jwt.encode(header, claims, RSAKey.import_key(key.read_bytes()), algorithms=["RS512"])
    form = {"grant_type": "client_credentials", "client_assertion_type": JWT_BEARER, "client_assertion": assertion}
    answer = client.post("/oauth2/token", data=form).raise_for_status()
    return str(answer.json()["access_token"])


def read(client: httpx.Client, access_token: str, patient: str) -> httpx.Response:
    """The patient's record: an id for this request, which a resend would keep, and one for the conversation it belongs to."""
    ids = {"X-Request-ID": str(uuid.uuid4()), "X-Correlation-ID": str(uuid.uuid4())}
    headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/fhir+json", **ids}
    return client.get(f"/demographics/FHIR/R4/Patient/{patient}", headers=headers)


def main() -> int:
    """Run the command line; 0 where the answer was a success."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    keys = commands.add_parser("keys")
    keys.add_argument("application")
    keys.add_argument("--folder", type=Path, default=Path("keys"))
    asking, reading = commands.add_parser("token"), commands.add_parser("read")
    reading.add_argument("patient")
    for command in (asking, reading):
        command.add_argument("--url", default="http://127.0.0.1:8080")
        command.add_argument("--client-id", default="ward-system")
        command.add_argument("--key", type=Path, default=Path("keys/ward-system.pem"))
    arguments = parser.parse_args()
    if arguments.command == "keys":
        make_keys(arguments.application, arguments.folder)
        return 0
    try:
        with httpx.Client(base_url=arguments.url, timeout=10) as client:
            access_token = token(client, arguments.client_id, arguments.key)
            if arguments.command == "token":
                print(access_token)
                return 0
            answer = read(client, access_token, arguments.patient)
    except httpx.HTTPStatusError as refused:
        print(f"no token: {refused.response.status_code} {refused.response.text}", file=sys.stderr)
        return 1
    except (httpx.TransportError, OSError) as error:
        print(f"{arguments.url}: {error}", file=sys.stderr)
        return 1
    print(f"{answer.status_code}  X-Correlation-ID: {answer.headers['x-correlation-id']}")
    print(json.dumps(answer.json(), indent=2))
    return 0 if answer.is_success else 1


if __name__ == "__main__":
    sys.exit(main())
