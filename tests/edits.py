"""Named edits that make malformed (or merely unusual) files from good ones.

Every edit takes a whole file and returns a new one; segments are named by their marker ("DQT", "SOF2", "APP14"), the
entropy-coded data after an SOS are called "scan data".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_NAMES = {
    **{0xC0 + n: f"SOF{n}" for n in (0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15)},
    **{0xD0 + n: f"RST{n}" for n in range(8)},
    **{0xE0 + n: f"APP{n}" for n in range(16)},
    0xC4: "DHT",
    0xC8: "JPG",
    0xCC: "DAC",
    0xD8: "SOI",
    0xD9: "EOI",
    0xDA: "SOS",
    0xDB: "DQT",
    0xDC: "DNL",
    0xDD: "DRI",
    0xDE: "DHP",
    0xDF: "EXP",
    0xF7: "SOF55",
    0xFE: "COM",
    0x01: "TEM",
}
_MARKERS = {name: marker for marker, name in _NAMES.items()}


@dataclass(frozen=True)
class Segment:
    """A piece of a file: a marker segment with its marker, or the entropy-coded data of a scan."""

    name: str
    offset: int
    raw: bytes

    @property
    def body(self) -> bytes:
        """The parameters after marker and length."""
        return self.raw[4:]


def segments(data: bytes) -> list[Segment]:
    """Divide a well-formed file into its segments; bytes after EOI are the last one, named ""."""
    out: list[Segment] = []
    position = 0
    while position < len(data):
        name = _NAMES[data[position + 1]]
        end = position + 2
        if name not in ("SOI", "EOI"):
            end += int.from_bytes(data[end : end + 2], "big")
        out.append(Segment(name, position, data[position:end]))
        position = end
        if name == "SOS":
            while data[end] != 0xFF or data[end + 1] in (0, 0xFF) or 0xD0 <= data[end + 1] <= 0xD7:
                end += 1
            out.append(Segment("scan data", position, data[position:end]))
        elif name == "EOI":
            end = len(data)
            out += [Segment("", position, data[position:])] if position < end else []
        position = end
    return out


def find(data: bytes, name: str, index: int = 0) -> Segment:
    """Find the segment of that name, by default the first; "SOF" means any SOF."""
    return [s for s in segments(data) if s.name == name or (name == "SOF" and s.name.startswith("SOF"))][index]


def make_segment(name: str, body: bytes, *, length: int | None = None) -> bytes:
    """Make a marker segment; `length` is a wrong length field."""
    if name in ("SOI", "EOI", "TEM"):
        return bytes([0xFF, _MARKERS[name]])
    return bytes([0xFF, _MARKERS[name]]) + (len(body) + 2 if length is None else length).to_bytes(2, "big") + body


def _splice(data: bytes, start: int, end: int, new: bytes) -> bytes:
    return data[:start] + new + data[end:]


def replace_segment(
    data: bytes,
    name: str,
    *,
    index: int = 0,
    body: bytes | None = None,
    length: int | None = None,
    code_lengths: Sequence[int] | None = None,
) -> bytes:
    """Replace the body, the length field, or (DHT) the number of codes per length, with values repeated to fit."""
    old = find(data, name, index)
    new_body = old.body if body is None else body
    if code_lengths is not None:
        values = (old.body[17:] * 256)[: sum(code_lengths)]
        new_body = old.body[:1] + bytes(code_lengths) + values
    return _splice(data, old.offset, old.offset + len(old.raw), make_segment(old.name, new_body, length=length))


def rename_segment(data: bytes, name: str, new_name: str, index: int = 0) -> bytes:
    """Put another marker before the same parameters."""
    old = find(data, name, index)
    return _splice(data, old.offset, old.offset + 2, bytes([0xFF, _MARKERS[new_name]]))


def insert_segment(data: bytes, name: str, body: bytes = b"", *, before: str = "SOS", index: int = 0) -> bytes:
    at = find(data, before, index).offset
    return _splice(data, at, at, make_segment(name, body))


def remove_segment(data: bytes, name: str, index: int = 0) -> bytes:
    old = find(data, name, index)
    return _splice(data, old.offset, old.offset + len(old.raw), b"")


def insert_bytes(data: bytes, junk: bytes, *, before: str, index: int = 0) -> bytes:
    """Insert bytes that belong to no segment."""
    at = find(data, before, index).offset
    return _splice(data, at, at, junk)


def replace_scan_data(data: bytes, new: bytes, index: int = 0) -> bytes:
    old = find(data, "scan data", index)
    return _splice(data, old.offset, old.offset + len(old.raw), new)


def truncate_scan(data: bytes, keep: int, *, index: int = 0) -> bytes:
    """End the file after `keep` bytes of the scan's data."""
    return data[: find(data, "scan data", index).offset + keep]


