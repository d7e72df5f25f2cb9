"""A security key in software: makes passkeys and signs with them, as a browser and its key would together."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

_FLAG = AuthenticatorData.FLAG
_CREDENTIAL = b"soft key for tests"


class SoftKey:
    """One key pair for one site. `origin` is what the browser would report."""

    def __init__(self, origin: str = "http://testserver") -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.origin = origin
        self.user_handle = ""
        self.counter = 0

    def create(self, options: dict[str, Any], *, passwordless: bool) -> str:
        """What `navigator.credentials.create` answers to these options, as JSON."""
        wanted = options["publicKey"]
        self.user_handle = wanted["user"]["id"]
        client = CollectedClientData.create("webauthn.create", websafe_decode(wanted["challenge"]), self.origin)
        public = ES256.from_cryptography_key(self.private.public_key())
        attested = AttestedCredentialData.create(bytes(16), _CREDENTIAL, public)
        data = AuthenticatorData.create(
            sha256(wanted["rp"]["id"].encode()).digest(), _FLAG.UP | _FLAG.UV | _FLAG.AT, self.counter, attested
        )
        attestation = AttestationObject.create("none", data, {})
        return self._answer(
            {"clientDataJSON": websafe_encode(client), "attestationObject": websafe_encode(attestation)},
            {"credProps": {"rk": passwordless}},
        )

    def get(self, options: dict[str, Any]) -> str:
        """What `navigator.credentials.get` answers to these options, as JSON."""
        wanted = options["publicKey"]
        client = CollectedClientData.create("webauthn.get", websafe_decode(wanted["challenge"]), self.origin)
        self.counter += 1
        data = AuthenticatorData.create(sha256(wanted["rpId"].encode()).digest(), _FLAG.UP | _FLAG.UV, self.counter)
        signature = self.private.sign(data + client.hash, ec.ECDSA(hashes.SHA256()))
        return self._answer(
            {
                "clientDataJSON": websafe_encode(client),
                "authenticatorData": websafe_encode(data),
                "signature": websafe_encode(signature),
                "userHandle": self.user_handle,
            },
            {},
        )

    def _answer(self, response: dict[str, str], extensions: dict[str, Any]) -> str:
        identifier = websafe_encode(_CREDENTIAL)
        return json.dumps(
            {
                "type": "public-key",
                "id": identifier,
                "rawId": identifier,
                "response": response,
                "clientExtensionResults": extensions,
            }
        )
