"""Facts about PostgreSQL: the driver, how a transaction begins, when a connection is lost, how an error is told."""

from __future__ import annotations

import select
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DisconnectionError

from persistentq.errors import ConfigurationError, LockTimeout, QueueMoved, StorageError, StorageUnavailable
from persistentq.forks import at_fork
from persistentq.sql.dialect import READONLY, DialectFacts, Fault, drop_connections, moved_to
from persistentq.sql.doorbell_postgresql import ListeningDoorbell, Notifier

if TYPE_CHECKING:
    from persistentq.insight import Check
    from persistentq.sql.doorbell_sqlite import Sight
    from persistentq.sql.postgresql_gates import PostgreSQLGates

Made = TypeVar("Made")

SCHEMA_LOCK = 0x7065727369737471  # "persistq": an advisory lock of our own

CONNECT = {
    "application_name": "persistentq",
    "connect_timeout": 10,
    # A host that vanished answers nothing at all; without these a call would wait for it for hours.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    # After a failover, the host that only follows is passed by.
    "target_session_attrs": "read-write",
}
"""libpq's parameters, unless the URL sets them; none is a setting of the session, which a pooler would refuse."""

IDLE_LIMIT_MS = 30_000
"""After so long without a statement our transaction is ended, lest a vanished host keep its jobs locked."""

PLANNING = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_material", "jit")
"""Off for the hot statements: each has an index, and one that was planned once, while the table was nearly empty, must
not read all of it later."""

PREPARED_AFTER = 3
"""A statement of our own connection is planned by the server once, from its third run on."""

SHOWN = {"host", "port", "service"}
"""The parameters of a URL that may be shown; others may hold a password."""

LOST = ("08", "57P01", "57P02", "57P03", "57P05", "25P03", "40003")
PASSING = ("40001", "40P01", "53300")
LOCK_TIMEOUT = "55P03"
UNAVAILABLE = ("53", "57", *PASSING)
REFUSED = (
    "authentication failed",
    "no password supplied",
    "pg_hba.conf",
    "does not exist",
    "permission denied",
)


