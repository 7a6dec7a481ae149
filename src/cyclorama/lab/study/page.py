"""The raters' page: one HTML file with its script, its style and, if wanted, its images inside."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

from cyclorama.lab.study.plan import LETTERS, QUESTIONS
from cyclorama.lab.study.study import Study

SERVER_MARK = 'data-server=""'
"""What a server replaces to have answers sent to itself."""


def format_page(
    study: Study, addresses: Mapping[str, str], sizes: Sequence[tuple[int, int]], wording: Mapping[str, str]
) -> str:
    """The page of ``study``: ``addresses`` of the images by random name, ``sizes`` (width, height) by pair.

    Invariant: it holds no method, product, reference or category name, no seed, and no mark of repeats.
    """
    raters = {
        code: [
            {
                "task": task.name,
                "reference": study.pairs[task.pair].reference_image,
                "images": task.images,
                "size": sizes[task.pair],
            }
            for task in tasks
        ]
        for code, tasks in study.raters.items()
    }
    values = {
        "study": study.name,
        "questions": QUESTIONS,
        "letters": LETTERS,
        "wording": wording,
        "raters": raters,
        "images": dict(sorted(addresses.items())),
    }
    script, style = _read("page.js"), _read("page.css")
    data = json.dumps(values, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src 'self' data: file:; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    title = escape(wording["title"])
    return (
        f'<!doctype html>\n<html lang="{escape(wording["language"])}" dir="{wording["direction"]}" '
        f'{SERVER_MARK}><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="robots" content="noindex"><meta name="referrer" content="no-referrer">\n'
        f'<title>{title}</title><link rel="icon" href="data:,"><style>{style}</style></head>\n'
        f'<body><main id="study"><h1>{title}</h1><noscript><p>{escape(wording["no_script"])}</p></noscript>'
        f'</main>\n<script type="application/json" id="data">{data}</script>\n'
        f"<script>{script}</script></body></html>\n"
    )


def _read(name: str) -> str:
    return (files("cyclorama.lab.study") / name).read_text(encoding="utf-8")


def _digest(code: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
