"""A catalogue from its manifest: rows in, rows out; run again, and only what is missing is made.

    python examples/catalogue.py --out out/catalogue
    python examples/catalogue.py --out out/catalogue --manifest products.csv

Without a manifest of one's own the bundled products make one. The command for the same is
``cyclorama catalogue run products.csv --out out/catalogue``.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import pyarrow.parquet as pq

from cyclorama import GenerateConfig
from cyclorama.catalogue.config import CatalogueConfig
from cyclorama.catalogue.run import run_catalogue
from cyclorama.generation.demo_set import get_demo_folder, load_demo
from cyclorama.generation.model import choose_device, open_model


def main() -> None:
    """Write a manifest if none is given, run it, and print the result table."""
    parser = argparse.ArgumentParser(description="A catalogue from its manifest.")
    parser.add_argument("--out", type=Path, default=Path("out/catalogue"), help="output folder")
    parser.add_argument("--manifest", type=Path, help="CSV, JSONL or Parquet with image and category")
    parser.add_argument("--products", type=int, default=9, help="how many of the bundled products to take")
    parser.add_argument("--steps", type=int, default=25, help="denoising steps")
    args = parser.parse_args()

    manifest = args.manifest or args.out / "manifest.csv"
    if args.manifest is None:
        args.out.mkdir(parents=True, exist_ok=True)
        with manifest.open("w", newline="", encoding="utf-8") as file:
            rows = [(e.product.absolute(), e.category) for e in load_demo(get_demo_folder())[: args.products]]
            csv.writer(file).writerows([("image", "category"), *rows])

    device, dtype = choose_device()
    settings = GenerateConfig(num_inference_steps=args.steps)
    config = CatalogueConfig(settings=settings, device=device, dtype=dtype, shard_size=64)
    result = run_catalogue(str(manifest), args.out, open_model(), config)

    for row in pq.read_table(args.out / "results.parquet").to_pylist():
        print(f"{row['name']}: {row['status']}, {row['output'] or row['reason']}")
    print(f"{result.done} of {result.rows} rows done, {result.failed} failed, {result.sampled} images new")


if __name__ == "__main__":
    main()
