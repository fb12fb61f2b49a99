"""The rows of real time, and what is asked of them.

realtime_channels   one row a channel that is kept: how many messages there were, and in which epoch
realtime_messages   what was said, numbered without a gap in each channel; nothing of it is ever changed
realtime_members    who takes part in a conversation, and how much of it reached them
realtime_values     the state of channels whose messages are changes: what each name has last been set to
realtime_attachments  what was put beside messages, by reference
realtime_presence   who is there, through which node
realtime_nodes      when each node was last heard of
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
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from fiveways.store.tables import PAYLOAD, metadata

MOST: Final = 1000
"""Rows in one answer."""

channels = Table(
    "realtime_channels",
    metadata,
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),  # in the deployment file
    Column("epoch", Text, nullable=False),  # another one, and what somebody has of the channel is not of this one
    Column("top", BigInteger, nullable=False),  # the number of the newest message
    Column("at", BigInteger, nullable=False),  # of it, microseconds
    Column("closed", Integer, nullable=False),
)
Index("ix_realtime_channels_at", channels.c.at)

messages = Table(
    "realtime_messages",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("happening", Text, nullable=False),  # states.py
    Column("sender", Text, nullable=False),
    Column("client_id", Text, nullable=False),  # what its sender calls it; '' where it has no name
    Column("fingerprint", LargeBinary, nullable=False),
    Column("about", BigInteger, nullable=False),  # the number of the message that it is about; 0 where it stands for itself
    Column("correlation", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),  # JSON
)
_called = messages.c.client_id != text("''")
Index(
    "uq_realtime_messages_client_id", messages.c.channel, messages.c.sender, messages.c.client_id,
    unique=True, sqlite_where=_called, postgresql_where=_called,
)  # fmt: skip
Index("ix_realtime_messages_at", messages.c.at)

members = Table(
    "realtime_members",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("member", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("delivered", BigInteger, nullable=False),  # up to which number messages have reached a device of theirs
    Column("read", BigInteger, nullable=False),
    Column("reached", BigInteger, nullable=False),  # up to which number they were told of in another way
)
Index("ix_realtime_members_member", members.c.member)

values = Table(
    "realtime_values",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),  # JSON
)

attachments = Table(
    "realtime_attachments",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("body", LargeBinary),  # of a small one
    Column("payload", Text, info=PAYLOAD),
)
Index("ix_realtime_attachments_channel", attachments.c.channel)
_stored = attachments.c.payload.is_not(None)
Index("ix_realtime_attachments_payload", attachments.c.payload, sqlite_where=_stored, postgresql_where=_stored)

presence = Table(
    "realtime_presence",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("client", Text, primary_key=True),
    Column("node", Text, nullable=False),
    Column("member", Text, nullable=False),
    Column("info", LargeBinary, nullable=False),  # JSON
)
Index("ix_realtime_presence_node", presence.c.node)

nodes = Table(
    "realtime_nodes",
    metadata,
    Column("node", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
)

_channel, _message, _member, _value, _present, _node = channels.c, messages.c, members.c, values.c, presence.c, nodes.c


def _text(name: str) -> Any:
    return bindparam(name, type_=Text)


def _number(name: str) -> Any:
    return bindparam(name, type_=BigInteger)


_name, _at, _after, _sender, _id, _who = (
    _text("b_channel"), _number("b_at"), _number("b_after"), _text("b_sender"), _text("b_client_id"), _text("b_member"),
)  # fmt: skip
_most = bindparam("b_most", type_=Integer)

# --- channels and messages ---------------------------------------------------------------------------------------------------

begin = (
    insert(channels)
    .values(name=_name, kind=_text("b_kind"), epoch=_text("b_epoch"), top=0, at=_at, closed=0)
    .on_conflict_do_nothing()
)
find = select(_channel.epoch, _channel.top, _channel.closed).where(_channel.name == _name)
_known = (_message.channel == _name, _message.sender == _sender, _message.client_id == _id, _called)
_again = exists().where(*_known)
count_up = (
    update(channels)
    .where(_channel.name == _name, _channel.closed == 0, ~_again)
    .values(top=_channel.top + 1, at=_at)
    .returning(_channel.top, _channel.epoch)
)
"""The number of a message that is about to be written; touches nothing where it was written before, or the channel is closed."""
_said = {
    "id": _text("v_id"), "at": _at, "happening": _text("v_happening"), "sender": _sender, "client_id": _id,
    "fingerprint": bindparam("v_fingerprint", type_=LargeBinary), "about": _number("v_about"),
    "correlation": _text("v_correlation"), "data": bindparam("v_data", type_=LargeBinary),
}  # fmt: skip
write = insert(messages).from_select(
    ["channel", "number", *_said], select(_channel.name, _channel.top, *_said.values()).where(_channel.name == _name)
)
"""A message, behind `count_up`."""
find_again = select(_message.number, _message.fingerprint, _message.at).where(*_known)
_read = select(messages, _channel.epoch).join(channels, _channel.name == _message.channel).where(_message.channel == _name)
find_after = _read.where(_message.number > _after).order_by(_message.number).limit(_most)
find_before = _read.where(or_(_after == 0, _message.number < _after)).order_by(_message.number.desc()).limit(_most)
find_one = _read.where(_message.number == _number("b_number"))
find_oldest = select(func.min(_message.number)).where(_message.channel == _name)
find_changed = select(_channel.name, _channel.epoch, _channel.top).where(_channel.at > _at)
"""Channels in which something was said after a moment."""
find_listed = (
    select(_channel.name, _channel.kind, _channel.top, _channel.at, _channel.closed)
    .where(_channel.name > _text("b_last"), or_(_text("b_kind") == "", _channel.kind == _text("b_kind")))
    .order_by(_channel.name)
    .limit(_most)
)
close = update(channels).where(_channel.name == _name, _channel.closed == 0).values(closed=1)
forget_old = delete(messages).where(_message.channel == _name, or_(_message.number <= _after, _message.at < _at))
forget_messages, forget_members, forget_values, forget_channel = (
    delete(table).where(column == _name)
    for table, column in (
        (messages, _message.channel), (members, _member.channel), (values, _value.channel), (channels, _channel.name)
    )
)  # fmt: skip

# --- state -------------------------------------------------------------------------------------------------------------------

put_value = (
    insert(values)
    .values(channel=_name, key=_text("v_key"), value=bindparam("v_value", type_=LargeBinary))
    .on_conflict_do_update(index_elements=["channel", "key"], set_={"value": bindparam("v_value", type_=LargeBinary)})
)
drop_value = delete(values).where(_value.channel == _name, _value.key == _text("v_key"))
find_values = (
    select(_channel.epoch, _channel.top, _value.key, _value.value)
    .outerjoin(values, _value.channel == _channel.name)
    .where(_channel.name == _name)
    .order_by(_value.key)
)
"""The whole state, and which message has made it so: one question, as two would have something said between them."""

# --- members -----------------------------------------------------------------------------------------------------------------

add_member = (
    insert(members)
    .values(channel=_name, member=_who, at=_at, by=_text("b_by"), delivered=0, read=0, reached=0)
    .on_conflict_do_nothing()
)
remove_member = delete(members).where(_member.channel == _name, _member.member == _who)
find_member = select(_member.delivered, _member.read).where(_member.channel == _name, _member.member == _who)
find_members = select(members).where(_member.channel == _name).order_by(_member.at, _member.member)
find_conversations = (
    select(_channel.name, _channel.kind, _channel.top, _member.delivered, _member.read)
    .join(members, _member.channel == _channel.name)
    .where(_member.member == _who, _channel.name > _text("b_last"))
    .order_by(_channel.name)
    .limit(_most)
)
_up_to = _number("v_number")
deliver = (
    update(members).where(_member.channel == _name, _member.member == _who, _member.delivered < _up_to).values(delivered=_up_to)
)
read = (
    update(members)
    .where(_member.channel == _name, _member.member == _who, _member.read < _up_to)
    .values(read=_up_to, delivered=_up_to)
)
reach = (
    update(members)
    .where(_member.channel == _name, _member.member == _who, _member.reached < _up_to, _member.delivered < _up_to)
    .values(reached=_up_to)
)
find_unreached = (
    select(_member.channel, _member.member, _channel.kind, func.max(_message.number), func.count())
    .join(channels, _channel.name == _member.channel)
    .join(
        messages,
        and_(
            _message.channel == _member.channel,
            _message.number > _member.delivered,
            _message.number > _member.reached,
            _message.sender != _member.member,
            _message.happening == "say",
            _message.at <= _at,
        ),
    )
    .where(
        _channel.at > _number("b_since"),
        _channel.kind == _text("b_kind"),
        _channel.top > _member.delivered,
        _channel.top > _member.reached,
    )
    .group_by(_member.channel, _member.member, _channel.kind)
    .limit(_most)
)
"""Who has had messages waiting since before `b_at`: up to which, and how many; of channels in which something was said after
`b_since`."""

# --- attachments -------------------------------------------------------------------------------------------------------------

attach = insert(attachments).values({c.name: bindparam(f"v_{c.name}", type_=c.type) for c in attachments.columns})
find_attachment = select(attachments).where(attachments.c.channel == _name, attachments.c.id == _text("b_id"))

# --- presence ----------------------------------------------------------------------------------------------------------------

_client, _of_node = _text("b_client"), _text("b_node")
arrive = (
    insert(presence)
    .values(channel=_name, client=_client, node=_of_node, member=_who, info=bindparam("v_info", type_=LargeBinary))
    .on_conflict_do_nothing()
)
leave = delete(presence).where(_present.channel == _name, _present.client == _client)
_alive = select(_node.node).where(_node.at > _at)
find_present = (
    select(_present.client, _present.member, _present.info)
    .where(_present.channel == _name, _present.node.in_(_alive))
    .order_by(_present.client)
    .limit(100 * MOST)
)
"""Who is there through nodes that were heard of after `b_at`."""
beat = update(nodes).where(_node.node == _of_node).values(at=_at)
begin_node = insert(nodes).values(node=_of_node, at=_at).on_conflict_do_nothing()
find_dead = select(_node.node).where(_node.at <= _at)
find_of_node = select(_present.channel, _present.client, _present.member, _present.info).where(_present.node == _of_node)
forget_node = delete(nodes).where(_node.node == _of_node, _node.at <= _at)
forget_present = (
    delete(presence).where(_present.node == _of_node).returning(_present.channel, _present.client, _present.member, _present.info)
)
"""Whoever was connected to a node, behind `forget_node`: in one transaction, so that a node that is heard of again knows."""
