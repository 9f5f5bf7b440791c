"""Metrics of the workspace that a process runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Info

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from workers.versions.active import Active


class WorkspaceMetrics:
    """Which version runs, since when it is published, and what became of those that came."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._info = Info(
            "brimful_workspace", "The workspace version that this process runs.", registry=registry
        )
        self._published = Gauge(
            "brimful_workspace_published_timestamp_seconds",
            "When the version that this process runs was published, in seconds since 1970; 0 for a folder.",
            registry=registry,
        )
        self._changes = Counter(
            "brimful_workspace_changes",
            "Published versions that came while the process ran, by what became of them.",
            ("outcome",),
            registry=registry,
        )

    def active(self, active: Active) -> None:
        """Show the version that runs from now on."""
        self._info.info({"workspace": active.name, "version": active.version, "serial": str(active.serial)})
        self._published.set((active.published_at_ms or 0) / 1000)

    def changed(self, outcome: str) -> None:
        """Count a version that was ``taken`` or ``refused``."""
        self._changes.labels(outcome).inc()
