"""A run: workers are born, struck where they were told to be or killed wherever they are, and others replace them."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from persistentq.clock import Deadline
from tests.faults.done import Done
from tests.faults.failpoints import Act, places
from tests.faults.ledger import Entry, Ledger, Reader
from tests.faults.outside import Outside
from tests.faults.plans import Fate, Plan, deal
from tests.faults.scene import Scene
from tests.faults.weather import Weather
from tests.faults.working import DRAIN_S, Order
from tests.faults.zygote import End, Zygote

STEP_S, STILL_US = 0.015, 250_000
STRUCK_WITHIN_S = 3.0
ANYWHERE_S = (0.03, 0.5)
FROZEN_AT_ONCE = 6
OVERTAKEN_WITHIN, INSIDE_S = 2.5, (0.2, 0.8)
RETURN_S = 0.4
FREE_S = 1.0
LEAVE_S = DRAIN_S + 12
CALM_S = 60
ENOUGH_RATE = 4.0
LOCKS, WRITE_LOCK = Path("/proc/locks"), ["120", "120"]
"""The byte of the -shm file whose lock is the writer's (sqlite.org/walformat.html)."""
HELD_BY = "SELECT id, attempt FROM persistentq_jobs WHERE status = 'processing' AND consumer = '{}'"
UNFINISHED = "SELECT count(*) FROM persistentq_jobs WHERE status IN ('scheduled', 'pending', 'processing')"


@dataclass(eq=False)
class Life:
    """One worker process, and what is to become of it.

    Attributes:
        due: When something is done to it, whatever it does itself.
        held: Once it is frozen as a zombie: the jobs that it held, and at which attempt.
        is_struck: It has reached its place.
        is_inside: It is frozen in a transaction.
        is_killed: It was killed from outside.
        is_free: Nothing is to happen to it.
        is_fulfilled: What was to happen to it has happened.
        blocks_since: Since when nobody can write because it is frozen, in microseconds since 1970; else 0.
        leaves: It was told to stop, and must do so in good order.
    """

    pid: int
    order: Order
    slot: int
    due: Deadline
    held: dict[int, int] = field(default_factory=dict)
    is_struck: bool = False
    is_frozen: bool = False
    is_inside: bool = False
    is_overtaken: bool = False
    is_killed: bool = False
    is_free: bool = False
    is_fulfilled: bool = False
    blocks_since: int = 0
    leaves: bool = False

    @property
    def act(self) -> Act | None:
        return None if self.order.armed is None else self.order.armed.act

    @property
    def has_place(self) -> bool:
        """Whether nobody has to work in its stead."""
        return not (self.is_frozen or self.is_struck or self.leaves)


