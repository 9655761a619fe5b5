"""Words and shares as they come from files and from people who mistype."""

import io
from pathlib import Path

import pytest

from e2email_client.failure import NoSecret, WrongSecret
from e2email_client.passphrase import Source
from e2email_client.recovery_words import RecoverySource
from e2email_crypto import recovery, shares

SECRET = bytes(range(16))
WORDS = recovery.to_words(SECRET)
SET = [" ".join(one) for one in shares.split(SECRET, 3, 5)]
OTHER = [" ".join(one) for one in shares.split(SECRET, 3, 5)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch):
    def type_in(*lines: str) -> None:
        monkeypatch.setattr("sys.stdin", Terminal("".join(line + "\n" for line in lines)))

    return type_in


def in_file(folder: Path, text: str, *, by_shares: bool = False) -> bytes:
    (folder / "secret").write_text(text)
    return RecoverySource(by_shares, Source(file=folder / "secret")).secret()


def numbered(words) -> str:
    return "\n".join(f"{at:>2}. {word[:4].upper()}{word[4:]}" for at, word in enumerate(words, 1))


def wrong(words, at: int, to: str) -> str:
    return " ".join([*words[: at - 1], to, *words[at:]])


def test_words_of_a_file_however_they_are_written(tmp_path: Path) -> None:
    assert in_file(tmp_path, " ".join(WORDS) + "\n") == SECRET
    assert in_file(tmp_path, numbered(WORDS)) == SECRET


def test_a_mistyped_word_of_a_file_is_named_by_its_number_alone(tmp_path: Path) -> None:
    with pytest.raises(WrongSecret, match=r"\(word 7\)") as caught:
        in_file(tmp_path, wrong(WORDS, 7, "zebrq"))
    assert not any(word in str(caught.value) for word in [*WORDS, "zebrq"])


def test_shares_of_a_file(tmp_path: Path) -> None:
    assert in_file(tmp_path, "\n\n".join(SET[2:]) + "\n", by_shares=True) == SECRET


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (SET[:2], "2 shares, 3 needed"),
        ([*SET[:2], OTHER[2]], "share 3: shares of several sets"),
        ([SET[0], SET[1], SET[0]], "share 1, 3: the same share twice"),
        ([SET[0], wrong(SET[1].split(), 9, "academic"), SET[2]], r"share 2: .*\(word 9\)"),
        ([], "no share"),
    ],
)
def test_what_is_wrong_with_shares_is_said(tmp_path: Path, given: list[str], said: str) -> None:
    with pytest.raises(WrongSecret, match=said):
        in_file(tmp_path, "\n\n".join(given) or "\n1.\n", by_shares=True)


def test_words_typed_in_several_lines(typing) -> None:
    typing(" ".join(WORDS[:5]), " ".join(WORDS[5:9]), " ".join(WORDS[9:]))
    assert RecoverySource().secret() == SECRET


def test_only_the_wrong_word_is_asked_for_again(typing, capsys) -> None:
    typing(wrong(WORDS, 3, "zzzz"), WORDS[2])
    assert RecoverySource().secret() == SECRET
    said = capsys.readouterr().err
    assert "Word 3" in said
    assert "word 3 again> " in said


def test_words_that_are_too_few_are_asked_for_anew(typing, capsys) -> None:
    typing(" ".join(WORDS[:9]), "", " ".join(WORDS))
    assert RecoverySource().secret() == SECRET
    assert "14 words are asked for, 9 are here." in capsys.readouterr().err


def test_share_after_share(typing, capsys) -> None:
    typing(SET[0], wrong(SET[1].split(), 4, "zzzz"), SET[1].split()[3], OTHER[0], SET[1], SET[4])
    assert RecoverySource(by_shares=True).secret() == SECRET
    said = capsys.readouterr().err
    assert "2 more" in said
    assert "Share 2: word 4" in said
    assert "not of the same set" in said
    assert "Shares 2 and 3 are the same one." in said


def test_nothing_typed_and_nobody_to_ask(typing, monkeypatch: pytest.MonkeyPatch) -> None:
    typing("")
    with pytest.raises(NoSecret, match="No words"):
        RecoverySource().secret()
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(NoSecret, match="no terminal"):
        RecoverySource().secret()
