"""What clients go on from in long lists: opaque to them, and of the length that version 2's specification gives."""

from __future__ import annotations

import base64
import re

from fiveways.methods.messaging.history import LAST
from fiveways.methods.messaging.mesh import parameters
from fiveways.methods.messaging.mesh.faults import InvalidRequest

_POSITION = re.compile(r"inbox:([0-9]{1,18}):-{0,64}")
_MESSAGE = re.compile(r"rich:([0-9]{20}_[0-9A-F]{6})")


def after_position(position: int) -> str:
    """The cursor behind a position in an inbox."""
    return _encoded(f"inbox:{position}:{'-' * 12}")


def position_in(cursor: str) -> int:
    """The position that a cursor stands for. Raises InvalidRequest for what no list has given."""
    return int(_read(_POSITION, cursor))


def after_message(message_id: str) -> str:
    """The cursor behind a message in a rich list."""
    return _encoded(f"rich:{message_id}")


def message_in(cursor: str) -> str:
    """The message that a cursor stands for; without one, what a rich list begins with. Raises InvalidRequest, as above."""
    return _read(_MESSAGE, cursor) if cursor else LAST


def _encoded(cursor: str) -> str:
    return base64.urlsafe_b64encode(cursor.encode()).decode()


def _read(form: re.Pattern[str], cursor: str) -> str:
    try:
        found = form.fullmatch(base64.urlsafe_b64decode(cursor).decode())
    except ValueError:
        found = None
    if found is None:
        raise InvalidRequest([parameters.mistake("value_error", "continue_from", "Value is not one that a list has given", cursor)])
    return found[1]
