"""A supervisord that is killed while its producer and consumers work, and started again beside them."""

from __future__ import annotations

from collections.abc import Iterator

from tests.supervision.checkouts import Checkout
from tests.supervision.test_supervision import (
    test_after_a_killed_supervisord_the_new_consumers_wait_for_the_old_ones_to_end as killed_supervisord,
)


def restart_supervisors(times: int) -> Iterator[str]:
    """Do it so often, each time in a copy of the checkout; yield what does not hold."""
    for _ in range(times):
        checkout = Checkout()
        try:
            killed_supervisord(checkout)
        except AssertionError as error:
            yield f"supervisord killed and started again: {error}"
        finally:
            checkout.remove()
