"""A webhook that an account's journey calls reads nothing of a person, who is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from workers.workspace.files import BadWorkspace, load_workspace

if TYPE_CHECKING:
    from pathlib import Path

HOOK = """provider: standard
connection: crm
body:
  text: Hello
  who: "{}"
"""


def refused(folder: Path, text: str, *, subject: str = "account", **more: str) -> list[str]:
    """What is refused of a webhook with this text that one journey calls; ``more`` are other webhooks."""
    journey = f"journey: limits\nsubject: {subject}\nentry: {{on: {{event: limit}}}}\n"
    if subject == "account":
        journey += "recipients: {role: admin}\n"
    files = {"journeys/limits": f"{journey}steps:\n  - send: {{webhook: lead}}\n"}
    files |= {"webhooks/lead": HOOK.format(text)}
    files |= {f"webhooks/{name.replace('__', '.')}": one for name, one in more.items()}
    for name, one in files.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(one)
    try:
        load_workspace(folder)
    except BadWorkspace as error:
        return list(map(str, error.problems))
    return []


@pytest.mark.parametrize(
    "text",
    [
        "{{ account.name }}, {{ event.kind }}",
        "{{ user.name | default('') }}",
        "{% if user.name %}{{ user.name }}{% endif %}",
        "{% block who %}{{ user.name }}{% fallback %}{{ account.name }}{% endblock %}",
        "{{ message.person }}",
    ],
)
def test_what_stops_no_call_is_taken(tmp_path: Path, text: str) -> None:
    """The account's values, and those of a person where a missing one is made good."""
    assert refused(tmp_path, text) == []


@pytest.mark.parametrize("text", ["{{ user.name }}", "{{ user['name'] }}", "{{ user.plan == 'pro' }}"])
def test_a_value_of_a_person_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    """With the journey that calls it and what to do; in a user's journey it is the person's."""
    (found,) = refused(tmp_path, text)
    assert found.startswith("webhooks/lead.yaml:5:1: body: 'limits' is a journey of accounts")
    assert "about no person: user." in found
    assert refused(tmp_path, text, subject="user") == []


def test_variants_and_fallbacks_are_called_as_well(tmp_path: Path) -> None:
    """Each with its own file; a fallback of the whole message makes nothing good."""
    german = HOOK.format("{{ user.name }}").partition("body")
    found = refused(tmp_path, "{{ account.name }}", lead__de=f"body{german[2]}")
    assert [one.partition(": ")[0] for one in found] == ["webhooks/lead.de.yaml:3:1"]
    (tmp_path / "webhooks" / "lead.de.yaml").unlink()
    plain = HOOK.format("{{ user.email }}")
    found = refused(tmp_path, '{{ user.name }}"\nfallback: "plain', plain=plain)
    assert [one.partition(":")[0] for one in found] == ["webhooks/lead.yaml", "webhooks/plain.yaml"]
