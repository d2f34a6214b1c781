"""The database as somebody sees it who knows nothing of the queue's code: plain SQL on the driver."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from typing import Any

from sqlalchemy import make_url

from persistentq.sql.sqlite import choose_driver
from tests.faults.scene import Scene


class Outside:
    """A connection of its own, on which every statement is a transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def rows(self, sql: str) -> list[Any]:
        """Return all rows that a statement answers."""
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def value(self, sql: str) -> Any:
        """Return the only value that a statement answers."""
        ((value,),) = self.rows(sql)
        return value

    def run(self, sql: str) -> None:
        """Run a statement that answers nothing."""
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(sql)


@contextmanager
def outside(scene: Scene, *, writes: bool = False) -> Iterator[Outside]:
    """Yield a connection to the scene's database, on the library that its workers use."""
    with closing(
        _connect_file(scene, writes=writes) if scene.is_local else _connect_server(scene)
    ) as connection:
        yield Outside(connection)


def _connect_file(scene: Scene, *, writes: bool) -> Any:
    driver: Any = sqlite3 if scene.engine == "system" else choose_driver()
    mode = "rw" if writes else "ro"
    connection = driver.connect(f"file:{scene.file}?mode={mode}", uri=True, timeout=30, isolation_level=None)
    # One that reads never checkpoints; one that writes must not, on a library with the WAL-reset bug.
    connection.execute("PRAGMA wal_autocheckpoint=0")
    # A row that is no UTF-8 is to be seen, too.
    connection.text_factory = lambda raw: raw.decode(errors="replace")
    return connection


def _connect_server(scene: Scene) -> Any:
    driver: Any = import_module("psycopg")
    url = make_url(scene.url).set(drivername="postgresql").render_as_string(hide_password=False)
    return driver.connect(url, autocommit=True, application_name="outside")
