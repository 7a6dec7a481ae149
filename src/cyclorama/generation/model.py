"""The model a run uses: found, named and described from its files, loaded only when there is something to
sample."""

from __future__ import annotations

import math
import socket
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclorama.bundled import find_bundled
from cyclorama.data.licences import load_set_licence
from cyclorama.errors import ModelError, ModelFormatError, SettingsError, import_learned
from cyclorama.generation.scenes import (
    SCENES,
    SceneModel,
    build_registry,
    compute_scenes_hash,
    get_scenes_folder,
)
from cyclorama.imaging.colour import to_srgb
from cyclorama.imaging.loading import load_image
from cyclorama.models.files import CARDS, list_files, load_json, read_header
from cyclorama.models.registry import CategoryRegistry, load_registry
from cyclorama.processes import count_threads
from cyclorama.scenes.backdrop import Backdrop
from cyclorama.scenes.brand import Brand, read_brand
from cyclorama.scenes.library import BUILT_IN, SceneLibrary, open_library

if TYPE_CHECKING:
    from cyclorama.models.pipeline import CycloramaPipeline

BUNDLED = "bundled"
DTYPES = ("auto", "float32", "bfloat16", "float16")
_LEARNED = "cyclorama.generation.learned"


@dataclass(frozen=True)
class ModelHandle:
    """Where a model is and what it is called in rows and images."""

    name: str
    """``bundled``, the folder's own name, or the hub id."""
    folder: Path
    hash: str
    """Short digest over weights and configs."""
    registry: CategoryRegistry
    library: SceneLibrary = field(default=BUILT_IN, kw_only=True)
    """The rendered sets' categories, a user's own with their files' text, which so gets to every machine."""

    @property
    def learned(self) -> bool:
        """Whether it has weights; the rendered sets have none."""
        return self.name != SCENES

    def choose_device(self, device: str = "auto", dtype: str = "auto") -> tuple[str, str]:
        """(device, dtype) with ``auto`` settled; scenes are rendered on the CPU.

        Raises SettingsError (unknown dtype, no such device), MissingDependencyError (no extra ``learned``).
        """
        if dtype not in DTYPES:
            raise SettingsError(f"dtype {dtype!r} is unknown; use one of {', '.join(DTYPES)}")
        if self.learned:
            chosen: tuple[str, str] = import_learned(_LEARNED).choose_device(device, dtype)
            return chosen
        if device not in ("auto", "cpu"):
            raise SettingsError(f"device {device!r}: scenes are rendered on the CPU; use 'auto' or 'cpu'")
        return "cpu", "float32"

    def load(self, device: str, dtype: str) -> CycloramaPipeline | SceneModel:
        """The pipeline on ``device``, or the scenes. Raises ModelFormatError, MissingDependencyError."""
        if not self.learned:
            return SceneModel(count_threads(), self.library)
        pipeline: CycloramaPipeline = import_learned(_LEARNED).load_pipeline(self.folder, device, dtype)
        return pipeline

    def read_style(self, path: Path) -> Brand:
        """The brand of a style file.

        Raises ConfigError (file, line, field), SettingsError (a learned model).
        """
        if self.learned:
            raise SettingsError(
                f"style file {path.name} goes with the rendered sets, not with model {self.name}; give a "
                "reference instead"
            )
        return read_brand(path, self.library)

    def read_backdrop(self, path: Path) -> Backdrop:
        """The plate of a file. Raises ImageError, SettingsError (a learned model, a transparent plate)."""
        if self.learned:
            raise SettingsError(
                f"backdrop {path.name} goes with the rendered sets, not with model {self.name}; give a "
                "reference instead"
            )
        found = path.stat() if path.is_file() else None
        return _read_plate(path, found and (found.st_size, found.st_mtime_ns))

    def find_here(self) -> ModelHandle:
        """The handle with the folder that its model has on this machine. Raises ModelError if it has not."""
        moves = self.name in (BUNDLED, SCENES)  # they are where the package is
        if self.folder.exists() and not moves:
            return self
        here = open_scenes(self.library) if self.library.own else open_model(self.name)
        if here.hash != self.hash:
            raise ModelError(
                f"model {self.name!r} is another one on machine {socket.gethostname()} ({here.hash}) than "
                f"where the run began ({self.hash}); install the same release, or share the model's folder"
            )
        return replace(self, folder=here.folder)


@lru_cache(4)
def _read_plate(path: Path, stamp: tuple[int, int] | None) -> Backdrop:
    """The plate in a file; many products share it."""
    loaded = load_image(path)
    if loaded.alpha is not None and loaded.alpha.min() < 1:
        raise SettingsError(f"backdrop {path.name} is transparent in places; flatten it first")
    return Backdrop(to_srgb(loaded.pixels, loaded.icc_profile))


def open_scenes(library: SceneLibrary = BUILT_IN) -> ModelHandle:
    """The handle of the rendered sets. Raises ModelFormatError (a word for two categories)."""
    registry = build_registry(library)
    digest = compute_scenes_hash(library)
    return ModelHandle(SCENES, get_scenes_folder(), digest, registry, library=library)


