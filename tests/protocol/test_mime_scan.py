"""The part tree: spans, defaults, broken structure, limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2email_protocol.mime import DEFAULT_LIMITS, Limits, Part, scan
from e2email_protocol.mime.text import walk
from support.corpus import messages

MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
PIECES = [
    b"\r\n", b"\n", b"\r", b"--b", b"--b--", b"--bb", b"--", b"-", b" ", b"\t", b":", b"x", b"\0",
    b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: message/rfc822\r\n",
    b"Content-Type: multipart/digest; boundary=bb\r\n", b"Subject: x\r\n", b"\xe9",
    b'Content-Type: multipart/x; boundary="', b'"', b";", b"Mime-Version: 1.0\r\n",
    b"Content-Transfer-Encoding: base64\r\n", b"=?utf-8?q?", b"(", b",", b"<", b"@",
]  # fmt: skip
MAIL_LIKE = st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join)


def consistent(octets: bytes, root: Part) -> None:
    """Root covers everything; children lie in their parent's body, in order, without overlap."""
    assert (root.start, root.end) == (0, len(octets))
    for part in walk(root, messages=True):
        assert part.start <= part.body <= part.end
        assert part.lines == octets.count(b"\n", part.body, part.end)
        assert len(part.children) <= 1 or part.is_multipart
        assert (len(part.children) == 1) == part.is_message or part.is_multipart
        assert not (part.opaque and part.children) or part.is_multipart or part is root
        position = part.body
        for child in part.children:
            assert position <= child.start
            position = child.end
        assert position <= part.end
        if part.is_message:
            child = part.children[0]
            assert (child.start, child.end) == (part.body, part.end)


def rebuilt(octets: bytes, part: Part) -> bytes:
    """The octets, put together from headers, leaf bodies and the gaps between them."""
    out = octets[part.start : part.body]
    position = part.body
    for child in part.children:
        out += octets[position : child.start] + rebuilt(octets, child)
        position = child.end
    return out + octets[position : part.end]


@given(MAIL_LIKE)
def test_spans_are_nested_whatever_the_octets(octets: bytes) -> None:
    root = scan(octets)
    consistent(octets, root)
    assert rebuilt(octets, root) == octets


@given(st.binary(max_size=300))
def test_any_octets_are_a_message(octets: bytes) -> None:
    consistent(octets, scan(octets))


@given(MAIL_LIKE, st.integers(1, 4), st.integers(1, 4), st.integers(0, 5), st.integers(0, 40))
def test_small_limits_hold(
    octets: bytes, parts: int, nesting: int, lines: int, header: int
) -> None:
    root = scan(octets, Limits(parts, nesting, lines, header))
    found = list(walk(root, messages=True))
    # a message whose header is cut short still has its empty message
    assert len(found) <= parts + 1
    assert rebuilt(octets, root) == octets
    assert depth(root) <= nesting + 1


def depth(part: Part) -> int:
    return 1 + max(map(depth, part.children), default=0)


def test_the_corpus() -> None:
    for _name, octets in messages():
        root = scan(octets)
        consistent(octets, root)
        assert rebuilt(octets, root) == octets


def bodies(octets: bytes) -> list[bytes]:
    root = scan(octets)
    return [octets[part.body : part.end] for part in root.children]


def test_the_line_end_before_a_boundary_belongs_to_it() -> None:
    assert bodies(MIXED + b"--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n\r\n--b--\r\n") == [
        b"one",
        b"two\r\n",
    ]


def test_a_body_may_be_empty_and_a_header_may_be_cut_short() -> None:
    octets = MIXED + b"--b\r\n\r\n--b\r\nA: b\r\n--b--\r\n"
    first, second = scan(octets).children
    assert octets[first.start : first.body] == b"\r\n"
    assert octets[second.start : second.end] == b"A: b"
    assert first.size == second.size == 0


def test_without_its_end_a_multipart_ends_with_the_message() -> None:
    assert bodies(MIXED + b"--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n") == [b"one", b"two\r\n"]


def test_what_follows_the_end_is_no_part() -> None:
    assert bodies(MIXED + b"--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\nno\r\n") == [b"one"]


