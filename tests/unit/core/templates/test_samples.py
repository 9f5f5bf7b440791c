"""A sample person has everything that a template reads."""

from __future__ import annotations

from schemas.workspace import TrackingPlan
from workers.core.templates.compile import TemplateSource, compile_templates
from workers.core.templates.mobile import RenderedSms
from workers.core.templates.render import render
from workers.core.templates.samples import sample_context

PLAN = TrackingPlan.model_validate(
    {
        "events": {
            "limit": {
                "properties": {
                    "kind": {"type": "string", "enum": ["seats", "calls"]},
                    "share": {"type": "number", "maximum": 0.5},
                    "left": {"type": "integer", "minimum": 100},
                    "rows": {
                        "type": "array",
                        "items": {"type": "object", "properties": {"name": {"type": "string"}}},
                    },
                    "ends": {"type": "date-time"},
                }
            }
        },
        "identify": {"traits": {"first_name": {"type": "string"}}},
    }
)
TEXT = (
    "{{ user.first_name }} {{ event.kind }} {{ event.share }} {{ event.left }} {{ event.ends | date }} "
    "{% for one in event.rows %}{{ one.name }},{% endfor %} {{ account.mrr | money }} {{ event.deal.url }} "
    "{{ user.favourite_colour }}"
)


def test_the_plan_says_what_values_look_like_and_names_the_rest() -> None:
    """So that a preview needs no file."""
    source = TemplateSource("t", "sms", {"text": TEXT})
    context = sample_context([source], ["limit"], PLAN)
    result = render(compile_templates([source])["t"], context)
    assert isinstance(result, RenderedSms)
    assert result.text == (
        "Ada seats 0.5 100 14 Mar 2026 Acme,Acme, $1,234.50 https://example.com/sample favourite colour"
    )


def test_what_the_plan_says_is_not_overwritten_by_a_guess() -> None:
    """Nor is a text made an object because a template reads into it."""
    source = TemplateSource("t", "sms", {"text": "{{ event.kind.name | default('x') }}"})
    assert sample_context([source], ["limit"], PLAN)["event"]["kind"] == "seats"
