"""Who sees what: sampling, orders, repeats; and that nothing on the page tells whose image is whose."""

from __future__ import annotations

import io
import itertools
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from cyclorama.errors import MissingImageError, OutputError, SettingsError, StudyError, StudyImageError
from cyclorama.evaluation.reading import ImageItem, ImageSet, from_arrays, open_images
from cyclorama.lab.study.build import build_study, find_common_pairs
from cyclorama.lab.study.page import check_wording, encode, level_images, load_study_image
from cyclorama.lab.study.study import CODE_LETTERS, Namer, StudySettings, load_study, plan_rater, sample_keys

METHODS = ("Zebrafinch", "Wolverine", "Ocelot")


def paint(seed: int, size: tuple[int, int] = (40, 40)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def make_sets(count: int = 6) -> tuple[dict[str, ImageSet], ImageSet]:
    """Images of three methods; method n is n levels brighter than a grey of the product's own."""
    methods = {
        method: from_arrays(
            {f"kettle{p}": np.full((40, 40, 3), 60 + 20 * (p % 8) + 6 * n, np.uint8) for p in range(count)},
            name=f"/data/{method}",
        )
        for n, method in enumerate(METHODS)
    }
    references = from_arrays({f"kettle{p}": paint(p) for p in range(count)}, name="/data/moodboard")
    return methods, references


def build(folder: Path, **changes: object) -> Path:
    settings = StudySettings(**{"pairs": 6, "raters": 4, "repeats": 2, "seed": 11, **changes})
    build_study(*make_sets(), folder, settings)
    return folder


def test_every_rater_sees_every_pair_once_and_the_repeats_later() -> None:
    images = [[f"p{pair}m{n}" for n in range(4)] for pair in range(12)]
    firsts = Counter()
    for rater in range(300):
        tasks = plan_rater(images, 4, 5, f"R{rater}")
        place = {task.name: n for n, task in enumerate(tasks)}
        assert Counter(task.pair for task in tasks if task.repeats is None) == dict.fromkeys(range(12), 1)
        repeats = [task for task in tasks if task.repeats is not None]
        assert len(repeats) == len({task.pair for task in repeats}) == 4
        for task in repeats:
            first = tasks[place[task.repeats or ""]]
            assert first.pair == task.pair
            assert first.images != task.images
            assert place[task.name] - place[first.name] > 12 // 3
        for task in tasks:
            assert sorted(task.images) == sorted(images[task.pair])
            firsts[task.images[0][-1]] += 1
    # 4800 screens: each method opens 1200 of them, standard deviation 30
    assert all(abs(count - 1200) < 150 for count in firsts.values())


@pytest.mark.parametrize(("pairs", "repeats"), [(2, 1), (3, 1), (4, 2), (5, 2), (9, 4), (20, 10)])
def test_a_repeat_never_follows_directly(pairs: int, repeats: int) -> None:
    images = [["a", "b"]] * pairs
    for rater in range(50):
        tasks = plan_rater(images, repeats, 0, str(rater))
        assert len(tasks) == pairs + repeats
        assert all(b.pair != a.pair for a, b in itertools.pairwise(tasks))


def test_more_raters_leave_the_others_tasks_as_they_are(tmp_path: Path) -> None:
    few, many = load_study(build(tmp_path / "a")), load_study(build(tmp_path / "b", raters=9))
    assert (many.name, many.pairs) == (few.name, few.pairs)  # so answers to the one are answers to the other
    assert [many.raters[code] for code in few.raters] == list(few.raters.values())


def test_the_sample_depends_on_the_seed_alone() -> None:
    keys = [f"k{n:03}" for n in range(100)]
    chosen = sample_keys(keys, 20, 1)
    assert sample_keys(keys[::-1], 20, 1) == chosen
    assert len(set(chosen)) == 20
    assert sample_keys(keys, 20, 2) != chosen
    with pytest.raises(SettingsError, match="--pairs 101, but only 100"):
        sample_keys(keys, 101, 1)


@pytest.mark.parametrize("embed", [True, False])
def test_nothing_that_raters_get_names_a_method(tmp_path: Path, embed: bool) -> None:
    folder = build(tmp_path / "study", embed=embed)
    given = [path for path in (folder / "page").rglob("*") if path.is_file()]
    assert len(given) == (1 if embed else 1 + 6 * 4)
    secret = re.compile("|".join([*METHODS, "kettle", "moodboard", "/data"]), re.IGNORECASE)
    for path in given:
        text = path.read_text("latin-1")
        text = re.sub("base64,[A-Za-z0-9+/=]+", "", text)  # images may hold any letters by chance
        assert not secret.search(str(path.relative_to(folder)))
        if path.suffix == ".html":
            assert not secret.search(text)
            values = json.loads(re.search('id="data">(.*?)</script>', text)[1])
            assert set(values) == {"study", "questions", "letters", "wording", "raters", "images"}
            assert list(values["images"]) == sorted(values["images"])
            tasks = [task for tasks in values["raters"].values() for task in tasks]
            assert all(set(task) == {"task", "reference", "images", "size"} for task in tasks)
            assert len({task["task"] for task in tasks}) == len(tasks) == 4 * (6 + 2)
    times = {path.stat().st_mtime for path in given if path.suffix == ".jpg"}
    assert len(times) <= 1
    key = json.loads((folder / "key.json").read_text())
    assert key["methods"] == list(METHODS)


def test_names_do_not_follow_the_order_of_the_methods(tmp_path: Path) -> None:
    build_study(*make_sets(60), tmp_path / "study", StudySettings(pairs=60, raters=1, repeats=0, seed=0))
    study = load_study(tmp_path / "study")
    ranks = Counter(sorted(pair.images.values()).index(pair.images[METHODS[0]]) for pair in study.pairs)
    assert all(abs(ranks[place] - 20) < 13 for place in range(3))  # standard deviation 3.7
    names = [name for pair in study.pairs for name in (*pair.images.values(), pair.reference_image)]
    assert len(set(names)) == len(names) == 240


def test_the_key_says_whose_image_is_whose(tmp_path: Path) -> None:
    folder = build(tmp_path / "study", embed=False)
    study = load_study(folder)
    for pair in study.pairs:
        product = int(pair.product.removeprefix("kettle"))
        for n, method in enumerate(METHODS):
            with Image.open(folder / "page" / "images" / f"{pair.images[method]}.jpg") as image:
                assert abs(float(np.mean(np.asarray(image))) - (60 + 20 * product + 6 * n)) < 1.5


def test_images_of_a_pair_differ_in_content_only() -> None:
    images = {"a": Image.fromarray(paint(0, (300, 200))), "b": Image.fromarray(paint(1, (601, 400)))}
    levelled = level_images(images, 768, "p")
    assert {image.size for image in levelled.values()} == {(200, 300)}
    assert np.array_equal(np.asarray(levelled["a"]), paint(0, (300, 200)))
    assert {image.size for image in level_images(images, 150, "p").values()} == {(100, 150)}
    images["b"] = Image.fromarray(paint(1, (300, 210)))
    with pytest.raises(StudyImageError, match=r"b 210×300, a 200×300"):
        level_images(images, 768, "p")


def test_profile_is_applied_and_metadata_dropped(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert profile  # another one than RGB must not break the build
    grey = Image.fromarray(np.full((32, 32, 3), 128, np.uint8))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010E] = "made by Ocelot"
    grey.save(tmp_path / "a.png", icc_profile=srgb, exif=exif)
    image = load_study_image(open_images(tmp_path), "a")
    assert np.abs(np.asarray(image).astype(int) - 128).max() <= 1
    data = encode(image)
    assert b"Ocelot" not in data
    assert b"ICC_PROFILE" not in data
    with Image.open(io.BytesIO(data)) as again:
        assert set(again.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_pairs_are_those_of_all_methods_with_one_reference() -> None:
    methods, _ = make_sets(6)
    stated = {key: ImageItem(None, reference="moods/sea.jpg") for key in methods["Ocelot"].keys}
    stated["kettle2"] = ImageItem(None, reference="hill")
    other = {"kettle1": ImageItem(None, reference="hill"), "kettle2": ImageItem(None, reference="hill.png")}
    sets = {
        "Ocelot": ImageSet("o", stated),
        "Wolverine": ImageSet("w", {**{f"kettle{n}": ImageItem(None) for n in range(4)}, **other}),
        "Plain": methods["Zebrafinch"],  # states none: follows the others
    }
    references = from_arrays({"sea": paint(0), "deep/hill": paint(1)})
    found, notes = find_common_pairs(sets, references)
    assert found == {"kettle0": "sea", "kettle2": "deep/hill", "kettle3": "sea"}
    assert notes == (
        "2 of 6 products left out: not done by every method",
        "1 of 6 products left out: made with different references",
    )
    with pytest.raises(MissingImageError, match="no product–reference pair"):
        find_common_pairs(methods, from_arrays({"x": paint(0)}))
    with pytest.raises(SettingsError, match="2 to 8 methods, got 1"):
        find_common_pairs({"a": methods["Ocelot"]}, references)


def test_no_folder_is_written_over_and_no_half_study_stays(tmp_path: Path) -> None:
    folder = build(tmp_path / "study")
    with pytest.raises(OutputError, match="already holds a study"):
        build(folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="not empty"):
        build(tmp_path / "other")
    methods, references = make_sets()
    methods["Ocelot"] = from_arrays({f"kettle{p}": paint(p, (40, 60)) for p in range(6)})
    with pytest.raises(StudyImageError):
        build_study(methods, references, tmp_path / "third", StudySettings(pairs=2, repeats=1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "study"]


def test_a_missing_or_damaged_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="holds no study"):
        load_study(tmp_path)
    folder = build(tmp_path / "study")
    key = json.loads((folder / "key.json").read_text())
    key["pairs"][0]["images"].pop("Ocelot")
    (folder / "key.json").write_text(json.dumps(key))
    with pytest.raises(StudyError, match="damaged"):
        load_study(folder)
    (folder / "key.json").write_text("[]")
    with pytest.raises(StudyError, match="has format None"):
        load_study(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": 0}, "pairs: must be"),
        ({"pairs": 5, "repeats": 3}, "0 to 2 "),
        ({"raters": 0}, "raters: must be from 1 to 1000, got 0"),
        ({"seed": -1}, "seed: must be"),
        ({"side": 20}, "side: must be from 128 to 2048, got 20"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        StudySettings(**changes)


def test_wording_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    assert check_wording({"start": "开始"})["start"] == "开始"
    for wrong, message in [
        ({"begin": "x"}, "no wording"),
        ({"start": " "}, "must be a text"),
        ({"image": "Bild"}, "blanks"),
        ({"direction": "up"}, "ltr or rtl"),
    ]:
        with pytest.raises(SettingsError, match=message):
            check_wording(wrong)
    text = {"title": "</script><b>&", "language": "zh"}
    build_study(*make_sets(), tmp_path / "s", StudySettings(pairs=2, repeats=1), text)
    page = (tmp_path / "s" / "page" / "index.html").read_text()
    assert "<title>&lt;/script&gt;&lt;b&gt;&amp;</title>" in page
    assert page.count("</script>") == 2
    assert '<html lang="zh" dir="ltr" data-server="">' in page


def test_random_names_are_unique() -> None:
    namer = Namer(0, "test")
    codes = [namer.draw(6, CODE_LETTERS) for _ in range(2000)]
    assert len(set(codes)) == 2000
    assert all(re.fullmatch("[A-Z0-9]{6}", code) for code in codes)
    assert not set("".join(codes)) & set("BGIOS0125 8")
