"""The Ray engine on a cluster of this machine: the in-process engine's bytes, whatever is lost on the way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

pytest.importorskip("ray")

import ray

import cyclorama
from cyclorama.errors import (
    InputError,
    ModelError,
    ModelFormatError,
    OutputError,
    SettingsError,
    UnreadableImageError,
)
from cyclorama.generation.batches import measure_job
from cyclorama.generation.items import ItemSource
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.run import RunResult, run_images, settle_config
from cyclorama.generation.settings import GenerateConfig, RunConfig, RunSettings
from cyclorama.generation.worker import ImageJob
from cyclorama.jobs import ray as ray_engine
from cyclorama.jobs import ray_cluster
from cyclorama.jobs.job import EngineSettings, Hooks
from cyclorama.jobs.ray import RayEngine, StepPlace
from cyclorama.jobs.ray_cluster import ClusterWorker, StepPool, Surroundings
from cyclorama.jobs.run import build_engine
from cyclorama.models.registry import CategoryRegistry

# Ray leaves pipes and sockets of its processes to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning", "ignore:subprocess:ResourceWarning"
)

ROWS = 9
PATHS = os.pathsep.join([str(Path(__file__).parent), str(Path(cyclorama.__file__).parents[1])])
MARK = f"CYCLORAMA_TEST_{os.getpid()}"
ENGINE = EngineSettings(engine="ray", device="cpu", workers=1, threads=1, loaders=2, shard_size=4)
CONFIG = RunConfig(
    GenerateConfig(num_inference_steps=2, batch_size=2), RunSettings(dtype="float32", in_flight=1), ENGINE
)


# --- a model that needs no diffusion, on the workers too: Ray imports this file there -----------------------


def build_registry() -> CategoryRegistry:
    registry = CategoryRegistry()
    registry.add("thing")
    return registry


@dataclass
class StandIn:
    """Noise of each image's own generator, mixed with the product by arithmetic that rounds."""

    seconds: float
    registry: CategoryRegistry = field(default_factory=build_registry)
    image_size: int = 32
    image_multiple: int = 8

    def __call__(self, images: Any, masks: Any, categories: Any, generators: Any, **kwargs: Any) -> Any:
        import torch

        time.sleep(self.seconds)
        noise = torch.cat([torch.rand(1, *i.shape, generator=g) for i, g in zip(images, generators)])
        return torch.tanh(torch.nn.functional.avg_pool2d(images, 5, 1, 2) + noise * 2 - 1)


def load_quick(handle: ModelHandle, device: str, dtype: str) -> StandIn:
    return StandIn(0.0)


def load_on_gpu(handle: ModelHandle, device: str, dtype: str) -> StandIn:
    raise ModelFormatError(f"{device} of {os.environ['CUDA_VISIBLE_DEVICES']}")


def load_slow(handle: ModelHandle, device: str, dtype: str) -> StandIn:
    """Leaves the number of its process in the model's folder."""
    (handle.folder / f"{os.getpid()}.pid").touch()
    return StandIn(0.5)


@dataclass
class Suicidal(StandIn):
    """Kills its process at the second batch, once something of the first one is finished."""

    out: Path = Path()

    def __call__(self, images: Any, masks: Any, categories: Any, generators: Any, **kwargs: Any) -> Any:
        if self.seconds:
            while not any(
                '"spot"' in journal.read_text() for journal in self.out.glob("journal/work/*/journal.jsonl")
            ):
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        self.seconds = 1.0
        return StandIn(0.0)(images, masks, categories, generators)


def load_suicidal(handle: ModelHandle, device: str, dtype: str) -> StandIn:
    """The first one of a run kills itself, later ones work."""
    try:
        (handle.folder / "first.pid").touch(exist_ok=False)
    except FileExistsError:
        return StandIn(0.0)
    return Suicidal(0.0, out=handle.folder / "out")


def load_deadly(handle: ModelHandle, device: str, dtype: str) -> StandIn:
    model = StandIn(0.0)
    model.registry.resolve = lambda name: os._exit(9)  # type: ignore[method-assign]
    return model


