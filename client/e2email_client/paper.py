"""What stands on paper: the recovery sheet, a share's card, the vault in codes. Words, no layout.

Written for somebody who finds the paper in ten years and has never heard of this program. Texts are
ASCII but for names that are given in, so that every printer and every font of a PDF has them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

COMMAND_WIDTH = 64
RESTORE = "e2email-backup restore"
SPECIFICATIONS = "docs/specs/recovery.md, keys.md and backup.md"
LICENCE = "GPL-3.0-or-later"


@dataclass(frozen=True, slots=True)
class Heading:
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str


@dataclass(frozen=True, slots=True)
class Steps:
    """Numbered."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Name and value, a line each."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Command:
    """What is typed, exactly so."""

    text: str

    @property
    def lines(self) -> list[str]:
        """Wrapped as a shell reads it, too: a line that goes on ends with a backslash."""
        wrapped = textwrap.wrap(
            self.text, COMMAND_WIDTH, break_long_words=False, break_on_hyphens=False
        )
        return [f"{one} \\" for one in wrapped[:-1]] + wrapped[-1:]


@dataclass(frozen=True, slots=True)
class Blank:
    """A line to be written on by hand."""

    label: str


Block = Heading | Paragraph | Steps | Facts | Command | Blank


@dataclass(frozen=True, slots=True)
class Secret:
    """Words, and the same as the text of a QR code. The paper is folded between the two."""

    words: tuple[str, ...] = field(repr=False)
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sheet:
    """`front` stands above the secret, `pages` after it; `codes` are the vault in parts."""

    title: str
    front: tuple[Block, ...]
    secret: Secret | None = field(repr=False)
    pages: tuple[Block, ...]
    foot: str
    codes: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class About:
    """Whose paper it is. `date` as YYYY-MM-DD; `program` is its name and version."""

    account: str
    server_name: str
    server_url: str
    fingerprint: str
    date: str
    program: str
    own_ca: bool = False  # the server's certificates are not from a public authority


@dataclass(frozen=True, slots=True)
class Share:
    """Card `number` of `count`, any `least` of which are enough."""

    number: int
    least: int
    count: int
    words: tuple[str, ...] = field(repr=False)
    code: str = field(repr=False)


def recovery_sheet(about: About, secret: Secret, codes: Sequence[str] = ()) -> Sheet:
    """The words; `codes` carry the vault where the server stores none (paranoid custody)."""
    own = (
        "With these words and the codes on the following pages"
        if codes
        else "With these words alone"
    )
    front = (
        Paragraph(
            f"This paper opens the e-mail of {about.account}. {own}, anybody can read all of its "
            "mail and write in its name. Keep it as you would keep the only key of a safe: at "
            "home or with a notary, never in a photo, never in an e-mail. No helpline, no "
            "website and no administrator ever needs to see it."
        ),
        Facts((*_facts(about), ("Date of this paper", about.date))),
        Blank("Its owner (name, by hand)"),
        Paragraph(
            "Below are the words. Fold the paper at the dashed line so that words and code lie "
            "inside, face to face, and glue or tape the edge: you will see whether somebody "
            "looked. What to do with the words stands on the next page."
        ),
    )
    pages = (
        *_use(about, bool(codes)),
        *_server_gone(about),
        Heading("What the words are"),
        Paragraph(
            f"{len(secret.words)} words of a public list of 2048 (BIP-39, English), in this order. "
            "They carry a random number of 128 bits and a checksum: a program notices a mistyped "
            "word and says which. The first four letters, printed strong, are enough. The QR code "
            "below the fold holds the same words for a camera that is not connected to anything."
        ),
        *_ages(),
    )
    return Sheet(
        "E-mail recovery sheet",
        front,
        secret,
        pages,
        f"Recovery sheet of {about.account}, {about.date}",
        tuple(codes),
    )


