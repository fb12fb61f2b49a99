"""One partner's names: the rows of its files and folders. Of the path `/a/b` a row has the folder `/a` and the name `b`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fiveways.clock import Clock
from fiveways.errors import StoreError
from fiveways.methods.bulk import file_records as records
from fiveways.methods.bulk.tree import Broken, Entry
from fiveways.store.group import GroupWriter

CONTENT: Final = len(records.names.columns)
"""Where the content begins in the row of a name that comes with it (`file_records.find_file`)."""


class Names:
    """The names of one partner. What asks the store raises Broken."""

    def __init__(self, group: GroupWriter, clock: Clock, partner: str, declared: Sequence[str]) -> None:
        """`declared`: folders that are there from the start."""
        self._group = group
        self._clock = clock
        self.partner = partner
        self.declared = declared
        self._folders: set[str] | None = None
        """Folders that are known to be there; None while those that are declared have not been made."""

    # --- rows ------------------------------------------------------------------------------------------------------------

    def this(self, folder: str, name: str) -> dict[str, Any]:
        """What a question about one name asks."""
        return {"b_partner": self.partner, "b_folder": folder, "b_name": name}

    def row(self, folder: str, name: str, content: str | None, size: int) -> dict[str, Any]:
        """A name as it is written, of a file or (no content) of a folder."""
        return {
            "v_partner": self.partner, "v_folder": folder, "v_name": name, "v_content": content, "v_size": size,
            "v_modified": int(self._clock.time()), "v_partial": 0, "v_released": "",
        }  # fmt: skip

    async def find(self, path: str) -> Sequence[Any] | None:
        """The row of a name, of whatever kind; None where nothing has it. IsADirectoryError for the root, which has no row."""
        if path == "/":
            raise IsADirectoryError(path)
        await self._begun()
        rows = await self.ask(records.find_name, self.this(*split(path)))
        return rows[0] if rows else None

    async def find_file(self, path: str) -> Sequence[Any] | None:
        """The row of a file's name, and that of its content behind it; None where no file has it."""
        rows = await self.ask(records.find_file, self.this(*split(path)))
        return rows[0] if rows else None

    async def ask(self, question: Any, asked: Mapping[str, Any]) -> Sequence[Any]:
        """The rows that answer a question."""
        try:
            return await self._group.ask(question, asked)
        except StoreError as error:
            raise Broken(str(error)) from None

    async def do(self, statement: Any, row: Mapping[str, Any], *, synced: bool = True) -> int:
        """Write; how many rows it touched."""
        try:
            return (await self._group.submit(statement, row, synced=synced)).rowcount
        except StoreError as error:
            raise Broken(str(error)) from None

    # --- folders ---------------------------------------------------------------------------------------------------------

    async def folder(self, path: str) -> str:
        """A folder that is there, as rows have it. FileNotFoundError, NotADirectoryError."""
        folders = await self._begun()
        if path not in folders:
            rows = await self.ask(records.find_name, self.this(*split(path)))
            if not rows:
                raise FileNotFoundError(path)
            if rows[0][3] is not None:
                raise NotADirectoryError(path)
            folders.add(path)
        return "" if path == "/" else path

    async def is_known_folder(self, path: str) -> bool:
        """Whether it was a folder when it was last asked for."""
        return path in await self._begun()

    def folder_made(self, path: str) -> None:
        """A folder is there now."""
        if self._folders is not None:
            self._folders.add(path)

    def folders_gone(self) -> None:
        """Some folder is not there any more."""
        self._folders = None

    async def _begun(self) -> set[str]:
        """The folders that are known; those that are declared are made the first time."""
        if self._folders is None:
            self._folders = {"/"}
            for declared in self.declared:
                parts = declared.split("/")[1:]
                for depth in range(1, len(parts) + 1):
                    folder, name = split("/" + "/".join(parts[:depth]))
                    await self.do(records.add_name, self.row(folder, name, None, 0), synced=False)
        return self._folders


def split(path: str) -> tuple[str, str]:
    """A path as rows have it: the folder ('' for the root) and the name in it."""
    folder, _, name = path.rpartition("/")
    return folder, name


def entry_of(row: Sequence[Any]) -> Entry:
    """What the row of a name says (`file_records.names`)."""
    return entry(row[2], row[3], row[4], row[5], row[7], row[6])


def entry(name: str, content: str | None, size: int, modified: int, released: str, partial: int) -> Entry:
    """What a listing says (`file_records.find_names`)."""
    return Entry(name, folder=content is None, size=size, modified=modified, writable=not released, partial=bool(partial))
