-- What a control sent to more people is read without everything else that happened: one event in twenty.
CREATE INDEX event_sent_on ON event (recorded_at) INCLUDE (document_id, business_unit) WHERE activity = 'approval_requested';
-- Which documents are tests is asked with every batch that is folded; there are few.
CREATE INDEX document_of_test ON document (document_id) WHERE is_test;
