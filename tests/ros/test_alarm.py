"""An alarm that stays until it is acknowledged."""

from harness import LEVEL, road
from std_srvs.srv import Trigger

# Whatever this bundle says is NOMINAL, at once.
CALM = {"threshold.caution": 1.0, "threshold.failure": 1.0, "threshold.anomaly_area": 1.0, "release_frames": 1}


def levels(report):
    """Of this frame alone, debounced, latched."""
    return tuple(LEVEL[level] for level in (report.raw_level, report.level, report.latched_level))


def acknowledge(peer):
    """Whether it was taken, and what was said."""
    answer = peer.call(Trigger, "acknowledge", Trigger.Request())
    return answer.success, answer.message


def test_an_alarm_stays_until_it_is_acknowledged_once_it_is_over(start, peer, namespace):
    with start(namespace, latch_level="failure", source_timeout=0, **CALM) as monitor:
        peer.wait_for_monitor(monitor)
        taken, why = acknowledge(peer)
        assert not taken and "still FAILURE" in why
        assert levels(peer.ask(road())) == ("NOMINAL", "NOMINAL", "FAILURE")
        status = peer.wait(lambda: peer.diagnostics and "is held" in peer.diagnostics[-1]["segmentation"].message
                           and peer.diagnostics[-1]["segmentation"], "diagnostics that say so")
        values = {item.key: item.value for item in status.values}
        assert (values["level"], values["latched_level"], status.level) == ("NOMINAL", "FAILURE", status.ERROR)
        assert acknowledge(peer) == (True, "FAILURE is acknowledged and no longer held")
        assert levels(peer.ask(road(seed=1))) == ("NOMINAL",) * 3
        assert acknowledge(peer) == (True, "no level was held")


def test_without_a_latch_the_latched_level_is_the_level(shared):
    report = shared.ask(road())
    assert report.latched_level == report.level and report.calibration == report.CALIBRATION_UNKNOWN
    assert acknowledge(shared) == (True, "no level is ever held: latch_level is none")
