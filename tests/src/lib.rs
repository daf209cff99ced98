//! Pipelines across the tools live in `tests/`; this library is empty.
