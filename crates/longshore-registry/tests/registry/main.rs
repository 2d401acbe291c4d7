//! The protocol, as clients speak it, against state and files.

mod blobs;
mod collecting;
mod doors;
mod manifests;
mod support;
mod uploads;
