"""The tables of the local store."""

CACHE_VERSION = 4

# What is read of ten thousand messages at a time stands in narrow rows: SQLCipher decrypts pages.
CACHE = """
CREATE TABLE mailbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,        -- sessions hold it: never another mailbox's
  name TEXT NOT NULL UNIQUE,
  object_id TEXT NOT NULL DEFAULT '',          -- the server's MAILBOXID (RFC 8474); '': not known
  special_use TEXT,
  subscribed INTEGER NOT NULL DEFAULT 1,
  uidvalidity INTEGER NOT NULL,                -- as programs are told, see local/seen.py
  server_validity INTEGER NOT NULL,            -- the server's own UIDVALIDITY
  uidnext INTEGER NOT NULL DEFAULT 1,
  announced INTEGER NOT NULL DEFAULT 1,        -- UIDs from here on are not shown yet
  upstream_modseq INTEGER NOT NULL DEFAULT 0,  -- the server's HIGHESTMODSEQ we have caught up with
  modseq INTEGER NOT NULL DEFAULT 1,           -- our own, see local/announced.py
  horizon INTEGER NOT NULL DEFAULT 1,          -- `vanished` has all that is gone since this modseq
  complete INTEGER NOT NULL DEFAULT 0          -- every UID, its flags and time are here
);
CREATE TABLE mail (                            -- one sealed record, in however many mailboxes
  id INTEGER PRIMARY KEY,
  email_id TEXT NOT NULL UNIQUE,
  state INTEGER NOT NULL DEFAULT 0,            -- local/mails.py: State
  tries INTEGER NOT NULL DEFAULT 0,            -- how often opening it failed for a passing reason
  held INTEGER NOT NULL DEFAULT 0,             -- 1: its key is on another machine yet; 2: is gone
  size INTEGER,                                -- octets of the opened view
  keywords TEXT NOT NULL DEFAULT ''            -- reserved keywords, local/keywords.py
);
CREATE INDEX mail_state ON mail (state);
CREATE TABLE tried (vault INTEGER NOT NULL);    -- the version of the vault that `tries` are of
INSERT INTO tried VALUES (0);
CREATE TABLE summary (
  mail_id INTEGER PRIMARY KEY REFERENCES mail(id) ON DELETE CASCADE,
  envelope BLOB NOT NULL,                      -- IMAP ENVELOPE, as served
  structure BLOB NOT NULL,                     -- IMAP BODYSTRUCTURE, as served
  fields BLOB NOT NULL,                        -- the published header fields, raw
  names BLOB,                                  -- of the other fields, local/published.py; or NULL
  preview TEXT NOT NULL,
  date INTEGER NOT NULL,
  subject TEXT NOT NULL,                       -- decoded, for people
  sender TEXT NOT NULL,
  recipients TEXT NOT NULL,
  attachments INTEGER NOT NULL,
  security TEXT NOT NULL                       -- JSON, local/mails.py: Security
);
CREATE TABLE outline (                         -- what SORT and THREAD compare, local/outlines.py
  mail_id INTEGER PRIMARY KEY REFERENCES summary(mail_id) ON DELETE CASCADE,
  sent INTEGER,                                -- the Date field; NULL: it cannot be read
  subject TEXT NOT NULL,
  sender TEXT NOT NULL,
  recipient TEXT NOT NULL,
  copied TEXT NOT NULL,
  message_id TEXT NOT NULL,
  ancestors TEXT NOT NULL                      -- message ids, one a line
);
CREATE TABLE message (
  mailbox_id INTEGER NOT NULL REFERENCES mailbox(id) ON DELETE CASCADE,
  uid INTEGER NOT NULL,
  mail_id INTEGER NOT NULL REFERENCES mail(id),
  flags TEXT NOT NULL,                         -- sorted, joined by spaces
  modseq INTEGER NOT NULL,
  server_modseq INTEGER NOT NULL DEFAULT 0,    -- of these flags; what is older says nothing
  internal_date INTEGER NOT NULL,
  saved INTEGER,                               -- when it came into this mailbox; NULL: not known
  PRIMARY KEY (mailbox_id, uid)
) WITHOUT ROWID;
CREATE INDEX message_modseq ON message (mailbox_id, modseq);
CREATE INDEX message_mail ON message (mail_id);
CREATE TABLE vanished (
  mailbox_id INTEGER NOT NULL REFERENCES mailbox(id) ON DELETE CASCADE,
  uid INTEGER NOT NULL,
  modseq INTEGER NOT NULL,
  PRIMARY KEY (mailbox_id, uid)
) WITHOUT ROWID;
CREATE TABLE body (
  mail_id INTEGER PRIMARY KEY REFERENCES mail(id) ON DELETE CASCADE,
  view BLOB,                                   -- NULL: in a file
  delivered BLOB,                              -- the original; NULL: equals the view, or in a file
  trace_length INTEGER NOT NULL                -- how many octets of the original are our own fields
);
CREATE TABLE large (                           -- octets in files, local/chunks.py
  mail_id INTEGER NOT NULL REFERENCES body(mail_id) ON DELETE CASCADE,
  what TEXT NOT NULL,                          -- "view" or "delivered"
  name TEXT NOT NULL UNIQUE,
  size INTEGER NOT NULL,
  PRIMARY KEY (mail_id, what)
) WITHOUT ROWID;
CREATE TABLE unneeded (                        -- files that nothing names any more
  name TEXT PRIMARY KEY
);
CREATE TRIGGER large_gone AFTER DELETE ON large BEGIN
  INSERT INTO unneeded VALUES (old.name);
END;
CREATE TABLE bound (                           -- bodies of mail received up to then are fetched
  received INTEGER NOT NULL                    -- only when asked for: there was no room for them
);
CREATE TABLE header (                          -- of the view
  mail_id INTEGER PRIMARY KEY REFERENCES mail(id) ON DELETE CASCADE,
  octets BLOB NOT NULL,
  folded TEXT NOT NULL                         -- decoded, and folded as local/fold.py does
);
CREATE TABLE text (                            -- of the view's body
  mail_id INTEGER PRIMARY KEY REFERENCES mail(id) ON DELETE CASCADE,
  folded TEXT NOT NULL
);
CREATE TABLE unindexed (                       -- opened mail whose words are not in `words` yet
  mail_id INTEGER PRIMARY KEY REFERENCES mail(id) ON DELETE CASCADE
);
CREATE VIRTUAL TABLE words USING fts5 (
  subject, sender, recipients, text,
  content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2'
);
"""

