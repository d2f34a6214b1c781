"""open_queue() and its like: from settings or a URL to a queue. The only module that imports `persistentq.sql`.

It does so when a queue is opened, not before: SQLAlchemy takes several times as long to load as all the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from persistentq.copies_interface import CopiesInterface
from persistentq.errors import ConfigurationError
from persistentq.interface import PersistentQInterface
from persistentq.settings import Settings, load_settings

if TYPE_CHECKING:
    from sqlalchemy import URL

    from persistentq.sql.store import PersistentQSQLAlchemy

__all__ = ["Migration", "load_store", "migrate", "open_copies", "open_queue"]


class Migration(NamedTuple):
    """What `migrate` has done.

    Attributes:
        location: The database, without secrets.
        before: The version of its tables; None if there were none.
        after: Their version now, the same as `before` if there was nothing to do.
    """

    location: str
    before: str | None
    after: str


def load_store() -> type[PersistentQSQLAlchemy]:
    """Return the class of the queues that open_queue() opens, loading SQLAlchemy if need be."""
    from persistentq.sql.store import PersistentQSQLAlchemy

    return PersistentQSQLAlchemy


def open_queue(
    url: str | URL | None = None,
    *,
    create: bool = True,
    settings: Settings | None = None,
) -> PersistentQInterface:
    """Open the queue that `url` or the settings name.

    Args:
        url: `sqlite:///queue.db` or `postgresql+psycopg://…`; None for QUEUE_DB_URL, else QUEUE_DB_FILE.
        create: Whether to make the database if there is none; front ends pass False.
        settings: None to load them from the environment and `.env`.

    Returns:
        A queue; close it, or use it as a context manager.

    Raises:
        ConfigurationError: the URL cannot be used.
        DatabaseMissing: there is no queue database, and `create` is false.
        SchemaMismatch: a newer version of the library wrote it, or an older one on a server; an older file is upgraded.
        StorageUnavailable: it cannot be reached.
    """
    known = settings or load_settings()
    return load_store()(
        _target(url, known),
        create=create,
        max_attempts=known.max_attempts,
        lease=known.lease,
        lock_timeout=known.lock_timeout,
    )


def migrate(url: str | URL | None = None, *, settings: Settings | None = None) -> Migration:
    """Create the tables of the queue's database, or upgrade older ones, keeping what is in them.

    All or nothing, and harmless if there is nothing to do. A file needs no such call: whoever opens it upgrades it.

    Args:
        url: As for `open_queue`.
        settings: As for `open_queue`.

    Raises:
        ConfigurationError: the URL cannot be used.
        SchemaMismatch: a newer version of the library wrote it.
        StorageUnavailable: it cannot be reached, or others held the tables for longer than the lock timeout.
    """
    from persistentq.sql.schema import VERSION
    from persistentq.sql.transactions import Defaults, Transactions

    known = settings or load_settings()
    defaults = Defaults(known.max_attempts, known.lease)
    opened = Transactions(_target(url, known), defaults, known.lock_timeout, create=True, upgrade=True)
    opened.engine.dispose()
    return Migration(opened.location, opened.found_schema, VERSION)


def open_copies(url: str | URL | None = None, *, settings: Settings | None = None) -> CopiesInterface:
    """Return what backs up, restores and moves the queue's database; nothing is opened yet.

    Args:
        url: As for `open_queue`.
        settings: As for `open_queue`.

    Raises:
        ConfigurationError: the URL cannot be used.
    """
    from persistentq.sql.copies import Copies
    from persistentq.sql.transactions import Defaults

    known = settings or load_settings()
    defaults = Defaults(known.max_attempts, known.lease)
    return Copies(_target(url, known), lambda other: _target(other, known), defaults, known.lock_timeout)


def _target(url: str | URL | None, settings: Settings) -> URL:
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    given = url or settings.db_url
    if given is None:
        return URL.create("sqlite", database=str(settings.db_file))
    try:
        target = make_url(given)
    except ArgumentError:
        # The text may hold a password, so it is not shown.
        raise ConfigurationError("QUEUE_DB_URL", "…", "the settings", "is not a database URL") from None
    if target.get_backend_name() != "sqlite" or not target.database:
        return target
    base = settings.env_file.parent if url is None and settings.env_file else Path.cwd()
    return target.set(database=str(base / target.database))
