"""A cluster that somebody else runs."""

from __future__ import annotations

from typing import ClassVar, Literal

from workers.errors import Misconfigured
from workers.local.kafka_ready import ASK_SECONDS, cluster_id


class ExternalKafka:
    """The cluster at ``bootstrap``, named by the setting ``variable``; only checked, never stopped."""

    kind: ClassVar[Literal["external"]] = "external"
    limitations: tuple[str, ...] = ()

    def __init__(self, bootstrap: str, variable: str) -> None:
        self.bootstrap = bootstrap
        self._variable = variable

    def start(self) -> None:
        """Check that the cluster answers.

        Raises:
            Misconfigured: no broker answered in time.
        """
        if cluster_id(self.bootstrap) is None:
            raise Misconfigured(
                f"{self._variable} names {self.bootstrap}, but no broker answered there within "
                f"{ASK_SECONDS:.0f} s: correct it, start that cluster, or unset it to use a local broker",
            )

    def stop(self) -> None:
        """Nothing: the cluster is not ours."""
