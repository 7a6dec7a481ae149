"""Model folders as files: finding one, checking its layout, naming its content. Loads no network."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cyclorama.errors import ModelFormatError, ModelNotFoundError

BASE_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
GENERATOR_PARTS = ("category_generator", "personality_generator")
WEIGHT_PATTERNS = ("*.json", "*.txt", "*.safetensors")
_MODEL_ENTRIES = {"model_index.json", "categories.json", *BASE_PARTS, *GENERATOR_PARTS}


def find_model(folder_or_hub_id: str | Path) -> Path:
    """The local folder of a model, fetched from the hub if ``folder_or_hub_id`` is no folder.

    Only JSON, text and safetensors are fetched. Raises ModelNotFoundError, ModelFormatError (no
    model_index.json, pickled weights only).
    """
    path = Path(folder_or_hub_id)
    if path.is_dir():
        _check_layout(path)
        return path
    text = str(folder_or_hub_id)
    if path.exists() or text.count("/") != 1 or text.startswith((".", "/", "~")):
        raise ModelNotFoundError(
            f"no model folder at {text!r}: give a folder in the diffusers layout or a hub id ('owner/name')"
        )
    from huggingface_hub import snapshot_download

    try:
        found = Path(snapshot_download(text, allow_patterns=list(WEIGHT_PATTERNS)))
    except Exception as error:  # the hub client's errors have no common base across its releases
        raise ModelNotFoundError(
            f"cannot fetch model {text!r} from the hub ({type(error).__name__}); check the id and the "
            f"network, or download it once and give the folder"
        ) from error
    _check_layout(found)
    return found


def _check_layout(folder: Path) -> None:
    if not (folder / "model_index.json").is_file():
        raise ModelFormatError(
            f"{folder} has no model_index.json; a model folder is in the diffusers layout "
            f"(unet/, vae/, text_encoder/, tokenizer/, scheduler/)"
        )
    for part in BASE_PARTS:
        if not (folder / part).is_dir():
            raise ModelFormatError(f"{folder} lacks the sub-folder {part}/ of the diffusers layout")
    for part in ("unet", "vae", "text_encoder"):
        if not any((folder / part).glob("*.safetensors")):
            pickled = [
                p.name for p in (folder / part).iterdir() if p.suffix in {".bin", ".pt", ".ckpt", ".pth"}
            ]
            reason = f"only pickled weights ({', '.join(pickled)})" if pickled else "no weights"
            raise ModelFormatError(
                f"{folder / part} holds {reason}; only safetensors are read. Convert the model once with "
                f"diffusers' save_pretrained(..., safe_serialization=True)"
            )


def compute_model_hash(folder: str | Path) -> str:
    """12 hex digits that name the model: SHA-256 over all weights, configs and the registry.

    Invariant: independent of where the folder lies and of file times.
    """
    folder = Path(folder)
    digest = hashlib.sha256()
    kept = {".safetensors", ".json", ".txt"}
    for path in sorted(p for p in folder.rglob("*") if p.suffix in kept):
        relative = path.relative_to(folder)
        if relative.parts[0] in _MODEL_ENTRIES:
            digest.update(relative.as_posix().encode() + b"\0")
            with path.open("rb") as stream:
                for block in iter(lambda: stream.read(1 << 20), b""):
                    digest.update(block)
    return digest.hexdigest()[:12]
