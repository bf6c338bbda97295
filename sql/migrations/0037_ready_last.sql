-- Each document is looked up among the ordered events once, and the planner does not know how many there are of a log that is new: without
-- this it may read everything that is ordered for each of them.
CREATE INDEX ready_last ON ready_event (import_id, document_id) WHERE is_last;
