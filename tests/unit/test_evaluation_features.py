"""Feature networks: identities, batches, files, the published Inception layout, CLIP, our own training."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from cyclorama.errors import (
    CheckpointError,
    DataError,
    MissingImageError,
    MixedFeaturesError,
    ModelFormatError,
    ModelNotFoundError,
    SettingsError,
)
from cyclorama.evaluation.feature_network import (
    CARD_NAME,
    DIMENSIONS,
    WEIGHTS_NAME,
    FeatureNetwork,
    FeatureNetworkConfig,
    load_network,
    save_network,
)
from cyclorama.evaluation.features import (
    CycloramaNetwork,
    check_same_features,
    compute_similarity,
    extract_features,
)
from cyclorama.evaluation.following import compute_category_hits
from cyclorama.evaluation.published import FILE_NAME, Inception, load_features
from cyclorama.evaluation.reading import from_arrays, open_images
from cyclorama.imaging.masks import NEUTRAL, fill_product
from cyclorama.imaging.transforms import resize_bicubic, resize_to
from cyclorama.lab.features.data import augment, load_training_set, prepare_batch
from cyclorama.lab.features.settings import FeatureTrainingSettings
from cyclorama.lab.features.training import compute_rate, train_features
from cyclorama.pretrained import HEAD
from cyclorama.scenes.features import open_trunk

CATEGORIES = ("fruit", "laptop", "perfume")


def encode(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def paint(number: int, side: int = 48) -> tuple[np.ndarray, np.ndarray, dict]:
    """An image whose scene tells the category; its product's colours and outline do not."""
    random = np.random.default_rng(number)
    kind = number % 3
    colour = np.array([(200, 120, 60), (60, 60, 90), (220, 190, 210)][kind]) + random.integers(-10, 10, 3)
    rows, columns = np.mgrid[:side, :side]
    wave = [np.sin(columns / 2), np.sin(rows / 3), np.sin((rows + columns) / 4)][kind]
    pixels = np.clip(colour + 25 * wave[..., None] + random.normal(0, 4, (side, side, 3)), 0, 255)
    pixels = pixels.astype(np.uint8)
    mask = np.zeros((side, side), np.uint8)
    width = int(random.integers(5, 12))
    mask[16:40, 24 - width : 24 + width] = 255
    pixels[mask > 0] = random.integers(0, 256, 3)
    meta = {
        "category": CATEGORIES[kind],
        "brand": None if number % 5 == 0 else f"{CATEGORIES[kind]}-{number % 2}",
        "split": "test" if number % 4 == 3 else "train",
        "palette": ["#" + "".join(f"{int(np.clip(v, 0, 255)):02x}" for v in colour)] * 4,
    }
    return pixels, mask, meta


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    with tarfile.open(folder / "shard-000000.tar", "w") as tar:
        for number in range(48):
            pixels, mask, meta = paint(number)
            members = {"png": encode(pixels), "mask.png": encode(mask), "json": json.dumps(meta).encode()}
            for suffix, data in members.items():
                info = tarfile.TarInfo(f"p{number:03d}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return folder


@pytest.fixture(scope="module")
def network() -> CycloramaNetwork:
    torch.manual_seed(0)
    return CycloramaNetwork(FeatureNetwork(FeatureNetworkConfig(categories=CATEGORIES)).eval(), "0" * 16)


def test_resizing_is_antialiased_and_keeps_flat_colours():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = resize_bicubic(stripes, (16, 16))
    assert np.abs(small[:, 2:-2] - 127.5).max() < 0.01
    flat = np.full((50, 31, 3), (10, 128, 250), np.uint8)
    assert np.array_equal(resize_to(flat, (16, 16)), np.full((16, 16, 3), (10, 128, 250)))
    assert np.array_equal(resize_to(stripes, (64, 64)), stripes)


def test_a_filled_product_has_no_influence():
    pixels, mask, _ = paint(1)
    soft = mask.astype(np.float32) / 255
    other = pixels.copy()
    other[mask > 0] = (255, 0, 255)
    filled = fill_product(pixels, soft)
    assert np.array_equal(filled, fill_product(other, soft))
    assert (filled[mask > 0] == NEUTRAL).all()
    assert np.array_equal(filled[:10], pixels[:10])


def test_network_has_the_promised_size_and_maps(network: CycloramaNetwork):
    count = sum(p.numel() for p in network.network.parameters())
    assert 1_000_000 <= count <= 1_500_000
    maps = network.network.compute_maps(torch.zeros(2, 3, 128, 128))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (24, 64, 64),
        (48, 32, 32),
        (96, 16, 16),
        (144, 8, 8),
        (256, 4, 4),
    ]
    image = torch.rand(2, 3, 128, 128)
    pooled = network.network.compute_maps(image)[-1].mean(dim=(2, 3))
    torch.testing.assert_close(network.network(image), pooled)


