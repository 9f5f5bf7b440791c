"""The worker of the fault tests, but where it was ordered to die it only falls asleep (SIGSTOP).

``python -m tests.faults.sleeper JSON``, as ``tests.faults.engine_worker``. Whoever wakes it (SIGCONT) has a
zombie: a worker in the middle of a step that does not know how long it slept.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from msgspec.structs import replace

from tests.faults import engine_worker

if TYPE_CHECKING:
    from workers.stream.transaction import Step


class Sleeps(engine_worker.Steps):
    """Sleeps right after the step, at the how-manieth transaction ``die_at`` names."""

    def __init__(self, order: engine_worker.Order) -> None:
        super().__init__(replace(order, die_at=None))
        self._sleep_at = order.die_at

    def __call__(self, step: Step, partition: int) -> None:
        """One step of one transaction is done."""
        super().__call__(step, partition)
        if self._sleep_at == (step.value, self._seen[step]):
            os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    vars(engine_worker)["Steps"] = Sleeps  # the one difference
    sys.exit(engine_worker.main())
