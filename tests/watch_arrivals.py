"""Studies that arrive in random pieces while the watcher is stopped and killed at random moments:

    python -m tests.watch_arrivals --studies 500

Every content that a study had for long enough must have been analysed exactly once under each name
that the study had. That is counted from lines that the engine itself writes
(tests/support/watch_counting.py), not from what the watcher knows.
"""

import argparse
import heapq
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rcc_onnx.batch.resume import inputs_sha256
from rcc_onnx.phantom import make_study
from tests.support.watch_counting import content_of

PAUSE_S = 0.5
"""The longest between two pieces of a study, as a part of the stable time."""
LATE = 0.05
"""Of the studies get more files after they were analysed."""
RENAMED = 0.15
"""Of the studies get another name after they were analysed, and their own one again."""
END_S = 180.0
"""For everything to be done after the last arrival; more means that the watcher hangs."""


@dataclass
class Arrival:
    """One study: what it still has to go through, and what it must be analysed for.

    Attributes:
        steps: each does something and gives the seconds until the next; negative ones do not count
            as standing still.
        expected: names and contents that must be analysed, once each.
        stalled: the machine was so slow that the study stood still for as long as a whole one.
    """

    name: str
    steps: Iterator[float] = field(default_factory=lambda: iter(()))
    expected: set[tuple[str, str]] = field(default_factory=set)
    stalled: bool = False
    began_at: float = 0.0


@dataclass(frozen=True)
class Options:
    """`spread_s`: seconds over which studies arrive; `models`: a bundle, or none."""

    studies: int
    seed: int
    spread_s: float
    stable_s: float = 1.5
    restarts: int = 6
    models: str = "none"
    move: bool = False
    workers: int = 1


