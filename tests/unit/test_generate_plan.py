"""Names, seeds, batches, categories and settings: all that is settled before the first image."""

from __future__ import annotations

import random

import pytest

from cyclorama.errors import SettingsError, UnknownCategoryError
from cyclorama.generation.batches import build_batches, choose_usual_size, compute_item_seeds
from cyclorama.generation.settings import (
    PRESETS,
    GenerateConfig,
    RunConfig,
    parse_aspect,
    parse_output,
    parse_size,
)
from cyclorama.generation.writers import build_ending, build_stems
from cyclorama.models.registry import CategoryRegistry
from cyclorama.models.words import CategoryRules, load_category_rules

LONG = "the longer side must be at most 10 times the shorter"


def test_names_keep_folders_and_tell_suffixes_apart() -> None:
    names = ["a.png", "shoes/a.jpg", "a.jpg", "b.tar.gz.webp", "über/日本.png"]
    assert build_stems(names) == ["a-png", "shoes/a", "a-jpg", "b.tar.gz", "über/日本"]


def test_names_do_not_depend_on_order() -> None:
    names = ["a.png", "a.jpg", "a.webp", "b/a.png", "c.png"]
    expected = dict(zip(names, build_stems(names), strict=True))
    for seed in range(5):
        shuffled = random.Random(seed).sample(names, len(names))
        assert dict(zip(shuffled, build_stems(shuffled), strict=True)) == expected


@pytest.mark.parametrize("layouts", [[""], ["1x1", "3x4", "11x1", "source"]])
@pytest.mark.parametrize("candidates", [1, 12])
def test_names_never_collide_even_without_case(candidates: int, layouts: list[str]) -> None:
    names = ["a.png", "A.png", "a.png", "a-2.png", "a.jpg", "a-jpg.png", "a-c1.png", "a-c1-2.png", "a"]
    names += ["a.1x1.png", "A.1x1.jpg", "a.3x4-c1.png", "a-c1.1x1.png", "a", "x", "x", "x-2", "x-2-2", "x-2"]
    endings = [build_ending(layout, k + 1, candidates) for layout in layouts for k in range(candidates)]
    paths = [(stem + ending).casefold() for stem in build_stems(names) for ending in endings]
    assert len(set(paths)) == len(paths) == len(names) * candidates * len(layouts)


def test_a_doubled_input_takes_no_other_inputs_name() -> None:
    assert build_stems(["x", "x", "x-2", "x", "X"]) == ["x", "x-3", "x-2", "x-4", "X-5"]
    assert build_stems(["x-2", "x", "x-2", "x"]) == ["x-2", "x", "x-2-2", "x-3"]


def test_names_of_random_crowds_never_collide() -> None:
    draw = random.Random(1)
    for _ in range(200):
        parts = [
            draw.choice("aAbä") + draw.choice(["", "-2", "-3", "-jpg"]) for _ in range(draw.randint(1, 40))
        ]
        names = [part + draw.choice(["", ".jpg", ".png", ".PNG"]) for part in parts]
        stems = [stem.casefold() for stem in build_stems(names)]
        assert len(set(stems)) == len(names)


@pytest.mark.parametrize(
    ("layout", "candidate", "candidates", "ending"),
    [("", 1, 1, ""), ("", 2, 2, "-c2"), ("16x9", 1, 1, ".16x9"), ("3x4", 2, 3, ".3x4-c2")],
)
def test_outputs_and_candidates_are_named(layout: str, candidate: int, candidates: int, ending: str) -> None:
    assert build_ending(layout, candidate, candidates) == ending


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("../../etc/passwd.png", "etc/passwd"),
        ("/abs/a.png", "abs/a"),
        ("sub\\win.png", "sub/win"),
        ('q?"<>|.png', "q_____"),
        ("..", "image"),
        ("", "image"),
        ("e. .png", "e. "),
        (".hidden", ".hidden"),
        ("a//b.png", "a/b"),
        ("e./b.png", "e/b"),
        ("con:x?.png", "con_x_"),
    ],
)
def test_names_stay_inside_the_folder(name: str, stem: str) -> None:
    assert build_stems([name]) == [stem]


