//! Claims about several crates together: the figures of the examples, end-to-end plays, faults. The tests
//! themselves are in `tests/`.
