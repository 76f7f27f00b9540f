"""The report as a page of Markdown."""


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.2f} %" if total else "-"


def page(report: dict) -> str:
    """A page of what fleet.json holds. The bags with most failures stand first."""
    frames = report["frames"]
    lines = [
        "# Fleet",
        "",
        f"{report['replayed']} of {report['bags']} bags, {frames} frames, {report['hours']:.3f} h recorded. "
        f"FAILURE began {report['failures_begun']} times, {_number(report['failures_begun_an_hour'], 2)} an hour.",
        "",
    ]
    if report["lost"]:
        lines += [
            f"**{report['lost']} parts of recordings could not be read; {report['doubtful']} frames are doubtful.**",
            "",
        ]
    if report["failed"] or report["missing"]:
        lines += ["## Not in the figures", ""]
        lines += [f"- {_cell(failed['bag'])}: {_cell(failed['why'])}" for failed in report["failed"]]
        lines += [f"- {_cell(bag)}: not replayed" for bag in report["missing"]] + [""]
    lines += ["## Levels", ""]
    lines += _table(
        ["level", "frames", "share"],
        [[name, str(count), _share(count, frames)] for name, count in report["level"].items()],
    )
    lines += ["## Validity of reports", ""]
    lines += _table(["validity", "reports"], [[name, str(count)] for name, count in report["validity"].items()])
    lines += ["## Scores", ""]
    names = ["mean", "p50", "p95", "p99", "max"]
    lines += _table(
        ["score", *names, "frames without"],
        [
            [name, *(_number(found and found[column], 4) for column in names), str(report["without_score"][name])]
            for name, found in report["scores"].items()
        ],
    )
    lines += ["## Classes", ""]
    lines += _table(
        ["class", "frames with it", "predicted IoU p50", "anomaly regions"],
        [
            [
                _cell(name),
                str(seen["frames"]),
                _number(seen["predicted_iou"] and seen["predicted_iou"]["p50"]),
                str(report["anomaly_regions"].get(name, 0)),
            ]
            for name, seen in report["classes"].items()
        ],
    )
    lines += ["## Bags", ""]
    bags = sorted(report["of_bags"], key=lambda bag: (-bag["failures_begun"], bag["bag"]))
    lines += _table(
        ["bag", "frames", "failures begun", "lost"],
        [[_cell(bag["bag"]), str(bag["frames"]), str(bag["failures_begun"]), str(bag["lost"])] for bag in bags[:100]],
    )
    if len(bags) > 100:
        lines += [f"And {len(bags) - 100} more, in fleet.json.", ""]
    return "\n".join(lines)
