-- Lineage: what the control stream of the log says, as rows. Internal ids are small and ordered, public ids
-- are what people and other systems see. The views have the shape in which rows are read.

-- How far the log has been projected: the position of the last fact whose rows are here.
CREATE TABLE projection (
    one      BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one),
    position BIGINT NOT NULL CHECK (position >= 0)
);
INSERT INTO projection (position) VALUES (0);

CREATE TABLE project (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash         TEXT COLLATE "C" NOT NULL,
    name         TEXT NOT NULL,
    at           TIMESTAMPTZ NOT NULL,
    position     BIGINT NOT NULL UNIQUE,
    declarations JSONB NOT NULL
);

CREATE TABLE model (
    name     TEXT COLLATE "C" PRIMARY KEY,
    endpoint TEXT NOT NULL
);

CREATE TABLE decision (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key            TEXT NOT NULL UNIQUE,
    at             TIMESTAMPTZ NOT NULL,
    until          TIMESTAMPTZ CHECK (until >= at),
    position       BIGINT NOT NULL,
    policy         TEXT,
    policy_version TEXT,
    model          TEXT NOT NULL REFERENCES model,
    verdict        TEXT NOT NULL CHECK (verdict IN ('started', 'held', 'changed')),
    trigger        TEXT,
    reason         TEXT NOT NULL,
    evaluations    JSONB NOT NULL,
    signals        JSONB NOT NULL
);
CREATE INDEX decision_in_force ON decision (model, policy, at);
CREATE INDEX decision_page ON decision (model, id);
CREATE UNIQUE INDEX decision_open ON decision (model, COALESCE(policy, '')) WHERE until IS NULL;

CREATE TABLE run (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id    TEXT NOT NULL UNIQUE,
    model        TEXT NOT NULL REFERENCES model,
    action       TEXT NOT NULL,
    decision     BIGINT NOT NULL UNIQUE REFERENCES decision,
    parent       BIGINT,
    requested_at TIMESTAMPTZ NOT NULL,
    position     BIGINT NOT NULL,
    inputs       JSONB NOT NULL,
    state        TEXT NOT NULL DEFAULT 'requested'
                 CHECK (state IN ('requested', 'running', 'succeeded', 'failed', 'refused', 'promoted')),
    finished_at  TIMESTAMPTZ,
    metrics      JSONB,
    gates        JSONB,
    reason       TEXT,
    row_visits   BIGINT CHECK (row_visits >= 0)
);
CREATE INDEX run_page ON run (model, id);
CREATE INDEX run_open ON run (id) WHERE state IN ('requested', 'running');
CREATE INDEX run_parent ON run (parent);

-- Who works on a run. The only rows that do not come from the log; they count while the run is running.
CREATE TABLE run_lease (
    run          BIGINT PRIMARY KEY REFERENCES run,
    attempt      BIGINT NOT NULL CHECK (attempt > 0),
    owner        TEXT NOT NULL,
    pid          BIGINT,
    leased_until TIMESTAMPTZ NOT NULL,
    heartbeat_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE dataset (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id     TEXT COLLATE "C" NOT NULL UNIQUE,
    model         TEXT NOT NULL REFERENCES model,
    endpoint      TEXT NOT NULL,
    from_position BIGINT NOT NULL,
    to_position   BIGINT NOT NULL CHECK (to_position >= from_position),
    from_time     TIMESTAMPTZ NOT NULL,
    to_time       TIMESTAMPTZ NOT NULL,
    rows          BIGINT NOT NULL CHECK (rows >= 0),
    holdout_rows  BIGINT NOT NULL CHECK (holdout_rows >= 0),
    streams       JSONB NOT NULL
);
CREATE INDEX dataset_model ON dataset (model);

CREATE TABLE artifact (
    sha256 TEXT COLLATE "C" PRIMARY KEY,
    bytes  BIGINT NOT NULL CHECK (bytes >= 0)
);

CREATE TABLE model_version (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id    TEXT NOT NULL UNIQUE,
    model        TEXT NOT NULL REFERENCES model,
    number       BIGINT NOT NULL CHECK (number > 0),
    content_hash TEXT COLLATE "C" NOT NULL,
    artifact     TEXT COLLATE "C" NOT NULL REFERENCES artifact,
    run          BIGINT NOT NULL UNIQUE REFERENCES run,
    dataset      BIGINT NOT NULL REFERENCES dataset,
    definition   TEXT NOT NULL,
    inputs       JSONB NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    position     BIGINT NOT NULL,
    metrics      JSONB NOT NULL,
    UNIQUE (model, number)
);
CREATE INDEX model_version_content_hash ON model_version (content_hash);
CREATE INDEX model_version_artifact ON model_version (artifact);
CREATE INDEX model_version_dataset ON model_version (dataset, id);

ALTER TABLE run ADD FOREIGN KEY (parent) REFERENCES model_version;

-- A parent is there before its child, so its id is smaller: the graph cannot have a cycle.
CREATE TABLE edge (
    child  BIGINT NOT NULL REFERENCES model_version,
    parent BIGINT NOT NULL REFERENCES model_version,
    kind   TEXT NOT NULL CHECK (kind IN ('fine_tune', 'retrain')),
    PRIMARY KEY (child, parent) INCLUDE (kind),
    CHECK (child > parent)
);
CREATE INDEX edge_down ON edge (parent, child) INCLUDE (kind);

-- From `at` on, `version` answers for `model` at the endpoint, with this share of its requests.
CREATE TABLE deployment (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint TEXT NOT NULL,
    model    TEXT NOT NULL REFERENCES model,
    version  BIGINT NOT NULL REFERENCES model_version,
    share    DOUBLE PRECISION NOT NULL CHECK (share BETWEEN 0 AND 1),
    at       TIMESTAMPTZ NOT NULL,
    position BIGINT NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('initial', 'promotion', 'rollback')),
    reason   TEXT NOT NULL,
    run      BIGINT REFERENCES run
);
CREATE INDEX deployment_interval ON deployment (endpoint, model, at, id);
CREATE INDEX deployment_page ON deployment (endpoint, id);
CREATE INDEX deployment_model ON deployment (model);
CREATE INDEX deployment_version ON deployment (version);
CREATE INDEX deployment_run ON deployment (run);

