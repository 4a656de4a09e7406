"""Which network addresses a destination may be at.

Settings name hosts, and a name can lead anywhere: into our own network, to the machine's metadata service. So each address that a name stands for is
checked at each connect, and the connection goes to the address that was checked.

Source: ../shared/reference/reliability.md, T7: `ipaddress.is_global` is true of several addresses that lead inside (`64:ff9b::7f00:1`, `2002:7f00:1::`,
`::127.0.0.1`, `fec0::1`, multicast), so it is not enough.
"""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

# Never, whatever the settings say: addresses of one link, among them the metadata services of clouds, and what is no host's address.
_NEVER_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "192.0.0.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "100.100.100.200/32",
        "168.63.129.16/32",
    )
)
_NEVER_V6 = tuple(IPv6Network(text) for text in ("::/128", "fe80::/10", "ff00::/8", "fd00:ec2::/32", "fd20:ce::/32", "100::/64"))
# Within one organisation: only where the settings allow it.
_PRIVATE_V4 = tuple(
    IPv4Network(text)
    for text in (
        *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
        *("192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    )
)
_PRIVATE_V6 = tuple(IPv6Network(text) for text in ("::1/128", "fc00::/7", "fec0::/10", "2001:db8::/32", "3fff::/20", "5f00::/16"))
# Hosts on the internet have these; all else of IPv6 is not given out.
_GLOBAL_V6 = IPv6Network("2000::/3")
_V4_IN_LAST = tuple(IPv6Network(text) for text in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))
_6TO4, _TEREDO = IPv6Network("2002::/16"), IPv6Network("2001::/32")
_ISATAP = (0x00005EFE, 0x02005EFE)
_LOW = 0xFFFF_FFFF


class AddressNotAllowed(Exception):
    """A destination leads to an address that it may not be at. The message says which, and what to set."""


def why_not(address: str, *, allow_private: bool) -> str | None:
    """Return why a destination may not be at `address` (as text, a zone after `%` allowed); None if it may."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return "it is no network address"
    reasons = [_why_not_one(one, allow_private=allow_private) for one in (found, *embedded(found))]
    return next((reason for reason in reasons if reason is not None), None)


def literal(host: str) -> str | None:
    """Return the address that a host is, None if it is a name. Systems take one number, and parts in octal or hex, for an address too."""
    try:
        return str(ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        pass
    try:
        return str(IPv4Address(socket.inet_aton(host)))
    except (OSError, UnicodeError):
        return None


def embedded(address: Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that an IPv6 address stands for, where a translator or tunnel is on the way."""
    if isinstance(address, IPv4Address):
        return
    number = int(address)
    if any(address in network for network in _V4_IN_LAST) and number > 1:
        yield IPv4Address(number & _LOW)
    if address in _6TO4:
        yield IPv4Address(number >> 80 & _LOW)
    if address in _TEREDO:
        yield IPv4Address(number >> 64 & _LOW)
        yield IPv4Address(~number & _LOW)
    if number >> 32 & _LOW in _ISATAP:
        yield IPv4Address(number & _LOW)


def place_of(host: str, address: str) -> str:
    """Return a host and the address that it stands for, as messages say it; once where the one is the other."""
    return address if host.strip("[]") == address else f"{host} is at {address}"


def is_private(address: str) -> bool:
    """Tell whether `address` is one that is allowed only where the settings allow private ones."""
    return why_not(address, allow_private=False) is not None and why_not(address, allow_private=True) is None


def _why_not_one(address: Address, *, allow_private: bool) -> str | None:
    never = _NEVER_V4 if isinstance(address, IPv4Address) else _NEVER_V6
    if any(address in network for network in never):
        return "no destination may be at such an address (link-local, metadata, multicast or reserved)"
    if allow_private:
        return None
    private = _PRIVATE_V4 if isinstance(address, IPv4Address) else _PRIVATE_V6
    if any(address in network for network in private) or not _is_of_the_internet(address):
        return "it is a private address; set `allow_private = true` on the destination if it is yours"
    return None


def _is_of_the_internet(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.is_global
    # An address that a translator makes of a public IPv4 address leads to that one.
    return address in _GLOBAL_V6 or any(address in network for network in _V4_IN_LAST[1:4])
