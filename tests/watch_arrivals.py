"""Studies that arrive in random pieces while the watcher is stopped and killed at random moments:

    python -m tests.watch_arrivals --studies 500

Every content that a study had for long enough must have been analysed exactly once. That is
counted from lines that the engine itself writes (tests/support/watch_counting.py), not from what
the watcher knows.
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
from dataclasses import dataclass, field
from pathlib import Path

from rcc_onnx.phantom import make_study
from tests.support.watch_counting import content_of

INTERVAL_S = 0.2
PAUSE_S = 0.5
"""The longest between two pieces of a study, as a part of the stable time."""
LATE = 0.05
"""Of the studies get more files after they were analysed."""
RENAMED = 0.15
"""Of the studies get another name after they were analysed."""
END_S = 180.0
"""For everything to be done after the last arrival; more means that the watcher hangs."""


@dataclass
class Arrival:
    """One study: what it still has to go through, and what it must be analysed for.

    Attributes:
        steps: each does something and gives the seconds until the next, or None to be asked again.
        contents: those that must be analysed, once each.
        stalled: the machine was so slow that the study stood still for as long as a whole one.
    """

    number: int
    steps: Iterator[float]
    contents: set[str] = field(default_factory=set)
    stalled: bool = False
    moved_at: float = 0.0


@dataclass(frozen=True)
class Options:
    studies: int
    seed: int
    spread_s: float
    """Seconds over which studies arrive."""
    stable_s: float = 1.5
    restarts: int = 6
    models: str = "none"
    move: bool = False
    workers: int = 1


@dataclass(frozen=True)
class Outcome:
    analyses: int
    contents: int
    dropped: int
    stalled: int
    seconds: float


def main() -> None:
    """Run as a program: the answer is the exit code and one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--models", default="none", help="a bundle, for real analyses of phantoms")
    parser.add_argument("--move", action="store_true", help="with --move-done")
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    seconds = asked.studies * (0.15 if asked.models == "none" else 1.0)
    options = Options(spread_s=seconds, **vars(asked))
    with tempfile.TemporaryDirectory() as folder:
        found = watch_arrivals(Path(folder), options)
    print(
        f"{asked.studies} studies (seed {asked.seed}), {asked.restarts} restarts, "
        f"{found.seconds:.0f} s: {found.contents} contents, {found.analyses} analyses, "
        f"{found.dropped} of them dropped by a restart and done again, {found.stalled} studies "
        "stood still for too long"
    )


