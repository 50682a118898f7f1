//! The only crate that knows SQL: documents, working set, batcher, migrations.
