"""The data card of a curated set: what is in it, how it was chosen, what it may be used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cyclorama.curate.records import Verdict
from cyclorama.curate.report import describe_long_tail
from cyclorama.curate.report_statistics import Statistics

_LARGEST = 20


def format_card(
    statistics: Statistics,
    title: str = "Curated set",
    source: str = "",
    recipe: str = "",
    digests: Mapping[str, str] | None = None,
    unseen: Mapping[str, int] | None = None,
) -> str:
    """The card as Markdown; the first line after the title is ``Licence:``, which programs read.

    ``recipe`` is the run's recipe as YAML, ``digests`` maps files of the set to their hashes, ``unseen``
    categories kept aside of which no image trains to their number.
    """
    counts = statistics.verdicts
    use = {"allowed": "allowed", "forbidden": "not allowed", "unstated": "not known: licences are missing"}
    lines = [
        f"# {_plain(title)}",
        "",
        f"Licence: {_describe_licence(statistics)}",
        "",
        f"Commercial use: {use[statistics.licence.commercial_use]}. Models trained on the set keep the mark.",
        "",
        "## What is in it",
        "",
        f"{statistics.kept:,} images of {statistics.products:,} products with category and product mask "
        f"(1 = product), chosen from {statistics.rows:,} rows"
        + (f" of `{source}`" if source else "")
        + f". {counts['repair']:,} images were repaired (text or logos on the background erased), "
        f"{counts['review']:,} wait for review, {counts['drop']:,} were dropped; people decided "
        f"{statistics.decided:,} rows.",
        "",
        *_format_table(
            ["split", "images", "products"],
            [[name or "(none)", f"{a:,}", f"{b:,}"] for name, (a, b) in statistics.splits.items()],
        ),
        "Splits are by product: no product is in two of them.",
    ]
    if unseen:
        names = ", ".join(f"{_plain(name)} ({count})" for name, count in sorted(unseen.items()))
        lines += ["", f"Kept aside, yet in no training image: {names}."]
    lines += ["", "## Categories", "", describe_long_tail(statistics), ""]
    largest = list(statistics.long_tail.counts.items())[:_LARGEST]
    lines += _format_table(["category", "images"], [[name, f"{count:,}"] for name, count in largest])
    languages = [[name or "not stated", f"{count:,}"] for name, count in statistics.languages.items()]
    if any(statistics.languages):
        lines += _format_table(["language of the names", "images"], languages)
    lines += ["## Licences", ""]
    lines += _format_table(
        ["licence", "images"],
        [[name or "not stated", f"{count:,}"] for name, count in statistics.licence.counts.items()],
    )
    lines += ["## How it was chosen", ""]
    lines += _format_table(
        ["rule", "rows", *(verdict.value for verdict in Verdict)],
        [
            [
                step.rule,
                f"{step.seen:,}",
                *(f"{step.verdicts.get(verdict.value, 0):,}" for verdict in Verdict),
            ]
            for step in statistics.funnel
        ],
    )
    lines += [
        "Rules are fallible: people and faces, text and logos may remain. The images' owners, the people "
        "they may show and the brands have rights of their own, which no licence mark settles.",
        "",
    ]
    if recipe:
        lines += ["## Recipe", "", "```yaml", recipe.rstrip(), "```", ""]
    if digests:
        lines += ["## Files", ""]
        lines += _format_table(
            ["file", "SHA-256"], [[name, value] for name, value in sorted(digests.items())]
        )
    return "\n".join(lines).rstrip() + "\n"


def _describe_licence(statistics: Statistics) -> str:
    licence = statistics.licence
    if licence.commercial_use == "forbidden":
        return f"non-commercial use only; holds images under {', '.join(licence.restricted)}"
    return licence.describe()


def _format_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    return [*lines, *("| " + " | ".join(_plain(cell) for cell in row) + " |" for row in rows), ""]


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
