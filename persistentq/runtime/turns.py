"""A consumer's turns: what ended becomes words, what is claimed becomes runs, and what is to stop is stopped."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from datetime import timedelta

from persistentq.clock import Deadline
from persistentq.context import Interruption, JobContext
from persistentq.interface import PersistentQInterface
from persistentq.job import Job
from persistentq.outcomes import UnknownTask
from persistentq.runtime.executor import Ended, Run
from persistentq.runtime.executors import Executors, Make
from persistentq.runtime.hands import Hands
from persistentq.runtime.holder import LocalHolder
from persistentq.runtime.pace import Pace
from persistentq.runtime.places import Places
from persistentq.runtime.pulse import Pulse
from persistentq.runtime.reports import Words, tell_end, tell_lost
from persistentq.runtime.shares import Shares
from persistentq.settlement import Settlement, Turn, word_for
from persistentq.tasks import Tasks

LOOK_S = 0.5
"""How often to see whether a running job is to be cancelled, where no doorbell tells."""
WAITS_S = 0.25
"""What waits for longer in this process, for a place that others hold on to, is given back."""
LEAVE_FOR = timedelta(seconds=30)
"""How long a job whose task is not known here is left to consumers that may know it."""


class Turns:
    """Does all the talking to the queue, in the thread that calls it.

    Args:
        queue: Where the jobs come from.
        consumer: The consumer's id.
        shares: The queues to serve.
        places: How many tasks run at once.
        tasks: What the jobs may run.
        lease: How long a job stays ours when we fall silent.
        leave_unknown: Whether to leave jobs of unknown tasks to others.
        make_process: Makes the executor for tasks that want processes of their own.
        pulse: Shows when the database is asked.
        ring: Wakes the thread that takes the turns, from any other.

    Attributes:
        tasks: What the jobs may run.
        hands: What is held.
        takes_jobs: Whether to claim; may be set from any thread, and is looked at as late as possible.
    """

    def __init__(  # noqa: PLR0913 - the consumer's settings, handed on
        self,
        queue: PersistentQInterface,
        consumer: str,
        shares: Shares,
        places: int,
        *,
        tasks: Tasks,
        lease: timedelta,
        leave_unknown: bool,
        make_process: Make,
        pulse: Pulse,
        ring: Callable[[], None],
    ) -> None:
        self._asking = pulse.asking
        self._queue, self._consumer, self._shares = queue, consumer, shares
        self.tasks, self._lease, self._leave_unknown, self._ring = tasks, lease, leave_unknown, ring
        self._pace, self._places, self.hands = Pace(places), Places(places), Hands()
        self._executors = Executors(self._places, self._note_end, make_process)
        self._ended: deque[Ended] = deque()
        self._noted: deque[LocalHolder] = deque()
        self._has_rung = False
        self._words = Words()
        self._renewal, self._look = Deadline(0), Deadline(0)
        self._has_room = True
        self.takes_jobs = True

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs here, and every word was heard."""
        return not (self.hands or self._words or self._ended)

    @property
    def has_place(self) -> bool:
        """Whether another job could begin."""
        return self._places.has_free

    @property
    def wants_another(self) -> bool:
        """Whether there is something to say or room to fill at once."""
        return bool(self._words) or self._has_room

    def until_next(self) -> float:
        """Return the seconds until a turn is due although nothing happens; infinite while nothing is held."""
        if not self.hands:
            return float("inf")
        waiting = WAITS_S if self._places.waiting else float("inf")
        return min(self._renewal.remaining, self._look.remaining, self.hands.until_overdue(), waiting)

    def take(self, *, look: bool = False) -> int:
        """Take a turn, if there is anything to say or to ask; return how many jobs were claimed.

        Args:
            look: Whether to see now which jobs are to be cancelled.

        Raises:
            StorageUnavailable: the database could not be used; every word is kept for the next turn.
        """
        self._stop_overdue()
        self._hear()
        self._give_back_waiting()
        if self._noted and (self._look.passed or self._words):
            self._write_notes()
        room = self._pace.room(len(self.hands), self.hands.ages()) if self.takes_jobs else 0
        renew, watch = (
            bool(self.hands) and self._renewal.passed,
            bool(self.hands) and (look or self._look.passed),
        )
        if not (self._words or renew or watch or room):
            self._has_room = False
            return 0
        with self._asking:
            turn = self._queue.turn(
                self._consumer,
                settled=self._words.unheard,
                held=self.hands.held() if renew else (),
                watch=watch,
                queues=self._shares.order,
                limit=room,
                lease=self._lease,
            )
        if renew:
            self._renewal = Deadline(self._lease.total_seconds() / 3)
        if watch:
            self._look = Deadline(LOOK_S)
        self._after(turn, room)
        return len(turn.claimed)

    def _after(self, turn: Turn, room: int) -> None:
        self._words.note_heard(turn.refused)
        for run in self.hands.find(turn.lost):
            run.is_lost = True
            self._interrupt(run, Interruption.LEASE_LOST)
            tell_lost(run.job)
        for run in self.hands.of_ids(turn.cancelling):
            self._interrupt(run, Interruption.CANCELLED)
        self._has_room = bool(room) and len(turn.claimed) == room
        if room:
            self._shares.note(Counter(job.queue for job in turn.claimed), room)
            self._begin(turn.claimed)

    def _begin(self, jobs: list[Job]) -> None:
        if jobs and not self.hands:
            self._renewal, self._look = Deadline(self._lease.total_seconds() / 3), Deadline(LOOK_S)
        runs = []
        for job in jobs:
            task = self.tasks.find(job.task)
            if task is None:
                self._words.say(self._word_on_unknown(job))
                continue
            holder = LocalHolder(self._queue, job, self._lease, self._noted.append)
            run = Run(job, task, JobContext(job, holder, task.timeout))
            self.hands.take(run)
            runs.append(run)
        self._places.line_up(runs)
        self._executors.begin()

    def _word_on_unknown(self, job: Job) -> Settlement:
        if self._leave_unknown:
            return Settlement.snooze(job, LEAVE_FOR)
        return Settlement.fail(job, UnknownTask.here(job.task), retry=False)

    def _note_end(self, ended: Ended) -> None:
        # In any thread. Only the first end since the last turn rings: the turn will find the others, too.
        self._ended.append(ended)
        if not self._has_rung:
            self._has_rung = True
            self._ring()

    def _hear(self) -> None:
        """Make words of what ended."""
        self._has_rung = False
        seconds = []
        while self._ended:
            ended = self._ended.popleft()
            self.hands.let_go(ended.run.job)
            seconds.append(ended.seconds)
            self._hear_of(ended)
        self._pace.note(seconds)
        if seconds:
            self._executors.begin()

    def _hear_of(self, ended: Ended) -> None:
        run = ended.run
        if run.is_lost:
            return
        if ended.returned:
            word: Settlement | None = Settlement.release(run.job)
        else:
            word = word_for(run.context, ended.result, ended.error)
        if word is not None:
            self._words.say(word, ended.seconds)
        elif run.context.is_completed:
            # With the task's own transaction: there is nothing more to say, but to tell.
            tell_end(Settlement.complete(run.job), ended.seconds)
        else:
            tell_lost(run.job)

    def _write_notes(self) -> None:
        # Before the words on their jobs: what was logged last is then there when the job is done.
        with self._asking:
            while self._noted:
                self._noted[0].write_notes()
                self._noted.popleft()

    def _stop_overdue(self) -> None:
        for run in self.hands.overdue():
            self._interrupt(run, Interruption.TIMED_OUT)

    def _interrupt(self, run: Run, why: Interruption) -> None:
        run.context.interrupt(why)
        if not run.is_stopped:
            run.is_stopped = True
            self._executors.interrupt(run)

    def _give_back_waiting(self) -> None:
        """Give back what has waited too long for a place here: another consumer may have one."""
        if self._places.waited() > WAITS_S:
            self.withdraw()

    def withdraw(self) -> None:
        """Give back, in the next turn, what has not begun."""
        for run in self._places.withdraw():
            self.hands.let_go(run.job)
            self._words.say(Settlement.release(run.job))

    def stop_all(self) -> None:
        """Stop what still runs, where that can be done; its jobs are given back as they end."""
        for run in list(self.hands):
            self._interrupt(run, Interruption.STOPPED)

    def give_back_all(self) -> int:
        """Give back, in the next turn, what still runs, and return how many jobs that is."""
        self._hear()
        kept = [run for run in self.hands if not run.is_lost]
        for run in kept:
            # Should it end before that turn, there is nothing more to say.
            run.is_lost = True
            self._words.say(Settlement.release(run.job), run.seconds)
        return len(kept)

    def close(self) -> None:
        """Let go of the executors."""
        self._executors.close()
