"""Threads as THREAD tells them: trees of messages, rendered without recursion (RFC 5256 §5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .limits import THREAD_NESTING


@dataclass(slots=True, eq=False)
class Node:
    """A message by its number or uid; 0: one that is not here, whose children are."""

    number: int
    sent: int = 0
    children: list[Node] = field(default_factory=list)


def preorder(root: Node) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(node.children)


# thread-list = "(" (thread-members / thread-nested) ")"
# thread-members = nz-number *(SP nz-number) [SP thread-nested]
# thread-nested = 2*thread-list
def render(root: Node) -> bytes:
    """Below THREAD_NESTING lists in lists a thread is told as one line of descent."""
    out: list[bytes] = []
    waiting: list[tuple[Node, int] | bytes] = [b")", (root, 1)]
    while waiting:
        top = waiting.pop()
        if isinstance(top, bytes):
            out.append(top)
        else:
            _render_line(*top, out, waiting)
    return b"".join(out)


def _render_line(
    node: Node, depth: int, out: list[bytes], waiting: list[tuple[Node, int] | bytes]
) -> None:
    """One list up to where it branches; the branches wait."""
    out.append(b"(")
    if depth == THREAD_NESTING:
        out.append(b" ".join(b"%d" % below.number for below in preorder(node) if below.number))
        return
    line = [node]
    while len(line[-1].children) == 1:
        line.append(line[-1].children[0])
    out.append(b" ".join(b"%d" % member.number for member in line if member.number))
    branches: Sequence[Node] = line[-1].children
    if branches and line[-1].number:
        out.append(b" ")
    for child in reversed(branches):
        waiting += (b")", (child, depth + 1))
