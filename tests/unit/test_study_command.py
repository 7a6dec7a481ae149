"""``cyclorama lab study``: what the command line adds to the study's parts."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from cyclorama import cli
from cyclorama.lab.study.answers import Answer, AnswerStore, format_answers
from cyclorama.lab.study.study import QUESTIONS, Study, load_study


def run(*arguments: object) -> int:
    return cli.main(["lab", "study", *map(str, arguments)])


@pytest.fixture
def world(tmp_path: Path) -> Path:
    for shift, name in enumerate(("ours", "theirs", "references")):
        (tmp_path / name).mkdir()
        for n in range(5 if name == "ours" else 4):
            pixels = np.full((16, 16, 3), 50 * n + 9 * shift, np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"p{n}.png")
    return tmp_path


def build(world: Path, *options: object, out: str = "study") -> int:
    methods = [f"{name}={world / name}" for name in ("ours", "theirs")]
    return run("build", *methods, "--references", world / "references", "--out", world / out, *options)


def rate(study: Study, code: str, best: str) -> list[Answer]:
    rows = []
    for task in study.raters[code]:
        methods = study.get_methods(task.pair)
        order = tuple(sorted(task.images, key=lambda name: methods[name] != best))
        rows += [Answer(task.name, question, order, 1, 1) for question in QUESTIONS]
    return rows


def test_sent_and_served_answers_are_scored_together(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(world, "--pairs", 4, "--raters", 2, "--seed", 5) == 0
    said = capsys.readouterr()
    assert "4 pairs, 2 methods, 2 raters" in said.out
    assert "1 of 5 products left out: not done by every method" in said.err
    folder = world / "study"
    study = load_study(folder)
    assert study.seed == 5
    one, two = study.raters
    values = format_answers(study, one, rate(study, one, "ours"))
    (folder / "answers" / "one.json").write_text(json.dumps(values))
    AnswerStore(folder, study).save(two, rate(study, two, "theirs"))
    assert run("score", folder, "--out", world / "scores") == 0
    said = capsys.readouterr()
    score = json.loads(said.out)
    assert "2 of 2 raters answered" in said.err
    assert [m["score"]["value"] for m in score["questions"][0]["methods"]] == [1.5, 1.5]
    assert json.loads((world / "scores" / "scores.json").read_text()) == score
    assert "| ours | 1.50" in (world / "scores" / "scores.md").read_text()
    assert run("score", folder, folder / "answers" / "one.json") == 0  # named places alone
    score = json.loads(capsys.readouterr().out)
    assert [m["score"]["value"] for m in score["questions"][0]["methods"]] == [2, 1]
    AnswerStore(folder, study).save(one, rate(study, one, "theirs"))
    assert run("score", folder) == 2
    said = capsys.readouterr().err
    assert re.search(r"ConflictingAnswersError: .*one\.json and in .*served-", said)


def test_without_a_seed_every_study_is_another(world: Path) -> None:
    assert build(world, "--pairs", 3, out="a") == build(world, "--pairs", 3, out="b") == 0
    assert load_study(world / "a").seed != load_study(world / "b").seed
    assert not set(load_study(world / "a").raters) & set(load_study(world / "b").raters)


def test_wrong_arguments_are_named_before_any_work(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(code: int, message: str) -> None:
        assert code == 2 and re.search(message, capsys.readouterr().err)

    for methods, message in [
        (["ours"], "METHOD=DIR.*'ours'"),
        (["=x"], "METHOD=DIR"),
        ([f"a={world}", f"a={world}"], "'a' is there twice"),
        ([f"a={world / 'ours'}"], "2 to 8 methods, got 1"),
    ]:
        refuse(
            run("build", *methods, "--references", world / "references", "--out", world / "s", "--pairs", 2),
            message,
        )
    refuse(build(world), "--pairs 20, but only 4")
    for text, message in [
        ("[]", "got list"),
        ("{", "not valid YAML"),
        ('{"starts": "x"}', "no wording 'starts'"),
    ]:
        (world / "words.json").write_text(text)
        refuse(build(world, "--pairs", 2, "--wording", world / "words.json"), message)
    (world / "file").write_text("")
    refuse(build(world, "--pairs", 2, out="file"), "OutputError: .*is a file")
    refuse(build(world, "--raters", 0), "raters: must be from 1 to 1000, got '?0")
    assert not (world / "study").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_well_with_a_signal_though_started_in_the_background(world: Path, number: int) -> None:
    build(world, "--pairs", 2, "--quiet")
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN);"  # as `command &` has it
        "from cyclorama.cli import main;"
        f"raise SystemExit(main(['lab', 'study', 'serve', {str(world / 'study')!r}, '--port', '0']))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = urlsplit(server.stdout.readline().split("#")[0])
        connection = HTTPConnection(str(address.hostname), address.port, timeout=20)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
        server.send_signal(number)
        try:
            assert server.wait(20) == 0
        finally:
            server.kill()
