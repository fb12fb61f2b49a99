"""What a deployment file may say of servers and errands."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from fiveways.methods.bulk.errands.settings import Errand, HostKey, Pull, Push, Server

ERRAND: TypeAdapter[Push | Pull] = TypeAdapter(Errand)
BLOB = b"\0\0\0\x0bssh-ed25519" + b"\0\0\0\x20" + b"k" * 32
LINE = f"ssh-ed25519 {base64.b64encode(BLOB).decode()}"
FINGERPRINT = "SHA256:" + base64.b64encode(hashlib.sha256(BLOB).digest()).decode().rstrip("=")
PUSH = {"do": "push", "partner": "rxn", "from": "/outbox", "to": "/in"}
PULL = {"do": "pull", "partner": "rxn", "from": "/out", "to": "/inbox"}
SERVER = {"host": "sftp.example.nhs.uk", "user": "fiveways", "key": "file:key", "host_keys": [LINE]}


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (LINE, 1), (f"{LINE} root@host", 1), (f"sftp.example.nhs.uk,10.0.0.1 {LINE}", 1), (f"|1|salt=|hash= {LINE}", 1),
        (FINGERPRINT, 5), (f"ssh-ed25519 {FINGERPRINT}", 1), (f"256 {FINGERPRINT} root@host (ED25519)", 1),
        (f"256 {FINGERPRINT} no comment (ECDSA)", 3),
    ],
)  # fmt: skip
def test_host_keys_in_every_form(text: str, kinds: int) -> None:
    key = HostKey.parse(text)
    assert key.fingerprint == FINGERPRINT
    assert len(key.kinds) == kinds
    assert HostKey.parse(str(key)).fingerprint == key.fingerprint


@pytest.mark.parametrize(
    "text",
    [
        "", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-ed25519 !!!!", LINE[:-8], f"@cert-authority * {LINE}", "SHA256:short",
        "MD5:16:27", f"ssh-dss {LINE.split()[1]}", f"ssh-rsa {LINE.split()[1]}", 7, None, "x" * 20_000,
    ],
)  # fmt: skip
def test_what_is_no_host_key(text: Any) -> None:
    with pytest.raises(ValueError, match=r"expected a line|host key is"):
        HostKey.parse(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"host_keys": []}, {"host_keys": None}, {"key": None}, {"key": "-----BEGIN OPENSSH PRIVATE KEY-----"},
        {"password": "secret"}, {"key": None, "password": "env:P", "passphrase": "env:Q"},
        {"host": "-oProxyCommand=x"}, {"host": "a b"}, {"user": ""},
        {"user": "a\nb"}, {"port": 0}, {"idle": "0s"}, {"proxy": "x"},
    ],
)  # fmt: skip
def test_servers_that_are_refused(wrong: dict[str, Any]) -> None:
    Server.model_validate(SERVER)
    with pytest.raises(ValidationError) as caught:
        Server.model_validate({**SERVER, **wrong})
    assert "PRIVATE KEY" not in str([error["msg"] for error in caught.value.errors()])


@pytest.mark.parametrize(
    "wrong",
    [
        {"do": "sync"}, {"to": "/in/../.."}, {"to": "/in\n"}, {"from": "outbox"}, {"from": "/outbox/.."}, {"from": "file:x"},
        {"files": "a/b"}, {"files": ""}, {"temporary": "part"}, {"temporary": "../{id}"}, {"most_files": 0}, {"after": "move"},
        {"existing": "merge"}, {"schedule": {"at": "25:00"}}, {"complete_when": {"marker": "done"}},
    ],
)  # fmt: skip
def test_pushes_that_are_refused(wrong: dict[str, Any]) -> None:
    ERRAND.validate_python(PUSH)
    with pytest.raises(ValidationError):
        ERRAND.validate_python({**PUSH, **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"from": "../out"}, {"to": "inbox"}, {"complete_when": {"marker": "done"}}, {"complete_when": {"marker": "{name}"}},
        {"complete_when": {"marker": "{name}{stem}"}}, {"complete_when": {"marker": "x/{name}"}}, {"done": "../done"},
    ],
)  # fmt: skip
def test_pulls_that_are_refused(wrong: dict[str, Any]) -> None:
    ERRAND.validate_python(PULL)
    with pytest.raises(ValidationError):
        ERRAND.validate_python({**PULL, **wrong})


def test_folders_are_written_in_one_way() -> None:
    pull = ERRAND.validate_python({**PULL, "from": "out/daily/", "to": "/inbox/"})
    assert (pull.source, pull.to) == ("out/daily", "/inbox")
    assert ERRAND.validate_python({**PULL, "from": "", "to": "/"}).source == "."
    assert ERRAND.validate_python({**PUSH, "from": "file:/srv/x/"}).source == "file:/srv/x"
    assert ERRAND.validate_python({**PUSH, "to": "/"}).to == "/"
