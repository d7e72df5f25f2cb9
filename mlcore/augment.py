"""Random changes to a batch of training pictures, as tensor operations on the whole batch at once.

They stand for what another laboratory would send: other turns, scales and places of the cell, other stains, lamps and
cameras, worse focus, JPEG files. On two cores this costs a tenth of the training step; one picture at a time would cost
as much as the network. Every random number comes from the generator given, so that a resumed run repeats them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

CALM_SHARE, CALM = 0.5, 0.3  # so many pictures of a batch change only so much as the others: most of what a laboratory
# sends is as its microscope always was, and a network that sees wide changes alone is worse at it
RING = 0.3  # what lies beyond a picture's edge is made of this outermost share of it, mirrored to and fro


def augment(images: Tensor, generator: torch.Generator, *, size: int, strength: float = 1.0) -> Tensor:
    """(N, 3, S, S) in 0..1 -> (N, 3, size, size) in 0..1, each turned, scaled, stained, lit, blurred differently.

    `strength` widens or narrows all ranges but those of turns and flips. The batch's first half changes less (CALM).
    """
    calm = round(CALM_SHARE * len(images))
    halves = ((images[:calm], CALM * strength), (images[calm:], strength))
    return torch.cat(
        [_changed(half, _Draw(generator, images.device, wide), size) for half, wide in halves if len(half)]
    )


def _changed(images: Tensor, draw: _Draw, size: int) -> Tensor:
    images = _turn(images, draw, size)
    images = _light(_stain(images, draw), draw)
    return _jpeg(_noise(_blur(images, draw), draw), draw)


class _Draw:
    """Random numbers for a batch: always drawn on the CPU, so that every device gets the same, then moved."""

    def __init__(self, generator: torch.Generator, device: torch.device, strength: float) -> None:
        self.generator, self.device, self.strength = generator, device, strength

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return (torch.rand(*shape, generator=self.generator) * (high - low) + low).to(self.device)

    def around(self, *shape: int, width: float) -> Tensor:
        """Uniform within `width` times the strength of 0."""
        return self.uniform(*shape, low=-width * self.strength, high=width * self.strength)

    def normal(self, *shape: int, deviation: float) -> Tensor:
        return (torch.randn(*shape, generator=self.generator) * (deviation * self.strength)).to(self.device)


def _turn(images: Tensor, draw: _Draw, size: int) -> Tensor:
    """Any rotation, a flip, a shift of up to 15 % and a scale of 0.5 to 2 (mostly 0.7 to 1.5), by one resampling."""
    count = len(images)
    angle = draw.uniform(count, low=-math.pi, high=math.pi)
    window = torch.exp(draw.normal(count, deviation=0.25) - 0.08).clamp(0.5, 2.0)
    stretch = torch.exp(draw.around(count, width=0.08))
    flip = draw.uniform(count).round() * 2 - 1
    shift = draw.around(count, 2, width=0.15) + draw.around(count, 2, width=0.15)
    cosine, sine = angle.cos() * window, angle.sin() * window
    matrix = torch.stack(
        [
            torch.stack([cosine * flip * stretch, -sine / stretch, shift[:, 0]], dim=1),
            torch.stack([sine * flip * stretch, cosine / stretch, shift[:, 1]], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(matrix, [count, 3, size, size], align_corners=False)
    return functional.grid_sample(images, _within(grid), mode="bilinear", padding_mode="border", align_corners=False)


def _within(grid: Tensor) -> Tensor:
    """Places beyond the picture folded back into its outermost ring, so that no second nucleus appears in mirror."""
    beyond = (grid.abs() - 1).clamp_min(0)
    folded = RING - (beyond % (2 * RING) - RING).abs()
    return grid.sign() * (grid.abs().clamp_max(1) - folded)


def _stain(images: Tensor, draw: _Draw) -> Tensor:
    """Mix and scale the optical densities of the channels, as other stains, thicknesses and cameras do.

    Density is -log of transmitted light (Beer and Lambert); stain augmentation after Tellez et al. 2018
    (doi 10.1109/TMI.2018.2820199), with a random mixing matrix in place of fixed stain vectors.
    """
    count, _, height, width = images.shape
    density = -torch.log(images.clamp_min(1 / 255))
    mixing = torch.eye(3, device=images.device) + draw.normal(count, 3, 3, deviation=0.07)
    mixing = mixing * torch.exp(draw.normal(count, 1, 1, deviation=0.2))
    offset = draw.normal(count, 3, 1, deviation=0.05)
    mixed = torch.baddbmm(offset, mixing, density.reshape(count, 3, height * width))
    return torch.exp(-mixed.clamp_min(0)).view_as(images)


def _light(images: Tensor, draw: _Draw) -> Tensor:
    """Brightness, contrast, colour saturation, gamma, and a lamp that lights one side more."""
    count, _, height, width = images.shape
    one = (count, 1, 1, 1)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (1 + draw.around(*one, width=0.5))
    middle = grey.mean(dim=(2, 3), keepdim=True)
    images = (middle + (images - middle) * (1 + draw.around(*one, width=0.25))) * (1 + draw.around(*one, width=0.3))
    across = torch.linspace(-1, 1, width, device=images.device).view(1, 1, 1, width) * draw.around(*one, width=0.1)
    down = torch.linspace(-1, 1, height, device=images.device).view(1, 1, height, 1) * draw.around(*one, width=0.1)
    return (images * (1 + across + down)).clamp(1e-3, 1.0) ** torch.exp(draw.normal(*one, deviation=0.15))


def _blur(images: Tensor, draw: _Draw) -> Tensor:
    """Pictures out of focus or from a smaller original: mixed with a copy of half the detail, the worst with one of a
    quarter. At strength 1 two fifths of them."""
    amount = draw.uniform(len(images), 1, 1, 1, low=-2.0, high=1.5 * draw.strength)
    half = functional.interpolate(images, scale_factor=0.5, mode="bilinear", align_corners=False)
    quarter = functional.interpolate(half, scale_factor=0.5, mode="bilinear", align_corners=False)
    for coarse, share in ((half, amount.clamp(0, 1)), (quarter, (amount - 1).clamp(0, 1))):
        soft = functional.interpolate(coarse, size=images.shape[-2:], mode="bilinear", align_corners=False)
        images = torch.lerp(images, soft, share)
    return images


def _noise(images: Tensor, draw: _Draw) -> Tensor:
    """Half of the pictures with sensor noise of up to 4 % of full scale."""
    amount = draw.around(len(images), 1, 1, 1, width=0.04).clamp_min(0)
    return (images + amount * draw.normal(*images.shape, deviation=1 / draw.strength)).clamp(0, 1)


def _jpeg(images: Tensor, draw: _Draw) -> Tensor:
    """A quarter of the pictures, of the calm ones fewer, through a JPEG file of quality 25 to 90."""
    chosen = (draw.uniform(len(images)) < 0.25 * min(draw.strength, 1.0)).nonzero().flatten().tolist()
    qualities = draw.uniform(len(images), low=25, high=90).tolist()
    images = images.clone()
    for index in chosen:
        pixels = (images[index] * 255).round().to(torch.uint8).cpu()
        packed = encode_jpeg(pixels.contiguous(), quality=round(qualities[index]))
        images[index] = decode_jpeg(packed, mode=ImageReadMode.RGB).to(images.device) / 255
    return images
