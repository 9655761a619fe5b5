"""imapfilter and imapflow: programs that are written in, not looked at."""

import json
import os
import subprocess
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest

from support import corpus
from support.programs import Desk, needs

IMAPFILTER = """
options.timeout = 60
options.certificates = false
options.create = true
options.expunge = true
account = IMAP {{
  server = '{host}', port = {imaps}, username = '{user}', password = '{password}', ssl = 'auto',
}}
account.INBOX:contain_subject('letter 01'):mark_flagged()
account.INBOX:contain_body('mulberry02'):add_flags({{ 'Garden' }})
account.INBOX:match_header('Subject: letter 03'):move_messages(account['Projects/Garten'])
account.INBOX:contain_from('nobody'):delete_messages()
both = account.INBOX:contain_subject('letter 04') + account.INBOX:contain_to('nowhere')
both:delete_messages()
account.INBOX:contain_subject('letter 05'):copy_messages(account.Archive)
unseen = account.INBOX:is_unseen()
print('unseen ' .. #unseen)
"""

IMAPFLOW = """
const {{ ImapFlow }} = require('imapflow');
(async () => {{
  const client = new ImapFlow({{
    host: '{host}', port: {imaps}, secure: true, logger: false,
    tls: {{ ca: require('fs').readFileSync('{certificate}') }},
    auth: {{ user: '{user}', pass: '{password}' }},
    qresync: true,
  }});
  await client.connect();
  const told = {{ capabilities: [...client.capabilities.keys()] }};
  told.enabled = [...client.enabled];
  told.folders = (await client.list({{ statusQuery: {{ messages: true }} }}))
    .map(one => [one.path, one.specialUse || null, one.status && one.status.messages]);
  const lock = await client.getMailboxLock('INBOX');
  told.mails = [];
  for await (const one of client.fetch('1:*', {{ source: true, envelope: true,
      bodyStructure: true, flags: true, size: true, internalDate: true }})) {{
    told.mails.push({{ uid: one.uid, size: one.size, source: one.source.toString('base64'),
      subject: one.envelope.subject || null, id: one.emailId || null }});
  }}
  const part = await client.download('1', 'TEXT');
  told.text = 0;
  for await (const chunk of part.content) told.text += chunk.length;
  if (told.mails.length > 3) {{
    await client.messageFlagsAdd('2', ['\\\\Flagged', 'Garden']);
    told.copied = await client.messageCopy('3', 'Archive');
    told.copied = told.copied.uidMap.size;
    await client.mailboxCreate('Gärten/Küche');
    told.moved = (await client.messageMove('3', 'Gärten/Küche')).uidMap.size;
    await client.messageDelete('1');
  }}
  told.found = await client.search({{ body: 'mulberry07' }}, {{ uid: true }});
  const text = 'Subject: flown in\\r\\n\\r\\nhello\\r\\n';
  const added = await client.append('Drafts', text, ['\\\\Draft']);
  told.added = added.uid;
  lock.release();
  await client.logout();
  console.log(JSON.stringify(told));
}})().catch(fault => {{ console.error(fault); process.exit(1); }});
"""


@needs("imapfilter")
def test_imapfilter_flags_files_and_removes(desk: Desk) -> None:
    desk.write("filter.lua", IMAPFILTER)
    done = desk.run("imapfilter", "-t", desk.proxy.certificate, "-c", desk.home / "filter.lua")
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"unseen 10" in done.stdout
    assert "\\Flagged" in desk.flags("letter 01")
    assert "Garden" in desk.flags("letter 02")
    assert desk.subjects("Projects/Garten") == ["letter 03"]
    assert desk.subjects("Archive") == ["letter 05"]
    assert desk.subjects() == [f"letter {n:02}" for n in range(12) if n not in (3, 4)]


needs_imapflow = pytest.mark.skipif(
    "NODE_PATH" not in os.environ, reason="NODE_PATH names no imapflow: NOT tested with it"
)


def fly(desk: Desk) -> dict[str, Any]:
    script = desk.write("fly.js", IMAPFLOW)
    done = subprocess.run(
        ["node", script],
        capture_output=True,
        env=desk.environment | {"NODE_PATH": os.environ["NODE_PATH"]},
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@needs("node")
@needs_imapflow
def test_imapflow_reads_flags_files_and_searches(desk: Desk) -> None:
    told = fly(desk)
    assert [one["subject"] for one in told["mails"]] == [f"letter {n:02}" for n in range(12)]
    assert ["Sent", "\\Sent", 0] in told["folders"]
    assert (told["copied"], told["moved"]) == (1, 1)
    assert {"\\Flagged", "Garden"} <= desk.flags("letter 01")
    assert desk.subjects("Archive") == ["letter 02"]
    assert desk.subjects("G&AOQ-rten/K&APw-che") == ["letter 02"]
    assert desk.subjects("Drafts") == ["flown in"]
    assert len(told["found"]) == 1
    assert desk.subjects() == [f"letter {n:02}" for n in range(12) if n not in (0, 2)]


@needs("node")
@needs_imapflow
def test_imapflow_gets_every_octet(desk_with: Callable[[list[bytes]], Desk]) -> None:
    desk = desk_with([octets for _, octets in corpus.messages()])
    views = desk.views()
    told = fly(desk)
    assert [b64decode(one["source"]) for one in told["mails"]] == views
    assert [one["size"] for one in told["mails"]] == [len(one) for one in views]
