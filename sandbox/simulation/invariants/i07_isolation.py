"""I7: nobody sees or acts on another business unit's documents (promise P6): the application's role with one unit's session reads
every guarded table and view, what it asked for across the border has to have been denied, and whoever carries no session sees
nothing at all."""

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding
from sandbox.simulation.landscape import UNITS
from sync_engine.control.access import acting
from sync_engine.database.connections import borrowed
from sync_engine.database.statements import sql


def isolation(ended: Ended) -> list[Finding]:
    """Foreign rows a session of one unit can read, and trespasses that were carried out."""
    found = []
    arena = ended.schedule.arena
    for unit in UNITS:
        who = f"analyst.{unit.lower()}"
        with acting(arena.app, arena.sessions[who].token) as connection:
            rows = connection.execute(sql("simulate.foreign_rows"), {"units": [unit]}).fetchall()
        found += [
            Finding("isolation", table, f"{who} sees {count} rows of other units") for table, count in rows if count
        ]
    with borrowed(arena.app) as connection:
        rows = connection.execute(sql("simulate.foreign_rows"), {"units": ["nobody's"]}).fetchall()
        connection.execute("RESET finsync.session")  # what a planted bug has left is not the next schedule's
    found += [Finding("isolation", table, f"nobody's session sees {count} rows") for table, count in rows if count]
    answers = {row["command_id"]: row["status"] for row in ended.rows("simulate.commands")}
    found += [
        Finding("isolation", str(command_id), f"asked for across the border, and {answers.get(command_id)}")
        for command_id in ended.schedule.operators.trespasses
        if answers.get(command_id) not in {"denied", None}
    ]
    return found
