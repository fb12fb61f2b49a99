"""A middleware façade: what the back end has answered is remembered for a while, so that it need not be asked so often."""

from __future__ import annotations

from collections import OrderedDict

from fiveways.errors import ProviderFaulty
from fiveways.methods.synchronous.answer import whole
from fiveways.methods.synchronous.middleware import Place
from fiveways.types import Handler, Headers, Interaction, Outcome

LARGEST = 64 * 1024


class Remembering:
    """State, and so no policy: it has a life cycle, an owner and a day by which it is gone."""

    def __init__(self, place: Place) -> None:
        self._seconds = float(place.options["seconds"])
        self._most = int(place.options["most"])
        self._clock = place.clock
        self._kept: OrderedDict[bytes, tuple[float, Headers, bytes]] = OrderedDict()

    async def open(self) -> None:
        """Here a pool or a subscription would be opened; a dictionary needs nothing."""

    async def __call__(self, interaction: Interaction, back_end: Handler) -> Outcome:
        """Answer from memory, or ask."""
        asked, now = interaction.below + b"?" + interaction.query, self._clock.monotonic()
        known = self._kept.get(asked) if interaction.method == "GET" else None
        if known is not None and now < known[0]:
            age = b"%d" % (self._seconds - (known[0] - now))
            return Outcome(200, [*known[1], (b"age", age)], known[2])
        outcome = await back_end(interaction)
        if interaction.method == "GET" and outcome.status == 200:
            body = outcome.body = await whole(outcome.body, LARGEST, ProviderFaulty("It answered with more than can be remembered"))
            self._kept[asked] = now + self._seconds, list(outcome.headers), body
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return outcome

    async def close(self) -> None:
        """Forget everything."""
        self._kept.clear()
