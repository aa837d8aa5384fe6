//! The routes over a real pipeline, gateway and database.

mod conforming;
mod malformed;
mod requests;
mod stack;
