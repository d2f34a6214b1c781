"""Jobs as a file to download: read from the database some at a time, so that a million take no memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlencode

from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

import ops_guard
from persistentq.connect import open_queue
from persistentq.errors import PersistentQError
from persistentq.operations import Operator
from persistentq.operations.formats import Format
from persistentq.settings import load_settings

if TYPE_CHECKING:
    from starlette.requests import Request

    from persistentq.interface import PersistentQInterface
    from persistentq.operations.exporting import Chosen

PATH = "/download"
KINDS = {Format.JSONL: "application/jsonl", Format.CSV: "text/csv; charset=utf-8"}
PART = 65_536


def address(query: str, form: Format) -> str:
    """Return where the jobs that a query means are downloaded."""
    return f"{PATH}?{urlencode({'q': query, 'format': form})}"


def download(request: Request) -> Response:
    """Answer with the jobs that `q` means, as they may be seen, in the format that is asked for.

    400 tells what cannot be read, 503 that the database does not answer. A download that fails midway is broken off, so
    that nobody takes a part for the whole.
    """
    try:
        form = Format(request.query_params.get("format", Format.JSONL))
        kind = KINDS[form]
    except (ValueError, KeyError):
        return PlainTextResponse(f"error: the format is one of {', '.join(KINDS)}\n", 400)
    settings = load_settings()
    who = ops_guard.visitor(request.headers, ops_guard.Keys.of(settings))
    try:
        queue = open_queue(create=False, settings=settings)
    except PersistentQError as error:
        return PlainTextResponse(f"error: {error.summary}\n", 503)
    operator = Operator.with_settings(queue, settings, face="dashboard", actor=who.name or None)
    try:
        chosen = operator.choose(request.query_params.get("q", ""))
    except PersistentQError as error:
        queue.close()
        return PlainTextResponse(f"error: {error.summary}\n", 400)
    named = {"Content-Disposition": f'attachment; filename="jobs.{form}"', "Cache-Control": "no-store"}
    return StreamingResponse(_parts(operator, queue, chosen, form), media_type=kind, headers=named)


def _parts(operator: Operator, queue: PersistentQInterface, chosen: Chosen, form: Format) -> Iterator[bytes]:
    """Yield the file while another thread writes it; the pipe between them holds back who is faster."""
    failures: list[BaseException] = []
    reading, writing = os.pipe()

    def write(file: BinaryIO) -> None:
        try:
            with queue, file:
                operator.export(chosen, file, form)
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
