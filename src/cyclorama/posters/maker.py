"""One product to its posters: plan, place, background, words, checks, and again with a remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from cyclorama.config import Settings
from cyclorama.errors import CycloramaError, SettingsError
from cyclorama.generation.engine import sample_images
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.scenes import SceneModel
from cyclorama.generation.settings import GenerateConfig
from cyclorama.generation.styles import FittedStyle
from cyclorama.generation.task import Model, Task
from cyclorama.imaging.layout import Rectangle, find_box, place_in_box
from cyclorama.imaging.product import Product, Reference
from cyclorama.layout.elements import Box, PosterLayout, compute_area, compute_hull, find_stacks, intersect
from cyclorama.models.registry import Category
from cyclorama.posters.checks import UNEVEN, check_poster
from cyclorama.posters.drawing import draw_poster
from cyclorama.posters.files import Poster
from cyclorama.posters.planning import Planner, PlanRequest, plan_poster
from cyclorama.posters.record import PosterRecord
from cyclorama.posters.remedies import Attempt, choose_next
from cyclorama.posters.words import PosterBrand, Wording, check_wordings, choose_fonts, settle_words
from cyclorama.scenes.model import draw_style
from cyclorama.scenes.surface import Style
from cyclorama.seeding import compute_seed
from cyclorama.types import Size


class PosterSettings(Settings):
    """How posters are made."""

    error_type: ClassVar[type[CycloramaError]] = SettingsError
    plans: Annotated[int, Field(ge=1, le=12)] = 4
    """Layouts planned for each canvas; the best is drawn, the others are what is tried next."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Backgrounds drawn at most until one poster passes all checks."""
    planner: Planner = "rules"
    """rules (grammar and energy), or a baseline: fixed, random."""
    preset: Literal["quality", "balanced", "fast"] = "fast"
    """As of generate: quality, balanced or fast."""


@dataclass(frozen=True, eq=False)
class PosterMaker:
    """Makes posters with one model and one brand."""

    model: Model
    handle: ModelHandle
    brand: PosterBrand = field(default_factory=PosterBrand)
    settings: PosterSettings = field(default_factory=PosterSettings)

    def make(
        self,
        product: Product,
        category: Category,
        wordings: Mapping[str, Wording],
        canvas: Size,
        seed: int = 0,
        reference: Reference | None = None,
        locks: Mapping[str, Box] | None = None,
        style: FittedStyle | None = None,
    ) -> dict[str, Poster]:
        """Language to poster, all on one background; the first to pass all checks with no plate under
        its words and no edge across them, else the best; what fails a check is marked.

        Without a ``style`` or ``reference`` the set has the brand's style. Seeds of backgrounds derive from
        ``seed``, the product's name and the attempt, so canvases of one product share them. Raises
        SettingsError, LayoutError and typography's errors before anything is rendered.
        """
        wordings = settle_words(wordings, self.brand)
        logo = read_logo(self.brand)
        brand = choose_fonts(self.brand, category.name)
        request = PlanRequest(product, canvas, wordings, brand, logo, locks)
        plans = plan_poster(request, self.settings.planner, self.settings.plans, seed)
        if style is None and reference is None:
            style = self._load_style()
        best: dict[str, Poster] = {}
        tried = Attempt(plans[0], style)
        for attempt in range(self.settings.attempts):
            layout = tried.layout
            own = compute_seed(seed, product.name, f"poster {attempt}")
            standing, scale = place(product, layout)
            calm = find_calm(layout)
            task = Task(standing, category, own, reference, tried.style, product.name, calm=calm)
            [made] = sample_images(
                self.model, [task], GenerateConfig(preset=self.settings.preset, shared_sets=False)
            )
            if isinstance(made, Exception):
                raise made
            others = tuple(plan for plan in plans if plan.family != layout.family)
            posters = {}
            for language, wording in wordings.items():
                drawn = draw_poster(made.background, standing, layout, wording, language, brand, logo)
                verdict = check_poster(drawn, standing, layout, wording)
                record = PosterRecord(
                    name=product.name,
                    category=category.name,
                    language=language,
                    texts=wording,
                    layout=layout,
                    plans=others,
                    seed=own,
                    attempt=attempt + 1,
                    model=self.handle.name,
                    model_hash=self.handle.hash,
                    preset=self.settings.preset,
                    palette=tried.palette,
                    brand=brand.model_dump(mode="json"),
                    proofs=drawn.proofs,
                    verdict=verdict,
                    exact=drawn.report.exact,
                    scale=scale,
                )
                posters[language] = Poster(drawn, standing, record)
            if not best or _rate(posters) < _rate(best):
                best = posters
            if not any(_rate(posters)):
                break
            faults = {fault for one in posters.values() for fault in one.record.verdict.faults}
            following = compute_seed(seed, product.name, f"poster {attempt + 1}")
            free = None if reference or style else self._draw_style(category, following)
            tried = choose_next(tried, faults, plans, standing, free)
        return best

    def _draw_style(self, category: Category, seed: int) -> Style | None:
        """The style that a rendered set of ``seed`` would have; a learned model has none."""
        if not isinstance(self.model, SceneModel):
            return None
        return draw_style(category.name, seed, self.model.library)

    def _load_style(self) -> FittedStyle | None:
        if self.brand.style is None:
            return None
        return FittedStyle(Path(self.brand.style).stem, self.handle.read_style(self.brand.style))


