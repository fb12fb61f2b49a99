"""The `bulk:`, `partners:` and `feeds:` parts of the deployment file: who brings and takes files, and what is agreed of them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fiveways.deployment.need import Need
from fiveways.deployment.settings import Duration, HttpUrl, Name, OdsCode, PythonName, Reference, Settings, Size
from fiveways.methods.bulk.errands.settings import Server
from fiveways.methods.bulk.quality.settings import CutSettings, QualitySettings
from fiveways.methods.bulk.schedule import Expectation
from fiveways.methods.bulk.sftp.settings import Access, SftpSettings


def _folder(value: str) -> str:
    if not re.fullmatch(r"(/[^/\x00-\x1f\x7f]{1,255})+", value) or {".", ".."} & set(value.split("/")):
        raise ValueError("expected a folder below the partner's root, such as /activity")
    return value


def _regular(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"expected a regular expression: {error}") from None
    return value


Folder = Annotated[str, AfterValidator(_folder), Field(max_length=1024, examples=["/activity"])]
"""A folder below a partner's root."""
Pattern = Annotated[str, Field(pattern=r"^[^/\x00-\x1f\x7f]{1,255}$", examples=["*.csv"])]
"""Names of files: `*` and `?` stand for what they do in a shell."""
Regular = Annotated[str, AfterValidator(_regular), Field(min_length=1, max_length=500)]
"""A regular expression of Python's `re`."""


class Completion(Settings):
    """How a file is known to be complete (B21): one of these; by the end of its upload where none is said."""

    manifest: Pattern | None = None
    """By a manifest in the same folder that names it: JSON, `{"files": [{"name", "size", "sha256", "records"}]}`."""
    marker: Pattern | None = None
    """By a file without content of interest that comes after it: `{name}.done`, where `{name}` is the file's own name."""
    trailer: Regular | None = None
    """By its last line, which matches this; a group `records` says how many there are: `TRL,(?P<records>\\d+)`."""
    still_for: Duration | None = None
    """By nothing having come for so long: the weakest sign of all."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(each is not None for each in (self.manifest, self.marker, self.trailer, self.still_for)) > 1:
            raise ValueError("expected one of manifest, marker, trailer and still_for")
        if self.marker is not None and "{name}" not in self.marker:
            raise ValueError("marker: says where the name of its file stands: {name}.done")
        return self


class DigestAgreement(Settings):
    """How the sender says what the content was, so that it is known to be unchanged (B20)."""

    said_by: Literal["manifest", "sidecar"] = Field(default="sidecar", alias="by")
    """By the manifest, or by a file beside it, `{name}.sha256`, of the form that `sha256sum` writes."""
    algorithm: Literal["sha256", "blake3"] = "sha256"
    """The digest."""


class ToMailbox(Settings):
    """A mailbox that batches are sent to."""

    sender: Annotated[str, Field(pattern=r"^[A-Z0-9_-]{1,100}$", alias="from")]
    """The mailbox that sends."""
    to: Annotated[str, Field(pattern=r"^[A-Z0-9_-]{1,100}$")]
    """The mailbox that they are sent to."""
    workflow: Annotated[str, Field(pattern=r"^[!-~]{1,300}$")]
    """The workflow."""


class Sink(Settings):
    """Where good records go: one of these."""

    folder: str | None = Field(default=None, min_length=1)
    """A folder of this machine, relative to the deployment file; a file that is there is never written over."""
    s3: str | None = Field(default=None, pattern=r"^s3://[^\s]+$")
    """`s3://bucket/prefix?endpoint=…&region=…`; credentials are in the environment."""
    http: HttpUrl | None = None
    """A URL that each is posted to, with an Idempotency-Key; `outbound:` says what may be called."""
    mailbox: ToMailbox | None = None
    """A mailbox."""
    call: PythonName | None = None
    """A Python callable: `async def take(batch)`; what it raises is tried again."""
    secrets: tuple[Reference, ...] = Field(default=(), max_length=2)
    """What posts are signed with (Fiveways-Signature); two while a secret is being changed."""
    batches: CutSettings | None = None
    """Into how large pieces. Default: all good records are one file."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(each is not None for each in (self.folder, self.s3, self.http, self.mailbox, self.call)) != 1:
            raise ValueError("expected one of folder, s3, http, mailbox and call")
        return self

    @property
    def where(self) -> str:
        """Where it is, in one line."""
        if self.mailbox is not None:
            return f"mailbox {self.mailbox.to}"
        return self.folder or self.s3 or self.http or self.call or ""


