"""What our code must never do with the cryptographic libraries, each rule with its reason.

Every library here failed at something when it was measured, so each has one door and a list of
things that may not pass through it.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("crypto", "protocol", "server", "client")
DOORS = {
    "nacl": "_sodium",
    "pysequoia": "_sequoia",
    "openpgp": "_rpgp",
    "pgpy": "_pgpy",
    "mnemonic": "_wordlist",
    "shamir_mnemonic": "_slip39",
}

Rule = Callable[[str, str, ast.AST], bool]


def imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) of everything an import statement names; relative ones begin with a dot."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, "") for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        yield from ((module, alias.name) for alias in node.names)


def called(node: ast.AST) -> str:
    """The last name of what is called, "" for anything but a call."""
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def library_outside_its_door(room: str, module: str, node: ast.AST) -> bool:
    tops = {name.split(".")[0] for name, _ in imported(node)}
    return any(top in DOORS and (room, module) != ("crypto", DOORS[top]) for top in tops)


def door_opened_by_another(room: str, module: str, node: ast.AST) -> bool:
    """PGPy verifies nothing and corrupts keys: it makes them. rpgp has no policy: these only."""
    allowed = {
        "_pgpy": {"identity", "keyedit"},
        "_rpgp": {"certfacts", "identity", "keyproof", "keytree", "seal", "verify", "worker"},
        "_openssl": {"secretlock", "secretpacket", "selfsig"},
    }
    return any(
        door in (name, source.rsplit(".")[-1]) and module not in users
        for source, name in imported(node)
        for door, users in allowed.items()
    )


def encrypts_by_rpgp_or_pgpy(room: str, module: str, node: ast.AST) -> bool:
    """rpgp's encrypt_to_key and PGPy's encrypt take an attacker's subkey of a certificate."""
    name = called(node)
    if module == "_rpgp" and name == "encrypt_to_key":
        assert isinstance(node, ast.Call)
        return [getattr(argument, "id", "") for argument in node.args] != ["subkey"]
    return name.startswith(("encrypt_to_key", "encrypt_message_", "encrypt_session_key")) or (
        name == "encrypt" and module in ("_rpgp", "_pgpy", "keyedit")
    )


def encrypts_ungated(room: str, module: str, node: ast.AST) -> bool:
    """pysequoia encrypts to expired subkeys and revoked primaries: only behind the gate."""
    at_door = isinstance(node, ast.Attribute) and node.attr == "encrypt"
    owner = getattr(getattr(node, "value", None), "id", "")
    return at_door and owner == "_sequoia" and module not in ("gate", "seal")


def decrypts_by_pysequoia_or_pgpy(room: str, module: str, node: ast.AST) -> bool:
    """One 120-octet mail makes pysequoia's decryptor panic for ever; PGPy opens SED packets."""
    name = getattr(node, "attr", "")
    return module in ("_sequoia", "_pgpy") and name.startswith("decrypt")


def decrypts_in_this_process(room: str, module: str, node: ast.AST) -> bool:
    """A bomb aborts the process it is opened in; keyproof opens its own probe only."""
    return (
        room == "crypto"
        and called(node) == "decrypt"
        and module not in ("_rpgp", "_openssl", "_slip39", "worker", "keyproof")
    )


def passphrase_inside_rpgp(room: str, module: str, node: ast.AST) -> bool:
    """It would repeat the slow derivation for every mail."""
    if module != "_rpgp" or called(node) not in ("decrypt", "sign_binary_data"):
        return False
    assert isinstance(node, ast.Call)
    return not any(isinstance(a, ast.Constant) and a.value is None for a in node.args)


def trusts_rpgps_arithmetic(room: str, module: str, node: ast.AST) -> bool:
    """It verifies SHA-1, RSA-1024 and revoked signers."""
    return called(node) == "signature_fits" and module != "verify"


