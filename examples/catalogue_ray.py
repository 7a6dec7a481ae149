"""A small catalogue on a Ray cluster, by default one that is started on this machine for the run.

    pip install 'cyclorama[ray]'
    python examples/catalogue_ray.py --out out/ray --workers 2
    python examples/catalogue_ray.py --out /shared/out --manifest /shared/products.csv --address auto

Images and tables are byte for byte those of ``examples/catalogue.py``. On a cluster of several machines the
inputs and ``--out`` must be on a disk they share; docs/cluster.md says how to start one.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

from cyclorama import GenerateConfig
from cyclorama.catalogue.config import CatalogueConfig
from cyclorama.catalogue.run import run_catalogue
from cyclorama.generation.demo_set import get_demo_folder, load_demo
from cyclorama.generation.model import open_model
from cyclorama.jobs.ray import choose_cluster_device


def main() -> None:
    """Write a manifest if none is given, and run it on the cluster."""
    parser = argparse.ArgumentParser(description="A small catalogue on a Ray cluster.")
    parser.add_argument("--out", type=Path, default=Path("out/ray"), help="output folder")
    parser.add_argument("--manifest", type=Path, help="CSV, JSONL or Parquet with image and category")
    parser.add_argument("--products", type=int, default=9, help="how many of the bundled products to take")
    parser.add_argument("--model", help="model folder or hub id (default: the bundled model)")
    parser.add_argument("--steps", type=int, default=25, help="denoising steps")
    parser.add_argument("--workers", type=int, default=2, help="models at work at once")
    parser.add_argument("--address", help="address of a cluster (default: start one here)")
    args = parser.parse_args()

    manifest = args.manifest or args.out / "manifest.csv"
    if args.manifest is None:
        args.out.mkdir(parents=True, exist_ok=True)
        with manifest.open("w", newline="", encoding="utf-8") as file:
            rows = [(e.product.absolute(), e.category) for e in load_demo(get_demo_folder())[: args.products]]
            csv.writer(file).writerows([("image", "category"), *rows])

    settings = GenerateConfig(num_inference_steps=args.steps)
    config = CatalogueConfig(
        settings=settings, engine="ray", address=args.address, workers=args.workers, shard_size=4
    )
    device, dtype = choose_cluster_device(config, "auto", "auto")
    config = replace(config, device=device, dtype=dtype)
    result = run_catalogue(str(manifest), args.out, open_model(args.model), config)
    print(f"{result.done} of {result.rows} rows done, {result.failed} failed, {result.sampled} images new")


if __name__ == "__main__":
    main()
