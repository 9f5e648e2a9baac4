-- `firebase_uid` says who it is in the Firebase project, whatever address they have there. `claimed_email` is an address
-- that Firebase has not verified: it is shown to its user alone and stands for nothing. Beside it, `email` is a name under
-- firebase.invalid, so that nobody takes another's address, or learns who has an account, by naming it (T14).
ALTER TABLE users
    ADD COLUMN profile_status  text NOT NULL DEFAULT 'COMPLETE' CHECK (profile_status IN ('PENDING', 'COMPLETE')),
    ADD COLUMN firebase_uid    text CHECK (length(firebase_uid) BETWEEN 1 AND 128),
    ADD COLUMN claimed_email   text;
CREATE UNIQUE INDEX users_firebase ON users (firebase_uid);
