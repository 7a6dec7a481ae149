"""Which batch `cyclorama remote generate` goes on with: that of the same input, until its images are here."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cyclorama.client import RemoteWork
from cyclorama.commands import remote
from cyclorama.errors import OutputError
from drawn import save_product

ENDED = {"done": 1, "images": 1, "failed": 0}


class Server:
    """Stands for the client of a server; batches end when they are followed."""

    url = "http://there"

    def __init__(self, *_: object) -> None:
        self.states: dict[str, str] = {}
        self.log: list[Any] = []
        self.stopped = self.broken = False

    def batch(self, table: Path | None) -> RemoteWork:
        id = f"bt_{len(self.states)}"
        self.states[id] = "open"
        return self.read(id)

    def add_files(self, id: str, part: bytes) -> RemoteWork:
        self.log.append((id, *zipfile.ZipFile(io.BytesIO(part)).namelist()))
        return self.read(id)

    def read(self, id: str) -> RemoteWork:
        return RemoteWork(id, self.states[id], ENDED, {"files": 1, "failures": []})

    def upload(self, path: str) -> str:
        return f"as_{Path(path).stem}"

    def run(self, id: str, **order: Any) -> None:
        self.log.append(f"run {id}")

    def follow(self, client: Any, id: str, quiet: bool) -> RemoteWork | None:
        self.states[id] = "cancelled" if self.stopped else "done"
        return None if self.stopped else self.read(id)

    def fetch(self, client: Any, ended: RemoteWork, out: Path) -> None:
        if self.broken:
            raise OSError("the line broke")
        self.log.append(f"fetch {ended.id}")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    found = Server()
    monkeypatch.setattr(remote, "Client", lambda *_: found)
    monkeypatch.setattr(remote, "follow", found.follow)
    monkeypatch.setattr(remote, "fetch", found.fetch)
    return found


def test_another_input_is_another_batch(server: Server, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_product(tmp_path / name / f"{name}.png", 0, (32, 32), soft=False)

    def generate(name: str) -> int:
        return remote.generate(str(tmp_path / name), out=tmp_path / "out", quiet=True)

    server.stopped = True
    assert generate("a") == 130
    server.stopped = False
    assert generate("b") == 0
    assert server.log == [("bt_0", "a.png"), "run bt_0", ("bt_1", "b.png"), "run bt_1", "fetch bt_1"]
    server.log.clear()

    server.stopped = True
    assert generate("a") == 130
    assert generate("a") == 130
    assert server.log == [("bt_2", "a.png"), "run bt_2", "run bt_2"], "the same input goes on"
    save_product(tmp_path / "a" / "a.png", 1, (48, 32), soft=False)
    server.log.clear()
    assert generate("a") == 130
    assert server.log == [("bt_3", "a.png"), "run bt_3"], "the file is another one now"


def test_a_batch_that_ended_is_fetched_and_not_made_again(server: Server, tmp_path: Path) -> None:
    save_product(tmp_path / "a.png", 0, (32, 32), soft=False)
    server.broken = True
    with pytest.raises(OSError, match="line broke"):
        remote.generate(str(tmp_path / "a.png"), out=tmp_path / "out", quiet=True)
    server.broken = False
    assert remote.generate(str(tmp_path / "a.png"), out=tmp_path / "out", quiet=True) == 0
    assert server.log == [("bt_0", "a.png"), "run bt_0", "fetch bt_0"]
    assert remote.generate(str(tmp_path / "a.png"), out=tmp_path / "out", quiet=True) == 0
    assert server.log[3:] == [("bt_1", "a.png"), "run bt_1", "fetch bt_1"]


@pytest.mark.parametrize("note", ["remote.json", "journal/run.json"])
def test_an_image_of_another_file_of_the_same_name_is_kept(server: Server, tmp_path: Path, note: str) -> None:
    for place, name in enumerate(("a", "b")):
        save_product(tmp_path / name / "cup.png", place, (32, 32), soft=False)
    earlier, out = tmp_path / "a/cup.png", tmp_path / "out"
    assert remote.generate(str(earlier), out=out, quiet=True) == 0
    if note != "remote.json":  # made on this machine
        (out / "remote.json").unlink()
        (out / "journal").mkdir()
        (out / note).write_text(json.dumps({"source": str(earlier)}))
    digest = hashlib.sha256(earlier.read_bytes()).hexdigest()
    row = {"name": "cup.png", "content_sha256": digest, "output": "images/cup.png"}
    (out / "results.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({"name": "torn.png"}) + "\n")
    server.log.clear()
    with pytest.raises(OutputError, match=rf"has an image of another cup.png, of {earlier}; choose another"):
        remote.generate(str(tmp_path / "b/cup.png"), out=out, quiet=True)
    assert not server.log, "nothing was sent"
    shutil.copy(earlier, tmp_path / "b/cup.png")
    assert remote.generate(str(tmp_path / "b/cup.png"), out=out, quiet=True) == 0, "the same image"
    save_product(earlier, 1, (48, 32), soft=False)
    (out / "remote.json").write_text(json.dumps({"source": str(earlier)}))
    assert remote.generate(str(earlier), out=out, quiet=True) == 0, "the same input, renewed"
