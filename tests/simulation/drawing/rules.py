"""Random rules of the gate: caps, quiet hours, exclusive tags, and what one message says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.words import TAGS, TOPIC

if TYPE_CHECKING:
    from random import Random

    from tests.simulation.drawing.context import Draw, Plain

ON_CAP = ("skip", "defer", "drop", "exit")


def messages(random: Random) -> Plain:
    """The section ``messages``; often there is none."""
    found: Plain = {}
    if random.random() < 0.4:
        return found
    if random.random() < 0.6:
        found["caps"] = [_cap(random) for _ in range(random.randint(1, 3))]
    if random.random() < 0.5:
        found |= {"quiet_hours": _quiet_hours(random), "spread": random.choice(["1m", "30m", "2h"])}
    if random.random() < 0.5:
        found["exclusive"] = [_exclusive(random)]
    if random.random() < 0.3:
        exempt = random.sample(["consent", "caps", "quiet_hours", "exclusive"], 2)
        found["transactional"] = {"tags": [TAGS[-1]], "exempt_from": exempt}
    return found


def _cap(random: Random) -> Plain:
    """Of a person or an account; of all messages, a channel's or a tag's; rolling, or of the calendar."""
    cap: Plain = {
        "max": random.choice([1, 1, 2, 3]),
        "within": random.choice(["1h", "1d", "7d", "7d", "today", "this_week", "this_month"]),
        "on_cap": random.choice(ON_CAP),
    }
    if random.random() < 0.35:
        cap["of"] = "account"
    if random.random() < 0.4:
        cap |= random.choice([{"channel": "email"}, {"tag": TAGS[0]}, {"journey": ["journey_0"]}])
    return cap


def _quiet_hours(random: Random) -> list[Plain]:
    """Nights, lunch, a weekend; of all channels or one."""
    hours: Plain = random.choice(
        [{"from": "22:00", "to": "08:00"}, {"from": "12:00", "to": "13:30"}, {"from": "00:00", "to": "06:00"}]
    )
    found = [hours | random.choice([{}, {"channel": ["email", "in_app"]}])]
    if random.random() < 0.3:
        found.append({"from": "10:00", "to": "09:00", "days": ["sat", "sun"]})
    return found


def _exclusive(random: Random) -> Plain:
    """Journeys of one tag compete: for messages, or for people."""
    rule: Plain = {
        "tag": TAGS[0],
        "within": random.choice(["1d", "3d", "7d"]),
        "on_loss": random.choice(ON_CAP),
        "one_journey": random.random() < 0.5,
    }
    return rule | ({"collect": random.choice(["5m", "2h"])} if random.random() < 0.5 else {})


def window(random: Random) -> Plain:
    """Hours in which messages go out."""
    return random.choice(
        [{"from": "09:00", "to": "17:00", "days": "mon-fri"}, {"from": "18:00", "to": "02:00"}]
    )


def send_rules(draw: Draw) -> Plain:
    """What one message says of when it goes out, and what it is about; mostly nothing."""
    found: Plain = {}
    if draw.chance(0.1):
        found["topic"] = TOPIC
    if draw.chance(0.06):
        found["window"] = window(draw.random)
    if draw.chance(0.08):
        found["at"] = draw.random.choice(["09:00", "02:30", "best_hour"])
    if draw.chance(0.1):
        found["on_cap"] = draw.random.choice(ON_CAP)
    if draw.chance(0.1):
        found["max_hold"] = draw.random.choice(["1h", "1d"])
    return found
