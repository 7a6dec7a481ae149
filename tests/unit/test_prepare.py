"""A run's start folder, categories and cache: cyclorama.training.prepare by its values."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from cyclorama.config import build_config
from cyclorama.errors import ConfigError, DataError
from cyclorama.models.autoencoder import PatchAutoencoder
from cyclorama.models.registry import Category, CategoryRegistry, load_registry
from cyclorama.training import prepare
from cyclorama.training.batch import BatchNeeds
from cyclorama.training.config import TrainConfig
from cyclorama.training.prepare import extend_registry, find_start, prepare_run
from cyclorama.training.stage import Start, TrainStage

PLAIN = {"data": {"source": {"path": "shards"}}, "model": {"base": "folder"}, "steps": 6, "batch_size": 8}


class Data:
    """``names`` as categories; image i of 8 x 8 pixels is all i."""

    def __init__(self, *names: str, width: int = 8) -> None:
        self.names, self.width, self.loaded = names, width, list[int]()

    def __len__(self) -> int:
        return len(self.names)

    def load(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        self.loaded.append(index)
        return np.full((8, self.width, 3), index, np.uint8), np.zeros((8, self.width), np.float32)

    def category(self, index: int) -> str:
        return self.names[index]


def build(**changes: Any) -> TrainConfig:
    return build_config(TrainConfig, {**PLAIN, **changes})


def build_stage(prompts: bool = False, from_scratch: bool = True) -> TrainStage:
    def networks(start: Start, base: Any) -> Any:
        return {"unet": torch.nn.Linear(1, 1)}, {"vae": base.vae}

    nothing: Any = None
    needs = BatchNeeds(prompts=prompts)
    return TrainStage("base", networks, nothing, nothing, nothing, needs, from_scratch)


@pytest.fixture
def accelerator() -> Any:
    nothing = staticmethod(lambda: None)
    return SimpleNamespace(is_main_process=True, device=torch.device("cpu"), wait_for_everyone=nothing)


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A base of 4 pixels per latent that stands for whatever is loaded or built."""
    torch.manual_seed(0)
    vae = PatchAutoencoder(patch=4, latent_channels=2, widths=(8, 8), blocks=(1, 1), scaling_factor=0.5)
    scheduler = SimpleNamespace(config=SimpleNamespace(num_train_timesteps=1000))
    found = SimpleNamespace(
        vae=vae.eval(), vae_scale=4, image_multiple=8, latent_channels=2, scheduler=scheduler
    )
    monkeypatch.setattr(prepare, "load_base", lambda folder: found)
    monkeypatch.setattr(prepare, "build_base", lambda *given, **options: found)
    monkeypatch.setattr(prepare, "save_base", lambda base, folder: (folder / "model_index.json").touch())
    monkeypatch.setattr(prepare, "find_model", lambda folder: Path(folder))
    return found


def test_latents_are_cached_in_the_run_and_the_samples_drawn_from_them(tmp_path, accelerator, base) -> None:
    found = prepare_run(build_stage(), build(), tmp_path, accelerator, Data("tea", "soap"))
    assert found.draws.latent_shape == (2, 2, 2) and found.draws.num_timesteps == 1000
    assert len(list((tmp_path / "cache").glob("latents-*.npy"))) == 1
    assert found.networks.start.registry.names == ["soap", "tea"]
    assert found.builder.prompts is None and len(found.shown.data) == 2
    own = build(data={"source": {"path": "shards"}, "cache": str(tmp_path / "own")})
    prepare_run(build_stage(), own, tmp_path / "out", accelerator, Data("tea"))
    assert len(list((tmp_path / "own").glob("*.npy"))) == 1 and not (tmp_path / "out/cache").exists()


def test_no_image_and_an_image_that_fits_no_latent_are_refused(tmp_path, accelerator, base) -> None:
    with pytest.raises(DataError, match="shards holds no image to train on"):
        prepare_run(build_stage(), build(), tmp_path, accelerator, Data())
    message = r"8 x 12 pixels do not fit the base; both sides must be multiples of 8 \(4 per latent\)"
    with pytest.raises(DataError, match=message):
        prepare_run(build_stage(), build(), tmp_path, accelerator, Data("tea", width=12))


