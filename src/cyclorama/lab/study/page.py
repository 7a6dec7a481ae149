"""The raters' page: one HTML file with its script, its style and, if wanted, its images inside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape

from cyclorama.lab.study.plan import LETTERS, QUESTIONS
from cyclorama.lab.study.study import Study
from cyclorama.local_server import build_page

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
    data = json.dumps(values, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return build_page(
        "cyclorama.lab.study",
        "page",
        wording["title"],
        "study",
        wording["no_script"],
        root=f'lang="{escape(wording["language"])}" dir="{wording["direction"]}" {SERVER_MARK}',
        images="'self' data: file:",
        data=f'<script type="application/json" id="data">{data}</script>\n',
    )