class Collector(Settings):
    """A partner that collects what is released."""

    partner: Name
    """The partner."""
    folder: Folder | None = None
    """The folder of its own in which files appear. Default: the feed's name."""


class ReceiptAgreement(Settings):
    """Where the signed receipt goes, besides `fiveways bulk receipt` (B22)."""

    folder: Folder | None = None
    """A folder of the sender's own: `{file}.receipt.jws` appears there."""
    mailbox: ToMailbox | None = None
    """A mailbox."""
    http: HttpUrl | None = None
    """A URL that it is posted to."""
    secrets: tuple[Reference, ...] = Field(default=(), max_length=2)
    """What the post is signed with (Fiveways-Signature)."""


class FeedSettings(Settings):
    """Files that one partner sends again and again, and what is agreed of them."""

    sender: Name = Field(alias="from")
    """The partner that sends them."""
    over: Literal["sftp"] = "sftp"
    """How: only SFTP gives the four assurances (B19–B22)."""
    folder: Folder | None = None
    """The folder of the partner's into which they come. Default: the feed's name."""
    files: Pattern = "*"
    """Which files of that folder they are."""
    complete_when: Completion = Completion()
    """How a file is known to be complete."""
    digest: DigestAgreement | None = None
    """How the sender says what the content was."""
    sequence: Regular | None = None
    """Where a file's name has its number in a sequence without gaps: `ACT_(?P<sequence>\\d+)`."""
    schedule: Expectation | None = None
    """When a file is expected; where none has come, somebody is told."""
    within: Duration = timedelta(days=1)
    """How long after its beginning a transfer may be incomplete; then it has expired."""
    largest: Size = 100 * 2**30
    """Bytes of a file."""
    repeats: Literal["reject", "accept"] = "reject"
    """What becomes of a file whose content has been released before: it is a replay, or it is meant."""
    records: QualitySettings | None = None
    """What its records are, each of which is checked, and what becomes of bad ones."""
    deliver_to: tuple[Sink, ...] = ()
    """Where good records go."""
    to: tuple[Collector, ...] = ()
    """Who collects them here."""
    receipt: ReceiptAgreement | None = None
    """Where the receipt goes."""
    oldest: Duration | None = None
    """How old the newest date in a file's records may be when it comes (B13); where it is older, its receipt says so."""
    audit: bool = True
    """Whether what happens to each transfer is audited (B22)."""
    keep: Duration = timedelta(days=90)
    """How long a transfer, its original and what is set aside of it are kept."""
    need: Need | None = None
    """What it is for, which the linter looks at."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.sequence is not None and "sequence" not in re.compile(self.sequence).groupindex:
            raise ValueError("sequence: needs a group that is called sequence: ACT_(?P<sequence>\\d+)")
        if self.digest is not None and self.digest.said_by == "manifest" and self.complete_when.manifest is None:
            raise ValueError("digest: {by: manifest} needs complete_when: {manifest: …}")
        return self


class Quota(Settings):
    """How much a partner may keep here."""

    bytes: Size = 50 * 2**30
    """Bytes of its files."""
    files: int = Field(default=100_000, ge=1)
    """Files and folders."""


class PartnerSettings(Settings):
    """Who brings and takes files: an organisation, with an account of the SFTP server."""

    organisation: OdsCode
    """The organisation."""
    title: str = ""
    """What people call it."""
    access: Access | None = None
    """How it gets in. Default: not at all."""
    folders: tuple[Folder, ...] = ()
    """Folders that are there from the start, besides those of its feeds."""
    quota: Quota = Quota()
    """How much it may keep here."""
    server: Server | None = None
    """Its own SFTP server, for errands."""


class AtRest(Settings):
    """Encryption of files where they are kept: a data key for each file, wrapped by a key of yours."""

    key: Reference
    """The key that wraps: 32 bytes, in base64 or hexadecimal."""
    former: tuple[Reference, ...] = ()
    """Keys that wrapped before; files are wrapped anew by `fiveways bulk rewrap`, after which these can go."""


class BulkSettings(Settings):
    """Bulk transfer as a whole."""

    sftp: SftpSettings = SftpSettings()
    """The SFTP server."""
    at_rest: AtRest | None = None
    """Whether and how files are encrypted where they are kept."""
    keep: Duration = timedelta(days=90)
    """How long files that belong to no feed are kept."""
    set_aside: int = Field(default=100_000, ge=1)
    """Records of one file that are set aside at most; with more, it is rejected."""
