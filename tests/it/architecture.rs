//! Who may import whom (ARCHITECTURE.md), read from the syntax trees of all modules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::Visit;

/// For each layer, the layers that its code may name. Every module below `src` belongs to one. The emulator is a separate package, which
/// knows nothing of this one.
const MAY_USE: &[(&str, &[&str])] = &[
    // Front ends.
    (
        "cli",
        &[
            "app",
            "check",
            "connect",
            "count",
            "diagnostics",
            "disk",
            "doctor",
            "format",
            "import",
            "lsp",
            "plan",
            "printable",
            "project",
            "report",
            "run",
            "schema",
            "serve",
            "store",
            "syntax",
            "system",
            "systems",
            "testing",
            "time",
        ],
    ),
    (
        "serve",
        &[
            "app",
            "assist",
            "check",
            "connect",
            "count",
            "diagnostics",
            "doctor",
            "format",
            "plan",
            "printable",
            "project",
            "report",
            "run",
            "schema",
            "store",
            "syntax",
            "system",
            "testing",
            "time",
        ],
    ),
    ("lsp", &["app", "assist", "check", "count", "diagnostics", "format", "plan", "project", "schema", "syntax"]),
    // What both editors show.
    ("assist", &["check", "count", "diagnostics", "schema", "steps", "syntax"]),
    // The application.
    (
        "app",
        &[
            "check",
            "connect",
            "count",
            "diagnostics",
            "disk",
            "doctor",
            "ingest",
            "plan",
            "printable",
            "project",
            "run",
            "schema",
            "sheets",
            "store",
            "syntax",
            "system",
            "systems",
            "time",
            "yaml",
        ],
    ),
    ("doctor", &["connect", "count", "plan", "printable", "project", "store", "system", "systems", "time"]),
    // Rounds, state, services.
    // What comes in over HTTP goes into a port of the state.
    ("ingest", &["connect", "engine", "store", "time"]),
    // Flows and front ends know the ports of the state, not a store.
    ("run", &["connect", "count", "engine", "eval", "json", "plan", "printable", "store", "system", "systems", "time", "unicode"]),
    ("engine", &["connect", "time"]),
    ("store", &["count", "json", "system", "time", "unicode"]),
    ("systems", &["connect", "count", "json", "printable", "system", "time", "transitions"]),
    ("connect", &["count", "disk", "json", "printable", "time"]),
    // The language.
    ("import", &["check", "diagnostics", "format", "project", "schema", "sheets", "syntax", "time", "yaml"]),
    ("report", &["printable", "schema", "syntax"]),
    ("testing", &["check", "count", "eval", "plan", "time"]),
    ("check", &["count", "diagnostics", "eval", "plan", "schema", "sheets", "steps", "syntax", "time", "transitions", "unicode", "value"]),
    ("eval", &["json", "plan", "steps", "time", "unicode", "value"]),
    ("plan", &["count", "steps", "syntax", "system", "time", "unicode", "value"]),
    ("steps", &["time", "unicode", "value"]),
    ("format", &["diagnostics", "syntax"]),
    ("schema", &["diagnostics", "disk", "printable", "project", "system", "unicode", "value", "yaml"]),
    ("syntax", &["diagnostics", "time"]),
    ("project", &["connect", "diagnostics", "disk", "system", "systems", "time", "yaml"]),
    // What everything may use.
    ("sheets", &["unicode", "yaml"]),
    ("yaml", &["diagnostics", "disk"]),
    ("diagnostics", &["count", "printable"]),
    ("bytes", &[]),
    ("count", &[]),
    ("disk", &[]),
    ("json", &["bytes"]),
    ("printable", &[]),
    ("system", &[]),
    ("time", &[]),
    ("transitions", &[]),
    ("unicode", &["bytes"]),
    ("value", &["count", "time", "unicode"]),
];

