"""The networks: size, maps, folding."""

import numpy as np
import pytest
import torch

from mlcore.networks import NETWORKS, PooledNetwork, Residual, build, fold, parameter_count


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> PooledNetwork:
    torch.manual_seed(3)
    network = build(request.param, 5)
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the plain mean, or after three passes the norms would let nothing through
    with torch.no_grad():  # batch norms that have seen something, so that folding them matters
        for _ in range(3):
            network(torch.randn(4, 3, 64, 64) * 2 + 1)
    return network.eval()


def test_a_map_means_its_logit(network: PooledNetwork) -> None:
    with torch.inference_mode():
        answer = network(torch.randn(3, 3, 64, 64))
    from_maps = answer.maps.mean(dim=(2, 3)) + network.head.bias
    assert answer.maps.shape[:2] == (3, 5)
    torch.testing.assert_close(from_maps, answer.logits, atol=1e-5, rtol=1e-5)


def test_the_answer_for_four_turns_is_their_mean_and_the_same_for_a_turned_picture(network: PooledNetwork) -> None:
    images = torch.randn(3, 3, 64, 64) * torch.linspace(0, 3, 64)  # rougher on one side
    with torch.inference_mode():
        single = [network(torch.rot90(images, turn, (2, 3))) for turn in range(4)]
        network.turns = 4
        answer, lying = network(images), network(torch.rot90(images, 1, (2, 3)))
    torch.testing.assert_close(answer.logits, torch.stack([each.logits for each in single]).mean(0))
    torch.testing.assert_close(answer.embedding, single[0].embedding)
    torch.testing.assert_close(lying.logits, answer.logits)
    torch.testing.assert_close(lying.maps, torch.rot90(answer.maps, 1, (2, 3)))
    torch.testing.assert_close(answer.maps.mean(dim=(2, 3)) + network.head.bias, answer.logits, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(lying.maps, answer.maps, atol=1e-3)


def test_training_sees_every_picture_once(network: PooledNetwork) -> None:
    network.turns = 4
    network.features.register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
    seen: list[int] = []
    network.train()(torch.randn(3, 3, 64, 64))
    network.eval()(torch.randn(3, 3, 64, 64))
    assert seen == [3, 12]


def test_folding_changes_no_answer_and_leaves_no_norm(network: PooledNetwork) -> None:
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        before = network(images).logits
        after = fold(network)(images).logits
    np.testing.assert_allclose(after, before, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


def test_a_folded_network_takes_folded_weights(network: PooledNetwork) -> None:
    state = fold(network).state_dict()
    name = NETWORKS[0] if network.head.in_features < 1000 else NETWORKS[1]
    other = fold(build(name, 5))
    other.load_state_dict(state)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(other(images).logits, network(images).logits)


def test_both_stay_small() -> None:
    sizes = {name: parameter_count(build(name, 12)) for name in NETWORKS}
    assert sizes["cnn"] == pytest.approx(1.6e6, rel=0.05)
    assert sizes["mobilenet"] == pytest.approx(2.24e6, rel=0.05)


def test_every_block_of_the_cnn_begins_as_its_short_way() -> None:
    torch.manual_seed(0)
    blocks = [module for module in build("cnn", 4).features if isinstance(module, Residual)]
    assert len(blocks) == 6
    for block in blocks:
        features = torch.rand(2, block.body[0].in_channels, 8, 8)
        torch.testing.assert_close(block.train()(features), torch.relu(block.short(features)))


@pytest.mark.parametrize(("name", "places"), [("cnn", 8), ("mobilenet", 4)])
def test_maps_of_a_picture_of_128_pixels(name: str, places: int) -> None:
    with torch.inference_mode():
        assert build(name, 4).eval()(torch.zeros(1, 3, 128, 128)).maps.shape == (1, 4, places, places)


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(ValueError, match="resnet"):
        build("resnet", 4)
