"""Thunderbird's own OpenPGP library as referee. Skips, with the reason, if it is absent."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_bool, c_char, c_char_p, c_size_t, c_uint32, c_void_p
from pathlib import Path
from typing import Any

import pytest

LIBRARY = Path("/usr/lib/thunderbird/librnp.so")
_ARMORED, _PUBLIC, _SECRET, _SUBKEYS = 1, 2, 4, 8
_LOAD_BOTH = 3
_PROVIDER = ctypes.CFUNCTYPE(
    c_bool, c_void_p, c_void_p, c_void_p, c_char_p, POINTER(c_char), c_size_t
)


class Refused(Exception):
    """Its error code, in hex."""


class Rnp:
    """An empty keyring. `passphrase` answers every question for one."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL(str(LIBRARY))
        self._ffi = c_void_p()
        self.passphrase = b""
        self._call("rnp_ffi_create", byref(self._ffi), b"GPG", b"GPG")
        self._provider = _PROVIDER(self._answer)  # kept: the library calls it later
        self._call("rnp_ffi_set_pass_provider", self._ffi, self._provider, None)

    def close(self) -> None:
        self._lib.rnp_ffi_destroy(self._ffi)

    def _answer(self, *asked: Any) -> bool:
        buffer, size = asked[4:]
        if len(self.passphrase) >= size:
            return False
        ctypes.memmove(buffer, self.passphrase + b"\0", len(self.passphrase) + 1)
        return True

    def _call(self, name: str, *arguments: Any) -> None:
        function = getattr(self._lib, name)
        function.restype = c_uint32
        if code := function(*arguments):
            raise Refused(f"{name}: {code:#x}")

    def _input(self, octets: bytes) -> c_void_p:
        made = c_void_p()
        self._call(
            "rnp_input_from_memory", byref(made), octets, c_size_t(len(octets)), c_bool(True)
        )
        return made

    def _output(self) -> c_void_p:
        made = c_void_p()
        self._call("rnp_output_to_memory", byref(made), c_size_t(0))
        return made

    def _octets(self, output: c_void_p) -> bytes:
        at, size = c_void_p(), c_size_t()
        self._call("rnp_output_memory_get_buf", output, byref(at), byref(size), c_bool(False))
        return ctypes.string_at(at, size.value)

    def _key(self, user_id: str) -> c_void_p:
        key = c_void_p()
        self._call("rnp_locate_key", self._ffi, b"userid", user_id.encode(), byref(key))
        assert key, "no such key"
        return key

    def generate_25519(self, user_id: str) -> None:
        key = c_void_p()
        password = self.passphrase
        self._call("rnp_generate_key_25519", self._ffi, user_id.encode(), password, byref(key))

    def generate_rsa(self, user_id: str, bits: int) -> None:
        key, size = c_void_p(), c_uint32(bits)
        self._call(
            "rnp_generate_key_rsa", self._ffi, size, size, user_id.encode(), self.passphrase,
            byref(key),
        )  # fmt: skip

    def export(self, user_id: str, *, secret: bool) -> bytes:
        output = self._output()
        flags = c_uint32(_ARMORED | _SUBKEYS | (_SECRET if secret else _PUBLIC))
        self._call("rnp_key_export", self._key(user_id), output, flags)
        return self._octets(output)

    def take(self, octets: bytes) -> None:
        results = c_char_p()
        self._call(
            "rnp_import_keys", self._ffi, self._input(octets), c_uint32(_LOAD_BOTH), byref(results)
        )

    def encrypt(self, user_id: str, text: bytes) -> bytes:
        op, output = c_void_p(), self._output()
        self._call("rnp_op_encrypt_create", byref(op), self._ffi, self._input(text), output)
        self._call("rnp_op_encrypt_add_recipient", op, self._key(user_id))
        self._call("rnp_op_encrypt_execute", op)
        return self._octets(output)

    def decrypt(self, message: bytes) -> bytes:
        output = self._output()
        self._call("rnp_decrypt", self._ffi, self._input(message), output)
        return self._octets(output)


@contextmanager
def keyring() -> Iterator[Rnp]:
    if not LIBRARY.exists():
        pytest.skip("Thunderbird is not installed: interoperability with it is NOT tested")
    ring = Rnp()
    try:
        yield ring
    finally:
        ring.close()
