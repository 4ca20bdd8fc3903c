"""The same request over and over by wrk: as fast as the front answers."""

import json
import subprocess
from dataclasses import dataclass
from typing import Final

from bench.front import Front
from bench.load.turn import Meter, Sample, Wrong
from bench.processes import program
from bench.stage import Stage

# wrk reads this; what it counted comes back as JSON, because its own words round.
_SCRIPT: Final = """\
wrk.method = "{method}"
{fields}
wrk.body = {content} > 0 and string.rep("x", {content}) or nil
done = function(summary, latency)
  local e = summary.errors
  io.stderr:write(string.format(
    '{{"count": %d, "bytes": %d, "errors": %d, "p50": %.4f, "p99": %.4f}}\\n',
    summary.requests, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """`answer` is the file that comes back; `upload` bytes are sent, None for a GET.

    `gzip`: that compression is asked for, and has to come.
    """

    role: str
    path: str
    answer: str
    fields: tuple[tuple[str, str], ...] = ()
    upload: int | None = None
    connections: int = 32
    gzip: bool = False
    unit: str = "µs"
    fresh: bool = False

    @property
    def all_fields(self) -> dict[str, str]:
        """All header fields that are sent."""
        return {**dict(self.fields), **({"Accept-Encoding": "gzip"} if self.gzip else {})}

    @property
    def method(self) -> str:
        return "GET" if self.upload is None else "PUT"

    def run(self, front: Front, stage: Stage, seconds: float) -> Sample:
        script = stage.folder / "wrk.lua"
        fields = "\n".join(f'wrk.headers["{name}"] = "{v}"' for name, v in self.all_fields.items())
        text = _SCRIPT.format(method=self.method, fields=fields, content=self.upload or 0)
        script.write_text(text, encoding="ascii")
        port = front.main if self.role == "main" else front.uap
        turn = max(1, round(seconds))
        meter = Meter(front)
        done = subprocess.run(  # noqa: S603 - fixed words and our own paths
            [
                *(program("wrk") or "wrk", "-t1", f"-c{self.connections}", f"-d{turn}s"),
                *("--timeout", "10s", "-s", str(script), f"https://localhost:{port}{self.path}"),
            ],
            capture_output=True,
            text=True,
            timeout=turn + 30,
            check=False,
        )
        used = meter.microseconds()
        if done.returncode or not done.stderr.startswith("{"):
            raise Wrong(f"wrk failed: {(done.stderr or done.stdout).strip()[-200:]}")
        told = json.loads(done.stderr)
        if told["errors"] or not told["count"]:
            raise Wrong(f"{told['errors']} errors with {told['count']} answers")
        return Sample(
            cost=used / told["count"],
            count=told["count"],
            seconds=turn,
            p50=told["p50"],
            p99=told["p99"],
            wire=told["bytes"] / told["count"],
        )
