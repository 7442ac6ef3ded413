"""SMTP with the standard library: a message now and then needs no more (RFC 5321, 3207)."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

from skypanel.drivers.mail.port import MailFailed
from skypanel.kit.secret import Secret

TIMEOUT_S = 20.0


@dataclass(frozen=True)
class SmtpMail:
    """`url`: `smtp://user:password@host:587` (STARTTLS when offered, and always where there is a password),
    `smtps://…:465`, `smtp://host:25`."""

    url: Secret
    sender: str

    def send(self, *, to: str, subject: str, text: str) -> None:
        message = EmailMessage()
        message["From"], message["To"] = self.sender, to
        message["Subject"] = " ".join(subject.split())
        message["Date"], message["Message-ID"] = formatdate(usegmt=True), make_msgid(domain="skypanel.invalid")
        message.set_content(text)
        try:
            with self._connected() as server:
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            raise MailFailed(f"the mail server did not take the message: {error}") from error

    def _connected(self) -> smtplib.SMTP:
        parts = urlsplit(self.url.reveal())
        host, context = parts.hostname or "localhost", ssl.create_default_context()
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(host, parts.port or 587, timeout=TIMEOUT_S)
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=context)
            elif parts.password:
                server.close()
                raise MailFailed("the mail server offers no encryption, so its password is not sent")
        if parts.username and parts.password:
            server.login(unquote(parts.username), unquote(parts.password))
        return server
