"""The files of ``deploy/`` pass the validators of those who read them, and name options that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cyclorama.service.settings import ServiceSettings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FILES = sorted(DEPLOY.iterdir())
OWN = r"(?<![\w-])--([a-z][a-z-]+)"
OTHERS = {
    "Containerfile": {"no-cache-dir", "constraint", "system", "uid", "home-dir", "directory", "mode", "owner",
                      "interval", "timeout", "start-period"},
    "kubernetes.yaml": {"from-literal"},
    "cyclorama.service": {"now"},
}  # fmt: skip
"""Options of other programs."""


def find_program(name: str) -> str:
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/bin:/usr/local/bin")
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def load_kubernetes() -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_options_are_the_services(path: Path) -> None:
    known = {name.replace("_", "-") for name in ServiceSettings.model_fields}
    named = set(re.findall(OWN, path.read_text())) - OTHERS[path.name]
    assert named
    assert named <= known


def test_who_is_told_to_stop_has_time_to_drain() -> None:
    least = ServiceSettings().drain + 20
    unit = (DEPLOY / "cyclorama.service").read_text()
    assert int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0]) >= least
    specs = {one["metadata"]["name"]: one["spec"] for one in load_kubernetes() if one["kind"] == "Deployment"}
    assert specs["cyclorama-worker"]["template"]["spec"]["terminationGracePeriodSeconds"] >= least


def test_the_health_that_is_asked_for_is_there() -> None:
    [server] = load_kubernetes()[2]["spec"]["template"]["spec"]["containers"]
    probes = {server[name]["httpGet"]["path"] for name in ("readinessProbe", "livenessProbe")}
    assert probes == {"/readyz", "/healthz"}
    assert server["ports"][0]["containerPort"] == ServiceSettings().port
    container = (DEPLOY / "Containerfile").read_text()
    assert f"127.0.0.1:{ServiceSettings().port}/healthz" in container
    entry = json.loads(re.findall(r"ENTRYPOINT (.*)", container)[0])
    assert entry[:2] == ["cyclorama", "serve"]


def test_hadolint() -> None:
    done = subprocess.run(
        [find_program("hadolint"), DEPLOY / "Containerfile"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_systemd(tmp_path: Path) -> None:
    """The unit as it is, but for where the program is."""
    verify = [find_program("systemd-analyze"), "verify"]
    text = (DEPLOY / "cyclorama.service").read_text()
    unit = tmp_path / "cyclorama.service"
    unit.write_text(text.replace("ExecStart=/opt/cyclorama/bin/cyclorama", f"ExecStart={sys.executable}"))
    done = subprocess.run([*verify, unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_kubernetes() -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="needs: pip install 'cyclorama[dev]'")
    for one in load_kubernetes():
        validator.validate(one, validator.latest_version(), strict=True)
