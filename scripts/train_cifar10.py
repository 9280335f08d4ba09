"""Trains a network on CIFAR-10 in phases of image size; stops and resumes at any step, bit for bit.

    python scripts/train_cifar10.py --archive cifar10-jpeg.tar.xz --state state/run1 --phases 16:12,32:6

The same command line resumes. Order and augmentation are functions of (seed, step), so a checkpoint
holds only tensors and the step. Writes weights.safetensors (fp16), run.json and curve.png.
"""

import argparse
import hashlib
import json
import math
import os
import platform
import signal
import time
from pathlib import Path
from typing import Any

import torch
from cifar10 import CLASSES, Split, read_archive
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from haste.models import create_model
from haste.models.weights import STATISTICS

SETTINGS = ("model", "init", "phases", "batch", "peak_lr", "weight_decay", "average", "seed", "limit", "precision")
"""What a run cannot change on its way."""
MEAN, STD = STATISTICS["cifar10"]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True, help="folder of checkpoint, log and results")
    parser.add_argument("--model", default="resnet18_cifar10")
    parser.add_argument("--init", type=Path, help="warm start: a safetensors state dict")
    parser.add_argument("--phases", default="16:12,32:6", help="SIZE:EPOCHS[,SIZE:EPOCHS]; epochs may be fractions")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--peak-lr", type=float, default=0.2)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--average", type=float, default=0.998, help="decay of the weight average, per step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="of convolutions and products (autocast); weights and their updates stay float32",
    )
    parser.add_argument("--checkpoint-steps", type=int, default=50)
    parser.add_argument("--stop-after", type=int, help="leave after this step, as an interruption would")
    parser.add_argument("--limit", type=int, help="only this many images of each split (smoke runs)")
    return parser.parse_args()


class Schedule:
    """Step -> (image size, learning rate): one cycle over all phases, warm-up over the first tenth."""

    def __init__(self, phases: str, steps_per_epoch: int, peak: float) -> None:
        self.sizes: list[int] = []
        for phase in phases.split(","):
            size, epochs = phase.split(":")
            self.sizes += [int(size)] * max(1, round(float(epochs) * steps_per_epoch))
        self.peak = peak

    def __len__(self) -> int:
        return len(self.sizes)

    def rate(self, step: int) -> float:
        at, rise = (step + 1) / (len(self) + 1), 0.1
        return self.peak * (at / rise if at < rise else 0.5 * (1 + math.cos(math.pi * (at - rise) / (1 - rise))))


def to_input(images: Tensor, size: int) -> Tensor:
    """(N, 32, 32, 3) uint8 -> (N, 3, size, size) float32, normalised, then averaged down."""
    mean, std = (torch.tensor(v, device=images.device) for v in (MEAN, STD))
    x = ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2)
    x = F.interpolate(x, size=(size, size), mode="area") if size != x.shape[-1] else x
    return x.contiguous(memory_format=torch.channels_last)