def test_a_start_is_built_anew_until_a_checkpoint_was_made_from_it(
    tmp_path, accelerator, base, monkeypatch
) -> None:
    shape = {"build": {"patch": 4, "latent_channels": 2, "decoder_widths": [8, 8]}}
    fitted = []
    base.vae.fit = fitted.append
    monkeypatch.setattr(prepare, "FIT_IMAGES", 3)
    data = Data(*"abcde")
    for names in (["a", "b"], ["b", "c"]):
        folder = find_start(build_stage(), build(model=shape), data, names, tmp_path, accelerator)
        assert folder == tmp_path / "start" and load_registry(folder).names == names
    checkpoint = tmp_path / "checkpoints/step-00000004"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text('{"files": {}}')
    find_start(build_stage(), build(model=shape), data, ["d"], tmp_path, accelerator)
    assert load_registry(folder).names == ["b", "c"]
    assert data.loaded == [0, 2, 4] * 2 and [images.shape for images in fitted] == [(3, 3, 8, 8)] * 2


def test_a_start_is_a_trained_base_where_the_stage_needs_one(tmp_path, accelerator, base) -> None:
    data, last = Data("a"), (["a"], tmp_path, accelerator)
    stage = build_stage(from_scratch=False)
    assert find_start(stage, build(), data, *last) == Path("folder")
    with pytest.raises(ConfigError, match=r"stage 'base' needs model\.base, a trained base"):
        find_start(stage, build(model={"build": {}}), data, *last)


def test_an_autoencoder_must_be_of_the_size_that_is_built(tmp_path, accelerator, base, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(prepare, "load_vae", lambda path, dtype: asked.append(path) or base.vae)

    def start(**sizes: int) -> Path:
        base.latent_channels = sizes["latent_channels"]
        config = build(model={"build": sizes, "autoencoder": "own"})
        return find_start(build_stage(), config, Data("a"), ["a"], tmp_path, accelerator)

    for sizes in ({"patch": 4, "latent_channels": 3}, {"patch": 8, "latent_channels": 2}):
        wanted = f"model.build says {sizes['latent_channels']} and {sizes['patch']}"
        with pytest.raises(ConfigError, match=f"own has 2 channels and patch 4, but {wanted}"):
            start(**sizes)
    assert (start(patch=4, latent_channels=2) / "model_index.json").is_file()
    assert asked == [Path("own/vae")] * 3


def test_prompts_of_all_categories_are_encoded_in_their_order(
    tmp_path, accelerator, base, monkeypatch
) -> None:
    chunks = []

    def encode(tokenizer: Any, encoder: Any, texts: list[str]) -> torch.Tensor:
        chunks.append(texts)
        return torch.tensor([[[float(sum(map(ord, text)))]] for text in texts])

    monkeypatch.setattr(prepare, "encode_prompts", encode)
    base.tokenizer, base.text_encoder = None, torch.nn.Linear(1, 1)
    names = [f"name {n:02d}" for n in range(22)]
    found = prepare_run(build_stage(prompts=True), build(), tmp_path, accelerator, Data(*names))
    table = found.builder.prompts
    assert [len(chunk) for chunk in chunks] == [64, 3]
    assert table.categories == tuple(names) and table.rows.shape == (67, 1, 1) and table.rows[66] == 0
    (row, _, _) = table.list_rows("name 21", drop=False)
    assert table.rows[row] == sum(map(ord, "A photo of name 21"))


def test_new_categories_are_added_to_a_copy() -> None:
    known = CategoryRegistry([Category("tea", 4, ("green tea",))])
    extended = extend_registry(known, ["green tea", "soap"])
    assert (known.names, extended.names) == (["tea"], ["tea", "soap"])
    assert extended.resolve("soap").id == 5
