//! The typed execution plan: what the runner executes and nothing else.
