"""The settings of screenshots."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr, field_validator

OTHER_NAMES = {
    "screenshotone_key": ("SCREENSHOTONE_KEY",),
    "screenshotone_secret": ("SCREENSHOTONE_SECRET",),
    "cloudinary_cloud_name": ("CLOUDINARY_CLOUD_NAME",),
    "cloudinary_api_key": ("CLOUDINARY_API_KEY",),
    "cloudinary_api_secret": ("CLOUDINARY_API_SECRET",),
}
"""Names without the prefix that are accepted too; see ``settings``."""


class ScreenshotSettings(BaseModel):
    """How screenshots are taken and kept. A part of ``Settings``."""

    screenshots: bool = Field(
        True,
        description="Take one when an HTTP monitor goes DOWN: with ScreenshotOne where its key is set, else with the "
        "system's Chromium where there is one. Alerts wait 15 s for it, at most.",
    )
    screenshots_of_recoveries: bool = Field(False, description="Take one when it is well again, too.")
    screenshot_link_days: int = Field(
        30, ge=1, le=3650, description="How long links to screenshots in the state folder are valid, in days."
    )
    chromium: Path | None = Field(None, description="The browser's program. Without it: that of the system.")
    screenshotone_key: SecretStr | None = Field(None, description="The access key at ScreenshotOne.")
    screenshotone_secret: SecretStr | None = Field(
        None, description="Its secret, where the account demands signed requests."
    )
    cloudinary_cloud_name: str | None = Field(
        None, description="With the two below, screenshots are kept at Cloudinary instead of in the state folder."
    )
    cloudinary_api_key: SecretStr | None = Field(None, description="The key at Cloudinary.")
    cloudinary_api_secret: SecretStr | None = Field(None, description="Its secret.")

    @field_validator("chromium", mode="after")
    @classmethod
    def _program(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()
