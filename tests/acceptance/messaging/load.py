"""Clients that send and collect while nodes come and go, and the account of what each was told."""

from __future__ import annotations

import hashlib
import math
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from mesh_client import MeshClient, MeshError
from requests import HTTPError
from urllib3.exceptions import HTTPError as ConnectionBroken

CHUNK = 100_000
"""Bytes of a chunk: more than fits a row."""
BACKLOG = 50
"""Messages that may wait before senders pause."""
DRAIN = 60.0
"""Seconds in which what waits at the end must have been collected."""
SIZES = (1, 1000, 60_000, CHUNK, 2 * CHUNK + 1, 5 * CHUNK)


def client(url: str, mailbox: str, **options: Any) -> MeshClient:
    """mesh-client as it comes: it tries four times, but never sends a first chunk again."""
    options = {"retry_backoff_factor": 0.2, **options}
    return MeshClient(url, mailbox, "password", shared_key=b"SharedKey", max_chunk_size=CHUNK, **options)


@dataclass
class Account:
    """What clients did and were told."""

    attempts: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the content of each message that was sent or half sent, by local id; no local id is used twice."""
    accepted: dict[str, str] = field(default_factory=dict)
    """Local ids of messages of which every chunk was answered with 202, by message id."""
    arrived: dict[str, str] = field(default_factory=dict)
    """Local ids of messages that were collected, by message id."""
    acknowledged: set[str] = field(default_factory=set)
    """Messages whose acknowledgement was answered with 200."""
    refusals: list[str] = field(default_factory=list)
    """Answers with a status that no client should see, whatever happens to nodes."""
    broken: list[str] = field(default_factory=list)
    """What contradicts the account so far."""
    lost_answers: int = 0
    """Calls that got no answer."""


class Load:
    """Senders, and one recipient per mailbox, each going from node to node as it likes."""

    def __init__(self, urls: list[str], recipients: list[str], senders: int = 3) -> None:
        self.account = Account()
        self._urls = urls
        self._recipients = recipients
        self._sending, self._collecting = threading.Event(), threading.Event()
        self._senders = [threading.Thread(target=self._send, args=(number,)) for number in range(senders)]
        self._collectors = [threading.Thread(target=self._collect, args=(mailbox,)) for mailbox in recipients]
        for event, threads in ((self._sending, self._senders), (self._collecting, self._collectors)):
            event.set()
            for thread in threads:
                thread.start()

    def finish(self) -> Account:
        """Send no more, collect until nothing waits, and close the account. All nodes are up."""
        for event, threads in ((self._sending, self._senders), (self._collecting, self._collectors)):
            event.clear()
            for thread in threads:
                thread.join()
        return self.account

    def _send(self, number: int) -> None:
        chance, account = random.Random(number), self.account
        with self._clients("WARD") as clients:
            sent = 0
            while self._sending.is_set():
                if len(account.accepted) - len(account.arrived) > BACKLOG:
                    time.sleep(0.05)
                    continue
                sent += 1
                local_id, content = f"{number}-{sent}", os.urandom(chance.choice(SIZES))
                account.attempts[local_id] = hashlib.sha256(content).hexdigest()
                said: dict[str, Any] = {"workflow_id": "NOTE", "local_id": local_id, "compress": chance.random() < 0.3}
                with self._noting():
                    id_ = chance.choice(clients).send_message(chance.choice(self._recipients), content, **said)
                    account.accepted[id_] = local_id

    def _collect(self, mailbox: str) -> None:
        chance, account = random.Random(mailbox), self.account
        with self._clients(mailbox) as clients:
            until = math.inf
            while time.monotonic() < until:
                closing = not self._collecting.is_set()
                if closing:
                    until = min(until, time.monotonic() + DRAIN)
                with self._noting():
                    waiting = self._list(chance.choice(clients))
                    if closing and not waiting:
                        return
                    for id_ in waiting:
                        message = chance.choice(clients).retrieve_message(id_)
                        content, local_id = message.read(), str(message.local_id)
                        if account.attempts.get(local_id) != hashlib.sha256(content).hexdigest():
                            account.broken.append(f"{id_} is not what was sent as {local_id}: {len(content)} bytes")
                        account.arrived[id_] = local_id
                        chance.choice(clients).acknowledge_message(id_)
                        account.acknowledged.add(id_)
                    time.sleep(0 if waiting else 0.02)

    def _list(self, via: MeshClient) -> list[str]:
        done = frozenset(self.account.acknowledged)
        waiting = via.list_messages(max_results=10)
        if len(set(waiting)) < len(waiting):
            self.account.broken.append(f"an inbox shows a message twice: {waiting}")
        self.account.broken += [f"{id_} was acknowledged and is there again" for id_ in waiting if id_ in done]
        return waiting

    @contextmanager
    def _clients(self, mailbox: str) -> Iterator[list[MeshClient]]:
        with ExitStack() as stack:
            yield [stack.enter_context(client(url, mailbox)) for url in self._urls]

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Where a call does not come through, note how: refused, or without an answer."""
        try:
            yield
        except (HTTPError, MeshError) as error:
            answer = error.response if isinstance(error, HTTPError) else None
            self.account.refusals.append(f"{error!r} {answer.text if answer is not None else ''}")
        except (OSError, ConnectionBroken):
            self.account.lost_answers += 1
            time.sleep(0.05)


def proves(account: Account) -> None:
    """Nothing that was accepted is lost, nothing is there twice or in part."""
    assert account.broken == []
    assert account.refusals == []
    lost = account.accepted.keys() - account.arrived.keys()
    assert not lost, f"{len(lost)} of {len(account.accepted)} were accepted, and never arrived"
    assert account.accepted.items() <= account.arrived.items()
    local_ids = list(account.arrived.values())
    assert len(set(local_ids)) == len(local_ids), "one message arrived under two ids"
    assert set(local_ids) <= account.attempts.keys()
