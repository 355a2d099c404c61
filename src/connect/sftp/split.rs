//! From bytes that arrive in pieces to CSV records with their lines, so that one bad line costs itself and nothing else.
//!
//! The pieces are parsed by the `csv` crate. A record that ends where the bytes end may go on in the next piece, so it waits;
//! with a quotation mark that is never closed it would wait for the whole rest of the file. Therefore a record has a
//! greatest length, and a faulty record of several lines is given up line by line: its first line is reported, and reading goes
//! on with its second.

use crate::count::counted;
use std::collections::VecDeque;

use csv::{ByteRecord, ReaderBuilder};
use encoding_rs::{Encoding, UTF_8};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How many bytes before a position are remembered by their digest.
pub(super) const MARK: usize = 512;

/// The form of the files, as it was chosen in Campaign's workflow (activity *Extract file*).
///
/// Assumed: the default is what that activity proposes as far as it is known; each part can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvFormat {
    /// Between two fields.
    pub delimiter: u8,
    /// Around a field that holds a delimiter, a quotation mark (then doubled) or a line break.
    pub quote: u8,
    /// Names of the columns where the files have no header; with a header, none.
    pub columns: Option<Vec<String>>,
    /// The greatest length of a record, in bytes.
    pub longest_record: usize,
    /// The encoding: UTF-8 or one of a byte per character, in which delimiter, quotation mark and line break are the bytes of ASCII.
    pub encoding: &'static Encoding,
}

impl Default for CsvFormat {
    fn default() -> Self {
        Self { delimiter: b',', quote: b'"', columns: None, longest_record: 64 * 1024, encoding: UTF_8 }
    }
}

/// The position in a file; the caller stores it. Holds nothing of the content but a digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Bytes from the beginning of the file to the next record.
    pub offset: u64,
    /// The line on which the next record begins, from 1.
    pub line: u64,
    /// SHA-256, in hex, of the up to 512 bytes before `offset`: it distinguishes a file that was replaced from one that has grown.
    pub mark: String,
    /// Bytes after `offset` that were read as a last line without a line break. The offset stays before them: if the file grows,
    /// that line is read again as a whole.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tail: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

/// A line that could not be read. Its text shows nothing of the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct BadLine {
    /// The file.
    pub file: String,
    /// The line on which the record begins, from 1.
    pub line: u64,
    /// What is wrong with it, and what may fix it.
    pub problem: String,
}

/// A record as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextRecord {
    pub line: u64,
    pub fields: csv::StringRecord,
}

/// What comes out, in the order of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Record(TextRecord),
    Bad { line: u64, problem: String },
}

/// The bytes of a file that are not yet records.
pub(super) struct Splitter {
    format: CsvFormat,
    /// How many fields a record has; with a header it is known after it.
    width: Option<usize>,
    waiting: Vec<u8>,
    /// Offset and line of the first waiting byte.
    offset: u64,
    line: u64,
    /// Up to [`MARK`] bytes before the waiting ones.
    passed: VecDeque<u8>,
    /// In the rest of a line that was given up as too long.
    skipping: bool,
}

impl Splitter {
    /// At the beginning of a file.
    pub(super) fn new(format: CsvFormat) -> Self {
        let width = format.columns.as_ref().map(Vec::len);
        Self { format, width, waiting: Vec::new(), offset: 0, line: 1, passed: VecDeque::new(), skipping: false }
    }

    /// In the middle of a file: `before` are the bytes before the position.
    pub(super) fn at(format: CsvFormat, position: &Position, before: &[u8], width: usize) -> Self {
        let passed = before.iter().copied().collect();
        Self { format, width: Some(width), waiting: Vec::new(), offset: position.offset, line: position.line, passed, skipping: false }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if self.skipping {
            let Some(end) = bytes.iter().position(|b| *b == b'\n') else {
                self.offset += bytes.len() as u64;
                remember(&mut self.passed, bytes);
                return;
            };
            self.skipping = false;
            self.pass(&bytes[..=end]);
            bytes = &bytes[end + 1..];
        }
        self.waiting.extend_from_slice(bytes);
    }

    /// Says how many fields a record has, once the header is known.
    pub(super) fn set_width(&mut self, width: usize) {
        self.width = Some(width);
    }

    pub(super) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Counts a byte order mark at the beginning of the file, which is not part of the first record.
    pub(super) fn pass_mark(&mut self) {
        self.pass(b"\xEF\xBB\xBF");
    }

