"""The in-app feeds: what each person's feed holds now, and who waits for it to change.

A feed has a cursor, an opaque text that differs whenever the feed was written. Readers remember the cursor
they saw and wait until it is another one; nothing is missed between reading and waiting, because a watch
begins before the read.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

NO_FEED = "none"
"""The cursor of a person who has no feed yet."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What a person's feed holds. ``items`` are as in the feeds topic, expired ones included."""

    cursor: str
    items: tuple[Mapping[str, Any], ...]

    def live(self, now_ms: int) -> list[Mapping[str, Any]]:
        """The items that are not expired at ``now_ms``."""
        return [item for item in self.items if now_ms < (item.get("expires_at_ms") or now_ms + 1)]


EMPTY = Feed(NO_FEED, ())


class Watch:
    """Wakes when the watched person's feed was written since the last wait."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        """End the present wait, or the next one at once. Call it in the event loop only."""
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """True as soon as the feed was written, False after ``seconds`` of silence."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Watchers:
    """Who waits for whose feed. Lives in one event loop."""

    def __init__(self) -> None:
        self._watches: dict[str, set[Watch]] = {}

    def count(self, person: str) -> int:
        """How many watch this person's feed now."""
        return len(self._watches.get(person, ()))

    def watched(self, people: Iterable[str]) -> list[str]:
        """Those of ``people`` whom somebody watches. Safe to call from another thread."""
        watches = self._watches
        return [person for person in people if person in watches]

    def wake(self, people: Iterable[str]) -> None:
        """Wake all who watch one of ``people``."""
        for person in people:
            for watch in self._watches.get(person, ()):
                watch.wake()

    def wake_all(self) -> None:
        """Wake everybody, as at shutdown."""
        self.wake(tuple(self._watches))

    @contextmanager
    def watch(self, person: str) -> Iterator[Watch]:
        """Watch a person's feed while the context lasts."""
        watch = Watch()
        self._watches.setdefault(person, set()).add(watch)
        try:
            yield watch
        finally:
            others = self._watches[person]
            others.discard(watch)
            if not others:
                del self._watches[person]


class FeedReader(Protocol):
    """Reads feeds and tells when they change."""

    def ready(self) -> bool:
        """Whether every feed written before the start is known by now."""
        ...

    def read(self, person: str) -> Feed:
        """The person's newest feed; :data:`EMPTY` where there is none."""
        ...

    def watch(self, person: str) -> AbstractContextManager[Watch]:
        """Watch the person's feed while the context lasts."""
        ...

    def watching(self, person: str) -> int:
        """How many watches of this person are open."""
        ...

    def wake_all(self) -> None:
        """End every wait, so that streams can notice a shutdown."""
        ...


class InMemoryFeed:
    """Feeds kept in a dict: for tests and for a gateway without Kafka."""

    def __init__(self) -> None:
        self._feeds: dict[str, Feed] = {}
        self._watchers = Watchers()
        self._written = 0

    def write(self, person: str, items: Iterable[Mapping[str, Any]] | None) -> None:
        """Replace a person's feed; None removes it. Call it in the event loop."""
        self._written += 1
        if items is None:
            self._feeds.pop(person, None)
        else:
            self._feeds[person] = Feed(str(self._written), tuple(items))
        self._watchers.wake((person,))

    def ready(self) -> bool:
        """Always: nothing has to be read first."""
        return True

    def read(self, person: str) -> Feed:
        """See :class:`FeedReader`."""
        return self._feeds.get(person, EMPTY)

    def watch(self, person: str) -> AbstractContextManager[Watch]:
        """See :class:`FeedReader`."""
        return self._watchers.watch(person)

    def watching(self, person: str) -> int:
        """See :class:`FeedReader`."""
        return self._watchers.count(person)

    def wake_all(self) -> None:
        """See :class:`FeedReader`."""
        self._watchers.wake_all()
