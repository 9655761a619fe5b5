"""The mail of the demonstration: what ordinary senders send."""

from __future__ import annotations

FIRST = """\
From: Carol Reyes <carol@press.test>
To: alice@example.test
Subject: The source wants to meet on Thursday
Date: Sun, 22 Nov 2026 09:12:44 +0100
Message-ID: <thursday@press.test>

Dear Alice,

she will be at the observatory at seven and brings the ledger.
Please tell nobody.

Carol
"""

SECOND = """\
From: =?utf-8?q?Bureau_f=C3=BCr_Karten?= <karten@bureau.test>
To: Alice <alice@example.test>, bob@example.test
Subject: =?utf-8?q?Rechnung_=E2=84=96_42_f=C3=BCr_die_Landkarte?=
Date: Sun, 22 Nov 2026 10:30:00 +0100
Message-ID: <invoice-42@bureau.test>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="part"

--part
Content-Type: multipart/alternative; boundary="either"

--either
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Anbei die Rechnung: 17 €.

--either
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 8bit

<p>Anbei die <b>Rechnung</b>: 17 €. <a href="https://bureau.test/42">Ansehen</a></p>

--either--
--part
Content-Type: text/csv; name="rechnung.csv"
Content-Disposition: attachment; filename="rechnung.csv"

position,preis
Landkarte,17.00
--part--
"""

THIRD = """\
From: Bob <bob@example.test>
To: alice@example.test
Subject: Dinner?
Date: Sun, 22 Nov 2026 11:05:10 +0100
Message-ID: <dinner@example.test>

Soup at eight. Bring the map.
"""

# (sender, recipients, mail)
ALL = (
    ("carol@press.test", ("alice@example.test",), FIRST),
    ("karten@bureau.test", ("alice@example.test", "bob@example.test"), SECOND),
    ("bob@example.test", ("alice@example.test",), THIRD),
)
# Words that stand in the first mail and must stand nowhere on the server's disk.
WORDS = ("observatory", "ledger", "Thursday", "carol@press", "Carol")


def octets(mail: str) -> bytes:
    """As an SMTP client sends it."""
    return mail.encode().replace(b"\n", b"\r\n")
