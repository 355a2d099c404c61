//! Reading one export: a stream of records over a connection that may break and is then taken up where it broke.

use russh_sftp::client::fs::File;
use std::collections::{HashSet, VecDeque};
use std::io::SeekFrom;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::records::{MissingColumn, Record};
use super::session::Session;
use super::split::{Item, MARK, Splitter, TextRecord, digest};
use super::{BadLine, CsvFormat, Export, Position, Sftp, SftpError};

/// Bytes that are asked for at once.
const PIECE: usize = 128 * 1024;

/// Records of one export, typed, with their lines.
#[derive(Debug)]
pub struct Batch<R> {
    /// The records, each with the line on which it begins. A line may give several, or none.
    pub records: Vec<(u64, R)>,
    /// What could not be read, in the order of the file.
    pub bad: Vec<BadLine>,
    /// The position after this batch: what the caller stores once the batch is safe.
    pub position: Position,
}

/// A file that is being read.
pub struct ExportReader<R: Record> {
    sftp: Sftp,
    path: String,
    /// Size in the listing that led here.
    listed: u64,
    /// Whether a last line without a line break counts as complete: the file has not changed for long.
    still: bool,
    /// The position before such a line, with its length, once it was read.
    tail: Option<Position>,
    format: CsvFormat,
    columns: R::Columns,
    shape: Option<R::Shape>,
    splitter: Splitter,
    open: Option<(Arc<Session>, File)>,
    items: VecDeque<Item>,
    piece: Vec<u8>,
    /// The size of the file when its end was reached.
    ended: Option<u64>,
}

impl<R: Record> std::fmt::Debug for ExportReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportReader").field("path", &self.path).field("position", &self.position()).finish_non_exhaustive()
    }
}

impl<R: Record> ExportReader<R> {
    /// Opens a file, at its beginning or at a kept position.
    pub(super) async fn open(sftp: Sftp, path: String, export: &Export, format: CsvFormat, columns: R::Columns) -> Result<Self, SftpError> {
        let mut reader = Self {
            sftp,
            path,
            listed: export.file.size,
            still: export.still,
            tail: None,
            splitter: Splitter::new(format.clone()),
            format,
            columns,
            shape: None,
            open: None,
            items: VecDeque::new(),
            piece: vec![0; PIECE],
            ended: None,
        };
        reader.header().await?;
        if let Some(from) = export.from.as_ref().filter(|from| from.offset > 0) {
            reader.resume(from).await?;
        }
        Ok(reader)
    }

    /// The position: after what the last batch held, but before a last line that has no line break.
    pub fn position(&self) -> Position {
        self.tail.clone().unwrap_or_else(|| self.splitter.position())
    }

    /// Whether the file has grown, or is still growing, beyond what the listing said, once its end was reached. It is read on from
    /// the position later.
    pub fn has_grown(&self) -> bool {
        self.ended.is_some_and(|size| size != self.listed)
    }

    /// The next records, at most `most` lines of them; none at the end of the file.
    ///
    /// # Errors
    /// [`SftpError`]; after a transient one the same call goes on where it was.
    pub async fn next_batch(&mut self, most: usize) -> Result<Option<Batch<R>>, SftpError> {
        let most = most.max(1);
        let mut batch = Batch { records: Vec::new(), bad: Vec::new(), position: self.position() };
        loop {
            let mut items = Vec::from(std::mem::take(&mut self.items));
            self.splitter.drain(false, most, &mut items);
            if items.is_empty() && self.last_line_counts() {
                self.read_tail(&mut items);
            }
            if !items.is_empty() {
                for item in items {
                    self.take(item, &mut batch);
                }
                batch.position = self.position();
                return Ok(Some(batch));
            }
            if self.ended.is_some() {
                return Ok(None);
            }
            self.fetch().await?;
        }
    }

    /// Whether what is left at the end of the file, a line without a line break, may be read. It may be the first half of a line
    /// whose upload has paused, so the file must not have grown, nor have changed for a while.
    fn last_line_counts(&self) -> bool {
        self.ended.is_some() && !self.has_grown() && self.still
    }

