"""Trains the network on rendered crops and on parts of real pictures.

    python train.py --crops crops --real real/train --output runs/final --minutes 40 --seed 7

A run ends after `--steps`, or after `--minutes`; only the same steps, seed, crops and machine give the same network.
Computes in bfloat16, on a GPU if there is one; on a processor without AMX training is slow.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

import real
from network import CLASSES, STRIDE, WIDTHS, VehicleNet
from targets import CORE, targets

Floats = NDArray[Any]
CROP_PX, BATCH = 160, 16
HIGHEST_RATE, WARM_UP, WEIGHT_DECAY = 3e-3, 0.05, 2e-3
AVERAGING = 0.998
# Trained scales, metres per pixel; the program scales images to the middle of this range.
FINEST_M, COARSEST_M = 0.085, 0.118
# Pictures with many vehicles are shown more often; one without any as often as if it had a few.
SHOWN_AS_WITH = 8
GEOMETRY_WEIGHTS = (1.0, 1.0, 1.5, 1.5, 1.5, 1.5)
REPORT_EVERY = 100


class Parts(IterableDataset[tuple[Floats, ...]]):
    """Endless random parts of rendered crops and real pictures: moved, mirrored, scaled, recoloured, made coarser."""

    def __init__(self, crops: Path, pictures: list[real.Picture], real_share: float, seed: int) -> None:
        self.pictures, self.real_share, self.seed = pictures, real_share if pictures else 0.0, seed
        shares = np.sqrt([SHOWN_AS_WITH + len(picture.boxes) for picture in pictures])
        self.shares = shares / shares.sum()
        self.rendered: list[NDArray[np.uint8]] = []
        self.boxes: list[Floats] = []
        self.metres: list[float] = []
        for path in sorted(crops.glob("train_*.npz")):
            with np.load(path) as rendered:
                self.rendered += list(rendered["pictures"])
                self.metres += rendered["metres"].tolist()
                self.boxes += np.split(rendered["boxes"], np.cumsum(rendered["counts"])[:-1])

    def __iter__(self) -> Iterator[tuple[Floats, ...]]:
        worker = get_worker_info()
        random = np.random.default_rng([self.seed, 0 if worker is None else worker.id])
        cv2.setNumThreads(1)
        while True:
            yield self._one(random)

    def _one(self, random: np.random.Generator) -> tuple[Floats, ...]:
        """An image (3 x CROP_PX x CROP_PX), its targets, and how much each cell of the heatmaps counts."""
        metres = float(random.uniform(FINEST_M, COARSEST_M))
        if random.random() < self.real_share:
            picture = self.pictures[random.choice(len(self.pictures), p=self.shares)]
            part, boxes, hidden = real.part(picture, CROP_PX, metres, random)
            counts = picture.complete[:, None, None] * (hidden[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE] == 0)
        else:
            part, boxes = self._rendered(metres, random)
            counts = np.ones((len(CLASSES), CROP_PX // STRIDE, CROP_PX // STRIDE), np.float32)
        part = real.coarser(part, metres, random)
        if random.random() < 0.5:
            part, boxes[:, 0], boxes[:, 4] = part[:, ::-1], CROP_PX - 1 - boxes[:, 0], -boxes[:, 4]
            counts = counts[:, :, ::-1]
        if random.random() < 0.5:
            part, boxes[:, 1], boxes[:, 4] = part[::-1], CROP_PX - 1 - boxes[:, 1], -boxes[:, 4]
            counts = counts[:, ::-1]
        if random.random() < 0.5:
            part, boxes[:, :2], boxes[:, 4] = part.swapaxes(0, 1), boxes[:, 1::-1].copy(), math.pi / 2 - boxes[:, 4]
            counts = counts.swapaxes(1, 2)
        heat, geometry, weight = targets(boxes, CROP_PX)
        # What is labelled counts, also where or of a kind of which not everything is.
        counts = np.maximum(counts, (heat > CORE) & (counts > 0)).astype(np.float32)
        weight *= (counts > 0).any(0, keepdims=True)
        image = np.ascontiguousarray(_recoloured(part, random).transpose(2, 0, 1))
        return image, heat, geometry, weight, counts

    def _rendered(self, metres: float, random: np.random.Generator) -> tuple[NDArray[np.uint8], Floats]:
        index = int(random.integers(len(self.rendered)))
        picture, boxes = self.rendered[index], self.boxes[index].copy()
        size = min(len(picture), int(CROP_PX * metres / self.metres[index]))
        left, top = random.integers(0, len(picture) - size + 1, 2)
        scale = CROP_PX / size
        # Reduced by area averaging, as the program does.
        part = cv2.resize(
            picture[top : top + size, left : left + size],
            (CROP_PX, CROP_PX),
            interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
        )
        boxes[:, :2] = (boxes[:, :2] - [left, top] + 0.5) * scale - 0.5
        boxes[:, 2:4] *= scale
        return part, boxes


def _recoloured(part: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Varies light, contrast, colours and sharpness."""
    levels = np.arange(256.0)[:, None] / 255
    contrast = random.uniform(0.8, 1.3)
    levels = np.clip((levels - 0.45) * contrast + 0.45, 0, 1) ** random.uniform(0.75, 1.35)
    levels = levels * random.uniform(0.8, 1.25) * random.uniform(0.92, 1.08, 3) + random.uniform(-0.07, 0.07)
    image = cv2.LUT(np.ascontiguousarray(part), np.clip(255 * levels, 0, 255).astype(np.uint8)[None])
    if random.random() < 0.1:
        image = np.repeat(image.mean(2, keepdims=True), 3, 2).astype(np.uint8)
    if random.random() < 0.4:
        soft = cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 0.9))
        sharper = random.uniform(-1.0, 0.8)
        image = cv2.addWeighted(image, 1 + sharper, soft, -sharper, 0)
    return image


