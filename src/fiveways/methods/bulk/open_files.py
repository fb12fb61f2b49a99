"""A partner's files that are open: one that is read, one that is uploaded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fiveways.methods.bulk.contents import Open
from fiveways.methods.bulk.tree import Broken, Entry, Full, Refused
from fiveways.methods.bulk.uploads import Upload


class FileReading:
    """A file that is being read (`tree.Reading`)."""

    def __init__(self, entry: Entry, opened: Open, was_read: Callable[[bool], Awaitable[None]]) -> None:
        """`was_read` is told, once it is closed, whether it was read to its end."""
        self.entry = entry
        self._open = opened
        self._was_read = was_read
        self.read: Callable[[int, int], bytes | Awaitable[bytes]] = self._read
        self._furthest = 0

    def _read(self, offset: int, size: int) -> bytes | Awaitable[bytes]:
        """Up to `size` bytes from `offset`; b'' at the end."""
        if offset <= self._furthest:  # from front to back, as far as can be seen
            self._furthest = max(self._furthest, offset + size)
        return self._open.read(offset, size)

    async def close(self) -> None:
        """No more is read."""
        await self._open.close()
        await self._was_read(self._furthest >= self._open.size)


class FileWriting:
    """A file that is being uploaded (`tree.Writing`)."""

    def __init__(
        self,
        name: str,
        upload: Upload,
        now: Callable[[], float],
        keep: Callable[[Upload], Awaitable[None]],
        abandon: Callable[[Upload], Awaitable[None]],
    ) -> None:
        """`keep` gives it its name; `abandon` leaves what is durable of it to its sender. `now`: seconds since the Unix epoch."""
        self._name = name
        self._upload = upload
        self._now = now
        self._keep = keep
        self._abandon = abandon
        self.write = upload.write
        self.sync = upload.sync

    @property
    def content(self) -> str:
        """The id of what is being written."""
        return self._upload.content.id

    @property
    def entry(self) -> Entry:
        """As it is so far."""
        return Entry(self._name, folder=False, size=self._upload.size, modified=int(self._now()))

    async def truncate(self, size: int) -> None:
        """Have it end at `size`. Raises Refused where it does not already."""
        if size != self._upload.size:
            raise Refused("a file that is being uploaded cannot be cut: upload it anew")

    async def keep(self) -> None:
        """It is whole."""
        try:
            await self._keep(self._upload)
        except (Broken, Full):
            await self._abandon(self._upload)  # what is durable of it need not come again
            raise
        except BaseException:
            await self._upload.discard()
            raise

    async def abandon(self) -> None:
        """The client has gone away."""
        await self._abandon(self._upload)
