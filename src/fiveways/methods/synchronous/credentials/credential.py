"""What every credential is to the wrapper that presents it."""

from __future__ import annotations

from typing import Protocol

from fiveways.errors import ProviderFaulty, ProviderUnavailable
from fiveways.types import Headers


class Credential(Protocol):
    """Proves to one back end who the gateway is. `owns` are the header fields that it speaks in: consumers' own copies end here."""

    owns: frozenset[bytes]

    async def fields(self) -> Headers:
        """What proves it for one request. Raises CredentialUnavailable."""
        ...

    def refused(self, presented: Headers) -> bool:
        """The back end did not take a request with these header fields; whether something newer may be had by asking again."""
        ...


class CredentialUnavailable(ProviderUnavailable):
    """There is nothing to present to the back end just now: whoever gives it out has not."""


class CredentialRefused(ProviderFaulty):
    """The back end did not take what the gateway presents. That is nothing a consumer could mend by another token of its own."""
