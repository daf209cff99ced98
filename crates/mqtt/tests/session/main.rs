//! Sessions against a broker that follows a script: what a real one does only on a bad day.

mod busy;
mod client;
mod connecting;
mod hang_ups;
mod limits;
mod publishing;
mod reasons;
mod subscribing;
mod websocket;
