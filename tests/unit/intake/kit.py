"""A gateway on fakes, driven through its ASGI interface."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from prometheus_client import CollectorRegistry

from workers.clock import FixedClock
from workers.intake.app import create_gateway
from workers.intake.feed import InMemoryFeed
from workers.intake.limits import Limits
from workers.intake.metrics import GatewayMetrics
from workers.intake.publisher import InMemoryPublisher
from workers.intake.settings import Unsubscribe

if TYPE_CHECKING:
    from starlette.applications import Starlette

NOW_MS = 1_772_358_600_000  # 2026-03-01T09:50:00Z


@dataclass
class Gateway:
    """The app with the fakes around it and a client in front of it."""

    limits: Limits = field(default_factory=Limits)
    cors_origins: tuple[str, ...] = ()
    links: Unsubscribe | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.key = b"k" * 32
        self.publisher = InMemoryPublisher()
        self.clock = FixedClock(NOW_MS)
        self.feed = InMemoryFeed()
        self.registry = CollectorRegistry()
        self.app: Starlette = create_gateway(
            publisher=self.publisher,
            write_keys={"wk": "web", "wk2": "server"},
            clock=self.clock,
            metrics=GatewayMetrics(self.registry),
            limits=self.limits,
            feed=self.feed,
            feed_key=self.key,
            unsubscribe=self.links or Unsubscribe(self.key, "Acme"),
            cors_origins=self.cors_origins,
            **self.more,
        )
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://gateway")

    async def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        """POST JSON (or bytes as they are) with the write key, unless ``auth`` says otherwise."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json", **options.pop("headers", {})}
        if options.pop("zip", False):
            content, headers["content-encoding"] = gzip.compress(content), "gzip"
        auth = options.pop("auth", ("wk", ""))
        return await self.client.post(path, content=content, headers=headers, auth=auth, **options)

    def events(self) -> list[dict[str, Any]]:
        """What reached product-events, decoded."""
        return [json.loads(record.value) for record in self.publisher.of("product-events")]

    def dead(self) -> list[dict[str, Any]]:
        """What reached dead-letters, decoded."""
        return [json.loads(record.value) for record in self.publisher.of("dead-letters")]

    def sample(self, name: str, **labels: str) -> float:
        """A metric's value; 0 where it has none."""
        return self.registry.get_sample_value(name, labels) or 0.0
