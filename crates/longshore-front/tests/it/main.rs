//! The server in this process, asked over real sockets.

mod client;
mod limits;
mod pages;
mod places;
mod protocols;
mod requests;
mod server;
mod sockets;
mod streams;
mod tls;
