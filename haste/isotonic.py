"""Isotonic regression: what is known to rise, out of measurements that scatter."""

from collections.abc import Sequence


def rising(values: Sequence[float]) -> list[float]:
    """The nearest values in least squares that never fall: neighbours that do are pooled (Barlow et al. 1972)."""
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, count = value, 1
        while pools and pools[-1][0] > mean:
            before, many = pools.pop()
            mean, count = (before * many + mean * count) / (many + count), many + count
        pools.append((mean, count))
    return [mean for mean, count in pools for _ in range(count)]
