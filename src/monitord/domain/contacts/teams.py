"""A channel of Microsoft Teams, by a workflow that takes a webhook."""

from monitord.domain.contacts.hook import HookContact


class TeamsContact(HookContact, frozen=True, tag="teams", kw_only=True):
    """Post an adaptive card to a workflow of Microsoft Teams."""

    @property
    def shown(self) -> str:
        """Return where it leads; the URL itself is a secret."""
        return "Microsoft Teams"
