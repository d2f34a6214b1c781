"""Whether what an operator types fits the tasks: jobs that are enqueued, and arguments that are edited."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from persistentq import Act, ActRefused, InvalidArgument, NewJob, PersistentQMemory, Tasks
from persistentq.operations import Operator
from persistentq.operations.fitting import check_edit, new_job


@pytest.fixture
def tasks() -> Tasks:
    tasks = Tasks()

    @tasks.task("mail.send", queue="mail", max_attempts=7, unique="{to}")
    def send(to: str, at: datetime | None = None, parts: int = 1) -> None:
        raise NotImplementedError

    return tasks


def test_a_job_is_as_its_own_code_would_enqueue_it(tasks: Tasks) -> None:
    new = new_job(tasks, "mail.send", {"to": "a", "at": "2026-11-24T10:00:00Z"}, {"priority": 3})
    task = tasks.find("mail.send")
    assert task is not None
    same = task.using(priority=3).new(to="a", at=datetime.fromisoformat("2026-11-24T10:00:00Z"))
    assert new == same
    assert (new.queue, new.max_attempts, new.unique_key) == ("mail", 7, same.unique_key)
    assert new_job(tasks, "mail.send", {"to": "a"}, {"queue": "other"}).queue == "other"


@pytest.mark.parametrize(
    ("name", "args", "told"),
    [
        (
            "mail.sent",
            {"to": "a"},
            "task 'mail.sent' is none of those that are registered; did you mean 'mail.send'?",
        ),
        ("mail.send", {}, "lack 'to'"),
        ("mail.send", {"to": 3}, "should be a valid string"),
        ("mail.send", {"to": "a", "part": 1}, "is not one that it takes; did you mean"),
    ],
)
def test_what_does_not_fit_is_refused(tasks: Tasks, name: str, args: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidArgument, match=told.replace("?", r"\?").replace("(", r"\(")):
        new_job(tasks, name, args, {})


def test_an_edit_must_fit_every_job(tasks: Tasks) -> None:
    queue = PersistentQMemory()
    operator = Operator(queue)
    queue.enqueue_many([NewJob("mail.send", {"to": f"{number}"}) for number in range(501)])
    queue.enqueue("other", {"to": "a"})
    fits = Act("edit-arguments", arguments={"parts": 2})
    check_edit(queue, operator.preview(fits, where="task:mail.*"), tasks)
    with pytest.raises(ActRefused, match="job 502 is of task other, which is none"):
        check_edit(queue, operator.preview(fits, where=""), tasks)
    wrong = Act("edit-arguments", arguments={"parts": "many"})
    with pytest.raises(ActRefused, match=r"would not fit: .*parts.* valid integer") as caught:
        check_edit(queue, operator.preview(wrong, ids=[7, 99_999]), tasks)
    assert caught.value.job_id == 7
    queue.cancel(7)
    queue.delete_job(7)
    queue.dequeue("c")
    # What the edit does not work on need not fit.
    check_edit(queue, operator.preview(wrong, ids=[1, 7]), tasks)
    with pytest.raises(ActRefused, match="lack 'to'"):
        check_edit(queue, operator.preview(Act("edit-arguments", without=("to",)), ids=[8]), tasks)
