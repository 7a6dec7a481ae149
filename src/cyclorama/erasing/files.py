"""LaMa's weights as files: the published big-lama in its several wrappings, and folders of our own.

Read are safetensors, pickled checkpoints (only with torch's ``weights_only``, which runs nothing in them) and
the TorchScript archive that is often passed on. The generator's sizes are read off the tensors.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cyclorama.bundled import find_bundled
from cyclorama.config import to_plain
from cyclorama.erasing.network import BIG_LAMA, LamaGenerator, LamaShape
from cyclorama.errors import ConfigError, ModelFormatError, ModelNotFoundError
from cyclorama.evaluation.feature_network import check_weights, read_card, save_weights

WEIGHTS_NAME = "lama.safetensors"
CARD_NAME = "lama.json"
ARCHITECTURE = "cyclorama-lama-1"
PUBLISHED_NAMES = ("big-lama.safetensors", "models/best.ckpt", "best.ckpt", "big-lama.pt")
"""What is looked for in a folder without card, in this order; ``models/best.ckpt`` is big-lama.zip's."""
_ANCHOR = "model.1.ffc.convl2l.weight"
"""Every LaMa generator has this tensor; what stands before it is the wrapping's prefix."""
_BOOKKEEPING = ("pytorch_lightning.", "lightning.", "omegaconf.", "numpy.")
"""Names of other packages that the published checkpoint mentions beside its tensors."""


@dataclass(frozen=True, eq=False)
class LamaModel:
    """A generator ready to fill holes, with what names it."""

    generator: LamaGenerator
    path: Path
    """The file of its weights."""
    weights_hash: str
    """16 hex digits over all tensors; equal for the same weights in any wrapping."""
    image_size: int
    """Side in pixels of the images it was trained on."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return next(self.generator.parameters()).device


class _Inert:
    """Stands in for a class of another package in a checkpoint's bookkeeping; holds nothing, does nothing."""

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def find_lama(path: str | Path | None = None) -> Path:
    """The weight file that ``path`` (a file, or a folder that holds one) names; None: the bundled one's.

    Raises ModelNotFoundError saying which files are known and where they go.
    """
    wanted = find_bundled("lama") if path is None else Path(path)
    if wanted.is_file():
        return wanted
    for name in (WEIGHTS_NAME, *PUBLISHED_NAMES):
        if (wanted / name).is_file():
            return wanted / name
    raise ModelNotFoundError(
        f"no LaMa weights at {wanted}. Either download the published big-lama once (big-lama.zip, about 360 "
        "MB, unpacks to big-lama/models/best.ckpt; big-lama.pt and safetensors copies work too), put it "
        "anywhere and name the file or its folder, or train a small one with `cyclorama lab train lama "
        f"--config recipes/baselines/lama-small.yaml` and name its model folder, which holds {WEIGHTS_NAME}"
    )


def load_lama(path: str | Path | None = None, device: str = "cpu") -> LamaModel:
    """The generator at ``path`` (see :func:`find_lama`) in float32, in evaluation mode.

    Raises ModelNotFoundError, ModelFormatError (unreadable, not LaMa, tensors missing or of other shapes).
    """
    file = find_lama(path)
    tensors = select_generator(read_tensors(file), file)
    card = _load_card(file)
    try:
        shape = LamaShape(**card["shape"]) if card is not None else infer_shape(tensors)
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise ModelFormatError(f"{file} has no layout of a LaMa generator: {error}") from error
    weights_hash = check_weights(file, tensors, card)
    generator = LamaGenerator(shape)
    load_generator(generator, tensors, file)
    generator.eval().requires_grad_(False)
    return LamaModel(generator.to(device), file, weights_hash, int((card or {}).get("image_size", 256)))


def is_prefilled(file: Path) -> bool:
    """Whether the weights at ``file`` are those of a prefilled generator (:class:`LamaShape`)."""
    card = _load_card(file)
    return card is not None and bool(card["shape"].get("prefilled", False))


