"""A licence per row, and a mark that goes from an image to its set, to a model, and to models after it."""

from __future__ import annotations

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
