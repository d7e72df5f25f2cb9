"""Random changes to a batch of training pictures, as tensor operations on the whole batch at once.

On two cores this costs a tenth of the training step; one picture at a time would cost as much as the network.
Every random number comes from the generator given, so that a resumed run repeats them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 3, S, S) in 0..1 -> the same, each turned, flipped, scaled, stained, lit and blurred differently."""
    return _noise(_blur(_light(_stain(_turn(images, generator), generator), generator), generator), generator)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _turn(images: Tensor, generator: torch.Generator) -> Tensor:
    """Any rotation, a flip, a shift of up to 6 % and a window of 0.55 to 1.15 of the area, by one affine resampling."""
    count = len(images)
    angle = _uniform(count, -math.pi, math.pi, generator)
    window = _uniform(count, 0.55, 1.15, generator).sqrt()
    stretch = _uniform(count, 0.93, 1.07, generator)
    flip = torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1.0
    shift = _uniform(2 * count, -0.12, 0.12, generator).view(count, 2)
    cosine, sine = angle.cos() * window, angle.sin() * window
    matrix = torch.stack(
        [
            torch.stack([cosine * flip * stretch, -sine / stretch, shift[:, 0]], dim=1),
            torch.stack([sine * flip * stretch, cosine / stretch, shift[:, 1]], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _stain(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mix and scale the optical densities of the channels, as other stains, thicknesses and cameras do.

    Density is -log of transmitted light (Beer and Lambert); stain augmentation after Tellez et al. 2018
    (doi 10.1109/TMI.2018.2820199), with a random mixing matrix in place of fixed stain vectors.
    """
    count, _, height, width = images.shape
    density = -torch.log(images.clamp_min(1 / 255))
    mixing = torch.eye(3) + 0.07 * torch.randn(count, 3, 3, generator=generator)
    mixing *= torch.exp(0.15 * torch.randn(count, 1, 1, generator=generator))
    offset = 0.03 * torch.randn(count, 3, 1, generator=generator)
    mixed = torch.baddbmm(offset, mixing, density.reshape(count, 3, height * width))
    return torch.exp(-mixed.clamp_min(0)).view_as(images)


def _light(images: Tensor, generator: torch.Generator) -> Tensor:
    """Brightness, contrast, colour saturation and gamma."""
    count = len(images)
    brightness = _uniform(count, 0.8, 1.2, generator).view(-1, 1, 1, 1)
    contrast = _uniform(count, 0.75, 1.25, generator).view(-1, 1, 1, 1)
    saturation = _uniform(count, 0.5, 1.4, generator).view(-1, 1, 1, 1)
    gamma = torch.exp(0.15 * torch.randn(count, generator=generator)).view(-1, 1, 1, 1)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * saturation
    middle = grey.mean(dim=(2, 3), keepdim=True)
    images = (middle + (images - middle) * contrast) * brightness
    return images.clamp(1e-3, 1.0) ** gamma


def _blur(images: Tensor, generator: torch.Generator) -> Tensor:
    """A third of the pictures slightly out of focus or from a smaller original: mixed with a blurred copy."""
    amount = _uniform(len(images), -2.0, 1.0, generator).clamp_min(0).view(-1, 1, 1, 1)
    half = functional.interpolate(images, scale_factor=0.5, mode="bilinear", align_corners=False, antialias=False)
    soft = functional.interpolate(half, size=images.shape[-2:], mode="bilinear", align_corners=False)
    return torch.lerp(images, soft, amount)


def _noise(images: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the pictures with sensor noise of up to 3 % of full scale."""
    amount = _uniform(len(images), -0.03, 0.03, generator).clamp_min(0).view(-1, 1, 1, 1)
    return (images + amount * torch.randn(images.shape, generator=generator)).clamp(0, 1)