def augment(x: Tensor, generator: torch.Generator) -> Tensor:
    """Flip and shift every image by its own amount (up to an eighth of the side, reflected)."""
    n, _, side, _ = x.shape
    margin = side // 8
    flip = torch.rand(n, generator=generator) < 0.5
    rows, columns = torch.randint(0, 2 * margin + 1, (2, n, 1), generator=generator)
    step = torch.arange(side)
    columns = torch.where(flip[:, None], columns + side - 1 - step, columns + step)
    padded = F.pad(x, [margin] * 4, mode="reflect").permute(0, 2, 3, 1)
    image = torch.arange(n)[:, None, None]
    return padded[image, (rows + step)[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


@torch.no_grad()
def accuracy(model: nn.Module, split: Split, size: int, device: str, batch: int = 500) -> float:
    """Top-1 on a split; leaves the model in evaluation mode."""
    model.eval()
    right = 0
    for start in range(0, len(split.labels), batch):
        images = torch.from_numpy(split.images[start : start + batch]).to(device)
        labels = torch.from_numpy(split.labels[start : start + batch]).to(device)
        right += int((model(to_input(images, size)).argmax(1) == labels).sum())
    return right / len(split.labels)


class Run:
    """Model, weight average and optimiser of one run, with their checkpoint."""

    def __init__(self, args: argparse.Namespace, device: str) -> None:
        torch.manual_seed(args.seed)
        self.state, self.decay, self.mixed = args.state, args.average, args.precision == "bfloat16"
        self.model = create_model(args.model, num_classes=len(CLASSES))
        self.average = create_model(args.model, num_classes=len(CLASSES))
        if args.init:
            self.model.load_state_dict(load_file(args.init))
        self.average.load_state_dict(self.model.state_dict())
        for model in (self.model, self.average):
            model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": args.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=True)
        self.step, self.seconds = 0, 0.0
        self.log: list[dict[str, Any]] = []
        self.file = self.state / "checkpoint.safetensors"
        self.settings = {name: str(getattr(args, name)) for name in SETTINGS}
        if self.file.exists():
            self._restore()

    def _velocities(self) -> list[Tensor]:
        states = self.optimiser.state
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        for p in parameters:
            states[p].setdefault("momentum_buffer", torch.zeros_like(p))
        return [states[p]["momentum_buffer"] for p in parameters]

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        return tensors | {f"velocity.{i}": v for i, v in enumerate(self._velocities())}

    def save(self) -> None:
        """Write the checkpoint so that a kill at any moment leaves the old one or the new one."""
        meta = {"step": self.step, "seconds": self.seconds, "log": self.log, "settings": self.settings}
        part = self.file.with_suffix(".part")
        save_file({k: v.contiguous() for k, v in self._tensors().items()}, part, {"run": json.dumps(meta)})
        part.replace(self.file)

    def _restore(self) -> None:
        with safe_open(self.file, "pt") as file:
            meta = json.loads(file.metadata()["run"])
            if "settings" not in meta:
                raise SystemExit(f"{self.file}: does not say with which settings it was begun; use another --state")
            for name, value in self.settings.items():
                was = meta["settings"].get(name, "not recorded")
                if was != value:
                    raise SystemExit(f"{self.file}: begun with {name} {was}, not {value}; use another --state")
            for name, tensor in self._tensors().items():
                tensor.copy_(file.get_tensor(name))
        self.step, self.seconds, self.log = meta["step"], meta["seconds"], meta["log"]

    def train_step(self, x: Tensor, y: Tensor, rate: float) -> float:
        """One step of SGD and of the weight average; the loss."""
        self.model.train()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.mixed):
            logits = self.model(x)
        loss = F.cross_entropy(logits.float(), y, label_smoothing=0.1)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        with torch.no_grad():
            decay = min(self.decay, (1 + self.step) / (10 + self.step))
            for mean, new in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
                mean.lerp_(new, 1 - decay) if mean.is_floating_point() else mean.copy_(new)
        self.step += 1
        return float(loss.detach())


def batch_of(train: Split, step: int, args: argparse.Namespace) -> tuple[Tensor, Tensor, torch.Generator]:
    """The images and labels of a step: a function of (seed, step) alone."""
    per_epoch = len(train.labels) // args.batch
    epoch, index = divmod(step, per_epoch)
    order = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(args.seed * 1_000_003 + epoch))
    chosen = order[index * args.batch : (index + 1) * args.batch].numpy()
    generator = torch.Generator().manual_seed(args.seed * 1_000_003 + 500_009 * (step + 1))
    return torch.from_numpy(train.images[chosen]), torch.from_numpy(train.labels[chosen]), generator


