"""Hypothesis' settings: the same examples at each run; `HYPOTHESIS_PROFILE=explore` looks for new ones."""

import os

from hypothesis import HealthCheck, settings

# A loaded machine is no reason to fail.
settings.register_profile("repeat", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))
