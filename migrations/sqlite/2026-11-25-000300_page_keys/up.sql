-- What a key opens: `server`, all that SDKs use; `page`, the evaluation of flags alone.
ALTER TABLE sdk_keys ADD COLUMN kind TEXT NOT NULL DEFAULT 'server';
