"""A run of posters: a row per input, canvas and language; stops, kills and workers change no byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cyclorama.cli import main
from cyclorama.errors import OutputError, SettingsError
from cyclorama.generation.items import ItemSource
from cyclorama.generation.model import open_scenes
from cyclorama.generation.results import read_status
from cyclorama.generation.settings import GenerateConfig, InputSettings, RunConfig, RunSettings
from cyclorama.jobs.job import EngineSettings, Hooks
from cyclorama.posters import job as jobs
from cyclorama.posters.job import PosterJob
from cyclorama.posters.maker import PosterSettings
from cyclorama.posters.record import read_record
from cyclorama.posters.run import PosterResult, run_posters
from cyclorama.posters.words import find_languages, merge_words
from flat_scenes import load_flat
from stand_in import count_held_marks

WORDS = {"en": {"headline": "Good morning"}, "de": {"headline": "Guten Morgen"}}
CANVASES = {"160x200": (200, 160), "220x120": (120, 220)}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Three vases, and a file that is no image."""
    return draw_shop(tmp_path / "shop")


def draw_shop(folder: Path) -> Path:
    folder.mkdir()
    rows, columns = np.mgrid[:90, :60]
    for number in range(3):
        alpha = (np.hypot((rows - 45) / 40, (columns - 30) / (14 + 4 * number)) < 1) * 255
        colour = np.full((90, 60, 3), (30, 60 + 50 * number, 150))
        Image.fromarray(np.dstack([colour, alpha]).astype(np.uint8)).save(folder / f"vase{number}.png")
    (folder / "torn.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[PosterResult, Path]:
    """What a run gives that nothing disturbs, and its folder."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return run(draw_shop(folder / "shop"), folder / "out"), folder / "out"


@pytest.fixture(scope="module")
def whole(undisturbed: tuple[PosterResult, Path]) -> dict[str, bytes]:
    return read_all(undisturbed[1])


def run(
    folder: Path,
    out: Path,
    hooks: Hooks | None = None,
    canvases: Any = None,
    words: Any = None,
    workers: int = 1,
    retry: Any = None,
) -> PosterResult:
    config = RunConfig(
        GenerateConfig(preset="fast", shared_sets=False),
        RunSettings(dtype="float32", seed=3, retry=retry),
        EngineSettings(workers=workers, shard_size=2),
        InputSettings(category="vase").build_rules(),
    )
    job = PosterJob(
        out,
        config,
        open_scenes(),
        load_model=load_flat,
        wordings=words or WORDS,
        languages=tuple(words or WORDS),
        canvases=canvases or CANVASES,
        posters=PosterSettings(attempts=1, plans=1),
    )
    return run_posters(ItemSource(folder), job, hooks)


def read_all(out: Path) -> dict[str, bytes]:
    """All that a run promises, by path."""
    files = [p for p in out.rglob("*") if p.is_file() and "journal" not in p.parts and p.name != "lock"]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def read_rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_there_is_a_row_per_input_canvas_and_language(undisturbed: tuple[PosterResult, Path]) -> None:
    result, out = undisturbed
    rows = read_rows(out)
    assert [(row["name"], row["size"], row["language"]) for row in rows] == [
        (name, size, language)
        for name in ("torn.png", "vase0.png", "vase1.png", "vase2.png")
        for size in CANVASES
        for language in WORDS
    ]
    assert {row["status"] for row in rows if row["name"] == "torn.png"} == {"failed"}
    assert {row["error"] for row in rows[:4]} == {"UnreadableImageError"}
    assert result.posters["failed"] == 4 and result.made == 12 and result.finished
    for row in rows[4:]:
        assert row["status"] in ("done", "marked") and row["exact"] and row["category"] == "plant pot"
        with Image.open(out / row["output"]) as image:
            assert image.size == (row["width"], row["height"]) == CANVASES[row["size"]][::-1]
        record = read_record(out / row["record"])
        assert record.texts == WORDS[row["language"]] and record.seed == row["seed"]
        assert (row["status"] == "done") == record.verdict.accepted == (row.get("faults") is None)
    assert rows[4]["output"] == "posters/vase0.160x200.en.png"
    table = pq.read_table(out / "results.parquet").to_pylist()
    assert [row["output"] for row in table] == [row.get("output") for row in rows]
    page = (out / "index.html").read_text()
    assert page.count("<figure>") == 3 * 5 and "torn.png" in page and "posters/vase2.220x120.de.png" in page
    status = read_status(out)
    assert (status["done"], status["failed"], status["images"]) == (3, 1, 12)


def test_killed_at_any_poster_and_run_again_gives_the_same_bytes(
    shop: Path, tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = jobs.write_poster

    class Killed(BaseException):
        """What no handler catches."""

    for moment in (1, 2, 5, 12):
        count = [0]

        def write_or_die(*values: Any, count: list[int] = count, moment: int = moment) -> Any:
            found = write(*values)
            count[0] += 1
            if count[0] == moment:
                raise Killed
            return found

        monkeypatch.setattr(jobs, "write_poster", write_or_die)
        with pytest.raises(Killed):
            run(shop, tmp_path / f"killed{moment}")
        monkeypatch.setattr(jobs, "write_poster", write)
        result = run(shop, tmp_path / f"killed{moment}")
        assert result.made >= 12 - moment - 4  # the other shard finishes the row that it is at
        assert read_all(tmp_path / f"killed{moment}") == whole


def test_a_stopped_run_goes_on_and_a_finished_one_makes_nothing(
    shop: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    done: list[int] = []
    stopping: Callable[[], bool] = lambda: sum(done) >= 6  # noqa: E731
    stopped = run(shop, tmp_path / "out", Hooks(advanced=done.append, stopping=stopping))
    assert not stopped.finished and not (tmp_path / "out" / "results.jsonl").exists()
    status = read_status(tmp_path / "out")
    counts = [status[name] for name in ("rows", "images", "done", "failed", "pending")]
    assert counts == [4, stopped.made, stopped.made // 4, 0, 4 - stopped.made // 4]  # four posters an input
    again = run(shop, tmp_path / "out")
    assert again.finished and 0 < again.made < 12
    assert read_all(tmp_path / "out") == whole
    assert run(shop, tmp_path / "out").made == 0


def test_marks_are_read_one_by_one(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3, 7):
        (shop / f"torn{number}.png").write_bytes(b"no image")
    held = count_held_marks(monkeypatch)
    assert run(shop, tmp_path / "out", canvases={"160x200": (200, 160)}).refused == 5
    assert len(held) >= 8 and max(held) <= 1


def test_two_workers_give_the_bytes_of_one(shop: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    assert run(shop, tmp_path / "two", workers=2).made == 12
    assert read_all(tmp_path / "two") == whole


def test_what_is_unchanged_is_kept(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(shop, out, canvases={"160x200": (200, 160)})
    assert run(shop, out).made == 6, "only the new canvas"
    (shop / "a.png").write_bytes((shop / "vase1.png").read_bytes())
    assert run(shop, out).made == 4, "only the new input, though all moved by one row"
    (out / "posters" / "vase0.160x200.en.png").unlink()
    assert run(shop, out).made == 2, "the canvas whose file is gone"
    assert run(shop, out, words={"en": {"headline": "Good night"}}).made == 8
    run(shop, tmp_path / "fresh", words={"en": {"headline": "Good night"}})
    assert read_rows(out) == read_rows(tmp_path / "fresh")


def test_posters_of_another_input_are_not_written_over(shop: Path, tmp_path: Path) -> None:
    out, small = tmp_path / "out", {"canvases": {"160x200": (200, 160)}, "words": {"en": WORDS["en"]}}
    run(shop, out, **small)
    before, other, notes = read_all(out), tmp_path / "other", list[str]()
    other.mkdir()
    (other / "vase1.png").write_bytes((shop / "vase0.png").read_bytes())
    with pytest.raises(OutputError, match="vase1.160x200.png, an image of another input"):
        run(other, out, **small)
    assert read_all(out) == before
    (other / "vase1.png").rename(other / "new.png")
    assert run(other, out, Hooks(noted=notes.append), **small).made == 1
    assert notes == ["3 images of earlier rows are no longer part of this run; they stay in posters/"]
    assert before.items() >= {n: d for n, d in read_all(out).items() if "vase" in n}.items()


def test_failed_inputs_are_tried_again_when_asked(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = jobs.PosterMaker.make

    def refuse(self: Any, product: Any, *values: Any, **named: Any) -> Any:
        if product.name == "vase1.png":
            raise RuntimeError("a cosmic ray")
        return make(self, product, *values, **named)

    monkeypatch.setattr(jobs.PosterMaker, "make", refuse)
    result = run(shop, tmp_path / "out")
    assert result.posters["failed"] == 8
    assert {row["error"] for row in result.failures} == {"UnreadableImageError", "RuntimeError"}
    monkeypatch.setattr(jobs.PosterMaker, "make", make)
    assert run(shop, tmp_path / "out").made == 0
    (tmp_path / "out/posters/vase2.160x200.en.png").unlink()  # the shard has no valid mark any more
    assert run(shop, tmp_path / "out", retry="failed").made == 6
    run(shop, tmp_path / "fresh")
    assert read_rows(tmp_path / "out") == read_rows(tmp_path / "fresh")


def test_words_that_do_not_fit_one_canvas_fail_there_alone(shop: Path, tmp_path: Path) -> None:
    for name in ("vase1.png", "vase2.png"):
        (shop / name).unlink()
    words = {"en": {"headline": "many words " * 40}}
    canvases = {"square": (200, 200), "wide": (200, 900)}
    result = run(shop, tmp_path / "out", words=words, canvases=canvases)
    rows = read_rows(tmp_path / "out")[2:]
    assert {(row["size"], row.get("error")) for row in rows} == {("square", "LayoutError"), ("wide", None)}
    assert result.posters["failed"] == 3


def test_the_command_and_its_edit(tmp_path: Path, shop: Path, capsys: Any) -> None:
    (tmp_path / "texts.yaml").write_text("headline: Good morning\n")
    out = tmp_path / "out"
    (shop / "vase1.png").unlink()
    (shop / "vase2.png").unlink()
    arguments = ["poster", str(shop), "--texts", str(tmp_path / "texts.yaml"), "--out", str(out)]
    arguments += ["--category", "vase", "--attempts", "1"]
    assert main([*arguments, "--size", "96x120", "--dry-run"]) == 0
    assert "2 images to make in 1 shards" in capsys.readouterr().out and not out.exists()
    assert main([*arguments, "--size", "96x120"]) == 1
    said = capsys.readouterr()
    assert "UnreadableImageError: torn.png, 96x120, en" in said.err and "1 failed; 1 made now" in said.out
    record = out / "posters" / "vase0.96x120.poster.json"
    edited = ["poster", "edit", str(record), "--text.headline", "Hello", "--out", str(tmp_path / "new")]
    assert main(edited) in (0, 1)
    assert read_record(tmp_path / "new" / record.name).texts == {"headline": "Hello"}
    assert main([*arguments, "--size", "huge"]) == 2
    assert "give square, portrait" in capsys.readouterr().err
    assert main([*arguments, "--reference", "scene"]) == 2
    assert "posters take an image as reference" in capsys.readouterr().err


def test_words_come_from_the_columns_of_a_table(shop: Path, tmp_path: Path) -> None:
    table = shop / "shop.csv"
    table.write_text(
        "image,headline_de,Headline (en),Sale price,price\n"
        "vase0.png,Guten Tag,Good day,,39.00 EUR\n"
        "vase1.png,Guten Abend,Good evening,29.00 EUR,39.00 EUR\n"
        "vase2.png,,Good night,,39.00 EUR\n",
        encoding="utf-8",
    )
    planned = ["plan", str(table), "--size", "160x200", "--category", "vase", "--plans", "1"]
    assert main([*planned, "--out", str(tmp_path / "plans")]) == 1  # the third row's languages differ
    source = ItemSource(table, words=True)
    assert source.words == {"": ["price"], "de": ["headline"], "en": ["headline"]}
    assert source.notes[-1] == (
        "words: price from 'Sale price' or 'price', headline (de) from 'headline_de', headline (en) from "
        "'Headline (en)'"
    )
    run_table(table, tmp_path / "out")
    rows = read_rows(tmp_path / "out")
    assert [(row["name"], row["language"]) for row in rows] == [
        (f"vase{number}.png", language) for number in range(3) for language in ("de", "en")
    ]
    said = [read_record(tmp_path / "out" / row["record"]).texts for row in rows[:4]]
    assert said == [
        {"headline": "Guten Tag", "price": "39.00 EUR"},
        {"headline": "Good day", "price": "39.00 EUR"},
        {"headline": "Guten Abend", "price": "29.00 EUR"},
        {"headline": "Good evening", "price": "29.00 EUR"},
    ]
    assert {(row["status"], row["error"]) for row in rows[4:]} == {("failed", "SettingsError")}
    assert rows[4]["reason"].startswith("row 3: languages say different things")
    kept = read_all(tmp_path / "out")
    table.write_text(table.read_text().replace("Good day", "Good noon"))
    assert run_table(table, tmp_path / "out").made == 2  # of the one product whose words are others
    changed = read_all(tmp_path / "out")
    posters = [name for name in kept if name.startswith("posters/")]
    assert {name.split(".")[0] for name in posters if kept[name] != changed[name]} == {"posters/vase0"}


def run_table(table: Path, out: Path) -> PosterResult:
    config = RunConfig(
        GenerateConfig(preset="fast", shared_sets=False),
        RunSettings(dtype="float32", seed=3),
        EngineSettings(workers=1, shard_size=2),
        InputSettings(category="vase").build_rules(),
    )
    source = ItemSource(table, words=True)
    job = PosterJob(
        out,
        config,
        open_scenes(),
        load_model=load_flat,
        languages=find_languages({}, source.words),
        canvases={"160x200": (200, 160)},
        posters=PosterSettings(attempts=1, plans=1),
    )
    return run_posters(source, job)


def test_words_of_a_row_go_before_those_of_the_file() -> None:
    file = {"en": {"headline": "Hello", "action": "Buy"}, "de": {"headline": "Hallo", "action": "Kaufen"}}
    row = json.dumps({"": {"price": "39 €", "title": "Vase"}, "de": {"headline": "Guten Tag"}})
    assert merge_words(file, row, ("en", "de"), "row 1") == {
        "en": {"headline": "Hello", "price": "39 €", "action": "Buy"},
        "de": {"headline": "Guten Tag", "price": "39 €", "action": "Kaufen"},
    }
    alone = json.dumps({"": {"price": "39 €", "title": "Vase"}})
    assert merge_words({}, alone, ("en",), "row 1") == {"en": {"headline": "Vase", "price": "39 €"}}
    with pytest.raises(SettingsError, match="row 7: no words; fill one of the columns headline, "):
        merge_words({}, None, ("en",), "row 7")


def test_an_input_without_any_words_is_refused_before_the_run(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["poster", str(shop), "--out", str(tmp_path / "out")]) == 2
    assert "no words are given: name a file (--texts), or use a table" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
