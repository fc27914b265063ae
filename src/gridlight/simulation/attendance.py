"""Who is there: nodes come, keep their hours, leave and vanish; and what the bus sees of it."""

from collections.abc import Callable
from typing import Final

from gridlight.core.draw import draw_many
from gridlight.messages.codec import Event
from gridlight.messages.nodes import NodeDisconnected
from gridlight.simulation.distributions import MILLION, exponential
from gridlight.simulation.entries import Closed
from gridlight.simulation.minds import Minds
from gridlight.simulation.population import AWAY, HERE, SILENT, Population
from gridlight.simulation.scenario import Attempts, Churn
from gridlight.simulation.timeline import Timeline

JITTER_MS: Final = 2_000
"""Nodes that come all at once spread over this."""

_HOUR_MS: Final = 3_600_000
_MINUTE_MS: Final = 60_000
_AS_DRAWN: Final = 0


class Attendance:
    """Comings and goings of one run. `came` and `lost` tell the rest of the node of it."""

    def __init__(
        self,
        *,
        seed: int,
        churn: Churn,
        attempts: Attempts,
        population: Population,
        minds: Minds,
        timeline: Timeline,
        tell: Callable[[Event], None],
    ) -> None:
        self.here = 0
        self.vanished = 0
        self.left = 0
        self.is_faulty = True
        """Until faults stop: then nobody leaves any more."""
        self._seed = seed
        self._churn = churn
        self._attempts = attempts
        self._population = population
        self._minds = minds
        self._timeline = timeline
        self._tell = tell
        self._away_ms = exponential(churn.away_ms)
        leaving = churn.leave_ppm_per_minute
        self._stay_ms = exponential(_MINUTE_MS * MILLION // leaving) if leaving else None

    def begin(self, node: int) -> None:
        """At the start: those who are there come within a moment, the others when their time is."""
        draws = draw_many(self._seed, "begin", node)
        start_ms = self._timeline.now_ms
        when_ms = start_ms + 1 + draws[0] % JITTER_MS
        leaving, away_ms = self._churn.leave_ppm_per_minute, self._churn.away_ms
        if leaving:
            stay_ms = _MINUTE_MS * MILLION // leaving
            if draws[1] % (stay_ms + away_ms) >= stay_ms:
                when_ms += self._away_ms[draws[2] & 0xFFFF]
        self._return_at(node, when_ms)

    def change(self, node: int) -> bool:
        """Its time has come, unless it has moved meanwhile: True where the node is there now and was not before."""
        population, now_ms = self._population, self._timeline.now_ms
        if population.change_ms[node] != now_ms:
            return False
        if population.presence[node] == HERE:
            if self.is_faulty:
                self.left += 1
                self.go(node, is_silent=False, away_ms=_AS_DRAWN)
            return False
        population.presence[node] = HERE
        population.life[node] += 1
        population.session[node] += 1
        self.here += 1
        self._minds.begin(node)
        self._leave_in_time(node)
        return True

    def go(self, node: int, *, is_silent: bool, away_ms: int) -> None:
        """The node is lost now, for so long, or for as long as is drawn; the caller has it forgotten."""
        population, now_ms, attempts = self._population, self._timeline.now_ms, self._attempts
        assert population.presence[node] == HERE
        population.presence[node] = SILENT if is_silent else AWAY
        self.here -= 1
        seen_ms = attempts.silence_seen_ms if is_silent else attempts.close_seen_ms
        self._timeline.put(now_ms + seen_ms, Closed(node, population.ids[node], population.session[node]))
        if not away_ms:
            away_ms = self._away_ms[draw_many(self._seed, "away", node, population.life[node])[0] & 0xFFFF]
        self._return_at(node, now_ms + max(away_ms, attempts.close_seen_ms + 1))

    def closed(self, entry: Closed) -> None:
        """The bus tells the coordinator, which cannot know whether the node has come back on a new connection."""
        population = self._population
        if population.session[entry.node] == entry.session and population.presence[entry.node] == SILENT:
            population.presence[entry.node] = AWAY
        self._tell(NodeDisconnected(node_id=entry.node_id))

    def reconnect(self, node: int) -> None:
        """A new connection of the same process, or the bus no longer believes in one that was gone."""
        population = self._population
        if population.presence[node] == HERE:
            population.session[node] += 1
        else:
            population.presence[node] = AWAY

    def _leave_in_time(self, node: int) -> None:
        now_ms = self._timeline.now_ms
        until_ms = self._day_end_ms(node, now_ms)
        if self._stay_ms is not None:
            draws = draw_many(self._seed, "stay", node, self._population.life[node])
            stays_until_ms = now_ms + 1 + self._stay_ms[draws[0] & 0xFFFF]
            until_ms = min(until_ms, stays_until_ms) if until_ms else stays_until_ms
        self._population.change_ms[node] = until_ms
        if until_ms:
            self._timeline.put(until_ms, node)

    def _return_at(self, node: int, when_ms: int) -> None:
        """Then, or at the beginning of its next day where that is later."""
        if self._churn.day_hours < 24:
            hour = (when_ms // _HOUR_MS - self._population.day_start[node]) % 24
            if hour >= self._churn.day_hours:
                when_ms = (when_ms // _HOUR_MS + 24 - hour) * _HOUR_MS + when_ms % JITTER_MS
        self._population.change_ms[node] = when_ms
        self._timeline.put(when_ms, node)

    def _day_end_ms(self, node: int, now_ms: int) -> int:
        """When its hours are over; 0 where it keeps none."""
        if self._churn.day_hours == 24:
            return 0
        hour = (now_ms // _HOUR_MS - self._population.day_start[node]) % 24
        return (now_ms // _HOUR_MS + self._churn.day_hours - hour) * _HOUR_MS + 1