# What cannot be fetched again is never made anew: each step brings it one version further.
_PROXY = """
CREATE TABLE proxy (                           -- what mail programs on this machine are shown
  id INTEGER PRIMARY KEY CHECK (id = 1),
  password TEXT NOT NULL,
  tls_key BLOB NOT NULL,
  tls_certificate BLOB NOT NULL,
  tls_authority BLOB NOT NULL
);
"""

_SEEN = """
CREATE TABLE seen (                            -- the highest that a server ever said of a mailbox
  mailbox TEXT PRIMARY KEY,
  object_id TEXT NOT NULL,                     -- MAILBOXID; '': not known
  uidvalidity INTEGER NOT NULL,                -- the server's
  shown INTEGER NOT NULL,                      -- the UIDVALIDITY that programs were told last
  uidnext INTEGER NOT NULL,
  modseq INTEGER NOT NULL,
  gone INTEGER NOT NULL DEFAULT 0              -- its deletion was seen
);
CREATE TABLE notice (                          -- what the user has to be told
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  time INTEGER NOT NULL,
  kind TEXT NOT NULL,                          -- local/notices.py: Kind
  mailbox TEXT NOT NULL,
  text TEXT NOT NULL,
  acknowledged INTEGER NOT NULL DEFAULT 0
);
"""

_APP_PASSWORD = """
CREATE TABLE app_password (                    -- one for each mail program, proxy/passwords.py
  id INTEGER PRIMARY KEY AUTOINCREMENT,        -- open sessions hold it: never another one's
  name TEXT NOT NULL UNIQUE,
  hash BLOB NOT NULL UNIQUE,                   -- keyed BLAKE2b
  created INTEGER NOT NULL,
  used INTEGER,                                -- seconds since 1970, to the minute; NULL: never
  program TEXT NOT NULL DEFAULT ''             -- what it calls itself
);
"""  # noqa: S105  # a table

