"""What a person sees of `rcc-onnx bench`. Nothing here prints."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from rcc_onnx.diagnostics.bench import Measurement, Recommendation

MB = 1_000_000


def measurements_table(measurements: Sequence[Measurement]) -> Table:
    """A row for each setup: cold, warm, slices per second, memory."""
    table = Table(title="A case on this machine", title_justify="left")
    table.add_column("setup", overflow="fold", min_width=14)
    for name in ("cold s", "warm p50 s", "p95 s", "slices/s", "peak MB"):
        table.add_column(name, justify="right")
    for one in measurements:
        if not one.answers or one.cold_s is None:
            table.add_row(Text(one.setup.label), Text("not measured", style="yellow"))
            continue
        table.add_row(
            Text(one.setup.label),
            f"{one.cold_s:.2f}",
            f"{one.p50_s:.2f}",
            f"{one.p95_s:.2f}",
            f"{one.slices_per_s:.1f}",
            memory_words(one.peak_memory_bytes),
        )
    return table


def stages_table(measurements: Sequence[Measurement]) -> Table:
    """Median warm seconds by stage, a column for each setup."""
    ran = [one for one in measurements if one.answers]
    table = Table(title="Warm seconds by stage, median", title_justify="left")
    table.add_column("stage", overflow="fold")
    for one in ran:
        table.add_column(one.setup.label, justify="right", overflow="fold")
    for stage in dict.fromkeys(stage for one in ran for stage in one.stages):
        table.add_row(stage.replace("_", " "), *(f"{one.stage_s(stage):.3f}" for one in ran))
    table.add_row("everything else", *(f"{one.rest_s:.3f}" for one in ran))
    return table


def cases_table(measurements: Sequence[Measurement], studies: Sequence[str]) -> Table:
    """Median warm seconds by case, a column for each setup."""
    ran = [one for one in measurements if one.answers]
    table = Table(title="Warm seconds by case, median", title_justify="left")
    table.add_column("case", overflow="fold")
    table.add_column("slices", justify="right")
    for one in ran:
        table.add_column(one.setup.label, justify="right", overflow="fold")
    for index, study in enumerate(studies):
        slices = next((one.warm[index][-1].slices for one in ran if index in one.warm), "")
        times = (f"{one.case_p50_s(index):.2f}" if index in one.warm else "failed" for one in ran)
        table.add_row(Text(study), str(slices), *times)
    return table


def notes(measurements: Sequence[Measurement], choice: Recommendation) -> tuple[str, ...]:
    """What could not be measured, what ran, and what to take, a line each."""
    lines = [
        f"not measured: {one.setup.label}: {one.refused}" for one in measurements if one.refused
    ]
    for one in measurements:
        if one.answers:
            last = one.answers[-1]
            lines.append(
                f"{one.setup.label}: onnxruntime {last.runtime}, {last.threads} threads, models "
                f"{last.bundle}, {len(one.answers)} warm runs"
            )
    options = f"--provider {choice.setup.provider}"
    if choice.setup.precision != "float32":
        options += f" --precision {choice.setup.precision}"
    return (*lines, f"Recommended here: {options} ({choice.reason}).")


def memory_words(peak: int | None) -> str:
    """Megabytes, or that they could not be asked."""
    return "unknown" if peak is None else f"{peak / MB:.0f}"
