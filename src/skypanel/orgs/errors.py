"""What may go wrong with organizations, members, invitations and plans."""

from __future__ import annotations

from skypanel.errors import Conflict, NotFound


class MemberNotFound(NotFound):
    code = "member_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such member in this organization.")


class LastOwner(Conflict):
    code = "last_owner"

    def __init__(self) -> None:
        super().__init__("An organization needs an owner: make another member one first.")


class InvitationNotFound(NotFound):
    code = "invitation_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such invitation, or it was used, revoked or has expired. Ask for a new one.")


class AlreadyMember(Conflict):
    code = "already_member"

    def __init__(self, email: str) -> None:
        super().__init__(f"{email} is a member of this organization already.")


class PlanNotFound(NotFound):
    code = "plan_not_found"

    def __init__(self, slug: str) -> None:
        super().__init__(f"There is no plan {slug!r}.")


class PlanInUse(Conflict):
    code = "plan_in_use"

    def __init__(self, slug: str) -> None:
        super().__init__(f"Applications use the plan {slug!r}; retire it instead, so that nobody new chooses it.")


class PlanExists(Conflict):
    code = "plan_exists"

    def __init__(self, slug: str) -> None:
        super().__init__(f"There is a plan {slug!r} already.")
