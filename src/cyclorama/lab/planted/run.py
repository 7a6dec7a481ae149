"""The command `cyclorama curate` over the planted set: timed, killed, started again, compared."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from cyclorama.config import save_config


def write_manifest(folder: Path, out: Path, limit: int | None) -> Path:
    """The set's manifest with addresses that hold from anywhere, cut to ``limit`` rows."""
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)[:limit]
    for row in rows:
        for name in ("image", "mask"):
            row[name] = str((folder / row[name]).resolve()) if row[name] else ""
    path = out / "manifest.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, reader.fieldnames or [])
        writer.writeheader()
        writer.writerows(rows)
    return path


class MemoryWatch:
    """The greatest memory (MiB, resident) of a process and all its children together."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._process: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def follow(self, process: int) -> None:
        """Watch this process from now on."""
        self._process = process

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        import psutil

        while not self._stop.wait(0.25):
            if self._process is None:
                continue
            total = 0
            try:
                root = psutil.Process(self._process)
                for process in [root, *root.children(recursive=True)]:
                    total += process.memory_info().rss
            except psutil.Error:
                continue
            self.peak = max(self.peak, total / 2**20)


def compute_digest(out: Path) -> str:
    """SHA-256 over the training set's shards and every row's key, verdict and reason."""
    import pyarrow.parquet as pq

    digest = hashlib.sha256()
    for path in sorted((out / "set").rglob("*.tar")):
        digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    table = pq.read_table(out / "results.parquet")
    columns = [name for name in ("key", "verdict", "rule", "reason") if name in table.column_names]
    for row in table.select(columns).to_pylist():
        digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()


def run_command(args: argparse.Namespace, config: Any) -> int:
    """Run, kill and start again as asked; one line is added to ``runs.jsonl``; 0 if no row was lost."""
    import pyarrow.parquet as pq

    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    manifest = write_manifest(args.set, out, args.limit)
    save_config(config, out / "recipe.yaml")
    name = f"run_{args.engine}_{args.workers}_{args.kills}"
    shutil.rmtree(out / name, ignore_errors=True)
    command = [
        sys.executable, "-m", "cyclorama", "curate", str(manifest), "--out", str(out / name), "--config",
        str(out / "recipe.yaml"), "--engine", args.engine, "--workers", str(args.workers), "--quiet",
    ]  # fmt: skip
    chance, kills, watch = random.Random(0), 0, MemoryWatch()
    start = time.perf_counter()
    while True:
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
        watch.follow(process.pid)
        wait = chance.uniform(0.2, 1.8) * args.seconds / max(1, args.kills) if kills < args.kills else None
        try:
            _, errors = process.communicate(timeout=wait)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    seconds = time.perf_counter() - start
    watch.close()
    if process.returncode != 0:
        print(errors, file=sys.stderr)
        return 1
    table = pq.read_table(out / name / "results.parquet")
    with manifest.open(encoding="utf-8") as file:
        rows = sum(1 for _ in csv.DictReader(file))
    verdicts = Counter(table.column("verdict").to_pylist())
    line = {
        "engine": args.engine, "workers": args.workers, "rows": rows, "results": table.num_rows,
        "kills": kills, "seconds": seconds, "peak_mib": watch.peak,
        "verdicts": ", ".join(f"{n} {v}" for v, n in sorted(verdicts.items())),
        "digest": compute_digest(out / name),
    }  # fmt: skip
    with (out / "runs.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line))
    return int(table.num_rows != rows)
