//! Words of a Dockerfile.
