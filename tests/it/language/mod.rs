//! The language: what compiles to what, what is refused with which words, what comes out of a record.

mod bad_input;
mod codes;
mod corpus;
mod documentation;
mod evaluation;
mod formats;
mod properties;
mod support;
