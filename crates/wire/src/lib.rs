//! REST and JSON types, the only public serde types.
