-- Whom a question is about, in words that an account has in common with it; what was unusual about the call when it was asked;
-- and how often it was put before somebody.
ALTER TABLE approvals ADD COLUMN holder TEXT NOT NULL DEFAULT '';
ALTER TABLE approvals ADD COLUMN unusual TEXT NOT NULL DEFAULT '';
ALTER TABLE approvals ADD COLUMN shown INTEGER NOT NULL DEFAULT 0;
