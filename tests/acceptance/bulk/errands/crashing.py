"""Runs of an errand in processes that are killed (SIGKILL) at the step that they are told."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

_server = multiprocessing.get_context("forkserver")


class Crashing:
    """Runs an errand in processes of their own, one after another."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def run(self, kill_at: int, work: dict[str, Any]) -> bool:
        """Run it and kill it at a step; whether it came to that."""
        self._connection.send((kill_at, work))
        return bool(await asyncio.to_thread(self._connection.recv))


@contextmanager
def crashing() -> Iterator[Crashing]:
    """For as long as the context lasts."""
    ours, theirs = _server.Pipe()
    process = _server.Process(target=_control, args=(theirs,), daemon=False)
    process.start()
    theirs.close()
    try:
        yield Crashing(ours)
    finally:
        ours.close()
        process.join(10)
        if process.exitcode is None:
            process.kill()
            process.join()


def _control(connection: Any) -> None:
    from pydantic import TypeAdapter

    import fiveways.methods.bulk.errands.errands
    import fiveways.store.group_sqlite  # noqa: F401 - what takes time is done once, and not by each
    from fiveways.methods.bulk.errands.settings import Errand, Server

    adapter: TypeAdapter[Any] = TypeAdapter(Errand)
    while True:
        try:
            kill_at, said = connection.recv()
        except EOFError:
            return
        work = {**said, "errand": adapter.validate_python(said["errand"]), "server": Server.model_validate(said["server"])}
        child = os.fork()
        if not child:
            code = 1
            try:
                asyncio.run(_attempt(kill_at, work))
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if not killed and os.waitstatus_to_exitcode(status) != 0:
            return
        connection.send(killed)


async def _attempt(kill_at: int, work: dict[str, Any]) -> None:
    from fiveways.clock import SystemClock
    from fiveways.delivery.engine import Deliveries
    from fiveways.methods.bulk.errands.book import Book
    from fiveways.methods.bulk.errands.errands import Errands
    from fiveways.methods.bulk.errands.folder import FileWriting, Folder
    from fiveways.methods.bulk.errands.wire import Wire
    from fiveways.store.bus import LocalBus
    from fiveways.store.database import Database
    from fiveways.store.group import GroupWriter
    from fiveways.store.payloads import open_payloads

    left = [kill_at]

    def step() -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    def stepping(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(method)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            step()  # after it is before the next
            return await method(*args, **kwargs)

        return wrapped

    request = Wire.request

    def requested(self: Wire, *args: Any) -> Any:
        step()
        return request(self, *args)

    Wire.request = requested  # type: ignore[assignment, method-assign]
    for kind, names in (
        (Book, ("see", "reach", "_happens")),
        (Folder, ("write", "rename", "remove")),
        (FileWriting, ("sync", "keep")),
    ):
        for name in names:
            setattr(kind, name, stepping(getattr(kind, name)))
    database = Database.open(work["database"])
    group = GroupWriter(database)
    clock = SystemClock()
    errands = Errands(
        {"errand": work["errand"]}, lambda name: work["server"],
        lambda name, secured: Folder(Path(work["ours"])), Book(group, clock, "south"),
        Deliveries(group, open_payloads("memory://"), LocalBus(), clock, "south"), clock, Path(work["base"]), rest=0.01,
    )  # fmt: skip
    report = await errands.run("errand")
    assert not report.failed
    assert not report.refused
    await group.close()
    await database.close()