def watch_arrivals(folder: Path, options: Options) -> Outcome:
    """Let studies arrive and watch them.

    Raises:
        AssertionError: a study was analysed twice, or not at all; it says the seed.
    """
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

    def run(self) -> Outcome:
        begun = time.monotonic()
        arrivals = [self.arrival(number) for number in range(self.options.studies)]
        events = [(self.rng.uniform(0, self.options.spread_s), one) for one in range(len(arrivals))]
        heapq.heapify(events)
        self.start()
        # In a thread, so that studies go on arriving meanwhile.
        restarts = ThreadPoolExecutor(1)
        restarted = restarts.submit(self.restart_at_random, begun, random.Random(self.options.seed))
        try:
            until = begun + self.options.spread_s + END_S
            while events:
                if restarted.done():
                    restarted.result()
                assert time.monotonic() < until, "some were never analysed"
                at, number = heapq.heappop(events)
                time.sleep(max(begun + at - time.monotonic(), 0))
                pause = self.step(arrivals[number])
                if pause is not None:
                    heapq.heappush(events, (time.monotonic() - begun + pause, number))
            restarted.result()
            self.wait_for(arrivals)
            # A watcher that has nothing to do must do nothing.
            self.restart(signal.SIGKILL)
            time.sleep(2 * self.options.stable_s + 2)
        finally:
            restarts.shutdown()
            self.stop(signal.SIGTERM)
        return self.outcome(arrivals, time.monotonic() - begun)

    def step(self, arrival: Arrival) -> float | None:
        now = time.monotonic()
        if arrival.moved_at and now - arrival.moved_at > 0.8 * self.options.stable_s:
            arrival.stalled = True
        pause = next(arrival.steps, None)
        arrival.moved_at = 0.0 if pause is None or pause < 0 else time.monotonic()
        return None if pause is None else abs(pause)

    # --- The watcher -----------------------------------------------------------------------------

    def start(self) -> None:
        move: list[object] = ["--move-done", self.done] if self.options.move else []
        options = self.options
        command: list[object] = [
            sys.executable,
            "-m",
            "tests.support.watch_counting",
            self.log,
            options.models,
        ]
        command += [self.inbox, "--out", self.out, *move, "--interval", INTERVAL_S]
        command += ["--stable-time", options.stable_s, "--workers", options.workers]
        with self.said.open("ab") as said:
            self.process = subprocess.Popen(
                [str(one) for one in (*command, "--threads", 1)],
                stdout=said,
                stderr=said,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )

    def restart_at_random(self, begun: float, rng: random.Random) -> None:
        spread = self.options.spread_s
        for at in sorted(rng.uniform(0.05, 1.0) * spread for _ in range(self.options.restarts)):
            time.sleep(max(begun + at - time.monotonic(), 0))
            self.restart(rng.choice([signal.SIGTERM, signal.SIGKILL]))

    def restart(self, how: signal.Signals) -> None:
        self.stop(how)
        self.start()

    def stop(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        begun = time.monotonic()
        try:
            code = self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{how.name} does not stop it") from None
        # Killed before it could listen, it ends as any program does.
        assert code in (0, -how), f"exit code {code} after {how.name}:\n{self.said.read_text()}"
        assert how is signal.SIGKILL or time.monotonic() - begun < 10, "it did not stop in time"
        self.take_lines()

    def take_lines(self) -> None:
        """Read what was analysed since the last time, with no watcher running."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()][self.read :]
        self.read += len(lines)
        for pid in {line["pid"] for line in lines}:
            wait_for_end(pid)
        last = {line["pid"]: place for place, line in enumerate(lines)}
        done = self.results()
        for place, line in enumerate(lines):
            later = [one for one in lines[place + 1 :] if one["case"] == line["case"]]
            in_hand = last[line["pid"]] == place and line["inputs"] not in done and not later
            if in_hand:
                self.dropped += 1
            else:
                self.lines.append(line)

    def results(self) -> set[str]:
        """The inputs of every result that lies there."""
        found = set()
        for path in self.out.glob("[!.]*.json"):
            document = json.loads(path.read_bytes())
            if path.name != "results.json":
                found.add(document["fingerprint"]["inputs_sha256"])
        return found

    # --- The studies -----------------------------------------------------------------------------

    def arrival(self, number: int) -> Arrival:
        arrival = Arrival(number, iter(()))
        arrival.steps = self.steps(arrival)
        return arrival

    def steps(self, arrival: Arrival) -> Iterator[float]:
        """What happens to a study: seconds to wait after each step; negative ones do not count as
        standing still."""
        rng, name = self.rng, f"study{arrival.number:04}"
        files = dict(self.files(arrival.number))
        way = rng.choice(["folder", "renamed folder", "renamed files", "zip", "renamed zip"])
        place = self.inbox / (f"{name}.zip" if "zip" in way else name)
        if "zip" in way:
            data = zipped(files)
            cuts = sorted(rng.sample(range(1, len(data)), 3))
            pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
            writing = place.with_name(f"{place.name}.part") if way == "renamed zip" else place
            for piece in pieces:
                with writing.open("ab") as file:
                    file.write(piece)
                yield self.pause()
        else:
            writing = place.with_name(f"{name}.partial") if way == "renamed folder" else place
            for file_name, data in files.items():
                path = writing / file_name
                path.parent.mkdir(parents=True, exist_ok=True)
                first = path.with_name(f"{path.name}.tmp") if way == "renamed files" else path
                first.write_bytes(data[: len(data) // 2])
                if rng.random() < 0.5:
                    yield self.pause()
                first.write_bytes(data)
                first.replace(path)
                if rng.random() < 0.5:
                    yield self.pause()
        writing.replace(place)
        arrival.contents.add(content_of(place))
        if self.options.move:
            return
        fate = rng.random()
        if fate < RENAMED + LATE:
            while not self.is_done(place):
                yield -0.5
            if fate < RENAMED or place.is_file():
                place.replace(place.with_name(f"later-{place.name}"))
            else:
                for late in range(rng.randint(1, 3)):
                    (place / f"late{late}").write_bytes(rng.randbytes(100))
                    yield self.pause()
                arrival.contents.add(content_of(place))

    def files(self, number: int) -> Iterator[tuple[str, bytes]]:
        if self.source is not None:
            yield "README", f"study {number}".encode()
            for path in sorted(self.source.iterdir()):
                yield path.name, path.read_bytes()
            return
        for file in range(self.rng.randint(2, 5)):
            yield f"series{file % 2}/{file:03}", f"study {number}, file {file} ".encode() * 20

    def pause(self) -> float:
        return self.rng.uniform(0, PAUSE_S * self.options.stable_s)

    def is_done(self, place: Path) -> bool:
        """Whether a result lies there; one that is of half the study too, so that it is not waited
        for for ever."""
        return (self.out / f"{place.stem}.json").is_file()

    # --- The end ---------------------------------------------------------------------------------

    def wait_for(self, arrivals: list[Arrival]) -> None:
        wanted = {content for one in arrivals for content in one.contents}
        until = time.monotonic() + END_S
        while True:
            lines = [json.loads(line) for line in self.log.read_text().splitlines()]
            done = self.results()
            # The last one of a case that has a result has gone through what was begun before.
            last = {line["case"]: at for at, line in enumerate(lines) if line["inputs"] in done}
            found = {
                line["content"] for at, line in enumerate(lines) if at <= last.get(line["case"], -1)
            }
            if wanted <= found:
                return
            assert time.monotonic() < until, f"{len(wanted - found)} were never analysed"
            time.sleep(0.5)

    def outcome(self, arrivals: list[Arrival], seconds: float) -> Outcome:
        counts = Counter(line["content"] for line in self.lines)
        wanted = Counter(content for one in arrivals for content in one.contents)
        stalled = {one.number for one in arrivals if one.stalled}
        excused = {
            line["content"]
            for line in self.lines
            if any(line["case"].endswith(f"study{number:04}") for number in stalled)
        }
        for content in counts | wanted:
            if content in wanted or content not in excused:
                cases = {line["case"] for line in self.lines if line["content"] == content}
                assert counts[content] == wanted[content] == 1, (
                    f"{cases or content}: analysed {counts[content]} times, not {wanted[content]}"
                )
        if self.options.move:
            assert not any(self.inbox.iterdir()), "studies were left in the inbox"
            moved = {content_of(path) for path in self.done.iterdir()}
            assert moved == set(wanted), "what was moved is not what arrived"
        check_run_files(self.out)
        analyses = len(self.lines) + self.dropped
        return Outcome(analyses, len(wanted), self.dropped, len(stalled), seconds)


def check_run_files(out: Path) -> None:
    """The tables cover every result."""
    document = json.loads((out / "results.json").read_bytes())
    cases = {path.stem for path in out.glob("[!.]*.json")} - {"results"}
    assert {one["case"] for one in document["cases"]} == cases
    assert not list(out.glob(".rcc-onnx-*.part*")), "something is half written"


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def wait_for_end(pid: int) -> None:
    """Wait until a process that lost its parent has ended."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("a process outlives the watcher")


if __name__ == "__main__":
    main()
