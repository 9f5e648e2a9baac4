-- How somebody proves that an address is theirs: to register, to set a new password, or to follow an invitation. The
-- link's token and the code are hashed, used once, and expire; wrong codes are counted (T14). An account is made when its
-- address is proven, and not before: nobody can sit on another's.
CREATE TABLE address_proofs (
    purpose        text NOT NULL CHECK (purpose IN ('register', 'reset', 'invite')),
    email          text NOT NULL,
    token_hash     bytea NOT NULL,
    code_hash      bytea NOT NULL,
    attempts       smallint NOT NULL DEFAULT 0,
    fullname       text NOT NULL DEFAULT '',
    password_hash  text,
    sent_at        timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL,
    PRIMARY KEY (purpose, email)
);
CREATE UNIQUE INDEX address_proofs_token ON address_proofs (token_hash);
CREATE INDEX address_proofs_expires ON address_proofs (expires_at);

ALTER TABLE users ADD COLUMN phone text NOT NULL DEFAULT '';
-- From where it was begun, for its owner to know it by.
ALTER TABLE sessions ADD COLUMN address text NOT NULL DEFAULT '';
