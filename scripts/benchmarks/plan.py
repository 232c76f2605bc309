"""What a thousand million images take, by arithmetic from what one of them takes."""

from typing import Any

HOURS = 24.0  # in which they are to be done
BYTES = 300e3  # of an image's file
ROW_BYTES = 100.0  # of a row of the results
LISTED_BYTES = 1000.0  # of memory for an image in the list of a run
IN_USE = 0.7  # share of the time in which a core is at work
CORES = 32  # of a machine
# List prices in dollars, of on-demand machines and of an object store.
CORE_HOUR, MILLION_READS = 0.04, 0.4
READS_PER_SECOND = 5500.0  # that an object store serves below one prefix
RUN, BLOCK = 10**7, 1024  # images that a run lists, and that a worker is given at once


def rows(milliseconds: float) -> list[dict[str, Any]]:
    """A line for each quantity: what it is, how it follows, and how much it is.

    Args:
        milliseconds: of a core, for one image.

    Returns:
        Records as docs/figures keeps them.
    """
    rate, seconds = 1e9 / (3600 * HOURS), milliseconds / 1000
    hours, cores, stored = 1e9 * seconds / 3600, rate * seconds / IN_USE, rate * BYTES
    machines = -(-cores // CORES)
    each, each_second, kilobytes = f"{milliseconds:g} ms", f"{rate:,.0f} images/s", f"{BYTES / 1e3:g} kB"
    lines = [
        ("rate", f"10^9 / {HOURS:g} h", each_second),
        ("core hours", f"10^9 x {each}", f"{hours:,.0f}"),
        ("cores", f"{each_second} x {each} / {IN_USE:g} in use", f"{cores:,.0f}"),
        ("machines", f"of {CORES} cores", f"{machines:,.0f}"),
        ("price of the cores", f"core hours / {IN_USE:g} x ${CORE_HOUR:g}", f"${hours / IN_USE * CORE_HOUR:,.0f}"),
        ("images in storage", f"10^9 x {kilobytes}", f"{1e9 * BYTES / 1e12:,.0f} TB"),
        ("reads", f"{each_second} x {kilobytes}", f"{stored / 1e9:.1f} GB/s"),
        ("reads of a machine", f"the same / {machines:,.0f} machines", f"{stored / machines / 1e6:,.0f} MB/s"),
        ("prefixes", f"{each_second} / {READS_PER_SECOND:,.0f} reads/s", f"{-(-rate // READS_PER_SECOND):,.0f}"),
        ("price of the reads", f"10^9 x ${MILLION_READS:g} for a million", f"${1000 * MILLION_READS:,.0f}"),
        ("results", f"10^9 rows x {ROW_BYTES:g} bytes", f"{ROW_BYTES:,.0f} GB"),
        ("runs", f"10^9 / {RUN:,}", f"{1e9 / RUN:,.0f}"),
        ("memory of a run", f"{RUN:,} x {LISTED_BYTES / 1e3:g} kB", f"{RUN * LISTED_BYTES / 1e9:,.0f} GB"),
        ("time of a run", f"{RUN:,} / {each_second}", f"{RUN / rate / 60:.0f} min"),
        ("files of a run", f"{RUN:,} / {BLOCK:,}", f"{RUN / BLOCK:,.0f}"),
        ("lost with a worker", f"{BLOCK:,} x {each}", f"{BLOCK * seconds:.0f} s"),
    ]
    return [{"kind": "plan", "what": what, "by": by, "amount": amount} for what, by, amount in lines]
