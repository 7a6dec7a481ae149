"""What child processes do for the server (:mod:`cyclorama.service.children`).

What that takes is loaded in them alone, so the server, which only names these functions, starts quickly.
"""

from __future__ import annotations

from typing import Any


def prepare() -> None:
    """Make a new child ready; see :func:`cyclorama.service.cutouts.prepare`."""
    from cyclorama.service import cutouts

    cutouts.prepare()


def inspect(*values: Any) -> dict[str, Any]:
    """As :func:`cyclorama.service.photos.inspect`."""
    from cyclorama.service import photos

    return photos.inspect(*values)


def draw_thumbnail(*values: Any) -> None:
    """As :func:`cyclorama.service.photos.draw_thumbnail`."""
    from cyclorama.service import photos

    photos.draw_thumbnail(*values)


def cut_out(*values: Any) -> dict[str, Any]:
    """As :func:`cyclorama.service.cutouts.cut_out`."""
    from cyclorama.service import cutouts

    return cutouts.cut_out(*values)


def draft_poster(*values: Any) -> dict[str, Any]:
    """As :func:`cyclorama.service.posters.draft`."""
    from cyclorama.service import posters

    return posters.draft(*values)


def write_poster(*values: Any) -> Any:
    """As :func:`cyclorama.service.posters.write_changed`."""
    from cyclorama.service import posters

    return posters.write_changed(*values)


def write_poster_layers(*values: Any) -> Any:
    """As :func:`cyclorama.service.posters.write_layers`."""
    from cyclorama.service import posters

    return posters.write_layers(*values)
