"""The commands of the lab."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

Flag = Annotated[bool, Parameter(negative="")]
"""A switch that can only be set."""
Quiet = Annotated[bool, Parameter(negative="", help="Print errors only.")]
