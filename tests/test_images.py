"""Image classifiers: what is read, norms with statistics of their own, and numbers equal to those of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import transformers
from click.testing import CliRunner
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn
from torch.testing import assert_close

import landscape as ls
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.objectives.images import read_images

FEW = {"points": 3, "resamples": 100, "sequences": 12}
NAMES = {"cat": 0, "ant": 1, "bee": 2}


def resnet(seed: int) -> Any:
    torch.manual_seed(seed)
    config = transformers.ResNetConfig(
        num_channels=3, embedding_size=4, hidden_sizes=[4, 6], depths=[1, 1], layer_type="basic", num_labels=3,
        label2id=NAMES, id2label={number: name for name, number in NAMES.items()},
    )  # fmt: skip
    return cases.rough(transformers.ResNetForImageClassification(config))


def vit(seed: int) -> Any:
    torch.manual_seed(seed)
    config = transformers.ViTConfig(
        image_size=8, patch_size=4, hidden_size=12, num_hidden_layers=1, num_attention_heads=3, intermediate_size=20,
        num_labels=3, label2id=NAMES, id2label={number: name for name, number in NAMES.items()},
    )  # fmt: skip
    return cases.rough(transformers.ViTForImageClassification(config))


def processor() -> Any:
    return transformers.ViTImageProcessor(size={"height": 8, "width": 8}, image_mean=[0.4] * 3, image_std=[0.3] * 3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images as a folder by class, as arrays, and in Parquet; other ones as pixel values to train on."""
    out, random = tmp_path_factory.mktemp("images"), np.random.RandomState(5)
    images = random.randint(0, 256, (24, 10, 9, 3)).astype(np.uint8)
    names = sorted(NAMES)
    rows = []
    for n, image in enumerate(images):
        folder = out / "folder" / names[n // 8]
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{n:02}.png"
        Image.fromarray(image).save(file)
        rows.append({"image": {"bytes": file.read_bytes(), "path": None}, "label": NAMES[names[n // 8]]})
    (out / "folder" / "ant" / "notes.txt").write_text("no image")
    labels = np.array([row["label"] for row in rows])
    np.savez(out / "arrays.npz", images=images, labels=labels)
    pq.write_table(pa.Table.from_pylist(rows), out / "rows.parquet")
    pixels = processor()([Image.fromarray(image) for image in images], return_tensors="pt")["pixel_values"].numpy()
    np.savez(out / "pixels.npz", pixel_values=pixels, labels=labels)
    train = random.randn(20, 3, 8, 8).astype(np.float32)
    np.savez(out / "train.npz", pixel_values=train, labels=random.randint(0, 3, 20))
    for kind, make in (("resnet", resnet), ("vit", vit)):
        for seed in range(2):
            make(seed).save_pretrained(out / f"{kind}_{seed}")
            processor().save_pretrained(out / f"{kind}_{seed}")
    return out


def chosen(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Twelve of all images, spread evenly."""
    with np.load(path) as held:
        some = np.linspace(0, len(held["labels"]) - 1, 12).round().astype(int)
        return torch.from_numpy(held["pixel_values"][some]), torch.from_numpy(held["labels"][some])


def test_all_forms_hold_the_same_images(data: Path) -> None:
    refs = [data / "vit_0", data / "vit_1"]
    found = [
        ls.barriers(refs, text=data / name, **FEW) for name in ("folder", "arrays.npz", "rows.parquet", "pixels.npz")
    ]
    first = found[0].frame
    assert set(first["objective"]) == {"image-classification"} and first["length"].isna().all()
    for other in found[1:]:
        assert_close(other.profiles["loss"].tolist(), found[0].profiles["loss"].tolist(), rtol=0, atol=1e-6)
    model = transformers.ViTForImageClassification.from_pretrained(refs[1]).eval()
    pixels, labels = chosen(data / "pixels.npz")
    with torch.no_grad():
        made = model(pixel_values=pixels, labels=labels)
    assert first["loss_b"].iloc[0] == pytest.approx(float(made.loss), abs=1e-6)
    accuracy = found[0].metric_profiles.query("metric == 'accuracy'").set_index("t")["value"]
    assert accuracy.loc[1.0] == pytest.approx(float((made.logits.argmax(dim=-1) == labels).float().mean()), abs=1e-6)


def test_no_probe_is_usual_for_images(data: Path) -> None:
    with pytest.raises(InputError, match="no probe is usual for image-classification: probes are for language models"):
        ls.probe([data / "vit_0"], text=data / "pixels.npz")


def own_way(folder: Path, data: Path, batches: int = 1) -> float:
    """The loss of a ResNet whose statistics torch estimates on equal batches of the training data."""
    model: Any = transformers.ResNetForImageClassification.from_pretrained(folder).eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None
            layer.train()
    with np.load(data / "train.npz") as held, torch.no_grad():
        for part in torch.from_numpy(held["pixel_values"]).chunk(batches):
            model(pixel_values=part)
        pixels, labels = chosen(data / "pixels.npz")
        return float(model.eval()(pixel_values=pixels, labels=labels).loss)


def test_norms_have_the_statistics_of_the_training_data(data: Path, tmp_path: Path) -> None:
    refs = [data / "resnet_0", data / "resnet_1"]
    how: dict[str, Any] = {"text": data / "pixels.npz", "statistics": data / "train.npz", **FEW}
    found = ls.barriers(refs, **how)
    row = found.frame.iloc[0]
    assert [row["loss_a"], row["loss_b"]] == pytest.approx([own_way(ref, data) for ref in refs], abs=1e-6)
    with pytest.raises(InputError, match=r"is a BatchNorm, .* or --statistics: images of the training data"):
        ls.barriers(refs, text=data / "pixels.npz", **FEW)
    moved = ls.align(*refs, out=tmp_path / "moved", **how)
    assert not moved.failed
    assert own_way(tmp_path / "moved", data) == pytest.approx(row["loss_b"], abs=1e-5)
    written: Any = transformers.ResNetForImageClassification.from_pretrained(tmp_path / "moved").eval()
    pixels, labels = chosen(data / "pixels.npz")
    with torch.no_grad():
        assert float(written(pixel_values=pixels, labels=labels).loss) == pytest.approx(row["loss_b"], abs=1e-5)
    assert (tmp_path / "moved" / "preprocessor_config.json").is_file()


def test_batches_of_statistics_weigh_alike(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty images are two batches of ten, and not one of twelve and one of eight."""
    monkeypatch.setattr("landscape.session.images.AT_ONCE", 12)
    ref = data / "resnet_0"
    found = ls.barriers([ref, data / "resnet_1"], text=data / "pixels.npz", statistics=data / "train.npz", **FEW)
    here, wanted = found.frame["loss_a"].iloc[0], own_way(ref, data, batches=2)
    assert here == pytest.approx(wanted, abs=1e-6) and abs(wanted - own_way(ref, data)) > 1e-4


@pytest.mark.slow
def test_a_command_and_a_study_read_images(data: Path, tmp_path: Path) -> None:
    options = ["--text", str(data / "folder"), "--points", "3", "--resamples", "100", "--sequences", "12", "--json"]
    done = CliRunner().invoke(cli, ["barriers", str(data / "vit_0"), str(data / "vit_1"), *options])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    (tmp_path / "study.toml").write_text(
        f'version = 1\nname = "images"\n[checkpoints]\nfolder = "{data}/resnet_{{seed}}"\n[data]\n'
        f'objective = "image-classification"\ntext = "{data}/folder"\nstatistics = "{data}/train.npz"\nsequences = 12\n'
        '[[measure]]\nkind = "barriers"\npoints = 3\nresamples = 100\n'
        f'[[measure]]\nkind = "curves"\nfit_text = "{data}/train.npz"\nfit_sequences = 16\nfit_steps = 2\n'
        "fit_batch = 8\npoints = 3\ncontrol = false\n"
    )
    ran = ls.run(tmp_path / "study.toml", workers=1)
    assert not ran.failed and rows[0]["unit"] == "nats per example"
    first = ran.rows("barrier").iloc[0]
    assert first["loss_a"] == pytest.approx(own_way(data / "resnet_0", data), abs=1e-6)
    keys = set(ran.keys)
    text = (tmp_path / "study.toml").read_text()
    (tmp_path / "study.toml").write_text(text.replace(f'statistics = "{data}/train', f'statistics = "{data}/pixels'))
    assert not keys & set(ls.run(tmp_path / "study.toml", workers=1).keys)


@pytest.mark.parametrize(
    ("name", "arrays", "said"),
    [
        ("a", {"labels": [0, 1]}, "labels and pixel_values or images are wanted"),
        ("b", {"images": np.zeros((2, 4, 4)), "labels": [0, 1]}, r"images of .* are float64 \(2, 4, 4\); bytes"),
        ("c", {"pixel_values": np.zeros((2, 4)), "labels": [0, 1]}, "floats of images, channels, height and width"),
        ("d", {"images": np.zeros((2, 4, 4), np.uint8), "labels": [0.5, 1]}, "2 whole numbers are wanted"),
        ("e", {"images": np.zeros((2, 4, 4), np.uint8), "labels": [0]}, "2 whole numbers are wanted"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, name: str, arrays: dict[str, Any], said: str) -> None:
    np.savez(tmp_path / f"{name}.npz", **arrays)
    with pytest.raises(InputError, match=said):
        read_images(tmp_path / f"{name}.npz", NAMES)


def test_what_is_no_set_of_images_is_said(data: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK no zip")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    (tmp_path / "other" / "dog").mkdir(parents=True)
    (tmp_path / "bad" / "cat").mkdir(parents=True)
    (tmp_path / "bad" / "cat" / "x.png").write_bytes(b"no image")
    pq.write_table(pa.table({"text": ["a"], "label": [1]}), tmp_path / "texts.parquet")
    for name, said in (
        ("broken.npz", "cannot be read as arrays"), ("broken.parquet", "is a damaged Parquet file"),
        ("empty", "has no folders with images"), ("other", "has the class dog, and the config of the model has cat"),
        ("none.txt", "is no set of images"), ("texts.parquet", "row 1 of .* has text, label; image"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            read_images(tmp_path / name, NAMES)
    with pytest.raises(InputError, match="x.png cannot be read as an image"):
        read_images(tmp_path / "bad", NAMES).opened(0)
    refs = [data / "vit_0", data / "vit_1"]
    with pytest.raises(InputError, match="there are 24 of the 50 images wanted"):
        ls.barriers(refs, text=data / "folder", sequences=50, points=3)
    with pytest.raises(InputError, match="probes read texts"):
        ls.probe(refs[0], "agreement", text=data / "folder", sequences=12)
    with pytest.raises(InputError, match="where chooses records of a text, and image-classification reads images"):
        ls.barriers(refs, text=data / "folder", where="label == 1", **FEW)
    with pytest.raises(InputError, match="statistics is for image models with BatchNorm"):
        ls.barriers(refs, objective="causal-lm", statistics="x", points=3)
    with pytest.raises(InputError, match="measured on another"):
        ls.curve(*refs, text=data / "folder", fit_text=data / "folder", sequences=12)


def test_classes_without_names_are_numbered(data: Path, tmp_path: Path) -> None:
    plain = {f"LABEL_{n}": n for n in range(3)}
    assert sorted(set(read_images(data / "folder", plain).labels)) == [0, 1, 2]
    assert set(read_images(data / "folder", NAMES).labels[:8]) == {NAMES["ant"]}
    for name in ("2", "0"):
        (tmp_path / name).mkdir()
        Image.new("L", (3, 3)).save(tmp_path / name / "x.png")
    found = read_images(tmp_path, NAMES)
    assert list(found.labels) == [0, 2] and found.opened(0).mode == "RGB"


def test_images_need_a_processor(data: Path, tmp_path: Path) -> None:
    for seed in range(2):
        vit(seed).save_pretrained(tmp_path / f"{seed}")
    with pytest.raises(InputError, match="has no preprocessor_config.json, which says how images become pixel values"):
        ls.barriers([tmp_path / "0", tmp_path / "1"], text=data / "folder", **FEW)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["resnet", "vit"])
def test_digits_by_command(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Barrier, curve, plane, alignment and report of trained models; both kinds together take about a minute."""
    monkeypatch.chdir(tmp_path)
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.target))
    x, y = (digits.images[order, None] / 16).astype(np.float32), digits.target[order]
    for name, some in (("test", slice(0, 400)), ("train", slice(400, None))):
        np.savez(f"{name}.npz", pixel_values=x[some], labels=y[some])
    pixels, labels = torch.from_numpy(x[400:]), torch.from_numpy(y[400:])
    shape = {"num_channels": 1, "num_labels": 10}
    small: Any = {
        "resnet": lambda: transformers.ResNetForImageClassification(transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", **shape)),
        "vit": lambda: transformers.ViTForImageClassification(transformers.ViTConfig(
            image_size=8, patch_size=2, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
            intermediate_size=48, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **shape)),
    }[kind]  # fmt: skip
    for seed in range(3):
        torch.manual_seed(seed)
        model = small().train()
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        for _ in range(4):
            for batch in torch.randperm(len(pixels)).split(32):
                optimizer.zero_grad()
                model(pixel_values=pixels[batch], labels=labels[batch]).loss.backward()
                optimizer.step()
        model.save_pretrained(f"runs/seed_{seed}")
    refs = [f"runs/seed_{seed}" for seed in range(3)]
    more = ["--text", "test.npz", "--sequences", "200", *(["--statistics", "train.npz"] if kind == "resnet" else [])]
    fit = ["--fit-text", "train.npz", "--fit-sequences", "256", "--fit-steps", "60", "--no-control"]
    for command in (
        ["barriers", *refs, *more, "--align", "none,weights"], ["curve", *refs[:2], *more, *fit],
        ["plane", *refs, *more, "--resolution", "5"], ["align", *refs[:2], *more, "--out", "moved"],
    ):  # fmt: skip
        done = CliRunner().invoke(cli, command)
        assert done.exit_code == 0, done.output
    Path("study.toml").write_text(
        'version = 1\nname = "digits"\n[checkpoints]\nfolder = "runs/seed_{seed}"\n[data]\n'
        'objective = "image-classification"\ntext = "test.npz"\nsequences = 200\n'
        + ('statistics = "train.npz"\n' if kind == "resnet" else "")
        + '[[measure]]\nkind = "barriers"\nalign = ["none", "weights"]\n'
    )
    ran = ls.run("study.toml", workers=1)
    rows = ran.rows("barrier")
    chords = rows[rows["definition"] == "chord"].groupby("align")["barrier"].mean()
    assert not ran.failed and chords["weights"] < chords["none"]
    assert CliRunner().invoke(cli, ["report", "."]).exit_code == 0 and Path("report.html").stat().st_size > 10_000
