"""The HTTP service against its bars: what it adds to an image, its rate, its memory, and what kills do to it.

    python benchmarks/service.py kill [--moments 20] [--seed 0]
    python benchmarks/service.py overhead [--images 15]
    python benchmarks/service.py rate [--images 96] [--clients 16]
    python benchmarks/service.py upload
    python benchmarks/service.py soak [--requests 10000] [--clients 30]

Each starts ``cyclorama serve`` on a folder of its own and makes images of the demo's products. ``rate`` also
measures how long a status takes while the model works. An idle machine is needed for all but ``kill``.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from service_server import ServiceProcess  # noqa: E402

PRODUCTS = sorted((ROOT / "src/cyclorama/weights/demo/products").rglob("*.webp"))
TINY = {"preset": "fast", "size": "64x64"}


def submit(server: ServiceProcess, assets: list[str], count: int, settings: dict[str, Any]) -> str:
    items = [{"image": assets[n % len(assets)], "category": "general", "seed": n} for n in range(count)]
    answer = server.send("/v1/jobs", {"items": items, "settings": settings})
    assert answer.status == 202, answer.body
    return str(answer.json["id"])


def kill(data: Path, args: argparse.Namespace) -> None:
    """SIGKILL of worker or server at random moments; what was accepted comes out as if undisturbed."""
    chance, server = random.Random(args.seed), ServiceProcess(data)
    server.start()
    assets = [server.upload(path) for path in PRODUCTS[:4]]
    calm = server.wait_for(submit(server, assets, 8, TINY))
    wanted = [image["sha256"] for image in calm["images"]]
    accepted, hits = [submit(server, assets, 8, TINY)], Counter[str]()
    for _ in range(args.moments):
        time.sleep(chance.uniform(0.1, 8.0))
        if server.get(f"/v1/jobs/{accepted[-1]}")["counts"]["queued"] < 8:
            accepted.append(submit(server, assets, 8, TINY))
        workers = list_children(server.process.pid, "mitsuba")
        if workers and chance.random() < 0.5:
            hits["worker"] += 1
            os.kill(chance.choice(workers), signal.SIGKILL)
        else:
            hits["server"] += 1
            server.stop(signal.SIGKILL)
            server.start()
    lost = twice = wrong = 0
    for job in accepted:
        found = server.wait_for(job, 600)
        lost += found["counts"]["done"] != 8
        wrong += [image["sha256"] for image in found["images"]] != wanted
        made = Counter(e["image"] for e in read_events(server, job) if e["type"] == "image")
        twice += any(count > 1 for count in made.values())
    print(f"{dict(hits)}: {len(accepted)} jobs, {lost} lost, {twice} made twice, {wrong} of other bytes")
    server.stop()


def read_events(server: ServiceProcess, job: str) -> list[dict[str, Any]]:
    events = []
    for event in server.follow(job, last="0"):
        events.append(event)
        if event["type"] == "done":
            break
    return events


def list_children(parent: int, library: str) -> list[int]:
    """Processes below ``parent`` that have loaded ``library``."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            above = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if above == parent and library in (place / "maps").read_text():
                found.append(int(place.name))
        except OSError:
            continue
    return found


def overhead(data: Path, args: argparse.Namespace) -> None:
    """One-call images of one megapixel against the same images made in this process, by turns."""
    from cyclorama import BackgroundGenerator

    generator = BackgroundGenerator.from_pretrained()
    server = ServiceProcess(data)
    server.start()
    fields = {"category": "perfume", "preset": "fast", "size": "1000x1000"}
    photo = next(path for path in PRODUCTS if "perfume" in path.parts)
    added = []
    for seed in range(args.images + 2):
        time.sleep(0.5)  # threads of arithmetic that still wait for more would hinder the other process
        start = time.perf_counter()
        alone = generator(photo, category="perfume", preset="fast", size="1000x1000", seed=[seed]).encode()
        own = time.perf_counter() - start
        image = (photo.name, photo.read_bytes())
        time.sleep(0.5)
        start = time.perf_counter()
        answer = server.send_form("/v1/images", fields | {"image": image, "seed": str(seed)})
        served = time.perf_counter() - start
        assert answer.status == 200, answer.body
        same = (
            np.asarray(Image.open(io.BytesIO(alone))) == np.asarray(Image.open(io.BytesIO(answer.body)))
        ).all()
        assert same, "the service's pixels are others"
        if seed >= 2:  # the first ones load and compile
            added.append(served - own)
    server.stop()
    least, middle, most = (1e3 * value for value in (min(added), statistics.median(added), max(added)))
    print(f"added to 1 MP, {len(added)} by turns: median {middle:.0f} ms ({least:.0f} to {most:.0f}); aim 40")


