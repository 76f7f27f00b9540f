"""The node tests itself."""

import shutil

from harness import ROOT, VALIDITY
from std_srvs.srv import Trigger


def self_test(peer):
    """Whether it passed, and what was said."""
    answer = peer.call(Trigger, "self_test", Trigger.Request())
    return answer.success, answer.message


def test_a_bundle_without_a_self_test_says_so(shared):
    passed, why = self_test(shared)
    assert not passed and "no self-test" in why


def test_a_self_test_that_fails_at_the_start_is_failed_and_one_that_passes_ends_it(start, peer, namespace, tmp_path):
    bundle = shutil.copytree(ROOT / "models/street", tmp_path / "street")
    picture = bundle / "self_test.png"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:-1] + b"?")
    with start(namespace, bundle=str(bundle)) as monitor:
        peer.wait_for_monitor(monitor)
        report = peer.wait(lambda: [r for r in peer.reports if VALIDITY[r.validity] == "FAILED"], "FAILED")[0]
        assert "the self-test failed" in report.reason and "self_test.png" in report.reason

        def errors():
            # Diagnostics from before it was tested may come once more.
            statuses = [diagnostics["self test"] for diagnostics in peer.diagnostics]
            return [status for status in statuses if status.level == status.ERROR]

        assert "self_test.png" in peer.wait(errors, "its error in diagnostics")[-1].message
        picture.write_bytes(whole)
        assert self_test(peer) == (True, "scores, weights and bundle.yaml are as expected")
        peer.reports.clear()
        report = peer.wait(lambda: peer.reports, "a report")[0]
        assert VALIDITY[report.validity] == "STARTING", report.reason
