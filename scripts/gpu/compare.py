"""Two folders of `synthcp monitor --maps`, compared. Nothing but Python's own library is needed."""

import array
import concurrent.futures
import json
import math
import struct
import zlib


def grey(path):
    """The bytes of a PNG of eight grey bits a pixel."""
    data = path.read_bytes()
    at, width, packed = 8, 0, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, _height, depth, colour = struct.unpack(">IIBB", body[:10])
            if (depth, colour) != (8, 0):
                raise ValueError(f"{path.name} has {depth} bits of colour type {colour}, 8 of type 0 are needed")
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    lines, above, pixels = zlib.decompress(packed), bytearray(width), bytearray()
    for start in range(0, len(lines), width + 1):
        above = unfiltered(lines[start], lines[start + 1 : start + 1 + width], above)
        pixels += above
    return pixels


def unfiltered(filter_type, line, above):
    """A line of a PNG as it was before it was filtered."""
    line = bytearray(line)
    for i in range(len(line) if filter_type else 0):
        left = line[i - 1] if i else 0
        if filter_type == 1:
            guess = left
        elif filter_type == 2:
            guess = above[i]
        elif filter_type == 3:
            guess = (left + above[i]) // 2
        else:
            corner = above[i - 1] if i else 0
            base = left + above[i] - corner
            guess = min((left, above[i], corner), key=lambda value: abs(base - value))
        line[i] = (line[i] + guess) & 255
    return line


def numbers(path):
    """The numbers of a .npy file of 32-bit floats."""
    data = path.read_bytes()
    length = struct.unpack("<H", data[8:10])[0]
    if b"'<f4'" not in data[10 : 10 + length]:
        raise ValueError(f"{path.name} is not of 32-bit floats")
    return array.array("f", data[10 + length :])


def reports(folder):
    """The lines of a report, by image."""
    lines = (json.loads(line) for line in (folder / "report.jsonl").read_text().splitlines())
    return {line["image"]: line for line in lines}


SCORES = ("failure_score", "predicted_miou", "error_area", "anomaly_area")
MAPS = ("error_probability", "anomaly_score")


def apart(a, b):
    """How far two numbers are from each other; two that are both missing are not."""
    if a is None or b is None:
        return 0.0 if a is b else math.inf
    return abs(a - b)


def compare(folder, reference):
    """How the results in `folder` differ from those in `reference`, over all frames."""
    ours, theirs = reports(folder), reports(reference)
    frames = [(folder, reference, mine, theirs[image]) for image, mine in ours.items()]
    with concurrent.futures.ProcessPoolExecutor() as pool:
        compared = list(pool.map(frame, frames))
    total = {name: sum(one[name] for one in compared) for name in ("level", "same labels", "labels")}
    row = {"frames": len(frames), "same levels": total["level"]}
    row["equal labels %"] = 100 * total["same labels"] / total["labels"]
    for name in SCORES + MAPS:
        row[f"{name}, largest"] = max(one[name] for one in compared)
    for name in MAPS:
        row[f"{name}, mean"] = sum(one[f"{name}, mean"] for one in compared) / len(compared)
    return row


def frame(pair):
    """How one frame's results differ."""
    folder, reference, mine, other = pair
    image = mine["image"]
    if mine["validity"] != "OK" or other["validity"] != "OK":
        raise ValueError(f"{image} is {mine['validity']} here and {other['validity']} there: {mine.get('reason')}")
    stem = mine["picture"].rsplit(".", 1)[0]
    labels = [grey(where / f"{stem}.labels.png") for where in (folder, reference)]
    found = {score: apart(mine[score], other[score]) for score in SCORES}
    found["level"] = mine["level"] == other["level"]
    found["labels"], found["same labels"] = len(labels[0]), sum(map(int.__eq__, *labels))
    for name in MAPS:
        both = [numbers(where / f"{stem}.{name}.npy") for where in (folder, reference)]
        differences = [abs(a - b) for a, b in zip(*both)]
        if any(map(math.isnan, differences)):
            raise ValueError(f"{name} of {image} holds NaN")
        found[name], found[f"{name}, mean"] = max(differences), sum(differences) / len(differences)
    return found