# What programs were promised and the server does not have yet: journal.py.
_JOURNAL = """
CREATE TABLE journal (
  id INTEGER PRIMARY KEY AUTOINCREMENT,        -- the order
  state TEXT NOT NULL,                         -- pending, sending, refused
  kind TEXT NOT NULL,                          -- flags, delete, append
  mailbox TEXT NOT NULL,
  object_id TEXT NOT NULL,                     -- MAILBOXID, or nothing where it is not known
  uidvalidity INTEGER NOT NULL,
  uids TEXT NOT NULL,                          -- a set as IMAP writes it
  added TEXT NOT NULL,                         -- flags, and those that an append has
  removed TEXT NOT NULL,
  since INTEGER NOT NULL,                      -- Unix seconds
  reason TEXT NOT NULL DEFAULT '',             -- why it was refused
  internal_date INTEGER NOT NULL DEFAULT 0,    -- of an append, as are the next two
  octets BLOB,                                 -- the sealed record as it goes up
  retry_key BLOB                               -- keyed hash of mailbox and mail, or of an import
);
CREATE INDEX journal_state ON journal (state);
CREATE TABLE journal_key (octets BLOB NOT NULL);
INSERT INTO journal_key VALUES (randomblob(32));
"""

_SYNCED = """
CREATE TABLE synced (                          -- when all mailboxes were last caught up with
  id INTEGER PRIMARY KEY CHECK (id = 1),
  time INTEGER NOT NULL
);
"""

# What `e2email import` took over, so that it does so once: Journal.import_digest.
_IMPORTED = """
CREATE TABLE imported (digest BLOB PRIMARY KEY) WITHOUT ROWID;
"""

# Of a deletion: which mails its UIDs named, entries.marks().
_MARKS = """
ALTER TABLE journal ADD COLUMN marks BLOB NOT NULL DEFAULT x'';
"""

# What the account's devices share: shared_state.py.
_SHARED = """
CREATE TABLE shared (
  section TEXT NOT NULL,
  key TEXT NOT NULL,
  changed INTEGER NOT NULL,                    -- seconds since 1970
  value TEXT NOT NULL,                         -- canonical JSON; null: removed
  PRIMARY KEY (section, key)
) WITHOUT ROWID;
CREATE TABLE shared_seen (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  counter INTEGER NOT NULL,                    -- the highest of any box seen
  digest BLOB NOT NULL,                        -- SHA-256 of that box
  version INTEGER NOT NULL,                    -- the server's count for it
  generation INTEGER NOT NULL,                 -- rises with every change here
  pushed INTEGER NOT NULL                      -- the generation that the server has
);
INSERT INTO shared_seen VALUES (1, 0, x'', 0, 0, 0);
"""

# local/carried.py: mail that appears a second time.
_CARRIED = """
CREATE TABLE carried (                         -- copied or moved by a program of this machine
  id INTEGER PRIMARY KEY,
  mailbox TEXT NOT NULL,                       -- where to
  email_id TEXT NOT NULL,
  time INTEGER NOT NULL
);
CREATE INDEX carried_mail ON carried (mailbox, email_id);
CREATE TABLE elsewhere (                       -- by nobody here, and not acknowledged
  mailbox TEXT PRIMARY KEY,
  count INTEGER NOT NULL,
  since INTEGER NOT NULL
) WITHOUT ROWID;
"""

# Contacts known from received mail alone: learned.py.
_LEARNED = """
CREATE TABLE learned (
  address TEXT PRIMARY KEY,
  value TEXT NOT NULL,                         -- JSON, contact_form.py
  octets INTEGER NOT NULL                      -- of the value
) WITHOUT ROWID;
"""

STATE_STEPS = (
    _PROXY, _SEEN, _APP_PASSWORD, _JOURNAL, _SYNCED, _IMPORTED, _MARKS, _SHARED, _CARRIED,
    _LEARNED,
)  # fmt: skip
