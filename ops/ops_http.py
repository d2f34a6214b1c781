"""What the dashboard's port tells machines: `/healthz`, whether it works; `/metrics`, numbers for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from persistentq.connect import open_queue
from persistentq.errors import ExtraMissing, PersistentQError
from persistentq.operations.rates import rates
from persistentq.settings import load_settings

if TYPE_CHECKING:
    from starlette.requests import Request

    from persistentq.interface import PersistentQInterface

PATIENCE = timedelta(seconds=1)
LATELY = timedelta(minutes=5)


@contextmanager
def _opened() -> Iterator[PersistentQInterface]:
    settings = replace(load_settings(), lock_timeout=PATIENCE)
    with open_queue(create=False, settings=settings) as queue:
        yield queue


def healthz(_: Request) -> Response:
    """Answer 200 if the database can be read, else 503; anybody may ask, so nothing more is said."""
    try:
        with _opened() as queue:
            queue.list_jobs(limit=1)
    except PersistentQError:
        return PlainTextResponse("the queue cannot be read\n", 503)
    return PlainTextResponse("ok\n")


def metrics(_: Request) -> Response:
    """Answer with what is in every queue and how it moves."""
    try:
        from persistentq.telemetry.metrics import queue_metrics

        with _opened() as queue:
            text = queue_metrics(queue, rates(queue, LATELY, 1))
    except ExtraMissing as error:
        return PlainTextResponse(f"error: {error.summary}\nhint: {error.hint}\n", 501)
    except PersistentQError as error:
        return PlainTextResponse(f"error: {error.summary}\n", 503)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


ROUTES = [Route("/healthz", healthz), Route("/metrics", metrics)]
