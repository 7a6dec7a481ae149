"""The reviewer's page: one HTML file with script and style inside; items and images are the server's."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.resources import files


def format_page(name: str) -> str:
    """The page for the review of the set called ``name``; it allows no other script, style or address."""
    script, style = _read("review_page.js"), _read("review_page.css")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    title = f"Review · {escape(name)}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="robots" content="noindex"><meta name="referrer" content="no-referrer">\n'
        f'<title>{title}</title><link rel="icon" href="data:,"><style>{style}</style></head>\n'
        f'<body><main id="review"><h1>{title}</h1><noscript><p>This page needs JavaScript.</p></noscript>'
        f"</main>\n<script>{script}</script></body></html>\n"
    )


def _read(name: str) -> str:
    return (files("cyclorama.curate") / name).read_text(encoding="utf-8")


def _digest(code: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
