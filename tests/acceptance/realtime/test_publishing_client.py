"""The Python client publishes in channels: once for each id, many at once, and says why not."""

from __future__ import annotations

import pytest
from tests.acceptance.realtime.conftest import Estate

from fiveways.client import Channels, Fiveways, Publication, Refused, Token

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """It is of asyncio."""
    return "asyncio"


async def test_messages_are_published_once_for_each_id(estate: Estate) -> None:
    async with Fiveways(estate.served.url, Token(estate.served.token("ward"))) as fiveways:
        channels = Channels(fiveways)
        first = await channels.publish("brief:client", "a text", id="m-1")
        again = await channels.publish("brief:client", "a text", id="m-1")
        assert (first.offset, first.again, again.offset, again.again) == (1, False, 1, True)
        said = [Publication("brief:client", {"a": 1}), Publication("own:second", 2), Publication("nowhere", 3)]
        done = await channels.publish_all(said)
        assert [each.offset for each in done] == [2, 1, 0]
        assert done[2].error is not None
        assert done[2].error["status"] == 404
    async with Fiveways(estate.served.url, Token(estate.served.token("second"))) as fiveways:
        with pytest.raises(Refused, match="403"):
            await Channels(fiveways).publish("ward:1:board", {})