/// Modules of one folder that import each other in a cycle, each set with the reason why it is kept. There is none between layers.
const CIRCLES: &[(&str, &[&str], &str)] = &[
    ("check", &["consent", "entry", "source", "steps"], "one walk over the tree: an entry has steps, and a step has sources"),
    ("systems/campaign", &["list", "record"], "a record can be addressed by a filter, and a list is read from a record on"),
    (
        "eval",
        &["case", "formula", "lookup", "program", "steps"],
        "a program has steps, branches and formulas, and some of these contain programs",
    ),
    ("run", &["counters", "summary"], "a summary is made of counters, which keep examples of rejections"),
    ("run", &["binding", "events", "ingress", "optout", "workflow"], "the list of workflows knows the rounds of each kind"),
    ("run/ingress", &["due", "reader"], "records that become due are read like those of a page"),
    (
        "store/sqlite/db",
        &["cursor", "dead_letter", "due", "environment", "links", "mass", "outbox", "page", "related", "store", "tx"],
        "each table has a file with methods of the one store",
    ),
    ("syntax", &["build", "explain", "parse", "pasted"], "faulty text is parsed again to explain it"),
];

/// A module of the library that has a file.
struct Module {
    /// Below the crate root: `["connect", "http"]`.
    path: Vec<String>,
    tree: syn::File,
}

impl Module {
    fn name(&self) -> String {
        self.path.join("/")
    }

    /// The modules in separate files that it declares for tests only.
    fn files_for_tests(&self) -> Vec<Vec<String>> {
        let declared = self.tree.items.iter().filter_map(|item| match item {
            syn::Item::Mod(module) if module.content.is_none() && is_for_tests(&module.attrs) => Some(module.ident.to_string()),
            _ => None,
        });
        declared.map(|name| [self.path.clone(), vec![name]].concat()).collect()
    }
}

/// A path that the code of a module names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    /// As it is written, from `crate`, `super`, `self` or a name in scope on.
    path: Vec<String>,
    /// The module in which it is written, inline modules included.
    scope: Vec<String>,
    /// In code for tests only.
    test: bool,
}

/// Collects what a module names: imports in every form, and paths in expressions, types, patterns, attributes and macros.
struct Collector {
    scope: Vec<String>,
    test: bool,
    uses: Vec<Use>,
    /// Imports by the names that they have in the module: others can name them through it, public or not.
    names: Vec<(String, Vec<String>)>,
}

impl Collector {
    fn of(module: &Module) -> Collector {
        let mut collector = Collector { scope: module.path.clone(), test: false, uses: Vec::new(), names: Vec::new() };
        collector.visit_file(&module.tree);
        collector
    }

    fn add(&mut self, path: Vec<String>) {
        self.uses.push(Use { path, scope: self.scope.clone(), test: self.test });
    }

