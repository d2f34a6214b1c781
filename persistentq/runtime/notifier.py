"""Telling a service manager such as systemd how this process is doing: the protocol of sd_notify(3)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Sends to the socket that NOTIFY_SOCKET names; without it, to nobody.

    Args:
        environ: None for this process's environment.

    Attributes:
        interval: Within how many seconds the manager wants to hear `WATCHDOG=1` again; infinite if it does not.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.interval = float("inf")
        with suppress(ValueError):
            if self._address and int(environ.get("WATCHDOG_PID") or os.getpid()) == os.getpid():
                self.interval = (
                    int(environ["WATCHDOG_USEC"]) / 1e6 if environ.get("WATCHDOG_USEC") else float("inf")
                )

    def tell(self, state: str) -> None:
        """Send a state such as `READY=1`. Never waits and never raises; may be called from signal handlers."""
        if not self._address:
            return
        # A leading @ stands for a name that is in no file system.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(state.encode(), address)
