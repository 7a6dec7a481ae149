"""A baseline dressed as a model of ours, so that planning, sampling and recording are those of `generate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyclorama.generation.model import ModelHandle
from cyclorama.generation.settings import GenerateConfig

if TYPE_CHECKING:
    from cyclorama.lab.baselines.protocol import BaselineHandle


@dataclass(frozen=True)
class BaselineModel(ModelHandle):
    """A baseline as a model that a generation run can load; its hash tells methods apart."""

    baseline: BaselineHandle | None = None

    def load(self, device: str, dtype: str) -> Any:
        """The baseline on ``device``."""
        assert self.baseline is not None
        return self.baseline.load(device, dtype)


class BaselineSettings(GenerateConfig):
    """Settings that state the method and its options wherever settings are stated."""

    method: tuple[tuple[str, Any], ...] = ()

    def describe(self) -> dict[str, Any]:
        """The settings that change an image, the method's among them."""
        unused = ("reference_strength", "category_strength")
        return dict(self.method) | {n: v for n, v in super().describe().items() if n not in unused}


def build_model_handle(handle: BaselineHandle) -> ModelHandle:
    """The baseline as a model handle."""
    name = f"{handle.method}:{handle.name}"
    return BaselineModel(name, handle.folder, handle.hash, handle.registry, handle)


def add_settings(settings: GenerateConfig, handle: BaselineHandle) -> GenerateConfig:
    """``settings`` with the method and its options."""
    own = {"method": handle.method} | handle.settings
    common = {name: getattr(settings, name) for name in GenerateConfig.model_fields}
    return BaselineSettings(**common, method=tuple(own.items()))
