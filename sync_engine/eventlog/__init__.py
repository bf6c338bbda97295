"""Event logs of any maker, in and out: OCEL 1 and 2, XES, CSV and Parquet against the tables our own engine writes.

Readers turn a file into records (`records`); `importing` stages them, puts them in order and writes them as recordings;
`stored` reads a log back and the writers put it into a format. A foreign log's times count by `event_at`: `recorded_at`
is when it was imported.

Who may see an imported log: its owner is one business unit, or nobody, and then only people who see all units see it. A
column may name a unit for every row instead; a document whose rows name different units is nobody's.
"""
