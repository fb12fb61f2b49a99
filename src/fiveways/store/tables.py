"""The one MetaData on which every component declares its tables, beside its code.

Columns hold integers, text and bytes only, which both databases and their raw drivers take as they are. Moments are integers,
microseconds since the Unix epoch.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import MetaData

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

PAYLOAD: Final = {"names": "payload"}
"""`Column(…, info=PAYLOAD)`: it names payloads. What no such column names is removed when it is old (`leftovers.py`)."""
