"""Model folders as files: finding one, which of its files count, what it holds. Loads no network.

One rule (:func:`choose_files`) says which files of a folder or hub repository are used. Fetching, checking,
describing, naming and loading all ask it, so they agree.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from cyclorama.diffusion.settings import SCHEDULERS
from cyclorama.errors import ModelFormatError, ModelNotFoundError, import_learned

BASE_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
GENERATOR_PARTS = ("category_generator", "personality_generator")
_WEIGHTS = re.compile(
    r"(?:diffusion_pytorch_model|model)(?:\.(?P<variant>\w+))?(?:-\d{5}-of-(?P<shards>\d{5}))?"
    r"(?:\.(?P<late>\w+))?\.safetensors"
)
_PREFERRED = ("", "fp16", "bf16")
_UNUSED = ("safety_checker",)
CARDS = ("README.md", "MODEL_CARD.md", "LICENSE")
_PICKLED = {".bin", ".pt", ".ckpt", ".pth"}
_HEADER_LIMIT = 100_000_000


def choose_files(names: Iterable[str]) -> list[str]:
    """Which of a model folder's files ("unet/config.json") are used: configs, texts, one variant of weights.

    Of several variants of a part's weights the plain one, else fp16, else bf16, else the first. Weights
    beside no config.json, such as a repository's single-file copies of itself, are not used.
    """
    folders: dict[str, list[str]] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        if len(path.parts) <= 2 and path.parts[0] not in _UNUSED:
            folders.setdefault(path.parent.as_posix(), []).append(path.name)
    chosen = []
    for folder, files in folders.items():
        texts = [f for f in files if f.endswith((".json", ".txt")) or (folder == "." and f in CARDS)]
        weights = choose_weights(files)[0] if "config.json" in files else []
        chosen += [file if folder == "." else f"{folder}/{file}" for file in (*texts, *weights)]
    return sorted(chosen)


def choose_weights(names: Iterable[str]) -> tuple[list[str], str | None]:
    """The weight files among one part's file ``names``, and the variant they are (None: plain).

    Raises ModelFormatError if one of several shards is missing.
    """
    variants: dict[str, dict[str, int]] = {}
    for name in sorted(names):
        found = _WEIGHTS.fullmatch(name)
        if found:
            variant = found["variant"] or found["late"] or ""
            variants.setdefault(variant, {})[name] = int(found["shards"] or 1)
    if not variants:
        return [], None
    best = next((variant for variant in _PREFERRED if variant in variants), min(variants))
    files = variants[best]
    shards = max(files.values())
    if len(files) < shards:
        raise ModelFormatError(f"{next(iter(files))}: only {len(files)} of {shards} shards are there")
    return list(files), best or None


def find_model(folder_or_hub_id: str | Path) -> Path:
    """The local folder of a model, fetched from the hub if ``folder_or_hub_id`` is no folder.

    Only the files that are used are fetched. Raises ModelNotFoundError, ModelFormatError (layout, kind of
    model, pickled, missing or damaged weights).
    """
    text = str(folder_or_hub_id)
    path = Path(text).expanduser()
    if text.strip() and path.is_dir():
        folder = path
    elif path.is_file():
        raise ModelFormatError(_explain_file(path))
    elif text.count("/") != 1 or text.startswith((".", "/", "~")):
        raise ModelNotFoundError(
            f"no model folder at {text!r}: give a folder in the diffusers layout or a hub id ('owner/name')"
        )
    else:
        folder = fetch_model(text)
    _check_layout(folder)
    return folder


def fetch_model(hub_id: str) -> Path:
    """The used files of a hub repository on this machine; without a network those fetched earlier.

    Raises ModelNotFoundError.
    """
    hub = import_learned("huggingface_hub")
    try:
        wanted = choose_files(hub.list_repo_files(hub_id))
        return Path(hub.snapshot_download(hub_id, allow_patterns=wanted))
    except ModelFormatError:
        raise
    except Exception as error:  # the hub client's errors have no common base across its releases
        with suppress(Exception):
            return Path(hub.snapshot_download(hub_id, local_files_only=True))
        raise ModelNotFoundError(
            f"cannot fetch model {hub_id!r} from the hub ({type(error).__name__}); check the id and the "
            f"network, or download it once and give the folder"
        ) from error


def list_files(folder: Path) -> list[Path]:
    """The files of a model folder that are used, sorted by name."""
    found = [path for pattern in ("*", "*/*") for path in folder.glob(pattern) if path.is_file()]
    return [folder / name for name in choose_files(p.relative_to(folder).as_posix() for p in found)]


def find_weights(part: Path) -> tuple[list[Path], str | None]:
    """The weight files that are used of the folder of one network, and their variant (None: plain)."""
    names, variant = choose_weights(p.name for p in part.glob("*.safetensors"))
    return [part / name for name in names], variant


def read_header(path: Path) -> dict[str, Any]:
    """The tensors of a safetensors file by name: dtype, shape and place, no values.

    Raises ModelFormatError for another or a cut-off file.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _HEADER_LIMIT:
                raise ValueError(f"its first bytes say a header of {length} bytes")
            header: dict[str, Any] = json.loads(file.read(length))
        header.pop("__metadata__", None)
        wanted = 8 + length + max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
        if path.stat().st_size < wanted:
            raise ValueError(f"cut off: {path.stat().st_size} of {wanted} bytes")
        return header
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ModelFormatError(
            f"{path} is not a whole safetensors file ({error}); download or save the model again"
        ) from error


