"""monitord watches websites and services and tells people the truth about them."""

__version__ = "0.1.0"