def load_broken(handle: ModelHandle, device: str, dtype: str) -> StandIn:
    raise ModelFormatError("weights of nothing; give a model")


# --- inputs -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray on this machine, which believes to have four CPUs and a GPU; its processes can import this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PATHS)
        patch.delenv("RAY_ADDRESS", raising=False)
        options = ray_cluster._build_local_options
        patch.setattr(
            ray_cluster,
            "_build_local_options",
            lambda config, folder: options(config, folder) | {"num_gpus": 1},
        )
        with ray_cluster.join_cluster(ENGINE.replace(workers=4)) as found:
            assert (found.cpus, found.gpus) == (4, 1)
            yield


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine rows: a good image each but for a broken and a missing one."""
    folder = tmp_path_factory.mktemp("inputs")
    lines = ["image,category"]
    for number in range(ROWS):
        rgba = np.random.default_rng(number).integers(0, 256, (40 + 8 * (number % 2), 40, 4), dtype=np.uint8)
        rgba[..., 3] = 0
        rgba[10:30, 12:28, 3] = 255
        Image.fromarray(rgba).save(folder / f"p{number}.png")
        lines.append(f"p{number}.png,thing")
    (folder / "p3.png").write_bytes((folder / "p3.png").read_bytes()[:200])
    (folder / "p6.png").unlink()
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return folder / "list.csv"


@pytest.fixture
def handle(tmp_path: Path) -> ModelHandle:
    return ModelHandle("stand-in", tmp_path, "0" * 12, build_registry())


def run(
    manifest: Path,
    out: Path,
    handle: ModelHandle,
    stages: StepPlace | None = "auto",
    load_model: Any = load_quick,
    workers: int = 1,
    **hooks: Any,
) -> RunResult:
    """A run with Ray, or in this process if ``stages`` is None."""
    settings = ENGINE.replace(workers=workers, engine="ray" if stages else "in-process")
    engine = RayEngine(stages) if stages else None
    return run_images(
        ItemSource(manifest), out, handle, CONFIG.replace(engine=settings), Hooks(**hooks), engine=engine,
        load_model=load_model,
    )  # fmt: skip


def read_stable(out: Path) -> dict[str, bytes]:
    """What must be the same byte for byte."""
    files = [*out.glob("images/**/*"), *out.glob("results.*")]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(files) if path.is_file()}


@pytest.fixture(scope="module")
def in_process(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], int]:
    """What the in-process engine makes of the manifest, and the images it counts on the way."""
    out = tmp_path_factory.mktemp("expected") / "out"
    handle = ModelHandle("stand-in", out.parent, "0" * 12, build_registry())
    counts: list[int] = []
    run(manifest, out, handle, stages=None, advanced=counts.append)
    rows = pq.read_table(out / "results.parquet").to_pylist()
    errors = [row["error"] for row in rows if row["status"] == "failed"]
    assert errors == ["UnreadableImageError", "ManifestError"]
    stable = read_stable(out)
    assert len([name for name in stable if name.startswith("images/")]) == ROWS - 2
    return stable, sum(counts)


@pytest.fixture
def expected(in_process: tuple[dict[str, bytes], int]) -> dict[str, bytes]:
    return in_process[0]


# --- equal bytes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("workers", "stages"), [(1, "threads"), (2, "auto")])
def test_bytes_are_those_of_the_in_process_engine(
    cluster: None,
    manifest: Path,
    in_process: tuple[dict[str, bytes], int],
    handle: ModelHandle,
    tmp_path: Path,
    workers: int,
    stages: StepPlace,
) -> None:
    counts: list[int] = []
    result = run(manifest, tmp_path / "out", handle, stages, workers=workers, advanced=counts.append)
    assert (result.rows, result.done, result.failed, result.made) == (ROWS, ROWS - 2, 2, ROWS - 2)
    assert result.finished
    assert (read_stable(tmp_path / "out"), sum(counts)) == in_process
    again = run(manifest, tmp_path / "out", handle, stages, workers=workers)
    assert (again.made, again.open_shards) == (0, 0)


# --- losses -------------------------------------------------------------------------------------------------


def test_a_killed_actor_costs_nothing(
    cluster: None, manifest: Path, expected: dict[str, bytes], handle: ModelHandle, tmp_path: Path
) -> None:
    result = run(manifest, tmp_path / "out", handle, "tasks", load_model=load_suicidal)
    assert (tmp_path / "first.pid").exists()
    assert result.finished
    # what the killed worker had finished was taken from its journal: nothing lost, nothing made twice
    assert 0 < result.made < ROWS - 2
    assert read_stable(tmp_path / "out") == expected


def test_a_shard_that_kills_every_worker_is_named(
    cluster: None, manifest: Path, handle: ModelHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "DEATHS", 2)
    monkeypatch.setattr(ray_engine, "REST_SECONDS", 0.1)
    with pytest.raises(ModelError, match=r"2 workers have died at shard 0 .*run again"):
        run(manifest, tmp_path / "out", handle, "threads", load_model=load_deadly)


def test_errors_of_a_worker_keep_their_type(
    cluster: None, manifest: Path, handle: ModelHandle, tmp_path: Path
) -> None:
    with pytest.raises(ModelFormatError, match="weights of nothing"):
        run(manifest, tmp_path / "out", handle, "threads", load_model=load_broken)


def test_steps_in_tasks_return_or_raise_what_they_would_here(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_by_name(path: Path) -> None:
        raise UnreadableImageError(f"{path} is not an image")

    def die(path: Path) -> None:
        with path.open("a") as file:
            file.write("x")
        os._exit(1)

    monkeypatch.setattr(ray_cluster, "TASK_RETRIES", 1)
    plan = ["a plan"]
    pool = StepPool(tmp_path, plan)
    (tmp_path / "text.png").write_text("no image")
    good = pool.submit(dict, [("relative", 1)])
    shared = pool.submit(len, plan)
    foreign = pool.submit(Image.open, Path("text.png"))
    named = pool.submit(fail_by_name, Path("text.png"))
    lost = pool.submit(die, Path("tries"))
    assert good.result(60) == {"relative": 1}
    assert shared.result(60) == 1
    assert type(foreign.exception(60)) is Image.UnidentifiedImageError
    assert type(named.exception(60)) is UnreadableImageError
    assert str(named.exception()) == "text.png is not an image"
    assert type(lost.exception(60)) is InputError
    assert "lost 2 times" in str(lost.exception())
    assert (tmp_path / "tries").read_text() == "x" * 2


def test_a_stop_ends_after_the_batches_in_hand(
    cluster: None, manifest: Path, expected: dict[str, bytes], handle: ModelHandle, tmp_path: Path
) -> None:
    wish = threading.Event()
    result = run(
        manifest, tmp_path / "out", handle, "threads", load_model=load_slow,
        advanced=lambda count: wish.set(), stopping=wish.is_set,
    )  # fmt: skip
    assert not result.finished
    assert 0 < result.made < ROWS - 2
    assert len(list((tmp_path / "out").glob("images/*.png"))) == result.made
    rest = run(manifest, tmp_path / "out", handle, stages=None)
    assert rest.made == ROWS - 2 - result.made
    assert read_stable(tmp_path / "out") == expected


def test_measuring_and_choosing_a_device_happen_on_the_cluster(
    cluster: None, handle: ModelHandle, tmp_path: Path
) -> None:
    from cyclorama.generation.learned import choose_device  # torch: not for every process that imports this

    job = ImageJob(tmp_path, CONFIG, handle, load_model=load_slow)
    size, seconds = RayEngine().call(job.engine, measure_job, job)
    assert size == CONFIG.settings.batch_size == 2
    assert seconds >= 0.5 / 2
    assert [int(path.stem) for path in tmp_path.glob("*.pid")] != [os.getpid()]
    assert RayEngine().call(ENGINE, choose_device, "cpu", "auto") == ("cpu", "float32")
    with pytest.raises(SettingsError, match="device 'warp' cannot be used"):
        RayEngine().call(ENGINE.replace(device="auto"), choose_device, "warp", "auto")
    on_gpu = job.replace(config=CONFIG.replace(engine=ENGINE.replace(device="cuda")), load_model=load_on_gpu)
    with pytest.raises(ModelFormatError, match="^cuda:0 of 0$"):
        RayEngine().call(on_gpu.engine, measure_job, on_gpu)


# --- said before the work begins ----------------------------------------------------------------------------


def build_worker(handle: ModelHandle, tmp_path: Path, setting: Surroundings) -> ClusterWorker:
    return ClusterWorker(ImageJob(tmp_path, CONFIG, handle, load_model=load_quick), setting)


def test_a_machine_that_does_not_fit_says_so(handle: ModelHandle, tmp_path: Path) -> None:
    setting = Surroundings(Path.cwd(), tmp_path / "written elsewhere", 1, False)
    with pytest.raises(OutputError, match=f"does not see what was written to {tmp_path}"):
        build_worker(handle, tmp_path, setting).load()
    with pytest.raises(ModelError, match=r"was started with 0\.0\.0"):
        build_worker(handle, tmp_path, replace(setting, version="0.0.0")).load()


def test_a_bundled_model_is_found_where_the_machine_has_it(handle: ModelHandle) -> None:
    from cyclorama.generation.model import open_model

    here = open_model("bundled")
    elsewhere = replace(here, folder=Path("/opt/other/machine/weights"))
    assert elsewhere.find_here().folder == here.folder
    with pytest.raises(ModelError, match="is another one"):
        replace(elsewhere, hash="0" * 12).find_here()
    assert handle.find_here() is handle


@pytest.fixture
def no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_cluster, "CONNECT_SECONDS", 1.0)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.parametrize("address", ["nonsense", "host:port", ":6379", "ray://host"])
def test_an_address_must_be_one(no_connection: None, address: str) -> None:
    with (
        pytest.raises(SettingsError, match="is no address of a Ray cluster"),
        ray_cluster.join_cluster(ENGINE.replace(address=address)),
    ):
        pass


def test_an_address_without_a_listener_is_named_in_time(no_connection: None) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        start = time.monotonic()
        with (
            pytest.raises(SettingsError, match=rf"nothing answers at '{address}' within 1 s .*--address"),
            ray_cluster.join_cluster(ENGINE.replace(address=address)),
        ):
            pass
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("answer", "said"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "is not Ray"), (b"", "is not Ray"), (None, "nothing answers")],
)
def test_a_listener_that_is_not_ray_is_named_in_time(
    no_connection: None, answer: bytes | None, said: str
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = f"127.0.0.1:{listener.getsockname()[1]}"

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                if answer is None:
                    time.sleep(1.5)
                else:
                    connection.recv(100)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with (
            pytest.raises(SettingsError, match=said),
            ray_cluster.join_cluster(ENGINE.replace(address=address)),
        ):
            pass
        thread.join()


def test_a_start_that_fails_is_tried_again_and_then_named(
    no_connection: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def fail(address: str, **options: Any) -> None:
        assert options["num_cpus"] == 1
        assert Path(options["_temp_dir"]).is_dir()
        tries.append(options["_temp_dir"])
        raise Exception("timed out during startup")

    monkeypatch.setattr(ray_cluster.ray, "init", fail)
    monkeypatch.setattr(ray_cluster.ray, "shutdown", lambda: None)
    with pytest.raises(ModelError, match=r"in 3 tries \(timed out"), ray_cluster.join_cluster(ENGINE):
        pass
    assert len(tries) == 3
    assert not Path(tries[0]).exists()


def test_a_run_from_another_process_joins_by_address(cluster: None) -> None:
    code = (
        "import sys, test_generate_ray as parts\n"
        "config = parts.ENGINE.replace(address=sys.argv[1])\n"
        "with parts.ray_cluster.join_cluster(config) as found:\n"
        "    print(found)\n"
    )
    address = ray.get_runtime_context().gcs_address
    done = subprocess.run(
        [sys.executable, "-c", code, address], capture_output=True, text=True, timeout=100,
        env=os.environ | {"PYTHONPATH": PATHS},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "Cluster(cpus=4.0, gpus=1.0)\n", "")


def test_without_an_address_the_device_is_chosen_here(no_connection: None) -> None:
    from cyclorama.generation.learned import choose_device

    assert RayEngine().call(ENGINE, choose_device, "cpu", "bfloat16") == ("cpu", "bfloat16")


@pytest.mark.parametrize(
    ("device", "threads", "places"), [("cuda", None, 3), ("cpu", 1, 20), ("cpu", 8, 2), ("cpu", 64, 1)]
)
def test_workers_follow_from_the_cluster(
    monkeypatch: pytest.MonkeyPatch, device: str, threads: int | None, places: int
) -> None:
    @contextmanager
    def join(settings: EngineSettings) -> Iterator[ray_cluster.Cluster]:
        yield ray_cluster.Cluster(20.0, 3.0)

    monkeypatch.setattr(ray_cluster, "join_cluster", join)
    settings = EngineSettings(engine="ray", address="head:6379", device=device, threads=threads)
    assert ray_cluster.count_places(settings) == places


def test_workers_of_a_cluster_of_ones_own_follow_from_the_machine(
    no_connection: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert ray_cluster.count_places(ENGINE.replace(threads=2)) == 3


@pytest.mark.parametrize(
    ("options", "workers", "threads"), [({}, 4, 1), ({"threads": 2}, 2, 2), ({"workers": 3}, 3, None)]
)
def test_a_run_fills_the_cluster(
    cluster: None, handle: ModelHandle, options: dict[str, int], workers: int, threads: int | None
) -> None:
    settings = EngineSettings(engine="ray", device="cpu", **options)
    settled = settle_config(CONFIG.replace(engine=settings), build_engine(settings), handle).engine
    assert (settled.workers, settled.threads) == (workers, threads)


def test_one_gpu_cannot_be_named() -> None:
    with pytest.raises(SettingsError, match="use --device cuda"):
        build_engine(ENGINE.replace(device="cuda:1"))


# --- the command --------------------------------------------------------------------------------------------


def list_processes(mark: str) -> list[int]:
    """Processes that were started with the environment variable ``mark``."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_sigterm_stops_a_run_of_its_own_cluster_and_leaves_nothing(manifest: Path, tmp_path: Path) -> None:
    script = tmp_path / "start.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        "import test_generate_ray as parts\n"
        "from cyclorama.generation.items import ItemSource\n"
        "from cyclorama.generation.run import run_images\n"
        "from cyclorama.jobs.job import Hooks\n"
        "from cyclorama.jobs.progress import catch_stop\n"
        "out = Path(sys.argv[2])\n"
        "handle = parts.ModelHandle('stand-in', out.parent, '0' * 12, parts.build_registry())\n"
        "with catch_stop() as wish:\n"
        "    result = run_images(ItemSource(sys.argv[1]), out, handle, parts.CONFIG, Hooks(stopping=wish),\n"
        "                           load_model=parts.load_slow)\n"
        "print('finished' if result.finished else f'stopped after {result.made}')\n"
    )
    mark = f"{MARK}={tmp_path.name}"
    folder = tmp_path / "t"
    folder.mkdir()
    environment = os.environ | {
        "PYTHONPATH": PATHS, "TMPDIR": str(folder), MARK: tmp_path.name,
    }  # fmt: skip
    environment.pop("RAY_ADDRESS", None)
    out = tmp_path / "out"
    started = subprocess.Popen(
        [sys.executable, str(script), str(manifest), str(out)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 90
        while not list(out.glob("images/*.png")) and started.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        started.terminate()
        printed, errors = started.communicate(timeout=60)
    finally:
        started.kill()
        started.wait()
    assert started.returncode == 0, errors
    assert printed.startswith("stopped after ")
    assert 0 < int(printed.split()[-1]) < ROWS - 2
    assert errors == "stopping after the items in hand; press Ctrl-C again to stop at once\n"
    deadline = time.monotonic() + 5
    while list_processes(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list_processes(mark) == []
    assert list(folder.iterdir()) == []