    /// Offset of the next byte to feed.
    pub(super) fn fetched(&self) -> u64 {
        self.offset + self.waiting.len() as u64
    }

    /// The bytes that wait for more, with those before them: what a file that is opened again must show.
    pub(super) fn recent(&self) -> Vec<u8> {
        let mut recent: Vec<u8> = self.passed.iter().copied().collect();
        recent.extend_from_slice(&self.waiting);
        recent.split_off(recent.len().saturating_sub(MARK))
    }

    /// Where the next record begins.
    pub(super) fn position(&self) -> Position {
        let (a, b) = self.passed.as_slices();
        Position { offset: self.offset, line: self.line, mark: digest(&[a, b]), tail: 0 }
    }

    /// Takes up to `most` records that are whole; with `end`, the last one without a line break too.
    pub(super) fn drain(&mut self, end: bool, most: usize, out: &mut Vec<Item>) {
        // The slice is parsed in place and cut off once.
        let waiting = std::mem::take(&mut self.waiting);
        let mut at = 0;
        'restart: while at < waiting.len() && out.len() < most {
            let slice = &waiting[at..];
            let mut reader = self.reader(slice);
            let mut record = ByteRecord::new();
            let mut from = 0;
            while out.len() < most {
                let more = reader.read_byte_record(&mut record).unwrap_or(false);
                let to = usize::try_from(reader.position().byte()).unwrap_or(slice.len()).min(slice.len());
                if !more {
                    // Line breaks alone.
                    self.pass(&slice[from..]);
                    at = waiting.len();
                    break 'restart;
                }
                let raw = &slice[from..to];
                let whole = to < slice.len() || end || (raw.ends_with(b"\n") && !self.unclosed(raw));
                if !whole && raw.len() <= self.format.longest_record {
                    at += from;
                    break 'restart;
                }
                // The line break of the record before may be still here, and empty lines.
                let lead = raw.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
                let line = self.line + breaks(&raw[..lead]);
                let text = &raw[lead..];
                match self.faulty(text, &record, whole, end && to == slice.len()) {
                    None => {
                        if let Ok(fields) = self.decoded(std::mem::take(&mut record)) {
                            out.push(Item::Record(TextRecord { line, fields }));
                        }
                        self.pass(raw);
                        from = to;
                    }
                    Some(problem) => {
                        out.push(Item::Bad { line, problem });
                        let first = text.iter().position(|b| *b == b'\n').map(|b| lead + b + 1);
                        let cut = match first {
                            Some(first) if first < raw.len() => first,
                            _ => raw.len(),
                        };
                        self.skipping = !whole && first.is_none();
                        self.pass(&slice[from..from + cut]);
                        at += from + cut;
                        continue 'restart;
                    }
                }
            }
            at += from;
        }
        self.waiting = waiting[at..].to_vec();
    }

    fn reader<'a>(&self, slice: &'a [u8]) -> csv::Reader<&'a [u8]> {
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(self.format.delimiter).quote(self.format.quote);
        builder.from_reader(slice)
    }

    /// What is wrong with a record, if anything is.
    fn faulty(&self, text: &[u8], record: &ByteRecord, whole: bool, last: bool) -> Option<String> {
        if !whole || text.len() > self.format.longest_record {
            let longest = self.format.longest_record;
            return Some(format!("the record is longer than {longest} bytes; a quotation mark may not be closed"));
        }
        if last && self.unclosed(text) {
            return Some("a quotation mark is not closed before the end of the file".to_owned());
        }
        // A writer that wraps a line break in quotation marks doubles those inside, so they come in pairs.
        let quotes = text.iter().filter(|b| **b == self.format.quote).count();
        if quotes % 2 == 1 && text.trim_ascii_end().contains(&b'\n') {
            return Some("a quotation mark is not closed on its line or by a later one".to_owned());
        }
        if let Some(width) = self.width
            && record.len() != width
        {
            let delimiter = char::from(self.format.delimiter);
            return Some(format!(
                "{} instead of {width}; check the delimiter (`{delimiter}`) and the quotation marks",
                counted(record.len(), "field")
            ));
        }
        if self.format.encoding == UTF_8 && record.iter().any(|field| std::str::from_utf8(field).is_err()) {
            return Some(
                "not valid UTF-8; choose UTF-8 as the encoding in the workflow, or set `encoding` of these exports in d365map.yaml"
                    .to_owned(),
            );
        }
        None
    }

    fn decoded(&self, record: ByteRecord) -> Result<csv::StringRecord, csv::FromUtf8Error> {
        if self.format.encoding == UTF_8 {
            return csv::StringRecord::from_byte_record(record);
        }
        Ok(record.iter().map(|field| self.format.encoding.decode_without_bom_handling(field).0).collect())
    }

    /// Whether a record would go on after a line break: then a line after it is not a separate record.
    fn unclosed(&self, text: &[u8]) -> bool {
        if !text.contains(&self.format.quote) {
            return false;
        }
        let probe = [text.strip_suffix(b"\n").unwrap_or(text), b"\nx"].concat();
        self.reader(&probe).byte_records().count() < 2
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        self.line += breaks(bytes);
        remember(&mut self.passed, bytes);
    }
}

