"""The networks: size, maps, folding."""

import numpy as np
import pytest
import torch

from mlcore.networks import NETWORKS, PooledNetwork, build, fold, parameter_count


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> PooledNetwork:
    torch.manual_seed(3)
    network = build(request.param, 5)
    network.train()
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
    assert all(parameter_count(build(name, 12)) < 3_000_000 for name in NETWORKS)


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(ValueError, match="resnet"):
        build("resnet", 4)
