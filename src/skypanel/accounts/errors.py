"""What may go wrong with accounts."""

from __future__ import annotations

from skypanel.errors import Conflict, Forbidden, NotFound, Unauthenticated


class CredentialsWrong(Unauthenticated):
    """Unknown address and wrong password look the same."""

    title = "Sign-in failed"
    code = "credentials_wrong"

    def __init__(self) -> None:
        super().__init__("The e-mail address or the password is wrong.")


class EmailTaken(Conflict):
    code = "email_taken"

    def __init__(self) -> None:
        super().__init__("There is an account with this e-mail address already; sign in instead.")


class RegistrationClosed(Forbidden):
    title = "Registration is by invitation"
    code = "registration_closed"

    def __init__(self) -> None:
        super().__init__("Ask an owner of an organization for an invitation and register with its token.")


class TokenNotFound(NotFound):
    code = "token_not_found"

    def __init__(self) -> None:
        super().__init__("You have no API token with this id.")