class PostgreSQLFacts(DialectFacts):
    """PostgreSQL through psycopg 3, READ COMMITTED, nothing kept on a session: safe behind a transaction pooler."""

    insert = staticmethod(insert)
    has_skip_locked = True
    has_update_returning = True
    has_partial_indexes = True
    has_arrays = True

    _driver: Any
    _begin: str
    _begin_hot: str
    _session: str

    def make_engine(
        self,
        url: URL,
        lock_timeout: timedelta,
        *,
        create: bool,  # noqa: ARG002 - a database on a server is made by its administrator
    ) -> Engine:
        seconds = lock_timeout.total_seconds()
        given = {name: value for name, value in CONNECT.items() if name not in url.query}
        try:
            engine = create_engine(
                url.set(drivername="postgresql+psycopg"),
                pool_timeout=max(1.0, seconds),
                # Not the driver but `_begin` begins transactions.
                connect_args=given | {"prepare_threshold": None, "autocommit": True},
            )
        except ModuleNotFoundError as error:
            problem = "needs the driver psycopg; install persistentq[postgres]"
            raise ConfigurationError("QUEUE_DB_URL", "postgresql", "the settings", problem) from error
        self._driver = engine.dialect.loaded_dbapi
        # One statement of several, so that it costs no more trips than BEGIN. LOCAL: it ends with the transaction.
        shared = {"lock_timeout": max(1, int(seconds * 1000)), "synchronous_commit": "on"}
        hot = shared | _idle_limit() | dict.fromkeys(PLANNING, "off")
        begin = "BEGIN ISOLATION LEVEL READ COMMITTED; "
        self._begin = begin + _set("SET LOCAL", shared)
        self._begin_hot = begin + _set("SET LOCAL", hot)
        self._session = _set("SET", hot | {"default_transaction_isolation": "'read committed'"})
        event.listen(engine, "begin", self._begin_with_sqlalchemy)
        event.listen(engine, "checkout", _check)
        at_fork(engine, after_in_child=drop_connections)
        return engine

    def location(self, url: URL) -> str:
        shown = {name: value for name, value in url.query.items() if name in SHOWN}
        return url.set(query=shown).render_as_string(hide_password=True)

    @contextmanager
    def schema_change(self, engine: Engine) -> Iterator[Connection]:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SCHEMA_LOCK})
            yield connection

    def explain(self, location: str, error: BaseException) -> StorageError:
        diagnosis = getattr(error, "diag", None)
        # The first line of the server's message: the others may show a row's values.
        reason = " ".join(str((diagnosis and diagnosis.message_primary) or error).split())
        code = getattr(error, "sqlstate", None) or ""
        if target := moved_to(reason):
            return QueueMoved(location, target)
        if self.fault(error) is Fault.LOST:
            if any(word in reason for word in REFUSED):
                return StorageError(location, f"refused the connection: {reason}")
            return StorageUnavailable(location, f"cannot be reached: {reason}")
        if code == LOCK_TIMEOUT:
            return LockTimeout(location)
        if code.startswith(UNAVAILABLE):
            return StorageUnavailable(location, f"is not available: {reason}")
        return StorageError(location, f"failed: {reason}")

    def fault(self, error: BaseException) -> Fault:
        code: str | None = getattr(error, "sqlstate", None)
        if code is None:
            # What the driver finds by itself: no connection, or one that broke.
            return Fault.LOST if isinstance(error, self._driver.OperationalError) else Fault.LASTING
        if code.startswith(LOST):
            return Fault.LOST
        # A migration changed what a planned statement returns; on a new connection it is planned anew.
        is_outdated = code == "0A000" and "cached plan" in str(error)
        return Fault.PASSING if code in PASSING or is_outdated else Fault.LASTING

    def make_own(self, cursor: Any) -> bool:
        backend = cursor.execute("SELECT pg_backend_pid()").fetchone()[0]
        if backend != cursor.connection.info.backend_pid:
            return False  # a pooler answered: the next transaction may be another backend's
        cursor.execute(self._session)
        cursor.connection.prepare_threshold = PREPARED_AFTER
        return True

    def begin(self, cursor: Any, *, is_own: bool) -> None:
        if is_own:
            cursor.execute("BEGIN")
        else:
            cursor.execute(self._begin_hot)

    def run_single(self, cursor: Any, attempt: Callable[[], Made]) -> Made:  # noqa: ARG002 - nothing to prepare
        return attempt()

    def is_closed(self, cursor: Any) -> bool:
        return _is_closed(cursor.connection)

    def commit(self, cursor: Any) -> None:
        cursor.connection.commit()

    def after_write(self, engine: Engine) -> None:
        """Nothing to do: autovacuum and the checkpointer are the server's."""

    def examine(self, engine: Engine, *, thorough: bool) -> list[Check]:  # noqa: ARG002 - pages are the server's
        # Whoever runs jobs need not load it.
        from persistentq.sql.postgresql_health import look_at

        return list(look_at(engine))

    def make_gates(self) -> PostgreSQLGates:
        # Few processes ever move a queue.
        from persistentq.sql.postgresql_gates import PostgreSQLGates

        return PostgreSQLGates()

    def make_doorbell(
        self,
        engine: Engine,
        queues: Collection[str] | None,
        sight: Sight,  # noqa: ARG002 - what the server says is enough
    ) -> ListeningDoorbell:
        return ListeningDoorbell(queues, engine, self.location(engine.url))

    def make_notifier(self, engine: Engine) -> Notifier:
        return Notifier(engine)

    def _begin_with_sqlalchemy(self, connection: Connection) -> None:
        options = connection.get_execution_options()
        if "isolation_level" in options:
            return  # an application's own, begun as it wants
        begin = self._begin
        if READONLY in options:
            # Ours. An application's transaction may be idle for as long as it likes.
            begin += f"; {_set('SET LOCAL', _idle_limit())}"
        if options.get(READONLY):
            begin += "; SET TRANSACTION READ ONLY"
        connection.exec_driver_sql(begin)


def _idle_limit() -> dict[str, object]:
    return {"idle_in_transaction_session_timeout": IDLE_LIMIT_MS}


def _set(word: str, settings: Mapping[str, object]) -> str:
    return "; ".join(f"{word} {name} = {value}" for name, value in settings.items())


def _check(connection: Any, _record: object, _proxy: object) -> None:
    """Refuse a pooled connection that the server has closed."""
    if _is_closed(connection):
        raise DisconnectionError
    if not connection.autocommit:
        # An application chose its own isolation level on it.
        connection.autocommit = True


def _is_closed(connection: Any) -> bool:
    """Return whether the server has closed the connection; this looks at the socket and costs no trip."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
