"""What the pages ask: one typed function per question over `sql/queries/report.sql` and `report_<subject>.sql`, grouped by the page that asks.

Every question runs through `Reports`: in a read-only transaction that carries the asker's session, so that the database
decides what they see, and under a time limit. Amounts are in group currency unless a name says otherwise.
"""

from sync_engine.insight.reports.reading import Cache, DatabaseAway, Reports, TooSlow, Unanswered

__all__ = ["Cache", "DatabaseAway", "Reports", "TooSlow", "Unanswered"]
