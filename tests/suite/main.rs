//! All tests that run the program or real servers, in one binary; a file for each feature.

mod architecture;
mod bad_input;
mod peers;
mod same_bytes;
mod self_image;
mod support;
mod two_platforms;
