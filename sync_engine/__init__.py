"""The process that moves documents between procurement, approval tools and ERPs, and what is known about it.

    control, insight  ->  engine  ->  database, model        (arrows point at what may be imported)

`model` is pure and readable by a finance person; `database` finds PostgreSQL and keeps its schema; `engine` does the
work; `insight` answers the pages' questions; `control` is what people may do. A test holds the arrows.
"""
