"""One POST to an address that somebody typed, without being turned against the inside of the house.

The host is looked up once, every address that it has must be one of the open internet or of a network that the
operator named (`WEBHOOK_NETWORKS`), and the connection goes to an address that was looked at: a name that means
something else a moment later leads nowhere. Redirects are not followed; of an answer only the status is kept.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

PATIENCE = 10.0  # seconds for the connection, and for each piece of an answer
DEADLINE = 20.0  # seconds for all of it: an answer that drips does not hold a worker
#: Addresses that stand for others, which would have to be looked at in their place.
_STAND_INS = tuple(ip_network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))


class Unreachable(Exception):  # noqa: N818
    """It was not sent, or not taken; the text says why."""


class Forbidden(Unreachable):
    """The address is none that may be sent to."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    milliseconds: int


def look_at(url: str) -> tuple[SplitResult, int, str]:
    """The parts of `url`, its port and the address to connect to. Raises `Forbidden` and `Unreachable` in words."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise Forbidden("This is no address. It begins with https:// and names a host.") from None
    if parts.scheme not in ("https", "http") or not parts.hostname or not url.isascii() or " " in url:
        raise Forbidden("This is no address. It begins with https:// and names a host.")
    if parts.username or parts.password or parts.fragment:
        raise Forbidden("An address with a name, a password or a # in it is not taken. The signature proves who sends.")
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable(f"The host {parts.hostname} is not known.") from None
    addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    inside = [address for address in addresses if _inside(address)]
    for address in addresses:
        if address not in inside and not _open(address):
            raise Forbidden(
                f"{parts.hostname} is inside a network that nothing is sent to. The operator can allow that network "
                "(WEBHOOK_NETWORKS)."
            )
    if parts.scheme == "http" and len(inside) < len(addresses):
        raise Forbidden("Only https leaves the house. Let the address begin with https://.")
    return parts, port, str(addresses[0])


def send(url: str, body: str, headers: dict[str, str]) -> Answer:
    """POST `body` as JSON. Raises `Unreachable` where no answer came."""
    parts, port, address = look_at(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kind = _Secure if parts.scheme == "https" else _Plain
    connection = kind(str(parts.hostname), port, address)
    begun = time.monotonic()
    watchdog = threading.Timer(DEADLINE, connection.cut)
    watchdog.daemon = True
    watchdog.start()
    try:
        connection.request(
            "POST",
            path,
            body.encode(),
            {
                "Content-Type": "application/json",
                "User-Agent": "LeukoLens-Webhooks/1",
                "Connection": "close",
                **headers,
            },
        )
        status = connection.getresponse().status
    except ssl.SSLCertVerificationError as error:
        raise Unreachable(f"Its certificate is not trusted: {error.verify_message}.") from error
    except TimeoutError:
        raise Unreachable(f"No answer within {PATIENCE:.0f} seconds.") from None
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"The connection failed: {str(error)[:200] or type(error).__name__}.") from error
    finally:
        watchdog.cancel()
        connection.close()
    return Answer(status, round((time.monotonic() - begun) * 1000))


def _inside(address: IPv4Address | IPv6Address) -> bool:
    """In a network that the operator named."""
    return any(address in ip_network(net) for net in settings.WEBHOOK_NETWORKS)


def _open(address: IPv4Address | IPv6Address) -> bool:
    """Of the open internet, and not standing for another address."""
    if isinstance(address, IPv6Address) and (address.ipv4_mapped or any(address in net for net in _STAND_INS)):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class _Cut:
    sock: Any

    def cut(self) -> None:
        with suppress(OSError, AttributeError):
            self.sock.shutdown(socket.SHUT_RDWR)


class _Plain(_Cut, http.client.HTTPConnection):
    """Connects to an address that was looked at, under the name that was typed."""

    def __init__(self, host: str, port: int, address: str) -> None:
        super().__init__(host, port, timeout=PATIENCE)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), PATIENCE)


class _Secure(_Cut, http.client.HTTPSConnection):
    def __init__(self, host: str, port: int, address: str) -> None:
        self._trust = ssl.create_default_context()
        super().__init__(host, port, timeout=PATIENCE, context=self._trust)
        self._address = address

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), PATIENCE)
        self.sock = plain  # can be cut while hands are shaken
        self.sock = self._trust.wrap_socket(plain, server_hostname=self.host)
