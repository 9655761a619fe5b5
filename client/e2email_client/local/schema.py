"""The tables of the local store."""

CACHE_VERSION = 1

CACHE = """
CREATE TABLE mailbox (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  special_use TEXT,
  subscribed INTEGER NOT NULL DEFAULT 1,
  uidvalidity INTEGER NOT NULL,
  uidnext INTEGER NOT NULL DEFAULT 1,
  upstream_modseq INTEGER NOT NULL DEFAULT 0,  -- the server's HIGHESTMODSEQ we have caught up with
  modseq INTEGER NOT NULL DEFAULT 1,           -- our own, see local/mailboxes.py
  complete INTEGER NOT NULL DEFAULT 0          -- every UID, its flags and time are here
);
CREATE TABLE mail (                            -- one sealed record, in however many mailboxes
  id INTEGER PRIMARY KEY,
  email_id TEXT NOT NULL UNIQUE,
  state INTEGER NOT NULL DEFAULT 0,            -- local/mails.py: State
  size INTEGER,                                -- octets of the opened view
  envelope BLOB,                               -- IMAP ENVELOPE, as served
  structure BLOB,                              -- IMAP BODYSTRUCTURE, as served
  fields BLOB,                                 -- the published header fields, raw
  preview TEXT,
  date INTEGER,
  subject TEXT, sender TEXT, recipients TEXT,  -- decoded, for people
  attachments INTEGER,
  security TEXT,                               -- JSON, local/mails.py: Security
  keywords TEXT NOT NULL DEFAULT '',           -- reserved keywords that say so, local/keywords.py
  failure TEXT                                 -- why it can never be opened
);
CREATE TABLE message (
  mailbox_id INTEGER NOT NULL REFERENCES mailbox(id) ON DELETE CASCADE,
  uid INTEGER NOT NULL,
  mail_id INTEGER NOT NULL REFERENCES mail(id),
  flags TEXT NOT NULL,                         -- sorted, joined by spaces
  modseq INTEGER NOT NULL,
  internal_date INTEGER NOT NULL,
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
  view BLOB NOT NULL,
  delivered BLOB,                              -- the original; NULL: equals the view
  trace_length INTEGER NOT NULL,               -- how many octets of the original are our own fields
  header BLOB NOT NULL,                        -- of the view, and
  text TEXT NOT NULL                           -- decoded text of its body: for exact search
);
CREATE VIRTUAL TABLE words USING fts5 (
  subject, sender, recipients, text,
  content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2'
);
"""

STATE_VERSION = 1

STATE = """
CREATE TABLE proxy (                           -- what mail programs on this machine are shown
  id INTEGER PRIMARY KEY CHECK (id = 1),
  password TEXT NOT NULL,
  tls_key BLOB NOT NULL,
  tls_certificate BLOB NOT NULL,
  tls_authority BLOB NOT NULL
);
"""
