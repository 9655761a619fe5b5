"""HTML mail as plain text: links numbered at the end, nothing fetched, scripts and styles dropped.

A walk without recursion over the parsed tree: three thousand nested elements are ordinary hostile
mail.
"""

from __future__ import annotations

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

# A mail of megabytes of markup is cut: nobody reads further, and the tree costs memory.
MAX_HTML = 4 * 1024 * 1024
MAX_NODES = 200_000

_SKIPPED = {"script", "style", "head", "title", "template", "noscript", "iframe", "object", "svg"}
_BLOCKS = {
    *("address", "article", "aside", "blockquote", "center", "dd", "div", "dl", "dt", "fieldset"),
    *("footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav"),
    *("ol", "p", "pre", "section", "table", "tr", "ul"),
}
_APART = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "table", "pre"}
_SPACE = re.compile(r"[ \t\r\n\f]+")
_GAP = re.compile(r"\n[ \n]*\n")


class _Text:
    """Collects text: collapses white space, knows where a line begins, numbers links."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.links: dict[str, int] = {}
        self.quote = 0

    def word(self, text: str) -> None:
        collapsed = _SPACE.sub(" ", text)
        if not self.parts or self.parts[-1].endswith("\n"):
            collapsed = collapsed.lstrip(" ")
            if collapsed:
                self.parts.append("> " * self.quote)
        if collapsed:
            self.parts.append(collapsed)

    def new_line(self, apart: bool) -> None:
        if self.parts:
            self.parts.append("\n\n" if apart else "\n")

    def link(self, target: str) -> None:
        if target.lower().startswith(("http:", "https:", "mailto:")):
            number = self.links.setdefault(target, len(self.links) + 1)
            self.word(f" [{number}]")

    def result(self) -> str:
        text = _GAP.sub("\n\n", "".join(self.parts)).strip("\n ")
        if not self.links:
            return text
        listed = "\n".join(f"[{n}] {target}" for target, n in self.links.items())
        return f"{text}\n\n{listed}"


def to_text(html: str) -> str:
    """Readable text of an HTML document. The caller cleans it before it meets a terminal."""
    root = LexborHTMLParser(html[:MAX_HTML]).body
    out = _Text()
    # (node, leaving?): an explicit stack in place of recursion
    stack: list[tuple[LexborNode, bool]] = [(root, False)] if root is not None else []
    seen = 0
    while stack and seen < MAX_NODES:
        node, leaving = stack.pop()
        seen += 1
        if leaving:
            _leave(out, node)
        elif _enter(out, node):
            stack.append((node, True))
            children = list(node.iter(include_text=True))
            stack.extend((child, False) for child in reversed(children))
    return out.result()


def _enter(out: _Text, node: LexborNode) -> bool:
    """Write what stands before the children; whether there are children to visit."""
    tag = node.tag or ""
    if tag == "-text":
        out.word(node.text_content or "")
        return False
    if tag in _SKIPPED or tag.startswith(("-", "_", "!")):
        return False
    if tag == "br":
        out.parts.append("\n")
        return False
    if tag == "img":
        alt = node.attributes.get("alt")
        if alt:
            out.word(f"[{alt}]")
        return False
    if tag in _BLOCKS:
        out.new_line(tag in _APART)
    if tag == "blockquote":
        out.quote += 1
    elif tag == "li":
        out.word("* ")
    elif tag in {"td", "th"}:
        out.word(" ")
    return True


def _leave(out: _Text, node: LexborNode) -> None:
    tag = node.tag or ""
    if tag == "a":
        out.link((node.attributes.get("href") or "").strip())
    elif tag == "blockquote":
        out.quote -= 1
    if tag in _BLOCKS:
        out.new_line(tag in _APART)
