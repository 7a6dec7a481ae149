"""Brand kits: what all images of a brand share. Each change is a new version; a job names the one it took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from cyclorama.errors import UnknownIdError
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.settings import MAX_OUTPUTS, GenerateConfig
from cyclorama.imaging.formats import ImageFormat
from cyclorama.layout.task import Corner
from cyclorama.scenes.brand import Brand, format_brand
from cyclorama.service.answers import to_time
from cyclorama.service.assets import keep_asset
from cyclorama.service.batch_schemas import BatchRequest
from cyclorama.service.schemas import Colour, JobItem, JobRequest, PosterOrder, Shape
from cyclorama.service.store import Store, find, get_time, make_id, read_page
from cyclorama.service.tables import assets, brands

Word = Annotated[str, Field(min_length=1, max_length=60)]
Words = Annotated[tuple[Word, ...], Field(max_length=100)]
_CANVAS = ("outputs", "size", "aspect")
_LOOKS = ("style", "reference", "backdrop")


class BrandReference(Shape):
    """An image whose background style is followed."""

    image: str
    """Its asset."""
    mask: str | None = None
    """Asset of a mask of its own product, which is hidden."""


class BrandLogo(Shape):
    """A logo and where it belongs."""

    image: str
    """Its asset."""
    corner: Corner = "top-left"


class BrandKit(Shape):
    """What all images of a brand share; a job takes of it what it does not say itself."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    style: str | None = None
    """Asset of a style file, for the rendered sets."""
    references: Annotated[tuple[BrandReference, ...], Field(max_length=16)] = ()
    """The first is followed where there is no style file, or the model takes none."""
    palette: Annotated[tuple[Colour, ...], Field(max_length=12)] = ()
    """Wall, ground, things, accent, and more: rendered sets take them where there is neither style nor
    reference."""
    logo: BrandLogo | None = None
    use_words: Words = ()
    avoid_words: Words = ()
    outputs: Annotated[tuple[str, ...], Field(max_length=MAX_OUTPUTS)] = ()
    """Canvases, as in the settings of a job."""
    format: ImageFormat | None = None
    quality: Annotated[int, Field(ge=1, le=100)] | None = None

    @model_validator(mode="after")
    def _check_settings(self) -> Self:
        GenerateConfig(**_choose_settings(self))
        return self


class BrandChange(Shape):
    """Fields of a brand kit that change; the others stay."""

    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    style: str | None = None
    references: tuple[BrandReference, ...] = ()
    palette: tuple[str, ...] = ()
    logo: BrandLogo | None = None
    use_words: tuple[str, ...] = ()
    avoid_words: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    format: ImageFormat | None = None
    quality: int | None = None


class BrandVersion(BrandKit):
    """A brand kit as it was kept."""

    id: str
    version: int
    """From 1."""
    created: datetime
    """This version."""


def to_brand(row: RowMapping, version: int | None = None) -> BrandVersion:
    """A version of a brand's row, None: the newest. Raises UnknownIdError."""
    number = len(row["versions"]) if version is None else version
    if not 1 <= number <= len(row["versions"]):
        raise UnknownIdError(
            f"brand {row['id']!r} has no version {version}; it has 1 to {len(row['versions'])}"
        )
    kept = row["versions"][number - 1]
    return BrandVersion(**kept["kit"], id=row["id"], version=number, created=to_time(kept["created"]))


def add_brand(store: Store, key: str, kit: BrandKit) -> BrandVersion:
    """Keep a new brand. Raises UnknownIdError (an asset)."""
    with store.write() as connection:
        _check_assets(connection, key, kit)
        id = make_id("br")
        connection.execute(insert(brands).values(id=id, key=key, versions=[_to_version(kit)]))
        return to_brand(find(connection, brands, id, key))


def change_brand(store: Store, key: str, id: str, change: BrandChange) -> BrandVersion:
    """Keep a new version of a brand, unless nothing changes. Raises UnknownIdError, ValidationError."""
    with store.write() as connection:
        connection.execute(select(brands.c.id).where(brands.c.id == id).with_for_update())
        row = find(connection, brands, id, key)
        before = row["versions"][-1]["kit"]
        kit = BrandKit.model_validate(before | change.model_dump(mode="json", exclude_unset=True))
        if kit.model_dump(mode="json") != before:
            _check_assets(connection, key, kit)
            versions = [*row["versions"], _to_version(kit)]
            connection.execute(update(brands).where(brands.c.id == id).values(versions=versions))
        return to_brand(find(connection, brands, id, key))


def read_brand(store: Store, key: str, id: str, version: int | None = None) -> BrandVersion:
    """A version of a brand, None: the newest. Raises UnknownIdError."""
    with store.read() as connection:
        return to_brand(find(connection, brands, id, key), version)


