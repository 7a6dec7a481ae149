"""``cyclorama models``: what is inside a model, and how a category is added to one."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command ``models`` with ``show``, ``add-category`` and ``bundle``."""
    parser = subparsers.add_parser("models", help="show a model, or add a category to one")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="components, sizes, categories, licence and hash of a model")
    show.add_argument(
        "--model", metavar="DIR_OR_ID", help="model folder or hub id (default: the bundled model)"
    )
    show.add_argument("--json", action="store_true", help="print JSON")
    add = actions.add_parser(
        "add-category",
        help="add a category to a model folder, leaving the others as they are",
        description="Add a category with the next free identifier. The networks do not know it: train on it, "
        "or expect what the base makes of the words.",
    )
    add.add_argument("--model", metavar="DIR", type=Path, required=True, help="model folder")
    add.add_argument("--name", metavar="N", required=True, help="name of the category, as in 'A photo of N'")
    add.add_argument(
        "--alias", metavar="N", action="append", default=[], help="another name for it (repeatable)"
    )
    bundle = actions.add_parser(
        "bundle",
        help="make a trained model ready to ship: aliases, half precision, files below 16 MB",
    )
    bundle.add_argument("--model", metavar="DIR", type=Path, required=True, help="trained model folder")
    bundle.add_argument(
        "--autoencoder", metavar="DIR", type=Path, help="model folder whose decoder replaces the model's"
    )
    bundle.add_argument(
        "--aliases", metavar="FILE", type=Path, help="YAML: category name to a list of aliases"
    )
    bundle.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder to write")


def run(args: argparse.Namespace) -> int:
    """Do what ``args.action`` says and return the exit code."""
    if args.action == "show":
        _show(args.model, args.json)
    elif args.action == "bundle":
        _bundle(args.model, args.autoencoder, args.aliases, args.out)
    else:
        _add_category(args.model, args.name, args.alias)
    return 0


def _show(model: str | None, as_json: bool) -> None:
    from cyclorama.generation.describe import describe_model, format_model

    description = describe_model(model)
    if as_json:
        import json

        print(json.dumps(description, indent=2, ensure_ascii=False))
    else:
        print(format_model(description))


def _add_category(folder: Path, name: str, aliases: list[str]) -> None:
    from cyclorama.errors import ModelNotFoundError
    from cyclorama.models.files import find_model
    from cyclorama.models.registry import load_registry, save_registry

    if not folder.is_dir():
        raise ModelNotFoundError(
            f"no model folder at {str(folder)!r}; categories are added to a folder on this machine"
        )
    find_model(folder)
    registry = load_registry(folder)
    category = registry.add(name, aliases)
    save_registry(registry, folder)
    named = f" (also {', '.join(category.aliases)})" if category.aliases else ""
    print(
        f"added {category.name!r}{named} with identifier {category.identifier!r}"
        f"; {len(registry.names)} categories"
    )


def _bundle(model: Path, autoencoder: Path | None, aliases: Path | None, out: Path) -> None:
    from cyclorama.config import load_mapping
    from cyclorama.models.bundle import SHARD_SIZE, bundle_model

    names = {} if aliases is None else load_mapping(aliases)
    bundle_model(model, autoencoder, names).save_pretrained(out, SHARD_SIZE)
    files = sorted(out.rglob("*.safetensors"))
    total = sum(f.stat().st_size for f in files) / 2**20
    print(f"wrote {out}: {len(files)} weight files, {total:.1f} MiB")
