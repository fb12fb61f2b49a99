"""Several deployments seen together, and the back ends that they share (S34)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from fiveways.deployment.document import Loc
from fiveways.methods.synchronous.settings import ApiSettings
from fiveways.platform.model import Deployment

_PORTS: Final = {"http": 80, "https": 443}
TOLD: Final = 3
"""How many of several are named."""


@dataclass(slots=True, frozen=True)
class Member:
    """A deployment of an estate, and what its file is called among the others."""

    label: str
    deployment: Deployment


@dataclass(slots=True, frozen=True)
class Published:
    """A back end as a deployment publishes it: in which (by number), as which API, and where it is: host, port, and path."""

    member: int
    name: str
    api: ApiSettings
    loc: Loc
    host: str
    port: int
    path: tuple[str, ...]

    @property
    def here(self) -> bool:
        """Whether it is on the machine itself, so that two of them need not be the same."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")


class Estate(Sequence[Member]):
    """Deployments, and which of their APIs have a back end in common."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = tuple(members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, index: int) -> Member:  # type: ignore[override]
        return self._members[index]

    @cached_property
    def shared(self) -> tuple[tuple[Published, tuple[Published, ...]], ...]:
        """Each API with those of other deployments that have the same back end: the same host and port, and of two paths one is
        the other or above it."""
        every = [each for member in range(len(self)) for each in self._published(member)]
        at: dict[tuple[str, int, tuple[str, ...]], list[int]] = {}
        for index, each in enumerate(every):
            at.setdefault((each.host, each.port, each.path), []).append(index)
        others: list[set[int]] = [set() for _ in every]
        for index, each in enumerate(every):
            for depth in range(len(each.path) + 1):
                for above in at.get((each.host, each.port, each.path[:depth]), ()):
                    if every[above].member != each.member:
                        others[index].add(above)
                        others[above].add(index)
        return tuple(
            (each, tuple(every[one] for one in sorted(others[index]))) for index, each in enumerate(every) if others[index]
        )

    def told(self, published: Sequence[Published]) -> str:
        """Published back ends for people: apis.patients of b.yaml, and so on."""
        names = [f"apis.{each.name} of {self[each.member].label}" for each in published[:TOLD]]
        more = [f"{len(published) - TOLD} more"] if len(published) > TOLD else []
        *first, last = names + more
        return f"{', '.join(first)} and {last}" if first else last

    def _published(self, member: int) -> Iterator[Published]:
        for name, api in self[member].deployment.apis.items():
            where: Loc = ("apis", name)
            if api.target is not None:
                url = urlsplit(api.target.url)
                try:
                    port = url.port or _PORTS[url.scheme]
                except ValueError:
                    continue
                path = tuple(each for each in url.path.split("/") if each)
                yield Published(member, name, api, (*where, "target", "url"), (url.hostname or "").rstrip("."), port, path)
            elif api.mllp is not None:
                host, _, port_text = api.mllp.address.rpartition(":")
                address = host.strip("[]").lower().rstrip(".")
                yield Published(member, name, api, (*where, "mllp", "address"), address, int(port_text), ())
