"""Raw requests of MESH's protocol, for what no client would send; and the public mesh-sandbox to compare with."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

V2 = "application/vnd.mesh.v2+json"
V1 = "application/vnd.mesh.v1+json"
KEY = b"TestKey"
PASSWORD = "password"
HANDSHAKE = {"mex-clientversion": "1", "mex-osname": "Linux", "mex-osversion": "6"}


def token(
    mailbox: str,
    *,
    nonce: str | None = None,
    count: str = "1",
    at: datetime | None = None,
    password: str = PASSWORD,
    key: bytes = KEY,
) -> str:
    """A value of Authorization, new each time unless `nonce` is given."""
    nonce = nonce if nonce is not None else str(uuid.uuid4())
    stamp = f"{at or datetime.now(UTC):%Y%m%d%H%M}"
    digest = hmac.new(key, f"{mailbox}:{nonce}:{count}:{password}:{stamp}".encode(), hashlib.sha256).hexdigest()
    return f"NHSMESH {mailbox}:{nonce}:{count}:{stamp}:{digest}"


@dataclass(frozen=True)
class Answer:
    """What came back: names of fields in lower case, content as it was sent."""

    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        """The content, read as JSON."""
        return json.loads(self.content)


class Wire:
    """A connection to a server; sends the fields that it is given and no others (but Host and Content-Length)."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)

    def __call__(
        self,
        method: str,
        path: str,
        mailbox: str | None = None,
        *,
        accept: str | None = None,
        headers: Mapping[str, str | bytes] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """The answer to a request; with a new token of `mailbox`, where one is named."""
        said: dict[str, str | bytes] = dict(headers or {})
        if mailbox is not None:
            said.setdefault("authorization", token(mailbox))
        if accept is not None:
            said["accept"] = accept
        if body is not None:
            said["content-length"] = str(len(body))
        self._connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in said.items():
            self._connection.putheader(name, value)
        self._connection.endheaders(body)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 500:  # some servers hang up then, without saying so
            self._connection.close()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


class PublicSandbox:
    """NHSDigital's mesh-sandbox, in a process of its own, in memory."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "STORE_MODE": "memory", "SHARED_KEY": KEY.decode(), "AUTH_MODE": "full"}
        command = [sys.executable, "-W", "ignore", "-m", "uvicorn", "mesh_sandbox.api:app", "--port", "0", "--no-access-log"]
        self._process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        self.url = ""
        for line in self._process.stderr:
            found = re.search(r"running on (http://\S+)", line)
            if found is not None:
                self.url = found[1]
                break
        assert self.url, "mesh-sandbox did not start"
        self._reader = threading.Thread(target=self._process.stderr.read)  # it logs much: nothing may fill the pipe
        self._reader.start()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)
        self._reader.join()
        assert self._process.stderr is not None
        self._process.stderr.close()
