"""The network: oriented boxes as peaks of one heatmap per class, at a quarter of the image's resolution.

Most of the work is done at strides 8 and 16, where it is cheap and has a large receptive field; stride 4 only refines.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = ("car", "truck_bus", "two_wheeler")
STRIDE, MULTIPLE = 4, 16
# After the heatmaps: offset x, y (cells), log of length, width (cells), cosine, sine of twice the angle.
GEOMETRY = 6
# Channels at strides 4, 8 and 16.
WIDTHS = (24, 56, 88)


def _convolution(inputs: int, outputs: int, stride: int = 1, size: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs, momentum=0.03),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, dilation, dilation, bias=False),
            nn.BatchNorm2d(channels, momentum=0.03),
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


class VehicleNet(nn.Module):
    """N x 3 x H x W of 0..255, BGR, H and W multiples of 16, to N x 9 x H/4 x W/4."""

    def __init__(self, narrow: int = WIDTHS[0], middle: int = WIDTHS[1], wide: int = WIDTHS[2]) -> None:
        super().__init__()
        self.stem = nn.Sequential(_convolution(3, 16, 2), _convolution(16, narrow, 2))
        self.eighth = nn.Sequential(_convolution(narrow, middle, 2), _Residual(middle))
        self.sixteenth = nn.Sequential(
            _convolution(middle, wide, 2), _Residual(wide), _Residual(wide, 2), _Residual(wide)
        )
        self.from_sixteenth = nn.Conv2d(wide, middle, 1)
        self.merge_eighth = _Residual(middle)
        self.from_eighth = nn.Conv2d(middle, narrow, 1)
        self.merge = _convolution(narrow, 32)
        self.heads = nn.Conv2d(32, len(CLASSES) + GEOMETRY, 1)
        nn.init.zeros_(self.heads.bias)
        nn.init.constant_(self.heads.bias[: len(CLASSES)], -4.0)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the heatmaps, then the geometry."""
        quarter = self.stem(x / 127.5 - 1)
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        eighth = self.merge_eighth(functional.relu(eighth + _larger(self.from_sixteenth(sixteenth))))
        quarter = self.merge(functional.relu(quarter + _larger(self.from_eighth(eighth))))
        heads: Tensor = self.heads(quarter)
        return heads


def _larger(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class Exported(nn.Module):
    """The shipped network: bytes in any memory order to scores and geometry, both N x channels x H/4 x W/4."""

    def __init__(self, network: VehicleNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """`picture`: N x H x W x 3 bytes, as OpenCV reads them."""
        heads = self.network(picture.permute(0, 3, 1, 2).float())
        return torch.sigmoid(heads[:, : len(CLASSES)]), heads[:, len(CLASSES) :]
