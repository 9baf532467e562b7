"""Schemas of `/v1/avatars`, with a description and an example of every field for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ..avatars.registry import Avatar
from ..avatars.table import Crop

AVATARS = "/v1/avatars"

Text = StringConstraints(min_length=1, max_length=80)


class AvatarAnswer(BaseModel):
    """An avatar."""

    id: str = Field(description="Id in requests.", examples=["amara"])
    name: str = Field(description="Name for people.", examples=["Amara"])
    preview: str = Field(
        description="Path of the framed portrait, as the model sees it.",
        examples=["/v1/avatars/amara/preview"],
    )
    bundled: bool = Field(
        description="Whether it came with the server and cannot be removed.", examples=[True]
    )
    notes: list[str] = Field(
        description="Notes about the image for whoever added it, in English.",
        examples=[["the picture shows 2 faces; the largest one is used"]],
    )

    @classmethod
    def from_avatar(cls, avatar: Avatar) -> AvatarAnswer:
        """Return the answer that describes an avatar."""
        return cls(
            id=avatar.id,
            name=avatar.name,
            preview=f"{AVATARS}/{avatar.id}/preview",
            bundled=avatar.bundled,
            notes=list(avatar.notes),
        )


class AvatarList(BaseModel):
    """A page of avatars, the server's default first."""

    avatars: list[AvatarAnswer] = Field(description="Avatars in the order in which they came to the server.")
    next: str | None = Field(
        description="Value of `cursor` for the next page; null on the last page.", examples=["7"]
    )


class AvatarForm(BaseModel):
    """Text fields that come with an image."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Text] | None = Field(
        None, description="Name for people; made up without it.", examples=["My aunt"]
    )
    crop: str | None = Field(
        None,
        description="The part of the image to use: `left,top,width,height` as shares of its sides.",
        examples=["0.25,0,0.5,0.5"],
        pattern=r"^(0|1|0?\.[0-9]{1,6})(,(0|1|0?\.[0-9]{1,6})){3}$",
    )

    def parsed_crop(self) -> Crop | None:
        """Return the crop as numbers.

        Raises:
            ValueError: The crop is empty, or reaches beyond the image.
        """
        if self.crop is None:
            return None
        left, top, width, height = (float(share) for share in self.crop.split(","))
        if not (width > 0 and height > 0 and left + width <= 1 and top + height <= 1):
            raise ValueError(f"expected a part of the image, 0 to 1 on each side, got {self.crop}")
        return left, top, width, height
