"""A page of one's own machine: its HTML in one piece, and what its server gives and takes.

What serves it is :mod:`cyclorama.service.site`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """What is sent."""

    body: bytes
    kind: str
    """Its content type."""
    cache: str = "no-store"


@dataclass(frozen=True)
class Site:
    """Few things to read, and a few that may be done with JSON."""

    read: Callable[[str, Mapping[str, str]], Reply | None]
    """The reply to a path with its query; None: there is nothing."""
    actions: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    """Path to what is done with the JSON that is sent there, which gives the JSON of the answer."""


def build_page(
    package: str,
    file: str,
    title: str,
    name: str,
    noscript: str,
    *,
    root: str = 'lang="en"',
    images: str = "'self' data:",
    data: str = "",
) -> str:
    """An HTML page that allows no script and style but ``file``.js and ``file``.css of ``package``.

    ``name`` is the id of the element that the script fills, ``root`` the attributes of the page, ``images``
    where images may come from, ``data`` HTML before the script.
    """
    texts = {kind: (files(package) / f"{file}.{kind}").read_text(encoding="utf-8") for kind in ("js", "css")}
    hashes = {
        kind: "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for kind, text in texts.items()
    }
    policy = (
        f"default-src 'none'; script-src '{hashes['js']}'; style-src '{hashes['css']}'; "
        f"img-src {images}; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    title = escape(title)
    return (
        f'<!doctype html>\n<html {root}><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="robots" content="noindex"><meta name="referrer" content="no-referrer">\n'
        f'<title>{title}</title><link rel="icon" href="data:,"><style>{texts["css"]}</style></head>\n'
        f'<body><main id="{name}"><h1>{title}</h1><noscript><p>{escape(noscript)}</p></noscript></main>\n'
        f"{data}<script>{texts['js']}</script></body></html>\n"
    )
