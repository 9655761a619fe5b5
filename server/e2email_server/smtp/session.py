"""MAIL, RCPT and DATA: a transaction from the first promise to the last reply (RFC 5321 §3.3)."""

import logging

from .data import MailData
from .delivery import Arrival, Mail, Refusal
from .dialogue import Dialogue, State
from .service import Service
from .transaction import BadCommand, Transaction, parse_mail, parse_rcpt

log = logging.getLogger("e2email.smtp")

HEADER = 256 * 1024  # DESIGN §8; Received fields further down are not counted
TOO_LARGE = b"552 5.3.4 Mail too large"
NO_MEMORY = b"452 4.3.1 Too much mail at one time, try again later"


class InboundSession(Dialogue):
    """One connection of a mail server that has mail for us."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._delivering = False
        self._strangers = 0

    def overdue(self, now: float, patience: float) -> bool:
        """Whether the peer has had its time; our own work while delivering does not count."""
        if self._delivering:
            return False
        transaction, limits = self._transaction, self._limits
        if transaction is not None:
            earned = min(transaction.received, limits.message) / max(limits.rate, 1)
            if now - transaction.started > limits.transaction * patience + earned:
                return True
        return bool(now - self._since > limits.idle * patience)

    async def smtp_MAIL(self, argument: str) -> None:
        transaction = parse_mail(argument, self.loop.time())
        if transaction.size > self._limits.message:
            self._say(TOO_LARGE)
        elif not self._service.memory.fits(transaction.size):
            self._say(NO_MEMORY)
        else:
            self._transaction, self._state = transaction, State.MAIL
            self._say(b"250 2.1.0 OK")

    async def smtp_RCPT(self, argument: str) -> None:
        transaction = self._transaction
        assert transaction is not None
        recipient = parse_rcpt(argument, transaction.utf8)
        number, limits = len(transaction.recipients) + 1, self._limits
        if number > limits.recipients or number * transaction.size > limits.fanout:
            # RFC 5321 §4.5.3.1.10: the sender delivers to the first hundred, then comes again
            self._say(Refusal.TOO_MUCH.reply)
            return
        refusal = await self._service.delivery.judge(recipient)
        if refusal is None:
            transaction.recipients.append(recipient)
            self._say(b"250 2.1.5 OK")
        else:
            self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> None:
        self._say(refusal.reply)
        self._waste()
        if refusal in (Refusal.UNKNOWN_USER, Refusal.NOT_HERE):
            self._strangers += 1
            if self._strangers >= self._limits.strangers:
                self._end(b"421 4.7.0 Too many unknown recipients", "unknown recipients")

    async def smtp_DATA(self, argument: str) -> None:
        transaction = self._transaction
        assert transaction is not None
        if argument:
            raise BadCommand(b"501 5.5.4 Syntax: DATA")
        if self._input:
            # RFC 2920 §3.1: DATA is the last of a group. Mail sent before 354 would be run as
            # commands wherever DATA is refused.
            self._close(b"554 5.5.0 Data before 354")
        elif not transaction.recipients:
            self._say(b"554 5.5.1 No valid recipients")
        elif not self._service.memory.take(transaction.size):
            self._say(NO_MEMORY)
        else:
            await self._receive(transaction)
        self._forget()

    async def _receive(self, transaction: Transaction) -> None:
        """From 354 to the last reply, under a claim on the memory budget."""
        memory, held = self._service.memory, transaction.size
        data, fits = MailData(self._limits.message), True
        try:
            self._say(b"354 End data with <CR><LF>.<CR><LF>")
            while await self._chunk(transaction, data):
                fits = fits and memory.take(data.received, held)
                if fits:
                    held = max(held, data.received)
                else:
                    data.drop()
            if not data.done:
                return  # the peer went away in the middle
            content = data.content()
            if content is not None:
                await self._deliver(transaction, content)
            else:
                self._say(TOO_LARGE if fits else NO_MEMORY)
        finally:
            memory.give_back(held)

    async def _chunk(self, transaction: Transaction, data: MailData) -> bool:
        """Feed what came, after waiting for it; False at the end of the data or of the peer."""
        if data.done:
            return False
        if not self._input:
            await self._flush()
        while not self._input:
            if self._eof:
                self._closing = True
                return False
            await self._rest()
        chunk, self._input = self._input, bytearray()
        self._input += data.feed(chunk)
        transaction.received, self._since = data.received, self.loop.time()
        return True

    async def _deliver(self, transaction: Transaction, content: bytes) -> None:
        arrival = Arrival(self._peer, self._helo, self._protocol(transaction.utf8), self._tls())
        recipients = tuple(transaction.recipients)
        mail = Mail(self._service.new_id(), transaction.sender, recipients, content, arrival)
        self._delivering = True
        try:
            refusal = self._judge(mail) or await self._service.delivery.deliver(mail)
        finally:
            self._delivering = False
            self._since = self.loop.time()
        if refusal is not None:
            log.info("%s refused: %s", mail.id, refusal.name)
            self._say(refusal.reply)
        else:
            log.info("%s taken: %d octets, %d recipients", mail.id, len(content), len(recipients))
            self._strikes = self._strangers = self._junk = 0
            self._say(f"250 2.0.0 {mail.id} sealed".encode())

    def _judge(self, mail: Mail) -> Refusal | None:
        if len(mail.recipients) * len(mail.content) > self._limits.fanout:
            return Refusal.TOO_MUCH
        return Refusal.LOOP if hops(mail.content) > self._limits.hops else None

    def _protocol(self, utf8: bool) -> str:
        """The `with` word of RFC 3848 and RFC 6531 §4.3."""
        secure = "S" if self._tls() else ""
        if utf8:
            return f"UTF8SMTP{secure}"
        return f"ESMTP{secure}" if self._esmtp else "SMTP"


def hops(content: bytes) -> int:
    """Received fields in the header of a mail (RFC 5321 §6.3)."""
    end = content.find(b"\r\n\r\n", 0, HEADER)
    header = content[: end if end >= 0 else HEADER].lower()
    return header.count(b"\nreceived:") + header.startswith(b"received:")
