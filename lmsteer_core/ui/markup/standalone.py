"""Files a page saves: HTML that stands alone, and cells a spreadsheet takes for text."""

from __future__ import annotations

from markupsafe import Markup

from lmsteer_core.ui.colours import NEGATIVE, POSITIVE

_COLOURS = f":root {{ color-scheme: light dark; --plus: {POSITIVE}; --minus: {NEGATIVE}; }}"
_STYLE = """
body { font: 17px/1.6 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
.gen { white-space: pre-wrap; overflow-wrap: anywhere; }
.tok.plus { background: color-mix(in srgb, var(--plus) calc(var(--t) * 55%), transparent);
  border-bottom: 2px solid color-mix(in srgb, var(--plus) calc(var(--t) * 100%), transparent); }
.tok.minus { background: color-mix(in srgb, var(--minus) calc(var(--t) * 55%), transparent);
  border-bottom: 2px dashed color-mix(in srgb, var(--minus) calc(var(--t) * 100%), transparent); }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .2rem .7rem; text-align: left; }
tr { border-bottom: 1px solid #8886; }
.num { text-align: right; font-variant-numeric: tabular-nums; }
th small { display: block; font-weight: 400; }
.share { display: none; } .legend { font-size: .9rem; } svg { max-width: 100%; height: auto; }
.ribbon { display: grid; grid-template-columns: 10rem 1fr; gap: .6rem; align-items: center; }
.ribbon svg { width: 100%; height: 34px; } .ribbon line { stroke: #888; stroke-width: .04; }
.ribbon .plus { fill: var(--plus); } .ribbon .minus { fill: var(--minus); }
"""


def standalone(title: str, body: Markup) -> Markup:
    """Return a page that needs no other file, no script and no network."""
    return Markup(
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width"><meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        "<title>{title}</title><style>{style}</style></head><body><h1>{title}</h1>"
        "{body}</body></html>"
    ).format(title=title, style=Markup(_COLOURS + _STYLE), body=body)


def plain_cell(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
