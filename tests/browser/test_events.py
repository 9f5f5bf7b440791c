"""Product events from the page to the topic: none lost when the network is, none sent twice for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.browser.kit import until
from workers.intake.publisher import KafkaUnavailable

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.kit import Site


def start(page: Page, site: Site, path: str = "/app/start") -> None:
    """Open the page and start the SDK for events alone."""
    page.goto(site.url + path)
    page.evaluate("(host) => brimful.init({host, writeKey: 'wk'})", site.url)


def of(site: Site, kind: str) -> list[dict[str, Any]]:
    """The kept events of one type."""
    return [event for event in site.events() if event["type"] == kind]


def test_all_calls_reach_the_topic_as_segment_spells_them(page: Page, site: Site) -> None:
    """With one anonymous id before and after the log-in, the account, and the page they come from."""
    start(page, site, "/app/start?x=1")
    page.evaluate("""() => {
      brimful.page("Start", {section: "home"});
      brimful.identify("ada", {plan: "free"});
      brimful.group("acme", {seats: 5});
      brimful.track("Report opened", {id: 7});
    }""")
    until(lambda: len(site.events()) == 4)
    looked, identified, grouped, tracked = site.events()
    assert looked["name"] == "Start"
    assert looked["properties"]["path"] == "/app/start"
    assert (looked["properties"]["section"], looked["properties"]["search"]) == ("home", "?x=1")
    assert "userId" not in looked
    assert (identified["userId"], identified["traits"]) == ("ada", {"plan": "free"})
    assert looked["anonymousId"] == identified["anonymousId"]
    assert (grouped["groupId"], grouped["traits"]) == ("acme", {"seats": 5})
    assert (tracked["event"], tracked["properties"]) == ("Report opened", {"id": 7})
    assert tracked["context"]["groupId"] == "acme"
    assert tracked["context"]["page"]["path"] == "/app/start"
    assert tracked["context"]["timezone"]


def test_events_of_a_moment_go_in_one_request_that_asks_for_no_permission(page: Page, site: Site) -> None:
    """As text, so that another origin needs no preflight."""
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request) if "/v1/batch" in request.url else None)
    start(page, site)
    page.evaluate("() => { for (let n = 0; n < 30; n++) brimful.track('tick', {n}); }")
    until(lambda: asked and len(site.events()) == 30, page)
    assert len(asked) == 1
    assert asked[0].headers["content-type"] == "text/plain"
    assert [event["properties"]["n"] for event in site.events()] == list(range(30))


def test_while_kafka_is_away_events_wait_and_then_all_come(page: Page, site: Site) -> None:
    """Each once, in order."""
    site.publisher.fail_with = KafkaUnavailable("away", 0.1)
    start(page, site)
    page.evaluate("() => { for (let n = 0; n < 5; n++) brimful.track('tick', {n}); }")
    until(lambda: site.publisher.refused > 0)
    assert site.events() == []
    site.publisher.fail_with = None
    until(lambda: len(site.events()) == 5)
    assert [event["properties"]["n"] for event in site.events()] == list(range(5))


def test_events_of_a_page_that_is_left_are_kept(page: Page, site: Site) -> None:
    """Handed to the browser as the page goes."""
    start(page, site)
    page.evaluate("() => { brimful.track('last words'); location.href = '/app/other'; }")
    page.wait_for_url("**/app/other")  # Chromium may never close a page that is on its way to another
    until(lambda: [event for event in of(site, "track") if event["event"] == "last words"])


def test_what_could_not_be_sent_comes_with_the_next_visit(page: Page, site: Site) -> None:
    """Offline, then closed: the events are in the browser's storage, at most 500, the newest."""
    start(page, site)
    page.context.set_offline(True)
    page.evaluate("() => { Navigator.prototype.sendBeacon = () => false; }")
    page.evaluate("() => { for (let n = 0; n < 510; n++) brimful.track('tick', {n}); }")
    page.wait_for_timeout(400)
    page.goto("about:blank")
    page.context.set_offline(False)
    page.add_init_script("const real = Date.now; Date.now = () => real() + 60_000")
    start(page, site)
    until(lambda: len(site.events()) == 500)
    assert [event["properties"]["n"] for event in site.events()] == list(range(10, 510))


def test_what_is_refused_is_not_sent_again(page: Page, site: Site) -> None:
    """A wrong key, an event that is too large: said on the console, and the others go on."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    start(page, site)
    page.evaluate("() => { brimful.track('huge', {x: 'x'.repeat(40_000)}); brimful.track('fine'); }")
    until(lambda: len(site.events()) == 1, page)
    assert any("larger than 32 KiB" in one for one in said)
    page.evaluate("(host) => brimful.init({host, writeKey: 'wrong'})", site.url)
    page.evaluate("brimful.track('lost')")
    until(lambda: [one for one in said if "refused events (401)" in one], page)
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.includes('queue'))") == []


def test_after_a_log_out_it_is_somebody_else(page: Page, site: Site) -> None:
    """Another anonymous id, no user, no account."""
    start(page, site)
    page.evaluate("() => { brimful.identify('ada'); brimful.group('acme'); brimful.reset(); }")
    page.evaluate("(host) => { brimful.init({host, writeKey: 'wk'}); brimful.track('hello'); }", site.url)
    until(lambda: of(site, "track"))
    (hello,) = of(site, "track")
    (ada,) = of(site, "identify")
    assert "userId" not in hello
    assert hello["anonymousId"] != ada["anonymousId"]
    assert "groupId" not in hello["context"]


def test_calls_from_before_the_file_was_there_are_made_up_for(page: Page, site: Site) -> None:
    """As the snippet in the documentation does."""
    page.add_init_script(
        "window.brimful = [['init', {host: location.origin, writeKey: 'wk'}], ['track', 'early', {}]]"
    )
    page.goto(f"{site.url}/app/start")
    until(lambda: of(site, "track"))
    assert of(site, "track")[0]["event"] == "early"


def test_no_mistake_of_the_caller_breaks_the_page(page: Page, site: Site) -> None:
    """Calls without init, without storage, with nonsense: a word on the console and no exception."""
    page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('no'); }})")
    page.goto(f"{site.url}/app/start")
    page.evaluate("brimful.track('early')")
    page.evaluate("brimful.init({host: 'http://['})")
    loop = "const a = {}; a.a = a;"
    page.evaluate(
        f"(host) => {{ {loop} brimful.init({{host, writeKey: 'wk'}}); brimful.track('x', a); }}", site.url
    )
    page.evaluate("brimful.track('kept in memory')")
    until(lambda: [event for event in of(site, "track") if event["event"] == "kept in memory"])


def test_it_can_be_imported_as_a_module(page: Page, site: Site) -> None:
    """Where there is no window.brimful."""
    page.goto(f"{site.url}/app/start")
    script = """async (host) => {
      const { default: other, brimful } = await import("/sdk/v1/brimful.mjs");
      other.init({host, writeKey: "wk"});
      other.track("from a module");
      return other === brimful && other !== window.brimful;
    }"""
    assert page.evaluate(script, site.url) is True
    until(lambda: of(site, "track"))
