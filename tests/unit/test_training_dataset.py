"""The images of a run, and what is computed from them once."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest
import torch

from cyclorama.config import build_config
from cyclorama.errors import OutputError
from cyclorama.models.autoencoder import PatchAutoencoder
from cyclorama.prompts import build_prompts
from cyclorama.training.config import DataConfig
from cyclorama.training.dataset import (
    PickedData,
    PromptTable,
    build_latents,
    choose_images,
    compute_fingerprint,
    compute_module_hash,
    list_prompt_texts,
    load_or_build,
)


class Data:
    """``names`` as categories; image i is all i, its mask all i / 10."""

    def __init__(self, names):
        self.names = names

    def __len__(self):
        return len(self.names)

    def load(self, index):
        return np.full((8, 8, 3), index, np.uint8), np.full((8, 8), index / 10, np.float32)

    def category(self, index):
        return self.names[index]


def test_shown_images_take_turns_over_categories():
    data = Data(("b", "a", "a", "c", "b", "other"))
    assert choose_images(data, 4, ["a", "b", "c"]) == [1, 0, 3, 2]
    assert choose_images(data, 99, ["a", "b", "c"]) == [1, 0, 3, 2, 4]
    picked = PickedData(data, [4, 1])
    assert (len(picked), picked.category(0), picked.category(1)) == (2, "b", "a")
    assert picked.load(0)[0][0, 0, 0] == 4 and picked.load(1)[0][0, 0, 0] == 1


def test_a_fingerprint_is_that_of_number_categories_and_images():
    plain = compute_fingerprint(Data(("a", "b", "c")))
    assert plain == compute_fingerprint(Data(("a", "b", "c"))) == "4a257b27a85a4e4b"
    others = [Data(("a", "b")), Data(("a", "c", "b"))]
    changed = Data(("a", "b", "c"))
    changed.load = lambda index: (np.full((8, 8, 3), 2 * index, np.uint8), np.zeros((8, 8), np.float32))
    assert len({plain, *map(compute_fingerprint, [*others, changed])}) == 4
    seen = []
    many = Data(["a"] * 101)
    many.load = lambda index: seen.append(index) or (np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1)))
    compute_fingerprint(many, probes=5)
    assert seen == [0, 25, 50, 75, 100]


def test_prompt_table_rows():
    prompts = [build_prompts("perfume", "sks 0"), build_prompts("fruit", "sks 1")]
    texts = list_prompt_texts(prompts)
    table = PromptTable(np.arange(len(texts) * 6, dtype=np.float32).reshape(-1, 2, 3), ("perfume", "fruit"))
    rows = table.list_rows("fruit", drop=False)
    assert rows == (3, 4, 5) and table.list_rows("perfume", drop=False) == (0, 1, 2)
    assert [texts[row] for row in rows] == [
        "A photo of fruit",
        "in the background of sks 1",
        "A photo of fruit, in the background of sks 1",
    ]
    assert table.list_rows("fruit", drop=True) == (6, 6, 6) and texts[6] == ""
    assert table.gather([1, 6]).tolist() == [[[6, 7, 8], [9, 10, 11]], [[36, 37, 38], [39, 40, 41]]]
    assert table.gather([1]).dtype == torch.float32
    ids = PromptTable(np.arange(14, dtype=np.int32).reshape(7, 2), ("perfume", "fruit")).gather([3])
    assert (ids.dtype, ids.tolist()) == (torch.int64, [[6, 7]])


def test_cached_arrays_are_built_once_and_bear_their_mark(tmp_path):
    built = []

    def build(path):
        built.append(path)
        with path.open("wb") as stream:
            np.save(stream, np.arange(3))

    folder = tmp_path / "cache"
    assert load_or_build(folder, "x", {"a": 1}, build, main=True).tolist() == [0, 1, 2]
    load_or_build(folder, "x", {"a": 1}, build, main=True)
    assert len(built) == 1
    load_or_build(folder, "x", {"a": 2}, build, main=True)
    assert len(built) == 2
    (array, other), marks = sorted(folder.glob("x-*.npy")), sorted(folder.glob("*.done"))
    assert [json.loads(mark.read_text()) for mark in marks] == [{"bytes": array.stat().st_size}] * 2
    assert {mark.stem for mark in marks} == {array.stem, other.stem}
    marks[0].unlink()
    timer = threading.Timer(0.2, lambda: marks[0].write_text("{}"))
    timer.start()
    key = {"a": 1} if marks[0].with_suffix(".npy") == sorted(folder.glob("x-*.npy"))[0] else {"a": 2}
    for identity in (key, {"a": 1}, {"a": 2}):
        load_or_build(folder, "x", identity, build, main=False)  # waits for the mark
    assert len(built) == 2

    def fail(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"cannot write the training cache .*No space left.*data\.cache"):
        load_or_build(folder, "y", {}, fail, main=True)
    assert [path.suffix for path in folder.glob("*y-*")] == [".lock"]


def test_two_runs_that_share_a_cache_and_start_together_build_an_array_once(tmp_path, capsys):
    built, found = [], {}

    def build(path):
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(4,))
        built.append(path)
        time.sleep(0.3)  # meanwhile the other one comes along
        array[:] = 1

    def run(name):
        found[name] = load_or_build(tmp_path, "latents", {}, build, main=True).tolist()

    runs = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for one in runs:
        one.start()
    for one in runs:
        one.join()
    assert found == {"a": [1] * 4, "b": [1] * 4} and len(built) == 1
    note = f"another run is writing to {tmp_path}; waiting for it"
    assert capsys.readouterr().err == f"{note}\n"


@pytest.mark.parametrize("flip", [True, False])
def test_latents_are_those_of_each_image_and_its_mirror_image(tmp_path, flip):
    torch.manual_seed(0)
    vae = PatchAutoencoder(patch=4, latent_channels=2, widths=(8, 8), blocks=(1, 1), scaling_factor=0.5)
    settings = build_config(
        DataConfig, {"source": {"path": "x"}, "flip": flip, "cache_batch": 2, "cache_dtype": "float32"}
    )
    data = Data("abcde")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    data.load = lambda index: (pixels[index], None)
    build_latents(tmp_path / "l.npy", data, vae, settings, torch.device("cpu"), progress=False)
    found = np.load(tmp_path / "l.npy")
    images = torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32)) / 127.5 - 1
    views = [images, images.flip(3)] if flip else [images]
    with torch.no_grad():
        expected = np.stack([0.5 * vae.analysis(view).numpy() for view in views], axis=1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_module_hash_follows_names_and_values():
    one, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    other.load_state_dict(one.state_dict())
    assert compute_module_hash(one) == compute_module_hash(other)
    assert compute_module_hash(one) != compute_module_hash(torch.nn.Sequential(one))
    with torch.no_grad():
        other.bias[0] += 1
    assert compute_module_hash(one) != compute_module_hash(other)