-- The last deployment of each model at each endpoint.
CREATE TABLE deployment_head (
    endpoint   TEXT NOT NULL,
    model      TEXT NOT NULL REFERENCES model,
    deployment BIGINT NOT NULL UNIQUE REFERENCES deployment,
    PRIMARY KEY (endpoint, model)
);
CREATE INDEX deployment_head_model ON deployment_head (model);

CREATE FUNCTION refuse_change() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

DO $$
DECLARE
    facts TEXT;
BEGIN
    FOREACH facts IN ARRAY ARRAY['project', 'dataset', 'artifact', 'model_version', 'edge', 'deployment'] LOOP
        EXECUTE FORMAT('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I '
                       'FOR EACH ROW EXECUTE FUNCTION refuse_change()', facts);
        EXECUTE FORMAT('CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', facts);
    END LOOP;
END $$;

CREATE VIEW run_row AS
SELECT r.id AS internal, r.public_id AS id, r.model, r.action, d.policy, d.policy_version, d.trigger,
       d.key AS decision, p.public_id AS parent, r.requested_at, r.position, r.inputs, r.state, r.finished_at,
       r.metrics, r.gates, r.reason, r.row_visits
FROM run r
JOIN decision d ON d.id = r.decision
LEFT JOIN model_version p ON p.id = r.parent;

CREATE VIEW decision_row AS
SELECT d.id AS internal, d.key, d.at, d.until, d.position, d.policy, d.policy_version, d.model, d.verdict,
       d.trigger, d.reason, d.evaluations, d.signals, r.public_id AS run
FROM decision d
LEFT JOIN run r ON r.decision = d.id;

CREATE VIEW dataset_row AS
SELECT d.id AS internal, d.public_id AS id, d.model, d.endpoint, d.from_position, d.to_position, d.from_time,
       d.to_time, d.rows, d.holdout_rows, d.streams
FROM dataset d;

CREATE VIEW version_row AS
SELECT v.id AS internal, v.public_id AS id, v.model, v.number, v.content_hash, v.artifact,
       a.bytes AS artifact_bytes, r.public_id AS run, d.public_id AS dataset, v.definition, v.inputs,
       v.created_at, v.position, v.metrics,
       (SELECT COALESCE(JSONB_AGG(JSONB_BUILD_OBJECT('version', p.public_id, 'kind', e.kind) ORDER BY p.id), '[]')
        FROM edge e
        JOIN model_version p ON p.id = e.parent
        WHERE e.child = v.id) AS parents
FROM model_version v
JOIN artifact a ON a.sha256 = v.artifact
JOIN run r ON r.id = v.run
JOIN dataset d ON d.id = v.dataset;

CREATE VIEW deployment_row AS
SELECT d.id AS internal, d.endpoint, d.model, v.public_id AS version, d.share, d.at, d.position, d.kind, d.reason,
       r.public_id AS run
FROM deployment d
JOIN model_version v ON v.id = d.version
LEFT JOIN run r ON r.id = d.run;
