-- Statements and credit notes. AUTOINCREMENT: a number that went does not come back.
CREATE TABLE statements (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    corrects   INTEGER REFERENCES statements,
    company    TEXT NOT NULL,
    plan       TEXT NOT NULL,
    first_hour INTEGER NOT NULL,
    end_hour   INTEGER NOT NULL,
    currency   TEXT NOT NULL,
    total      INTEGER NOT NULL,
    body       TEXT NOT NULL,
    hash       TEXT NOT NULL,
    made       INTEGER NOT NULL,
    closed     INTEGER
) STRICT;
CREATE INDEX statements_by_company ON statements (company, first_hour);
CREATE INDEX statements_by_corrected ON statements (corrects) WHERE corrects IS NOT NULL;

-- Whoever has the file at hand should not change it by mistake either.
CREATE TRIGGER closed_statements_stay_as_they_are BEFORE UPDATE ON statements WHEN OLD.closed IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a closed statement does not change'); END;
CREATE TRIGGER closed_statements_stay BEFORE DELETE ON statements WHEN OLD.closed IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a closed statement is not deleted'); END;
