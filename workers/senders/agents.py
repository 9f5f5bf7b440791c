"""All agents of one partition of the senders: messages to their channels, questions to language models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.senders.llm.logic import LlmBegin, LlmCall, LlmCame, LlmGone, LlmReady, is_ours
from workers.stream.logic import NoTasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.senders.llm.logic import LlmLogic
    from workers.senders.logic import SenderLogic
    from workers.stream.batch import TP, Batch
    from workers.stream.logic import Notify
    from workers.stream.store import PartitionStore, Timer
    from workers.stream.view import View

_EFFECTS = (LlmCall, LlmReady, LlmGone)
_NOTICES = (LlmCame, LlmBegin)


class Senders(NoTasks):
    """See :class:`workers.stream.logic.PartitionLogic`; ``questions`` is the full name of their topic."""

    def __init__(self, channels: SenderLogic, models: LlmLogic, questions: str) -> None:
        self._channels = channels
        self._models = models
        self._questions = questions

    @property
    def busy(self) -> bool:
        """Whether calls are under way whose results are worth waiting for."""
        return self._channels.busy or self._models.busy

    def has_room(self, topic: str) -> bool:
        """Whether more records of a topic may be taken in now."""
        return self._of(topic).has_room(topic)

    def prepare(self, batch: Batch, view: View, now_ms: int) -> tuple[Sequence[Any], Sequence[bytes]]:
        """Decode with the topic's agent."""
        return self._of(batch.tp.topic).prepare(batch, view, now_ms)

    def apply(self, tp: TP, items: Sequence[Any], view: View, now_ms: int) -> None:
        """Decide with the topic's agent."""
        self._of(tp.topic).apply(tp, items, view, now_ms)

    def timer_keys(self, timers: Sequence[Timer]) -> Sequence[bytes]:
        """Neither reads ahead."""
        del timers
        return ()

    def fire(self, timers: Sequence[Timer], view: View, now_ms: int) -> None:
        """Each timer to who set it."""
        ours = [timer for timer in timers if is_ours(timer)]
        theirs = [timer for timer in timers if not is_ours(timer)]
        if theirs:
            self._channels.fire(theirs, view, now_ms)
        if ours:
            self._models.fire(ours, view, now_ms)

    def put_off(self, timer: Timer) -> None:
        """The kernel's log and count are enough."""

    def finish(self, view: View, now_ms: int) -> None:
        """Nothing is to be summed up."""

    def notices(self, notices: Sequence[Any], view: View, now_ms: int) -> None:
        """Each notice to who is told of it."""
        ours = [one for one in notices if isinstance(one, _NOTICES)]
        theirs = [one for one in notices if not isinstance(one, _NOTICES)]
        if theirs:
            self._channels.notices(theirs, view, now_ms)
        if ours:
            self._models.notices(ours, view, now_ms)

    def opened(self, store: PartitionStore) -> Sequence[Any]:
        """What a former owner left undone."""
        return [*self._channels.opened(store), *self._models.opened(store)]

    async def act(self, effects: Sequence[Any], notify: Notify) -> None:
        """Each effect to who asked for it, in their order."""
        for effect in effects:
            agent = self._models if isinstance(effect, _EFFECTS) else self._channels
            await agent.act((effect,), notify)

    async def close(self) -> None:
        """Stop calls that still run."""
        await self._channels.close()
        await self._models.close()

    def _of(self, topic: str) -> SenderLogic | LlmLogic:
        return self._models if topic == self._questions else self._channels
