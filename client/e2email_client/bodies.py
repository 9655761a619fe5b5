"""What is shown for a mail whose octets are known: itself, or a notice that it is attached to."""

from dataclasses import dataclass, replace

from e2email_client.digest import MAX_TEXT, Digest
from e2email_client.local import published
from e2email_client.local.fold import fold
from e2email_client.local.mails import Body, Security, State, Summary
from e2email_client.notice import DELIVERED, SEALED, notice
from e2email_client.opener import AccountOpener
from e2email_client.parsing import NoParser, Parsing
from e2email_client.summaries import UNPROVEN, announced, named_alarms, security_of, settled
from e2email_client.unreadable import TOO_MUCH_TO_READ, Later, Unreadable, judged
from e2email_crypto.errors import CryptoError
from e2email_protocol.sealed import opened as sealed
from e2email_protocol.sealed.view import join_view


@dataclass(frozen=True, slots=True)
class Restored:
    """A mail as it was delivered, and what is wrong with what it was stored in."""

    known: sealed.OpenedEnvelope
    octets: bytes
    alarms: frozenset[sealed.Alarm]

    def __repr__(self) -> str:
        return f"Restored({len(self.octets)} octets)"


class Bodies:
    """Opens what a sender encrypted, and has all of it parsed. Blocks; thread-safe."""

    def __init__(self, opener: AccountOpener, parsing: Parsing) -> None:
        self._opener, self._parsing = opener, parsing

    def shown(self, one: Restored, facts: Digest | None) -> tuple[Summary, Body] | Later:
        try:
            return self._shown(one, facts)
        except Later as late:
            return late
        except NoParser:
            return Later()

    def _shown(self, one: Restored, facts: Digest | None) -> tuple[Summary, Body]:
        known, octets = one.known, one.octets
        if facts is None:
            return self._unparsed(one)
        alarms = one.alarms | sealed.summary_alarms(known, facts.summary)
        if not known.envelope.encrypted:
            return settled(known, octets, octets, facts, security_of(known, alarms, ()))
        try:
            start, end = sealed.encrypted_span(facts.encrypted)
            decrypted = self._opener.open(octets[start:end], sealed.MAX_ENTITY)
            header = octets[: facts.summary.header_size]
            view = self._parsing.view(header, decrypted.plaintext)
        except (CryptoError, sealed.Refused) as error:
            why = judged(error)
            if isinstance(why, Later):
                raise why from error
            return self._closed(str(why), octets, known, alarms)
        if view is None:
            return self._closed(TOO_MUCH_TO_READ, octets, known, alarms)
        shown = join_view(view.front, view.start, decrypted.plaintext)
        security = security_of(known, alarms, decrypted.signatures)
        return settled(known, octets, shown, view.digest, security)

    def _unparsed(self, one: Restored) -> tuple[Summary, Body]:
        """What cannot be parsed within the limits. What its envelope announced stays as it is."""
        known, octets, alarms = one.known, one.octets, one.alarms
        (heading,) = self._parsing.headings([known.envelope.fields])
        summary = announced(known, heading)
        if isinstance(summary, Unreadable) or summary.state is not State.READY:
            return self._closed(TOO_MUCH_TO_READ, octets, known, alarms)
        size = known.envelope.header_size
        body = Body(
            view=octets,
            delivered=octets,
            trace_length=known.envelope.trace,
            header=octets[:size],
            text=fold(octets[size : size + MAX_TEXT].decode("utf-8", "replace")),
            header_text=fold(octets[:size].decode("utf-8", "replace")),
        )
        return replace(summary, state=State.OPENED, security=security_of(known, alarms, ())), body

    def unreadable(self, why: Unreadable, octets: bytes) -> tuple[Summary, Body] | Later:
        """`octets` are what the server holds: nothing else is known."""
        security = Security("unreadable", UNPROVEN, alarms=named_alarms(str(why), why.alarms))
        try:
            return self._noticed(str(why), octets, SEALED, security, None)
        except (Later, NoParser):
            return Later()

    def _closed(
        self,
        why: str,
        delivered: bytes,
        known: sealed.OpenedEnvelope,
        alarms: frozenset[sealed.Alarm],
    ) -> tuple[Summary, Body]:
        """Only the sender's encryption stays closed: how the mail came is known."""
        security = replace(
            security_of(known, alarms, ()),
            encryption="unreadable",
            alarms=named_alarms(why, alarms),
        )
        return self._noticed(why, delivered, DELIVERED, security, known)

    def _noticed(
        self,
        why: str,
        octets: bytes,
        name: str,
        security: Security,
        known: sealed.OpenedEnvelope | None,
    ) -> tuple[Summary, Body]:
        """A notice to which `octets` are attached. `known`: they are what was delivered."""
        shown = notice(why, octets, name)
        (facts,) = self._parsing.digests([shown])
        if facts is None:
            raise Later
        heading = facts.heading
        summary = Summary(
            state=State.UNREADABLE,
            size=len(shown),
            envelope=heading.envelope,
            structure=facts.summary.structure,
            fields=shown[: facts.summary.header_size],
            preview=why,
            date=0,
            subject=heading.subject,
            sender=heading.sender,
            recipients="",
            attachments=1,
            security=security,
            names=published.pack(facts.summary.names),
        )
        body = Body(
            view=shown,
            delivered=octets if known else shown,
            trace_length=known.envelope.trace if known else 0,
            header=shown[: facts.summary.header_size],
            text=facts.text,
            header_text=facts.header_text,
        )
        return summary, body
