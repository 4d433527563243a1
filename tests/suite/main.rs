//! All tests that run the program or real servers, in one binary; a file for each feature.

mod credential;
mod label;
mod mode;
mod registry_auth;
mod registry_pull;
mod registry_push;
mod spec;
mod support;
mod tag;