    /// Reads what is left at the end of the file; the position stays before it.
    fn read_tail(&mut self, items: &mut Vec<Item>) {
        let before = self.splitter.position();
        let length = self.splitter.fetched() - before.offset;
        self.splitter.drain(true, usize::MAX, items);
        if length > 0 {
            self.tail = Some(Position { tail: length, ..before });
        }
    }

    fn take(&self, item: Item, batch: &mut Batch<R>) {
        let bad = |line, problem| BadLine { file: self.path.clone(), line, problem };
        match item {
            Item::Bad { line, problem } => batch.bad.push(bad(line, problem)),
            Item::Record(TextRecord { line, fields }) => {
                let Some(shape) = &self.shape else { return };
                match R::read(shape, &fields) {
                    Ok(records) => batch.records.extend(records.into_iter().map(|record| (line, record))),
                    Err(problem) => batch.bad.push(bad(line, problem.to_string())),
                }
            }
        }
    }

    /// Reads the names of the columns. A file of no bytes has none, and no records either; nor has one whose first line is not
    /// complete yet.
    async fn header(&mut self) -> Result<(), SftpError> {
        if let Some(names) = self.format.columns.clone() {
            return self.shaped(&names);
        }
        let mut items = Vec::new();
        loop {
            self.splitter.drain(self.last_line_counts(), 1, &mut items);
            match items.pop() {
                Some(Item::Record(record)) => {
                    let names: Vec<String> = record.fields.iter().map(|name| name.trim().to_owned()).collect();
                    return self.shaped(&names);
                }
                Some(Item::Bad { problem, .. }) => {
                    return Err(self.content(format!("the header cannot be read: {problem}"), "check the encoding and the quotation marks"));
                }
                None if self.ended.is_some() => return Ok(()),
                None => self.fetch().await?,
            }
        }
    }

    /// Errors name no column that they find: the first line may contain a person's data.
    fn shaped(&mut self, names: &[String]) -> Result<(), SftpError> {
        let mut seen = HashSet::new();
        if let Some(at) = names.iter().position(|name| !seen.insert(name.as_str())) {
            let problem = format!("the name of column {} of the header is repeated", at + 1);
            return Err(self.content(problem, "give each column a different name in the workflow"));
        }
        let shape = R::shape(&self.columns, names).map_err(|MissingColumn(missing)| {
            let problem = format!("there is no column `{missing}` among the {} of the header", names.len());
            let other = match names {
                [only] => {
                    [';', '\t', '|', ','].into_iter().find(|c| only.contains(*c) && u32::from(*c) != u32::from(self.format.delimiter))
                }
                _ => None,
            };
            match other {
                Some(other) => {
                    self.content(problem, &format!("the line has `{}` in it: set that as the delimiter", other.escape_default()))
                }
                None => self.content(problem, "add it in the workflow, or set its name there; for files without a header list the columns"),
            }
        })?;
        self.splitter.set_width(names.len());
        self.shape = Some(shape);
        Ok(())
    }

    /// Goes to a kept position, if the bytes before it are those that were read then.
    async fn resume(&mut self, from: &Position) -> Result<(), SftpError> {
        let width = self.format.columns.as_ref().map(Vec::len);
        let Some(width) = width.or_else(|| self.splitter.width()) else {
            return Err(self.replaced("it is empty now"));
        };
        self.ended = None;
        self.open = None;
        let mut pauses = self.sftp.pauses();
        let before = loop {
            match self.open_at(from.offset, None).await {
                Ok(before) => break before,
                Err(error) => self.rest(error, pauses.next()).await?,
            }
        };
        if digest(&[&before]) != from.mark {
            return Err(self.replaced("the lines before the stored position have changed"));
        }
        self.splitter = Splitter::at(self.format.clone(), from, &before, width);
        Ok(())
    }

    /// Asks for the next bytes; takes a broken connection up again, a bounded number of times without progress.
    async fn fetch(&mut self) -> Result<(), SftpError> {
        let mut pauses = self.sftp.pauses();
        loop {
            match self.fetch_once().await {
                Ok(()) => return Ok(()),
                Err(error) => self.rest(error, pauses.next()).await?,
            }
        }
    }

