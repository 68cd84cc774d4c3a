"""OpenTelemetry's meter announces an instrument before it is there, and a second thread that wants it gets a KeyError.

Reported: https://github.com/open-telemetry/opentelemetry-python/issues/4892; in the SDK 1.39.1, fixed in 1.40.0. Check,
then act, over two locks.

Two threads create the counter that both use. The same name gives the same counter.
"""

import threading

from opentelemetry.sdk.metrics import MeterProvider


def main() -> None:
    meter = MeterProvider(shutdown_on_exit=False).get_meter("shop")
    counters = []

    def serve() -> None:
        counters.append(meter.create_counter("orders"))

    threads = [threading.Thread(target=serve) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, second = counters
    assert first is second
