"""A monitor's figures for Prometheus: a registry of its own, filled anew from the document at each scrape.

Notable: labels are model versions, attributes and groups, all of which the monitor's settings bound; alarms and limits
are the document's own numbers, so what Prometheus stores is what people are shown.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

_ANSWERS = ("PASS", "FAIL", "INCONCLUSIVE")
_BY_SERIES = ("model_version", "metric", "attribute", "group", "side", "source")
_BY_RATE = ("model_version", "metric", "attribute", "group")
_SERIES = {
    "value": "Estimate of what a bound is about.",
    "low": "Lower limit, which holds at every decision at once.",
    "high": "Upper limit, which holds at every decision at once.",
    "bound": "What is to hold.",
    "e_value": "Capital of the bets against the bound; they began with 1.",
    "e_needed": "Capital at which the bound has failed.",
}


def exported(document: Mapping[str, Any]) -> str:
    """The text format of a monitor's document."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Document(document))
    return generate_latest(registry).decode()


class _Document:
    """A collector, as `CollectorRegistry.register` takes it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document

    def collect(self) -> Iterator[Metric]:
        read = GaugeMetricFamily("equiray_monitor_read_records", "Records of the audit log that have been read.")
        read.add_metric([], self.document["as_of"]["seq"])
        yield read
        passed = CounterMetricFamily("equiray_monitor_passed_over", "Rows that are not watched.", labels=["why"])
        for why, count in self.document["passed_over"].items():
            if isinstance(count, int):
                passed.add_metric([why], count)
        yield passed
        for word in ("decisions", "outcomes"):
            total = CounterMetricFamily(f"equiray_{word}", f"{word.capitalize()} read.", labels=["model_version"])
            for version in self.document["versions"]:
                total.add_metric([version["model_version"]], version[word])
            yield total
        yield from self._series()
        yield self._rates()

    def _series(self) -> Iterator[Metric]:
        for word, about in _SERIES.items():
            gauge = GaugeMetricFamily(f"equiray_bound_{word}", about, labels=_BY_SERIES)
            for labels, series in self._each_series():
                if series[word] is not None:
                    gauge.add_metric(labels, series[word])
            yield gauge
        verdict = GaugeMetricFamily(
            "equiray_bound_verdict", "1 for the verdict that holds.", labels=[*_BY_SERIES, "verdict"]
        )
        for labels, series in self._each_series():
            for answer in _ANSWERS:
                verdict.add_metric([*labels, answer], float(series["verdict"] == answer))
        yield verdict

    def _each_series(self) -> Iterator[tuple[list[str], Mapping[str, Any]]]:
        for version in self.document["versions"]:
            for series in version["series"]:
                named = {**series, "model_version": version["model_version"]}
                yield [str(named[label] or "") for label in _BY_SERIES], series

    def _rates(self) -> Metric:
        gauge = GaugeMetricFamily("equiray_group_rate", "A group's rate, where it can be estimated.", labels=_BY_RATE)
        for version in self.document["versions"]:
            for attribute in version["attributes"]:
                for group in attribute["groups"]:
                    for rate in group["rates"]:
                        if rate["value"] is not None:
                            labels = [version["model_version"], rate["metric"], attribute["attribute"], group["group"]]
                            gauge.add_metric(labels, rate["value"])
        return gauge
