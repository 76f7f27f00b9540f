"""The SROS 2 policy names what the node says, hears and answers, and no more."""

import xml.etree.ElementTree as Tree

from harness import ROOT

POLICY = ROOT / "config" / "sros2" / "monitor.policy.xml"

# What the node has for some parameters, or in some builds, only.
SOMETIMES = {
    "labels", "labels/compressed", "label_info", "vision_label_info", "/clock", "~/vision_label_info",
}

# What comes with ROS itself, in some versions of it.
OF_ROS = {"/parameter_events", "/rosout"}


def allowed(kind, verb):
    """Names that the policy allows the node to use so."""
    profile = Tree.parse(POLICY).getroot().find(".//profile[@node='monitor']")
    return {item.text for group in profile.findall(f"{kind}s[@{verb}='ALLOW']") for item in group.findall(kind)}


def used(names_and_types, namespace):
    """Names as the policy writes them."""
    found = set()
    for name, _ in names_and_types:
        for prefix, short in ((f"/{namespace}/monitor/", "~/"), (f"/{namespace}/", "")):
            if name.startswith(prefix):
                name = short + name.removeprefix(prefix)
                break
        found.add(name)
    return found


def test_the_policy_allows_what_the_node_does_and_no_more(start, peer, namespace):
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        node, where = peer.node, ("monitor", f"/{namespace}")
        for kind, verb, ask in (
            ("topic", "publish", node.get_publisher_names_and_types_by_node),
            ("topic", "subscribe", node.get_subscriber_names_and_types_by_node),
            ("service", "reply", node.get_service_names_and_types_by_node),
        ):
            uses, may = used(ask(*where), namespace), allowed(kind, verb)
            assert uses <= may, f"{verb}: not allowed and used"
            assert may - uses <= SOMETIMES | OF_ROS, f"{verb}: allowed and not used"
