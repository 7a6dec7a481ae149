"""The command `cyclorama curate` over a planted set: timed, killed, started again, compared.

    cyclorama lab planted build out/render SET
    python benchmarks/curate.py SET --out OUT [--kills 5] [--engine ray --workers 2] [--limit 400]

With --kills it is killed with SIGKILL at random moments, spread over --seconds, and started again. One line
is added to OUT/runs.jsonl; the exit code is 1 if a row was lost.
"""

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
import time
from collections import Counter
from pathlib import Path

import psutil
import pyarrow.parquet as pq


def write_manifest(folder: Path, out: Path, limit: int | None) -> tuple[Path, int]:
    """The set's manifest with addresses that hold from anywhere, cut to ``limit`` rows; and their number."""
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:limit]
    for row in rows:
        for name in ("image", "mask"):
            row[name] = str((folder / row[name]).resolve()) if row[name] else ""
    path = out / "manifest.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path, len(rows)


def measure_memory(process: int) -> float:
    """MiB, resident, of a process and all its children together; 0 once it has ended."""
    try:
        root = psutil.Process(process)
        return sum(one.memory_info().rss for one in [root, *root.children(recursive=True)]) / 2**20
    except psutil.Error:
        return 0.0


def compute_digest(out: Path) -> str:
    """SHA-256 over the training set's shards and every row's key, verdict and reason."""
    digest = hashlib.sha256()
    for path in sorted((out / "set").rglob("*.tar")):
        digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    table = pq.read_table(out / "results.parquet", columns=["key", "verdict", "rule", "reason"])
    for row in table.to_pylist():
        digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--engine", choices=("in-process", "ray"), default="in-process")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=600, help="of an undisturbed run")
    parser.add_argument("--limit", type=int, help="only so many rows")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    manifest, rows = write_manifest(args.set, args.out, args.limit)
    out = args.out / f"run_{args.engine}_{args.workers}_{args.kills}"
    shutil.rmtree(out, ignore_errors=True)
    total = json.loads((args.set / "settings.json").read_text())["impressions_total"]
    command = [
        sys.executable, "-m", "cyclorama", "curate", str(manifest), "--out", str(out),
        "--engine", args.engine, "--workers", str(args.workers), "--quiet",
        "--set", f"clicks.impressions_total={total}",
        *(["--config", str(args.config)] if args.config else []),
    ]  # fmt: skip
    chance, kills, peak, ended = random.Random(0), 0, 0.0, False
    start = time.perf_counter()
    while not ended:
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
        wait = chance.uniform(0.2, 1.8) * args.seconds / max(1, args.kills)
        deadline = time.perf_counter() + wait if kills < args.kills else float("inf")
        while process.poll() is None and time.perf_counter() < deadline:
            peak = max(peak, measure_memory(process.pid))
            time.sleep(0.25)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        else:
            ended = True
    seconds = time.perf_counter() - start
    if process.returncode not in (0, 1):
        print(process.stderr.read() if process.stderr else "", file=sys.stderr)
        return 1
    table = pq.read_table(out / "results.parquet")
    line = {
        "engine": args.engine, "workers": args.workers, "rows": rows, "results": table.num_rows,
        "kills": kills, "seconds": seconds, "peak_mib": peak,
        "verdicts": dict(sorted(Counter(table.column("verdict").to_pylist()).items())),
        "digest": compute_digest(out),
    }  # fmt: skip
    with (args.out / "runs.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line))
    return int(table.num_rows != rows)


if __name__ == "__main__":
    raise SystemExit(main())
