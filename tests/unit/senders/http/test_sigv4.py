"""Signatures of requests to AWS, held against the published examples."""

from __future__ import annotations

import pytest

from workers.senders.http.sigv4 import Credentials, signed_headers

EXAMPLE = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
AT_MS = 1_440_938_160_000  # 2015-08-30T12:36:00Z


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
)
def test_a_signature_is_that_of_the_example(method: str, signature: str) -> None:
    """``get-vanilla`` and ``post-vanilla`` of the test suite that AWS publishes."""
    headers = signed_headers(
        method,
        "https://example.amazonaws.com/",
        {},
        b"",
        credentials=EXAMPLE,
        region="us-east-1",
        service="service",
        now_ms=AT_MS,
    )
    assert headers["X-Amz-Date"] == "20150830T123600Z"
    assert headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={signature}"
    )


def test_a_session_is_signed_as_well() -> None:
    """And secrets are not shown."""
    credentials = Credentials("AKID", "secret", "session")
    headers = signed_headers(
        "POST", "https://h/", {}, b"", credentials=credentials, region="r", service="s", now_ms=0
    )
    assert headers["X-Amz-Security-Token"] == "session"
    assert "x-amz-security-token" in headers["Authorization"]
    assert "secret" not in repr(credentials)
    assert "session" not in repr(credentials)
