//! A plan's programs on one record: pure, no I/O, no clock.
