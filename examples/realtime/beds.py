"""Bed management: publishes in the board what changes, over HTTP. It holds no connection, and knows nobody who looks.

python beds.py                         a change every two seconds, until it is stopped
python beds.py --count 5 --every 0.1   some
"""

# ruff: noqa: T201, S311 (a program that prints, and draws lots)

from __future__ import annotations

import argparse
import asyncio
import random
import uuid
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from fiveways.client import Channels, Fiveways, Publication, SignedJwt

URL = "http://127.0.0.1:8076"
BOARD = "ward:8:board"
BEDS = [f"bed-{number}" for number in range(1, 13)]
STATES = ("free", "taken", "being cleaned")


async def main(number: int | None, every: float) -> None:
    """Publish how all beds are, then what changes: JSON objects, of which each member replaces what was known by its name."""
    access = SignedJwt("bed-management", Path("keys/bed-management.pem"), "bed-management-1")
    async with Fiveways(URL, access) as northshire:
        channels, choose = Channels(northshire), random.Random()
        await channels.publish_all([Publication(BOARD, {bed: "free"}) for bed in BEDS])
        for _ in count() if number is None else range(number):
            change = {choose.choice(BEDS): choose.choice(STATES), "as of": datetime.now(UTC).isoformat(timespec="seconds")}
            # An id of its own for each event: sent again after a lost answer, it is published once all the same.
            published = await channels.publish(BOARD, change, id=str(uuid.uuid4()))
            print(published.offset, change)
            await asyncio.sleep(every)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--count", type=int)
parser.add_argument("--every", type=float, default=2.0)
arguments = parser.parse_args()
asyncio.run(main(arguments.count, arguments.every))
