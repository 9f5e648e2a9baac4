"""What is known of monitord's own network."""

import msgspec


class Reach(msgspec.Struct, frozen=True):
    """What the anchors, places that are there if our own network is well, say of it."""

    way_out: bool
    """At least one anchor was reached, or answered at all."""
    names: bool
    """At least one name of an anchor was resolved; true where no anchor has a name."""
