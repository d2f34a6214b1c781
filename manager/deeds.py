"""What the operator may want done: how it is asked, carried out, told, and typed on the command line."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from persistentq.acts import EDITS, Act
from persistentq.errors import InvalidArgument
from persistentq.job import Job, NewJob
from persistentq.operations import ACTIONS, Action, ActResult, Operator, Preview, safe
from persistentq.operations.actions import EDIT_ACTIONS
from persistentq.operations.formats import format_of
from persistentq.operations.steering import DRAINS, STEPS, scale_consumers, steer
from persistentq.operations.typed import act_words, enqueue_words, meant, with_reason
from persistentq.query.fields import write
from persistentq.schedule import ScheduleInfo
from persistentq.text import counted

from .schedules import FIELDS, NAMED, Texts, new_schedule, read_texts, words_of
from .wording import command, jobs_text


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that is to be done, as plain data.

    Attributes:
        verb: As the journal tells it.
        act: Of acts on jobs: what is done to them.
        ids: The jobs that are named.
        where: The query that means them, if they are not named.
        name: The queue, the schedule, the supervised program or the file.
        number: The journal's entry, the job, or how many consumers.
        lasting: Of a pause: how long; None for until it is resumed.
        new: Of enqueue: the job.
        is_revealing: Of export: with secrets.
        texts: Of a schedule: the fields that were typed.
    """

    verb: str
    act: Act | None = None
    ids: tuple[int, ...] = ()
    where: str | None = None
    name: str = ""
    number: int = 0
    lasting: timedelta | None = None
    new: NewJob | None = None
    is_revealing: bool = False
    texts: Texts = ()

    @property
    def is_change(self) -> bool:
        """Whether it is refused where nothing may be changed; that somebody looked at secrets must be noted."""
        return self.verb != "export" or self.is_revealing

    @property
    def label(self) -> str:
        """What stands on the button and above the question."""
        action = self._action
        return action.label if action else self.verb.replace("-", " ").capitalize()

    @property
    def _action(self) -> Action | None:
        return ACTIONS.get(self.verb) or EDIT_ACTIONS.get(self.verb)

    def question(self, count: int | None) -> str:
        """Return what the operator is asked.

        Args:
            count: How many jobs it is about; None while that is not known.
        """
        if self._action is None:
            return _MANNERS[self.verb].question(self)
        if self.where is None:
            return self._action.question(self.ids)
        return (
            self._action.effect.format(
                jobs="every job that matches" if count is None else counted(count, "job")
            )
            + "?"
        )

    def wants_number(self, count: int) -> bool:
        """Whether the number has to be typed if it is about so many jobs; for a single one, a key is enough."""
        return self._action is not None and count > 1 and self._action.wants_number(count)

    @property
    def is_final(self) -> bool:
        """Whether it takes the jobs out of sight."""
        return self._action is not None and self._action.is_final

    def what(self) -> str:
        """Return it in a few words: `resubmit job 7`, `pause mail`."""
        if self.act is not None:
            return f"{self.verb} {jobs_text(self.ids) if self.where is None else 'the jobs that match'}"
        return f"{self.verb} {self.name or self.number or (self.new.task if self.new else '')}"

    def typed(self, reason: str = "") -> str:
        """Return the command that does the same; empty if none does."""
        if self.act is not None:
            words = act_words(self.act.verb, self.ids, self.where, self.act)
        else:
            words = _MANNERS[self.verb].words(self)
        return command("admin", shlex.join(with_reason(words, reason))) if words else ""


class Told(NamedTuple):
    """What came of a deed.

    Attributes:
        text: It, in a line.
        entry: The journal's entry by which it can be taken back; None if it cannot be.
        changed: The jobs that were changed.
        revealed: The job that was looked at with its secrets.
    """

    text: str
    is_error: bool = False
    entry: int | None = None
    changed: tuple[int, ...] = ()
    revealed: Job | None = None


def carry_out(operator: Operator, deed: Deed, seen: Preview | None, reason: str) -> Told:
    """Do it, and return what came of it; raises as the operator does."""
    if deed.act is not None:
        chosen = seen or operator.preview(deed.act, ids=deed.ids)
        if deed.verb == "mark-failed" and reason:
            # As on the command line, the jobs keep it as their error.
            chosen = replace(chosen, act=replace(deed.act, error=reason))
        return told(operator.apply(chosen, reason=reason))
    return _MANNERS[deed.verb].do(operator, deed, reason)


