"""Which engine does a run ask for?"""

from __future__ import annotations

from importlib import import_module
from typing import cast

from cyclorama.catalogue.protocols import Engine, EngineConfig
from cyclorama.errors import MissingDependencyError


def build_engine(config: EngineConfig) -> Engine:
    """The engine that ``config`` names. Raises MissingDependencyError if its package is not installed."""
    if config.engine == "in-process":
        from cyclorama.catalogue.engines.in_process import InProcessEngine

        return InProcessEngine()
    try:
        module = import_module(f"cyclorama.catalogue.engines.{config.engine}")
    except ImportError as error:
        raise MissingDependencyError(
            f"engine {config.engine!r} needs a further package: pip install 'cyclorama[{config.engine}]'"
        ) from error
    return cast(Engine, module.build_engine(config))
