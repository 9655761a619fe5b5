"""`e2email search`: find messages by their words."""

from __future__ import annotations

import click

from e2email_client.cli._options import Access, access_options, json_option, limit_option
from e2email_client.console import say

MANY = 2_000  # messages: indexing them takes longer than anybody waits without a word


@click.command("search", short_help="Find messages by their words.")
@click.argument("words", nargs=-1, required=True)
@click.option("--mailbox", metavar="NAME", help="Only in this mailbox (default: all).")
@limit_option(50)
@access_options
@json_option
def command(
    access: Access, words: tuple[str, ...], mailbox: str | None, limit: int, as_json: bool
) -> None:
    """Find messages that have all WORDS in subject, sender, recipients or text, newest first.

    Looks at what is on this machine, in whole words; the last one may be the beginning of a word.
    """
    from e2email_client.cli._rows import show_rows
    from e2email_client.cli._store import find_mailbox, opened, require_synced
    from e2email_client.local import browse
    from e2email_client.local.words import MAX_TERMS, index_all, terms, unindexed

    query = " ".join(words)
    if not 1 <= len(terms(query)) <= MAX_TERMS:
        raise click.UsageError(f"A search has 1 to {MAX_TERMS} words.")
    with opened(access) as (_, cache):
        require_synced(cache)
        box = find_mailbox(cache, mailbox) if mailbox is not None else None
        if (waiting := unindexed(cache)) > MANY:
            say(f"Indexing {waiting} messages first.", err=True)
        index_all(cache)
        rows = browse.search(cache, query, box.id if box else None, limit)
        within = [one for one in browse.counts(cache) if box is None or one.name == box.name]
    missing = sum(one.messages - one.opened for one in within)
    facts = {"query": query, "mailbox": box.name if box else None, "not_searched": missing}
    show_rows(rows, facts, as_json)
    if missing:
        # never a silently short list
        say(f"{missing} messages are not here and were not searched.", err=True)
    elif not rows:
        say("Nothing found.", err=True)
