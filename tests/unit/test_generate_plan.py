"""Names, seeds, batches, categories and settings: all that is settled before the first image."""

from __future__ import annotations

import random

import pytest

from cyclorama.errors import SettingsError, UnknownCategoryError
from cyclorama.generation.batches import build_batches, choose_batch_size, compute_item_seeds
from cyclorama.generation.categories import CategoryRules, load_category_rules
from cyclorama.generation.names import build_image_names
from cyclorama.generation.presets import PRESETS, Preset, choose_sampler
from cyclorama.generation.settings import GenerateConfig, parse_aspect, parse_output, parse_size
from cyclorama.imaging.formats import EncodingConfig
from cyclorama.models.registry import CategoryRegistry


def test_names_keep_folders_and_tell_suffixes_apart() -> None:
    names = ["a.png", "shoes/a.jpg", "a.jpg", "b.tar.gz.webp", "über/日本.png"]
    assert build_image_names(names) == [
        ["a-png.png"],
        ["shoes/a.png"],
        ["a-jpg.png"],
        ["b.tar.gz.png"],
        ["über/日本.png"],
    ]


def test_names_do_not_depend_on_order() -> None:
    names = ["a.png", "a.jpg", "a.webp", "b/a.png", "c.png"]
    expected = dict(zip(names, build_image_names(names), strict=True))
    for seed in range(5):
        shuffled = random.Random(seed).sample(names, len(names))
        assert dict(zip(shuffled, build_image_names(shuffled), strict=True)) == expected


@pytest.mark.parametrize("candidates", [1, 3])
def test_names_never_collide_even_without_case(candidates: int) -> None:
    names = ["a.png", "A.png", "a.png", "a-2.png", "a.jpg", "a-jpg.png", "a-c1.png", "a-c1-2.png", "a"]
    paths = [path.casefold() for group in build_image_names(names, candidates) for path in group]
    assert len(set(paths)) == len(names) * candidates
    assert all(path.endswith(".png") for path in paths)


def test_candidates_are_numbered() -> None:
    assert build_image_names(["x/a.jpg"], 2) == [["x/a-c1.png", "x/a-c2.png"]]


def test_outputs_are_named_and_never_collide() -> None:
    assert build_image_names(["x/a.jpg"], 1, ["1x1", "source"], ".webp") == [
        ["x/a.1x1.webp", "x/a.source.webp"]
    ]
    assert build_image_names(["a.png"], 2, ["1x1", "3x4"]) == [
        ["a.1x1-c1.png", "a.1x1-c2.png", "a.3x4-c1.png", "a.3x4-c2.png"]
    ]
    names = ["a.png", "a.1x1.png", "A.1x1.jpg", "a.3x4-c1.png", "a-c1.1x1.png"]
    paths = [p.casefold() for group in build_image_names(names, 2, ["1x1", "3x4"]) for p in group]
    assert len(set(paths)) == 4 * len(names)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("../../etc/passwd.png", "etc/passwd.png"),
        ("/abs/a.png", "abs/a.png"),
        ("sub\\win.png", "sub/win.png"),
        ('q?"<>|.png', "q_____.png"),
        ("..", "image.png"),
    ],
)
def test_names_stay_inside_the_folder(name: str, path: str) -> None:
    assert build_image_names([name]) == [[path]]


def test_long_names_are_shortened_but_stay_apart() -> None:
    first, second = build_image_names(["é" * 300 + "1.png", "é" * 300 + "2.png"])
    assert first != second
    assert max(len(first[0].encode()), len(second[0].encode())) < 200


def test_seeds_depend_on_name_and_candidate_only() -> None:
    assert compute_item_seeds(7, "a.png", None, 3)[:2] == compute_item_seeds(7, "a.png", None, 2)
    seeds = {
        s for name in ("a.png", "b.png") for run in (0, 1) for s in compute_item_seeds(run, name, None, 4)
    }
    assert len(seeds) == 16


def test_own_seed_is_used_as_it_stands_whatever_the_runs() -> None:
    assert compute_item_seeds(1, "a.png", 42, 1) == [42]
    assert compute_item_seeds(1, "a.png", 42, 3) == compute_item_seeds(2, "a.png", 42, 3)


