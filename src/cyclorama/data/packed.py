"""A set decoded once into memory-mapped arrays, so that training does not decode at every step.

A packed folder holds ``pixels.npy`` uint8 (N, H, W, 3), ``masks.npy`` uint8 (N, H, W, 255 = product),
``meta.jsonl`` (a line per image, failures included) and, written last, ``done.json`` with the hash of
source and geometry. A folder without ``done.json`` was interrupted and is built anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cyclorama.data.examples import Example, ExampleConfig, Examples, ItemInfo
from cyclorama.data.records import RejectedRow
from cyclorama.errors import DataError, OutputError
from cyclorama.files import write_atomic

VERSION = 1
"""Of the layout and of the decoding; part of the hash."""


def compute_pack_hash(examples: Examples) -> str:
    """A short hash of the source's contents and the geometry; flips do not count, as they are not stored."""
    config = examples.config
    text = repr((VERSION, examples.compute_fingerprint(), config.height, config.width, config.fit))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class PackedExamples(Examples):
    """Examples read from a packed folder; gives what the source it was built from gives.

    Invariant: pixels equal the source's bit for bit, and so do the masks (their levels are k / 255).
    """

    def __init__(self, folder: str | Path, config: ExampleConfig) -> None:
        """Open a finished folder. Raises DataError: not finished, damaged, or of another size."""
        self.folder = Path(folder)
        self.config = config
        self.done = _load_done(self.folder)
        meta = self.folder / "meta.jsonl"
        try:
            lines = [json.loads(line) for line in meta.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError) as error:
            raise DataError(f"{meta} is damaged: {error}; delete the folder to pack anew") from error
        whole = [line for line in lines if line["reason"] is None]
        self.infos = [ItemInfo(**line["info"]) for line in whole]
        self._rows = [int(line["row"]) for line in whole]
        self.rejected = [
            RejectedRow(line["row"], line["reason"], line["info"]) for line in lines if line["reason"]
        ]
        shape = (len(lines), config.height, config.width)
        self._pixels = _map_array(self.folder / "pixels.npy", (*shape, 3))
        self._masks = _map_array(self.folder / "masks.npy", shape)

    @classmethod
    def prepare(
        cls,
        examples: Examples,
        folder: str | Path,
        on_error: Literal["raise", "skip"] = "raise",
        on_change: Literal["rebuild", "raise"] = "rebuild",
    ) -> PackedExamples:
        """The packed form of ``examples`` in ``folder``, built if it is not there or no longer fits.

        ``on_change`` says what to do with a finished folder made from other contents or another geometry.
        With several processes, let one prepare and the others open. Progress is shown while packing.

        Raises DataError (a bad image with ``raise``; a changed source with ``on_change="raise"``),
        OutputError (not enough room, disk full).
        """
        folder = Path(folder)
        wanted = compute_pack_hash(examples)
        try:
            found = _load_done(folder).get("hash")
        except DataError:
            found = None
        if found == wanted:
            return cls(folder, examples.config)
        if found is not None and on_change == "raise":
            raise DataError(
                f"{folder} was packed from other contents or another size (hash {found}, now {wanted}); "
                "delete it, or allow rebuilding"
            )
        try:
            _pack(examples, folder, wanted, on_error)
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"cannot pack into {folder}: {error.strerror or error}") from error
        return cls(folder, examples.config)

    def __getitem__(self, index: int) -> Example:
        row, info = self._rows[index], self.infos[index]
        mask = self._masks[row].astype(np.float32) / np.float32(255)
        return Example(np.array(self._pixels[row]), mask, info.category, info.brand, info.id)

    def compute_fingerprint(self) -> str:
        """The pack's hash."""
        return str(self.done["hash"])


def _pack(examples: Examples, folder: Path, pack_hash: str, on_error: Literal["raise", "skip"]) -> None:
    from rich.console import Console
    from rich.progress import track

    count, (height, width) = len(examples), examples.config.size
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "done.json").unlink(missing_ok=True)
    needed = count * height * width * 4
    arrays = [folder / "pixels.npy", folder / "masks.npy"]
    for path in arrays:
        path.unlink(missing_ok=True)  # another process may still have the old one mapped
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"packing {count} images of {height} x {width} needs {needed / 1e9:.1f} GB, {folder} has "
            f"{free / 1e9:.1f} GB free; choose another folder or train without packing"
        )
    shape = (count, height, width)
    pixels, masks = (
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=size)
        for path, size in zip(arrays, ((*shape, 3), shape), strict=True)
    )
    failures = 0
    with (folder / "meta.jsonl").open("w", encoding="utf-8") as stream:
        console = Console(stderr=True)
        for row in track(range(count), "packing", console=console, disable=not console.is_terminal):
            reason = None
            try:
                example = examples[row]
                pixels[row] = example.pixels
                masks[row] = np.rint(example.product_mask * 255).astype(np.uint8)
            except DataError as error:
                if on_error == "raise":
                    raise
                reason, failures = str(error), failures + 1
            line = {"row": row, "info": asdict(examples.infos[row]), "reason": reason}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    if failures == count:
        raise DataError(
            f"none of the {count} images could be read; the reasons are in {folder / 'meta.jsonl'}"
        )
    pixels.flush()
    masks.flush()
    done = {"hash": pack_hash, "images": count - failures, "failures": failures}
    done |= {"height": height, "width": width}
    write_atomic(folder / "done.json", (json.dumps(done, indent=1) + "\n").encode())


def _map_array(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}; delete the folder to have it packed anew") from error
    if array.shape != shape or array.dtype != np.uint8:
        raise DataError(
            f"{path} holds {array.dtype} {array.shape}, expected uint8 {shape}; pack for this size"
        )
    return array  # type: ignore[no-any-return]


def _load_done(folder: Path) -> dict[str, Any]:
    try:
        done = json.loads((folder / "done.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} holds no finished packed set (done.json): {error}") from error
    if not isinstance(done, dict) or "hash" not in done:
        raise DataError(f"{folder / 'done.json'} has no hash; delete the folder to have it packed anew")
    return done
