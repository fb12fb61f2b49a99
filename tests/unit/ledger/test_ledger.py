"""The ledger opened as a whole."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from fiveways.clock import ManualClock
from fiveways.deployment.settings import Rate
from fiveways.ledger.audit import AuditEvent, AuditSettings
from fiveways.ledger.audit.verify import verify
from fiveways.ledger.idempotency import Answered, Fresh
from fiveways.ledger.ledger import Ledger
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.migrate import migrate
from fiveways.store.payloads import open_payloads
from fiveways.store.settings import Store

pytestmark = pytest.mark.anyio


async def opened(data: Path, clock: ManualClock) -> tuple[Ledger, Database]:
    database = Database.open(f"sqlite:///{data}/fiveways.db", clock)
    await migrate(database)
    payloads = open_payloads(f"file://{data}/payloads")
    settings = AuditSettings(segment_rows=2, retention=timedelta(days=30))
    return await Ledger.open(data, database, payloads, LocalBus(), clock, "node", settings), database


async def test_everything_survives_a_restart_and_goes_when_its_time_has_come(tmp_path: Path) -> None:
    clock = ManualClock()
    ledger, database = await opened(tmp_path, clock)
    until = clock.now() + timedelta(hours=1)
    payload = await ledger.payloads.put(b"large")
    begun = await ledger.duplicates.begin("app", "api", "id", timedelta(seconds=30))
    assert isinstance(begun, Fresh)
    await ledger.duplicates.complete(begun.claim, b"f", 200, [], payload=payload.ref, expires=until)
    assert await ledger.replay.claim("jti", "x", until)
    assert (await ledger.rates.take("k", Rate(1, 86400))).allowed
    for number in range(4):
        ledger.audit.record(AuditEvent(at=number, kind="x", correlation_id="c"))
    pseudonym = ledger.pseudonyms.of(b"9000000009")
    await ledger.close()
    await database.close()

    ledger, database = await opened(tmp_path, clock)
    assert isinstance(await ledger.duplicates.begin("app", "api", "id", timedelta(seconds=30)), Answered)
    assert not await ledger.replay.claim("jti", "x", until)
    assert not (await ledger.rates.take("k", Rate(1, 86400))).allowed
    assert len(await ledger.audit.trace("c")) == 4
    assert ledger.pseudonyms.of(b"9000000009") == pseudonym
    clock.advance(timedelta(days=40))
    ledger.audit.record(AuditEvent(at=9, kind="x"))
    await ledger.audit.flush()
    await ledger.purge(clock.now())
    assert not await ledger.payloads.exists(payload.ref)
    assert await ledger.audit.trace("c") == []
    await ledger.close()
    assert (await verify(database, tmp_path)).ok
    await database.close()


@pytest.mark.parametrize("url", ["postgresql://u:secret@h/d", "mysql://h/d", "sqlite://"])
def test_a_store_url_with_a_password_or_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Store(url=url)


def test_a_store_is_written_as_documented() -> None:
    assert Store(url="sqlite:///fiveways.db", payloads="s3://bucket/p?endpoint=http://h", bus="nats://h:4222")
    assert Store(url="postgresql://user@host/name").bus == "local"