def find_calm(layout: PosterLayout) -> tuple[Box, ...]:
    """Where the set must be calm: the hull of each stack of texts, and the logo; not below a panel."""
    panels = [element.box for element in layout.select("underlay")]
    bare = [
        element
        for element in layout.select("text", "logo")
        if not any(intersect(element.box, box) > 0.99 * compute_area(element.box) for box in panels)
    ]
    stacks = find_stacks([element for element in bare if element.kind == "text"])
    logos = [element.box for element in bare if element.kind == "logo"]
    return (*(compute_hull([element.box for element in stack]) for stack in stacks), *logos)


def read_logo(brand: PosterBrand) -> npt.NDArray[np.uint8] | None:
    """The brand's logo, RGBA (H, W, 4) without its empty margins; None without one. Raises SettingsError."""
    if brand.logo is None:
        return None
    try:
        with Image.open(brand.logo) as image:
            pixels = np.asarray(image.convert("RGBA"))
    except OSError as error:
        raise SettingsError(f"logo {brand.logo} cannot be read ({error}); give a PNG") from error
    seen = np.argwhere(pixels[..., 3] > 12)
    if len(seen) == 0:
        raise SettingsError(f"logo {brand.logo} is fully transparent; give one that shows something")
    (top, left), (bottom, right) = seen.min(0), seen.max(0) + 1
    return pixels[top:bottom, left:right]


def place(product: Product, layout: PosterLayout) -> tuple[Product, float]:
    """The product on the layout's canvas at its box, and the factor on its own pixels."""
    [element] = layout.select("product")
    left, top, right, bottom = element.box
    height, width = layout.height, layout.width
    own = find_box(product.matte)
    scale = min((bottom - top) * height / own.height, (right - left) * width / own.width)
    tall, wide = max(1, round(own.height * scale)), max(1, round(own.width * scale))
    down = round(top * height + ((bottom - top) * height - tall))
    across = round(left * width + ((right - left) * width - wide) / 2)
    box = Rectangle(min(max(down, 0), height - tall), min(max(across, 0), width - wide), tall, wide)
    standing = place_in_box(product, (height, width), box)
    levels = np.rint(standing.matte * 255)
    levels = np.where(standing.matte < 1, np.minimum(levels, 254), 255)
    matte = (levels / 255).astype(np.float32)  # as layers hold it, so that they make the same image
    return standing.derive(matte=matte), scale


def edit(
    poster: Poster,
    brand: PosterBrand,
    wording: Wording | None = None,
    language: str | None = None,
    moves: Mapping[str, Box] | None = None,
) -> Poster:
    """``poster`` with other words, another language or texts moved: nothing is rendered.

    Raises SettingsError (a text that is none, the product's own box), LayoutError and typography's errors.
    """
    record = poster.record
    brand = choose_fonts(brand, record.category)
    words, spoken = wording or record.texts, language or record.language
    if set(words) != set(record.texts):
        raise SettingsError(
            f"texts are {sorted(words)}; the poster has {sorted(record.texts)}, give words for these"
        )
    words = settle_words(check_wordings({spoken: dict(words)}), brand)[spoken]
    known = {element.id: element for element in record.layout.elements}
    for name in moves or {}:
        if name not in known or known[name].kind not in ("text", "logo"):
            movable = [element.id for element in record.layout.select("text", "logo")]
            raise SettingsError(f"{name!r} cannot be moved without a new background; these can: {movable}")
    elements = tuple(
        element.model_copy(update={"box": (moves or {}).get(element.id, element.box)})
        for element in record.layout.elements
    )
    layout = PosterLayout(**record.layout.model_copy(update={"elements": elements}).model_dump())
    drawn = draw_poster(
        poster.drawn.background, poster.product, layout, words, spoken, brand, read_logo(brand)
    )
    changed = record.model_copy(
        update={
            "texts": words,
            "language": spoken,
            "layout": layout,
            "proofs": drawn.proofs,
            "verdict": check_poster(drawn, poster.product, layout, words),
            "exact": drawn.report.exact,
        }
    )
    return Poster(drawn, poster.product, changed)


def _rate(posters: Mapping[str, Poster]) -> tuple[int, int, int]:
    """Faults, texts that only a plate makes readable, and posters with an edge across words; the fewer the
    better."""
    records = [poster.record for poster in posters.values()]
    plates = sum(proof.remedy == "plate" and proof.id != "action" for one in records for proof in one.proofs)
    uneven = sum(one.verdict.values["uneven"] > UNEVEN for one in records)
    return sum(len(one.verdict.faults) for one in records), plates, uneven
