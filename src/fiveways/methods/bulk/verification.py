"""Whether what came is what was sent: unchanged (B20), and complete as far as that shows before records are looked at (B21)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from blake3 import blake3

from fiveways.methods.bulk.agreement import LONGEST_TRAILER, Agreement, Claims, Disagreement
from fiveways.methods.bulk.contents import Content

MOST_GAPS = 1000
"""Missing numbers of a sequence that are named one by one."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a content was found to be, when it was read again from where it is kept."""

    size: int
    sha256: bytes
    blake3: bytes
    lines: int
    """Lines that are not blank."""
    end: bytes
    """Its last bytes."""


async def read(pieces: AsyncIterator[bytes], sha256: object) -> Read:
    """Read a content through; `sha256`: a new digest of that sort. Raises what `pieces` raises."""
    digest, size, lines, end, open_line = blake3(), 0, 0, b"", False
    async for piece in pieces:
        digest.update(piece)
        sha256.update(piece)  # type: ignore[attr-defined]
        size += len(piece)
        end = (end + piece)[-LONGEST_TRAILER:]
        lines += piece.count(b"\n")
        open_line = not piece.endswith(b"\n")
    return Read(size, sha256.digest(), digest.digest(), lines + open_line, end)  # type: ignore[attr-defined]


def verify(agreement: Agreement, claims: Claims, content: Content, found: Read, *, counted: bool) -> tuple[Claims, list[str]]:
    """What is said of a file in all, its trailer included, and why it is to be rejected; nothing, where all agrees.

    `counted`: its records are going to be counted by quality control, so that lines are not compared here.
    """
    reasons: list[str] = []
    if claims.unreadable:
        reasons.append(claims.unreadable)
    if found.blake3 != content.blake3 or found.size != content.size:
        reasons.append("the store does not give back what was put into it")
    if agreement.has_trailer:
        try:
            claims = claims.also(agreement.trailer(found.end))
        except Disagreement as reason:
            reasons.append(str(reason))
    if claims.size is not None and claims.size != found.size:
        reasons.append(f"it has {found.size} bytes, and {claims.size} are said")
    for name, said, is_ in (("SHA-256", claims.sha256, found.sha256), ("BLAKE3", claims.blake3, found.blake3)):
        if said is not None and said != is_.hex():
            reasons.append(f"its {name} is {is_.hex()}, and {said} is said")
    agreed = agreement.settings.digest
    if agreed is not None and getattr(claims, agreed.algorithm) is None and not claims.unreadable:
        reasons.append(f"no {agreed.algorithm} is said of it")
    if claims.records is not None and not counted:
        beside = int(agreement.has_trailer)
        if found.lines - beside not in (claims.records, claims.records + 1):  # a header is no record
            reasons.append(f"it has {found.lines - beside} lines, and {claims.records} records are said")
    return claims, reasons


def gaps(number: int | None, earlier: Sequence[int]) -> list[str]:
    """What a sequence's numbers say beside a new one: which have not come, or came before."""
    if number is None or not earlier:
        return []
    if number in earlier:
        return [f"number {number} of the sequence came before"]
    below = [other for other in earlier if other < number]
    if not below:
        return [f"number {number} of the sequence came after {min(earlier)}"]
    missing = range(max(below) + 1, number)
    if not missing:
        return []
    if len(missing) > MOST_GAPS:
        return [f"numbers {missing[0]} to {missing[-1]} of the sequence have not come"]
    names = ", ".join(map(str, missing))
    return [
        f"number {names} of the sequence has not come" if len(missing) == 1 else f"numbers {names} of the sequence have not come"
    ]
