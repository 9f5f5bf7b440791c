"""The names that Customer.io and Braze use in Liquid, and what they are here: the table of docs/liquid.md.

A path is looked up by its beginning, longest first; what follows stays. What is not here and is not one of
our own names is unknown, and refused when the workspace is linted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Segment: TypeAlias = "str | int | object"
"""A key, a position, or a path whose value is the key."""

BRAZE: Final = "_braze"
"""The root of Braze's ``${first_name}``, once the loader made a path of it."""

_SAME: Final = "first_name last_name city country date_of_birth gender language"

_PATHS: Final[Mapping[tuple[str, ...], tuple[str, ...]]] = {
    # Customer.io
    ("customer",): ("user",),
    ("customer", "id"): ("message", "person"),
    ("trigger",): ("event",),
    ("campaign", "name"): ("message", "journey"),
    ("campaign", "id"): ("message", "journey"),
    ("message", "name"): ("message", "template"),
    ("message", "journey_id"): ("message", "journey"),
    # Braze
    **{(BRAZE, name): ("user", name) for name in _SAME.split()},
    (BRAZE, "email_address"): ("user", "email"),
    (BRAZE, "phone_number"): ("user", "phone"),
    (BRAZE, "time_zone"): ("user", "timezone"),
    (BRAZE, "most_recent_locale"): ("user", "locale"),
    (BRAZE, "user_id"): ("message", "person"),
    (BRAZE, "set_user_to_unsubscribed_url"): ("unsubscribe_url",),
    (BRAZE, "unsubscribe_url"): ("unsubscribe_url",),
    ("custom_attribute",): ("user",),
    ("event_properties",): ("event",),
    ("canvas_entry_properties",): ("event",),
    ("context",): ("event",),
    ("api_trigger_properties",): ("event",),
    ("campaign", "message_name"): ("message", "template"),
    ("campaign", "dispatch_id"): ("message", "id"),
    ("campaign", "api_id"): ("message", "journey"),
    ("canvas", "name"): ("message", "journey"),
    ("canvas", "api_id"): ("message", "journey"),
    ("canvas", "variant_name"): ("message", "variant"),
    ("preference_center",): ("preferences_url",),
}

_PREFERENCES: Final = ("preferences_url",)

_INSTEAD: Final[Mapping[tuple[str, ...], str]] = {
    (
        "snippets",
    ): "put the snippet into partials/NAME.html (or .txt), and write {{ snippets.NAME }} and no more",
    (
        "content_blocks",
    ): "put the block into partials/NAME.html (or .txt), and write {{content_blocks.${NAME}}}",
    ("content",): "there are no layouts: write the whole message in this template",
    ("layout",): "there are no layouts: write the whole message in this template",
    (
        "connected",
    ): "nothing is fetched while a message is made: send the values with the event, or as traits",
    (
        "catalog_items",
    ): "catalogues are not looked up: send the items with the event, or as objects (related)",
    ("subscribed_state",): "consent is asked before a message is made: let the journey ask, by `consent`",
    ("most_recently_used_device",): "devices are not told to templates: send what is needed as a trait",
    ("targeted_device",): "devices are not told to templates: send what is needed as a trait",
    ("card",): "there are no content cards: an in_app template of the form `post` is nearest",
    ("sms",): "a reply reaches a journey by `wait_for: {replied: …}`, and no template",
    ("whats_app",): "there is no channel WhatsApp",
    ("workspace",): "there are no values of a whole workspace: write the text here",
    ("journey",): "a journey keeps no values of its own: set a trait with the step `update`, and read that",
    ("objects",): "objects are read by their relationship: {{ related.NAME }}, see docs/objects.md",
    ("event_name",): "the name of the event is not told to templates: write a template for each",
    ("event_timestamp",): "the time of an event is a property of it: send one, such as event.at",
    ("event_id",): "the id of the event is not told to templates: {{ message.id }} is unique",
    ("now",): "write it in quotes: {{ 'now' | date: '%Y' }}",
    ("today",): "write it in quotes: {{ 'today' | date: '%Y' }}",
    (BRAZE, "braze_id"): "there are no ids of Braze here: {{ message.person }} is who gets the message",
    (BRAZE, "random_bucket_number"): "chance belongs into the journey: a split or an experiment",
    (BRAZE, "set_user_to_subscribed_url"): "the page of choices does that: {{ preferences_url }}",
    (BRAZE, "set_user_to_opted_in_url"): "the page of choices does that: {{ preferences_url }}",
    ("campaign",): "of a campaign there is the journey's name: {{ message.journey }}",
    ("canvas",): "of a canvas there is the journey's name: {{ message.journey }}",
}
"""What has no counterpart, and what to do."""

