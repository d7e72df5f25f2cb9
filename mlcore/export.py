"""From a trained network to a bundle: fold, halve, calibrate on validation groups, measure on test groups, seal."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from safetensors.numpy import save

from mlcore.bundle import GRAPH, WEIGHTS
from mlcore.networks import PooledNetwork
from mlcore.novelty import NoveltyScore

OUTPUTS = ("logits", "maps", "embedding")


def halve(network: PooledNetwork) -> dict[str, np.ndarray]:
    """Round the weights of a folded network to half precision, in place; the state as float16 comes back."""
    state = {}
    for key, value in network.state_dict().items():
        half = value.half()
        if not bool(torch.isfinite(half).all()):
            raise ValueError(f"{key} does not fit into half precision")
        value.copy_(half.float())
        state[key] = half.contiguous().numpy()
    return state


def write_weights(path: Path, state: dict[str, np.ndarray], novelty: NoveltyScore) -> None:
    (path / WEIGHTS).write_bytes(save({**state, **novelty.tensors()}))


def write_graph(path: Path, network: PooledNetwork, size: int) -> None:
    """`graph.onnx` of a folded network whose weights lie in `path`: any batch, outputs as in networks.Answer."""
    example = torch.zeros(2, 3, size, size)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / GRAPH
        torch.onnx.export(
            network.cpu().eval(),
            (example,),
            str(whole),
            input_names=["images"],
            output_names=list(OUTPUTS),
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        model = onnx.load(str(whole))
    _point_into_weights(model, path / WEIGHTS)
    for node in model.graph.node:  # the exporter notes which source file each node came from
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.metadata_props[:], model.graph.value_info[:], model.metadata_props[:]
    (path / GRAPH).write_bytes(model.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(path / GRAPH))


def _point_into_weights(model: onnx.ModelProto, weights: Path) -> None:
    """Replace initialisers by references into the safetensors file, each widened to float32 by a Cast."""
    with weights.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        entries = json.loads(stream.read(length))
    casts = []
    for tensor in model.graph.initializer:
        if tensor.name not in entries:
            if len(tensor.raw_data) > 1024:
                raise ValueError(f"the graph holds {tensor.name!r}, which is no weight of the network")
            continue
        entry = entries[tensor.name]
        if list(tensor.dims) != entry["shape"] or entry["dtype"] != "F16":
            raise ValueError(f"the graph's {tensor.name!r} differs in shape or type from the weights")
        begin, end = entry["data_offsets"]
        widened, tensor.name = tensor.name, tensor.name + ".half"
        tensor.data_type = TensorProto.FLOAT16
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", weights.name), ("offset", 8 + length + begin), ("length", end - begin)):
            tensor.external_data.add(key=key, value=str(value))
        casts.append(helper.make_node("Cast", [tensor.name], [widened], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
