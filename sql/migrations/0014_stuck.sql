-- The days of the page on stuck documents read what was closed in them, not every exception there ever was.
CREATE INDEX case_closed ON exception_case (closed_at) WHERE blocks;
