"""What is inside a model folder, read from its configs and weight headers without loading a weight."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from cyclorama.generation.model import open_model
from cyclorama.models.files import list_files, load_json, read_header

_SKIPPED = ("safety_checker", "feature_extractor")


def describe_model(model: str | Path | None = None) -> dict[str, Any]:
    """Components, image size, schedule, categories, licence and hash of a model as plain values.

    Raises ModelNotFoundError, ModelFormatError.
    """
    handle = open_model(model)
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
    """The licence a model's card or LICENSE file states, or ``not stated``."""
    for name in ("README.md", "MODEL_CARD.md", "LICENSE"):
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