    /// The names of a `use` tree with their paths; a glob has the name `*`.
    fn expand(tree: &syn::UseTree, before: &[String], found: &mut Vec<(String, Vec<String>)>) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => Self::expand(&path.tree, &with(&path.ident), found),
            // `use a::{self}` names `a`.
            syn::UseTree::Name(name) if name.ident == "self" => {
                found.push((before.last().cloned().unwrap_or_default(), before.to_vec()));
            }
            syn::UseTree::Name(name) => found.push((name.ident.to_string(), with(&name.ident))),
            syn::UseTree::Rename(rename) if rename.ident == "self" => found.push((rename.rename.to_string(), before.to_vec())),
            syn::UseTree::Rename(rename) => found.push((rename.rename.to_string(), with(&rename.ident))),
            syn::UseTree::Glob(_) => found.push(("*".to_owned(), before.to_vec())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| Self::expand(tree, before, found)),
        }
    }

    /// Paths within the tokens of a macro, which are not parsed: `crate::a::b` and the like.
    fn scan(&mut self, tokens: proc_macro2::TokenStream) {
        use proc_macro2::TokenTree;
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if path.is_empty() || colons != 2 => {
                    let before = std::mem::replace(&mut path, vec![ident.to_string()]);
                    self.scanned(before);
                    colons = 0;
                }
                TokenTree::Ident(ident) => {
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.scanned(std::mem::take(&mut path));
                    self.scan(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => self.scanned(std::mem::take(&mut path)),
            }
        }
        self.scanned(path);
    }

    fn scanned(&mut self, path: Vec<String>) {
        if path.len() > 1 {
            self.add(path);
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| a.path().is_ident("cfg") && a.parse_args::<syn::Ident>().is_ok_and(|name| name == "test"))
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let Some((_, items)) = &item.content else { return };
        let test = self.test;
        self.test |= is_for_tests(&item.attrs);
        self.scope.push(item.ident.to_string());
        items.iter().for_each(|item| self.visit_item(item));
        self.scope.pop();
        self.test = test;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut found = Vec::new();
        Self::expand(&item.tree, &[], &mut found);
        for (name, path) in found {
            self.add(path.clone());
            if !self.test {
                self.names.push((name, path));
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(path.segments.iter().map(|s| s.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.scan(item.tokens.clone());
        syn::visit::visit_macro(self, item);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

/// All modules of the library.
struct Library {
    modules: Vec<Module>,
    paths: BTreeSet<Vec<String>>,
    uses: Vec<Vec<Use>>,
    names: BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>>,
}

impl Library {
    fn read() -> Library {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        sources(&root, &mut files);
        let modules: Vec<Module> = files
            .into_iter()
            .filter_map(|(path, text)| {
                let below = Path::new(&path).strip_prefix(&root).expect("a file below src").with_extension("");
                let mut path: Vec<String> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
                if path.last().is_some_and(|last| last == "mod") {
                    path.pop();
                }
                // The crate root declares the modules, and `main` only calls it.
                let tree = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", below.display()));
                (path != ["lib"] && path != ["main"]).then_some(Module { path, tree })
            })
            .collect();
        // A file that only tests have may use what it likes.
        let of_tests: Vec<Vec<String>> = modules.iter().flat_map(Module::files_for_tests).collect();
        let modules: Vec<Module> = modules.into_iter().filter(|m| !of_tests.iter().any(|path| m.path.starts_with(path))).collect();
        let paths = modules.iter().map(|m| m.path.clone()).collect();
        let collected: Vec<Collector> = modules.iter().map(Collector::of).collect();
        let names = modules.iter().zip(&collected).map(|(m, c)| (m.path.clone(), c.names.iter().cloned().collect())).collect();
        Library { paths, names, uses: collected.into_iter().map(|c| c.uses).collect(), modules }
    }

    /// A path from the crate root on; none if it leads to another crate or to a name in scope.
    fn absolute(&self, path: &[String], scope: &[String]) -> Option<Vec<String>> {
        let first = path.first()?;
        match first.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([scope, &path[1..]].concat()),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                Some([scope.get(..scope.len().checked_sub(ups)?)?, &path[ups..]].concat())
            }
            name => {
                let child = [scope, &[name.to_owned()]].concat();
                self.paths.contains(&child).then(|| [scope, path].concat())
            }
        }
    }

    /// The module in which the item of a path is defined; re-exports are followed.
    fn module_of(&self, path: &[String], scope: &[String], depth: usize) -> Option<Vec<String>> {
        let absolute = self.absolute(path, scope)?;
        let known = (0..=absolute.len()).rev().find(|n| self.paths.contains(&absolute[..*n]))?;
        let (module, rest) = absolute.split_at(known);
        let exported = rest.first().and_then(|name| self.names.get(module)?.get(name)).filter(|_| depth < 8);
        match exported.and_then(|path| self.module_of(path, module, depth + 1)) {
            Some(origin) => Some(origin),
            None => Some(module.to_vec()),
        }
    }

    /// A path with the import in place of the name that it begins with: `store::open` after `use crate::store`.
    fn in_full(&self, path: &[String], scope: &[String]) -> Vec<String> {
        let imported = path.first().and_then(|first| self.names.get(scope)?.get(first));
        match imported.filter(|_| self.absolute(path, scope).is_none()) {
            Some(import) => [import, &path[1..]].concat(),
            None => path.to_vec(),
        }
    }

    /// For each folder, the imports between its modules: from, to, and a place that shows it.
    fn between_siblings(&self) -> BTreeMap<String, Vec<(String, String, String)>> {
        let mut edges: BTreeMap<String, Vec<(String, String, String)>> = BTreeMap::new();
        for (module, uses) in self.modules.iter().zip(&self.uses) {
            for used in uses.iter().filter(|used| !used.test) {
                let Some(target) = self.module_of(&used.path, &used.scope, 0) else { continue };
                let common = module.path.iter().zip(&target).take_while(|(a, b)| a == b).count();
                if let (Some(from), Some(to)) = (module.path.get(common), target.get(common)) {
                    let place = format!("{} uses {}", module.name(), used.path.join("::"));
                    edges.entry(module.path[..common].join("/")).or_default().push((from.clone(), to.clone(), place));
                }
            }
        }
        edges
    }
}

/// The modules that reach each other, in sets of at least two.
fn circles(edges: &[(String, String, String)]) -> Vec<BTreeSet<&str>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to, _) in edges {
        next.entry(from).or_default().insert(to);
    }
    let reached = |start: &str| {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = next.get(start).into_iter().flatten().copied().collect();
        while let Some(name) = open.pop() {
            if seen.insert(name) {
                open.extend(next.get(name).into_iter().flatten());
            }
        }
        seen
    };
    let all: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|name| (*name, reached(name))).collect();
    let mut found: Vec<BTreeSet<&str>> = Vec::new();
    for (name, to) in all.iter().filter(|(name, to)| to.contains(*name)) {
        let circle: BTreeSet<&str> = to.iter().copied().filter(|other| all.get(other).is_some_and(|back| back.contains(name))).collect();
        if circle.len() > 1 && !found.contains(&circle) {
            found.push(circle);
        }
    }
    found
}

