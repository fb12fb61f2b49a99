"""The rows of partners' files, and what is asked of them.

    bulk_contents   what a file has in it: once it is kept it never changes
    bulk_blocks     where that is, from front to back; a small content is in its own row and has none
    bulk_names      which partner sees which content in which folder under which name; and folders, which have no content

A content may have several names, as where a partner's upload is released to others; and none, as that of an original of which the
partner has removed the file. What has no name and belongs to no transfer is purged.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from fiveways.store.tables import PAYLOAD, metadata

contents = Table(
    "bulk_contents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),  # when it was begun
    Column("kept", Integer, nullable=False),  # 1: it is whole; 0: it is being uploaded, or was and may be resumed
    Column("blake3", LargeBinary),
    Column("sha256", LargeBinary),
    Column("body", LargeBinary),
    Column("data_key", LargeBinary),  # wrapped; NULL where it is not encrypted at rest
    Column("wrapped_by", Text, nullable=False),
    Column("secured", LargeBinary),  # what is known of the connection that it came by, for its receipt
)
Index("ix_bulk_contents_at", contents.c.at)
Index("ix_bulk_contents_wrapped_by", contents.c.wrapped_by)

blocks = Table(
    "bulk_blocks",
    metadata,
    Column("content", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("payload", Text, nullable=False, info=PAYLOAD),
    Column("start", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("salt", LargeBinary, nullable=False),
)
Index(None, blocks.c.payload)

names = Table(
    "bulk_names",
    metadata,
    Column("partner", Text, primary_key=True),
    Column("folder", Text, primary_key=True),  # '' for the root, else /a/b
    Column("name", Text, primary_key=True),
    Column("content", Text),  # NULL: a folder
    Column("size", BigInteger, nullable=False),
    Column("modified", BigInteger, nullable=False),  # seconds
    Column("partial", Integer, nullable=False),  # 1: an upload that was broken off
    Column("released", Text, nullable=False),  # the transfer that it was released by; '' for the partner's own
)
Index("ix_bulk_names_content", names.c.content)


def _text(name: str) -> Any:
    return bindparam(name, type_=Text)


def _number(name: str) -> Any:
    return bindparam(name, type_=BigInteger)


_content, _block, _name = contents.c, blocks.c, names.c
_id, _partner, _folder, _called = _text("b_id"), _text("b_partner"), _text("b_folder"), _text("b_name")
_this = and_(_name.partner == _partner, _name.folder == _folder, _name.name == _called)
MOST: Final = 500
"""Names that are read at a time."""


def _values(table: Table) -> dict[str, Any]:
    return {column.name: bindparam(f"v_{column.name}", type_=column.type) for column in table.columns}


add_content = insert(contents).values(_values(contents))
add_block = insert(blocks).values(_values(blocks))
_OF_WHOLE: Final = ("size", "blake3", "body", "data_key", "wrapped_by")
keep_content = (
    update(contents)
    .where(_content.id == _id, _content.kept == 0)
    .values({**{name: bindparam(f"v_{name}", type_=_content[name].type) for name in _OF_WHOLE}, "kept": 1})
)
know_size = update(contents).where(_content.id == _id).values(size=_number("v_size"))
know_sha256 = update(contents).where(_content.id == _id).values(sha256=bindparam("v_sha256", type_=LargeBinary))
wrap_anew = (
    update(contents)
    .where(_content.id == _id, _content.wrapped_by == _text("b_former"))
    .values(data_key=bindparam("v_data_key", type_=LargeBinary), wrapped_by=_text("v_wrapped_by"))
)
find_wrapped_otherwise = (
    select(_content.id, _content.data_key, _content.wrapped_by)
    .where(_content.wrapped_by != "", _content.wrapped_by != _text("b_current"))
    .limit(MOST)
)

_named = upsert(names).values(_values(names))
add_name = _named.on_conflict_do_nothing()
"""A name, where there is none like it yet."""
put_name = _named.on_conflict_do_update(
    index_elements=[_name.partner, _name.folder, _name.name],
    set_={key: _named.excluded[key] for key in ("content", "size", "modified", "partial", "released")},
    where=_name.content.is_not(None),
)
"""A name of a file, in place of another file's that had it; of a folder it takes nothing."""
put_partial = _named.on_conflict_do_update(
    index_elements=[_name.partner, _name.folder, _name.name],
    set_={key: _named.excluded[key] for key in ("content", "size", "modified")},
    where=and_(_name.content.is_not(None), _name.partial == 1),
)
"""A name of an upload that was broken off, where no whole file has it."""
touch = update(names).where(_this).values(modified=_number("v_modified"))
remove_name = delete(names).where(_this, _name.content.is_not(None))
_inside = select(_name.name).where(_name.partner == _partner, _name.folder == _text("b_path")).exists()
remove_folder = delete(names).where(_this, _name.content.is_(None), ~_inside)
rename = update(names).where(_this).values(folder=_text("v_folder"), name=_text("v_name"))
_prefix, _length = _text("b_path"), bindparam("b_length", type_=Integer)
_below = or_(_name.folder == _prefix, func.substr(_name.folder, 1, _length) == _text("b_slashed"))
rename_below = (
    update(names).where(_name.partner == _partner, _below).values(folder=_text("v_path").concat(func.substr(_name.folder, _length)))
)
"""What is in a folder goes along with it; `b_length` is the length of `b_slashed`, the folder's path and a slash."""

find_name = select(names).where(_this)
find_file = select(names, contents).join(contents, _content.id == _name.content).where(_this)
"""A name of a file, and its content."""
find_names = (
    select(_name.name, _name.content, _name.size, _name.modified, _name.released, _name.partial)
    .where(_name.partner == _partner, _name.folder == _folder, _name.name > _called)
    .order_by(_name.name)
    .limit(MOST)
)
find_content = select(contents).where(_content.id == _id)
find_blocks = select(blocks).where(_block.content == _id).order_by(_block.number)
find_usage = select(func.coalesce(func.sum(_name.size), 0), func.count()).where(_name.partner == _partner)
find_old_names = (
    select(_name.partner, _name.folder, _name.name)
    .where(_name.content.is_not(None), _name.modified < _number("b_before"), _name.released == "")
    .limit(MOST)
)

forget_blocks = delete(blocks).where(_block.content == _id)
forget_content = delete(contents).where(_content.id == _id)


def find_orphans(*elsewhere: Any) -> Any:
    """Contents begun before `b_before` that no name has, and none of the columns `elsewhere`."""
    return select(_content.id).where(_content.at < _number("b_before"), *_nowhere(*elsewhere)).order_by(_content.at).limit(MOST)


def find_orphan(*elsewhere: Any) -> Any:
    """The content `b_id`, where it is whole and no name has it, and none of the columns `elsewhere`."""
    return select(_content.id).where(_content.id == _id, _content.kept == 1, *_nowhere(*elsewhere))


def _nowhere(*elsewhere: Any) -> list[Any]:
    return [~exists().where(column == _content.id) for column in (_name.content, *elsewhere)]