@pytest.mark.parametrize("length", [180, 181, 300])
def test_long_names_are_shortened_but_stay_apart(length: int) -> None:
    first, second = build_stems(["n" * (length - 1) + "1.png", "n" * (length - 1) + "2.png"])
    assert first != second
    assert (first == "n" * (length - 1) + "1") is (length <= 180)
    assert len(first) <= 180
    assert max(len(stem.encode()) for stem in build_stems(["é" * 300 + "1.png"])) <= 180


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
    assert choose_usual_size(None, "cpu") == 1
    assert choose_usual_size(None, "cuda:1") == 8
    assert choose_usual_size(5, "cpu") == 5


def build_registry() -> CategoryRegistry:
    registry = CategoryRegistry()
    registry.add("perfume", aliases=["scent"])
    registry.add("rice cooker")
    return registry


def test_rules_in_their_order() -> None:
    registry = build_registry()
    rules = CategoryRules({"Lip Stick": "perfume"}, default="rice cooker")
    found = {
        name: rules.choose(name, registry) for name in ("scent", "lip-stick", "sofa", None, "Rice_Cookers")
    }
    assert {name: (match.category.name, match.source) for name, match in found.items()} == {
        "scent": ("perfume", "alias"),
        "lip-stick": ("perfume", "map"),
        "sofa": ("rice cooker", "default"),
        None: ("rice cooker", "default"),
        "Rice_Cookers": ("rice cooker", "plural"),
    }
    catch_all = CategoryRules({"*": "perfume"})
    assert catch_all.choose("sofa", registry).category.name == "perfume"
    assert catch_all.choose("Rice_Cooker", registry).category.name == "rice cooker"


def test_unknown_and_missing_categories_are_named() -> None:
    registry = build_registry()
    with pytest.raises(UnknownCategoryError, match="perfume"):
        CategoryRules().choose("perfum", registry)
    with pytest.raises(SettingsError, match=r"--category.*perfume, rice cooker"):
        CategoryRules(strict=True).choose(None, registry)
    assert CategoryRules().choose(None, registry) is None is CategoryRules().choose("auto", registry)
    with pytest.raises(UnknownCategoryError, match="sofa"):
        CategoryRules({"a": "sofa"}).check(registry)
    with pytest.raises(UnknownCategoryError, match="sofa"):
        CategoryRules(default="sofa").check(registry)


def test_folders_name_a_category_only_by_themselves() -> None:
    rules, registry = CategoryRules({"*": "perfume", "lipstick": "rice cooker"}), build_registry()
    match = rules.choose(None, registry, ("2024", "Lipsticks", "perfume"))
    assert (match.category.name, match.source, match.matched) == ("perfume", "folder, name", "perfume")
    match = rules.choose(None, registry, ("lipstick", "perfume"))
    assert (match.category.name, match.source) == ("rice cooker", "folder, map")
    assert rules.choose(None, registry, ("photos",)) is None
    assert CategoryRules(default="perfume").choose(None, registry, ("rice cooker",)).source == "default"


def test_category_map_file_and_alias_texts(tmp_path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text("lipstick: perfume\nkettle: perfume\n", encoding="utf-8")
    rules = load_category_rules(path, ["kettle=rice cooker"], None)
    assert rules.mapping == {"lipstick": "perfume", "kettle": "rice cooker"}
    (tmp_path / "map.json").write_text('{\n\t"kettle": "rice cooker"\n}', encoding="utf-8")
    assert load_category_rules(tmp_path / "map.json").mapping == {"kettle": "rice cooker"}
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


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, (50, None)),
        ({"preset": "fast"}, (8, "DPMSolverMultistep")),
        ({"preset": "fast", "steps": 14}, (14, "DPMSolverMultistep")),
        ({"preset": "balanced", "scheduler": "PNDM"}, (25, "PNDM")),
    ],
)
def test_a_preset_gives_way_to_steps_and_scheduler(values: dict, expected: tuple) -> None:
    sampling = GenerateConfig(**values).build_sampling()
    assert (sampling.num_inference_steps, sampling.scheduler) == expected
    described = GenerateConfig(**values).describe()
    assert (described["steps"], described["scheduler"]) == expected


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(SettingsError, match=r"preset: must be 'quality', 'balanced' or 'fast', got 'best'"):
        GenerateConfig(preset="best")


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_name_schedulers_that_exist(preset: str) -> None:
    assert GenerateConfig(preset=preset).build_sampling().scheduler == PRESETS[preset][1]


