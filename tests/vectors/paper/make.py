"""Writes the missing vectors here: `PYTHONPATH=tests python tests/vectors/paper/make.py`."""

from e2email_crypto import errors, paper_codes
from support.key_vectors import case


def write() -> None:
    data = bytes(at * 7 % 251 for at in range(1100))
    made = paper_codes.encode(data)
    other = paper_codes.encode(data[1:])

    def parts(name: str, about: str, *texts: str) -> None:
        given = {"parts": list(texts)}
        try:
            found = paper_codes.decode(texts)
        except errors.PartsInvalid as fault:
            said = {"fault": fault.fault.value, "parts": list(fault.parts)}
            case("paper", name, about, given, "PartsInvalid", **said)
        else:
            case("paper", name, about, given, "ok", data=found.hex())

    parts("three", "two full parts and a rest", *made)
    parts(
        "order", "another order, one twice, an empty line", made[2], made[0], "", made[2], made[1]
    )
    parts("typed", "small letters and blanks", *(f" {one[:70]} {one[70:]}".lower() for one in made))
    parts("one", "", *paper_codes.encode(b"x"))
    parts("missing", "the second", made[0], made[2])
    parts("two-sets", "", made[0], other[1], made[2])
    bent = made[1][:-20] + ("A" if made[1][-20] != "A" else "B") + made[1][-19:]
    parts("damaged", "the second", made[0], bent, made[2])
    parts("renumbered", "the second said to be the third", made[0], made[1].replace(":2/", ":3/"))
    parts("cut", "the third", *made[:2], made[2][:-8])
    parts("not-a-part", "", *made, "abandon zoo")
    parts("version-2", "", *(one.replace(":1:", ":2:", 1) for one in made))
    parts("none", "")


if __name__ == "__main__":
    write()
