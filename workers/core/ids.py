"""Deterministic identities: the same parts give the same id, and different parts never by accident."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

VERSION_CHARS: Final = 16
"""Length of a version: 64 bits, enough to tell those of one definition apart and short enough to read."""


def stable_id(*parts: str) -> str:
    """32 hex digits over the parts. Each part is length-prefixed, so ("ab", "c") and ("a", "bc") differ."""
    digest = blake2b(digest_size=16)
    for part in parts:
        raw = part.encode()
        digest.update(len(raw).to_bytes(4, "big"))
        digest.update(raw)
    return digest.hexdigest()


def bucket(experiment: str, subject: str) -> int:
    """The bucket, 0 to 9999, of a subject in an experiment; sticky because nothing else goes in."""
    return int(stable_id("bucket", experiment, subject)[:15], 16) % 10_000