def draw_curve(run: Run, path: Path) -> None:
    """Loss and validation accuracy over the steps, as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    left = figure.subplots()
    left.plot([r["step"] for r in run.log], [r["loss"] for r in run.log], color="tab:blue")
    left.set(xlabel="step", ylabel="training loss")
    right = left.twinx()
    for key in ("validation", "validation_average"):
        rows = [r for r in run.log if key in r]
        right.plot([r["step"] for r in rows], [100 * r[key] for r in rows], "o-", label=key.replace("_", ", "))
    right.set_ylabel("validation top-1, %")
    right.legend(loc="center right")
    figure.savefig(path, dpi=100)


def finish(run: Run, splits: dict[str, Split], args: argparse.Namespace, device: str, size: int) -> None:
    """Choose plain or averaged weights on validation, write them as fp16 and the record of the run."""
    candidates = {"plain": run.model, "average": run.average}
    scores = {name: accuracy(model, splits["validation"], size, device) for name, model in candidates.items()}
    best = max(scores, key=lambda name: scores[name])
    weights = args.state / "weights.safetensors"
    chosen = {k: v.half() if v.is_floating_point() else v for k, v in candidates[best].state_dict().items()}
    save_file({k: v.cpu().contiguous() for k, v in chosen.items()}, weights)
    model = create_model(args.model, num_classes=len(CLASSES))
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load_file(weights).items()})
    model.to(device)
    config: dict[str, Any] = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    config |= {k: Path(config[k]).name for k in ("archive", "state", "init") if config[k]}
    record = {
        "script": "scripts/train_cifar10.py", "config": config, "steps": run.step,
        "hours": round(run.seconds / 3600, 2),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {device}", "torch": torch.__version__,
        "archive_sha256": hashlib.sha256(args.archive.read_bytes()).hexdigest(),
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "chosen": best, "validation": scores,
        "top1": {name: accuracy(model, splits[name], size, device) for name in ("validation", "test")},
        "log": run.log,
    }  # fmt: skip
    (args.state / "run.json").write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps({k: v for k, v in record.items() if k != "log"}, indent=1))


def train(run: Run, splits: dict[str, Split], schedule: Schedule, args: argparse.Namespace, device: str) -> None:
    """Every step that is left, with a checkpoint now and then and at the end."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    last, losses = min(len(schedule), args.stop_after or len(schedule)), []
    interrupted = []
    signal.signal(signal.SIGINT, lambda *_: interrupted.append(True))
    with Progress(*columns) as progress:
        bar = progress.add_task("training", total=len(schedule), completed=run.step)
        while run.step < last and not interrupted:
            began, size = time.monotonic(), schedule.sizes[run.step]
            images, labels, generator = batch_of(splits["train"], run.step, args)
            x = augment(to_input(images.to(device), size), generator)
            losses.append(run.train_step(x, labels.to(device), schedule.rate(run.step)))
            run.seconds += time.monotonic() - began
            progress.update(bar, completed=run.step, description=f"{size}px loss {losses[-1]:.3f}")
            if run.step % args.checkpoint_steps == 0 or run.step == last:
                row: dict[str, Any] = {"step": run.step, "size": size, "loss": round(sum(losses) / len(losses), 4)}
                if run.step % (10 * args.checkpoint_steps) == 0 or run.step == last:
                    row["validation"] = accuracy(run.model, splits["validation"], size, device)
                    row["validation_average"] = accuracy(run.average, splits["validation"], size, device)
                run.log.append(row)
                losses = []
                run.save()
                print(json.dumps(row), flush=True)


def main() -> None:
    args = parse_args()
    device = ("cuda" if torch.cuda.is_available() else "cpu") if args.device == "auto" else args.device
    args.state.mkdir(parents=True, exist_ok=True)
    splits = read_archive(args.archive)
    if args.limit:
        splits = {k: Split(s.images[:: len(s.labels) // args.limit], s.labels[:: len(s.labels) // args.limit])
                  for k, s in splits.items()}  # fmt: skip
    schedule = Schedule(args.phases, len(splits["train"].labels) // args.batch, args.peak_lr)
    run = Run(args, device)
    train(run, splits, schedule, args, device)
    run.save()
    draw_curve(run, args.state / "curve.png")
    if run.step < len(schedule):
        raise SystemExit(f"stopped at step {run.step} of {len(schedule)}; the same command resumes")
    finish(run, splits, args, device, schedule.sizes[-1])


if __name__ == "__main__":
    main()