def broad_except(room: str, module: str, node: ast.AST) -> bool:
    """`except Exception` lets PanicException, a BaseException, through; a bare one hides it."""
    if room != "crypto" or not isinstance(node, ast.ExceptHandler):
        return False
    name = getattr(node.type, "id", "")
    if name == "BaseException":
        return not isinstance(node.body[-1], ast.Raise)
    return node.type is None or name == "Exception"


def keeps_library_text(room: str, module: str, node: ast.AST) -> bool:
    """Library errors carry backtraces, and may carry key material."""
    if module not in DOORS.values() or not isinstance(node, ast.ExceptHandler):
        return False
    return node.name is not None


def compresses(room: str, module: str, node: ast.AST) -> bool:
    """Lengths then tell content; and bombs need a decompressor."""
    names = {name.split(".")[0] for name, _ in imported(node)}
    if room == "crypto" and names & {"zlib", "bz2", "gzip", "lzma", "zipfile"}:
        return True
    return room == "crypto" and called(node) in ("compression", "decompress", "compress")


def logs_or_prints(room: str, module: str, node: ast.AST) -> bool:
    if room != "crypto":
        return False
    return called(node) == "print" or any(name == "logging" for name, _ in imported(node))


def runs_gpg(room: str, module: str, node: ast.AST) -> bool:
    """110 processes a second at best, and it prints before it has verified."""
    programs = {"gpg", "gpg2", "gpgconf", "sq", "sqop", "gosop", "/usr/bin/gpg"}
    return isinstance(node, ast.Constant) and node.value in programs


def thread_pool(room: str, module: str, node: ast.AST) -> bool:
    """pysequoia and rpgp hold the GIL throughout: threads only add waiting."""
    if room != "crypto":
        return False
    return any("ThreadPool" in name or "futures" in source for source, name in imported(node))