def told(result: ActResult) -> Told:
    """Return what came of an act in a line."""
    text = f"{result.verb} worked for {jobs_text(result.done)}"
    if result.error is not None:
        text += f"; {result.failed:,} were not reached: {result.error.summary}"
    elif skipped := sum(result.reasons.values()):
        if len(result.skipped) == 1:
            reasons = next(iter(result.skipped.values())).summary
        else:
            reasons = "; ".join(f"{number:,} {reason}" for reason, number in result.reasons.items())
        text += f" · {skipped:,} skipped: {reasons}"
    return Told(text, not result.done, result.entry, result.done)


class _Manner(NamedTuple):
    question: Callable[[Deed], str]
    do: Callable[[Operator, Deed, str], Told]
    words: Callable[[Deed], tuple[str, ...]]


def _undo(operator: Operator, deed: Deed, reason: str) -> Told:
    return told(operator.undo(deed.number, reason=reason))


def _pause(operator: Operator, deed: Deed, reason: str) -> Told:
    info = operator.pause_queue(deed.name, lasting=deed.lasting, reason=reason)
    until = f" until {info.paused_until:%Y-%m-%d %H:%M:%S} UTC" if info.paused_until else ""
    return Told(f"queue {deed.name} is paused{until}")


def _resume(operator: Operator, deed: Deed, reason: str) -> Told:
    operator.resume_queue(deed.name, reason=reason)
    return Told(f"queue {deed.name} is not paused any more")


def _pause_schedule(operator: Operator, deed: Deed, reason: str) -> Told:
    operator.pause_schedule(deed.name, reason=reason)
    return Told(f"schedule {deed.name} is paused")


def _resume_schedule(operator: Operator, deed: Deed, reason: str) -> Told:
    operator.resume_schedule(deed.name, reason=reason)
    return Told(f"schedule {deed.name} ticks again")


def _add_schedule(operator: Operator, deed: Deed, reason: str) -> Told:
    if operator.has_schedule(deed.name):
        raise InvalidArgument("schedule", deed.name, "exists already; edit-schedule changes it")
    return _stored(operator.put_schedule(new_schedule(deed.name, deed.texts), reason=reason))


def _edit_schedule(operator: Operator, deed: Deed, reason: str) -> Told:
    # Its own arguments, as those that are shown have no secrets.
    stored = operator.queue.get_schedule(deed.name).schedule
    return _stored(operator.put_schedule(replace(stored, **read_texts(deed.texts)), reason=reason))


def _stored(info: ScheduleInfo) -> Told:
    standing = "is paused" if info.is_paused else f"ticks next at {info.next_at:%Y-%m-%d %H:%M:%S} UTC"
    return Told(f"schedule {info.schedule.name} {standing}")


def _remove_schedule(operator: Operator, deed: Deed, reason: str) -> Told:
    operator.remove_schedule(deed.name, reason=reason)
    return Told(f"schedule {deed.name} is removed")


def _run_schedule(operator: Operator, deed: Deed, reason: str) -> Told:
    job = operator.run_schedule(deed.name, reason=reason)
    standing = "was there already: its last run is unfinished" if job.duplicate else f"is {job.status}"
    return Told(f"job {job.id} of schedule {deed.name} {standing}")


def _enqueue(operator: Operator, deed: Deed, reason: str) -> Told:
    if deed.new is None:
        raise TypeError("there is no job to enqueue")
    job = operator.enqueue(deed.new, reason=reason)
    standing = "was there already: it has the same unique key" if job.duplicate else f"is {job.status}"
    return Told(f"job {job.id} of task {job.task} {standing}")


def _import(operator: Operator, deed: Deed, reason: str) -> Told:
    path = Path(deed.name)
    result = operator.import_jobs(operator.preview_import(path, format_of(path)), reason=reason)
    return Told(f"{result.enqueued:,} jobs of {path.name} are enqueued", entry=result.entry)


def _export(operator: Operator, deed: Deed, reason: str) -> Told:
    path = Path(deed.name)
    chosen = operator.choose(deed.where or "")
    number = operator.export(chosen, path, format_of(path), reveal=deed.is_revealing, reason=reason)
    return Told(f"{number:,} jobs are written to {path}")


def _scale(operator: Operator, deed: Deed, reason: str) -> Told:
    # It speaks HTTP, which nobody loads who does not steer consumers.
    from persistentq.operations.supervised import find_configuration

    scaled = scale_consumers(operator, find_configuration(), deed.number, reason=reason)
    failed = "; ".join(f"{name}: {why}" for name, why in scaled.failed.items())
    text = f"{deed.number} consumers: {len(scaled.added)} added, {len(scaled.removed)} removed"
    return Told(f"{text}; {failed}" if failed else text, bool(failed))