class Chaos:
    """Does to the workers of a scene what a plan says, and lets them finish in peace after that."""

    def __init__(self, scene: Scene, plan: Plan, zygote: Zygote, eyes: Outside, weather: Weather) -> None:
        self._scene, self._plan, self._zygote, self._eyes = scene, plan, zygote, eyes
        self._weather, self._diary = weather, Ledger(scene.folder)
        self._chance = Random(scene.seed)
        self.ledger, self.done = Reader(scene.folder), Done()
        self._lives: dict[int, Life] = {}
        self._known = places(scene.engine)
        self._acked, self._births, self._is_calm = 0, 0, False
        self._poisoned: set[int] = set()
        self._fates: dict[str, deque[Fate]] = {
            role: deque(deal(plan, scene.engine, role, self._chance)) for role in ("consumer", "producer")
        }
        self._slots = {"consumer": plan.consumers, "producer": plan.producers}
        self._limit, self._stepped = Deadline(plan.minutes * 60), time.time_ns() // 1000

    def run(self) -> None:
        """Do all of it."""
        while not self._is_over():
            if self._limit.passed:
                self.done.surprises.append(f"the plan took longer than {self._plan.minutes:g} minutes")
                break
            self._step()
        self._weather.end()
        self._calm()

    def _is_over(self) -> bool:
        return not (
            any(self._fates.values())
            or any(life.order.armed or life.is_frozen for life in self._lives.values())
            or self._acked < self._plan.jobs
            or not self._weather.is_over
        )

    def _step(self) -> None:
        began, self._stepped = self._stepped, time.time_ns() // 1000
        if self._stepped - began > STILL_US:
            # The machine has other things to do, and the workers do not get their turns either.
            self.done.block(began)
        self._look()
        for life in list(self._lives.values()):
            if life.is_frozen and life.held:
                self._see_overtaken(life)
            if life.due.passed:
                self._do_what_is_due(life)
        for role, number in self._slots.items():
            self._fill(role, number)
        self._weather.step(self.done)
        Deadline(1).pause(STEP_S)

    def _look(self) -> None:
        """See who is gone, and what the others wrote meanwhile."""
        # In this order: what a worker wrote before its end is known when its end is.
        ends = self._zygote.ends()
        for entry in self.ledger.look():
            if entry.what == "struck":
                self._note_strike(entry)
            elif entry.what == "poisoned":
                self._poisoned.add(entry.pid)
            elif entry.what == "acked":
                self._acked += len(entry.facts[0])
        for end in ends:
            self._note_end(end)
        with suppress(OSError):
            log = self._scene.file.with_name("queue.db-wal").stat().st_size
            self.done.largest_log = max(self.done.largest_log, log)

    # --- births

    def _fill(self, role: str, number: int) -> None:
        taken = {life.slot for life in self._lives.values() if life.order.role == role and life.has_place}
        for slot in range(number):
            if slot not in taken:
                self._bear(role, slot)

    def _bear(self, role: str, slot: int) -> None:
        drawn = self._draw(role)
        armed = drawn[0] if drawn else None
        if armed is not None and not armed.place.startswith("drain"):
            due = Deadline(STRUCK_WITHIN_S)
        else:
            due = Deadline(self._chance.uniform(*ANYWHERE_S) if drawn else FREE_S)
        self._births += 1
        name = f"{role[0]}{slot}"
        if any(life.order.name == name for life in self._lives.values()):
            name = f"{name}-{self._births}"
        order = Order(role, name, self._births, self._rate() if role == "producer" else 0.0, armed)
        life = Life(self._zygote.bear(order), order, slot, due, is_free=not drawn)
        self._diary.note("bore", name, life.pid, drawn)
        self._lives[life.pid] = life

    def _rate(self) -> float:
        """Return how many jobs a producer makes each second: few once there are enough, as all must be finished."""
        return (self._plan.rate if self._acked < self._plan.jobs else ENOUGH_RATE) / self._plan.producers

    def _draw(self, role: str) -> list[Fate]:
        """Return the next fate; none if only such are left as must wait until fewer are frozen."""
        fates = self._fates[role]
        for _ in range(len(fates)):
            fate = fates.popleft()
            if fate is None or fate.act is not Act.STOP or self._frozen() < FROZEN_AT_ONCE:
                return [fate]
            fates.append(fate)
        return []

    def _frozen(self) -> int:
        return sum(life.act is Act.STOP for life in self._lives.values())

    # --- what becomes of them

    def _note_strike(self, entry: Entry) -> None:
        life = self._lives.get(entry.pid)
        if life is None:
            return
        place, act = entry.facts
        life.is_struck = True
        if act == Act.STOP:
            self._note_stop(life, entry.at, self._known[place].is_inside)
        elif act != Act.KILL:
            self._fulfil(life, "failures")
            life.due = Deadline(LEAVE_S if life.leaves else RETURN_S)

    def _note_stop(self, life: Life, at: int, is_inside: bool) -> None:
        life.is_frozen, life.is_inside = True, is_inside
        if is_inside:
            life.blocks_since, life.due = at, Deadline(self._chance.uniform(*INSIDE_S))
            return
        life.held = dict(self._eyes.rows(HELD_BY.format(life.order.name)))
        life.due = Deadline(OVERTAKEN_WITHIN * self._scene.lease if life.held else 0.0)

    def _see_overtaken(self, life: Life) -> None:
        if not life.blocks_since and holds_write_lock(life.pid):
            # Chance stopped another thread of it there, and nobody can overtake it.
            life.blocks_since, life.due = self._stepped, Deadline(self._chance.uniform(*INSIDE_S))
        ids = ", ".join(map(str, life.held))
        now = self._eyes.rows(f"SELECT id, attempt FROM persistentq_jobs WHERE id IN ({ids})")
        if any(attempt > life.held[job] for job, attempt in now):
            # Another is at work on it, just now.
            life.is_overtaken = True
            self._thaw(life)

    def _thaw(self, life: Life) -> None:
        self._send(life, signal.SIGCONT)
        self._diary.note("thawed", life.order.name, life.held, life.is_overtaken)
        self._unblock(life)
        life.due = Deadline(LEAVE_S if life.leaves else RETURN_S)
        if life.is_inside:
            self._fulfil(life, "stops inside a transaction")
        elif life.is_overtaken:
            self._fulfil(life, "zombies")

    def _do_what_is_due(self, life: Life) -> None:
        armed = life.order.armed
        if life.is_frozen:
            self._end_stop(life)
        elif life.leaves:
            self.done.surprises.append(f"{life.order.name} ({life.pid}) did not stop within {LEAVE_S:g} s")
            # It writes down where its threads are.
            self._send(life, signal.SIGUSR1)
            Deadline(1).pause(0.2)
            self._kill(life)
        elif life.is_free:
            life.due = Deadline(FREE_S)
            if self._fates[life.order.role]:
                self._dismiss(life)
        elif armed is None or (armed.act is Act.KILL and not armed.place.startswith("drain")):
            self._kill(life)
        else:
            self._dismiss(life)

    def _end_stop(self, life: Life) -> None:
        if life.is_inside and self._chance.random() < 0.5:
            self._fulfil(life, "stops inside a transaction")
            self._kill(life)
            self._unblock(life)
        else:
            self._thaw(life)

    def _unblock(self, life: Life) -> None:
        life.is_frozen = False
        if life.blocks_since:
            self.done.block(life.blocks_since)
            life.blocks_since = 0

    def _fulfil(self, life: Life, act: str) -> None:
        life.is_fulfilled = True
        self.done.acts[act] += 1

    def _dismiss(self, life: Life) -> None:
        self._send(life, signal.SIGTERM)
        self._diary.note("dismissed", life.order.name, life.pid)
        life.leaves, life.due = True, Deadline(LEAVE_S)

    def _kill(self, life: Life) -> None:
        self._send(life, signal.SIGKILL)
        self._diary.note("killed", life.order.name, life.pid)
        life.is_killed, life.due = True, Deadline(LEAVE_S)

    def _send(self, life: Life, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(life.pid, number)

    def _note_end(self, end: End) -> None:
        life = self._lives.pop(end.pid)
        self._diary.note("buried", life.order.name, end.pid, end.code)
        if life.is_killed or (life.is_struck and life.act is Act.KILL and end.code == -signal.SIGKILL):
            life.is_fulfilled = True
            armed = None if life.is_killed else life.order.armed
            self.done.kills["anywhere" if armed is None else armed.place] += 1
        elif end.pid in self._poisoned:
            self.done.acts["deaths by poison"] += 1
        elif life.leaves and end.code == 0:
            self.done.acts["stops in good order"] += 1
        else:
            self.done.surprises.append(f"{life.order.name} ({end.pid}) ended by itself with {end.code}")
        if not (life.is_free or life.is_fulfilled or self._is_calm):
            # Poison came before, or nobody overtook it: another is to have its fate.
            self._fates[life.order.role].append(life.order.armed)

    # --- the end

    def _calm(self) -> None:
        """Let producers stop and two consumers finish what is left, undisturbed."""
        self._is_calm, self._slots = True, {"consumer": 2, "producer": 0}
        for fates in self._fates.values():
            fates.clear()
        for life in self._lives.values():
            if life.is_frozen:
                self._thaw(life)
            if life.order.role == "producer" or life.order.armed is not None or life.slot >= 2:
                self._dismiss(life)
        limit, least = Deadline(CALM_S), self._eyes.value(UNFINISHED)
        while (left := self._eyes.value(UNFINISHED)) or any(life.leaves for life in self._lives.values()):
            self._step()
            if left < least:
                limit, least = Deadline(CALM_S), left
            if limit.passed:
                self.done.surprises.append(f"no job was finished for {CALM_S} s, and {left} are not")
                break
        self._slots["consumer"] = 0
        for life in self._lives.values():
            self._dismiss(life)
        while self._lives:
            self._step()


def holds_write_lock(pid: int) -> bool:
    """Return whether the process keeps everybody from writing to a SQLite database."""
    locks = [line.split() for line in LOCKS.read_text().splitlines()]
    return any(words[3:5] + words[6:] == ["WRITE", str(pid), *WRITE_LOCK] for words in locks)
