"""The same two networks behind LitServe, which checks, stores and records nothing, for `make bench` to compare with.

python scripts/bench_litserve.py PORT
"""

import base64
import sys
from pathlib import Path
from typing import Any

import litserve
from fastapi import Request

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mlcore.bundle import shipped_bundles
from mlcore.engines import Opinion, Predictor


class BothNetworks(litserve.LitAPI):
    """A picture in base64, as LitServe's documentation sends pictures; the probabilities of both cell networks back."""

    def setup(self, device: str) -> None:
        self.predictor = Predictor([bundle for bundle in shipped_bundles() if bundle.card.task == "cell"])

    def decode_request(self, request: Request) -> bytes:  # LitServe reads this annotation; what comes is the JSON in it
        return base64.b64decode(request["picture"])

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        return inputs

    def predict(self, x: list[bytes]) -> list[list[Opinion]]:
        return self.predictor.read(x, "cell")

    def unbatch(self, output: list[list[Opinion]]) -> list[list[Opinion]]:
        return output

    def encode_response(self, output: list[Opinion]) -> dict[str, Any]:
        return {opinion.network: opinion.probabilities for opinion in output}


if __name__ == "__main__":
    api = BothNetworks(max_batch_size=32, batch_timeout=0.02)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=120)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="warning"
    )
