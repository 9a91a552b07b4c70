-- The state of one programme. Times are milliseconds since 1970-01-01T00:00:00Z; codes are the words of the log.
-- System numbers (interventions, cases, referrals) stand in clear on purpose; values of a record stand nowhere but sealed.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The identity key, sealed by a state key.
CREATE TABLE identity (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    key_name TEXT NOT NULL,
    sealed   BLOB NOT NULL
) STRICT;

CREATE TABLE deliveries (
    id            INTEGER PRIMARY KEY,
    errand        TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    post          BLOB,             -- which post of DTP brought it
    intervention  TEXT,
    case_key      BLOB,             -- Primero's id of the case
    case_id       TEXT,             -- Primero's case_id
    service       TEXT,             -- unique_id of the service item
    referral      BLOB,             -- Primero's id of the referral
    outgoing      TEXT,             -- the id under which DTP knows the referral
    walk          TEXT,             -- of a look: which walk asked for it
    decision      TEXT,             -- of a report or a record: accepted or rejected
    person        BLOB,             -- keyed hash of the person number
    content       BLOB,             -- keyed hash of the content
    made          INTEGER NOT NULL,
    due           INTEGER NOT NULL,
    attempts      INTEGER NOT NULL DEFAULT 0,
    held_since    INTEGER,
    settled       INTEGER,
    reason        TEXT,
    gaps          TEXT,             -- reasons and field names, JSON
    may_have_acted INTEGER NOT NULL DEFAULT 0,  -- Primero may hold our write, or DTP our message
    written       INTEGER NOT NULL DEFAULT 0,   -- our write was seen
    new_case      INTEGER,
    behind        INTEGER,          -- waits until this delivery has settled
    basis         TEXT,             -- on what ground a referral leaves
    released_by   TEXT,             -- the role of the person who decided
    watched       INTEGER,          -- of a sent referral: when it is read again
    late          INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX deliveries_unsettled    ON deliveries (id) WHERE settled IS NULL;
CREATE INDEX deliveries_intervention ON deliveries (intervention, id) WHERE intervention IS NOT NULL;
CREATE INDEX deliveries_referral     ON deliveries (referral) WHERE referral IS NOT NULL;
CREATE INDEX deliveries_case         ON deliveries (case_key) WHERE case_key IS NOT NULL AND (settled IS NULL OR watched IS NOT NULL);
CREATE INDEX deliveries_outgoing     ON deliveries (outgoing) WHERE outgoing IS NOT NULL AND settled IS NULL;
CREATE INDEX deliveries_behind       ON deliveries (behind) WHERE behind IS NOT NULL;
CREATE INDEX deliveries_watched      ON deliveries (watched) WHERE watched IS NOT NULL;
CREATE INDEX deliveries_settled      ON deliveries (settled) WHERE settled IS NOT NULL;
-- By these a person looks for deliveries; src/spool/search.rs says which when. The end of a case id tells cases apart.
CREATE INDEX deliveries_case_id      ON deliveries (substr(case_id, -8), id) WHERE case_id IS NOT NULL;
CREATE INDEX deliveries_reason       ON deliveries (reason, id) WHERE reason IS NOT NULL;
CREATE INDEX deliveries_undelivered  ON deliveries (state, id) WHERE settled IS NOT NULL AND state <> 'delivered';

-- What DTP posted, sealed; deleted at settlement.
CREATE TABLE parcels (
    delivery INTEGER PRIMARY KEY,
    key_name TEXT NOT NULL,
    sealed   BLOB NOT NULL
) STRICT;

-- Never pruned: what was delivered once is known for ever, as keyed hashes only.
CREATE TABLE known_interventions (
    number      BLOB PRIMARY KEY,
    content     BLOB,               -- what was delivered
    person      BLOB,
    case_hash   BLOB,               -- to which case
    last_status TEXT                -- the last decision that DTP took, as long as it is known to have heard nothing else since
) STRICT, WITHOUT ROWID;
CREATE TABLE known_referrals (
    referral BLOB PRIMARY KEY,
    outgoing BLOB NOT NULL,
    taken    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX known_referrals_outgoing ON known_referrals (outgoing, taken);

CREATE TABLE cursors (
    walk     TEXT    NOT NULL,
    module   TEXT    NOT NULL,      -- each module of Primero is read for itself
    position INTEGER NOT NULL,
    PRIMARY KEY (walk, module)
) STRICT, WITHOUT ROWID;
-- Keyed hashes of (case, stamp) pairs inside the overlap that led to a look.
CREATE TABLE seen (
    walk   TEXT    NOT NULL,
    module TEXT    NOT NULL,
    pair   BLOB    NOT NULL,
    stamp  INTEGER NOT NULL,
    PRIMARY KEY (walk, module, pair)
) STRICT, WITHOUT ROWID;

CREATE TABLE blocked (
    addressee  TEXT PRIMARY KEY,
    reason     TEXT    NOT NULL,
    since      INTEGER NOT NULL,
    next_probe INTEGER NOT NULL,
    secret     BLOB    NOT NULL     -- keyed hash of the secret that was refused
) STRICT, WITHOUT ROWID;

-- Flows that a person has paused.
CREATE TABLE pauses (
    flow   TEXT PRIMARY KEY,
    since  INTEGER NOT NULL,
    by     TEXT    NOT NULL,        -- the role of the person
    reason TEXT
) STRICT, WITHOUT ROWID;

-- The operator's list.
CREATE TABLE entries (
    id           INTEGER PRIMARY KEY,
    kind         TEXT    NOT NULL,
    reason       TEXT,
    delivery     INTEGER,
    intervention TEXT,
    case_id      TEXT,
    case_key     BLOB,
    referral     BLOB,
    status       INTEGER,
    fields       TEXT,
    count        INTEGER NOT NULL DEFAULT 1,
    made         INTEGER NOT NULL,
    alarmed      INTEGER,
    closed       INTEGER,
    closed_by    TEXT,
    informed_on  TEXT
) STRICT;
CREATE INDEX entries_open     ON entries (kind, delivery) WHERE closed IS NULL;
CREATE INDEX entries_delivery ON entries (delivery) WHERE delivery IS NOT NULL;

-- What was told to people outside.
CREATE TABLE told (
    target TEXT    NOT NULL,
    topic  TEXT    NOT NULL,
    about  INTEGER NOT NULL,        -- the entry; 0 is the topic as a whole
    level  INTEGER NOT NULL,        -- how far it had come
    time   INTEGER NOT NULL,
    PRIMARY KEY (target, topic, about)
) STRICT, WITHOUT ROWID;

-- What happened, as in the activity log.
CREATE TABLE story (
    delivery     INTEGER,
    time         INTEGER NOT NULL,
    event        TEXT    NOT NULL,
    post         BLOB,
    addressee    TEXT,
    intervention TEXT,
    case_id      TEXT,
    referral     BLOB,
    attempt      INTEGER,
    outcome      TEXT,
    reason       TEXT,
    fields       TEXT,
    status       INTEGER,
    basis        TEXT,
    new_case     INTEGER,
    count        INTEGER,
    due          INTEGER,
    noticed      INTEGER,
    who          TEXT
) STRICT;
CREATE INDEX story_delivery ON story (delivery) WHERE delivery IS NOT NULL;
CREATE INDEX story_time     ON story (time);

-- Counts without ids. A day is a day of the programme's zone; an outcome is an errand and how it ended, or `made`, or `held`.
CREATE TABLE counters (
    day          TEXT    NOT NULL,
    flow         TEXT    NOT NULL,
    service_type TEXT    NOT NULL,
    outcome      TEXT    NOT NULL,
    decision     TEXT    NOT NULL,
    count        INTEGER NOT NULL,
    PRIMARY KEY (day, flow, service_type, outcome, decision)
) STRICT, WITHOUT ROWID;
