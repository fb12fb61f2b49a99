"""An answer that breaks off leaves nothing behind for those after it: each would otherwise cost more than the last."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from fiveways.errors import ProviderFaulty
from fiveways.methods.synchronous.gateway import BrokenOff, _stream

pytestmark = pytest.mark.anyio


async def broken() -> AsyncIterator[bytes]:
    yield b"a"
    raise ProviderFaulty("gone")


async def send(message: MutableMapping[str, Any]) -> None:
    assert message["more_body"]


async def test_an_answer_that_breaks_off_is_none_of_the_next_ones_context_and_no_defect_of_ours() -> None:
    for _ in range(3):
        with pytest.raises(BrokenOff) as raised:
            await _stream(broken(), send)
        assert raised.value.expected
        assert raised.value.__context__ is None
