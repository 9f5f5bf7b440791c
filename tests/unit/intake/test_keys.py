"""API keys: how they are made, configured, found, and never shown."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from workers.cli.main import cli
from workers.errors import Misconfigured
from workers.intake.keys import ApiKey, ApiKeys, digest_of, make_key, read_key, read_keys

KEY, CONFIGURED = make_key("crm", ["consent:write", "people:write"], b"r" * 32)
OTHER, ROLLED = make_key("crm", ["people:write"], b"s" * 32)


def test_a_key_is_found_by_itself_alone() -> None:
    """The configuration has its digest, from which nobody gets the key."""
    keys = ApiKeys([CONFIGURED])
    assert keys.find(KEY) == ApiKey("crm", frozenset({"consent:write", "people:write"}), digest_of(KEY))
    for guess in ("", "bk_", KEY[:-1], KEY + "A", OTHER, digest_of(KEY), KEY.upper(), "bk_" + "\ud800" * 43):
        assert keys.find(guess) is None
    assert ApiKeys().find(KEY) is None
    assert KEY not in CONFIGURED.line()


def test_a_line_says_the_same_when_it_is_read() -> None:
    """Scopes in the order of their declaration."""
    assert CONFIGURED.line() == f"crm=people:write+consent:write:{digest_of(KEY)}"
    assert read_key(CONFIGURED.line()) == CONFIGURED


def test_two_keys_of_one_name_are_good_while_they_are_rolled() -> None:
    """Each has its own scopes."""
    keys = ApiKeys([CONFIGURED, ROLLED])
    found = [keys.find(KEY), keys.find(OTHER)]
    assert found == [CONFIGURED, ROLLED]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (KEY, "NAME=SCOPE"),
        (f"crm={KEY}", "NAME=SCOPE"),
        (f"crm=people:write:{KEY}", "NAME=SCOPE"),
        (f"CRM=people:write:{digest_of(KEY)}", "NAME=SCOPE"),
        (f"crm=people:all:{digest_of(KEY)}", "no scope 'people:all'"),
        ("crm=people:write:abc", "NAME=SCOPE"),
    ],
)
def test_a_wrong_line_is_refused_and_not_repeated(line: str, why: str) -> None:
    """Somebody may have pasted the key itself."""
    with pytest.raises(Misconfigured, match=why) as refused:
        read_key(line)
    assert KEY not in str(refused.value)


def test_a_file_may_have_comments_and_names_its_wrong_line() -> None:
    """One key a line."""
    text = f"# ours\n\n{CONFIGURED.line()}\n{ROLLED.line()}\n"
    assert read_keys(text) == (CONFIGURED, ROLLED)
    with pytest.raises(Misconfigured, match=r"^line 5: "):
        read_keys(text + "nonsense\n")


def test_the_command_prints_a_key_that_its_line_knows() -> None:
    """The key alone on standard output, so that it can be piped into a vault."""
    done = CliRunner().invoke(cli, ["keys", "new", "shop", "--scopes", "objects:write, events:write"])
    line = next(one for one in done.stderr.splitlines() if one.startswith("shop="))
    found = ApiKeys([read_key(line)]).find(done.stdout.strip())
    assert found is not None
    assert found.scopes == {"objects:write", "events:write"}


def test_the_command_refuses_an_unknown_scope() -> None:
    """And names those that there are."""
    done = CliRunner().invoke(cli, ["keys", "new", "shop", "--scopes", "all"])
    assert (done.exit_code, "events:write" in done.stderr) == (2, True)


def test_keys_are_listed_without_what_lets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name, scopes, and enough of the digest to tell two keys apart."""
    monkeypatch.setenv("BRIMFUL_API_KEYS", f"{CONFIGURED.line()},{ROLLED.line()}")
    listed = CliRunner().invoke(cli, ["keys", "list"]).stdout
    assert listed.splitlines()[0] == f"crm  people:write,consent:write  {digest_of(KEY)[:12]}"