def sets_backtraces(room: str, module: str, node: ast.AST) -> bool:
    """They cost up to 0.1 s an error and end in error texts; it may only be taken away."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
        named = [node.slice]
    elif isinstance(node, ast.Dict):
        named = node.keys
    elif isinstance(node, ast.Call) and called(node) != "pop":
        named = node.args
        if any(keyword.arg == "RUST_BACKTRACE" for keyword in node.keywords):
            return True
    else:
        return False
    return any(isinstance(n, ast.Constant) and n.value == "RUST_BACKTRACE" for n in named)


def makes_rsa(room: str, module: str, node: ast.AST) -> bool:
    """Both Rust libraries carry an RSA with a timing leak; new keys are on Curve25519."""
    return module in ("_rpgp", "_pgpy") and getattr(node, "attr", "").lower().startswith("rsa")


RULES: tuple[Rule, ...] = (
    library_outside_its_door,
    door_opened_by_another,
    encrypts_by_rpgp_or_pgpy,
    encrypts_ungated,
    decrypts_by_pysequoia_or_pgpy,
    decrypts_in_this_process,
    passphrase_inside_rpgp,
    trusts_rpgps_arithmetic,
    broad_except,
    keeps_library_text,
    compresses,
    logs_or_prints,
    runs_gpg,
    thread_pool,
    sets_backtraces,
    makes_rsa,
)


def violations(room: str, module: str, source: str) -> list[str]:
    nodes = list(ast.walk(ast.parse(source)))
    return [
        f"{rule.__name__} at line {getattr(node, 'lineno', 0)}"
        for rule in RULES
        for node in nodes
        if rule(room, module, node)
    ]


def test_no_source_file_breaks_a_rule() -> None:
    found, seen = {}, 0
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            seen += 1
            if broken := violations(room, path.stem, path.read_text()):
                found[str(path.relative_to(ROOT))] = broken
    assert found == {}
    assert seen > 20


@pytest.mark.parametrize(
    ("room", "module", "source", "rule"),
    [
        ("server", "seal", "import pgpy", library_outside_its_door),
        ("crypto", "gate", "from pysequoia import Cert", library_outside_its_door),
        ("client", "x", "import nacl.secret", library_outside_its_door),
        ("server", "_pgpy", "import pgpy", library_outside_its_door),
        ("crypto", "gate", "from ._pgpy import Made", door_opened_by_another),
        ("crypto", "slot", "from . import _rpgp", door_opened_by_another),
        ("client", "x", "from e2email_crypto import _rpgp", door_opened_by_another),
        ("crypto", "_rpgp", "b.encrypt_to_key(k)", encrypts_by_rpgp_or_pgpy),
        ("crypto", "_pgpy", "key.encrypt(m)", encrypts_by_rpgp_or_pgpy),
        ("crypto", "cert", "_sequoia.encrypt(b, [c])", encrypts_ungated),
        ("crypto", "_sequoia", "pysequoia.decrypt(b, d)", decrypts_by_pysequoia_or_pgpy),
        ("crypto", "_sequoia", "tsk.decryptor()", decrypts_by_pysequoia_or_pgpy),
        ("crypto", "open", "key.decrypt(m)", decrypts_in_this_process),
        ("crypto", "_rpgp", "m.decrypt('secret', k)", passphrase_inside_rpgp),
        ("crypto", "cert", "_rpgp.signature_fits(d, s, k)", trusts_rpgps_arithmetic),
        ("crypto", "x", "try: f()\nexcept Exception: raise X", broad_except),
        ("crypto", "x", "try: f()\nexcept: pass", broad_except),
        ("crypto", "x", "try: f()\nexcept BaseException: pass", broad_except),
        ("crypto", "_rpgp", "try: f()\nexcept ValueError as e: raise X", keeps_library_text),
        ("crypto", "x", "import zlib", compresses),
        ("crypto", "_rpgp", "b.compression('zip')", compresses),
        ("crypto", "x", "import logging", logs_or_prints),
        ("crypto", "x", "print(key)", logs_or_prints),
        ("client", "x", "subprocess.run(['gpg', '-d'])", runs_gpg),
        ("crypto", "x", "from concurrent.futures import ThreadPoolExecutor", thread_pool),
        ("server", "x", "os.environ['RUST_BACKTRACE'] = '1'", sets_backtraces),
        ("crypto", "_rpgp", "KeyType.rsa(3072)", makes_rsa),
    ],
)
def test_each_rule_catches_what_it_is_for(room: str, module: str, source: str, rule: Rule) -> None:
    assert f"{rule.__name__} at line" in "".join(violations(room, module, source))


def loaded_by(*modules: str, **environment: str) -> set[str]:
    """sys.modules of a fresh interpreter after importing `modules`."""
    code = f"import sys; sys.path[:] = {sys.path!r}\nimport {', '.join(modules)}\n"
    done = subprocess.run(
        [sys.executable, "-c", code + "print(*sys.modules)"],
        capture_output=True,
        check=True,
        env=os.environ | environment,
    )
    return set(done.stdout.decode().split())


def test_the_sealing_side_loads_nothing_that_opens() -> None:
    names = ("armor", "arrival", "blob", "cert", "gate", "packets", "seal", "statement", "token")
    loaded = loaded_by(*(f"e2email_crypto.{name}" for name in names))
    opening = (
        "_child",
        "_pgpy",
        "child_process",
        "keyedit",
        "open",
        "slot",
        "vault",
        "verify",
        "worker",
    )
    assert not loaded & ({f"e2email_crypto.{name}" for name in opening} | {"pgpy"})


def test_pgpy_is_loaded_when_a_key_is_made_only() -> None:
    assert "pgpy" not in loaded_by("e2email_crypto.keyedit", "e2email_crypto.open")


@pytest.mark.parametrize("door", ["_sequoia", "_rpgp"])
def test_backtraces_are_off(door: str) -> None:
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        f"import os; from e2email_crypto import {door}\n"
        "print(os.environ.get('RUST_BACKTRACE'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env=os.environ | {"RUST_BACKTRACE": "1"},
    )
    assert done.stdout.strip() == b"None"
