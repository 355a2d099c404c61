//! The one registry of diagnostic codes. A released number is never used again for something else (D010 is gone).
//!
//! Families: D0xx syntax, D1xx names and schema, D2xx types and loss, D3xx replacements and tables, D4xx filters, D5xx keys, links and
//! ways, D6xx opt-out and privacy, D7xx limits, D8xx style, D9xx records that a run rejects. Each code has a page in `docs/codes/`, which `explain` prints; a test holds that
//! each has a page, an accepted and a rejected example.

use std::fmt;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// No plan is made.
    Error,
    /// A plan is still made; exit status 1 says that there is a finding.
    Warning,
}

macro_rules! codes {
    ($($code:ident $severity:ident $title:literal;)*) => {
        /// A stable diagnostic code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $code,)*
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &[Code] = &[$(Code::$code),*];

            /// The code as it is printed: `D103`.
            pub fn name(self) -> &'static str {
                match self { $(Code::$code => stringify!($code),)* }
            }

            /// Error or warning.
            pub fn severity(self) -> Severity {
                match self { $(Code::$code => Severity::$severity,)* }
            }

            /// A short description of the code.
            pub fn title(self) -> &'static str {
                match self { $(Code::$code => $title,)* }
            }

            /// The page that explains it (Markdown).
            pub fn page(self) -> &'static str {
                match self { $(Code::$code => include_str!(concat!("../../docs/codes/", stringify!($code), ".md")),)* }
            }
        }
    };
}

