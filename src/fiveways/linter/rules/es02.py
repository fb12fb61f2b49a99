"""ES02: one mailbox in two deployments, or one organisation by two names (A39)."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.linter.estate import Estate
from fiveways.linter.rule import FoundAcross, Rule


def find(estate: Estate) -> FoundAcross:
    """Mailbox ids that several files declare, but for sandboxes; codes of organisations to which they give different names."""
    yield from _mailboxes(estate)
    yield from _organisations(estate)


def _mailboxes(estate: Estate) -> FoundAcross:
    declared: dict[str, list[int]] = {}
    for member, each in enumerate(estate):
        for mailbox in each.deployment.mailboxes if not each.deployment.messaging.sandbox else ():
            declared.setdefault(mailbox, []).append(member)
    for mailbox, members in declared.items():
        for member in members:
            if others := [estate[other].label for other in members if other != member]:
                yield (
                    member,
                    ("mailboxes", mailbox),
                    f"{' and '.join(others)} has this mailbox too: there are two inboxes of one name",
                )


def _organisations(estate: Estate) -> Iterator[tuple[int, tuple[str, ...], str]]:
    called: dict[str, list[tuple[int, str]]] = {}
    for member, each in enumerate(estate):
        for code, organisation in each.deployment.organisations.items():
            called.setdefault(code, []).append((member, organisation.name))
    for code, names in called.items():
        for member, name in names:
            others = [f"{other!r} in {estate[at].label}" for at, other in names if _plain(other) != _plain(name)]
            if others:
                yield member, ("organisations", code, "name"), f"{code} is called {' and '.join(others)}"


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


rule = Rule(
    id="ES02",
    severity="warning",
    anti_pattern="A message goes to whichever of the two its sender happens to ask, and waits where nobody looks.",
    best_practice="Give each mailbox one home, and each organisation the name that the directory of organisations has.",
    statements=("A39", "A40"),
    find_across=find,
)
