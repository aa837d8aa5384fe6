//! Topics of a real Apache Kafka, read by real services: nothing is lost, nothing is taken twice.

mod cluster;
mod once;
mod redrive;
mod registry;
mod world;
