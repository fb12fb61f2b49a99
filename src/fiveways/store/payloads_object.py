"""Payloads in an object store, or in memory for tests and trials, through obstore.

Content is uploaded in parts as it comes; the object appears when the last part is there, and not before. An upload broken off
leaves no object (its parts go by the bucket's rule for incomplete uploads).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import MemoryStore, ObjectStore, S3Store

from fiveways.correlation import new_id
from fiveways.errors import StoreError
from fiveways.store.payloads import CHUNK, Meter, Payload, checked, pieces
from fiveways.store.payloads_windows import ReadAhead, WriteBehind

_PART = 8 * 1024 * 1024
_PARTS_AT_ONCE = 4


class ObjectPayloads:
    """Payloads as objects named by their reference."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @classmethod
    def at(cls, url: str) -> ObjectPayloads:
        """The store at `memory://` or `s3://bucket/prefix?endpoint=…&region=…`. Raises StoreError."""
        return cls(MemoryStore() if urlsplit(url).scheme == "memory" else s3_store(url))

    async def put(
        self, content: AsyncIterable[bytes] | bytes, *, limit: int | None = None, digest: bool = True, ref: str = ""
    ) -> Payload:
        """Keep `content`; durable on return. Raises PayloadTooLarge over `limit` bytes; then nothing stays."""
        ref, meter = ref or new_id(), Meter(limit, digest=digest)
        if isinstance(content, bytes):
            meter.add(content)
            with _translated():
                await obstore.put_async(self._store, ref, content, use_multipart=len(content) > _PART, chunk_size=_PART)
            return meter.payload(ref)
        failure: list[BaseException] = []

        async def metered() -> AsyncIterator[bytes]:
            try:
                async for chunk in pieces(content):
                    meter.add(chunk)
                    yield chunk
            except Exception as error:
                failure.append(error)  # obstore would wrap it
                raise

        try:
            with _translated():
                await obstore.put_async(self._store, ref, metered(), chunk_size=_PART, max_concurrency=_PARTS_AT_ONCE)
        except Exception:
            if failure:
                raise failure[0] from None
            raise
        return meter.payload(ref)

    async def begin(self) -> WriteBehind:
        """A payload to be written piece by piece: its parts go to the store while more comes."""
        return WriteBehind(lambda ref, content: self.put(content, digest=False, ref=ref))

    async def view(self, ref: str) -> ReadAhead:
        """A payload to be read from any place: what follows is on its way already. Raises KeyError for what is not there."""
        size = await self.size(ref)
        return ReadAhead(lambda start, end: self._range(ref, start, end), size)

    async def _range(self, ref: str, start: int, end: int) -> bytes:
        with _translated(ref):
            return bytes(await obstore.get_range_async(self._store, checked(ref), start=start, end=end))

    async def open(self, ref: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to but not including `end`. Raises KeyError for what is not there."""
        size = await self.size(ref)
        end = size if end is None else min(end, size)
        if start >= end:
            return
        with _translated(ref):
            result = await obstore.get_async(self._store, checked(ref), options={"range": (start, end)})
            async for chunk in result.stream(min_chunk_size=CHUNK):
                yield bytes(chunk)

    async def size(self, ref: str) -> int:
        """The length in bytes. Raises KeyError for what is not there."""
        with _translated(ref):
            return int((await obstore.head_async(self._store, checked(ref)))["size"])

    async def exists(self, ref: str) -> bool:
        """Whether there is such a payload."""
        try:
            await self.size(ref)
        except KeyError:
            return False
        return True

    async def delete(self, ref: str) -> None:
        """Remove a payload; one that is not there is no error."""
        with suppress(KeyError), _translated(ref):
            await obstore.delete_async(self._store, checked(ref))

    async def list(self) -> AsyncIterator[str]:
        """Every reference."""
        with _translated():
            async for batch in obstore.list(self._store, chunk_size=1000):
                for found in batch:
                    yield found["path"]

    async def close(self) -> None:
        """Connections close by themselves."""


def s3_store(url: str) -> S3Store:
    """The bucket, and the prefix in it, at `s3://bucket/prefix?endpoint=…&region=…`. Raises StoreError."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    endpoint, region = options.pop("endpoint", None), options.pop("region", "us-east-1")
    if parts.scheme != "s3" or not parts.hostname or options or parts.password:
        raise StoreError("an S3 store is written s3://bucket/prefix?endpoint=…&region=…; credentials are in the environment")
    with _translated():
        return S3Store(
            parts.hostname,
            prefix=parts.path.strip("/") or None,
            region=region,
            virtual_hosted_style_request=False,
            client_options={"allow_http": bool(endpoint and endpoint.startswith("http://")), "timeout": "60s"},
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
            endpoint=endpoint or f"https://s3.{region}.amazonaws.com",
        )


@contextmanager
def _translated(ref: str = "") -> Iterator[None]:
    """What the object store says, as StoreError, or KeyError of `ref` where that is asked for and not there; its text may hold
    URLs, but no credentials."""
    try:
        yield
    except FileNotFoundError:
        if not ref:
            raise StoreError("the object store failed: there is no such bucket") from None
        raise KeyError(ref) from None
    except (BaseError, OSError) as error:
        raise StoreError(f"the object store failed: {type(error).__name__}") from None