def open_model(model: str | Path | None = None, scenes: Path | None = None) -> ModelHandle:
    """The handle of ``scenes`` or None (the rendered sets), of ``bundled`` (the learned model of the
    extra ``learned``), of a model folder or a hub id.

    ``scenes``: a folder of own category files, beside and over the built-in ones.
    Raises ModelNotFoundError, ModelFormatError, MissingDependencyError (no extra ``learned``), ConfigError (a
    fault in a category file), SettingsError (``scenes`` for a learned model).
    """
    if model is None or model == SCENES:
        return open_scenes(open_library(scenes))
    if scenes is not None:
        raise SettingsError(f"--scenes goes with the rendered sets, not with model {model}; leave one out")
    from cyclorama.models.files import compute_model_hash, find_model

    folder = find_model(find_bundled("model") if model == BUNDLED else model)
    if model == BUNDLED:
        name = BUNDLED
    elif Path(model).expanduser().is_dir():
        name = folder.resolve().name
    else:
        name = str(model)
    return ModelHandle(name, folder, compute_model_hash(folder), load_registry(folder))


_SKIPPED = ("safety_checker", "feature_extractor")


def describe_model(model: str | Path | None = None) -> dict[str, Any]:
    """Components, image size, schedule, categories, licence and hash of a model as plain values.

    Raises ModelNotFoundError, ModelFormatError, MissingDependencyError.
    """
    handle = open_model(BUNDLED if model is None else model)
    if not handle.learned:
        raise ModelFormatError("the rendered sets have no weights to show; name a learned model")
    index = load_json(handle.folder / "model_index.json")
    files = list_files(handle.folder)
    components = {
        name: _describe_component(handle.folder / name, files, str(entry[1]))
        for name, entry in index.items()
        if isinstance(entry, list) and len(entry) == 2 and entry[1] is not None and name not in _SKIPPED
    }
    scheduler = load_json(handle.folder / "scheduler" / "scheduler_config.json")
    unet = load_json(handle.folder / "unet" / "config.json")
    vae = load_json(handle.folder / "vae" / "config.json")
    scale = int(vae["patch"]) if "patch" in vae else 2 ** (len(vae.get("block_out_channels", [0])) - 1)
    return {
        "name": handle.name,
        "hash": handle.hash,
        "components": components,
        "parameters": sum(c["parameters"] for c in components.values()),
        "bytes": sum(c["bytes"] for c in components.values()),
        "image_size": int(unet.get("sample_size") or 0) * scale,
        "scheduler": scheduler.get("_class_name"),
        "prediction_type": scheduler.get("prediction_type", "epsilon"),
        "categories": [
            {"name": c.name, "identifier": c.identifier, "aliases": list(c.aliases)}
            for c in sorted(handle.registry.categories, key=lambda c: c.id)
        ],
        "licence": find_licence(handle.folder),
    }


def find_licence(folder: Path) -> str:
    """The licence a model's card or LICENSE file states, or ``not stated``.

    Where its ``licence.json`` forbids commercial use, that is said, whatever else they state.
    """
    known = load_set_licence(folder)
    if known is not None and known.commercial_use == "forbidden":
        return known.describe()
    for name in CARDS:
        path = folder / name
        if not path.is_file():
            continue
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
        if name == "LICENSE":
            return next((line for line in lines if line), "not stated")
        for line in lines:
            key, separator, value = line.partition(":")
            if separator and key.strip("*# ").lower() in ("license", "licence") and value.strip("* "):
                return value.strip("* ")
    return "not stated"


def format_model(description: dict[str, Any]) -> str:
    """``description`` as a plain text table."""
    lines = [
        f"model        {description['name']}",
        f"hash         {description['hash']}",
        f"image size   {description['image_size']} px",
        f"scheduler    {description['scheduler']}, predicts {description['prediction_type']}",
        f"licence      {description['licence']}",
        "",
        f"{'component':<24}{'class':<28}{'parameters':>13}{'MB':>9}  dtype",
    ]
    for name, part in description["components"].items():
        count = f"{part['parameters']:,}" if part["parameters"] else "–"
        lines.append(
            f"{name:<24}{part['class']:<28}{count:>13}{part['bytes'] / 1e6:>9.2f}  {part['dtype'] or '–'}"
        )
    total = f"{description['parameters']:,}"
    lines += [f"{'total':<52}{total:>13}{description['bytes'] / 1e6:>9.2f}", ""]
    lines.append(f"{'category':<24}{'identifier':<14}aliases")
    for category in description["categories"]:
        lines.append(
            f"{category['name']:<24}{category['identifier']:<14}{', '.join(category['aliases']) or '–'}"
        )
    if not description["categories"]:
        lines.append("none; add one with `cyclorama models add-category`")
    return "\n".join(lines)


def _describe_component(folder: Path, files: list[Path], class_name: str) -> dict[str, Any]:
    files = [path for path in files if path.parent == folder]
    tensors = [t for path in files if path.suffix == ".safetensors" for t in read_header(path).values()]
    return {
        "class": class_name,
        "parameters": sum(math.prod(tensor["shape"]) for tensor in tensors),
        "bytes": sum(path.stat().st_size for path in files),
        "dtype": "/".join(sorted({str(tensor["dtype"]) for tensor in tensors})) or None,
    }
