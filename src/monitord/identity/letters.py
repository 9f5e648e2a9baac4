"""What mails about accounts say."""

from monitord.domain.letter import Letter
from monitord.domain.organisation import Invitation, Role
from monitord.identity.address_proofs import Proof

_A_ROLE = {
    Role.VIEWER: "a viewer, who may look",
    Role.EDITOR: "an editor, who may change what is watched and who is told",
    Role.ADMIN: "an administrator, who also decides who else is a member",
    Role.OWNER: "an owner, who may do everything",
}


def verify(email: str, proof: Proof, key: str) -> Letter:
    """Return the mail that asks whether the address is theirs who registered with it."""
    return Letter(
        key=key,
        recipient=email,
        subject="Confirm your address",
        paragraphs=("Somebody, hopefully you, registered with this address. Confirm it to have your account.",),
        button="Confirm",
        link=proof.link,
        code=proof.code,
        small_print="Both are valid for 24 hours. If it was not you, do nothing: there will be no account.",
    )


def exists(email: str, key: str) -> Letter:
    """Return the mail to somebody who has an account already; whoever registered is not told (T14)."""
    return Letter(
        key=key,
        recipient=email,
        subject="You have an account already",
        paragraphs=(
            "Somebody, perhaps you, tried to register with this address. It has an account: sign in, or ask for a new "
            "password if you don't know yours any more.",
        ),
        small_print="If it was not you, there is nothing to do: nothing was changed.",
    )


def reset(email: str, proof: Proof, key: str) -> Letter:
    """Return the mail by which a new password can be set."""
    return Letter(
        key=key,
        recipient=email,
        subject="Set a new password",
        paragraphs=("Somebody, hopefully you, asked to set a new password for the account of this address.",),
        button="Set a new password",
        link=proof.link,
        code=proof.code,
        small_print="Both are valid for an hour. If it was not you, do nothing: your password stays as it is.",
    )


def invitation(email: str, inviter: str, proof: Proof, key: str) -> Letter:
    """Return the mail that invites somebody to register."""
    return Letter(
        key=key,
        recipient=email,
        subject="You are invited to monitord",
        paragraphs=(f"{inviter} invites you to watch websites and services with monitord.",),
        button="Register",
        link=proof.link,
        code=proof.code,
        small_print="Both are valid for 7 days. If you don't want to, do nothing.",
    )


def organisation_invitation(invitation: Invitation, link: str, key: str) -> Letter:
    """Return the mail that invites somebody into an organisation. Its name is theirs who invite: shown as text."""
    inviter = invitation.invited_by or "Somebody"
    return Letter(
        key=key,
        recipient=invitation.email,
        subject=f"Join {invitation.org_name} on monitord",
        paragraphs=(
            f"{inviter} invites you to {invitation.org_name}, whose members watch websites and services together with "
            f"monitord, as {_A_ROLE[invitation.role]}.",
        ),
        button="Join",
        link=link,
        small_print="The link is valid for 7 days. If you don't want to join, do nothing.",
    )


def leaving(email: str, until: str, key: str) -> Letter:
    """Return the mail that tells how somebody can come back until then, whoever it was that deleted their account."""
    return Letter(
        key=key,
        recipient=email,
        subject="Your account is to be deleted",
        paragraphs=(
            f"Your account, and all that is yours alone, will be deleted for good at {until}. All of its sessions have "
            "ended, its API keys are revoked, and nothing is checked any more.",
            "If you want to come back, sign in before that and take it back (CancelAccountDeletion): what was checked "
            "will be checked again.",
        ),
        small_print="If it was not you, do so at once, and set a new password.",
    )


def changed(email: str, key: str) -> Letter:
    """Return the mail that tells of a new password, so that its owner knows if it was somebody else."""
    return Letter(
        key=key,
        recipient=email,
        subject="Your password was changed",
        paragraphs=("The password of your account was changed, and all of its sessions have ended.",),
        small_print="If it was not you, ask for a new password at once.",
    )
