"""FF1, the format-preserving encryption of NIST SP 800-38G: ten Feistel rounds over AES that keep length and alphabet."""

from __future__ import annotations

from collections.abc import Sequence

SMALLEST_DOMAIN = 1_000_000
"""Fewest different inputs for which the standard's revision 1 allows the method."""


class FF1:
    """FF1 under an AES `key` of 16, 24 or 32 bytes, over numerals from 0 to `radix` - 1."""

    def __init__(self, key: bytes, radix: int = 10) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self.radix = radix
        self._block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - single blocks, as the standard builds on them

    def encrypt(self, numerals: Sequence[int], tweak: bytes = b"") -> list[int]:
        """The numerals that `numerals` become; the same number of them. Raises `ValueError` for a domain that is too small."""
        return self._rounds(list(numerals), tweak, forward=True)

    def decrypt(self, numerals: Sequence[int], tweak: bytes = b"") -> list[int]:
        """What `encrypt` made `numerals` of."""
        return self._rounds(list(numerals), tweak, forward=False)

    def _rounds(self, numerals: list[int], tweak: bytes, *, forward: bool) -> list[int]:
        n, radix = len(numerals), self.radix
        if n < 2 or radix**n < SMALLEST_DOMAIN:
            raise ValueError(f"{n} numerals of radix {radix} are too few")
        u, v = n // 2, n - n // 2
        a, b = self._number(numerals[:u]), self._number(numerals[u:])
        half = -(-((radix**v - 1).bit_length()) // 8)
        width = 4 * -(-half // 4) + 4
        head = bytes([1, 2, 1]) + radix.to_bytes(3, "big") + bytes([10, u % 256]) + n.to_bytes(4, "big") + len(tweak).to_bytes(4, "big")
        pad = tweak + bytes((-len(tweak) - half - 1) % 16)
        for i in range(10) if forward else range(9, -1, -1):
            size = radix ** (u if i % 2 == 0 else v)
            source = b if forward else a
            y = int.from_bytes(self._stream(head + pad + bytes([i]) + source.to_bytes(half, "big"), width), "big")
            if forward:
                a, b = b, (a + y) % size
            else:
                a, b = (b - y) % size, a
        return self._numerals(a, u) + self._numerals(b, v)

    def _stream(self, message: bytes, width: int) -> bytes:
        """CBC-MAC of `message`, stretched to `width` bytes."""
        state = bytes(16)
        for at in range(0, len(message), 16):
            state = self._aes(bytes(x ^ y for x, y in zip(state, message[at : at + 16], strict=True)))
        out = state
        for j in range(1, -(-width // 16)):
            out += self._aes((int.from_bytes(state, "big") ^ j).to_bytes(16, "big"))
        return out[:width]

    def _aes(self, block: bytes) -> bytes:
        return self._block.update(block)

    def _number(self, numerals: list[int]) -> int:
        number = 0
        for numeral in numerals:
            number = number * self.radix + numeral
        return number

    def _numerals(self, number: int, length: int) -> list[int]:
        out = [0] * length
        for at in range(length - 1, -1, -1):
            number, out[at] = divmod(number, self.radix)
        return out
