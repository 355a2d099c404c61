//! What editors show of a text while it is written, for the language server and for the editor of `serve`: [`group`] is the files that
//! are compiled together, [`marks`] says what each name in a file stands for, [`completion`] what can be written at a place, [`hover`] what
//! the thing at a place is, with [`words`] for options and flags. Both use [`place`], where the cursor is, and [`describe`], what a step or a
//! field is. [`position`] translates between bytes and the columns of editors.

pub mod completion;
pub mod describe;
mod group;
pub mod hover;
pub mod marks;
mod place;
mod position;
mod words;

pub use group::{Group, Source, path_of, uri_of};
pub use position::{Encoding, Lines};