def test_an_outer_boundary_ends_inner_parts() -> None:
    inner = b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n"
    root = scan(MIXED + inner + b"--b\r\n\r\ny\r\n--b--\r\n")
    assert [len(part.children) for part in root.children] == [1, 0]


def test_a_boundary_used_again_inside_belongs_to_the_inner_part() -> None:
    inner = b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"
    root = scan(MIXED + inner + b"--b\r\n\r\ny\r\n--b--\r\n")
    assert [len(part.children) for part in root.children] == [1, 0]


def test_the_longest_boundary_that_fits_counts() -> None:
    inner = b"--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\nx\r\n--bb--\r\n"
    root = scan(MIXED + inner + b"--b\r\n\r\ny\r\n--b--\r\n")
    assert [len(part.children) for part in root.children] == [1, 0]


@pytest.mark.parametrize(
    ("header", "media"),
    [
        (b"", "text/plain"),
        (b"Subject: x\r\n", "text/plain"),
        (b"Content-Type: nonsense here\r\n", "nonsense/"),
        (b"Content-Type: TEXT/Html; charset=x\r\n", "text/html"),
        (b"Content-Type: text/html\r\nContent-Type: text/plain\r\n", "text/html"),
        (b"Content-Type:\r\n text/html\r\n", "text/html"),
        (b"content-type : text/html\r\n", "text/html"),
        (b"X: \r\n Content-Type: text/html\r\n", "text/plain"),
    ],
)
def test_the_type(header: bytes, media: str) -> None:
    assert scan(header + b"\r\nbody\r\n").media == media


def test_content_fields_count_only_where_the_header_speaks_of_mime() -> None:
    encoding = b"Content-Transfer-Encoding: base64\r\n"
    assert scan(encoding + b"\r\nx").encoding is None
    assert scan(b"MIME-Version: 1.0\r\n" + encoding + b"\r\nx").encoding == b"base64"


def test_parts_of_a_digest_are_messages() -> None:
    digest = (
        b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n\r\nx\r\n--b--"
    )
    (part,) = scan(digest).children
    assert part.is_message
    assert len(part.children) == 1


def test_too_many_parts_end_in_an_opaque_one() -> None:
    octets = MIXED + b"--b\r\n\r\nx\r\n" * 10 + b"--b--\r\n"
    root = scan(octets, Limits(parts=5))
    assert len(root.children) == 4
    last = root.children[-1]
    assert last.opaque
    assert octets[last.body : last.end].count(b"--b\r\n") == 6
    assert last.end == len(octets)


def test_headers_too_long_together_end_in_an_opaque_part() -> None:
    octets = MIXED + b"--b\r\nX: 123456789\r\n\r\nx\r\n" * 10 + b"--b--\r\n"
    root = scan(octets, Limits(headers=len(MIXED) + 40))
    assert len(root.children) == 3
    assert root.children[-1].opaque


def test_too_deep_a_part_is_opaque() -> None:
    octets = b"Content-Type: message/rfc822\r\n\r\n" * 9 + b"Subject: x\r\n\r\ny"
    root = scan(octets, Limits(nesting=3))
    assert depth(root) == 3
    innermost = root.children[0].children[0]
    assert innermost.opaque
    assert not innermost.is_message
    assert innermost.media == "message/rfc822"


def test_too_many_boundary_like_lines_end_the_search() -> None:
    octets = MIXED + b"--b\r\n\r\n" + b"--x\r\n" * 20 + b"--b--\r\n"
    assert scan(octets).children[0].size == 5 * 20 - 2
    assert not scan(octets).children[0].opaque
    part = scan(octets, Limits(boundary_lines=10)).children[0]
    assert part.opaque
    assert part.end == len(octets)


def test_too_long_a_header_makes_its_part_opaque() -> None:
    octets = (
        MIXED[:-2] + b"X: " + b"x" * DEFAULT_LIMITS.header + b"\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"
    )
    root = scan(octets)
    assert root.opaque
    assert root.children == ()
    assert octets[root.body : root.end].startswith(b"--b")


def test_a_part_prints_nothing_of_the_mail() -> None:
    assert repr(scan(b"Content-Type: text/secret\r\n\r\nsecret")) == "Part(0:29:35, 0 children)"
