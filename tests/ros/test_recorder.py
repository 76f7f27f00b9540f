"""Recordings of what led to an alarm."""

from harness import LEVEL, road, wait_until
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from test_alarm import CALM


def recordings(folder):
    """The whole files."""
    return sorted(folder.glob("event_*.mcap")) if folder.exists() else []


def read(path):
    """The decoded messages by topic, and the metadata."""
    with path.open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        messages = {}
        for _, channel, _, message in reader.iter_decoded_messages():
            messages.setdefault(channel.topic, []).append(message)
        (metadata,) = (found.metadata for found in reader.iter_metadata())
    return messages, metadata


def test_a_rise_of_the_level_leaves_a_recording(start, peer, namespace, tmp_path):
    folder = tmp_path / "events"
    record = {"record.dir": str(folder), "record.seconds": 1.0, "trigger_frames": 1}
    with start(namespace, **CALM, **record) as monitor:
        peer.wait_for_monitor(monitor)
        assert LEVEL[peer.ask(road()).level] == "NOMINAL"
        assert peer.set_parameter("threshold.caution", 0.0) == (True, "")
        frame_id = peer.send_picture(road(seed=1))
        report = peer.report_on(frame_id)
        assert LEVEL[report.level] == "CAUTION"
        (path,) = wait_until(lambda: recordings(folder), f"a recording\n{monitor.log}", peer.spin)
        status = peer.wait(
            lambda: [d for d in peer.diagnostics if str(path) in str(d["event recorder"].values)], "diagnostics"
        )[-1]["event recorder"]
        assert status.level == status.OK
    messages, metadata = read(path)
    assert frame_id in [image.header.frame_id for image in messages[f"/{namespace}/image"]]
    recorded = [r for r in messages[f"/{namespace}/monitor/report"] if r.header.frame_id == frame_id]
    assert (recorded[0].level, recorded[0].failure_score) == (report.level, report.failure_score)
    assert (metadata["level"], metadata["bundle_hash"], metadata["messages_lost"]) == ("CAUTION", report.bundle_hash, "0")
    assert "threshold.caution: 0" in metadata["configuration"] and len(metadata["configuration_sha256"]) == 64
