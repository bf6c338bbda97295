"""Planted bugs: each takes one guard of the program away, for the length of one run and in this process only, and some invariant
has to see it. A mutant nobody sees is a missing invariant (RELIABILITY 0.10 and 4.2).

    patches     how a bug is planted: words of a function, a statement or the schema are others
    mutant      one bug, and the schedules in which it is looked for
    profiles    those schedules
    sending     what would be ordered twice                claiming    work between engines, and restraint
    intake      what is told                               deciding    rules that span systems
    records     what is on record, and who may see it
    hunt        looks for each, seed by seed, beside a run without it that has to stay silent
"""

from sandbox.simulation.mutants.claiming import CLAIMING
from sandbox.simulation.mutants.deciding import DECIDING
from sandbox.simulation.mutants.intake import INTAKE
from sandbox.simulation.mutants.mutant import Mutant
from sandbox.simulation.mutants.records import RECORDS
from sandbox.simulation.mutants.sending import SENDING

MUTANTS: dict[str, Mutant] = {mutant.name: mutant for mutant in (*SENDING, *CLAIMING, *INTAKE, *DECIDING, *RECORDS)}
