"""What happens to the system while requests come: outages of the upstream service, deploys of the web server."""

from __future__ import annotations

import trio

from detrun_scenarios.web_server.site import Site
from detrun_scenarios.web_server.workload.sizes import Outage

DOWN_SECONDS = 0.05  # between the end of a server and the start of the next


async def suffer(site: Site, outage: Outage) -> None:
    """One outage."""
    await trio.sleep(outage.at)
    site.upstream.slowness = outage.slowness
    site.upstream.failure_share = outage.failure_share
    site.upstream.silent_share = outage.silent_share
    site.database.slowness = outage.database_slowness
    await trio.sleep(outage.seconds)
    site.upstream.slowness = 1.0
    site.upstream.failure_share = 0.0
    site.upstream.silent_share = 0.0
    site.database.slowness = 1.0


async def deploy(site: Site, at: float) -> None:
    """Terminate the server, and start it again when it has stopped. A server that is down is started by its faults."""
    await trio.sleep(at)
    if site.web_node.is_running and not site.web_node.is_paused:
        site.web.terminate()
        await site.web_node.ended()
        await trio.sleep(DOWN_SECONDS)
        if not site.web_node.is_running and site.web_node.is_powered:
            site.web_node.start(site.web.run)
