"""`e2email-backup remind`: how often backup, drill and paper are asked for."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from e2email_client.cli._options import Access, access_options, json_option, show

_DAYS = click.IntRange(0, 36_500)


@click.command("remind", short_help="How often you are reminded.")
@click.option("--backup", type=_DAYS, metavar="DAYS", help="Between backups; 0: never.")
@click.option("--drill", type=_DAYS, metavar="DAYS", help="Between drills; 0: never.")
@click.option("--paper", type=_DAYS, metavar="DAYS", help="Between sheets; 0: never.")
@access_options
@json_option
def command(
    access: Access, backup: int | None, drill: int | None, paper: int | None, as_json: bool
) -> None:
    """Show or set after how many days a backup, a drill and a new sheet are due."""
    from e2email_client import care
    from e2email_client.shared_state import SharedState
    from e2email_client.stores import open_stores

    unlocked = access.unlock()
    wanted = {"backup_days": backup, "drill_days": drill, "paper_days": paper}
    with open_stores(unlocked) as stores:
        state = SharedState(unlocked, stores.state)
        chosen = {name: days for name, days in wanted.items() if days is not None}
        care.set_often(state, chosen, int(time.time()))
        now = asdict(care.often(state))
    said = [f"{name.removesuffix('_days')}: {f'every {days} days' if days else 'never'}"
            for name, days in now.items()]  # fmt: skip
    show(now, "\n".join(said), as_json)
