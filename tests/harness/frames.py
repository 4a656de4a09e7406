"""WebSocket handshakes and frames, as bytes."""

import base64
import hashlib

KEY = base64.b64encode(bytes(range(16)))
ACCEPT = base64.b64encode(hashlib.sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest())
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    + ACCEPT
    + b"\r\nSec-WebSocket-Protocol: realtime\r\nX-Request-Id: req_ws\r\n\r\n"
)


def handshake(
    target: bytes = b"/v1/realtime?model=gpt-4o-realtime-preview", headers: bytes = b"", *, credential: bytes = b"Bearer sk-ws"
) -> bytes:
    """Return a client's opening request."""
    return (
        b"GET " + target + b" HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Version: 13\r\nAuthorization: " + credential + b"\r\n"
        b"OpenAI-Beta: realtime=v1\r\nSec-WebSocket-Protocol: realtime\r\n" + headers + b"\r\n"
    )


def frame(payload: bytes, opcode: int = TEXT, *, final: bool = True, mask: bytes | None = b"\x01\x02\x03\x04") -> bytes:
    """Return one frame; clients mask theirs, servers do not."""
    first = bytes([(0x80 if final else 0) | opcode])
    masked = 0x80 if mask else 0
    size = len(payload)
    if size < 126:
        length = bytes([masked | size])
    elif size < 1 << 16:
        length = bytes([masked | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([masked | 127]) + size.to_bytes(8, "big")
    if not mask:
        return first + length + payload
    return first + length + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
