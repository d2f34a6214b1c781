"""The pipe between a consumer and a child process: JSON messages, each behind its length, and bounded. Never pickle."""

from __future__ import annotations

import json
import struct
from socket import socket
from threading import Lock
from typing import Any

from persistentq.clock import Deadline

MAX_BYTES = 16 * 1024 * 1024
"""Room for a job's arguments and metadata, or for all lines that one call may log."""

STALL_S = 30.0
_LENGTH = struct.Struct(">I")

Message = dict[str, Any]


class Garbage(Exception):
    """What came is not a message: somebody else wrote into the pipe."""


class Pipe:
    """One end of the pipe. Any thread may send; one thread receives.

    Args:
        end: A connected socket.
    """

    def __init__(self, end: socket) -> None:
        self._end, self._lock = end, Lock()
        self._buffer = bytearray()
        self._patience = Deadline(STALL_S)

    def fileno(self) -> int:
        """Return the descriptor to wait at."""
        return self._end.fileno()

    def send(self, **message: Any) -> None:
        """Send a message.

        Raises:
            OSError: the other side is gone, or took nothing for as long as the socket's timeout.
        """
        data = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        with self._lock:
            self._end.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self) -> list[Message]:
        """Wait for something to come and return the messages that are complete with it; empty if none is.

        Raises:
            EOFError: the other side has closed.
            Garbage: it was no message.
        """
        try:
            data = self._end.recv(65_536)
        except ConnectionError:
            # It closed before it had read all that was sent.
            data = b""
        if not data:
            raise EOFError
        self._buffer += data
        self._patience = Deadline(STALL_S)
        messages = []
        while (message := self._cut()) is not None:
            messages.append(message)
        return messages

    @property
    def is_stalled(self) -> bool:
        """Whether a message was begun and its rest has not come for a long time."""
        return bool(self._buffer) and self._patience.passed

    def close(self) -> None:
        """Close this end. May be repeated."""
        self._end.close()

    def _cut(self) -> Message | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > MAX_BYTES:
            raise Garbage
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        try:
            message = json.loads(self._buffer[_LENGTH.size : end])
        except (ValueError, RecursionError):
            raise Garbage from None
        if not isinstance(message, dict):
            raise Garbage
        del self._buffer[:end]
        return message
