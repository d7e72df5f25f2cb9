"""The two networks, both ending in global average pooling and a linear layer, so that maps come with the answer."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

NETWORKS = ("cnn", "mobilenet")
CHANNELS = (16, 32, 64, 128, 192)


class Answer(NamedTuple):
    """What one forward pass gives for N images and C classes.

    `logits` (N, C); `maps` (N, C, h, w), class-activation maps after Zhou et al. 2016 (arXiv 1512.04150), whose mean
    over h and w is the logit minus its bias; `embedding` (N, D), the pooled features.
    """

    logits: Tensor
    maps: Tensor
    embedding: Tensor


class PooledNetwork(nn.Module):
    """Features (N, D, h, w), pooled, then one linear layer."""

    def __init__(self, features: nn.Module, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.features = features
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Answer:
        features = self.features(images)
        embedding = features.mean(dim=(2, 3))
        logits = self.head(self.dropout(embedding))
        maps = (self.head.weight @ features.flatten(2)).unflatten(2, features.shape[2:])
        return Answer(logits, maps, embedding)


class SmearCNN(PooledNetwork):
    """Five blocks of two 3x3 convolutions with batch norm, halved four times (stride 16): 0.85 million weights.

    It reads 8x8 or 10x10 places of a picture, which keeps the maps sharp enough to point at a nucleus.
    """

    def __init__(self, classes: int) -> None:
        layers: list[nn.Module] = []
        before = 3
        for index, channels in enumerate(CHANNELS):
            if index:
                layers.append(nn.MaxPool2d(2))
            for _ in range(2):
                layers += [
                    nn.Conv2d(before, channels, 3, padding=1, bias=False),
                    nn.BatchNorm2d(channels),
                    nn.ReLU(inplace=True),
                ]
                before = channels
        super().__init__(nn.Sequential(*layers), before, classes, dropout=0.2)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


class MobileNet(PooledNetwork):
    """torchvision's MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381), stride 32, 2.2 million weights.

    `pretrained` takes torchvision's ImageNet weights from the torch hub's checkpoint folder (or downloads them).
    """

    def __init__(self, classes: int, *, pretrained: bool = False) -> None:
        weights = MobileNet_V2_Weights.IMAGENET1K_V1 if pretrained else None
        backbone = mobilenet_v2(weights=weights)
        super().__init__(backbone.features, backbone.last_channel, classes, dropout=0.2)


def build(network: str, classes: int, *, pretrained: bool = False) -> PooledNetwork:
    """A fresh network by its name in NETWORKS. `pretrained` concerns the mobilenet only."""
    if network == "cnn":
        return SmearCNN(classes)
    if network == "mobilenet":
        return MobileNet(classes, pretrained=pretrained)
    raise ValueError(f"no network is called {network!r}; there are: {', '.join(NETWORKS)}")


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
