"""An S3 bucket as a sink: a piece is created where there is none of its name, and never written over (a conditional PUT)."""

from __future__ import annotations

import hashlib

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from fiveways.delivery.queue import Delivery, GiveUp, Retry
from fiveways.errors import DeploymentError, StoreError
from fiveways.methods.bulk.sinks.sink import Piece
from fiveways.store.payloads_object import s3_store

_PART = 8 * 2**20


class ObjectSink:
    """Objects below a prefix of a bucket, whose credentials are in the environment."""

    def __init__(self, url: str) -> None:
        """`url`: `s3://bucket/prefix?endpoint=…&region=…`. DeploymentError for anything else."""
        try:
            self._store = s3_store(url)
        except StoreError as error:
            raise DeploymentError(str(error)) from None

    async def __call__(self, piece: Piece, delivery: Delivery) -> str:
        """Create the piece there. Raises Retry where the store fails, GiveUp where another object has its name."""
        try:
            if piece.size <= _PART:
                body = b"".join([each async for each in piece.read()])
                await obstore.put_async(self._store, piece.name, body, mode="create", use_multipart=False)
            elif await self._is_there(piece.name):
                return await self._compared(piece)
            else:  # in parts, which S3 completes under a name whatever is there: the delivery's lease has one at a time try it
                await obstore.put_async(self._store, piece.name, piece.read(), chunk_size=_PART)
        except AlreadyExistsError:
            return await self._compared(piece)
        except (BaseError, OSError) as error:
            raise Retry(f"the object store failed: {type(error).__name__}") from None
        return "created"

    async def _is_there(self, name: str) -> bool:
        try:
            await obstore.head_async(self._store, name)
        except FileNotFoundError:
            return False
        return True

    async def _compared(self, piece: Piece) -> str:
        mine, there = hashlib.sha256(), hashlib.sha256()
        async for each in piece.read():
            mine.update(each)
        result = await obstore.get_async(self._store, piece.name)
        async for chunk in result.stream():
            there.update(bytes(chunk))
        if mine.digest() != there.digest():
            raise GiveUp(f"another object is there already: {piece.name}")
        return "it was there"
