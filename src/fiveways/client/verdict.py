"""What an answer about a job says, as a table; no I/O.

    202, 304                                                       it runs
    303                                                            its outcome is elsewhere
    404, 410                                                       it is gone
    401, 407                                                       we are not let in: nothing is said of the job
    429, 502, 503, 504                                             ask again
    5xx, 408 with a passing OperationOutcome, or with no body      ask again
    any other                                                      this is the outcome

(FHIR asynchronous request pattern.)
"""

from __future__ import annotations

from enum import Enum, auto

import msgspec

from fiveways.client.answer import Answer

ISSUES = frozenset(("transient", "timeout", "throttled"))
"""FHIR issue types that say that asking failed, not the job."""
_LARGEST = 1024 * 1024
"""Bytes of an OperationOutcome that are looked into."""


class Verdict(Enum):
    """What is to be done with an answer about a job."""

    RUNS = auto()
    ELSEWHERE = auto()
    GONE = auto()
    DENIED = auto()
    AGAIN = auto()
    OUTCOME = auto()


_BY_STATUS = {202: Verdict.RUNS, 304: Verdict.RUNS, 303: Verdict.ELSEWHERE, 404: Verdict.GONE, 410: Verdict.GONE,
              401: Verdict.DENIED, 407: Verdict.DENIED, 429: Verdict.AGAIN, 502: Verdict.AGAIN, 503: Verdict.AGAIN,
              504: Verdict.AGAIN}  # fmt: skip


def of_status(answer: Answer) -> Verdict:
    """Of an answer of the status URL."""
    known = _BY_STATUS.get(answer.status)
    if known is not None:
        return known
    return Verdict.AGAIN if (answer.status >= 500 or answer.status == 408) and passing(answer) else Verdict.OUTCOME


def of_outcome(answer: Answer) -> Verdict:
    """Of an answer of the URL that a status URL has sent us to: what is not there may be the outcome, a redirect leads nowhere."""
    found = of_status(answer)
    return Verdict.OUTCOME if found in (Verdict.ELSEWHERE, Verdict.GONE) else found


def passing(answer: Answer) -> bool:
    """Whether a failure says that it will pass, or says nothing at all."""
    if not answer.content:
        return True
    if len(answer.content) > _LARGEST:
        return False
    try:
        said = msgspec.json.decode(answer.content, type=_OperationOutcome)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return said.kind == "OperationOutcome" and any(issue.code in ISSUES for issue in said.issue)


class _Issue(msgspec.Struct):
    code: str = ""


class _OperationOutcome(msgspec.Struct, rename={"kind": "resourceType"}):
    kind: str = ""
    issue: list[_Issue] = []
