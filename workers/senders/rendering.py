"""From a message to what leaves: its template, the values it may use, and what the channel is handed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.core.templates.compile import template_channel
from workers.core.templates.render import RenderedEmail, RenderFailed, render
from workers.core.templates.webhooks import WebhookTemplate
from workers.errors import Refused
from workers.senders.channels.base import OutgoingMessage
from workers.senders.ledger import End, is_too_old
from workers.senders.news import region_of

if TYPE_CHECKING:
    from schemas.wire import Message
    from workers.core.templates.compile import CompiledTemplate
    from workers.core.templates.render import RenderedContent
    from workers.senders.ledger import Pending
    from workers.senders.logic import SenderParts
    from workers.senders.people import People
    from workers.stream.view import View


class Rendering:
    """Renders the messages of one partition, whose rows tell the owners of accounts."""

    def __init__(self, parts: SenderParts, people: People) -> None:
        self._parts = parts
        self._people = people

    def outgoing(self, pending: Pending, view: View, now_ms: int) -> OutgoingMessage | End:
        """The message ready to leave, or why it ends here: stopping no other."""
        message = pending.message
        if is_too_old(pending, now_ms):
            return End("failed", "gave_up:waited")
        url = self._parts.unsubscribe_url(message)
        try:
            content = self.content(message, view, now_ms)
        except Refused as refused:
            return End("failed", refused.detail)
        if isinstance(content, RenderFailed):
            return not_rendered(content)
        if isinstance(content, RenderedEmail):
            content = self._parts.track(message, content, now_ms)
        return OutgoingMessage(
            id=message.id,
            channel=message.channel,
            person=message.person,
            content=content,
            to=message.to,
            journey=message.journey,
            step=message.step,
            tags=tuple(message.tags),
            unsubscribe_url=url,
            account=message.account,
            attempt=pending.attempt + 1,
            region=region_of(message),
            done=tuple(pending.done),
        )

    def template(self, message: Message) -> CompiledTemplate:
        """The template of a message, which the workspace may have lost meanwhile: raises ``Refused``."""
        template = self._parts.templates.get(message.template)
        if template is None or template_channel(template) != message.channel:
            raise Refused("invalid", f"the workspace has no {message.channel} template {message.template!r}")
        return template

    def content(self, message: Message, view: View, now_ms: int) -> RenderedContent | RenderFailed:
        """The message rendered; raises ``Refused`` where it has no template any more."""
        template = self.template(message)
        owner = None
        if isinstance(template, WebhookTemplate):
            owner = self._people.owner(template, message, view, now_ms)
        context = {
            "user": message.context.user,
            "account": message.context.account,
            "event": message.context.event,
            "awaited": message.context.awaited or {},
            "related": message.context.related or {},
            "evidence": message.context.evidence or {},
            "llm": message.context.llm or {},
            "message": {
                "id": message.id,
                "journey": message.journey,
                "step": message.step,
                "template": message.template,
                "channel": message.channel,
                "tags": message.tags,
                "variant": message.variant,
                "at": message.requested_at_ms,
                "person": message.person,
            },
            "owner": dict(owner.fields) if owner is not None else {},
            "unsubscribe_url": self._parts.unsubscribe_url(message) if message.channel == "email" else None,
            "preferences_url": self._parts.preferences_url(message) if message.channel == "email" else None,
        }
        return render(template, context)


def not_rendered(failed: RenderFailed) -> End:
    """The end of a message that has nothing to show: what the template says is skipped is no failure."""
    at_fault = failed.detail if failed.reason == "aborted" else failed.variable
    reason = f"{failed.reason}:{at_fault}" if at_fault else failed.reason
    return End("skipped" if failed.skips else "failed", reason)
