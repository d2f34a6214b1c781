"""Jobs as a file to download: read from the database some at a time, so that a million take no memory."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from urllib.parse import urlencode

from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

import ops_guard
from persistentq.connect import open_queue
from persistentq.errors import PersistentQError, ReadOnlyMode
from persistentq.operations import Operator
from persistentq.operations.formats import Format
from persistentq.settings import load_settings

if TYPE_CHECKING:
    from starlette.requests import Request

    from persistentq.interface import PersistentQInterface
    from persistentq.operations.exporting import Chosen

PATH = "/download"
LASTING_S = 60
KINDS = {Format.JSONL: "application/jsonl", Format.CSV: "text/csv; charset=utf-8"}
PART = 65_536


class Wanted(NamedTuple):
    """What is to be downloaded.

    Attributes:
        reveal: With secrets.
        reason: For the journal, which tells of secrets.
    """

    query: str
    form: Format
    reveal: bool = False
    reason: str = ""


_tickets: dict[str, tuple[float, Wanted]] = {}
"""Until when each works, and for what. No other address gives secrets, so a link to them is of no use to others."""


def ticket(wanted: Wanted) -> str:
    """Return the address where this is downloaded, once and soon."""
    now = time.monotonic()
    for name, (until, _) in list(_tickets.items()):
        if until < now:
            _tickets.pop(name, None)
    name = secrets.token_urlsafe(32)
    _tickets[name] = now + LASTING_S, wanted
    return f"{PATH}?{urlencode({'ticket': name})}"


def address(query: str, form: Format) -> str:
    """Return where the jobs that a query means are downloaded."""
    return f"{PATH}?{urlencode({'q': query, 'format': form})}"


def download(request: Request) -> Response:
    """Answer with the jobs that `q` means, as they may be seen, in the format that is asked for; or with a ticket's.

    400 tells what cannot be read, 403 that there is no such ticket, or not for this visitor, 503 that the database does
    not answer. A download that fails midway is broken off, so that nobody takes a part for the whole.
    """
    wanted = _wanted(request)
    if isinstance(wanted, Response):
        return wanted
    settings = load_settings()
    who = ops_guard.visitor(request.headers, ops_guard.Keys.of(settings))
    try:
        queue = open_queue(create=False, settings=settings)
    except PersistentQError as error:
        return _refusal(error.summary, 503)
    is_viewer = who.role is ops_guard.Role.VIEWER
    operator = Operator.with_settings(
        queue, settings, face="dashboard", actor=who.name or None, readonly=is_viewer
    )
    try:
        if wanted.reveal:
            operator.may("reveal")
        chosen = operator.choose(wanted.query)
    except PersistentQError as error:
        queue.close()
        return _refusal(error.summary, 403 if isinstance(error, ReadOnlyMode) else 400)
    named = {
        "Content-Disposition": f'attachment; filename="jobs.{wanted.form}"',
        "Cache-Control": "no-store",
    }
    parts = _parts(operator, queue, chosen, wanted)
    return StreamingResponse(parts, media_type=KINDS[wanted.form], headers=named)


def _wanted(request: Request) -> Wanted | Response:
    asked = request.query_params
    if "ticket" in asked:
        until, wanted = _tickets.pop(asked["ticket"], (0.0, None))
        if wanted is None or until < time.monotonic():
            return _refusal("this link was used before, or is too old; ask for another", 403)
        return wanted
    if (form := asked.get("format", Format.JSONL)) not in KINDS:
        return _refusal(f"the format is one of {', '.join(KINDS)}", 400)
    return Wanted(asked.get("q", ""), Format(form))


def _refusal(why: str, status: int) -> Response:
    return PlainTextResponse(f"error: {why}\n", status)


def _parts(
    operator: Operator, queue: PersistentQInterface, chosen: Chosen, wanted: Wanted
) -> Iterator[bytes]:
    """Yield the file while another thread writes it; the pipe between them holds back who is faster."""
    failures: list[BaseException] = []
    reading, writing = os.pipe()

    def write(file: BinaryIO) -> None:
        try:
            with queue, file:
                operator.export(chosen, file, wanted.form, reveal=wanted.reveal, reason=wanted.reason)
        except BrokenPipeError:
            # Whoever downloaded has gone.
            return
        except Exception as error:
            failures.append(error)

    writer = threading.Thread(target=write, args=(os.fdopen(writing, "wb"),), daemon=True)
    writer.start()
    with os.fdopen(reading, "rb", buffering=0) as file:
        yield from iter(lambda: file.read(PART), b"")
    writer.join()
    if failures:
        raise failures[0]


ROUTES = [Route(PATH, download)]
