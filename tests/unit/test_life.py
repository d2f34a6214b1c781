"""Lives of this process, and of a child that it forks."""

from __future__ import annotations

import os
from datetime import timedelta

from persistentq.job import SILENT_AFTER
from persistentq.life import begin_life, end_life, lasts

NOW = timedelta(0)


def test_no_two_lives_are_the_same() -> None:
    """Ten thousand starts of one process; `test_a_number_that_is_used_again_is_another_process` has the rest."""
    lives = {begin_life() for _ in range(10_000)}
    assert len(lives) == 10_000
    assert all(lasts(life, SILENT_AFTER * 100) for life in lives)
    for life in lives:
        end_life(life)
    assert not any(lasts(life, NOW) for life in lives)


def test_a_life_fits_into_its_column() -> None:
    assert len(begin_life()) <= 128


def test_what_is_no_life_is_judged_by_its_silence() -> None:
    for other in ("", "x", "a/b/c/d/e", "////", "1/2/3/4"):
        assert lasts(other, SILENT_AFTER)
        assert not lasts(other, SILENT_AFTER + timedelta(microseconds=1))


def test_a_forked_childs_life_is_not_its_parents() -> None:
    life = begin_life()
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        # Its parent lives, which it sees by looking, and what it begins itself is another's.
        mine = begin_life()
        os.write(writer, f"{lasts(life, SILENT_AFTER * 2)} {mine.split('/')[2] == str(os.getpid())}".encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"True True"
    os.close(reader)
