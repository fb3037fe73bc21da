"""Trains the network on rendered crops; no real images are used.

    python train.py --crops crops --output runs/final --minutes 40 --seed 7

A run ends after `--steps`, or after `--minutes`; only the same steps, seed, crops and machine give the same network.
Crops rendered during a run are used as they appear. Uses bfloat16 if the processor has it (AMX); otherwise training is
slow.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from network import VehicleNet
from targets import targets

CROP_PX, BATCH = 160, 16
HIGHEST_RATE, WARM_UP, WEIGHT_DECAY = 3e-3, 0.05, 2e-3
AVERAGING = 0.998
# Trained scales, metres per pixel; the program scales images to the middle of this range.
FINEST_M, COARSEST_M = 0.085, 0.118
GEOMETRY_WEIGHTS = (1.0, 1.0, 1.5, 1.5, 1.5, 1.5)
REPORT_EVERY = 100


class Crops:
    """Rendered crops, and random parts of them: translated, mirrored, scaled, recoloured."""

    def __init__(self, directory: Path, random: np.random.Generator) -> None:
        self.directory, self.random = directory, random
        self.pictures: list[NDArray[np.uint8]] = []
        self.boxes: list[NDArray[Any]] = []
        self.metres: list[float] = []
        self.known: set[Path] = set()
        self.look_for_more()

    def look_for_more(self) -> None:
        """Load files rendered since the last call."""
        for path in sorted(self.directory.glob("train_*.npz")):
            if path not in self.known:
                self.known.add(path)
                with np.load(path) as crops:
                    self.pictures += list(crops["pictures"])
                    self.metres += crops["metres"].tolist()
                    self.boxes += np.split(crops["boxes"], np.cumsum(crops["counts"])[:-1])

    def one(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """An image (3 x CROP_PX x CROP_PX) and its targets."""
        random = self.random
        index = int(random.integers(len(self.pictures)))
        picture, boxes = self.pictures[index], self.boxes[index].copy()
        own = self.metres[index]
        most = min(len(picture), CROP_PX * COARSEST_M / own)
        size = int(random.uniform(min(most, CROP_PX * FINEST_M / own), most))
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
        if random.random() < 0.5:
            part, boxes[:, 0], boxes[:, 4] = part[:, ::-1], CROP_PX - 1 - boxes[:, 0], -boxes[:, 4]
        if random.random() < 0.5:
            part, boxes[:, 1], boxes[:, 4] = part[::-1], CROP_PX - 1 - boxes[:, 1], -boxes[:, 4]
        if random.random() < 0.5:
            part, boxes[:, :2], boxes[:, 4] = part.swapaxes(0, 1), boxes[:, 1::-1].copy(), math.pi / 2 - boxes[:, 4]
        return (_recoloured(part, random).transpose(2, 0, 1), *targets(boxes, CROP_PX))

    def batch(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images, heatmaps, geometry, weights."""
        columns = zip(*(self.one() for _ in range(BATCH)), strict=True)
        pictures, heat, geometry, weight = (torch.from_numpy(np.stack(column)).float() for column in columns)
        return pictures, heat, geometry, weight


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


def loss(heads: Tensor, heat: Tensor, geometry: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Focal loss of the heatmaps (Law and Deng's variant), and the mean error of the geometry on the cores."""
    logits = heads[:, : heat.shape[1]]
    found = torch.sigmoid(logits)
    peaks = (heat >= 0.999).float()
    count = peaks.sum() + 1
    missed = peaks * (1 - found) ** 2 * functional.softplus(-logits)
    invented = (1 - peaks) * (1 - heat) ** 4 * found**2 * functional.softplus(logits)
    errors = (heads[:, heat.shape[1] :] - geometry).abs() * torch.tensor(GEOMETRY_WEIGHTS).view(1, -1, 1, 1)
    return (missed + invented).sum() / count, (errors * weight).sum() / (weight.sum() + 1)


def train(arguments: argparse.Namespace) -> None:
    """Write `network.pt` (averaged weights) at intervals, and `log.jsonl`."""
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    crops = Crops(arguments.crops, np.random.default_rng(arguments.seed))
    network = VehicleNet()
    if arguments.start:
        network.load_state_dict(torch.load(arguments.start, weights_only=True))
    network = network.to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), arguments.rate, weight_decay=WEIGHT_DECAY)
    arguments.output.mkdir(parents=True, exist_ok=True)
    step, sums, started = 0, np.zeros(2), time.time()
    while True:
        share = step / arguments.steps if arguments.steps else (time.time() - started) / 60 / arguments.minutes
        if share >= 1:
            break
        falling = 0.5 * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP)))
        rate = arguments.rate * (share / WARM_UP if share < WARM_UP else max(falling, 1e-3))
        for group in optimiser.param_groups:
            group["lr"] = rate
        pictures, heat, geometry, weight = crops.batch()
        with torch.autocast("cpu", torch.bfloat16):
            heads = network(pictures.to(memory_format=torch.channels_last))
        parts = loss(heads.float(), heat, geometry, weight)
        optimiser.zero_grad()
        (parts[0] + parts[1]).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5)
        optimiser.step()
        step += 1
        _blend(average, network, min(AVERAGING, step / (step + 20)))
        sums += [float(part.detach()) for part in parts]
        if step % REPORT_EVERY == 0:
            entry = {"step": step, "share": round(share, 4), "minutes": round((time.time() - started) / 60, 2),
                     "cpu_minutes": round(time.process_time() / 60, 2),
                     "heat": round(sums[0] / REPORT_EVERY, 4), "geometry": round(sums[1] / REPORT_EVERY, 4),
                     "crops": len(crops.pictures)}  # fmt: skip
            with (arguments.output / "log.jsonl").open("a") as log:
                log.write(json.dumps(entry) + "\n")
            sums[:] = 0
            torch.save(average.state_dict(), arguments.output / "network.pt")
            crops.look_for_more()
    torch.save(average.state_dict(), arguments.output / "network.pt")


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
    options.add_argument("--output", type=Path, required=True)
    options.add_argument("--start", type=Path, help="weights of another run to start from")
    options.add_argument("--rate", type=float, default=HIGHEST_RATE, help="highest learning rate")
    options.add_argument("--minutes", type=float, default=40.0)
    options.add_argument("--steps", type=int, default=0)
    options.add_argument("--seed", type=int, default=7)
    train(options.parse_args())
