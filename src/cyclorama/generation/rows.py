"""One image of a row, between its files and the model: what is asked of the model, what the file will say."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from cyclorama.generation.job import ReferenceCache, load_style
from cyclorama.generation.result import describe_image, describe_looks
from cyclorama.generation.scenes import draw_reference
from cyclorama.generation.settings import SCENE_REFERENCE
from cyclorama.generation.shard import RowState
from cyclorama.generation.task import Task
from cyclorama.imaging.product import Product
from cyclorama.models.registry import CategoryRegistry


def prepare_image(
    row: RowState,
    layout: int,
    candidate: int,
    product: Product,
    references: ReferenceCache,
    registry: CategoryRegistry,
) -> tuple[Task, dict[str, Any]]:
    """The task of one image, and its placement as its row states it.

    ``layout`` and ``candidate`` count from 0; ``registry`` is the model's own.
    Raises the errors of loader, masks and styles, UnknownCategoryError.
    """
    canvas, files = row.job.layouts[layout], row.files
    category = row.find_category(product)
    placed = canvas.compute_placement(product, category.share)
    placement = placed.describe() if canvas.name or placed.canvas != product.size else {}
    standing = canvas.place(product, category.share)
    seed = row.seeds[candidate]
    reference = None if files is None else references.load(row.plan, files)
    if row.plan.reference == SCENE_REFERENCE:
        reference = draw_reference(standing, category.name, seed)
    style = None if files is None else load_style(row.job, files.paths)
    known, frame = registry.resolve(category.name), canvas.compute_size(row.size or product.size)
    return Task(standing, known, seed, reference, style, row.plan.name, frame=frame), placement


def describe_recipe(row: RowState, layout: int, candidate: int, product: Product) -> dict[str, Any]:
    """The recipe that goes into the files of one image of ``row``, whose ``product`` is cut out."""
    plan, job = row.plan, row.job
    found = row.find_category(product)
    return describe_image(
        job.model,
        job.describe_settings(plan.reference is not None),
        job.layouts[layout],
        input=plan.name,
        seed=row.seeds[candidate],
        category=found.name,
        identifier=found.identifier,
        reference=None if plan.reference is None else PurePosixPath(plan.reference).name,
        mask_source=product.mask_source,
        **describe_looks(plan.style, plan.backdrop),
    )
