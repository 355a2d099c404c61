//! The loop: messages in, answers and findings out.
//!
//! Everything is answered in the order in which it comes; notifications that wait together lead to one compilation. A
//! panic in a feature becomes an error of its request, so that the session continues.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lsp_server::{Connection, ErrorCode, Message, Notification, Request, Response};
use lsp_types::notification::{self, Notification as _};
use lsp_types::request::{self, Request as _};
use lsp_types::{
    CodeActionKind, CodeActionOptions, CodeActionProviderCapability, CompletionOptions, CompletionResponse, Diagnostic as LspDiagnostic,
    DiagnosticSeverity, DocumentSymbolResponse, FoldingRangeProviderCapability, GotoDefinitionResponse, Hover, HoverContents,
    InitializeParams, MarkupContent, MarkupKind, NumberOrString, OneOf, Position, PrepareRenameResponse, PublishDiagnosticsParams, Range,
    RenameOptions, SemanticTokensFullOptions, SemanticTokensOptions, ServerCapabilities, TextDocumentSyncCapability, TextDocumentSyncKind,
    TextEdit, Uri,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::documents::{Documents, Group};
use super::finding::to_lsp;
use super::{actions, folding, hints, navigate, tokens};
use crate::app::CommandError;
use crate::assist::marks::all_marks;
use crate::assist::{Encoding, Lines, completion, hover};
use crate::diagnostics::Code;

/// Serves one client over standard input and output. `true` where it ended as the protocol asks.
///
/// # Errors
///
/// The client sends what is not a message, or goes away before it says hello.
pub fn run() -> Result<bool, CommandError> {
    serve_stdio().map_err(|error| CommandError::usage(format!("the editor's messages cannot be read: {error}")))
}

/// Why a session ended before its end.
type SessionError = Box<dyn std::error::Error + Send + Sync>;

fn serve_stdio() -> Result<bool, SessionError> {
    let (connection, threads) = super::transport::stdio();
    let ended = serve(&connection);
    drop(connection);
    // What is wrong with a message is a better reason than that no further message came.
    threads.join(ended.is_ok())?;
    ended
}

fn serve(connection: &Connection) -> Result<bool, SessionError> {
    let (id, params) = connection.initialize_start()?;
    let params: InitializeParams = serde_json::from_value(params)?;
    let offered = params.capabilities.general.as_ref().and_then(|g| g.position_encodings.as_deref());
    let encoding = Encoding::choose(offered);
    // A client that does not offer it answers such a request with an error, or not at all.
    let watches = params.capabilities.workspace.as_ref().and_then(|w| w.did_change_watched_files.as_ref());
    let watches = watches.and_then(|w| w.dynamic_registration).unwrap_or(false);
    let result = serde_json::json!({
        "capabilities": capabilities(encoding),
        "serverInfo": { "name": "d365map", "version": env!("CARGO_PKG_VERSION") },
    });
    connection.initialize_finish(id, result)?;
    let mut server = Server { connection, documents: Documents::new(encoding), published: BTreeSet::new(), stale: BTreeSet::new() };
    // Without it, files that change on disk are read again at the next request, when a document is saved or closed.
    if watches {
        server.watch();
    }
    server.run()
}

fn capabilities(encoding: Encoding) -> ServerCapabilities {
    ServerCapabilities {
        position_encoding: Some(encoding.kind()),
        text_document_sync: Some(TextDocumentSyncCapability::Kind(TextDocumentSyncKind::INCREMENTAL)),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some([".", "|", "@", "$", " ", "\"", "{", "("].map(str::to_owned).to_vec()),
            ..CompletionOptions::default()
        }),
        hover_provider: Some(true.into()),
        definition_provider: Some(OneOf::Left(true)),
        references_provider: Some(OneOf::Left(true)),
        rename_provider: Some(OneOf::Right(RenameOptions { prepare_provider: Some(true), work_done_progress_options: Default::default() })),
        document_symbol_provider: Some(OneOf::Left(true)),
        document_formatting_provider: Some(OneOf::Left(true)),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::QUICKFIX]),
            ..CodeActionOptions::default()
        })),
        semantic_tokens_provider: Some(
            SemanticTokensOptions {
                legend: tokens::legend(),
                full: Some(SemanticTokensFullOptions::Bool(true)),
                ..SemanticTokensOptions::default()
            }
            .into(),
        ),
        inlay_hint_provider: Some(OneOf::Left(true)),
        folding_range_provider: Some(FoldingRangeProviderCapability::Simple(true)),
        ..ServerCapabilities::default()
    }
}

