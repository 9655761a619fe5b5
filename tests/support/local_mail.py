"""Mail of a local store, as far as it needs none."""

from e2email_client.local import contents, mailboxes
from e2email_client.local.cipher import Database
from e2email_client.local.contents import Skeleton
from e2email_client.local.mails import Security, State, Summary

KEY = bytes(range(32))
CANARY = "weltuntergangsmaschine"


def summary(subject: str = "subject", state: State = State.READY) -> Summary:
    return Summary(
        state=state,
        size=10,
        envelope=b"(NIL)",
        structure=b"()",
        fields=b"Subject: x\r\n",
        preview="",
        date=0,
        subject=subject,
        sender="bob",
        recipients="alice",
        attachments=0,
        security=Security("sealed on arrival", "smtp", alarms=("one",), verdicts={"spf": "pass"}),
    )


def fill(store: Database, count: int) -> mailboxes.Mailbox:
    box = mailboxes.put(store, "INBOX", 7, None, True)
    contents.add(
        store, box.id, [Skeleton(n, f"e{n}", frozenset({"\\Seen"}), n) for n in range(1, count + 1)]
    )
    mailboxes.listed(store, box.id, uidnext=count + 1, upstream_modseq=1)
    return box
