"""One integer decides everything: the real engine on a real PostgreSQL, the four stand-ins with their own ledgers, people who
want things, and whatever can go wrong between them, in one thread on a clock that only the schedule moves.

    plan         what a seed draws: stories of documents, fault rates, engines. Plain data, which can be shrunk and kept
    landscape    the four systems, furnished, and engines connected to them
    journeys     how far a story has come
    stories      what people do, one journey at a time
    faults       when which fault happens
    wire         faults between engine and systems
    arena        a cell of PostgreSQL that is emptied between schedules
    actors       one engine as the schedule drives it: step by step, and killed anywhere
    schedule     runs a plan to its quiet end
    invariants   what must hold then, one file each
    calm         the same journeys without any fault, to compare the ends with
    shrink       the smallest plan that still fails
    simulate     many seeds, their coverage, and the report
"""