def read_brands(
    store: Store, key: str, after: str | None, limit: int
) -> tuple[list[BrandVersion], str | None]:
    """A page of brands, newest first, and the next cursor. Raises UnknownIdError."""
    with store.read() as connection:
        rows, cursor = read_page(connection, brands, key, after, limit)
    return [to_brand(row) for row in rows], cursor


def drop_brand(store: Store, key: str, id: str) -> None:
    """Forget a brand; jobs keep what they took of it. Raises UnknownIdError."""
    with store.write() as connection:
        find(connection, brands, id, key)
        connection.execute(delete(brands).where(brands.c.id == id))


def list_assets(connection: Connection) -> Iterator[str]:
    """Assets that any version of any brand names."""
    for (versions,) in connection.execute(select(brands.c.versions)):
        for version in versions:
            yield from _name_assets(version["kit"])


def dress(store: Store, key: str, handle: ModelHandle, order: JobRequest) -> JobRequest:
    """``order`` with what its brand says of style, canvases and format where it says nothing itself.

    Raises UnknownIdError.
    """
    if order.brand is None:
        return order
    brand = read_brand(store, key, order.brand, order.brand_version)
    look = _choose_look(store, key, handle, brand)
    items = [item if _has_look(item) else item.model_copy(update=look) for item in order.items]
    if order.poster is not None:
        poster = order.poster.model_copy(update=_choose_marks(order.poster, brand))
        return order.model_copy(update={"items": items, "poster": poster, "brand_version": brand.version})
    settings = _dress_settings(brand, order.settings)
    return order.model_copy(update={"items": items, "settings": settings, "brand_version": brand.version})


def dress_batch(store: Store, key: str, handle: ModelHandle, order: BatchRequest) -> BatchRequest:
    """As :func:`dress`; what rows name themselves comes before it."""
    if order.brand is None:
        return order
    brand = read_brand(store, key, order.brand, order.brand_version)
    look = {} if _has_look(order) else _choose_look(store, key, handle, brand)
    settings = _dress_settings(brand, order.settings)
    return order.model_copy(update={**look, "settings": settings, "brand_version": brand.version})


def _dress_settings(brand: BrandKit, settings: GenerateConfig) -> GenerateConfig:
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    chosen = _choose_settings(brand)
    if given.keys() & set(_CANVAS):
        chosen.pop("outputs", None)
    if given.keys() & {"format", "quality"}:
        chosen = {name: value for name, value in chosen.items() if name == "outputs"}
    return GenerateConfig(**chosen | given)


def _choose_settings(kit: BrandKit) -> dict[str, Any]:
    return {n: v for n in ("outputs", "format", "quality") if (v := getattr(kit, n))}


def _choose_marks(poster: PosterOrder, kit: BrandKit) -> dict[str, Any]:
    """What a poster takes of its brand: logo, accent, and the words of neither."""
    found: dict[str, Any] = {"avoid": (*poster.avoid, *kit.avoid_words)}
    if poster.logo is None and kit.logo is not None:
        found |= {"logo": kit.logo.image, "logo_corner": poster.logo_corner or kit.logo.corner}
    if poster.accent is None and kit.palette:
        found["accent"] = kit.palette[min(3, len(kit.palette) - 1)]
    return found


def _has_look(item: JobItem | BatchRequest) -> bool:
    return any(getattr(item, name) is not None for name in _LOOKS)


def _choose_look(store: Store, key: str, handle: ModelHandle, kit: BrandKit) -> dict[str, str | None]:
    """The fields of an item that follow the brand's style."""
    if kit.style is not None and not handle.learned:
        return {"style": kit.style}
    if kit.references:
        return {"reference": kit.references[0].image, "reference_mask": kit.references[0].mask}
    if kit.palette and not handle.learned:
        return {"style": _keep_palette(store, key, kit)}
    return {}


def _keep_palette(store: Store, key: str, kit: BrandKit) -> str:
    """The asset of a style file in the brand's colours."""
    colours = [*kit.palette, *[kit.palette[-1]] * 3]
    wall, floor, props, accent = colours[:4]
    text = format_brand(Brand(wall=wall, floor=floor, props=props, accent=accent)).encode()  # type: ignore[arg-type]
    digest = store.blobs.put(text)
    row, _ = keep_asset(store, key, digest, len(text), f"{kit.name}.yaml", "application/yaml", {})
    return str(row["id"])


def _to_version(kit: BrandKit) -> dict[str, Any]:
    return {"kit": kit.model_dump(mode="json"), "created": get_time()}


def _name_assets(kit: Mapping[str, Any]) -> Iterator[str]:
    named = [kit["style"], (kit["logo"] or {}).get("image")]
    for reference in kit["references"]:
        named += [reference["image"], reference["mask"]]
    yield from filter(None, named)


def _check_assets(connection: Connection, key: str, kit: BrandKit) -> None:
    """Raises UnknownIdError."""
    for id in _name_assets(kit.model_dump(mode="json")):
        find(connection, assets, id, key)
