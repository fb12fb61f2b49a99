"""Which features of real time each client was shown to have, as the last recorded run of the tests found."""

from __future__ import annotations

import json
from pathlib import Path

from reference_pages import table


def realtime_clients(docs: Path) -> str:
    """A row for each feature, a column for each client with the version that is tried."""
    found = json.loads((docs / "methods" / "realtime-clients.json").read_text())
    clients = found["clients"]
    rows = [(each["feature"], *("yes" if each["shown"].get(client) else "–" for client in clients)) for each in found["features"]]
    return table(("A client that", *(f"{name} {version}" for name, version in clients.items())), rows)
