"""How long certificates are still good: an alert is raised before a back end, or a consumer, refuses one that has expired."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509


class Expiry:
    """Looks at certificate files. A file is read again only when it was changed."""

    def __init__(self, files: Mapping[str, Path], within: timedelta) -> None:
        """`files`: PEM chains, by what they are presented to or by; `within`: how long before its end one is told of."""
        self._files = files
        self._within = within
        self._known: dict[Path, tuple[int, datetime | None]] = {}

    def near(self, now: datetime) -> Iterator[tuple[str, str]]:
        """What is near its end, or past it: whose, and what to tell. A file that cannot be read is told of too."""
        for whose, file in self._files.items():
            end = self._end(file)
            if end is None:
                yield whose, f"the certificate of {whose} ({file.name}) cannot be read"
            elif end - now < self._within:
                ends = "expired" if end <= now else "expires"
                yield whose, f"the certificate of {whose} ({file.name}) {ends} on {end:%Y-%m-%d %H:%M} UTC"

    def _end(self, file: Path) -> datetime | None:
        """When the first certificate of a chain ends; None where there is none to be read."""
        try:
            changed = file.stat().st_mtime_ns
            known = self._known.get(file)
            if known is None or known[0] != changed:
                chain = x509.load_pem_x509_certificates(file.read_bytes())
                known = self._known[file] = changed, min(each.not_valid_after_utc for each in chain)
        except (OSError, ValueError):
            return None
        return known[1]