def test_saved_network_computes_the_same_and_its_hash_names_its_content(tmp_path: Path):
    torch.manual_seed(1)
    made = FeatureNetwork(FeatureNetworkConfig(categories=CATEGORIES, brands=("a", "b"))).eval()
    weights_hash = save_network(made, tmp_path, {"held_out": {"category": 0.5}})
    loaded, found = load_network(tmp_path)
    assert found == weights_hash and loaded.config == made.config
    image = torch.rand(1, 3, 128, 128)
    torch.testing.assert_close(loaded(image), made(image), rtol=2e-3, atol=1e-3)
    assert save_network(loaded, tmp_path / "again") == weights_hash  # float16 is lost once, not twice
    assert (tmp_path / WEIGHTS_NAME).stat().st_mode & 0o777 == 0o644
    card = json.loads((tmp_path / CARD_NAME).read_text())
    assert card["held_out"] == {"category": 0.5}
    card["weights_hash"] = "f" * 16
    (tmp_path / CARD_NAME).write_text(json.dumps(card))
    with pytest.raises(ModelFormatError, match="its card says ffff"):
        load_network(tmp_path)
    with pytest.raises(ModelNotFoundError, match="train one with"):
        load_network(tmp_path / "nowhere")


def test_features_do_not_depend_on_order_or_neighbours(network: CycloramaNetwork):
    images = {f"k{n:02d}": paint(n)[0] for n in range(35)}
    table = extract_features(from_arrays(images), network)
    backwards = extract_features(from_arrays(dict(reversed(images.items()))), network)
    assert table.keys == backwards.keys == tuple(sorted(images))
    assert np.array_equal(table.values, backwards.values)
    alone = extract_features(from_arrays({"k20": images["k20"]}), network)
    np.testing.assert_allclose(alone.values[0], table.select(["k20"]).values[0], rtol=1e-4, atol=1e-6)
    assert table.values.shape == (35, DIMENSIONS)
    with pytest.raises(MissingImageError, match="'x' among 35"):
        table.select(["x"]).values[0]


def test_background_features_ignore_the_product_and_are_not_mixed(network: CycloramaNetwork):
    pixels, mask, _ = paint(2)
    soft = mask.astype(np.float32) / 255
    other = pixels.copy()
    other[mask > 0] = (0, 255, 0)
    tables = [
        extract_features(from_arrays({"k": p}, {"k": soft}), network, "background") for p in (pixels, other)
    ]
    assert np.array_equal(tables[0].values, tables[1].values)
    assert compute_similarity(tables[0], tables[1])["k"] == pytest.approx(100)
    whole = extract_features(from_arrays({"k": pixels}), network)
    with pytest.raises(MixedFeaturesError, match=r"\(background, pillow-bicubic\) cannot be compared"):
        compute_similarity(tables[0], whole)
    with pytest.raises(MissingImageError, match="'k' has no mask; give --masks"):
        extract_features(from_arrays({"k": pixels}), network, "background")
    other_weights = replace(whole.identity, weights_hash="1" * 16)
    with pytest.raises(MixedFeaturesError):
        check_same_features(whole.identity, other_weights)


