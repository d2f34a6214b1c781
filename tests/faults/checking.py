"""What must hold after a run, whatever was done to its workers: looked at from outside, by plain SQL and the ledgers.

Each function returns sentences that say what does not hold; none is good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE
from typing import Any, NamedTuple

from tests.faults.done import Done
from tests.faults.ledger import Entry, of_kind
from tests.faults.outside import Outside
from tests.faults.plans import Plan
from tests.faults.scene import Scene

WAYS = {
    ("scheduled", "pending"),
    ("pending", "processing"),
    *(("processing", after) for after in ("done", "failed", "pending", "scheduled")),
}
"""The state machine, as far as these runs walk it, written down once more."""

GOOD = ("plain", "exact", "clumsy")
"""What must get through; the last of them kills its first worker, so that there is always a lost job to take back."""
POLLS_S = 2.0
"""Two looks of a consumer, beyond the lease, until a lost job must be back."""
CLOCKS_US = 3_000
"""SQLite's clock in a trigger has milliseconds."""
LOG_LIMIT = 72 * 1024 * 1024
SHOWN = 5


class Row(NamedTuple):
    """One job, at the end."""

    id: int
    status: str
    attempt: int
    max_attempts: int
    task: str
    tags: str
    finished_us: int | None
    error: str | None

    @property
    def key(self) -> str:
        """What its producer calls it."""
        return self.tags.strip(",")


class Change(NamedTuple):
    """One change of a job's status or attempt, as the trigger wrote it down."""

    job: int
    was: str
    became: str
    attempt_was: int
    attempt: int
    lease_was: int | None
    at_us: int


class Evidence:
    """All that is known of a run."""

    def __init__(self, scene: Scene, plan: Plan, done: Done, entries: list[Entry], eyes: Outside) -> None:
        self.scene, self.plan, self.done, self.entries, self.eyes = scene, plan, done, entries, eyes
        self.rows = [
            Row(*row)
            for row in eyes.rows(
                "SELECT id, status, attempt, max_attempts, task, tags, finished_at, error FROM persistentq_jobs"
            )
        ]
        # Within one transaction SQLite's rowids ascend; on a server the time does, for one job.
        order = "rowid" if scene.is_local else "at_us, attempt, attempt_was DESC"
        self.changes = [Change(*row) for row in eyes.rows(f"SELECT * FROM faults_history ORDER BY {order}")]
        self.effects = [
            (job, attempt) for job, attempt in eyes.rows("SELECT job_id, attempt FROM faults_effects")
        ]
        self.ends = Counter(
            dict(eyes.rows("SELECT job_id, count(*) FROM persistentq_attempts GROUP BY job_id"))
        )
        lost = "SELECT job_id, attempt FROM persistentq_attempts WHERE outcome = 'lost'"
        self.lost = {(job, attempt) for job, attempt in eyes.rows(lost)}
        self.begun = Counter((entry.facts[0], entry.facts[1]) for entry in of_kind(entries, "begun"))
        self.worked = {(entry.facts[0], entry.facts[1]): entry.at for entry in of_kind(entries, "worked")}
        self.asked = {key for entry in of_kind(entries, "asked") for key in entry.facts[0]}
        self.acked = {key: job for entry in of_kind(entries, "acked") for job, key in entry.facts[0]}
        self.told = [entry.facts for entry in of_kind(entries, "told")]

    @property
    def refused(self) -> int:
        """How many words came too late."""
        return sum(what == "job lost" for what, *_ in self.told)

    def latest_return(self) -> float:
        """Return how many seconds after its lease the last lost job was taken back, but for those when nobody could."""
        lost = (
            (one.lease_was, one.at_us) for one in self.changes if one.was == "processing" and one.lease_was
        )
        latest = 0
        for lease, at in sorted(lost, key=lambda span: span[0] - span[1]):
            if at - lease <= latest:
                # No later one can be later, as what is free of a span is no longer than it.
                break
            latest = max(latest, self.done.free_time(lease, at))
        return latest / 1e6

    def of_task(self, *names: str) -> list[Row]:
        return [row for row in self.rows if row.task in names]


