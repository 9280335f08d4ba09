"""Puts the result of a training run into the package: weights, record and golden logits, measured on the way.

    python scripts/embed_weights.py state/run1 --test state/test.npz --lossless ../shared/data/cifar10-lossless-500.npz

Takes weights.safetensors and run.json as `train_cifar10.py` writes them; writes NAME.safetensors, NAME.json and
NAME.golden.json into haste/models/weights, and loads them again as a user would.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from cifar10 import CLASSES
from train_cifar10 import MEAN, STD

from haste.commands.bars import progress_bar
from haste.dataset import read_npz
from haste.images import open_image, preprocess
from haste.models import DEFAULT, WeightsRecord, create_model, load_checkpoint, load_pretrained
from haste.models.weights import FOLDER

SAMPLES = Path(__file__).parent.parent / "haste" / "samples"


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of weights.safetensors and run.json")
    parser.add_argument("--name", default=DEFAULT)
    parser.add_argument("--test", type=Path, help="npz of the test split: top-1 is measured again")
    parser.add_argument("--lossless", type=Path, help="npz of lossless test images: top-1 is measured")
    parser.add_argument("--licence", default="MIT")
    parser.add_argument("--source", default="trained by this project with scripts/train_cifar10.py on CIFAR-10 (JPEG)")
    return parser.parse_args()


def training_of(run: dict[str, Any]) -> dict[str, Any]:
    """What the record tells of the run: everything but the loss curve."""
    config = run["config"]
    kept = ("script", "steps", "hours", "machine", "torch", "archive_sha256", "chosen", "validation", "top1")
    return {"seed": config["seed"], "phases": config["phases"], "config": config} | {key: run[key] for key in kept}


@torch.inference_mode()
def top1(model: torch.nn.Module, path: Path, record: WeightsRecord) -> dict[str, Any]:
    """Share of the images of an npz that the dense network classifies right."""
    data, right = read_npz(path, record), 0
    with progress_bar(path.name, len(data)) as advance:
        for x, labels in data.batches(250):
            right += int((model(x).argmax(1) == labels).sum())
            advance(len(labels))
    return {"top1": right / len(data), "images": len(data)}


@torch.inference_mode()
def write_golden(model: torch.nn.Module, record: WeightsRecord) -> None:
    """Logits of the dense float32 network for the sample images."""
    logits = {
        path.name: [round(v, 5) for v in model(preprocess(open_image(path), record)[None])[0].tolist()]
        for path in sorted(SAMPLES.glob("*.jpg"))
    }
    golden = {"sha256": record.sha256, "torch": torch.__version__, "logits": logits}
    rows = json.dumps(golden, indent=1).replace("\n   ", " ").replace("\n  ]", " ]")
    (FOLDER / f"{record.name}.golden.json").write_text(rows + "\n")
    guesses = {name: record.classes[max(range(len(row)), key=row.__getitem__)] for name, row in logits.items()}
    print("samples:", guesses)


def main() -> None:
    args = parse_args()
    run = json.loads((args.run / "run.json").read_text())
    weights, file = args.run / "weights.safetensors", f"{args.name}.safetensors"
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    model = create_model(run["config"]["model"], len(CLASSES))
    load_checkpoint(model, weights, run["weights_sha256"])
    model.eval()
    values: dict[str, Any] = {
        "name": args.name, "model": run["config"]["model"], "file": file, "sha256": sha256, "source": args.source,
        "licence": args.licence, "input_size": 32, "mean": MEAN, "std": STD, "classes": CLASSES,
        "dense_top1": run["top1"]["test"], "parameters": sum(p.numel() for p in model.parameters()), "embedded": True,
        "training": training_of(run),
    }  # fmt: skip
    parts = {"test": args.test, "lossless": args.lossless}
    measured = {name: top1(model, path, WeightsRecord(**values)) for name, path in parts.items() if path}
    values["training"]["measured"] = measured
    if "test" in measured:
        values["dense_top1"] = measured["test"]["top1"]
    record = WeightsRecord(**values)
    FOLDER.mkdir(exist_ok=True)
    shutil.copyfile(weights, FOLDER / file)
    (FOLDER / f"{args.name}.json").write_text(json.dumps(values, indent=1) + "\n")
    loaded, found = load_pretrained(args.name)
    assert found == record, (found, record)
    write_golden(loaded, record)
    print(f"{FOLDER / file}: top-1 {record.dense_top1:.4f}; measured {measured}")


if __name__ == "__main__":
    main()
