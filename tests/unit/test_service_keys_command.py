"""``cyclorama serve keys``: what it prints opens the server, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyclorama.cli import main
from cyclorama.errors import AccessError
from cyclorama.service import keys
from cyclorama.service.store import Store


def test_a_keys_life(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--data", str(tmp_path)]
    assert main(["serve", "keys", "add", "Shop one", "--scope", "review", "--scope", "studio", *place]) == 0
    key = capsys.readouterr().out.strip()
    id = key.split("_")[1]
    assert main(["serve", "keys", "link", id, "--url", "https://images.example/", *place]) == 0
    address, _, code = capsys.readouterr().out.strip().partition("?code=")
    assert address == "https://images.example/enter"
    store = Store(tmp_path)
    assert keys.check_key(store, key).scopes == {"studio", "review"}
    assert keys.check_session(store, keys.open_session(store, code)).key == id
    assert main(["serve", "keys", "revoke", id, *place]) == 0
    with pytest.raises(AccessError):
        keys.check_key(store, key)
    store.close()
    capsys.readouterr()
    assert main(["serve", "keys", "list", *place]) == 0
    shown = capsys.readouterr().out
    assert f"{id}  Shop one  studio,review  " in shown
    assert shown.endswith("  revoked\n")
    assert key.split("_", 2)[2] not in shown
    assert main(["serve", "keys", "revoke", id, *place]) == 2
    assert "see cyclorama serve keys list" in capsys.readouterr().err


def test_a_server_for_others_must_say_how_it_is_guarded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path)]) == 2
    assert "--auth keys" in capsys.readouterr().err
    assert main(["serve", "--cors", "*", "--port", "0", "--data", str(tmp_path)]) == 2
    assert "--cors" in capsys.readouterr().err