def rate(data: Path, args: argparse.Namespace) -> None:
    """Images a second of many clients, against ``cyclorama generate`` over the same products."""
    from cyclorama.generation.items import Item
    from cyclorama.generation.model import open_model
    from cyclorama.generation.run import run_images
    from cyclorama.generation.settings import GenerateConfig, RunConfig

    settings = {"preset": "fast", "size": "512x512"}
    photos = [PRODUCTS[n % len(PRODUCTS)] for n in range(args.images)]
    items = [Item(f"{n}.webp", str(path), category="general", seed=n) for n, path in enumerate(photos)]
    with tempfile.TemporaryDirectory() as out:
        config = RunConfig(settings=GenerateConfig(**settings))
        result = run_images(items, Path(out), open_model(), config)
    engine = result.made / result.work.wall_seconds

    server = ServiceProcess(data)
    server.start()
    work = list(enumerate(photos))
    warm = server.send_form("/v1/images", form(photos[0], 0, settings))
    assert warm.status == 200, warm.body
    job, waits, ended = server.get("/v1/jobs")["items"][0]["id"], [], threading.Event()

    def ask() -> None:
        while not ended.is_set():
            start = time.perf_counter()
            server.get(f"/v1/jobs/{job}")
            waits.append(time.perf_counter() - start)
            ended.wait(0.05)

    asking = threading.Thread(target=ask)
    asking.start()
    start = time.perf_counter()
    with ThreadPoolExecutor(args.clients) as clients:
        answers = clients.map(
            lambda one: server.send_form("/v1/images", form(one[1], one[0], settings)), work
        )
        states = Counter(answer.status for answer in answers)
    served = args.images / (time.perf_counter() - start)
    ended.set()
    asking.join()
    server.stop()
    print(f"{args.images} images at 512 px, {args.clients} clients {dict(states)}: {served:.2f} a second, "
          f"the engine {engine:.2f}: {served / engine:.1%}; aim 95 %")  # fmt: skip
    slow = sorted(waits)[int(0.99 * len(waits))]
    print(f"status meanwhile, {len(waits)} times: median {1e3 * statistics.median(waits):.0f} ms, "
          f"99th percentile {1e3 * slow:.0f} ms; aim 50")  # fmt: skip


def form(photo: Path, seed: int, settings: dict[str, str]) -> dict[str, Any]:
    return {"image": (photo.name, photo.read_bytes()), "category": "general", "seed": str(seed), **settings}


def upload(data: Path, args: argparse.Namespace) -> None:
    """Peak memory of the server while it takes a file of nearly 32 MB, above what it had."""
    pixels = np.random.default_rng(0).integers(0, 256, (3200, 3300, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
    content = buffer.getvalue()
    assert 30e6 < len(content) < 32 * 2**20
    server = ServiceProcess(data)
    server.start()
    server.upload(PRODUCTS[0])  # loads what uploads need
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")  # the peak begins anew
    before = read_memory(server, "VmHWM")
    answer = server.ask("POST", "/v1/assets", content, {"Content-Type": "image/png"})
    assert answer.status == 201, answer.body
    print(f"peak over an upload of {len(content) / 2**20:.0f} MiB: "
          f"{(read_memory(server, 'VmHWM') - before) / 2**20:.1f} MiB; aim 8")  # fmt: skip
    server.stop()


def read_memory(server: ServiceProcess, name: str) -> int:
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(text.split(f"{name}:")[1].split()[0]) * 1024


def soak(data: Path, args: argparse.Namespace) -> None:
    """Many requests, a tenth of them bad: memory and open files after the first tenth and at the end."""
    server = ServiceProcess(data)
    server.start()
    asset = server.upload(PRODUCTS[0])
    job = submit(server, [asset], 2, TINY)
    server.wait_for(job)
    small = PRODUCTS[0].read_bytes()
    image = server.get("/v1/images")["items"][0]["id"]
    good = [
        lambda: server.ask("GET", f"/v1/jobs/{job}"),
        lambda: server.ask("GET", "/v1/jobs"),
        lambda: server.ask("GET", "/v1/categories"),
        lambda: server.ask("GET", f"/v1/images/{image}/file"),
        lambda: server.ask("GET", f"/v1/assets/{asset}"),
        lambda: server.ask("POST", "/v1/assets", small, {"Content-Type": "image/webp"}),
        lambda: server.send(f"/v1/jobs/{job}/cancel", None),
        lambda: server.send(f"/v1/images/{image}", {"decision": "approved"}, "PATCH"),
        lambda: server.ask("GET", f"/v1/jobs/{job}/archive.zip"),
    ]
    bad = [
        lambda: server.ask("GET", "/v1/jobs/jb_none"),
        lambda: server.ask("POST", "/v1/assets", b"no image", {"Content-Type": "image/png"}),
        lambda: server.ask("POST", "/v1/jobs", b"{", {"Content-Type": "application/json"}),
        lambda: server.send("/v1/jobs", {"items": [], "colour": 1}),
    ]

    def ask(number: int) -> int:
        acts = bad if number % 10 == 9 else good
        return acts[(number // 10 if number % 10 == 9 else number) % len(acts)]().status

    seen = []
    states: Counter[int] = Counter()
    with ThreadPoolExecutor(args.clients) as clients:
        tenth = args.requests // 10
        for part in (range(tenth), range(tenth, args.requests)):
            states.update(clients.map(ask, part))
            time.sleep(2)
            files = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
            seen.append((read_memory(server, "VmRSS") / 2**20, files))
    (before, opened), (after, left) = seen
    server.stop()
    print(f"{args.requests} requests, {args.clients} clients, {dict(sorted(states.items()))}: memory "
          f"{before:.0f} to {after:.0f} MiB after the first tenth (aim: 50 more at most), open files "
          f"{opened} to {left}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="part", required=True)
    options = {
        kill: {"moments": 20, "seed": 0},
        overhead: {"images": 15},
        rate: {"images": 96, "clients": 16},
        upload: {},
        soak: {"requests": 10_000, "clients": 30},
    }
    for act, values in options.items():
        part = parts.add_parser(act.__name__, help=act.__doc__)
        part.set_defaults(act=act)
        for name, default in values.items():
            part.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        args.act(Path(folder) / "data", args)


if __name__ == "__main__":
    main()
