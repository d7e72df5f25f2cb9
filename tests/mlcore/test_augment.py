"""Random changes of training pictures: repeatable, still pictures, and as strong as asked."""

import pytest
import torch

from mlcore.augment import augment


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [32, 48, 64])
def test_it_repeats_with_its_generator_and_stays_a_picture(size: int) -> None:
    images = torch.rand(6, 3, 48, 48)
    one, two, other = (augment(images, generator(seed), size=size) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert one.shape == (6, 3, size, size)
    assert one.dtype == torch.float32
    assert 0 <= one.min() <= one.max() <= 1
    assert torch.isfinite(one).all()


def test_extremes_stay_pictures() -> None:
    for value in (0.0, 1.0):
        changed = augment(torch.full((40, 3, 32, 32), value), generator(), size=32, strength=1.2)
        assert torch.isfinite(changed).all()
        assert 0 <= changed.min() <= changed.max() <= 1


def test_strength_widens_the_changes_of_colour() -> None:
    images = torch.full((200, 3, 32, 32), 0.6)
    faint, mild, strong = (
        (augment(images, generator(), size=32, strength=strength) - images).abs().mean(dim=(1, 2, 3))
        for strength in (0.01, 0.5, 1.0)
    )
    assert faint.mean() < 0.01 < mild.mean() < strong.mean()
    calm, wide = strong[:100].mean(), strong[100:].mean()
    assert wide > 0.1
    assert calm < 0.5 * wide, "the first half of a batch is as the microscope sends it, or nearly"


def test_hardly_any_strength_leaves_turns_alone() -> None:
    spot = torch.full((30, 3, 64, 64), 0.9)
    spot[:, :, 28:36, 44:52] = 0.2
    changed = augment(spot, generator(), size=64, strength=0.01)
    dark = (changed.mean(dim=1) < 0.5).float()
    places = torch.stack([dark.mean(dim=1).argmax(dim=1), dark.mean(dim=2).argmax(dim=1)], dim=1)
    assert len({tuple(place) for place in places.tolist()}) > 15
    middle = (places.float() - 31.5).norm(dim=1)
    assert 12 < middle.min() <= middle.max() < 22, "it is turned about the middle, neither shifted nor rescaled"


def test_no_second_cell_appears_beyond_the_edge() -> None:
    cell = torch.full((60, 3, 64, 64), 0.9)
    cell[:, :, 22:42, 22:42] = 0.2
    changed = augment(cell, generator(), size=64, strength=1.0)
    darkness = (0.9 - changed.mean(dim=1)).clamp_min(0).amax(dim=(1, 2))
    border = torch.cat([changed[:, :, 0], changed[:, :, -1], changed[..., 0], changed[..., -1]], dim=2).mean(dim=1)
    inside = changed.mean(dim=1).amin(dim=(1, 2))
    assert (border.median(dim=1).values > inside + 0.5 * darkness).all()
