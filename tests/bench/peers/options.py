"""The arguments that the harness gives to every peer."""

from __future__ import annotations

import argparse


def parser() -> argparse.ArgumentParser:
    """A parser of what all peers share; see ``tests.bench.systems.arguments`` for the other end."""
    made = argparse.ArgumentParser()
    for text in ("name", "bootstrap", "topic", "output-topic", "state-dir"):
        made.add_argument(f"--{text}", required=True)
    for number in ("partitions", "threshold", "days"):
        made.add_argument(f"--{number}", type=int, required=True)
    return made
