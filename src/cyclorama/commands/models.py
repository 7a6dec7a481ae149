"""``cyclorama models``: what is in a model, what makes it fast here, its categories, how it is bundled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

models = cyclopts.App(
    name="models",
    help="Show a model, say what makes it fast here, add a category, or make one ready to ship.",
)


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
def advise(*, model: str = "bundled", device: str = "auto", seconds: float = 30) -> None:
    """Time the options that make a learned model faster here and move its images a little.

    Parameters
    ----------
    model
        Model folder or hub id.
    device
        'auto', 'cpu', 'cuda', 'cuda:1', 'mps'.
    seconds
        About how long the timing takes, loading and compiling apart.
    """
    from cyclorama.errors import SettingsError, import_learned
    from cyclorama.generation.model import open_model

    if not seconds > 0:
        raise SettingsError(f"seconds is {seconds:g}; give more than 0")
    handle = open_model(model)
    if not handle.learned:
        raise SettingsError(f"model {model!r} is rendered; give --model bundled, a model folder or a hub id")
    where, dtype = handle.choose_device(device)
    timing = import_learned("cyclorama.models.advise")
    rows = timing.time_options(
        lambda other: handle.load(where, other or dtype), where.startswith("cpu"), seconds / 4
    )
    print(timing.format_timings(rows, model, device))


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
    """Make a trained model ready to ship: aliases, half precision, files below 16 MB, cards and licences.

    Parameters
    ----------
    model
        Trained model folder.
    out
        Folder to write.
    autoencoder
        Model folder whose decoder replaces the model's.
    aliases
        YAML: category name to an alias or a list of them.
    """
    from cyclorama.config import load_names
    from cyclorama.data.licences import mark_bundle
    from cyclorama.files import write_atomic
    from cyclorama.models.files import CARDS, find_model
    from cyclorama.models.pipeline import CycloramaPipeline

    names = load_names(aliases, "aliases")
    pipeline = CycloramaPipeline.from_pretrained(model)
    pipeline.bundle(autoencoder, names)
    pipeline.save_pretrained(out, max_shard_size="14MB")
    parts = [find_model(part) for part in (model, autoencoder) if part is not None]
    for name in CARDS:
        if (parts[0] / name).is_file():
            write_atomic(out / name, (parts[0] / name).read_bytes())
    mark_bundle(out, parts)
    files = sorted(out.rglob("*.safetensors"))
    total = sum(f.stat().st_size for f in files) / 2**20
    print(f"wrote {out}: {len(files)} weight files, {total:.1f} MiB")