fn sources(folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the crate").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            files.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn data_flows_one_way() {
    let library = Library::read();
    let layers: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (module, uses) in library.modules.iter().zip(&library.uses) {
        let layer = module.path[0].as_str();
        seen.insert(layer);
        let Some(allowed) = layers.get(layer) else {
            found.insert(format!("the layer `{layer}` is not in the list: say what it may use"));
            continue;
        };
        for used in uses {
            let to = library.absolute(&used.path, &used.scope).and_then(|path| path.first().cloned());
            if let Some(to) = to.filter(|to| layers.contains_key(to.as_str()) && to != layer && !allowed.contains(&to.as_str())) {
                found.insert(format!("{}: {layer} uses {to} (`{}`)", module.name(), used.path.join("::")));
            }
        }
    }
    let gone = layers.keys().filter(|layer| !seen.contains(*layer));
    found.extend(gone.map(|layer| format!("there is no layer `{layer}` any more")));
    assert!(found.is_empty(), "{}", found.into_iter().collect::<Vec<_>>().join("\n"));
}

/// The only module above the stores that opens one. Another store is a case there.
const OPENS_THE_STORE: &str = "app/state";

#[test]
fn one_module_opens_the_store_and_all_others_get_its_ports() {
    let library = Library::read();
    let mut found = BTreeSet::new();
    let mut opened = false;
    for (module, uses) in library.modules.iter().zip(&library.uses).filter(|(module, _)| module.path[0] != "store") {
        for used in uses.iter().filter(|used| !used.test) {
            let path = library.in_full(&used.path, &used.scope);
            let target = library.module_of(&path, &used.scope, 0).unwrap_or_default();
            if !target.starts_with(&["store".to_owned(), "sqlite".to_owned()]) {
                continue;
            }
            match module.name() == OPENS_THE_STORE {
                true => opened = true,
                false => _ = found.insert(format!("{} names a store (`{}`)", module.name(), used.path.join("::"))),
            }
        }
    }
    assert!(found.is_empty(), "ask {OPENS_THE_STORE} for the ports:\n{}", found.into_iter().collect::<Vec<_>>().join("\n"));
    assert!(opened, "{OPENS_THE_STORE} opens no store any more");
}

