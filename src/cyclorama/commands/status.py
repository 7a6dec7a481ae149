"""``cyclorama status``: how far a run is, and why rows have failed."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def status(
    out: Annotated[Path, Parameter(name="DIR")], /, *, json: Annotated[bool, Parameter(negative=())] = False
) -> int:
    """Say how far a run of `cyclorama generate` is, how fast it was, and why rows have failed.

    Parameters
    ----------
    out
        Output folder of the run; it may be at work.
    json
        Print JSON.
    """
    from cyclorama.generation.results import format_status, read_status

    found = read_status(out)
    print(json_format.dumps(found, indent=1, ensure_ascii=False) if json else format_status(found))
    return 0
