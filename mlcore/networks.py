"""The two networks, both ending in global average pooling and a linear layer, so that maps come with the answer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

NETWORKS = ("cnn", "mobilenet")
CHANNELS, BLOCKS = (32, 64, 128, 256), (1, 2, 2, 1)  # of SmearCNN, by stage


class Answer(NamedTuple):
    """What one forward pass gives for N images and C classes.

    `logits` (N, C); `maps` (N, C, h, w), class-activation maps after Zhou et al. 2016 (arXiv 1512.04150), whose mean
    over h and w is the logit minus its bias; `embedding` (N, D), the pooled features.
    """

    logits: Tensor
    maps: Tensor
    embedding: Tensor


class PooledNetwork(nn.Module):
    """Features (N, D, h, w), pooled, then one linear layer.

    Outside of training it answers for `turns` quarter turns of every picture at once: logits and maps are their means,
    the maps turned back. A cell lies as it fell, so whatever its turn changes is noise. The embedding stays that of the
    picture as it is.
    """

    turns = 1

    def __init__(self, features: nn.Sequential, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.features = features
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Answer:
        if self.training or self.turns == 1:
            return self._answer(images)
        turned = torch.cat([torch.rot90(images, turn, (2, 3)) for turn in range(self.turns)])
        logits, maps, embedding = (part.unflatten(0, (self.turns, -1)) for part in self._answer(turned))
        back = torch.stack([torch.rot90(maps[turn], -turn, (2, 3)) for turn in range(self.turns)])
        return Answer(logits.mean(0), back.mean(0), embedding[0])

    def _answer(self, images: Tensor) -> Answer:
        features = self.features(images)
        embedding = features.mean(dim=(2, 3))
        logits = self.head(self.dropout(embedding))
        maps = (self.head.weight @ features.flatten(2)).unflatten(2, features.shape[2:])
        return Answer(logits, maps, embedding)


class Residual(nn.Module):
    """Two 3x3 convolutions beside a short way (He et al. 2016, arXiv 1512.03385), which averages where it halves
    (He et al. 2019, arXiv 1812.01187)."""

    def __init__(self, before: int, channels: int, *, halve: bool) -> None:
        super().__init__()
        last = nn.BatchNorm2d(channels)
        nn.init.zeros_(last.weight)  # every block begins as its short way
        self.body = nn.Sequential(
            nn.Conv2d(before, channels, 3, stride=2 if halve else 1, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            last,
        )
        short: list[nn.Module] = [nn.AvgPool2d(2)] if halve else []
        if before != channels:
            short += [nn.Conv2d(before, channels, 1, bias=False), nn.BatchNorm2d(channels)]
        self.short = nn.Sequential(*short)

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(self.body(features) + self.short(features))


class SmearCNN(PooledNetwork):
    """A stem of stride 2 and six residual blocks, halved four times (stride 16): 1.6 million weights.

    It reads 8x8 places of a picture of 128 px, which keeps the maps sharp enough to point at a nucleus. The stem halves
    at once: at full size most of the time would go into moving memory, and cells are sharper than they need to be.
    """

    def __init__(self, classes: int) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(3, CHANNELS[0], 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(CHANNELS[0]),
            nn.ReLU(inplace=True),
        ]
        before = CHANNELS[0]
        for channels, blocks in zip(CHANNELS, BLOCKS, strict=True):
            for block in range(blocks):
                layers.append(Residual(before, channels, halve=block == 0 and before != channels))
                before = channels
        super().__init__(nn.Sequential(*layers), before, classes, dropout=0.2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class MobileNet(PooledNetwork):
    """torchvision's MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381), stride 32, 2.2 million weights.

    `pretrained` takes torchvision's ImageNet weights from the torch hub's checkpoint folder (or downloads them).
    """

    def __init__(self, classes: int, *, pretrained: bool = False) -> None:
        weights = MobileNet_V2_Weights.IMAGENET1K_V1 if pretrained else None
        backbone = mobilenet_v2(weights=weights)
        super().__init__(backbone.features, backbone.last_channel, classes, dropout=0.2)


def build(network: str, classes: int, *, pretrained: bool = False, turns: int = 1) -> PooledNetwork:
    """A fresh network by its name in NETWORKS; `pretrained` concerns the mobilenet only."""
    if network not in NETWORKS:
        raise ValueError(f"no network is called {network!r}; there are: {', '.join(NETWORKS)}")
    built = SmearCNN(classes) if network == "cnn" else MobileNet(classes, pretrained=pretrained)
    built.turns = turns
    return built


def fold(network: PooledNetwork) -> PooledNetwork:
    """Fold every batch norm into the convolution before it, in place, and switch to evaluation.

    Keys of the state keep their places, so a network that was built and folded can load folded weights.
    """
    network.eval()
    for module in list(network.modules()):
        if not isinstance(module, nn.Sequential):
            continue
        for index in range(len(module) - 1):
            convolution, norm = module[index], module[index + 1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module[index] = fuse_conv_bn_eval(convolution, norm)
                module[index + 1] = nn.Identity()
    return network


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
