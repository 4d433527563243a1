//! All tests that run the program or real servers, in one binary; a file for each feature.

mod architecture;
mod peers;
mod same_bytes;
mod support;
