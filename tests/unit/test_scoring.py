"""Which sets are compared and when there is too little to compare: cyclorama.evaluation.measure."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cyclorama.evaluation import measure
from cyclorama.evaluation.measure import _FeatureRun, count_steps


class Images(list):
    """Keys of a set; ``masks``: whether it has them."""

    def __init__(self, keys: str, masks: bool = True, name: str = "set") -> None:
        super().__init__(keys)
        self.masks, self.name, self.keys = masks, name, tuple(keys)

    def has_masks(self) -> bool:
        return self.masks


def table(role: str, region: str, keys: str) -> Any:
    identity = SimpleNamespace(region=region, label=f"{role} {region}")
    return SimpleNamespace(role=role, keys=tuple(keys), identity=identity, select=lambda k: ("select", k))


def build(**parts: Any) -> Any:
    run = object.__new__(_FeatureRun)
    partners = {"images": Images("ab"), "truth": None, "references": None, "categories": {}, "paired": True}
    settings = SimpleNamespace(metrics=("category",), seed=3, projection=False)
    run.__dict__.update(settings=settings, notes=[], regions=("image", "background"), own=None, masked=True)
    run.__dict__.update({name: parts.pop(name) for name in ("own", "masked") if name in parts})
    run.partners = SimpleNamespace(**{**partners, **parts})
    run.get_table = lambda role, region, network=None: table(role, region, getattr(run.partners, role))
    return run


def test_steps_are_three_for_an_image_and_two_for_each_it_is_compared_with() -> None:
    sets = {"images": "abcde", "truth": "abcd", "references": "abc"}
    assert count_steps(SimpleNamespace(**sets)) == 15 + 8 + 6  # type: ignore[arg-type]
    assert count_steps(SimpleNamespace(**{**sets, "truth": None})) == 21  # type: ignore[arg-type]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    pairs: list[Any] = []

    def compute(one: Any, other: Any, seed: int) -> Any:
        pairs.append((one.identity.label, other.identity.label, seed))
        return SimpleNamespace(warning=f"warning {len(pairs)}" if len(pairs) == 1 else "")

    monkeypatch.setattr(measure, "compute_set_distance", compute)
    return pairs


def test_sets_of_two_images_have_a_distance(compared: list[Any]) -> None:
    run = build(truth=Images("xy"))
    assert len(run.compute_distances(None)) == 2 and run.notes == ["warning 1"]
    assert compared == [("images image", "truth image", 3), ("images background", "truth background", 3)]
    run = build(images=Images("a"), truth=Images("xy"))
    assert run.compute_distances(None) == [] and run.notes == ["one image: no distance between sets"]
    assert build(truth=Images("x")).compute_distances(None) == []
    assert build().compute_distances(None) == [] and len(compared) == 2


def test_backgrounds_are_compared_where_the_truth_has_masks(compared: list[Any]) -> None:
    build(truth=Images("xy", masks=False)).compute_distances(None)
    assert compared == [("images image", "truth image", 3)]
    build(truth=Images("xy")).compute_distances(table("kept", "background", "xyz"))
    build().compute_distances(table("kept", "image", "xyz"))
    assert compared[1:] == [
        ("images background", "kept background", 3),
        ("images image", "kept image", 3),
    ]


@pytest.mark.parametrize(
    ("categories", "used", "note"),
    [
        ("aabb", "whole", ""),
        ("aabbc", ["0", "1", "2", "3"], "1 categories have one image: no compactness, not on the map"),
        ("aabbcd", ["0", "1", "2", "3"], "2 categories have one image: no compactness, not on the map"),
        ("aab", None, ""),
        ("aaa", None, ""),
        ("ab", None, ""),
    ],
)
def test_two_categories_of_two_images_have_a_compactness(
    monkeypatch: pytest.MonkeyPatch, categories: str, used: Any, note: str
) -> None:
    seen: list[Any] = []

    def compute(found: Any, names: Any) -> dict[str, str]:
        seen.append(found[1] if isinstance(found, tuple) else "whole")
        return {"done": "yes"}

    monkeypatch.setattr(measure, "compute_compactness", compute)
    named = {str(place): name for place, name in enumerate(categories)}
    run = build(images=Images("".join(named)), categories=named)
    compactness, projection = run.compute_categories({key: {} for key in named})
    assert projection is None and run.notes == ([note] if note else [])
    assert (compactness, seen) == (({"done": "yes"}, [used]) if used else ({}, []))
    assert run.compute_categories({"0": {}, "other": {}}) == ({}, None)


@pytest.mark.parametrize(("known", "scored", "unknown"), [("ab", True, 0), ("a", True, 2), ("", False, 4)])
def test_categories_of_the_network_are_scored(
    monkeypatch: pytest.MonkeyPatch, known: str, scored: bool, unknown: int
) -> None:
    monkeypatch.setattr(measure, "compute_compactness", lambda found, names: {})
    monkeypatch.setattr(measure, "compute_category_hits", lambda found, names, own: {"0": True, "1": False})
    named = dict(zip("0123", "aabb", strict=True))
    run = build(images=Images("0123"), categories=named, own=SimpleNamespace(categories=tuple(known)))
    rows: dict[str, Any] = {key: {} for key in named}
    run.compute_categories(rows)
    hits = [rows[key].get("category_accuracy") for key in "01"]
    assert hits == ([1.0, 0.0] if scored else [None, None])
    note = f"{unknown} images are of categories our network does not know"
    assert run.notes == ([note] if unknown else [])
    monkeypatch.setattr(run.settings, "metrics", ())
    assert run.compute_categories(rows) == ({}, None)
