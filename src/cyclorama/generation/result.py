"""What does a caller get for one product: the image, the proof about the product, and how it was made?"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclorama.errors import OutputError, SettingsError
from cyclorama.files import write_atomic
from cyclorama.imaging.formats import SUFFIXES, EncodingConfig, encode_image
from cyclorama.types import ProductReport

if TYPE_CHECKING:
    import os

    from PIL import Image

    from cyclorama.types import Pixels

_FORMATS = {suffix: name for name, suffix in SUFFIXES.items()} | {".jpeg": "jpeg"}


@dataclass(frozen=True, eq=False)
class Generated:
    """One finished image and everything needed to make it again."""

    pixels: Pixels
    """uint8 (H, W, 3)."""
    background: Pixels
    """The generated image before compositing, at the same size."""
    report: ProductReport
    category: str
    identifier: str
    seed: int
    seconds: float
    settings: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    icc_profile: bytes | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    """Resolution, creator and rights of the photo."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """All it was made of, as plain values: seed, category, reference, model, settings."""

    @property
    def image(self) -> Image.Image:
        """The image as PIL's, RGB, with the input's colour profile in ``info["icc_profile"]``."""
        from PIL import Image

        image = Image.fromarray(self.pixels)
        if self.icc_profile is not None:
            image.info["icc_profile"] = self.icc_profile
        return image

    def save(self, path: str | os.PathLike[str], **encoding: Any) -> Path:
        """Write the image with its recipe and colour profile, and return where it is.

        The suffix of ``path`` (.png, .webp, .jpg, .avif) decides the format; ``~`` is the home folder,
        missing folders are made. ``encoding``: fields of :class:`cyclorama.EncodingConfig`, such as
        ``quality=90``. Raises SettingsError (suffix, encoding), OutputError (disk).
        """
        target = Path(path).expanduser()
        if target.is_dir():
            raise OutputError(f"{target} is a folder; give a file, such as {target / 'image.png'}")
        if target.suffix.lower() not in _FORMATS:
            raise SettingsError(
                f"{target} ends with {target.suffix or 'no suffix'}; use one of {', '.join(_FORMATS)}"
            )
        if encoding.setdefault("format", own := _FORMATS[target.suffix.lower()]) != own:
            raise SettingsError(f"{target} ends as {own}, format is {encoding['format']!r}; use one of both")
        write_atomic(target, self.encode(**encoding))
        return target

    def encode(self, **encoding: Any) -> bytes:
        """The bytes of the file that :meth:`save` writes; a PNG unless ``format`` says otherwise."""
        return encode_image(
            self.pixels, self.recipe, self.icc_profile, EncodingConfig(**encoding), self.metadata
        )

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        buffer = io.BytesIO()
        self.image.save(buffer, "PNG")
        return buffer.getvalue()