def share_card(about: About, share: Share, paranoid: bool) -> Sheet:
    """For its holder, who is a friend and no expert. It says nothing of what the key opens to."""
    least, count = share.least, share.count
    also = ", and the page with the codes or a backup file" if paranoid else ""
    front = (
        Paragraph(
            f"You were asked to keep this card safe. It is one of {count} shares of a key; any "
            f"{least} of them together make the key. This card alone opens nothing and reveals "
            f"nothing, as long as there are fewer than {least}. Keep it with the papers that "
            "matter to you. Do not photograph it, do not type it into anything, do not send it."
        ),
        Blank("Bring it to (name, by hand)"),
        Blank("Telephone, address"),
        Paragraph(
            "Give it to nobody else, whatever they tell you; ask for a meeting or a call with a "
            "voice that you know. If the card is lost or was seen, tell the owner."
        ),
        Facts(
            (
                ("Share", f"{share.number} of {count}; any {least} are enough"),
                ("Set of", about.date),
                ("The key of", about.account),
                ("Server", f"{about.server_url} ({about.server_name})"),
            )
        ),
    )
    pages = (
        Heading("For whoever puts the shares together"),
        Steps(
            (
                f"Gather {least} cards of the set of {about.date}{also}. Cards of another date "
                "belong to another key and do not fit.",
                f"Install the program e2email on a computer (free software, {LICENCE}; this card "
                f"was made by {about.program}).",
                "Type the command below. It asks for the words of one card after another and says "
                "which word is mistyped. The first four letters of each word are enough.",
            )
        ),
        Command(
            f"{RESTORE} --shares --codes CODES.txt" if paranoid else _restore(about, "--shares")
        ),
        Paragraph(
            f"The words are a share after SLIP-39, a public standard ({len(share.words)} words of "
            "its list of 1024), so that other programs can put them together, too: docs/specs/"
            "recovery.md in the source of e2email says what to do with the result."
        ),
    )
    title = f"Share {share.number} of {count}"
    foot = f"{title}, any {least} are enough, set of {about.date}"
    return Sheet(title, front, Secret(share.words, share.code), pages, foot)


def vault_sheet(about: About, codes: Sequence[str]) -> Sheet:
    """For shares in paranoid custody: what the cards open, which the server does not store."""
    front = (
        Paragraph(
            f"These QR codes are the locked key box of {about.account}. They are of no use to "
            "anybody without the words of the recovery sheet or enough shares, and those are of "
            "no use without these codes or a backup file: the server stores no copy."
        ),
        Facts((*_facts(about), ("Date of this paper", about.date))),
    )
    foot = f"Key box of {about.account}, {about.date}"
    return Sheet("Locked key box", front, None, _ages(), foot, tuple(codes))


def _facts(about: About) -> tuple[tuple[str, str], ...]:
    key = about.fingerprint
    return (
        ("Account", about.account),
        ("Server", f"{about.server_url} ({about.server_name})"),
        ("Key fingerprint", " ".join(key[at : at + 4] for at in range(0, len(key), 4))),
    )


def _restore(about: About, *options: str) -> str:
    where = (*options, "--address", about.account, "--server", about.server_url)
    if f"//{about.server_name}" not in about.server_url:
        where = (*where, "--server-name", about.server_name)
    if about.own_ca:
        where = (*where, "--ca", "FILE")
    return " ".join((RESTORE, *where))


def _use(about: About, codes: bool) -> tuple[Block, ...]:
    steps = [
        "Take a computer with Linux or macOS that you trust. Unfold the paper when you sit at it.",
        f"Install the program e2email: free software ({LICENCE}), written in Python. Whoever runs "
        f"the server {about.server_name} has it and can help, without seeing this paper. This "
        f"sheet was made by {about.program}; a later version will do.",
        "Type the command below. It asks for the words; type them in their order.",
        "Choose a new passphrase when it asks for one. The mail is fetched and can be read; "
        "mail programs such as Thunderbird get it from e2email-proxy.",
        "If somebody may have seen the words, make new ones (e2email account recovery new, then "
        "e2email account rekey and e2email key rotate) and print a new sheet.",
    ]
    if codes:
        steps.insert(
            2,
            "Scan the codes on the following pages with a reader that gives their text, into one "
            "file CODES.txt, a line for each code. They are no secret without the words. In their "
            "place a backup file of this account does, too: e2email-backup restore BACKUPFILE.",
        )
    ca: tuple[Block, ...] = ()
    if about.own_ca and not codes:
        ca = (
            Paragraph(
                "FILE is the certificate authority of the server (ca.crt), which whoever runs it "
                "has; it is no secret, and a backup file holds it."
            ),
        )
    return (
        Heading("If you need it"),
        Steps(tuple(steps)),
        Command(f"{RESTORE} --codes CODES.txt" if codes else _restore(about)),
        *ca,
    )


def _server_gone(about: About) -> tuple[Block, ...]:
    return (
        Heading("If the server is gone"),
        Paragraph(
            "The mail itself lies on the server. Without the server you need a backup file that "
            "was made with e2email-backup create --mail: look for it on memory sticks and disks "
            f"of the owner of {about.account}. These words open it, without any network:"
        ),
        Command("e2email-backup extract BACKUPFILE --mail FOLDER"),
        Paragraph(
            "The mail is written to FOLDER, one file for each message, which every mail program "
            "reads. The owner's OpenPGP key is written by --secret-key FILE in the same way."
        ),
    )


def _ages() -> tuple[Block, ...]:
    return (
        Heading("If the program cannot be found any more"),
        Paragraph(
            f"Its formats are written down completely in {SPECIFICATIONS} of its source, with "
            "examples. They use public standards only (BIP-39, SLIP-39, HKDF with SHA-256, "
            "XChaCha20-Poly1305, OpenPGP), so that any programmer can open what the words lock."
        ),
    )