def main() -> None:
    """Run as a program: the answer is the exit code and one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--models", default="none", help="a bundle, for real analyses of phantoms")
    parser.add_argument("--move", action="store_true", help="with --move-done")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    seconds = given.studies * (0.15 if given.models == "none" else 1.0)
    with tempfile.TemporaryDirectory() as folder:
        found = watch_arrivals(Path(folder), Options(spread_s=seconds, **vars(given)))
    print(f"{given.studies} studies (seed {given.seed}), {given.restarts} restarts: {found}")


def watch_arrivals(folder: Path, options: Options) -> dict[str, int]:
    """Let studies arrive and watch them. AssertionError: one was analysed twice, or not at all."""
    try:
        return _Harness(folder, options).run()
    except AssertionError as error:
        raise AssertionError(f"seed {options.seed}: {error}") from error


class _Harness:
    def __init__(self, folder: Path, options: Options) -> None:
        self.options = options
        self.rng = random.Random(options.seed)
        self.inbox, self.out, self.done = folder / "in", folder / "out", folder / "done"
        self.log, self.said = folder / "log", folder / "said"
        self.inbox.mkdir()
        self.log.touch()
        self.process: subprocess.Popen[bytes] | None = None
        self.dropped = self.read = 0
        self.lines: list[dict[str, str]] = []
        real = options.models != "none"
        self.source = make_study(1, folder / "source", quick=True).folder if real else None

    def run(self) -> dict[str, int]:
        begun, spread = time.monotonic(), self.options.spread_s
        arrivals = [Arrival(f"study{number:04}") for number in range(self.options.studies)]
        for arrival in arrivals:
            arrival.steps = self.steps(arrival)
        events = [(self.rng.uniform(0, spread), number) for number in range(len(arrivals))]
        heapq.heapify(events)
        self.start()
        # In a thread, so that studies go on arriving meanwhile.
        restarts = ThreadPoolExecutor(1)
        restarted = restarts.submit(self.restart_at_random, begun, random.Random(self.options.seed))
        try:
            while events:
                if restarted.done():
                    restarted.result()
                assert time.monotonic() < begun + spread + END_S, "some were never analysed"
                at, number = heapq.heappop(events)
                time.sleep(max(begun + at - time.monotonic(), 0))
                pause = self.step(arrivals[number])
                if pause is not None:
                    heapq.heappush(events, (time.monotonic() - begun + pause, number))
            restarted.result()
            self.wait_for(set().union(*(arrival.expected for arrival in arrivals)))
            # After another start nothing is left to do.
            self.stop(signal.SIGKILL)
            self.start("--once")
            self.await_end(END_S)
        finally:
            restarts.shutdown()
            self.stop(signal.SIGTERM)
        return self.outcome(arrivals)

    def step(self, arrival: Arrival) -> float | None:
        before, arrival.began_at = arrival.began_at, time.monotonic()
        pause = next(arrival.steps, None)
        # From the begin of a step to the end of the next: files are written at any moment of both.
        stood = time.monotonic() - (before or arrival.began_at)
        arrival.stalled |= stood > 0.8 * self.options.stable_s
        if pause is None or pause < 0:
            arrival.began_at = 0.0
        return None if pause is None else abs(pause)

    # --- The watcher -----------------------------------------------------------------------------

    def start(self, *more: str) -> None:
        options = self.options
        words: list[object] = [sys.executable, "-m", "tests.support.watch_counting", self.log]
        words += [options.models, self.inbox, "--out", self.out, "--interval", 0.2, "--threads", 1]
        words += ["--stable-time", options.stable_s, "--workers", options.workers]
        words += ["--move-done", self.done] if options.move else []
        words += more
        with self.said.open("ab") as said:
            self.process = subprocess.Popen(
                [str(word) for word in words],
                stdout=said,
                stderr=said,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                start_new_session=True,
            )

    def restart_at_random(self, begun: float, rng: random.Random) -> None:
        spread = self.options.spread_s
        for at in sorted(rng.uniform(0.05, 1.0) * spread for _ in range(self.options.restarts)):
            time.sleep(max(begun + at - time.monotonic(), 0))
            self.stop(rng.choice([signal.SIGTERM, signal.SIGKILL]))
            self.start()

    def stop(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        # As long as systemd waits: the tables of all results are written at the end. Killed before
        # it could listen, it ends as any program does.
        self.await_end(60, 0, -how)

    def await_end(self, seconds: float, *codes: int) -> None:
        """Wait until the watcher and its processes have ended, and read what was analysed."""
        assert self.process is not None
        try:
            code = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it does not end within {seconds:.0f} s") from None
        assert code in (codes or (0,)), f"exit code {code}:\n{self.said.read_text()}"
        wait_for_end(self.process.pid)
        self.take_lines()

    def take_lines(self) -> None:
        """Read what was analysed since the last time, with no watcher running."""
        lines = self.all_lines()[self.read :]
        self.read += len(lines)
        last = {line["pid"]: place for place, line in enumerate(lines)}
        done = self.results()
        for place, line in enumerate(lines):
            later = any(other["case"] == line["case"] for other in lines[place + 1 :])
            has_result = (line["case"], line["inputs"]) in done
            if last[line["pid"]] == place and not has_result and not later:
                self.dropped += 1  # in hand when the watcher was stopped
            else:
                self.lines.append(line)

    def all_lines(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def results(self, pattern: str = "[!.]*.json") -> set[tuple[str, str]]:
        """Return the names and inputs of all results, or of those in files of this name."""
        found = set()
        for path in self.out.glob(pattern):
            # One may be replaced just now.
            with suppress(FileNotFoundError):
                document = json.loads(path.read_bytes())
                if path.name != "results.json":
                    found.add((document["case"], document["fingerprint"]["inputs_sha256"]))
        return found

    # --- The studies -----------------------------------------------------------------------------

    def steps(self, arrival: Arrival) -> Iterator[float]:
        """What happens to a study."""
        rng = self.rng
        way = rng.choice(["folder", "renamed folder", "renamed files", "zip", "renamed zip"])
        place = self.inbox / (f"{arrival.name}.zip" if "zip" in way else arrival.name)
        yield from (self.write_zip if "zip" in way else self.write_folder)(arrival, place, way)
        self.expect(arrival, place)
        fate = rng.random()
        if self.options.move or fate >= RENAMED + LATE:
            return
        yield from self.until_done(place)
        if fate < RENAMED or place.is_file():
            other = place.replace(place.with_name(f"later-{place.name}"))
            self.expect(arrival, other)
            yield from self.until_done(other)
            other.replace(place)
            return
        for late in range(rng.randint(1, 3)):
            (place / f"late{late}").write_bytes(rng.randbytes(100))
            yield self.pause()
        self.expect(arrival, place)

    def write_zip(self, arrival: Arrival, place: Path, way: str) -> Iterator[float]:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in self.files(arrival):
                archive.writestr(name, data)
        whole = buffer.getvalue()
        cuts = sorted(self.rng.sample(range(1, len(whole)), 3))
        writing = place.with_name(f"{place.name}.part") if way == "renamed zip" else place
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            with writing.open("ab") as file:
                file.write(whole[start:end])
            yield self.pause()
        writing.replace(place)

    def write_folder(self, arrival: Arrival, place: Path, way: str) -> Iterator[float]:
        writing = place.with_name(f"{place.name}.partial") if way == "renamed folder" else place
        for name, data in self.files(arrival):
            path = writing / name
            path.parent.mkdir(parents=True, exist_ok=True)
            first = path.with_name(f"{path.name}.tmp") if way == "renamed files" else path
            for piece in (data[: len(data) // 2], data):
                first.write_bytes(piece)
                if self.rng.random() < 0.5:
                    yield self.pause()
            first.replace(path)
        writing.replace(place)

    def files(self, arrival: Arrival) -> Iterator[tuple[str, bytes]]:
        if self.source is not None:
            yield "README", arrival.name.encode()
            yield from ((path.name, path.read_bytes()) for path in sorted(self.source.iterdir()))
            return
        for file in range(self.rng.randint(2, 5)):
            yield f"series{file % 2}/{file:03}", f"{arrival.name}, file {file} ".encode() * 20

    def pause(self) -> float:
        return self.rng.uniform(0, PAUSE_S * self.options.stable_s)

    def expect(self, arrival: Arrival, place: Path) -> None:
        arrival.expected.add((place.stem, content_of(place)))

    def until_done(self, place: Path) -> Iterator[float]:
        """Wait for a result of the study as it is now, not of half of it."""
        inputs = inputs_sha256(place)
        while (place.stem, inputs) not in self.results(f"{place.stem}.json"):
            yield -0.5

    # --- The end ---------------------------------------------------------------------------------

    def wait_for(self, wanted: set[tuple[str, str]]) -> None:
        until = time.monotonic() + END_S
        while True:
            lines, done = self.all_lines(), self.results()
            # The last one of a case that has a result has gone through what was begun before.
            last = {
                line["case"]: at
                for at, line in enumerate(lines)
                if (line["case"], line["inputs"]) in done
            }
            found = {
                (line["case"], line["content"])
                for at, line in enumerate(lines)
                if at <= last.get(line["case"], -1)
            }
            if wanted <= found:
                return
            assert time.monotonic() < until, f"{len(wanted - found)} were never analysed"
            time.sleep(0.5)

    def outcome(self, arrivals: list[Arrival]) -> dict[str, int]:
        counts = Counter((line["case"], line["content"]) for line in self.lines)
        wanted = set().union(*(arrival.expected for arrival in arrivals))
        stalled = tuple(arrival.name for arrival in arrivals if arrival.stalled)
        for key in counts.keys() | wanted:
            if key in wanted or not key[0].endswith(stalled):
                times, expected = counts[key], int(key in wanted)
                assert times == expected, f"{key[0]}: analysed {times} times, not {expected}"
        if self.options.move:
            assert not any(self.inbox.iterdir()), "studies were left in the inbox"
            moved = {(path.stem, content_of(path)) for path in self.done.iterdir()}
            assert moved == wanted, "what was moved is not what arrived"
        # The tables cover every result.
        document = json.loads((self.out / "results.json").read_bytes())
        assert {case["case"] for case in document["cases"]} == {case for case, _ in self.results()}
        assert not list(self.out.glob(".rcc-onnx-*.part*")), "something is half written"
        return {
            "contents": len(wanted),
            "analyses": len(self.lines) + self.dropped,
            "dropped and done again": self.dropped,
            "stood still for too long": len(stalled),
        }


def wait_for_end(group: int) -> None:
    """Wait until all processes of a group have ended, which lost their parent.

    Only then has each written its line about a study that it had just been given.
    """
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("a process outlives the watcher")


if __name__ == "__main__":
    main()