def check(found: Evidence) -> list[str]:
    """Return everything that does not hold, each with the invariant's number."""
    every = (
        enqueued,
        settled_once,
        effects,
        bounded,
        fenced,
        returned,
        ended,
        ways,
        whole,
        surroundings,
        enough,
    )
    return [sentence for one in every for sentence in one(found)]


def enqueued(found: Evidence) -> Iterator[str]:
    """I1: what was acknowledged is there, once, and nothing that nobody asked for."""
    rows = {row.key: row.id for row in found.of_task(*GOOD)}
    yield from some("I1: acknowledged and not there", (key for key in found.acked if key not in rows))
    differ = (key for key, job in found.acked.items() if rows.get(key, job) != job)
    yield from some("I1: there under another id than was said", differ)
    yield from some("I1: there and never asked for", rows.keys() - found.asked)
    stored = Counter(row.key for row in found.of_task(*GOOD))
    yield from some("I1: stored more than once", (key for key, number in stored.items() if number > 1))


def settled_once(found: Evidence) -> Iterator[str]:
    """I2: no job has two accepted completions."""
    done = Counter(change.job for change in found.changes if change.became == "done")
    yield from some("I2: done more than once", (job for job, number in done.items() if number > 1))
    told = Counter(job for what, job, _ in found.told if what == "job done")
    yield from some("I2: said to be done more than once", (job for job, number in told.items() if number > 1))


def effects(found: Evidence) -> Iterator[str]:
    """I3: an effect in the completion's transaction is there once if the job is done, and else not at all."""
    number, by = Counter(job for job, _ in found.effects), dict(found.effects)
    exact = found.of_task("exact")
    yield from some("I3: more than one effect", (job for job, times in number.items() if times > 1))
    yield from some(
        "I3: done without effect", (row.id for row in exact if row.status == "done" and row.id not in by)
    )
    yield from some(
        "I3: effect of a job that is not done",
        (row.id for row in exact if row.status != "done" and row.id in by),
    )
    yield from some(
        "I3: effect of another attempt",
        (row.id for row in exact if by.get(row.id, row.attempt) != row.attempt),
    )


def bounded(found: Evidence) -> Iterator[str]:
    """I4: no attempt begins twice, and none beyond the last that is allowed."""
    yield from some("I4: begun twice", (one for one, times in found.begun.items() if times > 1))
    allowed = {row.id: row.max_attempts for row in found.rows}
    yield from some("I4: begun too often", (one for one in found.begun if one[1] > allowed[one[0]]))


def fenced(found: Evidence) -> Iterator[str]:
    """I5: a job is done only by the attempt that holds it, after its work: a stale word is never accepted."""
    for row in found.of_task(*GOOD):
        if row.status != "done" or row.finished_us is None:
            continue
        worked = found.worked.get((row.id, row.attempt))
        if worked is None or worked > row.finished_us + CLOCKS_US:
            yield f"I5: job {row.id} was done at attempt {row.attempt} before that attempt's work was"
    attempts = {row.id: row.attempt for row in found.rows}
    told = (
        (job, attempt) for what, job, attempt in found.told if what == "job done" and attempt != attempts[job]
    )
    yield from some("I5: a stale completion was accepted", told)


def returned(found: Evidence) -> Iterator[str]:
    """I6: a lost job is back soon after its lease and not before; when nobody could write does not count."""
    early = (
        one.job
        for one in found.changes
        if (one.job, one.attempt_was) in found.lost and one.at_us < (one.lease_was or 0) - CLOCKS_US
    )
    yield from some("I6: taken from a consumer whose lease had not ended", early)
    limit = found.scene.lease + POLLS_S
    if (late := found.latest_return()) > limit:
        yield f"I6: a lost job came back {late:.1f} s after its lease, more than {limit:g} s"


def ended(found: Evidence) -> Iterator[str]:
    """I7: every job has ended, the good ones well, the others failed."""
    for row in found.rows:
        if row.status != ("done" if row.task in GOOD else "failed"):
            yield f"I7: job {row.id} ({row.task}) is {row.status} at the end: {row.error}"
    began = {job for job, _ in found.begun}
    yield from some(
        "I7: run although it cannot be decoded", (row.id for row in found.of_task("bad") if row.id in began)
    )


