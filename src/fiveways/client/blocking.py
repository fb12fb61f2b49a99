"""The same for programs without an event loop: every method of `BlockingMailbox` is that of `Mailbox`, waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from fiveways.client.listener import Handler, Listener, Round
from fiveways.client.mailbox import Mailbox
from fiveways.client.message import Message

P = ParamSpec("P")
R = TypeVar("R")


def _waited(method: Callable[Concatenate[Mailbox, P], Coroutine[Any, Any, R]]) -> Callable[Concatenate[BlockingMailbox, P], R]:
    def wait(self: BlockingMailbox, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.run(method(self.mailbox, *args, **kwargs))

    wait.__doc__ = method.__doc__
    return wait


class BlockingMailbox:
    """A mailbox, and its own event loop: for one thread."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self._runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Wait for anything else of the mailbox's, such as `Listener.run()`."""
        return self._runner.run(work)

    handshake = _waited(Mailbox.handshake)
    send = _waited(Mailbox.send)
    receive = _waited(Mailbox.receive)
    acknowledge = _waited(Mailbox.acknowledge)
    track = _waited(Mailbox.track)

    def waiting(self, workflow: str = "") -> Iterator[str]:
        """The ids of what waits, in order of arrival."""
        pages = self.mailbox.pages(workflow)

        async def following() -> list[str]:
            return await anext(pages, [])

        while page := self.run(following()):
            yield from page

    def listen(self, handler: Callable[[Message], None], **options: Any) -> Round:
        """`Listener.once` with a plain function, which runs in a thread; options are those of Listener."""
        return self.run(Listener(self.mailbox, _in_thread(handler), **options).once())

    def listen_on(self, handler: Callable[[Message], None], **options: Any) -> None:
        """`Listener.run` with a plain function, until the process is interrupted."""
        self.run(Listener(self.mailbox, _in_thread(handler), **options).run())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.mailbox.close())
        self._runner.close()


def _in_thread(handler: Callable[[Message], None]) -> Handler:
    async def handle(message: Message) -> None:
        await asyncio.to_thread(handler, message)

    return handle
