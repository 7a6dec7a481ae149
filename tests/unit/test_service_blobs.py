"""Files by content, on this machine's disk and at an address of fsspec."""

from __future__ import annotations

import hashlib
import io
import time
from pathlib import Path
from uuid import uuid4

import pytest

from cyclorama.errors import SettingsError, UnknownIdError
from cyclorama.service.blobs import Blobs

BYTES = bytes(range(256)) * 5000
DIGEST = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture(params=["folder", "file", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    addresses = {"folder": str(tmp_path), "file": f"file://{tmp_path}", "memory": f"memory://{uuid4()}/files"}
    return Blobs(addresses[request.param])


def test_equal_bytes_are_kept_once_and_come_back(blobs: Blobs, tmp_path: Path) -> None:
    assert blobs.put_file(io.BytesIO(BYTES)) == blobs.put(BYTES) == DIGEST
    assert blobs.put(b"other") != DIGEST
    found = {blob.digest: blob for blob in blobs.scan()}
    assert len(found) == 2 and found[DIGEST].bytes == len(BYTES)
    assert abs(found[DIGEST].written - time.time()) < 60
    assert blobs.read(DIGEST) == BYTES
    with blobs.open(DIGEST) as file:
        file.seek(256)
        assert file.read(3) == b"\0\1\2"
    folder = tmp_path / "copies"
    folder.mkdir()
    assert blobs.fetch(DIGEST, folder).read_bytes() == BYTES


def test_what_is_gone_is_named(blobs: Blobs, tmp_path: Path) -> None:
    blobs.put(BYTES)
    for _ in range(2):
        blobs.drop(DIGEST)
    assert blobs.scan() == []
    with pytest.raises(UnknownIdError, match=rf"the file {DIGEST[:12]}… is gone; upload or make it again"):
        blobs.read(DIGEST)
    with pytest.raises(UnknownIdError):
        blobs.fetch(DIGEST, tmp_path)
    with pytest.raises(UnknownIdError, match="is no digest"):
        blobs.read("../../etc/passwd")


def test_an_address_that_nobody_knows_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match="^--store tape://shelf/4: Protocol not known: tape"):
        Blobs("tape://shelf/4")
    with pytest.raises(SettingsError, match=r"^--store abfs://bucket/files: Install adlfs"):
        Blobs("abfs://bucket/files")
