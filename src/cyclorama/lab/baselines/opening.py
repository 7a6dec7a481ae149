"""From a baseline's name to its handle; imports only the method that is asked for."""

from __future__ import annotations

from cyclorama.errors import SettingsError
from cyclorama.lab.baselines.protocol import BASELINES, BaselineHandle, BaselineName, BaselineOptions


def open_baseline(
    name: BaselineName, model: str | None = None, options: BaselineOptions | None = None
) -> BaselineHandle:
    """The handle of baseline ``name`` with the weights of ``model`` (folder, hub id, None: the bundled ones).

    Raises SettingsError (no such baseline), ModelNotFoundError, ModelFormatError.
    """
    options = options or BaselineOptions()
    if name == "inpaint":
        from cyclorama.lab.baselines.inpaint import open_inpaint

        return open_inpaint(model, options)
    if name == "controlnet":
        from cyclorama.lab.baselines.controlnet import open_controlnet

        return open_controlnet(model, options)
    if name == "blended":
        from cyclorama.lab.baselines.blended import open_blended

        return open_blended(model, options)
    if name == "paint-by-example":
        from cyclorama.lab.baselines.paint_by_example import open_paint_by_example

        return open_paint_by_example(model, options)
    if name == "lama":
        from cyclorama.lab.baselines.lama import open_lama

        return open_lama(model, options)
    raise SettingsError(f"no baseline {name!r}; known: {', '.join(BASELINES)}")
