"""Access tokens taken back before they expire: single ones, or all that an application got up to a moment.

Looked at on every request, so it is two lookups in memory. What is revoked is kept only until the tokens would have expired.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fiveways.security.settings import LONGEST_LIFETIME

if TYPE_CHECKING:
    from fiveways.security.tokens import Grant


@dataclass(frozen=True, slots=True)
class Revocation:
    """One token, or all of one person's session (`jti`: its id), or every token of `application` issued before `issued_before`
    (seconds since the epoch, `jti` '').

    After `until` (seconds since the epoch) nothing that it covers can still be valid, and it may be forgotten.
    """

    application: str
    until: float
    jti: str = ""
    issued_before: float = 0.0

    @classmethod
    def of_all(cls, application: str, issued_before: float) -> Revocation:
        """Every token that `application` was issued before a moment, however long they were made to live."""
        return cls(application, issued_before + LONGEST_LIFETIME.total_seconds(), issued_before=issued_before)


class Revocations:
    """What is revoked, as far as this process knows; whoever keeps revocations durably applies them here."""

    __slots__ = ("_applications", "_tokens")

    def __init__(self) -> None:
        self._tokens: dict[str, float] = {}
        self._applications: dict[str, tuple[float, float]] = {}

    def apply(self, revocation: Revocation) -> None:
        """Have `revocation` hold from now on; applying it again changes nothing."""
        if revocation.jti:
            self._tokens[revocation.jti] = revocation.until
            return
        before, until = self._applications.get(revocation.application, (0.0, 0.0))
        self._applications[revocation.application] = max(before, revocation.issued_before), max(until, revocation.until)

    def cover(self, grant: Grant) -> bool:
        """Whether `grant` is revoked."""
        if grant.jti in self._tokens or (grant.session and grant.session in self._tokens):
            return True
        cut = self._applications.get(grant.application)
        return cut is not None and grant.issued < cut[0]

    def forget(self, now: float) -> None:
        """Drop what can cover no token that is still valid at `now` (seconds since the epoch)."""
        self._tokens = {jti: until for jti, until in self._tokens.items() if until > now}
        self._applications = {name: cut for name, cut in self._applications.items() if cut[1] > now}

    def __len__(self) -> int:
        return len(self._tokens) + len(self._applications)