struct Server<'c> {
    connection: &'c Connection,
    documents: Documents,
    /// Files with findings that the client shows.
    published: BTreeSet<String>,
    /// Documents whose groups must be compiled again.
    stale: BTreeSet<String>,
}

impl Server<'_> {
    fn run(&mut self) -> Result<bool, SessionError> {
        loop {
            // What waits already is taken first: of ten keystrokes only the last text is compiled.
            let message = match self.connection.receiver.try_recv() {
                Ok(message) => message,
                Err(_) => {
                    self.publish();
                    match self.connection.receiver.recv() {
                        Ok(message) => message,
                        // The client has disappeared without a message.
                        Err(_) => return Ok(false),
                    }
                }
            };
            match message {
                Message::Request(request) if request.method == request::Shutdown::METHOD => {
                    self.send(Response::new_ok(request.id, Value::Null).into());
                    return Ok(self.ends());
                }
                Message::Request(request) => {
                    self.publish();
                    let response = self.answer(request);
                    self.send(response.into());
                }
                Message::Notification(note) if note.method == notification::Exit::METHOD => return Ok(false),
                Message::Notification(note) => self.note(note),
                Message::Response(_) => {}
            }
        }
    }

    /// After `shutdown`: everything but `exit` is refused.
    fn ends(&self) -> bool {
        for message in &self.connection.receiver {
            match message {
                Message::Notification(note) if note.method == notification::Exit::METHOD => return true,
                Message::Request(request) => {
                    let text = "the server has been shut down".to_owned();
                    self.send(Response::new_err(request.id, ErrorCode::InvalidRequest as i32, text).into());
                }
                Message::Notification(_) | Message::Response(_) => {}
            }
        }
        false
    }

    fn send(&self, message: Message) {
        // A client that has gone away is noticed where its next message is read.
        let _ = self.connection.sender.send(message);
    }

    /// Asks the client to tell when a mapping, a table, a schema or the project file changes on disk.
    fn watch(&self) {
        let watchers =
            ["**/*.d365map", "**/*.yaml", "**/*.yml", "**/*.csv", "**/*.xlsx"].map(|glob| serde_json::json!({ "globPattern": glob }));
        let registration = serde_json::json!({ "registrations": [{
            "id": "files", "method": "workspace/didChangeWatchedFiles", "registerOptions": { "watchers": watchers },
        }] });
        let request =
            Request::new(lsp_server::RequestId::from("watch".to_owned()), request::RegisterCapability::METHOD.to_owned(), registration);
        self.send(request.into());
    }

    fn note(&mut self, note: Notification) {
        let params = note.params;
        match note.method.as_str() {
            notification::DidOpenTextDocument::METHOD => {
                if let Ok(p) = serde_json::from_value::<lsp_types::DidOpenTextDocumentParams>(params) {
                    self.documents.set(&p.text_document.uri, p.text_document.text);
                    self.stale.insert(p.text_document.uri.as_str().to_owned());
                }
            }
            notification::DidChangeTextDocument::METHOD => {
                if let Ok(p) = serde_json::from_value::<lsp_types::DidChangeTextDocumentParams>(params) {
                    let uri = &p.text_document.uri;
                    let mut text = self.documents.text(uri).map(|t| t.to_string()).unwrap_or_default();
                    for change in p.content_changes {
                        text = match change.range {
                            None => change.text,
                            Some(range) => edited(&text, range, &change.text, self.documents.encoding),
                        };
                    }
                    self.documents.set(uri, text);
                    self.stale.insert(uri.as_str().to_owned());
                }
            }
            notification::DidCloseTextDocument::METHOD => {
                if let Ok(p) = serde_json::from_value::<lsp_types::DidCloseTextDocumentParams>(params) {
                    let uri = p.text_document.uri;
                    self.documents.close(&uri);
                    self.stale.remove(uri.as_str());
                    self.show(&uri, Vec::new());
                    // What others include from it is now that of the disk.
                    self.everything_is_stale();
                }
            }
            notification::DidChangeWatchedFiles::METHOD | notification::DidSaveTextDocument::METHOD => self.everything_is_stale(),
            _ => {}
        }
    }

    fn everything_is_stale(&mut self) {
        self.stale.extend(self.documents.uris().iter().map(|u| u.as_str().to_owned()));
    }

    /// Compiles what has changed and sends its findings.
    fn publish(&mut self) {
        while let Some(address) = self.stale.pop_first() {
            let Ok(uri) = address.parse::<Uri>() else { continue };
            let Ok(group) = catch_unwind(AssertUnwindSafe(|| self.documents.group(&uri))) else { continue };
            for (i, file) in group.files.iter().enumerate() {
                // One compilation serves all files of a group.
                self.stale.remove(file.uri.as_str());
                let mut found: Vec<LspDiagnostic> =
                    group.compiled.diagnostics.iter().filter(|d| d.span.file.0 as usize == i).map(|d| to_lsp(d, &group)).collect();
                if let Some(problem) = group.problem.as_ref().filter(|_| file.uri == uri) {
                    found.push(LspDiagnostic {
                        severity: Some(DiagnosticSeverity::ERROR),
                        source: Some("d365map".to_owned()),
                        code: Some(NumberOrString::String(Code::D113.to_string())),
                        message: problem.clone(),
                        ..LspDiagnostic::default()
                    });
                }
                if !found.is_empty() || self.published.contains(file.uri.as_str()) || file.uri == uri {
                    self.show(&file.uri, found);
                }
            }
        }
    }

    fn show(&mut self, uri: &Uri, diagnostics: Vec<LspDiagnostic>) {
        if diagnostics.is_empty() {
            self.published.remove(uri.as_str());
        } else {
            self.published.insert(uri.as_str().to_owned());
        }
        let params = PublishDiagnosticsParams { uri: uri.clone(), diagnostics, version: None };
        self.send(Notification::new(notification::PublishDiagnostics::METHOD.to_owned(), params).into());
    }

    fn answer(&self, request: Request) -> Response {
        let Request { id, method, params } = request;
        let done = catch_unwind(AssertUnwindSafe(|| self.result(&method, params)));
        match done {
            Ok(Ok(value)) => Response::new_ok(id, value),
            Ok(Err((code, message))) => Response::new_err(id, code as i32, message),
            Err(_) => Response::new_err(id, ErrorCode::InternalError as i32, format!("{method} failed; the session goes on")),
        }
    }

    fn result(&self, method: &str, params: Value) -> Result<Value, (ErrorCode, String)> {
        match method {
            request::Completion::METHOD => {
                let p: lsp_types::CompletionParams = read(params)?;
                let at = p.text_document_position;
                self.at(&at.text_document.uri, at.position, |group, file, offset| {
                    Ok(value(CompletionResponse::Array(completion::of(group, file, offset))))
                })
            }
            request::HoverRequest::METHOD => {
                let p: lsp_types::HoverParams = read(params)?;
                let at = p.text_document_position_params;
                self.at(&at.text_document.uri, at.position, |group, file, offset| {
                    let found = hover::at(group, file, offset);
                    Ok(value(found.map(|(markdown, range)| Hover {
                        contents: HoverContents::Markup(MarkupContent { kind: MarkupKind::Markdown, value: markdown }),
                        range: Some(group.files[file].lines.range(range)),
                    })))
                })
            }
            request::GotoDefinition::METHOD => {
                let p: lsp_types::GotoDefinitionParams = read(params)?;
                let at = p.text_document_position_params;
                self.at(&at.text_document.uri, at.position, |group, file, offset| {
                    Ok(value(navigate::definition(group, file, offset).map(GotoDefinitionResponse::Array)))
                })
            }
            request::References::METHOD => {
                let p: lsp_types::ReferenceParams = read(params)?;
                let at = p.text_document_position;
                let declarations = p.context.include_declaration;
                self.at(&at.text_document.uri, at.position, |group, file, offset| {
                    Ok(value(navigate::references(group, file, offset, declarations)))
                })
            }
            request::PrepareRenameRequest::METHOD => {
                let at: lsp_types::TextDocumentPositionParams = read(params)?;
                self.at(&at.text_document.uri, at.position, |group, file, offset| {
                    let (range, placeholder) = navigate::renameable(group, file, offset).map_err(|e| refused(e.to_string()))?;
                    Ok(value(PrepareRenameResponse::RangeWithPlaceholder { range, placeholder }))
                })
            }
            request::Rename::METHOD => {
                let p: lsp_types::RenameParams = read(params)?;
                let at = p.text_document_position;
                self.at(&at.text_document.uri, at.position, |group, file, offset| {
                    navigate::rename(group, file, offset, &p.new_name).map(value).map_err(|e| refused(e.to_string()))
                })
            }
            request::DocumentSymbolRequest::METHOD => {
                let p: lsp_types::DocumentSymbolParams = read(params)?;
                self.at(&p.text_document.uri, Position::default(), |group, file, _| {
                    Ok(value(DocumentSymbolResponse::Nested(navigate::symbols(group, file))))
                })
            }
            request::Formatting::METHOD => {
                let p: lsp_types::DocumentFormattingParams = read(params)?;
                self.at(&p.text_document.uri, Position::default(), |group, file, _| {
                    let text = &group.files[file].text;
                    Ok(value(crate::format::format(text).map(|new_text| {
                        if *new_text == **text {
                            return Vec::new();
                        }
                        vec![TextEdit { range: group.files[file].lines.range(0..text.len()), new_text }]
                    })))
                })
            }
            request::CodeActionRequest::METHOD => {
                let p: lsp_types::CodeActionParams = read(params)?;
                self.at(&p.text_document.uri, Position::default(), |group, file, _| Ok(value(actions::of(group, file, p.range))))
            }
            request::SemanticTokensFullRequest::METHOD => {
                let p: lsp_types::SemanticTokensParams = read(params)?;
                self.at(&p.text_document.uri, Position::default(), |group, file, _| {
                    let all = all_marks(group);
                    Ok(value(tokens::of(group, file, &all[file])))
                })
            }
            request::FoldingRangeRequest::METHOD => {
                let p: lsp_types::FoldingRangeParams = read(params)?;
                self.at(&p.text_document.uri, Position::default(), |group, file, _| Ok(value(folding::of(&group.files[file]))))
            }
            request::InlayHintRequest::METHOD => {
                let p: lsp_types::InlayHintParams = read(params)?;
                self.at(&p.text_document.uri, Position::default(), |group, file, _| Ok(value(hints::of(group, file, p.range))))
            }
            other => Err((ErrorCode::MethodNotFound, format!("{other} is not offered"))),
        }
    }

    /// Does something at a place of a document.
    fn at(
        &self,
        uri: &Uri,
        position: Position,
        feature: impl FnOnce(&Group, usize, usize) -> Result<Value, (ErrorCode, String)>,
    ) -> Result<Value, (ErrorCode, String)> {
        let group = self.documents.group(uri);
        let Some(file) = group.index(uri) else {
            return Err((ErrorCode::InvalidParams, format!("{} is neither open nor a mapping file", uri.as_str())));
        };
        let offset = group.files[file].lines.offset(position);
        feature(&group, file, offset)
    }
}

fn read<T: DeserializeOwned>(params: Value) -> Result<T, (ErrorCode, String)> {
    serde_json::from_value(params).map_err(|e| (ErrorCode::InvalidParams, e.to_string()))
}

fn value(result: impl serde::Serialize) -> Value {
    serde_json::to_value(result).unwrap_or_default()
}

fn refused(message: String) -> (ErrorCode, String) {
    (ErrorCode::RequestFailed, message)
}

/// A text after one change.
fn edited(text: &str, range: Range, new: &str, encoding: Encoding) -> String {
    let lines = Lines::new(text, encoding);
    let (from, to) = (lines.offset(range.start), lines.offset(range.end));
    let (from, to) = (from.min(to), from.max(to));
    let mut out = String::with_capacity(text.len() + new.len());
    out.push_str(&text[..from]);
    out.push_str(new);
    out.push_str(&text[to..]);
    out
}
