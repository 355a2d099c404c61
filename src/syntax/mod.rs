//! Text to syntax tree: the pest grammar, recovery, spans.
