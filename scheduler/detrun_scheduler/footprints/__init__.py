"""Which objects a step touches and how: what partial-order reduction, coverage and race reports read."""
