-- How far the log has been projected: the position of the last fact whose rows are here.
CREATE TABLE projection (
    one      BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one),
    position BIGINT NOT NULL CHECK (position >= 0)
);
INSERT INTO projection (position) VALUES (0);
