"""PromQL of the panels: over all instances, of the models chosen."""

from collections.abc import Mapping

MODEL = 'model=~"$model"'
_ROUTES = 'route=~"/classify|/v2/.*/infer"'


def total(series: str, *more: str, by: str = "") -> str:
    """Growth a second of a counter that names models, summed over all instances."""
    return _rate(series, (MODEL, *more), by)


def _rate(series: str, matchers: tuple[str, ...], by: str) -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({series}{{{', '.join(matchers)}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, *matchers: str, by: str = "") -> str:
    """Of a histogram, over all instances."""
    inner = _rate(f"{histogram}_bucket", matchers, f"le, {by}" if by else "le")
    return f"histogram_quantile({share}, {inner})"


def part(name: str) -> str:
    """A share of the dense FLOPs."""
    return f"{total(f'haste_{name}_flops_total')} / {total('haste_dense_flops_total')}"


SAVED = f"1 - {part('executed')}"
TIME_SAVED = f"1 - {total('haste_compared_forward_seconds_total')} / {total('haste_dense_forward_seconds_total')}"
OFFERED = total("haste_inference_requests_total", 'outcome=~"ok|rejected|error"')
IN_TIME = f"{total('haste_requests_within_slo_total')} / {OFFERED}"
L_NOW = f"haste_model_hyperplanes{{{MODEL}}}"
PRESSURE = f"max by (instance) (haste_controller_pressure_ratio{{{MODEL}}})"
DURATION = "haste_http_request_duration_seconds"
LATENCIES: Mapping[str, str] = {
    "half": quantile(0.5, DURATION, _ROUTES),
    "95 %": quantile(0.95, DURATION, _ROUTES),
    "99 %": quantile(0.99, DURATION, _ROUTES),
    "objective": f"min(haste_slo_target_seconds{{{MODEL}}})",
}
