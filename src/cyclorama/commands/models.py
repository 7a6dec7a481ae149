"""``cyclorama models``: what is inside a model, how a category is added to one, how one is made to ship."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

models = cyclopts.App(name="models", help="Show a model, add a category to one, or make one ready to ship.")


@models.command
def show(
    *, model: str | None = None, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False
) -> None:
    """Components, sizes, categories, licence and hash of a model.

    Parameters
    ----------
    model
        Model folder or hub id (default: the bundled model).
    as_json
        Print JSON.
    """
    from cyclorama.generation.model import describe_model, format_model

    description = describe_model(model)
    print(json.dumps(description, indent=2, ensure_ascii=False) if as_json else format_model(description))


@models.command
def add_category(
    *,
    model: Path,
    name: str,
    alias: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=False)] = (),
) -> None:
    """Add a category with the next free identifier, leaving the others as they are.

    The networks do not know it: train on it, or expect what the base makes of the words.

    Parameters
    ----------
    model
        Model folder.
    name
        Name of the category, as in 'A photo of N'.
    alias
        Another name for it; may be repeated.
    """
    from cyclorama.errors import ModelNotFoundError
    from cyclorama.models.files import find_model
    from cyclorama.models.registry import load_registry, save_registry

    if not model.is_dir():
        raise ModelNotFoundError(
            f"no model folder at {str(model)!r}; categories are added to a folder on this machine"
        )
    find_model(model)
    registry = load_registry(model)
    category = registry.add(name, alias)
    save_registry(registry, model)
    named = f" (also {', '.join(category.aliases)})" if category.aliases else ""
    count = len(registry.names)
    print(f"added {category.name!r}{named} with identifier {category.identifier!r}; {count} categories")


@models.command
def bundle(*, model: Path, out: Path, autoencoder: Path | None = None, aliases: Path | None = None) -> None:
    """Make a trained model ready to ship: aliases, half precision, files below 16 MB.

    Parameters
    ----------
    model
        Trained model folder.
    out
        Folder to write.
    autoencoder
        Model folder whose decoder replaces the model's.
    aliases
        YAML: category name to a list of aliases.
    """
    from cyclorama.config import load_mapping
    from cyclorama.models.pipeline import CycloramaPipeline

    names = {} if aliases is None else load_mapping(aliases)
    pipeline = CycloramaPipeline.from_pretrained(model)
    pipeline.bundle(autoencoder, names)
    pipeline.save_pretrained(out, max_shard_size="14MB")
    files = sorted(out.rglob("*.safetensors"))
    total = sum(f.stat().st_size for f in files) / 2**20
    print(f"wrote {out}: {len(files)} weight files, {total:.1f} MiB")