def cut_scan(data: bytes, keep: int, *, index: int = 0) -> bytes:
    """Keep only `keep` bytes of the scan's data; the markers after it stay."""
    return replace_scan_data(data, find(data, "scan data", index).raw[:keep], index)


# ------------------------------------------------------------------------------------------- header fields


def set_frame(
    data: bytes,
    *,
    precision: int | None = None,
    height: int | None = None,
    width: int | None = None,
    components: Sequence[tuple[int, int, int, int]] | None = None,
    component_count: int | None = None,
) -> bytes:
    """Change fields of the frame header; components are (C_i, H_i, V_i, Tq_i)."""
    body = bytearray(find(data, "SOF").body)
    if precision is not None:
        body[0] = precision
    if height is not None:
        body[1:3] = height.to_bytes(2, "big")
    if width is not None:
        body[3:5] = width.to_bytes(2, "big")
    if components is not None:
        body[5:] = bytes([len(components)]) + b"".join(bytes([c, h << 4 | v, tq]) for c, h, v, tq in components)
    if component_count is not None:
        body[5] = component_count
    return replace_segment(data, "SOF", body=bytes(body))


def set_scan(
    data: bytes,
    *,
    index: int = 0,
    selectors: Sequence[tuple[int, int, int]] | None = None,
    component_count: int | None = None,
    Ss: int | None = None,
    Se: int | None = None,
    Ah: int | None = None,
    Al: int | None = None,
) -> bytes:
    """Change fields of a scan header; selectors are (Cs_j, Td_j, Ta_j)."""
    body = bytearray(find(data, "SOS", index).body)
    if selectors is not None:
        body[:-3] = bytes([len(selectors)]) + b"".join(bytes([c, td << 4 | ta]) for c, td, ta in selectors)
    if component_count is not None:
        body[0] = component_count
    body[-3] = body[-3] if Ss is None else Ss
    body[-2] = body[-2] if Se is None else Se
    body[-1] = (body[-1] >> 4 if Ah is None else Ah) << 4 | (body[-1] & 15 if Al is None else Al)
    return replace_segment(data, "SOS", index=index, body=bytes(body))


def move_height_to_dnl(data: bytes, height: int | None = None) -> bytes:
    """Set SOF to 0 lines and give their number in a DNL segment after the first scan (B.2.5)."""
    true_height = int.from_bytes(find(data, "SOF").body[1:3], "big")
    first_scan = find(data, "scan data")
    end = first_scan.offset + len(first_scan.raw)
    dnl = make_segment("DNL", (true_height if height is None else height).to_bytes(2, "big"))
    return set_frame(_splice(data, end, end, dnl), height=0)


# ----------------------------------------------------------------------------------------- restart markers


def restart_offsets(scan_data: bytes) -> list[int]:
    """Find the restart markers in a scan's data."""
    return [i for i in range(len(scan_data) - 1) if scan_data[i] == 0xFF and 0xD0 <= scan_data[i + 1] <= 0xD7]


def drop_restart_marker(data: bytes, n: int, *, index: int = 0) -> bytes:
    """Remove the n-th restart marker of a scan; the data around it stay."""
    scan_data = find(data, "scan data", index).raw
    at = restart_offsets(scan_data)[n]
    return replace_scan_data(data, _splice(scan_data, at, at + 2, b""), index)


def drop_restart_interval(data: bytes, n: int, *, index: int = 0) -> bytes:
    """Remove the n-th restart marker of a scan and the interval after it."""
    scan_data = find(data, "scan data", index).raw
    offsets = [*restart_offsets(scan_data), len(scan_data)]
    return replace_scan_data(data, _splice(scan_data, offsets[n], offsets[n + 1], b""), index)


def renumber_restart_marker(data: bytes, n: int, number: int, *, index: int = 0) -> bytes:
    """Change the n-th restart marker of a scan to RST<number>."""
    scan_data = find(data, "scan data", index).raw
    at = restart_offsets(scan_data)[n]
    return replace_scan_data(data, _splice(scan_data, at, at + 2, bytes([0xFF, 0xD0 + number])), index)


def swap_restart_markers(data: bytes, n: int, *, index: int = 0) -> bytes:
    """Exchange the n-th restart marker of a scan and the next one."""
    scan_data = find(data, "scan data", index).raw
    first, second = (scan_data[at + 1] - 0xD0 for at in restart_offsets(scan_data)[n : n + 2])
    return renumber_restart_marker(renumber_restart_marker(data, n, second, index=index), n + 1, first, index=index)
