"""Arrivals through the real queue and controller on a virtual clock: one box or thousands, and how that is shown."""
