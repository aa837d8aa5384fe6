//! Topics of a real Apache Kafka, read by real services: nothing is lost, nothing is taken twice. Faults of brokers
//! alone are played by librdkafka's mock cluster.

mod cluster;
mod faults;
mod golden;
mod once;
mod redrive;
mod registry;
mod world;
