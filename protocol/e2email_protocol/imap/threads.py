"""THREAD's two algorithms over outlines (RFC 5256 §3): iterative, nearly linear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, pairwise

from .extensions import Outline
from .forest import Node, preorder
from .outline import base_subject

Messages = Sequence[tuple[int, Outline]]  # number (or uid) as it is to be told, ascending


def _order(node: Node) -> tuple[int, int]:
    """By the Date field, then by number; an absent root counts as its first child does."""
    return node.sent, node.number or node.children[0].number


def ordered_subject(messages: Messages) -> list[Node]:
    """ORDEREDSUBJECT: one thread a subject, all below its earliest message."""
    keyed = sorted(
        (base_subject(outline.subject)[0], outline.sent, number) for number, outline in messages
    )
    roots = []
    for _, group in groupby(keyed, key=lambda key: key[0]):
        first, *others = (Node(number, sent) for _, sent, number in group)
        first.children = others
        roots.append(first)
    return sorted(roots, key=_order)


def references(messages: Messages) -> list[Node]:
    """REFERENCES: by the ids that messages name, then by subject."""
    linked = _Linked(messages)
    roots = [kept for root in linked.roots() if (kept := _pruned(root))]
    for root in roots:
        _sort(root)
    subjects = {number: base_subject(outline.subject) for number, outline in messages}
    roots = _Gathered(sorted(roots, key=_order), subjects).roots
    for root in roots:
        _sort(root)
    return sorted(roots, key=_order)


class _Linked:
    """Steps 1 and 2: every id a node, every node below the one that it names last."""

    def __init__(self, messages: Messages):
        self._nodes: list[Node] = []
        self._top: list[int] = []  # towards the root of a node's tree; itself: a root
        self._of_id: dict[str, int] = {}
        own = [self._message(number, outline) for number, outline in messages]
        # What a message says of itself goes before what others say (step 1.B breaks their
        # links); all of it first means that a link is never undone, and loops are cheap to see.
        for place, (_, outline) in zip(own, messages, strict=True):
            if outline.references:
                self._link(self._place(outline.references[-1]), place)
        for _, outline in messages:
            for parent, child in pairwise(outline.references):
                self._link(self._place(parent), self._place(child))

    def roots(self) -> list[Node]:
        return [
            node
            for place, (node, top) in enumerate(zip(self._nodes, self._top, strict=True))
            if top == place
        ]

    def _new(self, node: Node) -> int:
        self._nodes.append(node)
        self._top.append(len(self._top))
        return len(self._top) - 1

    def _message(self, number: int, outline: Outline) -> int:
        """Of messages with one id the first has it; the others have none (step 1)."""
        place = self._new(Node(number, outline.sent))
        if outline.message_id:
            self._of_id.setdefault(outline.message_id, place)
        return place

    def _place(self, message_id: str) -> int:
        place = self._of_id.get(message_id)
        if place is None:
            place = self._of_id[message_id] = self._new(Node(0))
        return place

    def _link(self, parent: int, child: int) -> None:
        """Unless the child has a parent, or is above this one."""
        if self._top[child] != child or self._root(parent) == child:
            return
        self._top[child] = parent
        self._nodes[parent].children.append(self._nodes[child])

    def _root(self, place: int) -> int:
        """With path halving: without it long chains would cost their length every time."""
        top = self._top
        while top[place] != place:
            top[place] = top[top[place]]
            place = top[place]
        return place


def _pruned(root: Node) -> Node | None:
    """Step 3: without the messages that are not here, but for a root with several children."""
    for node in reversed(list(preorder(root))):
        kept: list[Node] = []
        for child in node.children:
            if child.number:
                kept.append(child)
                continue
            # the shorter list into the longer: a chain of absent ones must not cost its square
            short, kept = sorted((kept, child.children), key=len)
            kept += short
        node.children = kept
    if root.number or len(root.children) > 1:
        return root
    return root.children[0] if root.children else None


def _sort(root: Node) -> None:
    """Steps 4 and 6, below the roots."""
    for node in preorder(root):
        node.children.sort(key=_order)
    if not root.number:
        root.sent = root.children[0].sent


class _Gathered:
    """Step 5: threads of one base subject become one."""

    def __init__(self, roots: Sequence[Node], subjects: dict[int, tuple[str, bool]]):
        self._subjects = subjects
        self._table: dict[str, Node] = {}
        for root in roots:
            self._offer(root)
        self._gone: set[int] = set()
        self._made: list[Node] = []
        for root in roots:
            self._merge(root)
        self.roots = [root for root in [*roots, *self._made] if id(root) not in self._gone]

    def _subject(self, root: Node) -> tuple[str, bool]:
        return self._subjects[root.number or root.children[0].number]

    def _is_reply(self, root: Node) -> bool:
        return bool(root.number) and self._subject(root)[1]

    def _offer(self, root: Node) -> None:
        """5.B: of one subject, the absent root counts, else one that is no reply."""
        base = self._subject(root)[0]
        if not base:
            return
        known = self._table.setdefault(base, root)
        if known.number and (
            not root.number or (self._is_reply(known) and not self._is_reply(root))
        ):
            self._table[base] = root

    def _merge(self, root: Node) -> None:
        """5.C"""
        base = self._subject(root)[0]
        known = self._table.get(base)
        if known is None or known is root:
            return
        self._gone.add(id(root))
        if not root.number:  # then so is the other
            known.children += root.children
        elif not known.number or (self._is_reply(root) and not self._is_reply(known)):
            known.children.append(root)
        else:
            self._gone.add(id(known))
            both = Node(0, children=[known, root])
            self._made.append(both)
            self._table[base] = both


ALGORITHMS: dict[bytes, Callable[[Messages], list[Node]]] = {
    b"REFERENCES": references,
    b"ORDEREDSUBJECT": ordered_subject,
}
# What they look at of an Outline.
FIELDS: dict[bytes, frozenset[str]] = {
    b"REFERENCES": frozenset(("sent", "subject", "message_id", "references")),
    b"ORDEREDSUBJECT": frozenset(("sent", "subject")),
}
