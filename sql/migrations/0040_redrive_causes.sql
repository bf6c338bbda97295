-- A reprocessing of several causes is judged cause by cause: one that is still there holds back its own documents and nobody else's.

ALTER TABLE redrive_item
    ADD COLUMN cause text NOT NULL DEFAULT '';                    -- the fingerprint its exception had when it was asked for