def test_batches_have_equal_places_within_a_shape() -> None:
    shapes = ["a", "b", "a", "a", "a", "a", "b"]
    batches = build_batches(shapes, 2)
    assert [batch.members for batch in batches] == [(0, 2), (1, 6), (3, 4), (5,)]
    assert [batch.places for batch in batches] == [2, 2, 2, 2]
    assert build_batches(["a", "a"], 8)[0].places == 2


def test_every_image_is_in_one_batch() -> None:
    shapes = [random.Random(3).choice("abc") for _ in range(40)]
    members = [m for batch in build_batches(shapes, 3) for m in batch.members]
    assert sorted(members) == list(range(40))


def test_batch_size_follows_the_device_unless_given() -> None:
    assert choose_batch_size(None, "cpu") == 1
    assert choose_batch_size(None, "cuda:1") == 8
    assert choose_batch_size(5, "cpu") == 5


def build_registry() -> CategoryRegistry:
    registry = CategoryRegistry()
    registry.add("perfume", aliases=["scent"])
    registry.add("rice cooker")
    return registry


def test_rules_in_their_order() -> None:
    registry = build_registry()
    rules = CategoryRules({"Lip Stick": "perfume"}, default="rice cooker")
    assert rules.resolve("scent", registry).name == "perfume"
    assert rules.resolve("lip-stick", registry).name == "perfume"
    assert rules.resolve("sofa", registry).name == "rice cooker"
    assert rules.resolve(None, registry).name == "rice cooker"
    catch_all = CategoryRules({"*": "perfume"})
    assert catch_all.resolve("sofa", registry).name == "perfume"
    assert catch_all.resolve("Rice_Cooker", registry).name == "rice cooker"


def test_unknown_and_missing_categories_are_named() -> None:
    registry = build_registry()
    with pytest.raises(UnknownCategoryError, match="perfume"):
        CategoryRules().resolve("perfum", registry)
    with pytest.raises(SettingsError, match=r"--category.*perfume, rice cooker"):
        CategoryRules().resolve(None, registry)
    with pytest.raises(UnknownCategoryError, match="sofa"):
        CategoryRules({"a": "sofa"}).check(registry)


def test_folder_names_are_known_only_by_themselves() -> None:
    rules = CategoryRules({"*": "perfume", "lipstick": "perfume"})
    assert rules.knows("Lipstick", build_registry())
    assert not rules.knows("photos", build_registry())


