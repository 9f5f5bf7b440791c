"""How a peer tells the harness facts: lines on standard output, ``facts`` and then JSON."""

from __future__ import annotations

import json
import os

WORD = b"facts "


def tell(what: str, **facts: float) -> None:
    """Print one line of facts under the name ``what``."""
    # Straight to the descriptor, whole: other threads and libraries print too.
    os.write(1, WORD + json.dumps({"what": what, **facts}).encode() + b"\n")
