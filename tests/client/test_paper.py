"""What stands on paper: the same in text and PDF, readable by people and by a decoder."""

import io
import re

import pypdfium2
import pytest
import zxingcpp

from e2email_client import paper, paper_pdf, paper_text
from e2email_client.paper import About, Secret, Share, Sheet
from e2email_client.paper_pdf import Size

LIST = "tomorrow wonder grass gloom expose soup dwarf raw sheriff obtain clown tortoise duty kick"
WORDS = tuple(LIST.split())
SHARE = (
    "duckling enlarge academic academic agency result length solution fridge kidney coal piece "
    "deal husband erode duke ajar critical decision keyboard"
)
CARD = tuple(SHARE.split())
NOW = 1_795_334_400
ABOUT = About(
    account="anna@example.org",
    server_name="mail.example.org",
    server_url="https://mail.example.org:443",
    fingerprint="D1A66E1A23B182C9980F788CFBFCC82A015E7330",
    date="2026-11-22",
    program="e2email 0.1.0",
)
LONG = "a" * 64 + "@" + ".".join(["b" * 61] * 3) + ".org"
CODES = ("CODE1/" + "AB12" * 230, "CODE2/" + "XY34" * 230)


def sheet(codes: tuple[str, ...] = (), about: About = ABOUT) -> Sheet:
    return paper.recovery_sheet(about, Secret(WORDS, " ".join(WORDS).upper()), codes)


def card(about: About = ABOUT, paranoid: bool = False) -> Sheet:
    return paper.share_card(about, Share(2, 3, 5, CARD, " ".join(CARD).upper()), paranoid)


def printed(made: Sheet, size: Size = Size.A4) -> "Printed":
    return Printed(paper_pdf.pdf(made, size, NOW))


class Printed:
    """A PDF as pdfium sees it."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.document = pypdfium2.PdfDocument(io.BytesIO(octets))

    @property
    def text(self) -> str:
        """Runs of white space are one blank."""
        pages = [page.get_textpage().get_text_range() for page in self.document]
        return " ".join(" ".join(pages).split())

    @property
    def codes(self) -> list[str]:
        images = [page.render(scale=3).to_pil() for page in self.document]
        return [code.text for image in images for code in zxingcpp.read_barcodes(image)]


def plain(made: Sheet) -> str:
    return " ".join(paper_text.text(made).split())


@pytest.mark.parametrize("size", Size)
def test_the_sheet_says_all_that_a_relative_needs(size: Size) -> None:
    for said in (plain(sheet()), printed(sheet(), size).text):
        assert "anna@example.org" in said
        assert "https://mail.example.org:443 (mail.example.org)" in said
        assert "D1A6 6E1A 23B1 82C9 980F 788C FBFC C82A 015E 7330" in said
        assert "2026-11-22" in said
        assert "e2email-backup restore --address anna@example.org" in said
        assert "If the server is gone" in said
        assert "docs/specs/recovery.md" in said
        assert "fold" in said
        # where a line is wrapped the command can still be typed as it stands
        assert "--ser ver" not in said


def test_the_words_stand_in_their_order() -> None:
    numbered = "".join(f"{at}. {word} " for at, word in enumerate(WORDS, 1)).strip()
    assert numbered in plain(sheet()).lower()
    assert numbered in printed(sheet()).text
    assert "1. TOMOrrow" in plain(sheet())


@pytest.mark.parametrize("size", Size)
def test_the_code_on_paper_is_read_back(size: Size) -> None:
    assert printed(sheet(), size).codes == [" ".join(WORDS).upper()]
    assert printed(card(), size).codes == [" ".join(CARD).upper()]


def test_the_vault_in_codes() -> None:
    made = printed(sheet(CODES))
    assert made.codes == [" ".join(WORDS).upper(), *CODES]
    assert "Code 2 of 2" in made.text
    assert "--codes CODES.txt" in made.text
    assert "backup file" in made.text
    assert all(code in paper_text.text(sheet(CODES)).replace("\n", "") for code in CODES)
    alone = printed(paper.vault_sheet(ABOUT, CODES))
    assert alone.codes == list(CODES)
    assert "tomorrow" not in alone.text


def test_a_card_says_what_its_holder_must_know_and_no_more() -> None:
    for said in (plain(card()), printed(card()).text):
        assert "2 of 5" in said
        assert "any 3" in said
        assert "set of 2026-11-22" in said
        assert "This card alone opens nothing and reveals nothing" in said
        assert "Bring it to" in said
        assert "restore --shares" in said
        assert ABOUT.fingerprint[:4] not in said
        assert "mail of" not in said
    numbered = "".join(f"{at}. {word} " for at, word in enumerate(CARD, 1)).strip()
    assert numbered in printed(card()).text
    assert "page with the codes" in plain(card(paranoid=True))


def test_words_lie_above_the_fold_and_the_code_below() -> None:
    page = printed(sheet()).document[0]
    height = page.get_height()
    text = page.get_textpage()
    tops = [text.get_charbox(at)[3] for at in range(text.count_chars())
            if text.get_text_range(at, 1).strip()]  # fmt: skip
    between = [one for one in tops if height / 4 < one < height / 2]
    assert between  # the words
    code = zxingcpp.read_barcodes(page.render(scale=3).to_pil())[0].position
    assert code.top_left.y > page.render(scale=3).to_pil().height * 3 / 4


def test_a_long_address_breaks_nothing() -> None:
    about = ABOUT.__class__(**{name: getattr(ABOUT, name) for name in ABOUT.__slots__}
                            | {"account": LONG})  # fmt: skip
    for made in (sheet(about=about), card(about)):
        out = printed(made, Size.LETTER)
        assert len(out.codes) == 1
        assert LONG in re.sub(r"\s", "", out.text)


def test_letters_that_the_fonts_lack_are_shown_as_code_points() -> None:
    assert paper_pdf.latin("Jürgen 日本\u202e") == "Jürgen U+65E5U+672CU+202E"


def test_the_metadata_is_bland() -> None:
    made = Printed(paper_pdf.pdf(sheet(), Size.A4, NOW))
    said = " ".join(made.document.get_metadata_dict().values())
    assert "anna" not in said
    assert not any(word in said.split() for word in WORDS)
    assert b"anna" not in made.octets  # all text is in compressed streams


def test_two_prints_of_the_same_are_the_same() -> None:
    assert paper_pdf.pdf(sheet(), Size.A4, NOW) == paper_pdf.pdf(sheet(), Size.A4, NOW)


def test_an_own_authority_and_another_name_are_said() -> None:
    about = About("a@b.c", "mail.b.c", "https://10.0.0.1:8443", "AB" * 20, "2026-11-22", "p", True)
    said = plain(sheet(about=about)).replace(" \\", "")
    assert "--server https://10.0.0.1:8443 --server-name mail.b.c --ca FILE" in said
    assert "certificate authority" in said


def test_no_words_in_a_repr() -> None:
    shown = repr((sheet(CODES), card(), Share(1, 2, 3, CARD, "X"), Secret(WORDS, "TOMORROW")))
    assert not any(word in shown.lower() for word in ("tomorrow", "duckling", "ab12ab12"))