def test_category_map_file_and_alias_texts(tmp_path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text("lipstick: perfume\nkettle: perfume\n", encoding="utf-8")
    rules = load_category_rules(path, ["kettle=rice cooker"], None)
    assert rules.mapping == {"lipstick": "perfume", "kettle": "rice cooker"}
    (tmp_path / "map.json").write_text('{"a": 1}', encoding="utf-8")
    with pytest.raises(SettingsError, match=r"map\.json"):
        load_category_rules(tmp_path / "map.json")
    with pytest.raises(SettingsError, match="given=category"):
        load_category_rules(None, ["lipstick"])


@pytest.mark.parametrize(
    "values",
    [
        {"num_inference_steps": 0},
        {"num_inference_steps": 1001},
        {"num_inference_steps": True},
        {"guidance_scale": -1.0},
        {"guidance_scale": float("nan")},
        {"eta": 1.5},
        {"candidates": 0},
        {"batch_size": 0},
        {"reference_strength": -0.1},
        {"size": (32, 512)},
        {"aspect": (1, 20)},
        {"placement": "middle"},
        {"product_scale": 0.01},
        {"margin": 0.46},
        {"layers": "tiff"},
        {"contact_shadow": 0.9},
    ],
)
def test_settings_outside_their_range_are_refused_by_value(values: dict) -> None:
    value = next(iter(values.values()))
    with pytest.raises(SettingsError, match=str(value[0] if isinstance(value, tuple) else value)):
        GenerateConfig(**values)


def test_a_preset_gives_way_to_steps_and_scheduler() -> None:
    assert choose_sampler("quality") == Preset(50)
    assert choose_sampler("fast") == Preset(10, "DPMSolverMultistep")
    assert choose_sampler("fast", steps=14) == Preset(14, "DPMSolverMultistep")
    assert choose_sampler("balanced", scheduler="PNDM") == Preset(25, "PNDM")
    with pytest.raises(SettingsError, match=r"'best'.*quality, balanced, fast"):
        choose_sampler("best")


@pytest.mark.parametrize("preset", PRESETS.values())
def test_presets_name_schedulers_that_exist(preset: Preset) -> None:
    settings = GenerateConfig(num_inference_steps=preset.num_inference_steps, scheduler=preset.scheduler)
    assert settings.build_sampling().scheduler == preset.scheduler


def test_settings_reach_the_sampler() -> None:
    sampling = GenerateConfig(
        num_inference_steps=3, guidance_scale=1.5, initial_latent=False
    ).build_sampling()
    assert (sampling.num_inference_steps, sampling.guidance_scale, sampling.initial_latent) == (3, 1.5, False)


def test_what_does_not_change_a_image_is_not_described() -> None:
    plain = GenerateConfig().describe()
    assert GenerateConfig(batch_size=4, candidates=3).describe() == plain
    assert GenerateConfig(outputs=("1:1", "3:4")).describe() == plain
    changes = [
        {"eta": 0.5},
        {"size": (64, 96)},
        {"reference_strength": 0.5},
        {"scheduler": "DDPM"},
        {"aspect": (1, 1)},
        {"placement": "bottom"},
        {"margin": 0.1},
        {"product_scale": 0.5},
        {"encoding": EncodingConfig(format="jpeg")},
        {"layers": "ora"},
        {"contact_shadow": 0.2},
    ]
    described = [GenerateConfig(**changed).describe() for changed in changes]
    assert all(values != plain for values in described)
    assert len({str(values) for values in described}) == len(changes)


def test_plain_settings_are_described_as_before_layouts() -> None:
    """Keys and recipes of images depend on this; more of it would make every finished image anew."""
    assert GenerateConfig().describe() == {
        "steps": 50,
        "guidance": 2.0,
        "eta": 0.0,
        "scheduler": None,
        "reference_strength": 1.0,
        "category_strength": 1.0,
        "initial_latent": True,
        "size": "source",
    }
    assert GenerateConfig(size=(64, 96)).describe() == GenerateConfig().describe() | {"size": "96x64"}


def test_layouts_of_the_settings() -> None:
    (plain,) = GenerateConfig(size=(96, 128)).build_layouts()
    assert (plain.name, plain.size, plain.is_plain) == ("", (96, 128), True)
    config = GenerateConfig(outputs=("1:1", "16:9", "800x600", "source"), placement="bottom", margin=0.05)
    layouts = config.build_layouts()
    assert [layout.name for layout in layouts] == ["1x1", "16x9", "800x600", "source"]
    assert [layout.aspect for layout in layouts] == [(1, 1), (9, 16), None, None]
    assert [layout.size for layout in layouts] == [None, None, (600, 800), None]
    assert {(layout.placement, layout.margin) for layout in layouts} == {("bottom", 0.05)}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"outputs": ("1:1", "1:1")}, "twice"),
        ({"outputs": ("640x480", "640:480")}, "twice"),
        ({"outputs": ("1:1",), "size": (64, 64)}, "beside a size"),
        ({"outputs": ("1:1",), "aspect": (1, 1)}, "beside a size"),
        ({"outputs": "1:1"}, "tuple"),
        ({"outputs": tuple(f"{n}:10" for n in range(1, 18))}, "at most 16"),
        ({"outputs": ("",)}, "'' is not understood"),
        ({"outputs": ("1:1", "wide")}, "'wide' is not understood"),
    ],
)
def test_outputs_that_contradict_are_refused(values: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        GenerateConfig(**values)


def test_aspects_are_width_to_height() -> None:
    assert parse_aspect("16:9") == (9, 16)
    assert parse_output("3:4") == ("3x4", None, (4, 3))
    assert parse_output("source") == ("source", None, None)
    for text in ("16", "a:b", "1:-1", "16x9"):
        with pytest.raises(SettingsError, match="WIDTH:HEIGHT"):
            parse_aspect(text)


def test_sizes_are_width_by_height() -> None:
    assert parse_size("1024x768") == (768, 1024)
    assert parse_size(" Source ") is None
    for text in ("10", "x", "axb", "-5x5", "1.5x2", "64x64x3"):
        with pytest.raises(SettingsError, match="WIDTHxHEIGHT"):
            parse_size(text)
