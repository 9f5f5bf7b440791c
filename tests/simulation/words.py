"""The words of random workspaces: what producers say, and what definitions ask about."""

from __future__ import annotations

COUNTED = ("limit", "used", "seen")
"""Events that windows count and entries begin with."""

ENDING = "upgraded"
"""The event of exits and goals."""

NEVER = "retired"
"""An event that nothing counts; it takes back what was seen."""

PLANS = ("free", "pro", "enterprise")
ROLES = ("owner", "admin", "member")
BANNERS = ("banner", "second_banner")
LETTERS = ("letter", "second_letter")
HOOK = "call"
"""The template of a webhook, and of its connection."""

TAGS = ("upsell", "onboarding", "receipt")
"""Tags of journeys; those with the last one are transactional, where anything is."""

TOPIC = "tips"
"""What some messages are about."""

PRODUCTS = ("p0", "p1", "p2")
ORDERS = ("o0", "o1", "o2")
ZONES = ("Europe/Oslo", "America/Los_Angeles", "Asia/Tokyo", "Australia/Lord_Howe")
"""Zones of people; the first sets its clock forward two weeks after runs begin."""

LISTS = {"user": "listed", "account": "listed_accounts"}
"""The static segment of each kind of subject."""

BUSY = {"user": "busy", "account": "busy_accounts"}
"""The dynamic segment of each kind of subject."""

SCORES = {"user": "use", "account": "team_use"}
"""The score of each kind of subject; its threshold is ``hot``."""

STAGE = "stage"
"""The trait that steps set."""

PLAN_LIMITS = {"limit": "plan_limit_reached", "upgraded": "plan_upgraded"}
"""What the events are called in the ready workspaces."""
