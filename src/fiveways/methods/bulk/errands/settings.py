"""What the deployment file says of a partner's own SFTP server, and of what is brought there and fetched there."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from fiveways.deployment.settings import Duration, Name, Reference, Settings, Size
from fiveways.methods.bulk.schedule import Schedule

LOCAL_FILES: Final = "file:"
"""Before a folder of the machine."""
_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
KINDS: Final = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
"""The kinds of host key that are accepted. RSA keys sign with SHA-2 only (RFC 8332)."""
_SHORT: Final = {"ED25519": KINDS[:1], "ECDSA": KINDS[1:4], "RSA": KINDS[4:]}


class HostKey(NamedTuple):
    """A host key that a server may show: a line as in `known_hosts` or a `.pub` file, or its SHA-256 fingerprint, alone
    (`SHA256:…`), after the kind of key (`ssh-ed25519 SHA256:…`), or as `ssh-keygen -l` writes it."""

    fingerprint: str
    """`SHA256:` and the digest of the key in base64."""
    kinds: tuple[str, ...] = KINDS
    """Of which kind it is, as far as that is said."""

    def __str__(self) -> str:
        return f"{self.kinds[0]} {self.fingerprint}" if len(self.kinds) == 1 else self.fingerprint

    @classmethod
    def parse(cls, value: Any) -> HostKey:
        """A host key from its spelling in the deployment file."""
        if isinstance(value, HostKey):
            return value
        words = value.split() if isinstance(value, str) and len(value) < 10_000 else []
        for index, word in enumerate(words):
            if _FINGERPRINT.fullmatch(word):
                before = words[index - 1] if index else ""
                return cls(word, (before,) if before in KINDS else _SHORT.get(words[-1].strip("()"), KINDS))
            if word in KINDS and index < 2 and words[index + 1 :] and not words[index + 1].startswith("SHA256:"):
                return cls(_fingerprint(word, words[index + 1]), (word,))
        kinds = ", ".join(KINDS)
        raise ValueError(f"expected a line of a known_hosts or .pub file, or a fingerprint SHA256:…, of a key of one of: {kinds}")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "examples": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI…", "SHA256:…"]}


def _fingerprint(kind: str, encoded: str) -> str:
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the host key is not base64") from None
    rest, parts = blob, []
    while len(rest) >= 4 and len(rest) >= 4 + (size := int.from_bytes(rest[:4], "big")):
        parts.append(rest[4 : 4 + size])
        rest = rest[4 + size :]
    if rest or len(parts) < 2 or parts[0] != kind.encode():
        raise ValueError(f"the host key is no {kind} key: was it copied whole?")
    return f"SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).rstrip(b'=').decode()}"


def _remote(value: str) -> str:
    if ".." in value.split("/") or not value.isprintable():
        raise ValueError("expected a folder of the server, such as /out or out/daily, without `..`")
    return value.rstrip("/") or ("/" if value else ".")


def _local(value: str) -> str:
    path = value.removeprefix(LOCAL_FILES)
    if not path.startswith("/") or {".", ".."} & set(path.split("/")) or not value.isprintable():
        raise ValueError("expected a folder below the root of a partner's files, such as /inbox, or of this machine: file:/srv/x")
    return value.rstrip("/") or "/"


def _temporary(value: str) -> str:
    if "{id}" not in value or "/" in value or not value.isprintable():
        raise ValueError("expected a name with {id} in it, such as .{id}.part")
    return value


RemoteFolder = Annotated[str, AfterValidator(_remote), Field(max_length=1024, examples=["/out", "out/daily"])]
"""A folder of a partner's server; one that does not begin with a slash is below where its account begins."""
LocalFolder = Annotated[str, AfterValidator(_local), Field(max_length=1024, examples=["/inbox", "file:/srv/extracts"])]
"""A folder of a partner's files here; or, after `file:`, of the machine (the same on every node)."""
FilePattern = Annotated[str, Field(pattern=r"^[^/\x00-\x1f\x7f]{1,255}$", examples=["*.csv"])]
"""Names of files: `*`, `?` and `[…]` stand for what they do in a shell; a name that begins with a dot needs a pattern that does."""


