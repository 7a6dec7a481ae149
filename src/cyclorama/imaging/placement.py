"""The words for where a product stands on its canvas; light, since the command line's help reads it, too."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import Field, ValidationError, WrapValidator

from cyclorama.errors import SettingsError

Named = Literal[
    "keep", "center", "top", "bottom", "left", "right", "top-left", "top-right", "bottom-left", "bottom-right"
]
_Foot = Annotated[str, Field(pattern=r"^(0(\.\d{1,9})?|1(\.0{1,9})?),(0(\.\d{1,9})?|1(\.0{1,9})?)$")]


def _check(value: Any, check: Any) -> Any:
    try:
        return check(value)
    except ValidationError:
        raise SettingsError(
            f"must be {', '.join(get_args(Named))}, or X,Y (the middle of the product's foot as "
            f"shares of the canvas' sides from 0 to 1, such as 0.5,0.8), got {value!r}"
        ) from None


Placement: TypeAlias = Annotated[Named | _Foot, WrapValidator(_check)]
"""A name, or X,Y: where the middle of the product's lower edge is, shares of width and height, 0-1."""