def load_generator(generator: LamaGenerator, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Copy ``tensors`` (names ``model.…``) into ``generator``; all must be there, none left over.

    Only ``num_batches_tracked`` counts for nothing. Raises ModelFormatError.
    """
    wanted = {name: value.shape for name, value in state_of(generator).items()}
    wrong = sorted(set(wanted) ^ set(tensors)) or [n for n in sorted(wanted) if wanted[n] != tensors[n].shape]
    if wrong:
        raise ModelFormatError(
            f"{file}: {len(wrong)} tensors are missing, left over or of another shape, first {wrong[0]!r}; "
            f"the generator {to_plain(generator.shape)} has {len(wanted)} tensors"
        )
    generator.load_state_dict({name: value.float() for name, value in tensors.items()}, strict=False)


def state_of(generator: LamaGenerator) -> dict[str, Tensor]:
    """The tensors that make up ``generator``, by published name; without the batch counters."""
    values = generator.state_dict().items()
    return {name: value for name, value in values if not name.endswith("num_batches_tracked")}


def read_tensors(file: Path) -> dict[str, Tensor]:
    """All named tensors of ``file``, whatever wraps them. Raises ModelFormatError."""
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(file))
        values: Any = _read_script(file) if _is_script(file) else _read_pickled(file)
    except ModelFormatError:
        raise
    except Exception as error:  # damaged archives fail in many ways
        raise ModelFormatError(
            f"{file} cannot be read as weights ({type(error).__name__}: {str(error)[:200]}); get it again"
        ) from error
    for key in ("state_dict", "gen_state_dict", "generator"):
        if isinstance(values, Mapping) and isinstance(values.get(key), Mapping):
            values = values[key]
            break
    if not isinstance(values, Mapping):
        raise ModelFormatError(f"{file} holds a {type(values).__name__}, expected named tensors")
    return {str(name): value for name, value in values.items() if isinstance(value, Tensor)}


def _read_pickled(file: Path) -> Any:
    """The content of a pickled file, bookkeeping of the training framework replaced by nothing.

    The published checkpoint names classes of pytorch-lightning beside its tensors. They are neither imported
    nor needed; any other name is refused.
    """
    names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    foreign = [name for name in names if not name.startswith(_BOOKKEEPING)]
    if foreign:
        raise ModelFormatError(
            f"{file} asks for {foreign[0]!r} when it is opened; only tensors are read. Save its state dict "
            f"as safetensors where you trust it, and name that file"
        )
    with torch.serialization.safe_globals([(_Inert, name) for name in names]):
        return torch.load(file, map_location="cpu", weights_only=True)


def _is_script(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def _read_script(file: Path) -> dict[str, Tensor]:
    """The tensors of a TorchScript archive; its program is never called."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the published file is of this kind
        return dict(torch.jit.load(str(file), map_location="cpu").state_dict())  # type: ignore[no-untyped-call]


def select_generator(tensors: Mapping[str, Tensor], file: Path) -> dict[str, Tensor]:
    """The generator's tensors without the wrapping's prefix (``generator.`` and the like).

    Discriminator, loss networks and batch counters are left out. Raises ModelFormatError: no generator.
    """
    prefixes = sorted(name.removesuffix(_ANCHOR) for name in tensors if name.endswith(_ANCHOR))
    if not prefixes:
        first = next(iter(sorted(tensors)), "none")
        raise ModelFormatError(
            f"{file} holds no LaMa generator: none of its {len(tensors)} tensors ends in {_ANCHOR!r} "
            f"(first: {first!r}); name a LaMa checkpoint"
        )
    prefix = min(prefixes, key=len)
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix + "model.") and not name.endswith("num_batches_tracked")
    }


def infer_shape(tensors: Mapping[str, Tensor]) -> LamaShape:
    """The sizes of the generator that ``tensors`` (names ``model.…``) belong to.

    Raises KeyError, ValueError.
    """
    width = int(tensors[_ANCHOR].shape[0])
    down = {int(m[1]) for name in tensors if (m := re.fullmatch(r"model\.(\d+)\.ffc\.convl2l\.weight", name))}
    blocks = {int(m[1]) for name in tensors if (m := re.match(r"model\.(\d+)\.conv1\.ffc\.", name))}
    last = f"model.{max(down)}.ffc"
    local, wide = (int(tensors[f"{last}.{part}.weight"].shape[0]) for part in ("convl2l", "convl2g"))
    halvings, widest = len(down) - 1, local + wide
    return LamaShape(
        width=width,
        downsamplings=halvings,
        blocks=len(blocks),
        global_share=wide / widest,
        max_width=max(widest, BIG_LAMA.max_width) if widest == width * 2**halvings else widest,
    )


def save_lama(generator: LamaGenerator, folder: Path, notes: Mapping[str, Any] | None = None) -> str:
    """Write weights and card into ``folder``; the weights' hash.

    Convolutions are stored as float16 (half the size; what is loaded is what was stored), normalisations as
    float32. ``notes`` (training, image size) go into the card.
    """
    card = {"architecture": ARCHITECTURE, "shape": to_plain(generator.shape), **(notes or {})}
    return save_weights(state_of(generator), folder / WEIGHTS_NAME, card)


def _load_card(file: Path) -> dict[str, Any] | None:
    """The card beside a file of our own, None beside a published one. Raises ModelFormatError."""
    return read_card(file.parent / CARD_NAME, ARCHITECTURE) if file.name == WEIGHTS_NAME else None