fn breaks(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|b| **b == b'\n').count() as u64
}

fn remember(passed: &mut VecDeque<u8>, bytes: &[u8]) {
    let bytes = &bytes[bytes.len().saturating_sub(MARK)..];
    let over = (passed.len() + bytes.len()).saturating_sub(MARK);
    passed.drain(..over);
    passed.extend(bytes);
}

/// SHA-256 in hex.
pub(super) fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Lines = Vec<(u64, String)>;

    /// What is read of a text that arrives in pieces: first field of each record with its line, and the bad lines.
    fn read(text: &[u8], piece: usize, width: usize, longest: usize) -> (Lines, Lines, Position) {
        let mut splitter = Splitter::new(CsvFormat { longest_record: longest, ..CsvFormat::default() });
        splitter.set_width(width);
        let mut items = Vec::new();
        for bytes in text.chunks(piece) {
            splitter.feed(bytes);
            splitter.drain(false, usize::MAX, &mut items);
        }
        splitter.drain(true, usize::MAX, &mut items);
        assert!(splitter.waiting.is_empty());
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for item in items {
            match item {
                Item::Record(record) => good.push((record.line, record.fields.get(0).unwrap_or_default().to_owned())),
                Item::Bad { line, problem } => bad.push((line, problem)),
            }
        }
        (good, bad, splitter.position())
    }

    fn lines(good: &[(u64, String)]) -> Vec<(u64, &str)> {
        good.iter().map(|(line, field)| (*line, field.as_str())).collect()
    }

    #[test]
    fn records_are_the_same_in_whatever_pieces_they_arrive() {
        let text = "a,1\r\n\"b,\"\"q\"\"\r\nx\",2\r\n\r\nc,3\nd,4".as_bytes();
        for piece in 1..text.len() {
            let (good, bad, end) = read(text, piece, 2, 1000);
            assert_eq!(lines(&good), [(1, "a"), (2, "b,\"q\"\r\nx"), (5, "c"), (6, "d")], "{piece}");
            assert!(bad.is_empty(), "{bad:?}");
            assert_eq!(end.offset, text.len() as u64);
        }
    }

    #[test]
    fn a_line_with_too_few_or_too_many_fields_costs_itself_alone() {
        let (good, bad, _) = read(b"a,1\nb\nc,3,3\nd,4\n", 3, 2, 1000);
        assert_eq!(lines(&good), [(1, "a"), (4, "d")]);
        assert_eq!(bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3]);
        assert!(bad[0].1.starts_with("1 field instead of 2"), "{}", bad[0].1);
    }

    #[test]
    fn bytes_that_are_not_utf8_cost_their_line_alone() {
        let (good, bad, _) = read(b"a,1\nM\xfcller,2\nc,3\n", 4, 2, 1000);
        assert_eq!(lines(&good), [(1, "a"), (3, "c")]);
        assert!(bad[0].0 == 2 && bad[0].1.contains("UTF-8"), "{bad:?}");
    }

    #[test]
    fn a_quotation_mark_that_is_never_closed_does_not_swallow_the_file() {
        for piece in [1, 5, 999] {
            let (good, bad, _) = read(b"a,1\n\"b,2\nc,3\nd,4\n", piece, 2, 1000);
            assert_eq!(lines(&good), [(1, "a"), (3, "c"), (4, "d")], "{piece}");
            assert!(bad.len() == 1 && bad[0].0 == 2 && bad[0].1.contains("not closed"), "{bad:?}");
        }
    }

    #[test]
    fn a_quotation_mark_that_another_line_closes_costs_no_line_between() {
        let (good, bad, _) = read(b"a,1\nb,\"2\nc,3\nd,\"4\"\ne,5\n", 7, 2, 1000);
        assert_eq!(lines(&good), [(1, "a"), (3, "c"), (4, "d"), (5, "e")]);
        assert_eq!(bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_record_without_end_is_given_up_at_the_greatest_length() {
        let long = format!("a,1\n{}\nc,3\n\"{}\n", "x".repeat(500), "y,1\n".repeat(100));
        for piece in [1, 7, 100, 9999] {
            let (good, bad, end) = read(long.as_bytes(), piece, 2, 64);
            assert_eq!(&lines(&good)[..2], [(1, "a"), (3, "c")], "{piece}");
            assert_eq!(good.len(), 2 + 99, "{piece}");
            assert_eq!(bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4], "{piece}");
            assert_eq!(end.offset, long.len() as u64, "{piece}");
        }
    }

    #[test]
    fn reading_goes_on_at_a_position_as_if_it_had_not_stopped() {
        let text = b"a,1\r\nb,2\r\n\r\nc,3\r\nd,4\r\n";
        let mut first = Splitter::new(CsvFormat::default());
        first.set_width(2);
        first.feed(text);
        let mut items = Vec::new();
        first.drain(true, 2, &mut items);
        let position = first.position();
        let offset = usize::try_from(position.offset).unwrap();
        assert_eq!(position.mark, digest(&[&text[..offset]]));
        let mut second = Splitter::at(CsvFormat::default(), &position, &text[..offset], 2);
        second.feed(&text[offset..]);
        second.drain(true, usize::MAX, &mut items);
        let lines: Vec<u64> = items.iter().map(|i| if let Item::Record(r) = i { r.line } else { 0 }).collect();
        assert_eq!(lines, [1, 2, 4, 5]);
        assert_eq!(second.position().line, 6);
    }

    proptest! {
        #[test]
        fn no_bytes_are_lost_or_counted_twice(text in "[ab,\"\r\n]{0,80}", piece in 1usize..20) {
            let (_, _, end) = read(text.as_bytes(), piece, 2, 16);
            prop_assert_eq!(end.offset, text.len() as u64);
            prop_assert_eq!(end.line, 1 + breaks(text.as_bytes()));
            let tail = &text.as_bytes()[text.len().saturating_sub(MARK)..];
            prop_assert_eq!(end.mark, digest(&[tail]));
        }

        #[test]
        fn stopping_anywhere_and_going_on_reads_the_same(text in "[ab,\"\r\n]{0,80}", stop in 1usize..10) {
            let text = text.as_bytes();
            let format = || CsvFormat { longest_record: 16, ..CsvFormat::default() };
            let whole = |splitter: &mut Splitter, rest: &[u8], out: &mut Vec<Item>| {
                splitter.feed(rest);
                splitter.drain(true, usize::MAX, out);
            };
            let mut at_once = Vec::new();
            let mut splitter = Splitter::new(format());
            splitter.set_width(2);
            whole(&mut splitter, text, &mut at_once);
            let mut in_parts = Vec::new();
            let mut first = Splitter::new(format());
            first.set_width(2);
            first.feed(text);
            first.drain(true, stop, &mut in_parts);
            let position = first.position();
            let (before, rest) = text.split_at(usize::try_from(position.offset).unwrap());
            let mut second = Splitter::at(format(), &position, &before[before.len().saturating_sub(MARK)..], 2);
            prop_assert_eq!(second.position(), position);
            whole(&mut second, rest, &mut in_parts);
            prop_assert_eq!(in_parts, at_once);
        }

        #[test]
        fn what_was_written_is_read(fields in proptest::collection::vec(("[a-z ,\"\n]{0,8}", "[0-9]{1,3}"), 1..20), piece in 1usize..50) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            for (a, b) in &fields {
                writer.write_record([a, b]).unwrap();
            }
            let text = writer.into_inner().unwrap();
            let (good, bad, _) = read(&text, piece, 2, 1000);
            prop_assert!(bad.is_empty());
            let read: Vec<String> = good.into_iter().map(|(_, field)| field).collect();
            let written: Vec<String> = fields.into_iter().map(|(a, _)| a).collect();
            prop_assert_eq!(read, written);
        }
    }
}