def test_augmentation_depends_on_its_generator_alone_and_hides_the_gap():
    pixels, mask, _ = paint(3, 144)
    filled = fill_product(pixels, mask.astype(np.float32) / 255)
    first, again, other = (
        augment(filled, mask, mask, np.random.Generator(np.random.PCG64(seed))) for seed in (5, 5, 6)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert first.shape == (3, 128, 128) and np.abs(first).max() <= 1
    everything = np.full((144, 144), 255, np.uint8)
    grey = augment(filled, everything, mask, np.random.default_rng(0))
    np.testing.assert_allclose(grey, NEUTRAL / 127.5 - 1, atol=1e-6)
    assert prepare_batch(filled[None]).shape == (1, 3, 128, 128)


def test_training_learns_resumes_bit_for_bit_and_reports(shards: Path, tmp_path: Path):
    data = load_training_set(open_images(shards))
    assert data.category_names == CATEGORIES and int((~data.is_train).sum()) == 12
    config = FeatureTrainingSettings(steps=14, batch_size=9, checkpoint_steps=5)
    report = train_features(data, config, tmp_path / "whole")
    assert report["held_out"]["category"] == 1.0
    assert report["held_out"]["category_by_outline"] <= 0.6
    assert report["held_out"]["images"] == 12 and report["held_out"]["palette_error"] < 60
    assert train_features(data, config, tmp_path / "parts", stop_after=7) == {}
    resumed = train_features(data, config, tmp_path / "parts")
    assert resumed == report
    files = [(tmp_path / name / WEIGHTS_NAME).read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]
    with pytest.raises(CheckpointError, match="run of another config"):
        train_features(data, config.replace(seed=1), tmp_path / "whole")
    network = load_features(f"cyclorama={tmp_path / 'whole'}")
    images = open_images(shards)
    held_out = [key for key, item in images.items.items() if item.meta["split"] == "test"]
    table = extract_features(images.select(held_out), network, "background")
    truth = {key: images.items[key].category for key in held_out}
    hits = compute_category_hits(table, truth, network)
    assert all(hits.values())
    swapped = {key: CATEGORIES[(CATEGORIES.index(value) + 1) % 3] for key, value in truth.items()}
    hits = compute_category_hits(table, swapped, network)
    assert not any(hits.values())
    with pytest.raises(SettingsError, match="needs cyclorama features of backgrounds"):
        compute_category_hits(extract_features(images, network), truth, network)


def test_learning_rate_rises_then_falls_to_nothing():
    config = FeatureTrainingSettings(steps=100, learning_rate=1.0)
    rates = [compute_rate(config, step) for step in range(101)]
    assert rates[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert rates[5:] == sorted(rates[5:], reverse=True) and rates[100] == pytest.approx(0, abs=1e-12)


def test_training_refuses_a_set_it_cannot_judge():
    pixels, mask, _ = paint(1)
    soft = mask.astype(np.float32) / 255
    with pytest.raises(DataError, match="'k' has no category"):
        load_training_set(from_arrays({"k": pixels}, {"k": soft}))
    with pytest.raises(DataError, match="1 categories, 0 images to train on"):
        load_training_set(from_arrays({"k": pixels}, {"k": soft}, {"k": "tea"}))


def test_inception_has_the_published_layout():
    """Keras states 21,768,352 trainable values without scale factors, over 17,216 normalised channels."""
    network = Inception()
    assert sum(p.numel() for p in network.parameters()) == 21_768_352 + 17_216
    assert sum(m.num_features for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)) == 17_216
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes["Conv2d_1a_3x3.conv.weight"] == (32, 3, 3, 3)
    assert shapes["Mixed_6c.branch7x7dbl_4.conv.weight"] == (160, 160, 7, 1)
    assert shapes["Mixed_7c.branch3x3dbl_3a.bn.running_var"] == (384,)
    assert len([name for name in shapes if not name.endswith("num_batches_tracked")]) == 94 * 5


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights in the published names, classifier included, statistics normalised so that values stay sane."""
    torch.manual_seed(0)
    tensors = Inception().state_dict()
    tensors |= {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    path = tmp_path_factory.mktemp("inception") / FILE_NAME
    torch.save(tensors, path)
    return path


def test_inception_features_come_from_a_published_file(inception_file: Path):
    network = load_features(f"inception={inception_file}")
    pixels = paint(1)[0]
    table = extract_features(from_arrays({"a": pixels, "b": 255 - pixels}), network)
    assert table.values.shape == (2, 2048) and (table.values >= 0).all()
    assert table.identity.label.startswith(f"inception-{network.weights_hash} (image")
    trunk = Inception().eval()
    trunk.load_state_dict(torch.load(inception_file, weights_only=True), strict=False)
    image = torch.from_numpy(resize_bicubic(pixels, (299, 299)).transpose(2, 0, 1)[None].copy()) / 127.5 - 1
    with torch.no_grad():
        torch.testing.assert_close(
            trunk(image)[0], torch.from_numpy(table.select(["a"]).values[0]), rtol=1e-3, atol=1e-5
        )


def test_efficientnet_features_lead_to_onnxruntimes_classes():
    """The classifier's layer, applied to our features, gives what onnxruntime gives for the same image."""
    onnx = pytest.importorskip("onnx")
    network = load_features("efficientnet")
    pixels = resize_bicubic(paint(1)[0], (224, 224))
    found = network.compute([pixels])
    assert found.shape == (1, 1280) and found.min() == 0 and found.max() > 0.5
    graph = onnx.load(HEAD).graph
    tensors = {v.name: onnx.numpy_helper.to_array(v).astype(np.float64) for v in graph.initializer}
    weight = tensors["_fc.weight.whole"] * tensors["_fc.weight.scale"][:, None]
    block = open_trunk().run(
        None, {"image": ((pixels.astype(np.float32) - 127) / 128).transpose(2, 0, 1)[None]}
    )
    session = onnxruntime.InferenceSession(HEAD, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {session.get_inputs()[0].name: block[-1]})
    np.testing.assert_allclose(found[0] @ weight.T + tensors["_fc.bias.half"], logits[0], atol=0.02)
    with pytest.raises(SettingsError, match="no feature network"):
        load_features("efficientnet=x.onnx")


def test_missing_or_wrong_weights_say_what_to_do(tmp_path: Path):
    with pytest.raises(ModelNotFoundError, match=f"download {FILE_NAME}.*--features inception=FILE"):
        load_features(f"inception={tmp_path / FILE_NAME}")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ModelFormatError, match="cannot be read as weights"):
        load_features(f"inception={tmp_path / 'text.pth'}")
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ModelFormatError, match="lacks 470 of"):
        load_features(f"inception={tmp_path / 'other.pth'}")
    with pytest.raises(SettingsError, match="clip needs a model"):
        load_features("clip")
    with pytest.raises(ModelNotFoundError, match="no CLIP model at .*nowhere"):
        load_features(f"clip={tmp_path / 'nowhere'}")
    with pytest.raises(SettingsError, match="no feature network 'vgg'; known: cyclorama"):
        load_features("vgg")


def test_clip_features_come_from_a_folder_in_the_hubs_layout(tmp_path: Path):
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        projection_dim=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    CLIPVisionModelWithProjection(config).save_pretrained(tmp_path)
    size = {"height": 32, "width": 32}
    transformers = pytest.importorskip("transformers")
    kind = getattr(transformers, "CLIPImageProcessorPil", None) or transformers.CLIPImageProcessor
    kind(size={"shortest_edge": 32}, crop_size=size).save_pretrained(tmp_path)
    network = load_features(f"clip={tmp_path}")
    images = from_arrays({f"k{n}": paint(n)[0] for n in range(3)})
    table = extract_features(images, network)
    assert table.identity.network == "clip" and table.values.shape == (3, 8)
    similar = compute_similarity(table, table)
    assert all(value == pytest.approx(100) for value in similar.values())
    swapped = compute_similarity(table, table, {"k0": "k1"})["k0"]
    a, b = (v.astype(float) for v in table.values[:2])
    assert swapped == pytest.approx(100 * a @ b / np.linalg.norm(a) / np.linalg.norm(b), rel=1e-9)
    assert swapped < 99.999
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelFormatError, match="needs config.json, model.safetensors"):
        load_features(f"clip={tmp_path}")
