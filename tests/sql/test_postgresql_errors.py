"""What goes wrong before a transaction begins is told in one line, without the password."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Thread

import pytest
from sqlalchemy import make_url

from persistentq import (
    ConfigurationError,
    PersistentQSQLAlchemy,
    StorageError,
    StorageUnavailable,
    open_queue,
)

CANARY = "c4n4ry"


@contextmanager
def refusing_server(message: bytes) -> Iterator[int]:
    """A server that refuses each connection with this message, as PostgreSQL does; yields its port."""

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with closing(client):
                # Neither encryption: one letter each. Then the opening message, and the refusal.
                while (opening := client.recv(65536))[4:8] in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"):
                    client.sendall(b"N")
                assert opening
                fields = b"SFATAL\0VFATAL\0C28P01\0M" + message + b"\0\0"
                client.sendall(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        server = Thread(target=serve, daemon=True)
        server.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        server.join()


def refusal(url: str) -> StorageError:
    with pytest.raises(StorageError) as caught:
        open_queue(url)
    said = str(caught.value)
    assert CANARY not in said + repr(caught.value) + repr(caught.value.__cause__)
    assert "\n" not in said
    assert "\t" not in said
    return caught.value


def test_a_wrong_password() -> None:
    with refusing_server(b'password authentication failed for user "me"') as port:
        error = refusal(f"postgresql://me:{CANARY}@127.0.0.1:{port}/queue")
    assert not isinstance(error, StorageUnavailable)
    assert "refused the connection" in str(error)
    assert 'password authentication failed for user "me"' in str(error)


def test_a_server_that_starts() -> None:
    with refusing_server(b"the database system is starting up") as port:
        error = refusal(f"postgresql://me:{CANARY}@127.0.0.1:{port}/queue")
    assert isinstance(error, StorageUnavailable)


def test_no_server() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    error = refusal(f"postgresql://me:{CANARY}@127.0.0.1:{port}/queue")
    assert isinstance(error, StorageUnavailable)
    assert "Connection refused" in str(error)
    assert error.hint == "see that the server runs and that QUEUE_DB_URL names it, and try again"


def test_no_host() -> None:
    error = refusal(f"postgresql://me:{CANARY}@nowhere.invalid/queue?connect_timeout=2")
    assert isinstance(error, StorageUnavailable)


def test_no_such_database(postgres_url: str) -> None:
    url = make_url(postgres_url).set(database="nowhere", password=CANARY)
    error = refusal(url.render_as_string(hide_password=False))
    assert not isinstance(error, StorageUnavailable)
    assert 'database "nowhere" does not exist' in str(error)


def test_a_password_among_the_parameters_is_not_shown(postgres_url: str) -> None:
    url = make_url(postgres_url).update_query_dict({"password": CANARY, "sslpassword": CANARY})
    with PersistentQSQLAlchemy(url) as queue:
        assert CANARY not in queue.location
        assert str(url.database) in queue.location


def test_a_parameter_that_libpq_does_not_know(postgres_url: str) -> None:
    refusal(make_url(postgres_url).update_query_dict({"passwort": CANARY}).render_as_string(False))


def test_a_url_without_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(
        ConfigurationError, match=r"needs the driver psycopg; install persistentq\[postgres\]"
    ):
        open_queue(f"postgresql://me:{CANARY}@127.0.0.1/queue")


def test_what_the_server_says_of_a_row_is_not_shown(postgres_url: str) -> None:
    """Its DETAIL would show the row, arguments and all."""
    with PersistentQSQLAlchemy(postgres_url) as queue:
        job = queue.enqueue("any.task", {"secret": CANARY})
        with pytest.raises(StorageError) as caught, queue._write() as connection:
            connection.exec_driver_sql(f"UPDATE persistentq_jobs SET budget = 0 WHERE id = {job.id}")
        assert CANARY not in str(caught.value)
        assert "persistentq_bounded_attempts" in str(caught.value)