def _steer(operator: Operator, deed: Deed, reason: str) -> Told:
    from persistentq.operations.supervised import find_configuration

    steer(operator, find_configuration(), deed.verb, deed.name, reason=reason)
    return Told(f"{deed.verb} worked for {deed.name}")


def _reveal(operator: Operator, deed: Deed, reason: str) -> Told:
    job = operator.reveal(deed.number, reason=reason)
    return Told(f"job {job.id} shows its secrets; the journal tells of it", revealed=job)


_MANNERS: Mapping[str, _Manner] = {
    "undo": _Manner(
        lambda deed: f"Take back what entry {deed.number} of the journal did, where nothing happened since?",
        _undo,
        lambda deed: ("undo", str(deed.number)),
    ),
    "pause": _Manner(
        lambda deed: f"Hand out no more jobs of queue {safe(deed.name)}?",
        _pause,
        lambda deed: ("pause", deed.name, *(("--for", write(deed.lasting)) if deed.lasting else ())),
    ),
    "resume": _Manner(
        lambda deed: f"Hand out the jobs of queue {safe(deed.name)} again?",
        _resume,
        lambda deed: ("resume", deed.name),
    ),
    "pause-schedule": _Manner(
        lambda deed: f"Let schedule {safe(deed.name)} enqueue nothing until it is resumed?",
        _pause_schedule,
        lambda deed: ("schedules", "pause", deed.name),
    ),
    "resume-schedule": _Manner(
        lambda deed: f"Let schedule {safe(deed.name)} tick again?",
        _resume_schedule,
        lambda deed: ("schedules", "resume", deed.name),
    ),
    "run-schedule": _Manner(
        lambda deed: f"Enqueue the job of schedule {safe(deed.name)} now?",
        _run_schedule,
        lambda deed: ("schedules", "run-now", deed.name),
    ),
    "add-schedule": _Manner(
        lambda deed: f"Store schedule {safe(deed.name)} {_in_words(deed)}",
        _add_schedule,
        lambda deed: ("schedules", "add", deed.name, *_named(deed), *words_of(deed.texts, NAMED)),
    ),
    "edit-schedule": _Manner(
        lambda deed: f"Change schedule {safe(deed.name)}: {_typed_fields(deed)}?",
        _edit_schedule,
        lambda deed: ("schedules", "edit", deed.name, *words_of(deed.texts)),
    ),
    "remove-schedule": _Manner(
        lambda deed: f"Remove schedule {safe(deed.name)} for ever? The jobs that it has enqueued stay.",
        _remove_schedule,
        lambda deed: ("schedules", "remove", deed.name),
    ),
    "enqueue": _Manner(
        lambda deed: f"Enqueue a job of task {safe(deed.new and deed.new.task)}?",
        _enqueue,
        lambda deed: enqueue_words(deed.new) if deed.new else (),
    ),
    "import": _Manner(
        lambda deed: f"Enqueue the jobs of {safe(deed.name)}?", _import, lambda deed: ("import", deed.name)
    ),
    "export": _Manner(
        lambda deed: (
            f"Write the jobs that match{', with secrets,' * deed.is_revealing} to {safe(deed.name)}?"
        ),
        _export,
        lambda deed: (
            "export",
            deed.name,
            *meant((), deed.where),
            *(("--reveal",) if deed.is_revealing else ()),
        ),
    ),
    "scale": _Manner(
        lambda deed: (
            f"Let {deed.number} consumers run? Those that are too many finish what they run, and stop."
        ),
        _scale,
        lambda deed: ("scale", str(deed.number)),
    ),
    **{
        verb: _Manner(
            lambda deed: f"{deed.label} {safe(deed.name)}?{_note(deed.verb)}",
            _steer,
            lambda deed: (deed.verb.removesuffix("-consumer"), deed.name),
        )
        for verb in STEPS
    },
    "reveal": _Manner(
        lambda deed: f"Show job {deed.number} with its secrets? The journal tells that you looked.",
        _reveal,
        lambda deed: ("show", str(deed.number), "--reveal"),
    ),
}


def _note(verb: str) -> str:
    return f" {DRAINS}" if "stopProcess" in STEPS[verb] else ""


def _named(deed: Deed) -> tuple[str, ...]:
    texts = dict(deed.texts)
    return tuple(texts[name] for name in NAMED)


def _in_words(deed: Deed) -> str:
    schedule = new_schedule(deed.name, deed.texts)
    return f"of task {safe(schedule.task)}? {safe(schedule.in_words())}."


def _typed_fields(deed: Deed) -> str:
    return ", ".join(f"{FIELDS[name].label} {safe(text)}" for name, text in deed.texts)


VERBS = (*ACTIONS, *EDITS, *_MANNERS)