def load_json(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``. Raises ModelFormatError."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFormatError(f"cannot read {path}: {error}") from error
    if not isinstance(values, dict):
        raise ModelFormatError(f"{path} must hold a JSON object")
    return values


def compute_model_hash(folder: str | Path) -> str:
    """12 hex digits that name the model: SHA-256 over the weights, configs and the registry that are used.

    Invariant: independent of where the folder lies, of file times and of what else lies in it.
    """
    folder, digest = Path(folder), hashlib.sha256()
    entries = {"model_index.json", "categories.json", *BASE_PARTS, *GENERATOR_PARTS}
    for path in list_files(folder):
        relative = path.relative_to(folder)
        if relative.parts[0] in entries:
            digest.update(relative.as_posix().encode() + b"\0")
            with path.open("rb") as stream:
                for block in iter(lambda: stream.read(1 << 20), b""):
                    digest.update(block)
    return digest.hexdigest()[:12]


def _explain_file(path: Path) -> str:
    """Why a single file is no model, and what to do."""
    if path.name == "model_index.json":
        return f"{path} is the index of a model; give its folder {path.parent}"
    if path.suffix == ".safetensors":
        convert = f"StableDiffusionPipeline.from_single_file({path.name!r}).save_pretrained(FOLDER)"
        return f"{path} is a single file of weights; convert it once with diffusers: {convert}; give FOLDER"
    if path.suffix in _PICKLED:
        return f"{path} holds pickled weights; only safetensors in a folder of the diffusers layout are read"
    return f"{path} is a file; give a folder in the diffusers layout or a hub id ('owner/name')"


def _check_layout(folder: Path) -> None:
    if not (folder / "model_index.json").is_file():
        raise ModelFormatError(
            f"{folder} has no model_index.json; a model folder is in the diffusers layout "
            f"(unet/, vae/, text_encoder/, tokenizer/, scheduler/)"
        )
    index = load_json(folder / "model_index.json")
    if {"transformer", "text_encoder_2", "prior"} & set(index):
        raise ModelFormatError(
            f"{folder} holds a {index.get('_class_name')}; a base is of Stable Diffusion 1.x or 2.x"
        )
    for part in BASE_PARTS:
        if not (folder / part).is_dir():
            raise ModelFormatError(f"{folder} lacks the sub-folder {part}/ of the diffusers layout")
    scheduler = load_json(folder / "scheduler" / "scheduler_config.json").get("_class_name", "DDIMScheduler")
    if scheduler not in SCHEDULERS:
        raise ModelFormatError(
            f"{folder} samples with {scheduler}, which is for another kind of model; a base is of Stable "
            f"Diffusion 1.x or 2.x"
        )
    for part in ("unet", "vae", "text_encoder", *GENERATOR_PARTS):
        if (folder / part).is_dir():
            _check_weights(folder / part)


def _check_weights(part: Path) -> None:
    files, _ = find_weights(part)
    for path in files:
        read_header(path)
    if not files:
        names = sorted(p.name for p in part.iterdir() if p.suffix in {*_PICKLED, ".safetensors", ".msgpack"})
        pickled = f"only {', '.join(names)}" if names else "no weights"
        raise ModelFormatError(
            f"{part} holds {pickled}; wanted are safetensors named as diffusers names them. Convert the "
            f"model once with diffusers' save_pretrained(..., safe_serialization=True)"
        )
    if not (part / "config.json").is_file():
        raise ModelFormatError(f"{part} has weights but no config.json; download or save the model again")
