"""Bugs in what is taken in: lost, told twice, understood wrongly, or standing in the way of others."""

from sandbox.simulation.mutants import profiles
from sandbox.simulation.mutants.mutant import Mutant
from sandbox.simulation.mutants.patches import Value, code, statement

APPLYING = "sync_engine.engine.applying"
KEEP = "sync_engine.engine.collect:Collector._keep"

FORGET_FIRST = """
        store.run(connection, "record.forget_pending", message_id=[row["message_id"] for row in rows])
        connection.execute("COMMIT", prepare=False)
        connection.execute("BEGIN", prepare=False)"""
FINISH_FIRST = """store.run(
        connection, "intake.finish_feed", system=self.system.name, feed=feed.name, fencing_token=fencing_token,
        cursor=json.dumps(page.cursor), due_at=due_at, complete_until=page.complete_until, now=now)
    """

INTAKE = (
    Mutant(
        "no_inbox",
        "intake",
        "A message that was told before is not told again",
        ("once",),
        profiles.RETOLD,
        (
            statement(
                "intake.store_messages",
                ("FROM told t JOIN new USING (message_id)", "FROM told t"),
                ("SELECT message_id, :now, :now FROM new", "SELECT message_id, :now, :now FROM told"),
            ),
        ),
    ),
    Mutant(
        "forgotten_before_applied",
        "intake",
        "A message is taken out of the inbox in the transaction that applies it",
        ("nothing_lost",),
        profiles.KILLED_READING,
        (
            code(
                "sync_engine.engine.intake:_apply_batch",
                (
                    "if not rows:\n            return 0",
                    "if not rows:\n            return 0" + FORGET_FIRST,
                ),
            ),
        ),
    ),
    Mutant(
        "cursor_before_page",
        "intake",
        "A feed's cursor moves in the transaction that keeps the page",
        ("nothing_lost", "liveness", "totals"),
        profiles.KILLED_READING,
        (
            code(
                KEEP,
                (
                    "with atomic.transaction(connection):",
                    FINISH_FIRST + "with atomic.transaction(connection):",
                ),
            ),
        ),
    ),
    Mutant(
        "cursor_by_our_clock",
        "intake",
        "A feed's cursor is the time of what was told, not ours: the vendor's clock is another one",
        ("nothing_lost", "liveness", "totals", "confluence"),
        profiles.OTHER_CLOCKS,
        (
            code(
                "collectors.coupa_api:_Run.ended",
                ('{"seen": max(told).isoformat()} if told else {}', '{"seen": self.began_at.isoformat()}'),
            ),
        ),
    ),
    Mutant(
        "second_page_lost",
        "intake",
        "A feed that has more pages is read to its end",
        ("nothing_lost", "liveness", "totals"),
        profiles.TWO_SIDES,
        (
            code(
                "collectors.coupa_api:read_changes",
                ("return rows, following.cursor(), True", 'return rows, {"seen": run.began_at.isoformat()}, False'),
            ),
        ),
        setting=(Value("collectors.coupa_api:PAGE_SIZE", 2),),
    ),
    Mutant(
        "older_news_counts",
        "intake",
        "News older than what is known moves nothing (R050)",
        ("legal_states",),
        profiles.RETOLD,
        (
            code(
                f"{APPLYING}:Batch._news",
                (
                    "elif head.source_at is not None and news.source_at < head.source_at:",
                    "elif head.source_at is not None and news.source_at < head.source_at and not head:",
                ),
            ),
        ),
    ),
    Mutant(
        "parked_without_a_case",
        "intake",
        "What cannot be understood is parked with a reason and an owner",
        ("nothing_lost",),
        profiles.NASTY,
        (
            code(
                f"{APPLYING}:Batch._park",
                (
                    "case_id = recording.case(understood.trouble, head=head, message_id=understood.message_id)",
                    "case_id = recording.new_id(recording.now); is_new = False",
                ),
            ),
        ),
    ),
    Mutant(
        "unplanned_for",
        "intake",
        "What a system tells wrongly is an error somebody planned for",
        ("poison",),
        profiles.NASTY,
        (
            code(
                "sync_engine.engine.understanding:understand",
                ("except SyncError as error:", "except UnicodeError as error:"),
            ),
        ),
    ),
    Mutant(
        "poison_holds_up_the_others",
        "intake",
        "One message nobody can record is parked alone, and the others go on",
        ("no_step_raises", "liveness"),
        profiles.NASTY,
        (
            code(
                "sync_engine.engine.understanding:understand",
                ("understood.trouble = Trouble(", "raise ValueError(error)\n        understood.trouble = Trouble("),
            ),
            code("sync_engine.engine.poison:smaller_and_smaller", ("wanted = max(1, wanted // 8)", "raise")),
        ),
    ),
    Mutant(
        "links_are_not_awaited",
        "intake",
        "A link to a document that has not arrived is made when it arrives",
        ("confluence", "liveness"),
        profiles.UNKNOWN_NUMBERS,
        (code("sync_engine.engine.store:_link", ("if not tables:", "if tables or not tables:")),),
    ),
    Mutant(
        "unknown_status_guessed",
        "intake",
        "A status word that is in no table is never guessed",
        ("poison",),
        profiles.NASTY,
        (
            code(
                "collectors.basware_invoices:understand",
                ("if word is None:", "if word is None:\n        word = Word(take=True)\n    if word is ...:"),
            ),
        ),
        setting=(
            code(
                "sandbox.simulation.wire:FaultTransport._poison",
                ("record[name] = chance.choice(NASTY)", 'record["processingStatus"] = "on_the_moon"'),
            ),
            Value("sandbox.simulation.wire:SPOILABLE", ("basware",)),
        ),
    ),
)
