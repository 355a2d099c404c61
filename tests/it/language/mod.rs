//! The language: what compiles to what, what is refused with which words, what comes out of a record.

mod absent;
mod adopt;
mod arguments;
mod bad_input;
mod both_ways;
mod branches;
mod codes;
mod conditions;
mod constructs;
mod corpus;
mod documentation;
mod evaluation;
mod exported;
mod findings;
mod fixes;
mod formats;
mod formatting;
mod formula_values;
mod formulas;
mod linked_later;
mod lookups;
mod opt_out_cases;
mod properties;
mod related;
mod soundness;
pub mod support;
mod values;
