"""From a baseline's name to its handle; imports only the method that is asked for."""

from __future__ import annotations

from importlib import import_module

from cyclorama.errors import SettingsError
from cyclorama.lab.baselines.options import BASELINES, BaselineName, BaselineOptions
from cyclorama.lab.baselines.protocol import BaselineHandle


def open_baseline(
    name: BaselineName, model: str | None = None, options: BaselineOptions | None = None
) -> BaselineHandle:
    """The handle of baseline ``name`` with the weights of ``model`` (folder, hub id, None: the bundled ones).

    Raises SettingsError (no such baseline), ModelNotFoundError, ModelFormatError.
    """
    if name not in BASELINES:
        raise SettingsError(f"no baseline {name!r}; known: {', '.join(BASELINES)}")
    method = import_module(f"cyclorama.lab.baselines.{name.replace('-', '_')}")
    handle: BaselineHandle = method.open_method(model, options or BaselineOptions())
    return handle
