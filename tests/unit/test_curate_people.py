"""People rule: whose find counts, and what the real detectors see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cyclorama.curate.people import PeopleRule, PeopleSettings
from cyclorama.curate.people_finding import (
    FoundPerson,
    build_body_finder,
    build_cascade_finder,
    build_model_finder,
    shows_skin,
)
from cyclorama.curate.records import Box, Record, RuleImage, Verdict
from cyclorama.errors import ConfigError, MissingDependencyError, ModelFormatError, ModelNotFoundError
from cyclorama.imaging.loading import load_image

SIDE = 120
_COLOURS = ((224, 172, 140), (40, 90, 200), (128, 128, 128))


def _image(mask: bool = True) -> RuleImage:
    product = np.zeros((SIDE, SIDE), dtype=np.float32)
    product[30:90, 30:90] = 1
    pixels = np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)
    return RuleImage(Record("a", "a.png"), pixels, None, product if mask else None)


def _find(*people: FoundPerson):
    return (lambda pixels: list(people),)


def _person(left: int, top: int, right: int, bottom: int, ratio: float, label: str = "face") -> FoundPerson:
    return FoundPerson(Box(left, top, right, bottom, label, 3.0 * ratio), ratio)


def test_nobody_is_kept() -> None:
    found = PeopleRule(finders=_find()).judge(_image())
    assert (found.verdict, found.reason, found.boxes) == (Verdict.KEEP, "", ())
    assert found.numbers == {"score": 0, "people": 0, "product_score": 0}


@pytest.mark.parametrize(("ratio", "verdict"), [(0.99, Verdict.KEEP), (1.0, Verdict.DROP)])
def test_a_face_off_the_product_counts_from_its_limit_on(ratio: float, verdict: Verdict) -> None:
    person = _person(0, 0, 25, 25, ratio)
    found = PeopleRule(finders=_find(person)).judge(_image())
    assert found.verdict is verdict
    assert found.numbers["score"] == ratio and found.numbers["face"] == ratio
    assert found.boxes == ((person.box,) if ratio >= 1 else ())


def test_a_face_on_the_product_is_a_matter_for_a_person_or_nothing() -> None:
    printed = _person(40, 40, 80, 80, 1.5)
    found = PeopleRule(finders=_find(printed)).judge(_image())
    assert found.verdict is Verdict.REVIEW
    assert found.reason == "face on the product, 1.50 of the score that counts"
    assert found.numbers["score"] == 0 and found.numbers["product_score"] == 1.5
    kept = PeopleRule(PeopleSettings(keep_on_product=True), _find(printed)).judge(_image())
    assert kept.verdict is Verdict.KEEP and kept.boxes == (printed.box,)


def test_without_a_mask_nobody_is_on_the_product() -> None:
    found = PeopleRule(finders=_find(_person(40, 40, 80, 80, 1.5))).judge(_image(mask=False))
    assert found.verdict is Verdict.DROP


def test_a_person_who_holds_the_product_is_dropped() -> None:
    around = _person(10, 10, 110, 110, 1.2, "person")  # the product is 36 % of it
    found = PeopleRule(finders=_find(around, _person(40, 40, 50, 50, 1.1))).judge(_image())
    assert found.verdict is Verdict.DROP and found.reason.startswith("person with 1.20")
    assert len(found.boxes) == 2


def test_a_product_taken_for_a_body_is_no_person() -> None:
    around = _person(20, 5, 100, 115, 2.0, "body")  # the product is 41 % of it
    found = PeopleRule(finders=_find(around)).judge(_image())
    assert (found.verdict, found.numbers["product_score"]) == (Verdict.KEEP, 2.0)
    beside = _person(0, 0, 45, 110, 2.0, "body")  # 18 %
    assert PeopleRule(finders=_find(beside)).judge(_image()).verdict is Verdict.DROP


def test_a_share_on_the_product_counts_at_its_bound_and_only_there() -> None:
    """A face 100 wide by 10 whose part on the product is exactly 85 %, then one column less; bodies 25 %."""
    pixels = np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)

    def judge(columns: int, label: str, value: float = 0.5, ratio: float = 1.0) -> tuple[Verdict, float]:
        product = np.zeros((SIDE, SIDE), dtype=np.float32)
        product[:, :columns] = value
        finders = _find(_person(0, 20, 100, 30, ratio, label))
        found = PeopleRule(PeopleSettings(), finders).judge(
            RuleImage(Record("a", "a.png"), pixels, None, product)
        )
        return found.verdict, found.numbers["product_score"]

    assert judge(85, "face") == (Verdict.REVIEW, 1.0)  # from 1 on, and a mask of half is product
    assert judge(84, "face") == (Verdict.DROP, 0.0)
    assert judge(85, "face", value=0.49) == (Verdict.DROP, 0.0)
    assert judge(85, "face", ratio=0.99) == (Verdict.KEEP, 0.99)
    assert judge(25, "body", ratio=2.0) == (Verdict.KEEP, 2.0)
    assert judge(24, "body", ratio=2.0) == (Verdict.DROP, 0.0)


def test_a_find_outside_the_image_is_on_no_product() -> None:
    beside = _person(SIDE, 0, SIDE + 20, 20, 1.5)
    found = PeopleRule(PeopleSettings(product_overlap=0), _find(beside)).judge(_image())
    assert (found.verdict, found.numbers["product_score"]) == (Verdict.DROP, 0.0)
    column = _person(89, 40, 90, 41, 1.5)  # one pixel, the product's last
    found = PeopleRule(PeopleSettings(), _find(column)).judge(_image())
    assert (found.verdict, found.numbers["product_score"]) == (Verdict.REVIEW, 1.5)


def test_what_shows_no_skin_counts_half() -> None:
    box = Box(10, 10, 50, 50, "face", 8.0)
    skin, blue, grey = (np.full((SIDE, SIDE, 3), colour, dtype=np.uint8) for colour in _COLOURS)
    assert shows_skin(skin, box) and shows_skin(grey, box) and not shows_skin(blue, box)
    dark = np.full((SIDE, SIDE, 3), (92, 60, 45), dtype=np.uint8)
    assert shows_skin(dark, box)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="every detector is switched off"):
        PeopleSettings(face=None, profile=None, body=None)
    with pytest.raises(ConfigError, match="working_side: must be .* 128, got 64"):
        PeopleSettings(working_side=64)
    with pytest.raises(ConfigError, match="smallest: must be less than 1, got 2"):
        PeopleSettings(smallest=2.0)


def test_missing_cascades_name_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setattr(cv2.data, "haarcascades", "/nowhere/")
    find = build_cascade_finder("haarcascade_missing.xml", "face", 1.0, 128, 0.1)
    with pytest.raises(MissingDependencyError, match="opencv-python-headless<5"):
        find(_image().pixels)


def test_plain_images_hold_no_bodies() -> None:
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2, "HOGDescriptor"):
        pytest.skip("this OpenCV carries no people detector")
    assert build_body_finder(0.5, 256)(_image().pixels) == []


def _save_tiny_detector(folder: Path, names: dict[int, str]) -> None:
    import torch
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessor

    torch.manual_seed(0)
    config = YolosConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=[64, 64],
        patch_size=16,
        num_detection_tokens=5,
        id2label=names,
        label2id={name: number for number, name in names.items()},
    )
    YolosForObjectDetection(config).save_pretrained(folder, safe_serialization=True)
    YolosImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}).save_pretrained(folder)


def test_a_model_from_a_folder_is_used_by_its_class_names(tmp_path: Path) -> None:
    _save_tiny_detector(tmp_path / "people", {0: "Person", 1: "dog"})
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, 90, 3), dtype=np.uint8)
    find = build_model_finder(tmp_path / "people", ("person",), 0.1, 0.01)
    everyone = find(pixels)
    assert everyone and all(person.box.label == "person" for person in everyone)
    for person in everyone:
        assert person.ratio == pytest.approx(person.box.score / 0.1)
        assert -90 <= person.box.left < person.box.right <= 180
    both = build_model_finder(tmp_path / "people", ("person", "dog"), 0.1, 0.01)(pixels)
    assert len(both) >= len(everyone)


def test_unusable_models_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"holds no config\.json"):
        build_model_finder(tmp_path, ("person",), 0.5, 0.1)(_image().pixels)
    _save_tiny_detector(tmp_path / "pets", {0: "cat", 1: "dog"})
    with pytest.raises(ModelFormatError, match=r"none of its 2 classes .* it knows cat, dog"):
        build_model_finder(tmp_path / "pets", ("person",), 0.5, 0.1)(_image().pixels)


def test_the_carried_detectors_see_a_portrait() -> None:
    cv2 = pytest.importorskip("cv2")
    skimage = pytest.importorskip("skimage")
    if not hasattr(cv2, "CascadeClassifier"):
        pytest.skip("this OpenCV carries no cascades")
    portrait = load_image(Path(skimage.__file__).parent / "data" / "astronaut.png")  # public domain, NASA
    image = RuleImage(Record("a", "a.png"), portrait.pixels, None, None)
    found = PeopleRule().judge(image)
    assert found.verdict is Verdict.DROP
    assert found.numbers["face"] >= 1
    face = max((box for box in found.boxes if box.label == "face"), key=lambda box: box.score)
    assert face.left < 225 < face.right and face.top < 115 < face.bottom
