"""Parts with a time limit each, and results that are on disk after every one of them."""

import json
import os
import pathlib
import signal
import subprocess
import time
import traceback


class OutOfTime(Exception):
    """A command, or the whole run, had no time left."""


class Absent(Exception):
    """Something is not there that the part would need; nothing is wrong with what is."""


class Harness:
    """Runs parts within a common time limit and keeps what they found."""

    def __init__(self, out, seconds):
        self.out = pathlib.Path(out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.end = time.monotonic() + seconds
        self.part_end = self.end
        self.started = time.monotonic()
        self.results = {"parts": {}}
        self.log = open(self.out / "log.txt", "w", buffering=1)

    def left(self):
        """Seconds until the part in hand has to end."""
        return min(self.end, self.part_end) - time.monotonic()

    def part(self, name, title, limit, work):
        """Carries out a part. Whatever goes wrong in it is its result, and the next part follows."""
        begun = time.monotonic()
        self.part_end = begun + limit
        result = {"title": title, "status": "running"}
        self.results["parts"][name] = result
        print(f"== {name}: {title}", flush=True)
        self.log.write(f"\n==== {name}: {title}\n")
        try:
            if self.left() < 2:
                raise OutOfTime("the run has no time left for it")
            # What it finds is kept as it comes, also of a part that is cut short.
            result["passed"] = bool(work(self, result))
            result["status"] = "done"
        except Absent as reason:
            result.update(status="left out", reason=str(reason))
        except OutOfTime as reason:
            result.update(status="out of time", reason=str(reason))
        except Exception as reason:  # noqa: BLE001: a part that fails is a result, not the end of the run
            self.log.write(traceback.format_exc())
            result.update(status="failed", reason=f"{type(reason).__name__}: {reason}"[:500])
        result["seconds"] = round(time.monotonic() - begun, 1)
        self.write()
        verdict = {True: "pass", False: "FAIL"}.get(result.get("passed"), result["status"])
        print(f"   {verdict} ({result['seconds']} s) {result.get('reason', '')}", flush=True)

    def command(self, arguments, env=None, limit=None):
        """Runs a command; gives its exit code, and what it wrote to either output. Its output is in the log."""
        seconds = min(self.left(), limit or self.left())
        if seconds < 1:
            raise OutOfTime(f"no time left for {pathlib.Path(arguments[0]).name} {arguments[1]}")
        self.log.write(f"$ {' '.join(map(str, arguments))}   {env or ''}\n")
        begun = time.monotonic()
        child = subprocess.Popen(
            [str(a) for a in arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            out, err = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            kill(child)
            out, err = child.communicate()
            self.note(out, err, "cut short", begun)
            raise OutOfTime(f"{' '.join(map(str, arguments[1:3]))} took longer than {seconds:.0f} s") from None
        self.note(out, err, f"exit {child.returncode}", begun)
        return child.returncode, out, err

    def note(self, out, err, end, begun):
        """Keeps the ends of a command's outputs."""
        self.log.write(f"{out[-6000:]}\n{err[-4000:]}\n-- {end} after {time.monotonic() - begun:.1f} s\n")

    def write(self):
        """Brings the results to disk, whole."""
        self.results["seconds"] = round(time.monotonic() - self.started, 1)
        for name, text in (("results.json", json.dumps(self.results, indent=1)), ("results.md", page(self.results))):
            part = self.out / f"{name}.part"
            part.write_text(text)
            part.replace(self.out / name)


def kill(child):
    """Ends a command and all that it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def page(results):
    """The results for people: a table of the parts, then what each found."""
    lines = ["# Checks on this machine", ""]
    lines += [f"- {key}: {value}" for key, value in results.get("machine", {}).items()]
    lines += ["", "| part | | result | s |", "|---|---|---|---|"]
    for name, part in results["parts"].items():
        verdict = {True: "pass", False: "**FAIL**"}.get(part.get("passed"), f"**{part['status']}**")
        reason = f": {part['reason']}" if "reason" in part else ""
        lines.append(f"| {name} | {part['title']} | {verdict}{reason} | {part.get('seconds', '')} |")
    for name, part in results["parts"].items():
        for title, rows in part.get("tables", {}).items():
            if rows:
                lines += ["", f"## {name}: {title}", "", *table(rows)]
        lines += ["", *(f"- {name}: {note}" for note in part.get("notes", []))]
    return "\n".join(lines) + "\n"


def table(rows):
    """Rows, which are all dictionaries, as a table of Markdown."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    shown = [" | ".join(cell(row.get(column, "")) for column in columns) for row in rows]
    return [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns), *(f"| {row} |" for row in shown)]


def cell(value):
    """A value as it stands in a table."""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value).replace("|", "/")
