//! Flows: moves records from source to target by a plan, through the durable state.