#[test]
fn what_moves_records_names_no_system() {
    let library = Library::read();
    // The folders in `src/systems` are the systems; the traits and types of the seam are files beside them.
    let systems: BTreeSet<&[String]> =
        library.paths.iter().filter(|path| path.len() > 2 && path[0] == "systems").map(|path| &path[..2]).collect();
    assert!(systems.len() >= 3, "{systems:?}");
    let mut found = BTreeSet::new();
    for (module, uses) in library.modules.iter().zip(&library.uses).filter(|(module, _)| module.path[0] == "run") {
        for used in uses.iter().filter(|used| !used.test) {
            let path = library.in_full(&used.path, &used.scope);
            let target = library.module_of(&path, &used.scope, 0).unwrap_or_default();
            if target.get(..2).is_some_and(|target| systems.contains(target)) {
                found.insert(format!("{} names a system (`{}`)", module.name(), used.path.join("::")));
            }
        }
    }
    assert!(found.is_empty(), "use the traits in `src/systems`:\n{}", found.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn no_layers_and_no_modules_of_a_folder_import_each_other_in_a_cycle() {
    let mut found = Vec::new();
    for (folder, edges) in Library::read().between_siblings() {
        for circle in circles(&edges) {
            let known = CIRCLES.iter().any(|(of, names, _)| *of == folder && circle.iter().all(|name| names.contains(name)));
            if !known {
                let inside = |(from, to, _): &&(String, String, String)| circle.contains(from.as_str()) && circle.contains(to.as_str());
                let places: BTreeSet<&str> = edges.iter().filter(inside).map(|(_, _, place)| place.as_str()).collect();
                let places = places.into_iter().collect::<Vec<_>>().join("\n    ");
                found.push(format!("{}: {circle:?}\n    {places}", if folder.is_empty() { "the crate" } else { &folder }));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_form_of_an_import_is_read() {
    let text = "
        use crate::{a::{self, b as c}, d::*};
        pub use super::e::F;
        fn f(x: crate::g::H) { let _ = self::i::j::<crate::k::L>(); println!(\"{}\", crate::m::n(super::o::P)); }
        mod inner { use super::super::q; }
        #[cfg(test)]
        mod tests { use crate::r; }
    ";
    let module = Module { path: vec!["x".to_owned(), "y".to_owned()], tree: syn::parse_file(text).expect("code") };
    let uses = Collector::of(&module).uses;
    let library = Library { modules: Vec::new(), paths: BTreeSet::new(), uses: Vec::new(), names: BTreeMap::new() };
    let found: BTreeSet<String> =
        uses.iter().filter(|u| !u.test).filter_map(|u| Some(library.absolute(&u.path, &u.scope)?.join("::"))).collect();
    let expected = ["a", "a::b", "d", "g::H", "k::L", "m::n", "x::e::F", "x::o::P", "x::q", "x::y::i::j"];
    assert_eq!(found, expected.map(str::to_owned).into());
    assert!(uses.iter().any(|u| u.test && u.path == ["crate", "r"]));
}

#[test]
fn a_circle_over_several_modules_is_found() {
    let edge = |from: &str, to: &str| (from.to_owned(), to.to_owned(), String::new());
    assert_eq!(circles(&[edge("a", "b"), edge("b", "c"), edge("c", "a"), edge("c", "d")]), [BTreeSet::from(["a", "b", "c"])]);
    assert!(circles(&[edge("a", "b"), edge("a", "c"), edge("b", "c")]).is_empty());
}

/// Finds functions that other modules can call and whose error is a text.
struct TextErrors<'a> {
    place: &'a str,
    found: Vec<String>,
}

impl TextErrors<'_> {
    fn check(&mut self, signature: &syn::Signature) {
        let syn::ReturnType::Type(_, ty) = &signature.output else { return };
        let syn::Type::Path(path) = ty.as_ref() else { return };
        let Some(last) = path.path.segments.last().filter(|s| s.ident == "Result") else { return };
        let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else { return };
        let is_text = |ty: &syn::Type| match ty {
            syn::Type::Path(path) => path.path.is_ident("String"),
            syn::Type::Reference(reference) => matches!(reference.elem.as_ref(), syn::Type::Path(p) if p.path.is_ident("str")),
            _ => false,
        };
        if let Some(syn::GenericArgument::Type(error)) = arguments.args.iter().nth(1)
            && is_text(error)
        {
            self.found.push(format!("{}: {}", self.place, signature.ident));
        }
    }
}

impl<'ast> Visit<'ast> for TextErrors<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !matches!(item.vis, syn::Visibility::Inherited) {
            self.check(&item.sig);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !matches!(item.vis, syn::Visibility::Inherited) {
            self.check(&item.sig);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.check(&item.sig);
    }
}

#[test]
fn no_error_that_crosses_a_module_is_a_text() {
    let mut found = Vec::new();
    for module in Library::read().modules {
        let name = module.name();
        let mut errors = TextErrors { place: &name, found: Vec::new() };
        errors.visit_file(&module.tree);
        found.extend(errors.found);
    }
    assert!(found.is_empty(), "return an enum instead of a text (`thiserror`):\n{}", found.join("\n"));
}

/// Finds decisions by the words of an error.
struct WordDecisions<'a> {
    place: &'a str,
    found: Vec<String>,
}

impl<'ast> Visit<'ast> for WordDecisions<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let named = |e: &syn::Expr, names: &[&str]| matches!(e, syn::Expr::Path(p) if names.iter().any(|name| p.path.is_ident(name)));
        let is_text = |e: &syn::Expr| match e {
            syn::Expr::MethodCall(inner) => inner.method == "to_string" && named(&inner.receiver, &["e", "err", "error"]),
            other => named(other, &["err", "error"]),
        };
        if ["contains", "starts_with", "ends_with"].iter().any(|name| call.method == name) && is_text(&call.receiver) {
            self.found.push(format!("{}: error.{}(…)", self.place, call.method));
        }
        syn::visit::visit_expr_method_call(self, call);
    }
}

#[test]
fn no_decision_is_made_by_the_words_of_an_error() {
    let mut found = Vec::new();
    for module in Library::read().modules {
        let name = module.name();
        let mut words = WordDecisions { place: &name, found: Vec::new() };
        words.visit_file(&module.tree);
        found.extend(words.found);
    }
    assert!(found.is_empty(), "match on a variant instead:\n{}", found.join("\n"));
}

#[test]
fn libraries_that_belong_to_one_module_are_used_only_there() {
    let mut files = Vec::new();
    for folder in ["src", "emulator/src"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    for (path, text) in files {
        let used = |name: &str| text.lines().any(|l| !l.trim_start().starts_with("//") && l.contains(name));
        if !path.ends_with("yaml.rs") {
            assert!(!used("serde_saphyr::"), "{path} uses the YAML library");
        }
        if !path.ends_with("unicode.rs") {
            assert!(!used("icu_normalizer::") && !used("icu_segmenter::"), "{path} uses the Unicode libraries");
        }
        if !path.contains("/syntax/") {
            assert!(!used("pest::"), "{path} uses the parser library");
        }
    }
}

/// Files of `src` that open files by other means than `disk`, each with its reason.
const OPEN_FILES: &[(&str, &str)] = &[
    ("src/disk.rs", "it is the helper"),
    ("src/store/sqlite/db/place.rs", "the state file and its lock are opened for writing, follow no link and are kept open"),
    ("src/store/sqlite/db/lock.rs", "the name of the machine is a file of /proc, which `disk` refuses"),
    ("src/doctor/local.rs", "the trial whether a folder can be written to creates a file and removes it"),
];

#[test]
fn files_are_opened_and_written_by_one_helper() {
    let mut files = Vec::new();
    for folder in ["src", "emulator/src"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let ways =
        ["fs::read(", "fs::read_to_string(", "File::open", "fs::write(", "fs::rename(", "fs::copy(", "File::create", "OpenOptions::new"];
    let mut used = Vec::new();
    let mut found = Vec::new();
    for (path, text) in files {
        let name = Path::new(&path).strip_prefix(env!("CARGO_MANIFEST_DIR")).map(|p| p.display().to_string()).unwrap_or_default();
        // Tests prepare their files as they like; they are at the end of a file.
        let code = text.split("\nmod tests {").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            if line.trim_start().starts_with("//") || !ways.iter().any(|way| line.contains(way)) {
                continue;
            }
            if OPEN_FILES.iter().any(|(exception, _)| *exception == name) {
                used.push(name.clone());
            } else {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "use `disk` instead:\n{}", found.join("\n"));
    for (exception, reason) in OPEN_FILES {
        assert!(used.iter().any(|name| name == exception), "{exception} is no longer an exception ({reason}): remove it from the list");
    }
}

/// Files of `src/run` and `src/engine` that know another clock than the run's, each with its reason.
const OTHER_CLOCKS: &[(&str, &str)] = &[
    ("src/engine/clock.rs", "the run's clock is made of the machine's"),
    ("src/run/two_way/flows/", "a test: it moves the run's clock"),
    ("src/run/optout/model/", "a test: it tells how long it took"),
];

#[test]
fn what_a_run_does_uses_the_clock_of_the_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src/run", "src/engine"] {
        sources(&root.join(folder), &mut files);
    }
    let ways = ["time::now()", "Utc::now", "Instant::now", "Moment::now", "SystemTime", "tokio::time"];
    let mut found = Vec::new();
    for (path, text) in files {
        let name = Path::new(&path).strip_prefix(root).map(|p| p.display().to_string()).unwrap_or_default();
        if OTHER_CLOCKS.iter().any(|(exception, _)| name.starts_with(exception)) {
            continue;
        }
        // Tests may take the time from where they like; they are at the end of a file.
        let code = text.split("\nmod tests {").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            if !line.trim_start().starts_with("//") && ways.iter().any(|way| line.contains(way)) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "ask the run's clock (`Context::now`, `Clock::sleep`, `Clock::elapsed`):\n{}", found.join("\n"));
}