codes! {
    D001 Error "the file is not valid UTF-8";
    D002 Error "the file is too large for a mapping file";
    D003 Error "the file contains no mapping";
    D004 Error "blocks are nested too deeply";
    D005 Error "a block is never closed";
    D006 Error "a closing brace has no opening brace";
    D007 Error "a string is not closed on its line";
    D008 Error "the text does not follow the grammar";
    D009 Error "a character or word from another language";
    D011 Error "a literal that cannot be read";
    D012 Error "a character, an escape or a placeholder in a string that cannot be read";
    D013 Warning "an invisible character that changes the direction of text";
    D101 Error "an unknown system";
    D102 Error "an unknown table";
    D103 Error "the source table has no such field";
    D104 Error "the target table has no such field";
    D105 Error "the source field cannot be read";
    D106 Error "the target field cannot be written";
    D107 Error "an unknown step or function";
    D108 Error "an unknown option, option value or flag";
    D109 Error "two mappings have the same name";
    D110 Error "a table is mapped twice";
    D111 Error "a target field is written twice";
    D112 Error "a direction that is not supported";
    D113 Error "a schema file or the project file cannot be used";
    D114 Error "a field that does not have a single value";
    D115 Error "a block or option is repeated";
    D116 Error "a name that is not declared";
    D117 Error "two declarations have the same name";
    D118 Error "an included file that does not exist";
    D119 Error "the service has changed under a mapping";
    D121 Error "a block for a mapping that does not exist";
    D122 Error "a test that cannot be run";
    D123 Error "an entry that an event block cannot have";
    D124 Warning "a table of activities without a schema";
    D125 Error "a label that several options have";
    D126 Warning "a column that changes without a change notice";
    D127 Warning "a value that depends on the day";
    D128 Error "a column of another record, through a column that is not a lookup";
    D129 Error "a lookup of several tables, without the table";
    D130 Error "a column more than two lookups away";
    D131 Error "a lookup that points to a table without a schema";
    D132 Error "a column of another record where only the record's own can be used";
    D201 Error "text may be too long for the target";
    D202 Error "the value's type does not fit the target";
    D203 Error "a number may not fit the target";
    D204 Error "a date with time would lose its time";
    D205 Error "a value that can be empty goes into a required field";
    D206 Error "a step can fail and does not say what happens then";
    D207 Error "a step cannot fail and says what happens if it does";
    D208 Error "a step does not apply to this type of value";
    D209 Error "a step has the wrong arguments";
    D210 Warning "a field of an unknown type is treated as text";
    D211 Error "a literal does not fit the target";
    D212 Error "the options do not match the target's enumeration";
    D213 Error "the value that `or` leaves does not fit";
    D214 Warning "a step has no effect";
    D215 Warning "an option's number goes into text";
    D216 Warning "a text in quotes that is the name of a field";
    D217 Warning "the id of a lookup goes into text";
    D218 Error "a formula with a value that is not a number";
    D219 Error "a formula whose result can have more than 28 digits";
    D220 Error "a formula that can divide by zero and does not say what happens then";
    D221 Warning "an empty value that Campaign stores as 0";
    D222 Warning "a flag without effect";
    D301 Warning "a replacement for a field that is not mapped";
    D302 Error "a replacement for a value that the field cannot have";
    D303 Error "a value is replaced twice";
    D304 Warning "a replacement leaves options out";
    D305 Error "a field has two replacements";
    D306 Error "the result of a replacement does not fit the target";
    D307 Warning "a case that changes nothing";
    D308 Warning "a case that is never reached";
    D309 Warning "a value goes through two replacements";
    D310 Error "a word without quotes instead of a value";
    D311 Error "a table for both ways that is not one-to-one";
    D312 Error "a branch that is never reached";
    D313 Warning "a field that is written in one branch only";
    D314 Error "a case of a replacement that is never reached";
    D315 Error "a `case` without `else`";
    D321 Error "a table file that cannot be read";
    D322 Error "a row or column of a table that cannot be used";
    D323 Error "a column that the table does not have";
    D324 Error "two rows of a table have the same key";
    D325 Error "a field that does not fit the key of a table";
    D326 Error "a table with too many rows";
    D327 Error "values of a table do not fit the target";
    D328 Warning "keys of a table that differ only in case or spaces";
    D329 Error "a table without a key, or with two";
    D401 Error "a filter compares with a value that the field cannot have";
    D402 Error "a comparison that this type of field does not support";
    D403 Error "a regular expression that cannot be read";
    D404 Error "a comparison with null";
    D405 Error "an empty filter";
    D406 Error "a range that contains no value";
    D407 Warning "a condition that is always true or always false";
    D408 Warning "a condition or value is repeated";
    D409 Error "a word that is both an option and a field";
    D501 Error "a mapping without a key";
    D502 Error "the key's source is not the table's primary key";
    D503 Error "the key's target does not identify a record";
    D504 Error "a mapping has two keys";
    D505 Error "a link to a mapping that does not exist";
    D506 Error "links form a cycle";
    D507 Error "a link between tables that do not belong together";
    D508 Error "a link that is not possible here";
    D509 Error "an entry that cannot go both ways";
    D510 Error "an arrow that is not allowed in this mapping";
    D511 Error "a status of a deal without its substatus";
    D512 Error "a status that Partner Center rejects";
    D513 Warning "a status that a deal never gets";
    D514 Warning "a key that may not be unique";
    D530 Error "a block of linked records is repeated or has a line that is not allowed";
    D531 Error "a block of linked records in a one-way mapping";
    D532 Error "a block of linked records that does not fit its tables";
    D533 Error "a block of linked records that does not say what happens if no record is found";
    D540 Error "a field that `adopt` cannot search by";
    D541 Error "`adopt` in a mapping in both directions";
    D542 Error "a link by key that does not fit its tables";
    D601 Error "an attribute that is not an opt-out";
    D602 Error "an opt-out from a field that is not true or false";
    D603 Error "an opt-out in a field mapping next to an opt-out block";
    D604 Error "a mapping has two opt-out blocks, or a block two directions";
    D605 Error "an opt-out field is in two pairs";
    D606 Error "an opt-out block for other tables than contacts and profiles";
    D607 Error "an opt-out block without a direction";
    D608 Warning "personal data in a resource that is not linked to the profile";
    D609 Warning "an opt-out without an opt-out block";
    D610 Warning "a contact mapping that deletes profiles without an opt-out block";
    D611 Error "cases of an opt-out pair that do not say `in` or `out` for every value";
    D612 Error "an opt-out pair without a value that Dynamics gets for an opt-out or a consent";
    D613 Error "a topic in an opt-out block with another direction than d365-to-campaign";
    D614 Error "a subscription that does not name a service";
    D701 Error "more than twenty custom entities";
    D702 Error "more than fifty columns";
    D703 Error "more than five links";
    D704 Error "more than three linked levels";
    D705 Error "a replay of too many records";
    D706 Error "an initial load of too many records";
    D801 Warning "a constant that is not used";
    D802 Warning "a shared replacement that is not used";
    D803 Warning "an include that is not used";
    D804 Warning "a test depends on the day on which it is run";
    D805 Warning "an allow comment that allows nothing";
    D806 Warning "an allow comment that has no effect";
    D807 Warning "the key is not the first entry";
    D808 Warning "a deprecated field";
    D809 Warning "two tests have the same title";
    D810 Warning "a mapping that only writes its key";
    D811 Warning "a test gives a field that the mapping does not read";
    D814 Warning "a table that is not used";
    D815 Warning "columns of a table that are not used";
    D901 Error "a step with `or reject` failed on a record";
    D902 Error "a replacement or a `case` rejects this record";
    D903 Error "a record contains a value that its schema does not allow";
    D904 Error "a record has no key";
    D905 Error "a value does not fit the target";
    D906 Error "the service rejected a record";
    D907 Error "several records of the target could be adopted";
    D908 Error "a link to a record that the target does not have";
}

impl Code {
    /// Reads a code as people type it, in upper or lower case.
    pub fn from_name(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|c| c.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
