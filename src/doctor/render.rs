//! How checks are shown: to people, grouped, with cause and remedy below what is wrong; to machines as one JSON object.

use std::fmt::Write as _;

use super::{Check, Group, Outcome, tally};
use crate::count::noun_for;
use crate::printable;

/// The width of the column that holds subjects, beyond which a subject pushes its row to the right.
const SUBJECT: usize = 24;
/// Where causes begin.
const INDENT: usize = 2 + 8 + 1 + SUBJECT + 1;

/// Breaks a text at its blanks; what is drawn with characters is left as it is.
fn lines(text: &str, width: Option<usize>) -> Vec<String> {
    let mut out = Vec::new();
    for line in text.trim_end().lines() {
        let Some(width) = width.filter(|_| !line.starts_with(' ')) else {
            out.push(line.to_owned());
            continue;
        };
        let mut current = String::new();
        for word in line.split(' ') {
            if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > width {
                out.push(std::mem::take(&mut current));
            }
            if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(word);
        }
        out.push(current);
    }
    out
}

/// For people. `color` only where somebody sees it; lines are broken at `width`, if there is one.
pub fn human(checks: &[Check], color: bool, width: Option<usize>) -> String {
    let mut out = String::new();
    let paint = |code: &str, text: &str| if color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() };
    let indent = " ".repeat(INDENT);
    for group in Group::ALL {
        let mut rows = checks.iter().filter(|c| c.group == group).peekable();
        if rows.peek().is_none() {
            continue;
        }
        // Writing into a String cannot fail, here and below.
        let _ = writeln!(out, "{}", paint("1", group.title()));
        for check in rows {
            let (code, word, text, mend) = match &check.outcome {
                Outcome::Ok { detail } => ("32", "ok", detail, None),
                Outcome::Warning { cause, mend } => ("33", "warning", cause, Some(mend)),
                Outcome::Failed { cause, mend } => ("31", "failed", cause, Some(mend)),
                Outcome::Skipped { reason } => ("2", "skipped", reason, None),
            };
            let word = paint(code, &format!("{word:<8}"));
            let room = width.map(|w| w.saturating_sub(INDENT).max(30));
            // Before the colors: what a service says must not look like one.
            let text = lines(&printable::block(text), room).join(&format!("\n{indent}"));
            let _ = writeln!(out, "  {word} {:<SUBJECT$} {text}", printable::inline(&check.subject));
            if let Some(mend) = mend {
                for (n, line) in lines(&printable::block(mend), room.map(|r| r - 2)).iter().enumerate() {
                    let _ = writeln!(out, "{indent}{}", paint("36", &format!("{} {line}", if n == 0 { "→" } else { " " })));
                }
            }
        }
        out.push('\n');
    }
    let tally = tally(checks);
    let some = |n: usize, word: &str| (n > 0).then(|| format!("{n} {word}"));
    let parts = [
        Some(format!("{} ok", tally.ok)),
        some(tally.warnings, &noun_for(tally.warnings, "warning")),
        some(tally.failed, "failed"),
        some(tally.skipped, "skipped"),
    ];
    let _ = writeln!(out, "{}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "));
    out
}

/// For machines.
pub fn json(checks: &[Check]) -> String {
    format!("{:#}\n", serde_json::json!({ "version": 1, "checks": checks, "summary": tally(checks) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> Vec<Check> {
        let check = |id, group, subject: &str, outcome| Check { id, group, subject: subject.to_owned(), outcome };
        vec![
            check("project.file", Group::Project, "project file", Outcome::Ok { detail: "d365map.yaml".into() }),
            check(
                "dynamics.token",
                Group::Dynamics,
                "token",
                Outcome::Failed { cause: "the secret is wrong".into(), mend: "make a new one\nand set it".into() },
            ),
            check("dynamics.user", Group::Dynamics, "application user", Outcome::Skipped { reason: "there is no token".into() }),
        ]
    }

    #[test]
    fn people_read_groups_with_the_remedy_below_the_cause() {
        let indent = " ".repeat(INDENT);
        let expected = format!(
            "Project\n  ok       project file             d365map.yaml\n\nDynamics 365\n  failed   token                    the secret is wrong\n\
             {indent}→ make a new one\n{indent}  and set it\n  skipped  application user         there is no token\n\n1 ok, 1 failed, 1 skipped\n"
        );
        assert_eq!(human(&checks(), false, None), expected);
    }

    #[test]
    fn colors_are_there_only_when_asked_for() {
        assert!(!human(&checks(), false, None).contains('\u{1b}'));
        assert!(human(&checks(), true, None).contains("\u{1b}[31mfailed"));
    }

    #[test]
    fn lines_are_broken_at_blanks_and_drawings_stay() {
        assert_eq!(lines("one two three", Some(8)), ["one two", "three"]);
        assert_eq!(lines("averylongword x", Some(5)), ["averylongword", "x"]);
        assert_eq!(lines("   ╭─ a b c d e f", Some(5)), ["   ╭─ a b c d e f"]);
        assert_eq!(lines("one two three", None), ["one two three"]);
    }

    #[test]
    fn machines_read_the_outcome_beside_the_name_and_a_summary() {
        let document: serde_json::Value = serde_json::from_str(&json(&checks())).unwrap();
        assert_eq!(document["version"], 1);
        assert_eq!(document["checks"][1]["id"], "dynamics.token");
        assert_eq!(document["checks"][1]["outcome"], "failed");
        assert_eq!(document["checks"][1]["mend"], "make a new one\nand set it");
        assert_eq!(document["summary"], serde_json::json!({"ok": 1, "warnings": 0, "failed": 1, "skipped": 1}));
    }
}
