"""The reads behind `/laboratory/`: what a laboratory did, how long it took, whether people and networks agree, and
whether the machine keeps up. Each in a number of queries that does not grow with what it counts."""

from diagnosis.dashboard.images import Override, Overrides, overrides
from diagnosis.dashboard.machinery import Machine, machine
from diagnosis.dashboard.period import DEFAULT, PERIODS, Period
from diagnosis.dashboard.sources import Agreement, Change, Share, Source, agreement
from diagnosis.dashboard.tallies import READING, tally
from diagnosis.dashboard.work import Flow, Now, Turnaround, Volume, Workload, flow, now, workload

__all__ = [
    "DEFAULT",
    "PERIODS",
    "READING",
    "Agreement",
    "Change",
    "Flow",
    "Machine",
    "Now",
    "Override",
    "Overrides",
    "Period",
    "Share",
    "Source",
    "Turnaround",
    "Volume",
    "Workload",
    "agreement",
    "flow",
    "machine",
    "now",
    "overrides",
    "tally",
    "workload",
]
