"""BK07: files that go over a line that is not encrypted (B19)."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs, urlsplit

from fiveways.linter.rule import Found, Rule
from fiveways.linter.texts import texts
from fiveways.platform.model import Deployment

_HERE: Final = frozenset(("localhost", "127.0.0.1", "::1"))


def find(deployment: Deployment) -> Found:
    """Plain FTP, wherever it is named; and of feeds, what goes on by plain HTTP to another machine."""
    for loc, text in texts(deployment):
        if text.lower().startswith("ftp://"):
            yield loc, "FTP sends files, names and passwords as they are"
    for name, feed in deployment.feeds.items():
        where = ("feeds", name)
        for index, sink in enumerate(feed.deliver_to):
            if sink.http is not None and _is_plain(sink.http):
                yield (*where, "deliver_to", index, "http"), "records go to another machine by plain HTTP"
            endpoints = parse_qs(urlsplit(sink.s3).query).get("endpoint", []) if sink.s3 is not None else []
            if any(map(_is_plain, endpoints)):
                yield (*where, "deliver_to", index, "s3"), "records go to the object store by plain HTTP"
        if feed.receipt is not None and feed.receipt.http is not None and _is_plain(feed.receipt.http):
            yield (*where, "receipt", "http"), "receipts go to another machine by plain HTTP"


def _is_plain(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in _HERE


rule = Rule(
    id="BK07",
    severity="error",
    anti_pattern="Whoever is on the way reads thousands of patients' records at once, and the password to the next ones.",
    best_practice="Use SFTP, and https:// for what goes on from here.",
    statements=("B18", "B19"),
    find=find,
)
