"""The only module that touches PyNaCl. Lengths are the callers' business; failures become ours."""

from collections.abc import Callable

from nacl import bindings, exceptions

from .errors import Damaged, KdfRefused

NONCE_SIZE = bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
TAG_SIZE = bindings.crypto_aead_xchacha20poly1305_ietf_ABYTES
STREAM_HEADER_SIZE = bindings.crypto_secretstream_xchacha20poly1305_HEADERBYTES
STREAM_FRAME_EXTRA = bindings.crypto_secretstream_xchacha20poly1305_ABYTES
STREAM_MESSAGE = bindings.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
STREAM_FINAL = bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL
SIGNATURE_SIZE = bindings.crypto_sign_BYTES
PUBLIC_SIZE = bindings.crypto_sign_PUBLICKEYBYTES

random_bytes: Callable[[int], bytes] = bindings.randombytes


def argon2id(secret: bytes, salt: bytes, t: int, m_kib: int) -> bytes:
    """32 bytes; Argon2id 1.3 with one lane, the only one libsodium has (RFC 9106)."""
    try:
        return bindings.crypto_pwhash_alg(
            32, secret, salt, t, m_kib * 1024, bindings.crypto_pwhash_ALG_ARGON2ID13
        )
    except exceptions.RuntimeError:
        # libsodium's only failure after its argument checks is the allocation
        raise KdfRefused("no memory for the key derivation on this machine") from None


def aead_seal(key: bytes, nonce: bytes, plaintext: bytes, ad: bytes) -> bytes:
    return bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, ad, nonce, key)


def aead_open(key: bytes, nonce: bytes, ciphertext: bytes, ad: bytes) -> bytes:
    try:
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, ad, nonce, key)
    except exceptions.CryptoError:
        raise Damaged("the content does not verify") from None


def stream_sealer(key: bytes) -> tuple[bytes, Callable[[bytes, bytes, int], bytes]]:
    """The stream's header, and push(plaintext, ad, tag) -> frame."""
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    header = bindings.crypto_secretstream_xchacha20poly1305_init_push(state, key)

    def push(plaintext: bytes, ad: bytes, tag: int) -> bytes:
        return bindings.crypto_secretstream_xchacha20poly1305_push(state, plaintext, ad, tag)

    return header, push


def stream_opener(key: bytes, header: bytes) -> Callable[[bytes, bytes], tuple[bytes, int]]:
    """pull(frame, ad) -> (plaintext, tag); Damaged when a frame is not the next one."""
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    bindings.crypto_secretstream_xchacha20poly1305_init_pull(state, header, key)

    def pull(frame: bytes, ad: bytes) -> tuple[bytes, int]:
        try:
            return bindings.crypto_secretstream_xchacha20poly1305_pull(state, frame, ad)
        except exceptions.RuntimeError:
            raise Damaged("a chunk does not verify") from None

    return pull


def sign_keypair(seed: bytes) -> tuple[bytes, bytes]:
    """(public key of 32 bytes, expanded secret key of 64) of an Ed25519 seed."""
    return bindings.crypto_sign_seed_keypair(seed)


def sign(data: bytes, secret: bytes) -> bytes:
    return bindings.crypto_sign(data, secret)[:SIGNATURE_SIZE]


def verify(data: bytes, signature: bytes, public: bytes) -> bool:
    """libsodium's strict check: canonical S, no small-order key (RFC 8032, 5.1.7)."""
    if len(signature) != SIGNATURE_SIZE or len(public) != PUBLIC_SIZE:
        # crypto_sign_open takes both as one string: another length would move the border
        return False
    try:
        bindings.crypto_sign_open(signature + data, public)
    except exceptions.BadSignatureError:
        return False
    return True
