"""What a type checker must know of tasks: each line that must be refused ends with the error's code."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_type

from persistentq import Job, JobContext, NewJob, Tasks, task


@task("mail.send", max_attempts=5, timeout=30, unique="{to}")
def send(to: str, *, copies: int = 1) -> bool:
    return bool(to and copies)


@task("image.resize")
async def resize(context: JobContext, path: str, width: int = 100) -> str:
    context.log(f"{path} {width}")
    return path


@Tasks().task("loose")
def loose(first, second=2):  # type: ignore[no-untyped-def]
    return first, second


@task("nothing")
def nothing() -> None: ...


async def use() -> None:
    assert_type(send("a"), bool)
    assert_type(send.enqueue(to="a"), Job)
    assert_type(send.enqueue("a", copies=2), Job)
    assert_type(send.enqueue_in(timedelta(hours=1), "a"), Job)
    assert_type(send.new(to="a"), NewJob)
    assert_type(send.enqueue_many([send.new("a"), send.new(to="b", copies=2)]), list[Job])
    assert_type(send.using(priority=1, delay=timedelta(1)).enqueue(to="a"), Job)
    assert_type(send.using(queue="slow").using(tags=("a",)).enqueue_in(timedelta(1), to="a"), Job)
    assert_type(nothing.enqueue(), Job)
    assert_type(await resize.function(current, "a"), str)
    assert_type(await resize(current, "a", 5), str)
    assert_type(resize.enqueue("a", width=2), Job)
    assert_type(resize.using(priority=1).enqueue(path="a"), Job)
    loose.enqueue(1)

    send.enqueue(too="a")  # error: call-arg
    send.enqueue()  # error: call-arg
    send.enqueue(to=5)  # error: arg-type
    send.enqueue("a", 2)  # error: call-arg
    send.enqueue_in("soon", to="a")  # error: arg-type
    send.enqueue_in(timedelta(1), to="a", copies="two")  # error: arg-type
    send.new(copies=1)  # error: call-arg
    send.enqueue_many(["a"])  # error: list-item
    send.using(priorty=1)  # error: call-arg
    send.using(priority="high")  # error: arg-type
    send.using(priority=1).enqueue(to=None)  # error: arg-type
    send(5)  # error: arg-type
    nothing.enqueue(1)  # error: call-arg
    resize.enqueue(current, "a")  # error: arg-type
    resize.enqueue(context=current, path="a")  # error: call-arg
    resize("a")  # error: call-arg arg-type unused-coroutine
    task("name", timout=3)  # error: call-arg
    task("name", executor=3)  # error: arg-type


current: Any = None
