"""Publishing in channels, for programs that have something to say and no connection to hold: over HTTP, once for each id.

```python
async with Fiveways("https://fiveways.northshire.test", access) as northshire:
    channels = Channels(northshire)
    await channels.publish("ward:7:board", {"bed-1": "free"})
    await channels.publish_all([Publication("ward:7:board", {"bed-2": "taken"}), Publication("news", "the lift works")])
```

To read channels, and to converse, take one of Centrifugo's clients: they connect to the real-time listener as they are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fiveways.client.answer import Answer
from fiveways.client.errors import Garbled, Refused
from fiveways.client.fiveways import Fiveways
from fiveways.correlation import new_id


@dataclass(frozen=True, slots=True)
class Publication:
    """A message for a channel: anything that is JSON. Of one `id` there is one message, however often it is published."""

    channel: str
    data: Any
    id: str = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class Published:
    """What became of it: its number in the channel (0 where nothing is kept there), in which epoch of it, and whether it had been
    published before. Or `error`, why it was not: `status`, `code` and `detail`."""

    offset: int = 0
    epoch: str = ""
    again: bool = False
    error: dict[str, Any] | None = None


class Channels:
    """The channels of a deployment."""

    def __init__(self, fiveways: Fiveways) -> None:
        self._fiveways = fiveways

    async def publish(self, channel: str, data: Any, *, id: str = "", correlation_id: str = "") -> Published:  # noqa: A002
        """Publish one message. Raises Refused where it may not be, Unavailable where nobody answers: then it may be published
        again with the same `id`."""
        answer = await self._fiveways.call(
            "POST",
            f"/realtime/channels/{quote(channel, safe='')}/messages",
            body=json.dumps(data).encode(),
            headers={"Content-Type": "application/json", "Idempotency-Key": id or new_id()},
            correlation_id=correlation_id,
        )
        return Published(**_taken(answer))

    async def publish_all(self, publications: Sequence[Publication], *, correlation_id: str = "") -> list[Published]:
        """Publish up to 1,000 messages at once, each by itself: what became of each, in their order. Raises Refused and
        Unavailable where nothing was."""
        said = {"messages": [{"channel": each.channel, "data": each.data, "id": each.id} for each in publications]}
        answer = await self._fiveways.call("POST", "/realtime/messages", body=said, correlation_id=correlation_id)
        return [Published(**each) for each in _taken(answer)["results"]]


def _taken(answer: Answer) -> dict[str, Any]:
    if answer.status not in (200, 201):
        raise Refused(f"HTTP {answer.status}: {answer.content[:500].decode(errors='replace')}")
    said = answer.json()
    if not isinstance(said, dict):
        raise Garbled("the answer is no JSON object")
    return said
