"""Brimful's engine in one process, as peers that have only one run theirs."""

from __future__ import annotations

from tests.bench.systems.brimful import Brimful


class OneProcess(Brimful):
    """The same worker on one core."""

    name = "brimful_one_process"
    method = "as brimful, in one process"
    processes = 1


SYSTEM = OneProcess()
