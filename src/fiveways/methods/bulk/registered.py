"""Partners registered while running: in the store, and known to every process within a second.

An entry's version only grows, and no row is ever deleted: what is removed stays as a row without content. So the sum of all
versions says whether anything has changed, whatever clocks say.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from fiveways.clock import Clock, micros
from fiveways.methods.bulk.settings import PartnerSettings
from fiveways.store.group import GroupWriter
from fiveways.store.tables import metadata

partners = Table(
    "bulk_partners",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("content", LargeBinary),  # its settings in JSON; NULL: removed
)

_values: dict[str, Any] = {column.name: bindparam(f"v_{column.name}", type_=column.type) for column in partners.columns}
_put = insert(partners).values(_values)
put = _put.on_conflict_do_update(
    index_elements=[partners.c.name],
    set_={
        "version": partners.c.version + 1,
        "changed_at": _put.excluded.changed_at,
        "changed_by": _put.excluded.changed_by,
        "content": _put.excluded.content,
    },
)
total = select(func.coalesce(func.sum(partners.c.version), 0))
find_all = select(partners.c.name, partners.c.content).where(partners.c.content.is_not(None)).order_by(partners.c.name)


class Registered:
    """The partners that are registered, as this process knows them."""

    def __init__(self, group: GroupWriter, clock: Clock) -> None:
        self._group = group
        self._clock = clock
        self._total = -1
        self.partners: dict[str, PartnerSettings] = {}
        """By name."""

    async def follow(self) -> bool:
        """Learn what has changed; whether anything has. StoreError."""
        now = int((await self._group.submit(total, {}, synced=False)).rows[0][0])
        if now == self._total:
            return False
        rows = (await self._group.submit(find_all, {}, synced=False)).rows
        self.partners = {name: PartnerSettings.model_validate_json(bytes(content)) for name, content in rows}
        self._total = now
        return True

    async def put(self, name: str, settings: PartnerSettings | None, by: str) -> None:
        """Register a partner, or change it; None removes it. StoreError."""
        content = settings.model_dump_json(by_alias=True, exclude_unset=True).encode() if settings is not None else None
        row = {"v_name": name, "v_version": 1, "v_changed_at": micros(self._clock), "v_changed_by": by, "v_content": content}
        await self._group.submit(put, row)