class Server(Settings):
    """A partner's own SFTP server, and how we show it who we are."""

    host: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?$")
    """Its host name or address."""
    port: int = Field(default=22, ge=1, le=65535)
    """Its port."""
    user: str = Field(pattern=r"^[^\x00-\x1f\x7f]{1,255}$")
    """Our account there."""
    key: Reference | None = None
    """Our private key, in OpenSSH's or PEM form."""
    passphrase: Reference | None = None
    """What the private key is encrypted with, if it is."""
    password: Reference | None = None
    """Our password, where keys are not taken."""
    host_keys: tuple[HostKey, ...] = Field(min_length=1, max_length=16)
    """The host keys that it may show: there is no trust on first use. Several while one is being changed. A server that has keys of
    several kinds shows the first of ours: say the kind beside a fingerprint."""
    connect: Duration = Field(default=timedelta(seconds=20), gt=timedelta(0))
    """How long it may take until we are let in."""
    idle: Duration = Field(default=timedelta(seconds=60), gt=timedelta(0))
    """How long it may be silent when something is asked of it."""

    @model_validator(mode="after")
    def _shows_something(self) -> Self:
        if self.key is None and self.password is None:
            raise ValueError("expected key or password")
        if self.passphrase is not None and self.key is None:
            raise ValueError("passphrase: means nothing without key")
        return self


class Readiness(Settings):
    """How a file is known to be whole where it comes from (B21)."""

    still_for: Duration = timedelta(seconds=60)
    """By its size and time not having changed for so long, as we have seen."""
    marker: str | None = Field(default=None, pattern=r"^[^/\x00-\x1f\x7f]{1,255}$", examples=["{name}.done", "{stem}.ok"])
    """By another file beside it; then nothing is waited for. `{name}` is its name, `{stem}` what is before its last dot."""

    @model_validator(mode="after")
    def _names_it(self) -> Self:
        if self.marker is not None and ("{name}" not in self.marker) == ("{stem}" not in self.marker):
            raise ValueError("marker: expected {name} or {stem} in it: {name}.done")
        if self.marker == "{name}":
            raise ValueError("marker: is the file itself")
        return self


class _ErrandSettings(Settings):
    """What both kinds of errand have."""

    partner: Name
    """The partner whose server it is (`server:` of the partner)."""
    tree: Name | None = None
    """The partner whose files they are here. Default: the same."""
    files: FilePattern = "*"
    """Which files."""
    schedule: Schedule | None = None
    """When. Default: only when asked (`fiveways bulk push`, `fiveways bulk pull`)."""
    existing: Literal["refuse", "replace"] = "refuse"
    """What becomes of a file where there is another of its name already: it is not moved, or takes its place."""
    same_content: Literal["again", "skip"] = "again"
    """What becomes of a file that has changed its time and not its content since it was moved: it is moved again, or not."""
    temporary: Annotated[str, AfterValidator(_temporary), Field(max_length=100)] = ".{id}.part"
    """What a file is called where it is brought until it is whole; only then it is given its name."""
    at_once: int = Field(default=1, ge=1, le=32)
    """Files that are moved at once: many small ones over a long line take much less time so. With one, they come in the order of
    their times."""
    most_files: int = Field(default=10_000, ge=1)
    """Files of one run; the others wait for the next."""
    listing: int = Field(default=100_000, ge=1, le=10_000_000)
    """Names of a folder that are looked at."""
    largest: Size = Field(default=100 * 2**30, ge=1)
    """Bytes of a file; larger ones are not moved."""
    time_limit: Duration = Field(default=timedelta(hours=6), gt=timedelta(0))
    """How long a run may take; what is not done then is done by the next."""
    keep: Duration = timedelta(days=400)
    """How long it is remembered that a file was moved after it was last seen where it came from."""


class Push(_ErrandSettings):
    """Files that are brought to a partner's server."""

    do: Literal["push"]
    """That they are."""
    source: LocalFolder = Field(alias="from")
    """The folder here."""
    to: RemoteFolder
    """The folder there; it must be there."""
    complete_when: Readiness | None = None
    """How a file here is known to be whole. Default: it is there, of a partner's files, which only appear when they are whole; in a
    folder of the machine, it has not changed for a minute."""
    after: Literal["keep", "remove"] = "keep"
    """What becomes of a file here that is there. Its marker goes with it."""

    @property
    def readiness(self) -> Readiness:
        """How a file here is known to be whole."""
        if self.complete_when is not None:
            return self.complete_when
        return Readiness() if self.source.startswith(LOCAL_FILES) else Readiness(still_for=timedelta(0))


class Pull(_ErrandSettings):
    """Files that are fetched from a partner's server."""

    do: Literal["pull"]
    """That they are."""
    source: RemoteFolder = Field(alias="from")
    """The folder there."""
    to: LocalFolder
    """The folder here; it must be there."""
    complete_when: Readiness = Readiness()
    """How a file is known to be whole."""
    after: Literal["keep", "remove", "move"] = "keep"
    """What becomes of a file there that is here: it stays, is removed, or is moved to `done`. Its marker goes with it."""
    done: RemoteFolder = "done"
    """Where it is moved to: a folder, below `from` unless it begins with a slash. It is made where it is not there."""

    @property
    def readiness(self) -> Readiness:
        """How a file there is known to be whole."""
        return self.complete_when


Errand = Annotated[Push | Pull, Field(discriminator="do")]
"""Files that are moved between us and a partner's server."""
