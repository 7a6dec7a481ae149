"""The Python API of posters: a product's image and words in, finished posters out, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cyclorama.errors import SettingsError
from cyclorama.generate import BackgroundGenerator, load_product, load_reference, read_seed
from cyclorama.generation.recognise import recognise
from cyclorama.models.words import AUTO, CategoryRules
from cyclorama.posters.canvases import read_canvas
from cyclorama.posters.files import Poster
from cyclorama.posters.maker import PosterMaker, PosterSettings, edit
from cyclorama.posters.words import PosterBrand, check_wordings, read_brand, read_wordings
from cyclorama.processes import check_process

if TYPE_CHECKING:
    from cyclorama.data.fetch import UrlPolicy
    from cyclorama.generate import BackdropFile, Followed, One, StyleFile
    from cyclorama.imaging.inputs import ImageLike
    from cyclorama.layout.elements import Box

Texts: TypeAlias = Mapping[str, Any] | str | Path
"""Role to words, language to these, or a YAML file of either."""
Canvas: TypeAlias = str | tuple[int, int]
"""A channel's name, ``WxH``, or (height, width)."""


class PosterGenerator:
    """Makes posters of products with exact words.

    Make one with :meth:`from_pretrained`; calling it gives the posters. Threads may share one: calls wait for
    each other.
    """

    def __init__(self, backgrounds: BackgroundGenerator, brand: PosterBrand | None = None) -> None:
        """Posters on what ``backgrounds`` draws, in a brand's look."""
        self.backgrounds, self.brand = backgrounds, brand or PosterBrand()

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path | None = None,
        device: str = "auto",
        dtype: str = "auto",
        urls: UrlPolicy | Sequence[str] | bool | None = None,
        scenes: str | Path | None = None,
        brand: PosterBrand | str | Path | None = None,
    ) -> PosterGenerator:
        """A generator ready to be called; ``brand`` is a brand or its file, all else as
        :meth:`BackgroundGenerator.from_pretrained` takes it, which names the errors, too."""
        look = brand if isinstance(brand, PosterBrand) else read_brand(None if brand is None else Path(brand))
        return cls(BackgroundGenerator.from_pretrained(model, device, dtype, urls, scenes), look)

    def __call__(
        self,
        product: One,
        texts: Texts,
        *,
        size: Canvas | Sequence[Canvas] = "square",
        category: str = AUTO,
        mask: ImageLike | None = None,
        reference: Followed = None,
        style: StyleFile = None,
        backdrop: BackdropFile = None,
        seed: int = 0,
        **settings: Any,
    ) -> list[Poster]:
        """A poster per size and language, in the order given, the first size's first.

        product, category, mask, reference, style, backdrop: as one of a :class:`BackgroundGenerator`'s call.
        texts: ``{"headline": "Slow evenings", "price": "€ 59"}``, languages to such mappings, which then
        share one background, or a YAML file.
        size: square, portrait, story, banner, marketplace, a4, ``WxH``, (height, width), or a list of these.
        settings: fields of :class:`cyclorama.posters.maker.PosterSettings`, such as ``attempts=5``.

        Invariant: where the product is opaque, a poster is the product (resampled, if it was scaled). A
        poster that fails a check is marked: ``record.verdict.accepted`` is False.

        Raises ImageError, MaskError, UnknownCategoryError, SettingsError, LayoutError and typography's errors
        before anything is rendered, and ForkedProcessError.
        """
        check_process()
        wordings = (
            read_wordings(Path(texts)) if isinstance(texts, str | Path) else check_wordings(dict(texts))
        )
        canvases = [_read_size(one) for one in ([size] if _is_one(size) else size)]
        base, making, number = self.backgrounds, PosterSettings(**settings), read_seed(seed)
        maker = PosterMaker(base.pipeline, base.model, self.brand, making)
        look = base.load_style(style, reference, backdrop)
        registry = base.pipeline.registry
        known = CategoryRules().choose(category, registry)
        with base.lock:
            own = load_product(base.fetch(product), base.fetch(mask))
            followed = load_reference(base.fetch(reference))
            found = (known or recognise(own, registry)).category
            made = [
                maker.make(own, found, wordings, canvas, number, followed, style=look) for canvas in canvases
            ]
        return [poster for languages in made for poster in languages.values()]

    def edit(
        self,
        poster: Poster,
        texts: Mapping[str, str] | None = None,
        language: str | None = None,
        moves: Mapping[str, Box] | None = None,
    ) -> Poster:
        """``poster`` with some other words, another language, or texts moved; nothing is rendered.

        ``moves``: role to (left, top, right, bottom) in shares of the canvas. Raises SettingsError,
        LayoutError and typography's errors.
        """
        words = {**poster.record.texts, **(texts or {})}
        return edit(poster, self.brand, words, language, moves)


def _is_one(size: Any) -> bool:
    return isinstance(size, str) or (len(size) == 2 and all(isinstance(side, int) for side in size))


def _read_size(size: Any) -> tuple[int, int]:
    if isinstance(size, str):
        return read_canvas(size.lower())
    height, width = size
    if min(height, width) < 64:
        raise SettingsError(f"size {size} is too small for a poster; (height, width) from 64 pixels on")
    return int(height), int(width)
