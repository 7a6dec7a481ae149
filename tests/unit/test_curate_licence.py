"""A licence per row, and a mark that goes from an image to its set, to a model, and to models after it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cyclorama.curate.records import Record
from cyclorama.curate.stated import LicenceRule, LicenceSettings
from cyclorama.data.examples import SourceConfig
from cyclorama.data.licences import (
    SetLicence,
    count_licences,
    find_source_licence,
    load_set_licence,
    mark_model,
    save_set_licence,
)
from cyclorama.data.shards import Sample, write_shards
from cyclorama.errors import ConfigError, DataError
from cyclorama.generation.model import find_licence


def judge(settings: LicenceSettings, *licences: str | None) -> list[tuple[str, str, str]]:
    rows = [Record(f"r{n}", "x.png", licence=licence) for n, licence in enumerate(licences)]
    return [
        (f.verdict.value, f.values["licence"], f.values["commercial_use"])
        for f in LicenceRule(settings).judge_all(rows)
    ]


def test_every_row_gets_its_licence_and_use() -> None:
    given = (" CC0-1.0 ", "CC-BY-NC-4.0", None, "unknown")
    assert judge(LicenceSettings(), *given) == [
        ("keep", "CC0-1.0", "allowed"),
        ("keep", "CC-BY-NC-4.0", "forbidden"),
        ("keep", "not stated", "unstated"),
        ("keep", "unknown", "unstated"),
    ]
    strict = LicenceSettings(restricted="drop", unstated="review", refused=("gpl",))
    assert [row[0] for row in judge(strict, *given, "GPL-3.0")] == [
        "keep",
        "drop",
        "review",
        "review",
        "drop",
    ]


@pytest.mark.parametrize("values", [{"restricted": "keep"}, {"unstated": "mark"}, {"refused": ("",)}])
def test_settings_that_mean_nothing_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        LicenceSettings(**values)  # type: ignore[arg-type]


def test_one_restricted_image_marks_the_set() -> None:
    free = count_licences(["CC0-1.0", "MIT", "CC0-1.0"])
    assert (free.counts, free.commercial_use) == ({"CC0-1.0": 2, "MIT": 1}, "allowed")
    assert count_licences(["CC0-1.0", None]).commercial_use == "unstated"
    assert SetLicence().commercial_use == "unstated"
    marked = count_licences(["CC0-1.0", None, "academic use only"])
    assert (marked.commercial_use, marked.restricted) == ("forbidden", ("academic use only",))
    assert free.merge(marked).counts == {"": 1, "CC0-1.0": 3, "MIT": 1, "academic use only": 1}


def test_the_mark_goes_from_set_to_model_to_model(tmp_path: Path) -> None:
    marked, free, start, model, after = (tmp_path / n for n in ("marked", "free", "start", "model", "after"))
    for folder in (marked, free, start, model, after):
        folder.mkdir()
    save_set_licence(count_licences(["CC0-1.0", "CC-BY-NC-4.0"]), marked)
    save_set_licence(count_licences(["CC0-1.0"]), free)
    assert load_set_licence(marked) == SetLicence({"CC-BY-NC-4.0": 1, "CC0-1.0": 1})
    (model / "MODEL_CARD.md").write_text("# A model\n\nLicence: Apache-2.0\n")
    assert mark_model(model, start, SourceConfig(path=marked)) is not None
    assert find_licence(model) == "non-commercial use only; trained on images under CC-BY-NC-4.0"
    assert "# A model" in (model / "MODEL_CARD.md").read_text()
    found = mark_model(after, model, SourceConfig(path=free))  # trained on, with free images only
    assert found is not None and found.counts == {"CC-BY-NC-4.0": 1, "CC0-1.0": 2}
    assert "non-commercial" in find_licence(after)
    again = (after / "MODEL_CARD.md").read_text()
    mark_model(after, model, SourceConfig(path=free))
    assert (after / "MODEL_CARD.md").read_text() == again


def test_free_and_unknown_sets_leave_the_card_alone(tmp_path: Path) -> None:
    save_set_licence(count_licences(["CC0-1.0"]), tmp_path)
    model = tmp_path / "model"
    model.mkdir()
    assert mark_model(model, tmp_path / "start", SourceConfig(path=tmp_path)) == SetLicence({"CC0-1.0": 1})
    assert not (model / "MODEL_CARD.md").exists()
    bare = tmp_path / "bare"
    bare.mkdir()
    assert mark_model(bare, bare, SourceConfig(path=bare)) is None
    assert list(bare.iterdir()) == []


def test_the_published_set_is_restricted_and_a_broken_file_is_named(tmp_path: Path) -> None:
    published = find_source_licence(SourceConfig(path=tmp_path, kind="bg60k"))
    assert published is not None and published.commercial_use == "forbidden"
    (tmp_path / "licence.json").write_text("{}")
    with pytest.raises(DataError, match="which licences"):
        load_set_licence(tmp_path)


def write_set(folder: Path, *licences: str | None) -> Path:
    """Shards without ``licence.json`` whose JSON members state ``licences``."""
    rows = [{"category": "cup"} | ({} if name is None else {"licence": name}) for name in licences]
    write_shards([Sample(f"k{n}", b"x", b"y", row) for n, row in enumerate(rows)], folder)
    return folder


def test_shards_without_a_licence_file_count_what_their_images_state(tmp_path: Path) -> None:
    marked = write_set(tmp_path / "marked", "CC-BY-NC-4.0", "CC0-1.0", None)
    source = SourceConfig(path=marked)
    expected = {"": 1, "CC-BY-NC-4.0": 1, "CC0-1.0": 1}
    assert find_source_licence(source) == SetLicence(expected)
    assert find_source_licence(SourceConfig(path=marked / "shard-000000.tar")) == SetLicence(expected)
    (tmp_path / "model").mkdir()
    found = mark_model(tmp_path / "model", tmp_path / "start", source)
    assert found is not None and found.commercial_use == "forbidden"
    assert "non-commercial" in find_licence(tmp_path / "model")


def test_a_pattern_over_folders_takes_each_folders_licence(tmp_path: Path) -> None:
    save_set_licence(count_licences(["CC-BY-NC-4.0"] * 2), write_set(tmp_path / "sets-a", None))
    write_set(tmp_path / "sets-b", "CC0-1.0")
    write_set(tmp_path / "other", "MIT")
    found = find_source_licence(SourceConfig(path=tmp_path / "sets*" / "shard-*.tar"))
    assert found == SetLicence({"CC-BY-NC-4.0": 2, "CC0-1.0": 1})


@pytest.mark.parametrize("images", [None, 0, 2])
def test_new_images_that_state_nothing_leave_a_free_start_unstated(
    images: int | None, tmp_path: Path
) -> None:
    """None: no images are to be found at the source's path."""
    start, model, new = tmp_path / "start", tmp_path / "model", tmp_path / "new"
    for folder in (start, model):
        folder.mkdir()
    save_set_licence(count_licences(["CC0-1.0"] * 3), start)
    if images is not None:
        write_set(new, *[None] * images)
    found = mark_model(model, start, SourceConfig(path=new))
    assert found == SetLicence({"": images or 1, "CC0-1.0": 3})
    assert json.loads((model / "licence.json").read_text())["commercial_use"] == "unstated"