def test_settings_reach_the_sampler() -> None:
    sampling = GenerateConfig(
        num_inference_steps=3, guidance_scale=1.5, initial_latent=False
    ).build_sampling()
    assert (sampling.num_inference_steps, sampling.guidance_scale, sampling.initial_latent) == (3, 1.5, False)


def test_fast_images_with_a_reference_need_no_guidance() -> None:
    fast, quality = GenerateConfig(preset="fast"), GenerateConfig()
    assert [fast.build_sampling(referenced).guidance_scale for referenced in (False, True)] == [2.0, 1.0]
    assert [quality.build_sampling(referenced).guidance_scale for referenced in (False, True)] == [2.0, 2.0]
    told = GenerateConfig(preset="fast", guidance_scale=3.0)
    assert [told.build_sampling(referenced).guidance_scale for referenced in (False, True)] == [3.0, 3.0]
    assert [fast.describe(referenced=referenced)["guidance"] for referenced in (False, True)] == [2.0, 1.0]
    runs = [RunConfig(settings).describe()["guidance_with_reference"] for settings in (fast, quality, told)]
    assert runs == [1.0, 2.0, 3.0]


def test_what_does_not_change_a_image_is_not_described() -> None:
    plain = GenerateConfig().describe()
    assert GenerateConfig(batch_size=4, candidates=3).describe() == plain
    assert GenerateConfig(outputs=("1:1", "3:4")).describe() == plain
    alone = GenerateConfig(shared_sets=False)
    assert alone.describe() == plain
    assert alone.describe(learned=False) == GenerateConfig().describe(learned=False) | {"shared_sets": False}
    changes = [
        {"eta": 0.5},
        {"size": (64, 96)},
        {"reference_strength": 0.5},
        {"scheduler": "DDPM"},
        {"aspect": (1, 1)},
        {"placement": "bottom"},
        {"margin": 0.1},
        {"product_scale": 0.5},
        {"format": "jpeg"},
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


def test_sixteen_outputs_are_the_most() -> None:
    names = tuple(f"{100 + number}x100" for number in range(17))
    assert len(GenerateConfig(outputs=names[:16]).build_layouts()) == 16
    with pytest.raises(SettingsError, match="outputs"):
        GenerateConfig(outputs=names)


def test_layouts_of_the_settings() -> None:
    (plain,) = GenerateConfig(size=(96, 128)).build_layouts()
    assert (plain.name, plain.size, plain.makes_room) == ("", (96, 128), True)
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
        ({"outputs": "1:1"}, "must be a list"),
        ({"outputs": tuple(f"{n}:10" for n in range(1, 18))}, "at most 16"),
        ({"outputs": ("",)}, "'' is not understood"),
        ({"outputs": ("1:1", "wide")}, "'wide' is not understood"),
    ],
)
def test_outputs_that_contradict_are_refused(values: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        GenerateConfig(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"outputs": ("728x90,970x250,320x50",)},
            "output '320x50': height must be from 64 to 8192 pixels, got 50",
        ),
        ({"size": "9000x100"}, "size '9000x100': width must be from 64 to 8192 pixels, got 9000"),
        ({"size": (50, 320)}, "size '320x50': height must be from 64 to 8192 pixels, got 50"),
        ({"outputs": ("1:1", "1600x90")}, f"output '1600x90': {LONG}, got 17.7778 times"),
        ({"size": "100x1001"}, f"size '100x1001': {LONG}, got 10.01 times"),
    ],
)
def test_sizes_outside_the_limits_are_named_with_their_side(values: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=f"^{message}$"):
        GenerateConfig(**values)


def test_sizes_up_to_the_limits_are_taken() -> None:
    sizes = [(90, 728), (64, 640), (640, 64), (8192, 8192), (820, 8192)]
    layouts = GenerateConfig(outputs=tuple(f"{w}x{h}" for h, w in sizes)).build_layouts()
    assert [layout.size for layout in layouts] == sizes


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