    /// Waits before another try with a new connection; returns the error if there are no more tries.
    async fn rest(&mut self, error: SftpError, pause: Option<Duration>) -> Result<(), SftpError> {
        if !error.is_transient() {
            return Err(error);
        }
        if let Some((session, _)) = self.open.take() {
            self.sftp.forget(&session).await;
        }
        let Some(pause) = pause else { return Err(error) };
        tracing::warn!(%error, pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), "the connection is made again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    async fn fetch_once(&mut self) -> Result<(), SftpError> {
        if self.open.is_none() {
            let recent = self.splitter.recent();
            self.open_at(self.splitter.fetched(), Some(&recent)).await?;
        }
        let Some((session, file)) = &mut self.open else { return Ok(()) };
        let limit = self.sftp.request_timeout();
        // The library has a limit for each request; this one covers a connection whose other side has silently disappeared.
        let read = within(limit.saturating_mul(2), file.read(&mut self.piece)).await;
        let read = read.ok_or_else(|| self.sftp.late(format!("reading `{}`", self.path)))?;
        let count = read.map_err(|e| session.read_failed(&e, &self.path))?;
        if count == 0 {
            let size = session.size(file, &self.path).await?;
            let fetched = self.splitter.fetched();
            if size > fetched {
                // It grew between the last read and this question, or the server ended a read early: read again from that place.
                self.open_at(fetched, None).await?;
                let again = match &mut self.open {
                    Some((session, file)) => file.read(&mut self.piece).await.map_err(|e| session.read_failed(&e, &self.path))?,
                    None => 0,
                };
                if again > 0 {
                    return self.feed(again);
                }
            }
            self.ended = Some(size);
            self.open = None;
            return Ok(());
        }
        self.feed(count)
    }

    fn feed(&mut self, count: usize) -> Result<(), SftpError> {
        let mut bytes = &self.piece[..count];
        if self.splitter.fetched() == 0 {
            if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
                return Err(self.content("the file is UTF-16".to_owned(), "choose UTF-8 as the encoding in the workflow, or one of a byte per character and set `encoding` of these exports in d365map.yaml"));
            }
            if let Some(rest) = bytes.strip_prefix(b"\xEF\xBB\xBF") {
                self.splitter.pass_mark();
                bytes = rest;
            }
        }
        self.splitter.feed(bytes);
        Ok(())
    }

    /// Opens the file at a place and returns the bytes before it; `expected` are those that must be there.
    async fn open_at(&mut self, offset: u64, expected: Option<&[u8]>) -> Result<Vec<u8>, SftpError> {
        self.open = None;
        let session = self.sftp.session().await?;
        let mut file = session.open_file(&self.path).await?;
        let size = session.size(&file, &self.path).await?;
        if size < offset {
            return Err(self.replaced("it is shorter than what was read of it"));
        }
        let length = expected.map_or(MARK, <[u8]>::len).min(usize::try_from(offset).unwrap_or(MARK));
        let failed = |e: std::io::Error| session.read_failed(&e, &self.path);
        file.seek(SeekFrom::Start(offset - length as u64)).await.map_err(failed)?;
        let mut before = vec![0; length];
        if let Err(error) = file.read_exact(&mut before).await {
            return Err(match error.kind() {
                std::io::ErrorKind::UnexpectedEof => self.replaced("it became shorter while it was read"),
                _ => session.read_failed(&error, &self.path),
            });
        }
        if expected.is_some_and(|expected| expected != before) {
            return Err(self.replaced("its bytes differ from those that were read"));
        }
        self.open = Some((session, file));
        Ok(before)
    }

    fn replaced(&self, cause: &str) -> SftpError {
        SftpError::Replaced { server: self.sftp.server().to_owned(), path: self.path.clone(), cause: cause.to_owned() }
    }

    fn content(&self, problem: String, remedy: &str) -> SftpError {
        SftpError::Content { path: self.path.clone(), problem, remedy: remedy.to_owned() }
    }
}

async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, future).await.ok()
}
