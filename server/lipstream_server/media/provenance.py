"""How a file declares that it was generated.

Twice: in the plain tags that every player shows (title, comment, description), and as the IPTC digital source type in an XMP
packet, which editors and platforms look for (IPTC Photo Metadata Standard; XMP Specification Part 3, "MPEG-4").
"""

import uuid
from collections.abc import Mapping
from types import MappingProxyType

from .containers.isobmff import uuid_box

MADE_BY_AI: Mapping[str, str] = MappingProxyType(
    {
        "title": "AI-generated talking head",
        "comment": "AI-generated: Lipstream made this video from a still picture and a recording of a voice.",
        "description": "AI-generated video. What it shows was never filmed.",
    }
)
DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
XMP_UUID = uuid.UUID("be7acfcb-97a9-42e8-9c71-999491e3afac")

_PACKET = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
   Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def xmp_packet() -> bytes:
    """Return the XMP packet, for files that have a place for one, as JPEG has."""
    return _PACKET.encode()


def xmp_box() -> bytes:
    """Return the XMP packet in a `uuid` box, which may follow the last box of any MP4 file."""
    return uuid_box(XMP_UUID, xmp_packet())
