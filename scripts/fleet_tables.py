"""The tables of docs/fleet.md: boxes that a load needs, and what clients saw of a fleet on Ray Serve."""

from result_tables import read, table

BOXES, RAY = "fleet-x86_64.json", "ray-x86_64.json"
_POLICIES = {
    "controller": "with the controller",
    "fixed L=exact": "without, `exact`",
    "fixed L=dense": "without, `dense`",
}


def boxes() -> str:
    """A row for each arrival process and load, a column for each policy."""
    found = read(BOXES)
    rows = [
        (
            row["arrival"],
            f"{row['factor']:,}x",
            f"{row['rate']:,}",
            *("none is enough" if row["boxes"][name] is None else f"{row['boxes'][name]:,}" for name in _POLICIES),
        )
        for row in found["rows"]
    ]
    return table(("arrivals", "load", "images a second", *_POLICIES.values()), rows)


def ray_steps() -> str:
    """A row for each thing that was done to the fleet, and the sum."""
    found = read(RAY)
    rows = [
        (
            step["name"],
            step["replicas"],
            f"{step['seconds']:.0f}",
            f"{step['answered']:,}",
            str(step["retries"]),
            str(step["lost"]),
            ", ".join(f"{level}: {count:,}" for level, count in step["levels"].items()),
        )
        for step in found["steps"]
    ]
    total = found["requests"]
    head = ("what was done", "replicas", "seconds", "answered", "asked again", "lost", "answers by L")
    sums = f"{total['answered']:,} requests answered, {total['lost']} lost, {total['retries']} attempts made again; "
    return f"{table(head, rows)}\n\n{sums}the longest took {total['longest_seconds']:.1f} s. Ray {found['ray']}."
