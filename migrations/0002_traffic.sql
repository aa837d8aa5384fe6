-- Traffic between models and versions: experiments, rollouts, what answered at any instant, and reports. Every
-- step of them is a decision.

ALTER TABLE run DROP CONSTRAINT run_state_check;
ALTER TABLE run ADD CONSTRAINT run_state_check
    CHECK (state IN ('requested', 'running', 'succeeded', 'failed', 'admitted', 'refused', 'promoted'));

-- A decision is in force until the next one about the same.
ALTER TABLE decision
    ADD COLUMN about TEXT,
    ADD COLUMN endpoint TEXT,
    ADD COLUMN experiment TEXT,
    ALTER COLUMN model DROP NOT NULL,
    DROP CONSTRAINT decision_verdict_check,
    ADD CONSTRAINT decision_verdict_check
        CHECK (verdict IN ('started', 'held', 'changed', 'admitted', 'advanced', 'promoted', 'refused', 'failed',
                           'rolled_back', 'began', 'removed', 'concluded', 'routed'));
UPDATE decision d
SET about = COALESCE('policy ' || d.policy, 'first version') || ' on ' || d.model, endpoint = m.endpoint
FROM model m
WHERE m.name = d.model;
ALTER TABLE decision ALTER COLUMN about SET NOT NULL, ALTER COLUMN endpoint SET NOT NULL;
DROP INDEX decision_open;
CREATE UNIQUE INDEX decision_open ON decision (about) WHERE until IS NULL;
CREATE INDEX decision_endpoint ON decision (endpoint, at);

DROP VIEW decision_row;
CREATE VIEW decision_row AS
SELECT d.id AS internal, d.key, d.at, d.until, d.position, d.about, d.policy, d.policy_version, d.model, d.endpoint,
       d.experiment, d.verdict, d.trigger, d.reason, d.evaluations, d.signals, r.public_id AS run
FROM decision d
LEFT JOIN run r ON r.decision = d.id;

-- From `at` on, until the endpoint's next row, requests are answered in these proportions.
CREATE TABLE routing (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint   TEXT NOT NULL,
    at         TIMESTAMPTZ NOT NULL,
    position   BIGINT NOT NULL,
    decision   BIGINT NOT NULL UNIQUE REFERENCES decision,
    epoch      TIMESTAMPTZ NOT NULL,
    experiment TEXT,
    champion   TEXT NOT NULL,
    cause      TEXT NOT NULL
);
CREATE INDEX routing_interval ON routing (endpoint, at, id);

CREATE TABLE routing_arm (
    routing     BIGINT NOT NULL REFERENCES routing,
    version     BIGINT NOT NULL REFERENCES model_version,
    role        TEXT NOT NULL CHECK (role IN ('current', 'candidate', 'shadow')),
    probability DOUBLE PRECISION NOT NULL CHECK (probability BETWEEN 0 AND 1),
    PRIMARY KEY (routing, version)
);
CREATE INDEX routing_arm_version ON routing_arm (version);

-- A promotion or rollback says which version is its model's current one; shares are those of the routing.
DROP VIEW deployment_row;
ALTER TABLE deployment DROP COLUMN share;
CREATE VIEW deployment_row AS
SELECT d.id AS internal, d.endpoint, d.model, v.public_id AS version, d.at, d.position, d.kind, d.reason,
       r.public_id AS run
FROM deployment d
JOIN model_version v ON v.id = d.version
LEFT JOIN run r ON r.id = d.run;

CREATE TABLE rollout (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run      BIGINT NOT NULL UNIQUE REFERENCES run,
    model    TEXT NOT NULL REFERENCES model,
    version  BIGINT NOT NULL UNIQUE REFERENCES model_version,
    policy   TEXT NOT NULL,
    began    TIMESTAMPTZ NOT NULL,
    ended    TIMESTAMPTZ CHECK (ended >= began),
    stage    BIGINT NOT NULL CHECK (stage >= 0),
    outcome  TEXT CHECK (outcome IN ('promoted', 'refused')),
    reason   TEXT NOT NULL,
    evidence JSONB NOT NULL,
    CHECK ((ended IS NULL) = (outcome IS NULL))
);
CREATE INDEX rollout_page ON rollout (model, id);

CREATE TABLE experiment (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name     TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    began    TIMESTAMPTZ NOT NULL,
    ended    TIMESTAMPTZ CHECK (ended >= began),
    champion TEXT,
    reason   TEXT NOT NULL,
    evidence JSONB NOT NULL,
    position BIGINT NOT NULL,
    CHECK ((ended IS NULL) = (champion IS NULL))
);
CREATE UNIQUE INDEX experiment_open ON experiment (name) WHERE ended IS NULL;
CREATE INDEX experiment_page ON experiment (name, id);

CREATE TABLE report (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id  TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    endpoint   TEXT NOT NULL,
    at         TIMESTAMPTZ NOT NULL,
    from_time  TIMESTAMPTZ NOT NULL,
    to_time    TIMESTAMPTZ NOT NULL CHECK (to_time >= from_time),
    position   BIGINT NOT NULL,
    on_demand  BOOLEAN NOT NULL,
    alarmed    BOOLEAN NOT NULL,
    summary    TEXT NOT NULL,
    files      JSONB NOT NULL
);
CREATE INDEX report_page ON report (endpoint, id);

DO $$
DECLARE
    facts TEXT;
BEGIN
    FOREACH facts IN ARRAY ARRAY['routing', 'routing_arm', 'report'] LOOP
        EXECUTE FORMAT('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I '
                       'FOR EACH ROW EXECUTE FUNCTION refuse_change()', facts);
        EXECUTE FORMAT('CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', facts);
    END LOOP;
END $$;

CREATE VIEW routing_row AS
SELECT g.id AS internal, g.endpoint, g.at, g.position, d.key AS decision, g.epoch, g.experiment, g.champion, g.cause,
       d.reason, d.signals AS evidence,
       (SELECT COALESCE(JSONB_AGG(JSONB_BUILD_OBJECT('version', v.public_id, 'model', v.model, 'role', a.role,
                                                     'probability', a.probability)
                                  ORDER BY v.model, v.number), '[]')
        FROM routing_arm a
        JOIN model_version v ON v.id = a.version
        WHERE a.routing = g.id) AS arms
FROM routing g
JOIN decision d ON d.id = g.decision;

CREATE VIEW rollout_row AS
SELECT o.id AS internal, r.public_id AS run, o.model, v.public_id AS version, o.policy, o.began, o.ended, o.stage,
       o.outcome, o.reason, o.evidence
FROM rollout o
JOIN run r ON r.id = o.run
JOIN model_version v ON v.id = o.version;

CREATE VIEW report_row AS
SELECT p.id AS internal, p.public_id AS id, p.name, p.endpoint, p.at, p.from_time AS "from", p.to_time AS "to",
       p.position, p.on_demand, p.alarmed, p.summary, p.files
FROM report p;
