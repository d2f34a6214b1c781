"""The doorbell's own pipe."""

from __future__ import annotations

import threading
from pathlib import Path

from persistentq.doorbell import LocalDoorbell


def test_a_bell_that_is_closed_while_others_ring_writes_into_nobody_elses_file(tmp_path: Path) -> None:
    """The number of a closed descriptor is given to the next file that is opened, which may be the database."""
    is_over = threading.Event()
    bells: list[LocalDoorbell] = [LocalDoorbell(None)]

    def ring() -> None:
        while not is_over.is_set():
            bells[0].ring()

    threads = [threading.Thread(target=ring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(200):
        closed, bells[0] = bells[0], LocalDoorbell(None)
        closed.close()
        with (tmp_path / f"{n}").open("w") as file, (tmp_path / f"{n}b").open("w") as other:
            assert file.fileno() != other.fileno()
    is_over.set()
    for thread in threads:
        thread.join()
    bells[0].close()
    assert {path.stat().st_size for path in tmp_path.iterdir()} == {0}
