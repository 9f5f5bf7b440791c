"""The pages that people see: one style, nothing loaded from elsewhere, no script."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from starlette.responses import HTMLResponse

STYLE = """
:root{color-scheme:light dark;--ink:#1c2024;--soft:#5a6169;--paper:#fff;--line:#d5d9de;--focus:#2f6fde}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1.05rem/1.5 system-ui,sans-serif;
overflow-wrap:anywhere}
main{max-width:36rem;margin:0 auto;padding:clamp(1.5rem,8vh,5rem) 1rem 3rem}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .75rem}
h2{font-size:1.15rem;margin:0 0 .25rem}
p{margin:0 0 1rem}
.soft{color:var(--soft)}
a{color:inherit}
fieldset{border:0;border-top:1px solid var(--line);margin:0;padding:.9rem 0;min-width:0;display:flex;
flex-wrap:wrap;gap:.35rem 1rem;align-items:center;justify-content:space-between}
legend{float:left;padding:0;flex:1 1 12rem;font-weight:600}
.choice{display:flex;gap:.5rem}
.choice label{display:flex;align-items:center;gap:.45rem;min-height:2.75rem;padding:0 .9rem;
border:1px solid var(--line);border-radius:.5rem;cursor:pointer;white-space:nowrap}
.choice label:has(:checked){border-color:var(--ink);background:color-mix(in srgb,var(--ink) 8%,transparent)}
input{accent-color:var(--ink);width:1.1rem;height:1.1rem;margin:0}
section{margin:1.75rem 0}
button{font:inherit;min-height:2.75rem;padding:.5rem 1.3rem;border:1px solid var(--ink);border-radius:.5rem;
background:var(--ink);color:var(--paper);cursor:pointer}
button.quiet{background:transparent;color:var(--ink)}
.buttons{display:flex;flex-wrap:wrap;gap:.75rem;border-top:1px solid var(--line);padding-top:1.25rem}
:focus-visible{outline:3px solid var(--focus);outline-offset:2px}
.choice label:focus-within{outline:3px solid var(--focus);outline-offset:2px}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#a2a9b1;--paper:#16181b;--line:#3a3f45;--focus:#8ab4f8}}
"""


def page(title: str, text: str, status: int = 200, more: str = "") -> HTMLResponse:
    """A page with a title and a sentence; ``more`` is html that its caller has escaped."""
    return render("plain.html", status, title=title, text=text, more=Markup(more))  # noqa: S704 - escaped by callers


def render(
    template: str,
    status: int = 200,
    headers: dict[str, str] | None = None,
    looks: str = STYLE,
    **values: Any,
) -> HTMLResponse:
    """A template of ours, escaped, with its style ``looks`` and the headers of every page."""
    html = _environment().get_template(template).render(style=Markup(looks), **values)  # noqa: S704 - a constant
    return HTMLResponse(html, status, {**page_headers(looks), **(headers or {})})


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(loader=PackageLoader("workers.intake"), autoescape=True, auto_reload=False)


@lru_cache(maxsize=2)
def page_headers(looks: str = STYLE) -> dict[str, str]:
    """Nothing may be loaded, framed, cached or told to others; the one style is allowed by its hash."""
    style = base64.b64encode(hashlib.sha256(looks.encode()).digest()).decode()
    return {
        "content-security-policy": (
            f"default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'"
        ),
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "x-robots-tag": "noindex, nofollow",
    }
