//! What the tool says about a file: codes, spans, help, and the ways to print them.
