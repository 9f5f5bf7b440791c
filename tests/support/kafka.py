"""A broker for tests: one per session, its topics named per test."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.once import alone
from workers.errors import Misconfigured
from workers.local.kafka import start_kafka

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.local.kafka import LocalKafka

CACHE_DIR = Path(__file__).parents[2] / ".brimful" / "cache"
"""Shared by all sessions in this checkout, so that Maven runs once and not once per session."""

REQUIRE_VARIABLE = "BRIMFUL_TEST_REQUIRE"
_YES = ("1", "true", "yes")

_serial = itertools.count(1)


def required(env: Mapping[str, str]) -> bool:
    """Whether a test that misses what it needs must fail instead of being skipped: in CI it must."""
    return any(env.get(name, "").lower() in _YES for name in (REQUIRE_VARIABLE, "CI"))


def start_broker(data_dir: Path, env: Mapping[str, str]) -> LocalKafka | str:
    """A real broker that the caller must stop, or why there is none. A mock would make tests lie."""
    try:
        with alone("kafka", CACHE_DIR):
            return start_kafka(data_dir, env, cache_dir=CACHE_DIR, kinds=("jvm", "docker"))
    except Misconfigured as error:
        return str(error)


def prefix_for(test_id: str, session: str) -> str:
    """A topic prefix that no other test and no other session has: readable start, hash, counter."""
    name = test_id.rpartition("::")[2].partition("[")[0].removeprefix("test_")
    digest = hashlib.blake2b(f"{session}\0{test_id}".encode(), digest_size=4).hexdigest()
    readable = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in name)[:40]
    return f"{readable}-{digest}-{next(_serial)}."