def ways(found: Evidence) -> Iterator[str]:
    """I8: every job went only where the state machine leads, and every attempt has its end."""
    status = {row.id: row.status for row in found.rows}
    last: dict[int, tuple[str, int]] = {}
    for one in found.changes:
        counts = one.attempt - one.attempt_was
        if (one.was, one.became) not in WAYS or counts != (one.became == "processing"):
            yield f"I8: {one}"
        if one.job in last and last[one.job] != (one.was, one.attempt_was):
            yield f"I8: {one} follows {last[one.job]}"
        last[one.job] = one.became, one.attempt
    yield from some(
        "I8: another status than its history's last",
        (job for job, (now, _) in last.items() if status[job] != now),
    )
    attempts = (row.id for row in found.rows if found.ends[row.id] != row.attempt - (row.status == "done"))
    yield from some("I8: attempts without an end", attempts)


def whole(found: Evidence) -> Iterator[str]:
    """I9: the database is whole, by its own word and by the number of its rows."""
    if found.scene.is_local:
        if (word := found.eyes.value("PRAGMA integrity_check")) != "ok":
            yield f"I9: integrity_check says {word}"
        yield from some("I9: foreign keys", found.eyes.rows("PRAGMA foreign_key_check"))
    counts = "SELECT status, count(*) FROM persistentq_jobs WHERE status || '' <> '' GROUP BY status"
    by_index, by_row = dict(found.eyes.rows(counts)), Counter(row.status for row in found.rows)
    if by_index != by_row:
        yield f"I9: an index has {by_index}, the table has {dict(by_row)}"
    expected = len(found.acked) + found.scene.poison + found.scene.bad
    unknown = len(found.asked) - len(found.acked)
    if not expected <= len(found.rows) <= expected + unknown:
        yield f"I9: {len(found.rows)} rows, not {expected} to {expected + unknown}"


def surroundings(found: Evidence) -> Iterator[str]:
    """I10: files are their owner's alone, the log is bounded, nobody is left over, nobody complained."""
    for path in found.scene.disk.iterdir():
        if S_IMODE(path.stat().st_mode) != 0o600:
            yield f"I10: {path.name} has mode {S_IMODE(path.stat().st_mode):o}"
    if found.done.largest_log > LOG_LIMIT:
        yield f"I10: the log had {found.done.largest_log} bytes"
    yield from some("I10: left over", left_over(found.scene.folder))
    if complaints := (found.scene.folder / "errors").read_text().strip():
        yield f"I10: on standard error: {complaints[-3000:]}"
    yield from (f"I10: {surprise}" for surprise in found.done.surprises)


def enough(found: Evidence) -> Iterator[str]:
    """The run did what its plan says: else that all is well says nothing."""
    plan, acts = found.plan, found.done.acts
    wanted = {"zombies": plan.zombies, "stops inside a transaction": plan.stops, "storms": plan.storms}
    wanted |= (
        {"full disks": plan.fills} if found.scene.is_local else {"terminated sessions": plan.terminations}
    )
    made = Counter(acts) | Counter(
        {"kills": found.done.kills.total(), "words refused": found.refused, "jobs": len(found.acked)}
    )
    wanted |= {"kills": plan.kills, "words refused": plan.zombies // 2, "jobs": plan.jobs}
    wanted |= {"deaths by poison": plan.poison}
    for what, number in wanted.items():
        if made[what] < number:
            yield f"too little: {made[what]} {what} instead of {number}"


def some(what: str, found: Any) -> Iterator[str]:
    """Say it of as many as can be shown, if there are any."""
    every = sorted(found)
    if every:
        shown = ", ".join(map(str, every[:SHOWN]))
        yield f"{what}: {len(every)}, such as {shown}"


def left_over(folder: Path) -> Iterator[str]:
    """Yield the processes that still work in the folder."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "cwd").readlink().is_relative_to(folder):
                yield f"{place.name} {(place / 'cmdline').read_text()[:80]}"
        except OSError:
            continue
