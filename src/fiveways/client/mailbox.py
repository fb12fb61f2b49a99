"""A mailbox from the side of whoever has it: send, list, receive, acknowledge, track.

The public mesh-client does the talking. It is synchronous and not thread-safe, so each mailbox has one worker thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import IO, Any, ParamSpec, Self, TypeVar

from requests import Response

from fiveways.client import wire
from fiveways.client.content import PIECE, Slice, decompressed, pieces, spooled
from fiveways.client.errors import ClientError, Denied, Gone, Refused, Unavailable
from fiveways.client.jobs import Jobs
from fiveways.client.ledger import MESSAGING, Ledger, Request, Upload
from fiveways.client.message import Message
from fiveways.client.reference import reference_of
from fiveways.client.states import State

P = ParamSpec("P")
R = TypeVar("R")

CHUNK = 20 * 1024 * 1024
"""Bytes of a chunk before compression: mesh-client holds one in memory, and MESH asks for more than 5 MB."""
PAGE = 500


class Mailbox:
    """One mailbox of ours. What it sends is noted in `ledger` before it is sent, and can be sent again without being there twice.

    `verify` is a file of certificate authorities (None: those of the system), `cert` our certificate and its key. `patience` bounds
    every wait for the other side. Its methods raise Unavailable for what is worth doing again, Denied and Refused for what is not.
    """

    def __init__(
        self,
        url: str,
        mailbox: str,
        password: str,
        shared_key: str,
        ledger: Ledger,
        *,
        verify: Path | None = None,
        cert: tuple[Path, Path] | None = None,
        chunk_size: int = CHUNK,
        patience: timedelta = timedelta(minutes=1),
    ) -> None:
        self.id = mailbox.upper()
        self.ledger = ledger
        self._chunk_size = chunk_size
        with wire.errors():
            self._client = wire.Wire(
                url,
                self.id,
                password,
                shared_key=shared_key.encode(),
                verify=str(verify) if verify is not None else None,
                cert=(str(cert[0]), str(cert[1])) if cert is not None else None,
                timeout=patience.total_seconds(),
                application_name="fiveways",
            )
        self._worker = ThreadPoolExecutor(1, f"mailbox-{self.id}")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Finish what is under way, and let go of the connections."""
        await self._work(self._client.close)
        self._worker.shutdown()

    async def handshake(self) -> None:
        """Show that the mailbox, its password, the shared key and the certificate are good; MESH asks for it daily."""
        await self._work(self._client.handshake)

    async def send(
        self,
        recipient: str,
        content: bytes | Path,
        *,
        workflow: str,
        local_id: str = "",
        answer_within: timedelta | None = None,
        correlation: str = "",
        label: str = "",
        compress: bool = False,
        subject: str = "",
        file_name: str = "",
        content_type: str = "",
        keep_answer: bool = False,
    ) -> Request:
        """Send a message; the request that the ledger has of it.

        Give it a `local_id` of yours, and after Unavailable, a time-out or a crash, the same call goes on where the first was
        interrupted: it sends nothing that the other side has. What the other side has refused is in the ledger as failed.
        `answer_within`: when an answer is due; None where none is awaited. `keep_answer`: the first answer's content is kept in the
        ledger (`Fiveways.submit_message`). Raises LocalIdReused where it names another message.
        """
        about = {"subject": subject, "filename": file_name, "content_type": content_type}
        said = {name: value for name, value in about.items() if value}
        request = await self._work(self._noted, recipient.upper(), content, workflow, local_id, correlation, label, answer_within)
        if keep_answer:
            await self._work(Jobs(self.ledger).keep, request.id)
        return await self._work(self._sent, request, content, compress, {**said, "workflow_id": workflow})

    async def pages(self, workflow: str = "") -> AsyncIterator[list[str]]:
        """The ids of what waits, in order of arrival, a page at a time; `workflow` filters as MESH does (`W`, `!W`, `W*`, …)."""
        found = self._client.iterate_message_ids(workflow_filter=workflow or None)
        while page := await self._work(lambda: list(islice(found, PAGE))):
            yield page

    async def receive(self, message_id: str, *, as_sent: bool = False) -> Message:
        """A message; close it when done with it. Raises Gone where it is not there, Garbled where it is not what it says it is.

        `as_sent` leaves compressed content compressed, such as content that is not what it says it is.
        """
        return await self._work(self._received, message_id, as_sent)

    async def acknowledge(self, message_id: str) -> None:
        """Have a message leave the mailbox: it is ours now. Saying so again changes nothing."""
        await self._work(self._client.acknowledge_message, message_id)

    async def track(self, message_id: str) -> dict[str, Any]:
        """What became of a message that we sent, in the words of the wire (version 2)."""
        return dict(await self._work(self._client.track_message, message_id))

    async def _work(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in the mailbox's thread. It is finished even where whoever waits for it stops waiting."""

        def run() -> R:
            with wire.errors():
                return work(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._worker, run)

    # --- in the worker thread ---------------------------------------------------------------------------------------------

    def _noted(
        self,
        recipient: str,
        content: bytes | Path,
        workflow: str,
        local_id: str,
        correlation: str,
        label: str,
        answer_within: timedelta | None,
    ) -> Request:
        with _opened(content) as file:
            digest = hashlib.sha256()
            for piece in pieces(file):
                digest.update(piece)
            reference = reference_of(file)
        return self.ledger.open(
            MESSAGING,
            recipient,
            own=self.id,
            local_id=local_id,
            workflow=workflow,
            correlation=correlation,
            label=label,
            digest=digest.hexdigest(),
            fhir_ids=reference.ids if reference is not None else (),
            answer_within=answer_within,
        )

    def _sent(self, request: Request, content: bytes | Path, compress: bool, said: dict[str, str]) -> Request:
        upload = self.ledger.upload(request.id) or Upload("", self._chunk_size, compress, 0)
        if not upload.message_id and (request.message_id or request.state not in (State.OPEN, State.OVERDUE)):
            return request
        with _opened(content) as file, self._client.correlated(request.correlation):
            if upload.message_id:
                with contextlib.suppress(Gone):  # the other side has given the upload up: it begins anew below
                    return self._sent_rest(request, file, upload)
            tried = self.ledger.trying(request.id)
            self.ledger.uploading(request.id, replace(upload, message_id="", done=0))
            tracked = self._client.by_local_id(request.local_id) if tried else None
            if tracked is None:
                tracked = self._first(request, file, upload, said)
            if not tracked.uploading:
                return self.ledger.sent(request.id, tracked.message_id)
            upload = replace(upload, message_id=tracked.message_id, done=1)
            self.ledger.uploading(request.id, upload)
            return self._sent_rest(request, file, upload)

    def _first(self, request: Request, file: IO[bytes], upload: Upload, said: dict[str, str]) -> wire.Tracked:
        """Send the message, or its first chunk. Where no answer comes, look whether the other side has it all the same."""
        total = _chunks(file, upload)
        first = Slice(file, 0, upload.chunk_size)
        try:
            with wire.errors():
                response = self._client.send_chunk(
                    request.party, first, 1, total, upload.compressed, local_id=request.local_id, **said
                )
                refusal = wire.refusal(response)
                if refusal is None:
                    return wire.Tracked(str(response.json()["message_id"]), uploading=total > 1)
                raise refusal
        except Refused as error:
            self._refused(request, error)
            raise
        except Gone as error:
            raise Refused(str(error)) from error
        except Unavailable as error:
            tracked = self._client.by_local_id(request.local_id)
            if tracked is None:
                raise Unavailable(f"it was not taken, and can be sent again: {error}") from error
            return tracked

    def _sent_rest(self, request: Request, file: IO[bytes], upload: Upload) -> Request:
        """Send the chunks that the other side does not have yet."""
        total = _chunks(file, upload)
        for number in range(upload.done + 1, total + 1):
            chunk = Slice(file, (number - 1) * upload.chunk_size, upload.chunk_size)
            try:
                with wire.errors():
                    self._client.send_chunk(request.party, chunk, number, total, upload.compressed, upload.message_id)
            except Refused as error:
                if not str(error).startswith("423 "):  # 423: it is whole, so an answer to us was lost
                    self._refused(request, error)
                    raise
                break
            self.ledger.uploading(request.id, replace(upload, done=number))
        return self.ledger.sent(request.id, upload.message_id)

    def _refused(self, request: Request, error: Refused) -> None:
        if not isinstance(error, Denied):  # nothing is wrong with the message then
            self.ledger.failed(request.id, error.code, str(error))

    def _received(self, message_id: str, as_sent: bool) -> Message:
        first = self._client.retrieve_message_chunk(message_id, 1)
        fields = {name.lower()[4:]: value for name, value in first.headers.items() if name.lower().startswith("mex-")}
        try:
            chunks = int(fields.get("chunk-range", "1:1").partition(":")[2])
        except ValueError:
            chunks = 1
        content, size = spooled(self._content(message_id, first, chunks, as_sent))
        kind = fields.get("content-type") or first.headers.get("Content-Type", "")
        return Message(id=message_id, recipient=self.id, content=content, fields=fields, content_type=kind, size=size)

    def _content(self, message_id: str, first: Response, chunks: int, as_sent: bool) -> Iterator[bytes]:
        yield from _read(first, as_sent)
        for number in range(2, chunks + 1):
            yield from _read(self._client.retrieve_message_chunk(message_id, number), as_sent)


def _read(response: Response, as_sent: bool) -> Iterator[bytes]:
    with response:
        raw = iter(lambda: response.raw.read(PIECE, decode_content=False), b"")
        encoded = response.headers.get("Content-Encoding", "").lower() == "gzip"
        yield from decompressed(raw) if encoded and not as_sent else raw


def _opened(content: bytes | Path) -> IO[bytes]:
    try:
        return BytesIO(content) if isinstance(content, bytes) else content.open("rb")
    except OSError as error:
        raise ClientError(str(error)) from error


def _chunks(file: IO[bytes], upload: Upload) -> int:
    return max(1, -(-file.seek(0, os.SEEK_END) // upload.chunk_size))
