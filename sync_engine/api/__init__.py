"""The canonical API: what other systems ask us and are told, in the company's own words and no vendor's (R061).

Every answer is given inside a transaction that carries the caller's session, so the API shows what a page would show the
same person, and refuses in sentences that say what to do next.
"""