TAG_VALUES: Final[Mapping[str, str]] = {
    "unsubscribe_url": "unsubscribe_url",
    "manage_subscription_preferences_url": "preferences_url",
}
"""Customer.io's tags that show a value."""

TAGS_INSTEAD: Final[Mapping[str, str]] = {
    "unsubscribe": 'write the link: <a href="{% unsubscribe_url %}">Unsubscribe</a>',
    "view_in_browser_url": "messages are not kept as pages: leave the link out",
    "view_in_browser": "messages are not kept as pages: leave the link out",
    "tracking_consent_url": "the page of choices holds that: {{ preferences_url }}",
    "subscription_topic_name": "write the topic's name",
    "cio_link": "write the address: links are tracked as the template's `tracking` says",
    "cio_link_id": "links are tracked as the template's `tracking` says: leave it out",
    "random": "chance belongs into the journey: a split or an experiment",
    "generate_uuid": "{{ message.id }} is unique for each message",
    "countdown": "pictures of clocks are not made: show the date with {{ … | date: '%B %-d' }}",
    "render_liquid": "values are shown as they are, and never run as templates",
    "snippet": "put the snippet into partials/NAME.html (or .txt), and write {% include 'NAME' %}",
    "connected_content": (
        "nothing is fetched while a message is made: send the values with the event, or as traits"
    ),
    "catalog_items": "catalogues are not looked up: send the items with the event, or as objects (related)",
    "catalog_selection_items": (
        "catalogues are not looked up: send the items with the event, or as objects (related)"
    ),
    "message_extras": "tags of the journey and the traits stand in each delivery: leave it out",
    "translation": "write a template for each language, or branch by {{ user.language }}",
    "render": "put the text into partials/NAME.html (or .txt), and write {% include 'NAME' %}",
    "include": "a partial is included by its name, written out, and nothing else: {% include 'footer' %}",
    "layout": "there are no layouts: write the whole message in this template",
    "tablerow": "write a table row in a `for` loop",
    "doc": "use {% comment %}",
}
"""Tags that have no counterpart, and what to do."""

FILTERS_INSTEAD: Final[Mapping[str, str]] = {
    "hmac_sha256": "a secret has no place in a template: sign where the event is sent, and send the result",
    "hmac_sha1_hex": "a secret has no place in a template: sign where the event is sent, and send the result",
    "hmac_sha512": "a secret has no place in a template: sign where the event is sent, and send the result",
    "cache_image": "pictures stay where they are: leave the filter out",
    "emojize": "write the emoji itself",
    "property_accessor": "read the key: value[key]",
    "json_parse": "send lists and mappings as such, not as texts",
    "parse_json": "send lists and mappings as such, not as texts",
    "markdown": "write html",
    "pluralize": "use plural: {{ n }} {{ n | plural: 'seat' }}",
}
"""Filters that have no counterpart, and what to do."""


class Unmapped(ValueError):
    """A name of another product that has no counterpart; the message says what to do."""


def our_path(path: list[Segment]) -> list[Segment]:
    """The path by our names.

    Raises:
        Unmapped: it is known and has no counterpart, or is one of Braze's own that is not known.
    """
    for length in (2, 1):
        start = path[:length]
        if len(start) < length or not all(isinstance(segment, str) for segment in start):
            continue
        key = tuple(str(segment) for segment in start)
        if key in _PATHS:
            target = _PATHS[key]
            return [*target] if target == _PREFERENCES else [*target, *path[length:]]
        if key in _INSTEAD:
            raise Unmapped(f"{spelled(path)}: {_INSTEAD[key]}")
    if path and path[0] == BRAZE:
        known = ", ".join(f"${{{key[1]}}}" for key in _PATHS if key[0] == BRAZE)
        raise Unmapped(f"{spelled(path)} is none of Braze's names that are known here: {known}")
    return path


def spelled(path: list[Segment]) -> str:
    """A path as its author wrote it, more or less."""
    if path and path[0] == BRAZE:
        return f"${{{path[1]}}}" if len(path) > 1 else "${}"
    return ".".join(str(segment) for segment in path)
