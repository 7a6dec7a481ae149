"""The held-out set: products to paint for, their true images, their references."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cyclorama.data.records import DataRecord, Place, load_records
from cyclorama.errors import DataError, SettingsError
from cyclorama.evaluation.reading import ImageItem, ImageSet
from cyclorama.generation.items import Item, ItemSource
from cyclorama.lab.experiments.recipe import Condition, ExperimentConfig

MANIFEST_NAME = "manifest.csv"


@dataclass(frozen=True, eq=False)
class HeldOutSet:
    """One held-out set, cut down to the images of an experiment. All sets share the records' keys."""

    folder: Path
    digest: str
    """12 hex digits of the manifest's content."""
    every: tuple[Item, ...]
    """Inputs of the whole set as `cyclorama generate` takes them, without seeds of their own: the
    experiment's seeds rule."""
    truths: ImageSet
    """The true images of the whole set."""
    truth: ImageSet
    products: ImageSet
    """What the methods were given; its pixels must come back where the mask is 1."""
    pairs: ImageSet | None
    """The references of the set's pairs under the products' keys, None where the set has none."""

    @property
    def items(self) -> list[Item]:
        """The inputs of the experiment."""
        return [item for item in self.every if str(item.id) in self.truth.items]

    def build_inputs(self, condition: Condition, also: Collection[str] = ()) -> list[Item]:
        """The inputs under ``condition``, with no reference, the pair's, or the product's own image; and
        those of the set with a key in ``also``."""
        wanted = {*self.truth.items, *also}
        chosen = [item for item in self.every if str(item.id) in wanted]
        if condition == "pair":
            return chosen
        result = []
        for item in chosen:
            own = self.truths.items[str(item.id)]
            if condition == "self":
                assert isinstance(own.image, Path) and (own.mask is None or isinstance(own.mask, Path))
                mask = None if own.mask is None else str(own.mask.absolute())
                result.append(replace(item, reference=str(own.image.absolute()), reference_mask=mask))
            else:
                result.append(replace(item, reference=None, reference_mask=None))
        return result

    def get_references(self, condition: Condition) -> ImageSet | None:
        """The references under ``condition``, by the products' keys."""
        return {"none": None, "pair": self.pairs, "self": self.truth}[condition]


def open_held_out(config: ExperimentConfig) -> HeldOutSet:
    """The set of ``config``.

    Raises DataError (no such folder, no mask), ManifestError, SettingsError (no reference in a set that is to
    give pairs, a category that is not there, fewer than two images).
    """
    path = config.data / MANIFEST_NAME if config.data.is_dir() else config.data
    if not path.is_file():
        raise DataError(
            f"no held-out set at {config.data}: make one with `cyclorama lab render --kind bg1k --unpack "
            f"--out {config.data}` (or bgpair), or name another with --set data=DIR"
        )
    every = load_records(path)
    records = _select(every, config)
    for record in records:
        if record.mask is None:
            raise DataError(f"{path}: {record.id!r} has no mask; backgrounds cannot be told from products")
        if "pair" in config.conditions and record.reference is None:
            raise SettingsError(
                f"{path}: {record.id!r} has no reference, but the experiment wants pairs; take a set of "
                f"`cyclorama lab render --kind bgpair`, or --set conditions=[none]"
            )
    items = [
        replace(item, seed=None, id=record.id)
        for item, record in zip(ItemSource(path).iterate(path.parent), every, strict=True)
    ]
    truths: list[Place] = [  # a set without that column shows its products in the true image already
        record.image if (named := record.extra.get("truth")) is None else path.parent / str(named)
        for record in every
    ]
    truth = _build_set(f"truth of {path.parent.name}", every, truths)
    references = [record.reference for record in records if record.reference is not None]
    masked = all(record.reference_mask is not None for record in records)
    return HeldOutSet(
        path.parent,
        hashlib.blake2b(path.read_bytes(), digest_size=6).hexdigest(),
        tuple(items),
        truth,
        truth.select([record.id for record in records]),
        _build_set(f"products of {path.parent.name}", records, [record.image for record in records]),
        None
        if len(references) < len(records)
        else _build_set(
            f"references of {path.parent.name}",
            records,
            references,
            [record.reference_mask if masked else None for record in records],
        ),
    )


def _select(records: Sequence[DataRecord], config: ExperimentConfig) -> list[DataRecord]:
    known = {record.category for record in records}
    for name in config.categories:
        if name not in known:
            raise SettingsError(
                f"{config.data} has no category {name!r}; it has {', '.join(sorted(str(k) for k in known))}"
            )
    chosen = [record for record in records if not config.categories or record.category in config.categories]
    chosen = chosen[: config.images]
    if len(chosen) < 2:
        raise SettingsError(f"{config.data}: {len(chosen)} images are left; an experiment needs 2 or more")
    return chosen


def _build_set(
    name: str,
    records: Sequence[DataRecord],
    images: Sequence[Place],
    masks: Sequence[Place | None] | None = None,
) -> ImageSet:
    masks = [record.mask for record in records] if masks is None else masks
    items = {}
    for record, image, mask in zip(records, images, masks, strict=True):
        meta = {"product_id": record.product_id, "brand": record.brand}
        items[record.id] = ImageItem(image, mask, record.category, None, meta, record.mask_means)
    return ImageSet(name, items)
