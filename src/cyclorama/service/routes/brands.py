"""Brands: kits of style, references, palette, logo, words, canvases and format."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from cyclorama.service import brands
from cyclorama.service.brands import BrandChange, BrandKit, BrandVersion
from cyclorama.service.context import Here, Key
from cyclorama.service.schemas import Page

router = APIRouter(prefix="/v1/brands", tags=["brands"])


@router.post("", response_model=BrandVersion, status_code=201)
def create_brand(kit: BrandKit, service: Here, key: Key) -> BrandVersion:
    """Keep a brand kit. A job that names it as `brand` takes style, canvases and format of it."""
    service.check_open()
    return brands.add_brand(service.store, key, kit)


@router.get("", response_model=Page[BrandVersion])
def list_brands(
    service: Here, key: Key, after: str | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 50
) -> Page[BrandVersion]:
    """This key's brands as they are now, newest first."""
    items, cursor = brands.read_brands(service.store, key, after, limit)
    return Page(items=items, next=cursor)


@router.get("/{id}", response_model=BrandVersion)
def read_brand(
    id: str, service: Here, key: Key, version: Annotated[int | None, Query(ge=1)] = None
) -> BrandVersion:
    """A brand as it is now, or an earlier version."""
    return brands.read_brand(service.store, key, id, version)


@router.patch("/{id}", response_model=BrandVersion)
def change_brand(id: str, change: BrandChange, service: Here, key: Key) -> BrandVersion:
    """Change a brand: a new version, which later jobs take."""
    service.check_open()
    try:
        return brands.change_brand(service.store, key, id, change)
    except ValidationError as error:
        faults = [fault | {"loc": ("body", *fault["loc"])} for fault in error.errors()]
        raise RequestValidationError(faults) from None


@router.delete("/{id}", status_code=204)
def delete_brand(id: str, service: Here, key: Key) -> None:
    """Forget a brand with all its versions. Jobs keep what they took of it."""
    brands.drop_brand(service.store, key, id)
