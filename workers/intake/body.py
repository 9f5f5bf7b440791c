"""Reading request bodies within bounds: by size on the wire, by size after gunzip, and by time."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from workers.intake.problems import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

_GZIP = 31
"""zlib's ``wbits`` for a gzip header and the largest window."""


async def read_body(request: Request, *, most_bytes: int, seconds: float) -> tuple[bytes, int]:
    """The body of a request, decompressed, and its size on the wire.

    Nothing is read of a body whose Content-Length is already too large, and reading stops at the first
    byte too many, before or after gunzip.

    Raises:
        Problem: 413 too large, 415 unknown encoding, 400 broken gzip, 408 too slow.
    """
    gunzip = _wants_gunzip(request)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most_bytes:
        raise _too_large(most_bytes, "the body")
    wire = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                wire += chunk
                if len(wire) > most_bytes:
                    raise _too_large(most_bytes, "the body")
    except TimeoutError:
        raise Problem(408, "too_slow", f"the body did not arrive within {seconds:g} s") from None
    except ClientDisconnect:
        raise Problem(400, "cut_off", "the connection closed before the body was complete") from None
    return (decompress(bytes(wire), most_bytes) if gunzip else bytes(wire)), len(wire)


def decompress(data: bytes, most_bytes: int) -> bytes:
    """Gunzip, holding never more than ``most_bytes`` + 1 bytes of output.

    Raises:
        Problem: 413 where the result is larger, 400 where the data is not complete gzip.
    """
    plain = bytearray()
    while data:
        member = zlib.decompressobj(_GZIP)
        try:
            plain += member.decompress(data, most_bytes + 1 - len(plain))
        except zlib.error:
            raise Problem(400, "bad_gzip", "the body says Content-Encoding: gzip and is not gzip") from None
        if len(plain) > most_bytes:
            raise _too_large(most_bytes, "the body after gunzip")
        if not member.eof:
            raise Problem(400, "bad_gzip", "the gzip body is cut off")
        data = member.unused_data
    return bytes(plain)


def _wants_gunzip(request: Request) -> bool:
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return False
    if encoding == "gzip":
        return True
    raise Problem(
        415,
        "unknown_encoding",
        "Content-Encoding must be gzip or absent",
        headers={"accept-encoding": "gzip"},
    )


def _too_large(most_bytes: int, what: str) -> Problem:
    return Problem(
        413,
        "too_large",
        f"{what} is larger than {most_bytes} bytes; send smaller batches",
        headers={"connection": "close"},
        extra={"limit_bytes": most_bytes},
    )