def loss(heads: Tensor, heat: Tensor, geometry: Tensor, weight: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Focal loss of the heatmaps (Law and Deng's variant), and the mean error of the geometry on the cores."""
    logits = heads[:, : heat.shape[1]]
    found = torch.sigmoid(logits)
    peaks = (heat >= 0.999).float()
    count = peaks.sum() + 1
    missed = peaks * (1 - found) ** 2 * functional.softplus(-logits)
    invented = (1 - peaks) * (1 - heat) ** 4 * found**2 * functional.softplus(logits)
    weights = torch.tensor(GEOMETRY_WEIGHTS, device=heads.device).view(1, -1, 1, 1)
    errors = (heads[:, heat.shape[1] :] - geometry).abs() * weights
    return ((missed + invented) * counts).sum() / count, (errors * weight).sum() / (weight.sum() + 1)


class Trainee:
    """One network in training, and its averaged weights."""

    def __init__(self, output: Path, widths: list[int], arguments: argparse.Namespace, device: str) -> None:
        self.output, self.device, self.step = output, device, 0
        network = VehicleNet(*widths).to(device)
        if arguments.start:
            network.load_state_dict(torch.load(arguments.start, map_location=device, weights_only=True))
        self.network = network.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), arguments.rate, weight_decay=WEIGHT_DECAY)
        self.sums = torch.zeros(2, device=device)
        output.mkdir(parents=True, exist_ok=True)

    def learn(self, images: Tensor, wanted: list[Tensor], rate: float) -> None:
        """One step."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device, torch.bfloat16):
            heads = self.network(images)
        found, placed = loss(heads.float(), *wanted)
        self.optimiser.zero_grad()
        (found + placed).backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5)
        self.optimiser.step()
        self.step += 1
        _blend(self.average, self.network, min(AVERAGING, self.step / (self.step + 20)))
        self.sums += torch.stack([found.detach(), placed.detach()])

    def save(self, minutes: float) -> None:
        """Write the averaged weights, and a line of `log.jsonl` with the mean losses since the last one."""
        heat, geometry = (self.sums / REPORT_EVERY).tolist()
        entry = {
            "step": self.step,
            "minutes": round(minutes, 2),
            "heat": round(heat, 4),
            "geometry": round(geometry, 4),
        }
        with (self.output / "log.jsonl").open("a") as log:
            log.write(json.dumps(entry) + "\n")
        self.sums.zero_()
        torch.save(self.average.state_dict(), self.output / "network.pt")


def train(arguments: argparse.Namespace) -> None:
    """Train all networks on the same parts; each has its directory with `network.pt` and `log.jsonl`."""
    torch.manual_seed(arguments.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    pictures = real.load(arguments.real) if arguments.real else []
    loader = DataLoader(
        Parts(arguments.crops, pictures, arguments.real_share, arguments.seed),
        arguments.batch,
        num_workers=arguments.workers,
        pin_memory=device == "cuda",
        prefetch_factor=8 if arguments.workers else None,
    )
    widths = arguments.widths or [list(WIDTHS)]
    trainees = [
        Trainee(output, channels, arguments, device) for output, channels in zip(arguments.output, widths, strict=True)
    ]
    started = time.time()
    for step, batch in enumerate(loader):
        minutes = (time.time() - started) / 60
        share = step / arguments.steps if arguments.steps else minutes / arguments.minutes
        if share >= 1:
            break
        falling = 0.5 * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP)))
        rate = arguments.rate * (share / WARM_UP if share < WARM_UP else max(falling, 1e-3))
        images, *wanted = (one.to(device, non_blocking=True) for one in batch)
        images = images.float().to(memory_format=torch.channels_last)
        for trainee in trainees:
            trainee.learn(images, wanted, rate)
            if trainee.step % REPORT_EVERY == 0:
                trainee.save(minutes)
    for trainee in trainees:
        trainee.save(arguments.minutes)


@torch.no_grad()
def _blend(average: VehicleNet, network: VehicleNet, keep: float) -> None:
    for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.mul_(keep).add_(new, alpha=1 - keep)
        else:
            kept.copy_(new)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--crops", type=Path, required=True)
    options.add_argument("--real", type=Path, help="labelled real pictures")
    options.add_argument("--real-share", type=float, default=0.5, help="share of parts that are of real pictures")
    options.add_argument("--widths", type=int, nargs=3, action="append", help="channels at strides 4, 8 and 16")
    options.add_argument("--batch", type=int, default=BATCH)
    options.add_argument("--workers", type=int, default=0, help="processes that prepare parts")
    options.add_argument("--output", type=Path, nargs="+", required=True, help="one directory per network")
    options.add_argument("--start", type=Path, help="weights of another run to start from")
    options.add_argument("--rate", type=float, default=HIGHEST_RATE, help="highest learning rate")
    options.add_argument("--minutes", type=float, default=40.0)
    options.add_argument("--steps", type=int, default=0)
    options.add_argument("--seed", type=int, default=7)
    train(options.parse_args())
