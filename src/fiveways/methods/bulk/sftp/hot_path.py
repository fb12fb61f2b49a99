"""The short way of packets through asyncssh, for connections of this server whose packets are sealed with AES-GCM.

asyncssh 2.24 spends most of its time on a packet beside encrypting it. Four things are done otherwise here:

1. One AEAD object for each key, where asyncssh makes one for each packet.
2. No MSG_IGNORE before each packet: it hides what a MAC tells in CBC mode (RFC 4251 §9.3.1), which AEAD has not.
3. What is received stands in one buffer and is opened where it stands; asyncssh copies what is left of it twice for each packet.
4. What is sent is joined once and sealed once for each packet, and written together for all; asyncssh copies it seven times.

Only channel data takes the short way. All else (key exchange, logging in, requests, whatever is wrong) goes through asyncssh's
own code, from and to the same state, so that each packet may go either way: another cipher, or another version of asyncssh
(`FITS`), is no matter. Without this module `Connection` derives from `asyncssh.SSHServerConnection`, and nothing is different but
the time that it takes. `OneKey`, `ShortChannel` and `ShortWay` are what a change of asyncssh itself would be.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from typing import Any, Final, cast

import asyncssh
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_KEX_LAST
from asyncssh.encryption import Encryption, GCMEncryption
from asyncssh.packet import SSHPacketLogger
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FITS: Final = asyncssh.__version__.startswith("2.24.")
"""Whether this is the asyncssh that the module was written for."""

_TAG: Final = 16
_BLOCK: Final = 16
_ROOM: Final = 512 * 1024
"""Bytes of the buffer: more than a packet may have (`_max_recv_pktlen`)."""
_LITTLE: Final = 64 * 1024
"""With less room than this behind what is there, it is moved to the front."""


class OneKey(Encryption):
    """AES-GCM under one key (RFC 5647 §7.1): a fixed part of 4 bytes, and a count of 8 from where the key exchange says."""

    def __init__(self, key: bytes, nonce: bytes) -> None:
        self._aead = AESGCM(key)
        self._fixed = nonce[:4]
        self._count = int.from_bytes(nonce[4:], "big")
        self.opened: bytes | None = None
        """The content of the packet that asyncssh is about to open."""

    def _nonce(self) -> bytes:
        count = self._count
        self._count = (count + 1) & 0xFFFFFFFFFFFFFFFF
        return self._fixed + count.to_bytes(8, "big")

    def seal(self, header: bytes, packet: bytes) -> bytes:
        """A packet without its length, and its tag."""
        return self._aead.encrypt(self._nonce(), packet, header)

    def open(self, header: memoryview, sealed: memoryview) -> bytes | None:
        """What a packet says; None where it is not what was sealed."""
        try:
            return self._aead.decrypt(self._nonce(), sealed, header)
        except InvalidTag:
            return None

    # --- as asyncssh has it --------------------------------------------------------------------------------------------------

    def encrypt_packet(self, seq: int, header: bytes, packet: bytes) -> tuple[bytes, bytes]:
        """Encrypt and sign a packet."""
        sealed = self.seal(header, packet)
        return header + sealed[:-_TAG], sealed[-_TAG:]

    def decrypt_header(self, seq: int, first_block: bytes, header_len: int) -> tuple[bytes, bytes]:
        """The header is not encrypted."""
        return first_block, first_block[:header_len]

    def decrypt_packet(self, seq: int, first: bytes, rest: bytes, header_len: int, mac: bytes) -> bytes | None:
        """Verify and decrypt a packet."""
        opened, self.opened = self.opened, None
        if opened is not None:
            return opened
        return self.open(memoryview(first[:header_len]), memoryview(b"".join((first[header_len:], rest, mac))))


class ShortChannel(asyncssh.SSHServerChannel[bytes]):
    """A channel that keeps what it has not sent as it was given, and cuts it up where it is sealed."""

    _conn: ShortWay

    def writelines(self, list_of_data: Iterable[bytes], datatype: int | None = None) -> None:
        """Send these pieces, one after another. They must not change afterwards."""
        if datatype is not None:
            super().writelines(list_of_data, datatype)
            return
        if self._send_state != "open":
            raise BrokenPipeError("Channel not open for sending")
        for data in list_of_data:
            if data:
                self._send_buf.append((cast(Any, memoryview(data)), None))
                self._send_buf_len += len(data)
        self._flush_send_buf()

    def write(self, data: bytes, datatype: int | None = None) -> None:
        """Send this."""
        if datatype is None:
            self.writelines((data,))
        else:
            super().write(data, datatype)

    def _flush_send_buf(self) -> None:
        """Send as much as the window allows."""
        conn, waiting = self._conn, self._send_buf
        sealed: list[bytes] = []
        while waiting and self._send_window and waiting[0][1] is None and self._send_chan is not None:
            room = min(self._send_window, self._send_pktsize)
            pieces, size = self._cut(room)
            self._send_buf_len -= size
            self._send_window -= size
            if conn.short_out:
                sealed += conn.sealed(self._send_chan, pieces, size)
            else:
                if sealed:
                    conn.put(sealed)
                    sealed = []
                self.send_packet(MSG_CHANNEL_DATA, size.to_bytes(4, "big"), *pieces)
        if sealed:
            conn.put(sealed)
        if waiting and waiting[0][1] is not None:
            super()._flush_send_buf()
            return
        self._pause_resume_writing()
        if not waiting:
            if self._send_state == "eof_pending":
                self.send_packet(MSG_CHANNEL_EOF)
                self._send_state = "eof"
            elif self._send_state == "close_pending":
                self._close_send()

    def takes(self, size: int) -> bool:
        """Whether so much channel data is in order now."""
        return self._recv_state == "open" and size <= self._recv_window

    def take(self, data: memoryview) -> None:
        """Take channel data in. It does not change afterwards."""
        self._accept_data(cast(bytes, data))

    def _cut(self, room: int) -> tuple[list[Any], int]:
        """What goes into the next packet, and how much it is."""
        waiting, pieces, size = self._send_buf, [], 0
        while waiting and size < room:
            data, datatype = waiting[0]
            if datatype is not None:
                break
            if len(data) > room - size:
                pieces.append(data[: room - size])
                waiting[0] = (data[room - size :], None)
                return pieces, room
            pieces.append(data)
            size += len(data)
            del waiting[0]
        return pieces, size


class ShortWay(asyncssh.SSHServerConnection):
    """A connection whose packets of channel data take the short way, where `short` is set and the cipher is AES-GCM."""

    short = False
    _next_reset = 0.0

    def inlet(self) -> asyncio.BaseProtocol:
        """What the transport talks to."""
        return Inlet(self) if self.short else self

    def send_newkeys(self, k: bytes, h: bytes) -> None:
        """New keys are agreed on."""
        super().send_newkeys(k, h)
        if self.short:  # what was sent under the new key by now has been counted there
            self._send_encryption = _one_key(self._send_encryption)
            self._next_recv_encryption = _one_key(self._next_recv_encryption)

    def create_server_channel(
        self, encoding: str | None = "", errors: str = "", window: int = 0, max_pktsize: int = 0
    ) -> asyncssh.SSHServerChannel[Any]:
        """A channel is opened."""
        if not self.short or (encoding or (encoding == "" and self._encoding)) or self._line_editor:
            return super().create_server_channel(encoding, errors, window, max_pktsize)
        max_pktsize = max_pktsize or self._max_pktsize
        self._update_recv_pktlen(max_pktsize)
        return ShortChannel(
            self, self._loop, self._allow_pty, False, self._line_echo, self._line_history, self._max_line_length, None,
            errors or self._errors, window or self._window, max_pktsize,
        )  # fmt: skip

    @property
    def closed(self) -> bool:
        """Whether nothing that comes matters any more."""
        return self._transport is None

    # --- out -----------------------------------------------------------------------------------------------------------------

    @property
    def short_out(self) -> bool:
        """Whether a packet of channel data may be sealed and sent now: not while keys are agreed on, or should be."""
        return (
            type(self._send_encryption) is OneKey
            and self._auth_complete
            and self._kex_complete
            and self._compressor is None
            and self._rekey_bytes_sent < self._rekey_bytes
            and (not self._rekey_seconds or time.monotonic() < self._rekey_time)
        )

    def sealed(self, channel: int, pieces: list[Any], size: int) -> tuple[bytes, bytes]:
        """A packet of channel data (RFC 4254 §5.2), ready to be sent; to be called where `short_out`."""
        padding = -(10 + size) % _BLOCK
        if padding < 4:
            padding += _BLOCK
        front = padding << 72 | MSG_CHANNEL_DATA << 64 | channel << 32 | size
        packet = b"".join((front.to_bytes(10, "big"), *pieces, os.urandom(padding)))
        return self._seal(packet)

    def _seal(self, packet: bytes) -> tuple[bytes, bytes]:
        length = len(packet)
        header = length.to_bytes(4, "big")
        sealed = cast(OneKey, self._send_encryption).seal(header, packet)
        self._send_seq = (self._send_seq + 1) & 0xFFFFFFFF
        self._rekey_bytes_sent += length
        return header, sealed

    def put(self, sealed: list[bytes]) -> None:
        """Write packets to the transport."""
        if self._transport:
            self._transport.writelines(sealed)

    def send_packet(self, pkttype: int, *args: bytes, handler: SSHPacketLogger | None = None) -> None:
        """Send a packet; of a channel, without MSG_IGNORE before it."""
        if pkttype <= MSG_KEX_LAST or not self.short_out:
            super().send_packet(pkttype, *args, handler=handler)
            return
        payload = b"".join(args)
        padding = -(2 + len(payload)) % _BLOCK
        if padding < 4:
            padding += _BLOCK
        self.put(list(self._seal(b"".join((bytes((padding, pkttype)), payload, os.urandom(padding))))))

    # --- in ------------------------------------------------------------------------------------------------------------------

    @property
    def short_in(self) -> bool:
        """Whether asyncssh waits for a packet sealed with AES-GCM, and has nothing of it yet."""
        return (
            type(self._recv_encryption) is OneKey
            and self._decompressor is None
            and not self._inpbuf
            and self._recv_handler == self._recv_pkthdr
            and self._transport is not None
        )

    def give_back(self) -> bytes:
        """What asyncssh has of a packet sealed with AES-GCM that is not whole yet: its header was not changed."""
        if type(self._recv_encryption) is not OneKey or self._recv_handler not in (self._recv_pkthdr, self._recv_packet):
            return b""
        left, self._packet, self._inpbuf = self._packet + self._inpbuf, b"", b""
        self._recv_handler = self._recv_pkthdr
        return left

    def keep_back(self, left: bytes) -> None:
        """Have asyncssh keep what it has given back."""
        self._inpbuf = left

    def _reset_keepalive_timer(self) -> None:
        """Something has come: it need not be asked soon whether the client is there. Now and then is often enough."""
        now = self._loop.time()
        if not self.short or now >= self._next_reset:
            self._next_reset = now + float(self._keepalive_interval) / 8
            super()._reset_keepalive_timer()

    def receive(self, buffer: memoryview, start: int, end: int) -> int:
        """Take in packets that stand in a buffer; returns where the rest begins. To be called where `short_in`."""
        self._reset_keepalive_timer()
        try:
            return self._receive(buffer, start, end)
        except asyncssh.DisconnectError as error:
            self._send_disconnect(error.code, error.reason, error.lang)
            self._force_close(error)
        except Exception:
            self.internal_error()
        return end

    def _receive(self, buffer: memoryview, start: int, end: int) -> int:
        opening = cast(OneKey, self._recv_encryption)
        while end - start >= 4 + _BLOCK + _TAG:
            header = buffer[start : start + 4]
            length = int.from_bytes(header, "big")
            if length > self._max_recv_pktlen:
                raise asyncssh.ProtocolError("Max packet size exceeded")
            if length < _BLOCK or length % _BLOCK:
                raise asyncssh.ProtocolError("Packet is not of whole blocks")
            after = start + 4 + length + _TAG
            if after > end:
                break
            packet = opening.open(header, buffer[start + 4 : after])
            if packet is None:
                raise asyncssh.MACError("MAC verification failed")
            if packet[1] == MSG_CHANNEL_DATA and self._channel_data(packet):
                start = after
                if self._transport is None:
                    return end
                continue
            opening.opened = packet
            self._pktlen, self._packet = length, bytes(buffer[start : start + _BLOCK])
            self._inpbuf = bytes(buffer[start + _BLOCK : after])
            start = after
            self._recv_packet()
            if self._recv_encryption is not opening or not self.short_in:
                break
        return start

    def _channel_data(self, packet: bytes) -> bool:
        """Hand channel data to its channel; False where asyncssh has to see what it is."""
        channel = self._channels.get(int.from_bytes(packet[2:6], "big"))
        size = int.from_bytes(packet[6:10], "big")
        if (
            type(channel) is not ShortChannel
            or not self._auth_complete
            or size != len(packet) - 10 - packet[0]
            or not channel.takes(size)
        ):
            return False
        self._auth_final = True
        self._recv_seq = (self._recv_seq + 1) & 0xFFFFFFFF
        channel.take(memoryview(packet)[10 : 10 + size])
        return True


class Inlet(asyncio.BufferedProtocol):
    """Stands between the transport and a connection: has what comes put into one buffer."""

    def __init__(self, connection: ShortWay) -> None:
        self._connection = connection
        self._buffer = memoryview(bytearray(_ROOM))
        self._start = self._end = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """To the connection."""
        self._connection.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """To the connection."""
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """To the connection."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """To the connection."""
        self._connection.resume_writing()

    def eof_received(self) -> None:
        """To the connection."""
        self._connection.eof_received()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to put what comes."""
        if self._start == self._end:
            self._start = self._end = 0
        elif _ROOM - self._end < _LITTLE:
            size = self._end - self._start
            self._buffer[:size] = self._buffer[self._start : self._end]
            self._start, self._end = 0, size
        return self._buffer[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """It is there."""
        self._end += nbytes
        connection = self._connection
        while connection.short_in and self._start != self._end:
            start, self._start = self._start, connection.receive(self._buffer, self._start, self._end)
            if start == self._start:  # the next packet is not whole yet
                return
        if connection.closed:
            self._start = self._end = 0
        elif self._start != self._end and not connection.short_in:  # asyncssh's turn
            data = bytes(self._buffer[self._start : self._end])
            self._start = self._end = 0
            connection.data_received(data)
            left = connection.give_back()
            if left:
                if len(left) > _ROOM - _LITTLE:
                    connection.keep_back(left)
                else:
                    self._end = len(left)
                    self._buffer[: self._end] = left


def _one_key(encryption: Encryption | None) -> Encryption | None:
    if type(encryption) is not GCMEncryption:
        return encryption
    cipher = encryption._cipher  # noqa: SLF001 - this module stands in for parts of asyncssh
    return OneKey(cipher._key, cipher._iv)  # noqa: SLF001
