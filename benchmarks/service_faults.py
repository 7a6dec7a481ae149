"""The HTTP service when processes are killed and when its disk is full: what becomes of accepted jobs?

    python benchmarks/service_faults.py kill [--moments 20] [--seed 0]
    python benchmarks/service_faults.py full [--times 2] [--seed 0]

Each starts ``cyclorama serve`` on a folder of its own and makes images of the demo's products. ``full``
mounts a disk of its own, so it needs Linux and root.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from service import PRODUCTS, TINY, ServiceProcess, read_parent, run, submit


def kill(data: Path, args: argparse.Namespace) -> None:
    """SIGKILL of workers and server, half each, at random moments; what was accepted comes out as if
    undisturbed."""
    chance, server = random.Random(args.seed), ServiceProcess(data)
    server.start()
    traffic = Traffic(server)
    victims = ["server", "worker"] * ((args.moments + 1) // 2)
    chance.shuffle(victims)
    hits = Counter[str]()
    for victim in victims[: args.moments]:
        traffic.top_up()
        wait_for_worker(server)
        time.sleep(chance.uniform(0.1, 8.0))
        traffic.top_up()
        busy = sum(server.get(f"/v1/jobs/{job}")["counts"]["running"] for job in traffic.accepted[-3:])
        if victim == "worker":
            os.kill(chance.choice(wait_for_worker(server)), signal.SIGKILL)
        else:
            server.stop(signal.SIGKILL)
            server.start()
        hits[f"{victim} with {busy} images in hand"] += 1
    print(f"{dict(sorted(hits.items()))}: {traffic.judge()}")
    server.stop()


def full(data: Path, args: argparse.Namespace) -> None:
    """A disk of its own, filled to its last byte while images are made; what was accepted comes out as if
    there had been room."""
    disk, place = data.with_name("disk.img"), data.with_name("disk")
    place.mkdir()
    with disk.open("wb") as file:
        file.truncate(4 * 2**30)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(disk)], check=True)
    subprocess.run(["mount", "-o", "loop", str(disk), str(place)], check=True)
    chance, server = random.Random(args.seed), ServiceProcess(place / "data")
    try:
        server.start()
        traffic = Traffic(server)
        for _ in range(args.times):
            traffic.top_up()
            wait_for_worker(server)
            time.sleep(chance.uniform(0.1, 4.0))
            traffic.top_up()
            began = time.monotonic()
            fill(place)
            left = os.statvfs(place).f_bavail
            refused = Counter(
                server.send("/v1/jobs", {"items": [{"image": traffic.assets[0]}]}).status for _ in range(20)
            )
            time.sleep(max(0.0, began + chance.uniform(6.0, 12.0) - time.monotonic()))
            counts = server.get(f"/v1/jobs/{traffic.accepted[-1]}")["counts"]
            print(f"full, {left} blocks free: new jobs {dict(refused)}, last job {counts}")
            (place / "filler").unlink()
        print(traffic.judge())
        assert server.stop() == 0
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
        subprocess.run(["umount", str(place)], check=True)


def fill(folder: Path) -> None:
    """Take the last byte of the disk that ``folder`` lies on, by a file called ``filler``."""
    with (folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize)
    for size in (2**20, 4096, 1):
        with (folder / "filler").open("ab", buffering=0) as file, suppress(OSError):
            while file.write(bytes(size)) == size:
                pass


class Traffic:
    """Jobs of eight tiny images, all alike, and what came of them."""

    def __init__(self, server: ServiceProcess) -> None:
        self.server = server
        self.assets = [server.upload(path) for path in PRODUCTS[:4]]
        calm = server.wait_for(submit(server, self.assets, 8, TINY))
        self.wanted = [image["sha256"] for image in calm["images"]]
        self.accepted: list[str] = []

    def top_up(self) -> None:
        """Ask for another job unless the last one waits as a whole."""
        if self.accepted:
            last = self.server.get(f"/v1/jobs/{self.accepted[-1]}")
            if last["counts"]["queued"] == 8:
                return
        self.accepted.append(submit(self.server, self.assets, 8, TINY))

    def judge(self) -> str:
        """What came of the jobs, once all have ended."""
        lost = twice = wrong = unlucky = 0
        for job in self.accepted:
            found = self.server.wait_for(job, 600)
            lost += found["counts"]["done"] != 8
            faults = [image["error"]["type"] for image in found["images"] if image["error"]]
            unlucky += any(fault.endswith("WorkerLostError") for fault in faults)
            wrong += [image["sha256"] for image in found["images"]] != self.wanted
            made = Counter(e["image"] for e in read_events(self.server, job) if e["type"] == "image")
            twice += any(count > 1 for count in made.values())
        return (
            f"{len(self.accepted)} jobs, {lost} lost ({unlucky} by workers lost over one image), "
            f"{twice} made twice, {wrong} of other bytes"
        )


def wait_for_worker(server: ServiceProcess) -> list[int]:
    """The worker processes, once there is one that has loaded what draws."""
    until = time.monotonic() + 120
    while not (found := list_children(server.process.pid, "mitsuba")):
        assert time.monotonic() < until, server.log
        time.sleep(0.05)
    return found


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
            if read_parent(place) == parent and library in (place / "maps").read_text():
                found.append(int(place.name))
        except OSError:
            continue
    return found


if __name__ == "__main__":
    run(str(__doc__), {kill: {"moments": 20, "seed": 0}, full: {"times": 2, "seed": 0}})
