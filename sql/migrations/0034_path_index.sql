-- What one type of document went through in a period is read without the paths of all the others.
CREATE INDEX path_by_last_of_type ON document_path (source, last_at, document_type);
DROP INDEX path_by_last;
