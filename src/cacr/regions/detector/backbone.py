"""ResNet with bottlenecks whose stride is in the first 1x1 convolution, as the Caffe models have it.

Names of parameters are those of the published checkpoint. Source: detectron2's resnet, as adapted in transformers'
research project lxmert, modeling_frcnn.py.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ConvNorm(nn.Conv2d):
    """A convolution without bias and the BatchNorm after it, whose tensors are named ``conv.norm.…``."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
    ):
        super().__init__(inputs, outputs, kernel, stride, padding, dilation, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


class Stem(nn.Module):
    """From pixels to a quarter of the resolution."""

    def __init__(self, outputs: int):
        super().__init__()
        self.conv1 = ConvNorm(3, outputs, 7, stride=2, padding=3)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.conv1(images))
        return F.max_pool2d(x, 3, stride=2, padding=0, ceil_mode=True)  # Caffe's


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 and the way past them."""

    def __init__(self, inputs: int, outputs: int, narrow: int, stride: int = 1, dilation: int = 1):
        super().__init__()
        self.shortcut = ConvNorm(inputs, outputs, 1, stride) if inputs != outputs else None
        self.conv1 = ConvNorm(inputs, narrow, 1, stride)
        self.conv2 = ConvNorm(narrow, narrow, 3, padding=dilation, dilation=dilation)
        self.conv3 = ConvNorm(narrow, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        past = x if self.shortcut is None else self.shortcut(x)
        y = F.relu(self.conv2(F.relu(self.conv1(x))))
        return F.relu(self.conv3(y) + past)


def stage(
    blocks: int, inputs: int, outputs: int, narrow: int, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """Bottlenecks of one resolution; the first changes the width and the stride."""
    return nn.Sequential(
        *(
            Bottleneck(inputs if i == 0 else outputs, outputs, narrow, stride if i == 0 else 1, dilation)
            for i in range(blocks)
        )
    )


class Backbone(nn.Module):
    """The map of features at a sixteenth of the resolution: [picture, feature, height, width].

    Args:
        stem: Features after the stem.
        width: Features of the first stage; each next has twice as many.
        narrow: Features inside the first stage's bottlenecks.
        blocks: Bottlenecks of the stages res2, res3, res4.
    """

    def __init__(
        self, stem: int = 64, width: int = 256, narrow: int = 64, blocks: tuple[int, int, int] = (3, 4, 23)
    ):
        super().__init__()
        self.stem = Stem(stem)
        self.res2 = stage(blocks[0], stem, width, narrow)
        self.res3 = stage(blocks[1], width, 2 * width, 2 * narrow, stride=2)
        self.res4 = stage(blocks[2], 2 * width, 4 * width, 4 * narrow, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        return self.res4(self.res3(self.res2(self.stem(images))))
